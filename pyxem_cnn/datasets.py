"""Endless batches of rendered, augmented patterns from a zone-axis library."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from pyxem_cnn import augmentations as aug
from pyxem_cnn.simulation.rendering import render_polar
from pyxem_cnn.simulation.spots import Spots, concatenated

if TYPE_CHECKING:
    from pyxem_cnn.detector.polar import PolarGrid
    from pyxem_cnn.simulation.dynamical_library import DynamicalLibrary
    from pyxem_cnn.simulation.library import ZoneAxisLibrary

    Library = ZoneAxisLibrary | DynamicalLibrary

_NO_NOISE = math.inf
# Parts of a disc differ by such a factor in decoys (standard deviation of the logarithm).
_DECOY_STRUCTURE = 0.7


@dataclass(frozen=True)
class Conditions:
    """How microscope and specimen vary over the training patterns. Ranges are (low, high).

    Attributes
    ----------
    electrons
        Counts outside the direct beam, inside the grid; drawn evenly in the logarithm.
    noise_free
        Share of patterns without noise.
    spot_sigma
        Standard deviation of Gaussian spots, 1/angstrom.
    disc_radius
        Radius of convergent-beam discs, 1/angstrom.
    discs
        Share of patterns with discs instead of Gaussian spots.
    relrod_width
        Half width at half maximum of the intensity over the excitation error, 1/angstrom.
    debye_waller
        Factor B in angstrom^2.
    intensity_power
        Exponent applied to intensities; below 1, strong spots are damped, as by multiple
        scattering.
    intensity_spread
        Largest standard deviation of the logarithm of a random factor on every spot.
    position_spread
        Largest random displacement of single spots, 1/angstrom (coarse pixels).
    center_error, scale_error, ellipticity
        Largest error of the centre in 1/angstrom, and relative errors of camera length and axes.
    background
        Diffuse share of the electrons.
    direct_beam
        Integral of the direct beam against all spots together.
    half_width
        Half the side of a square detector, 1/angstrom.
    beam_offset
        Largest distance of the beam from the detector's middle, share of half a side.
    blocked
        Share of patterns with a beam stop, and with a larger central disc.
    overlap
        Share of patterns with a second grain of up to 0.5 of the first one's weight.
    decoys
        Share of patterns of other crystals, a third of them without any crystal.
    """

    electrons: aug.Range = (100.0, 1e6)
    noise_free: float = 0.2
    spot_sigma: aug.Range = (0.006, 0.06)
    disc_radius: aug.Range = (0.02, 0.08)
    discs: float = 0.3
    relrod_width: aug.Range = (0.004, 0.035)
    debye_waller: aug.Range = (0.0, 1.5)
    intensity_power: aug.Range = (0.45, 1.0)
    intensity_spread: float = 0.6
    position_spread: float = 0.006
    center_error: float = 0.012
    scale_error: float = 0.025
    ellipticity: float = 0.01
    background: aug.Range = (0.0, 0.99)
    direct_beam: aug.Range = (0.1, 100.0)
    half_width: aug.Range = (0.6, 2.4)
    beam_offset: float = 0.1
    blocked: float = 0.1
    overlap: float = 0.1
    decoys: float = 0.15

    def fitted_to(self, library: Library, grid: PolarGrid) -> Conditions:
        """Return conditions that make sense for a library of a crystal and a grid.

        Spots and discs stay smaller than the distance between reflections, the relrod inside the
        library's slab, and the detector reaches over a fair part of the grid. Dynamical
        intensities are hardly disturbed, and discs are about as large as the beam converges.

        Parameters
        ----------
        library
            Spots of the crystal.
        grid
            Polar grid of the patterns.
        """
        nearest = library.shortest_reflection
        slab = library.largest_excitation_error or 0.1
        fitted = replace(
            self,
            spot_sigma=_capped(self.spot_sigma, 0.2 * nearest),
            disc_radius=_capped(self.disc_radius, 0.4 * nearest),
            relrod_width=_capped(self.relrod_width, 0.4 * slab),
            center_error=min(self.center_error, 0.05 * nearest),
            position_spread=min(self.position_spread, 0.03 * nearest),
            half_width=(max(0.4 * grid.k_max, 1.8 * nearest), 1.5 * grid.k_max),
        )
        return fitted._dynamical(library) if library.is_dynamical else fitted

    def _dynamical(self, library: DynamicalLibrary) -> Conditions:
        """Return conditions for intensities that hold multiple scattering already."""
        radius = library.disc_radius
        return replace(
            self,
            disc_radius=(0.85 * radius, 1.15 * radius) if radius else self.disc_radius,
            discs=max(self.discs, 0.6) if radius else 0.0,
            debye_waller=(0.0, 0.2 * self.debye_waller[1]),
            intensity_power=(max(0.8, self.intensity_power[0]), self.intensity_power[1]),
            intensity_spread=0.3 * self.intensity_spread,
        )

    def measured_at(self, electrons: float) -> Conditions:
        """Return conditions at one dose, without decoys and second grains, for validation."""
        return replace(
            self, electrons=(electrons, electrons), noise_free=0.0, decoys=0.0, overlap=0.0
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return asdict(self)


def _capped(span: aug.Range, largest: float) -> aug.Range:
    high = min(span[1], largest)
    return min(span[0], high / 2), high


class Batch(NamedTuple):
    """Patterns and what they are.

    Attributes
    ----------
    counts
        Mean counts per area, shape (n, n_radial, n_azimuthal), 0 where masked.
    mask
        1 where measured, the same shape.
    orientation
        Quaternions, shape (n, 4), lab to crystal.
    is_phase
        1 for patterns of the phase, 0 for decoys, shape (n,).
    thickness
        In angstrom, shape (n,); NaN for decoys and kinematic patterns.
    """

    counts: Tensor
    mask: Tensor
    orientation: Tensor
    is_phase: Tensor
    thickness: Tensor


class PatternSource:
    """Draw random patterns of one phase.

    Parameters
    ----------
    library
        Spots of the phase.
    grid
        Polar grid of the patterns.
    conditions
        How they vary.
    decoys
        Spots of other crystals; None for no decoys.
    """

    def __init__(
        self,
        library: Library,
        grid: PolarGrid,
        conditions: Conditions,
        decoys: ZoneAxisLibrary | None = None,
    ) -> None:
        self.library, self.grid, self.decoys = library, grid, decoys
        self.conditions = conditions if decoys is not None else replace(conditions, decoys=0.0)
        self._areas = torch.as_tensor(grid.bin_areas, dtype=torch.float32)

    def batch(self, n: int, generator: torch.Generator) -> Batch:
        """Return ``n`` patterns, drawn with ``generator``."""
        c = self.conditions
        n_decoys = (
            int(torch.poisson(torch.tensor(float(n * c.decoys)), generator=generator))
            if c.decoys
            else 0
        )
        n_decoys = min(n_decoys, n // 2)
        spots = self._spots(self.library, n - n_decoys, generator)
        if n_decoys:
            spots = concatenated(spots, self._decoys(n_decoys, spots, generator))
        is_phase = (torch.arange(n) < n - n_decoys).float()
        counts, mask = self._pattern(spots, generator)
        return Batch(counts, mask, spots.orientation, is_phase, spots.thickness)

    def batches(self, n: int, seed: int) -> Iterator[Batch]:
        """Yield batches without end."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield self.batch(n, generator)

    def _spots(self, library: Library, n: int, generator: torch.Generator) -> Spots:
        """Return spots as a specimen of random shape and temperature gives them."""
        spots = library.draw(n, generator)
        if spots.excitation_error is not None:
            relrod = _relrod(spots.excitation_error, self.conditions, generator)
            spots = spots._replace(
                intensity=spots.intensity * relrod[..., None], excitation_error=None
            )
        return self._disturbed(spots, generator)

    def _decoys(self, n: int, like: Spots, generator: torch.Generator) -> Spots:
        """Return spots of other crystals, with discs like those of the phase."""
        spots = self._spots(self.decoys, n, generator)
        # A third of the decoys has no spots at all: vacuum and amorphous material.
        spots.intensity[: (n + 2) // 3] = 0
        if like.tilts is None:
            return spots
        # Uniform discs would give the decoys away.
        shape = (*spots.intensity.shape[:2], like.tilts.shape[1])
        factor = torch.exp(_DECOY_STRUCTURE * torch.randn(shape, generator=generator))
        tilts = like.tilts[torch.randint(len(like.tilts), (n,), generator=generator)]
        return spots._replace(intensity=spots.intensity * factor / shape[2], tilts=tilts)

    def _disturbed(self, spots: Spots, generator: torch.Generator) -> Spots:
        """Return spots with thermal damping, compression and random factors."""
        c, n = self.conditions, len(spots.k)
        square = spots.k.square().sum(-1)
        factor = torch.exp(-aug.uniform(n, c.debye_waller, generator)[:, None] * square / 2)
        power = aug.uniform(n, c.intensity_power, generator)
        # Half of the patterns keep the intensities of the simulation.
        power = torch.where(aug.chance(n, 0.5, generator), power, 1.0)[:, None]
        damped = spots.intensity.sum(-1) * factor
        strongest = damped.amax(1, keepdim=True).clamp(min=1e-20)
        factor = factor * (damped / strongest).clamp(min=1e-20) ** (power - 1)
        spread = aug.uniform(n, (0, c.intensity_spread), generator)
        spread = torch.where(aug.chance(n, 0.5, generator), spread, 0.0)[:, None]
        factor = factor * torch.exp(spread * torch.randn(factor.shape, generator=generator))
        return spots._replace(intensity=spots.intensity * factor[..., None])

    def _pattern(self, spots: Spots, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return counts per area and mask of spots seen through a microscope."""
        c, n, k = self.conditions, len(spots.k), spots.k
        spread = aug.uniform(n, (0, c.position_spread), generator)[:, None, None]
        k = k + spread * (2 * torch.rand(k.shape, generator=generator) - 1)
        k, shift = aug.distort(k, c.center_error, c.scale_error, c.ellipticity, generator)
        content, sigma = self._rendered(spots._replace(k=k), generator)
        content = aug.overlap(content, c.overlap, 0.5, generator)
        total = spots.intensity.sum((1, 2))
        # Without spots, the direct beam is all there is.
        strength = aug.log_uniform(n, c.direct_beam, generator) * total.where(total > 0, 1.0)
        tail = aug.direct_beam_tail(shift, sigma, strength, self.grid)
        content = content + tail * self._areas
        content = self._with_background(content, generator)
        mask = aug.square_detector(n, c.half_width, c.beam_offset, self.grid, generator)
        mask = mask * aug.blocked(n, c.blocked, self.grid, generator)
        electrons = aug.log_uniform(n, c.electrons, generator)
        electrons = torch.where(aug.chance(n, c.noise_free, generator), _NO_NOISE, electrons)
        counts = aug.count_electrons(content * mask, electrons, generator)
        return counts / self._areas, mask

    def _rendered(self, spots: Spots, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return bin contents and the direct beam's standard deviation, shape (n,)."""
        c, n = self.conditions, len(spots.k)
        sigma = aug.log_uniform(n, c.spot_sigma, generator)
        radius = aug.log_uniform(n, c.disc_radius, generator)
        radius = torch.where(aug.chance(n, c.discs, generator), radius, 0.0)
        beam = torch.where(radius > 0, radius / 2, sigma)
        if spots.tilts is None:
            turn = aug.uniform(n, (0, math.pi / 3), generator)
            arrays = (spots.k, spots.intensity.sum(-1), sigma)
            discs = {"disc_radius": radius.numpy(), "ring_turn": turn.numpy()}
        else:
            intensity, tilts = _as_discs(spots, radius, self.library.disc_radius)
            # The discs' edges are sharper than Gaussian spots are wide.
            blur = torch.where(radius > 0, torch.minimum(sigma, 0.25 * radius), sigma)
            arrays = (spots.k, intensity, blur)
            discs = {"disc_radius": radius.numpy(), "tilts": tilts.numpy()}
        content = render_polar(*(x.numpy() for x in arrays), self.grid, **discs)
        return torch.from_numpy(content), beam

    def _with_background(self, content: Tensor, generator: torch.Generator) -> Tensor:
        """Add diffuse scattering, a drawn share of all electrons."""
        n = len(content)
        diffuse = aug.diffuse_background(n, self.grid, generator) * self._areas
        low, high = self.conditions.background
        # Mostly moderate, now and then nearly everything.
        share = low + (high - low) * torch.rand(n, generator=generator) ** 2
        share = torch.where(aug.chance(n, 0.2, generator), 0.0, share)[:, None, None]
        total = content.sum(dim=(1, 2), keepdim=True)
        # Patterns without spots consist of background alone.
        total = torch.where(total > 0, total, 1.0)
        return content + total * share / (1 - share) * diffuse / diffuse.sum(
            dim=(1, 2), keepdim=True
        )


def _relrod(error: Tensor, conditions: Conditions, generator: torch.Generator) -> Tensor:
    """Return the fall-off with excitation error, Lorentzian or Gaussian, shape (n, n_spots)."""
    n = len(error)
    width = aug.log_uniform(n, conditions.relrod_width, generator)[:, None]
    square = (error / width) ** 2
    lorentzian = aug.chance(n, 0.5, generator)[:, None]
    return torch.where(lorentzian, 1 / (1 + square), torch.exp(-math.log(2) * square))


def _as_discs(spots: Spots, radius: Tensor, simulated: float) -> tuple[Tensor, Tensor]:
    """Return intensities (n, n_spots, n_tilts) and tilts (n, n_tilts, 2) for discs of a radius.

    Where the radius is 0, everything is in the first part, in the middle of the disc.
    """
    tilts = spots.tilts * (radius / (simulated or 1.0))[:, None, None]
    whole = torch.zeros_like(spots.intensity)
    whole[..., 0] = spots.intensity.sum(-1)
    return torch.where((radius > 0)[:, None, None], spots.intensity, whole), tilts
