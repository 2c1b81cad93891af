"""Endless batches of rendered, augmented patterns from zone-axis libraries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pyxem_cnn import augmentations as aug
from pyxem_cnn.augmentations._coordinates import areas
from pyxem_cnn.conditions import Conditions
from pyxem_cnn.exposure import Exposure
from pyxem_cnn.simulation.library.ingredient import Ingredient
from pyxem_cnn.simulation.library.spots import Spots, concatenated
from pyxem_cnn.simulation.rendering import render_polar

if TYPE_CHECKING:
    from pyxem_cnn.detector.polar import PolarGrid
    from pyxem_cnn.simulation.library.dynamical_library import DynamicalLibrary
    from pyxem_cnn.simulation.library.zone_axis_library import ZoneAxisLibrary

    Library = ZoneAxisLibrary | DynamicalLibrary

__all__ = ["Batch", "Conditions", "Ingredient", "PatternSource"]

# Largest weight of a second grain against the first.
_LARGEST_SECOND = 0.8
# Parts of a disc differ by such a factor in decoys (standard deviation of the logarithm).
_DECOY_STRUCTURE = 0.7


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
    kind
        Place of the phase for patterns of a phase; from the number of phases on, vacuum, amorphous
        material and other crystals. Shape (n,), int64.
    thickness
        In angstrom, shape (n,); NaN for decoys and kinematic patterns.
    share
        How much of the diffraction is that of the orientation, shape (n,): below 1, the pattern
        before it in the batch is a second grain that has the rest.
    """

    counts: Tensor
    mask: Tensor
    orientation: Tensor
    kind: Tensor
    thickness: Tensor
    share: Tensor


class PatternSource:
    """Draw random patterns of one or several phases.

    Parameters
    ----------
    library
        Spots of the phase, or `Ingredient` for each phase and microscope setting.
    grid
        Polar grid of the patterns.
    conditions
        How they vary.
    decoys
        Spots of other crystals; None for no decoys.
    compiled
        Whether torch compiles the renderer of a GPU, for many batches of one size.
    """

    def __init__(
        self,
        library: Library | Sequence[Ingredient],
        grid: PolarGrid,
        conditions: Conditions,
        decoys: ZoneAxisLibrary | None = None,
        compiled: bool = False,
    ) -> None:
        several = isinstance(library, list | tuple)
        self.ingredients = list(library) if several else [Ingredient(library)]
        self.n_phases = 1 + max(one.phase for one in self.ingredients)
        self.grid, self.decoys, self.compiled = grid, decoys, compiled
        self.conditions = conditions if decoys is not None else replace(conditions, decoys=0.0)
        self._exposure = Exposure(grid, self.conditions)

    @property
    def library(self) -> Library:
        """Return the first library."""
        return self.ingredients[0].library

    @property
    def weight(self) -> float:
        """Return the sum of the ingredients' weights."""
        return sum(one.weight for one in self.ingredients)

    def under(self, conditions: Conditions) -> PatternSource:
        """Return a source of the same spots under other conditions.

        Parameters
        ----------
        conditions
            How the patterns vary.
        """
        return PatternSource(self.ingredients, self.grid, conditions, self.decoys, self.compiled)

    def batch(self, n: int, generator: torch.Generator) -> Batch:
        """Return ``n`` patterns, drawn with ``generator`` on its device."""
        device = generator.device
        mean = torch.tensor(float(n * self.conditions.decoys), device=device)
        n_decoys = int(torch.poisson(mean, generator=generator)) if mean else 0
        n_decoys = min(n_decoys, n // 2)
        spots, kind = self._phases(n - n_decoys, generator)
        if n_decoys:
            spots = concatenated(spots, self._decoys(n_decoys, spots, generator))
            # A third of the decoys has no spots at all: half vacuum, half amorphous material.
            n_empty = (n_decoys + 2) // 3
            other = torch.full((n_decoys,), self.n_phases + 2, device=device)
            other[:n_empty] = self.n_phases + (torch.arange(n_empty, device=device) % 2)
            kind = torch.cat([kind, other])
        counts, mask, share = self._pattern(spots, kind, generator)
        return Batch(counts, mask, spots.orientation, kind, spots.thickness, share)

    def batches(self, n: int, seed: int, device: str | torch.device = "cpu") -> Iterator[Batch]:
        """Yield batches without end, rendered on a device, where they stay."""
        generator = torch.Generator(device).manual_seed(seed)
        while True:
            yield self.batch(n, generator)

    def _phases(self, n: int, generator: torch.Generator) -> tuple[Spots, Tensor]:
        """Return spots of the phases and which one, as the ingredients' weights say."""
        if len(self.ingredients) == 1:
            kind = torch.zeros(n, dtype=torch.int64, device=generator.device)
            return self._spots(self.library, n, generator), kind
        device = generator.device
        weights = torch.tensor([float(one.weight) for one in self.ingredients], device=device)
        chosen = torch.multinomial(weights, n, replacement=True, generator=generator)
        parts, kinds = [], []
        for i, one in enumerate(self.ingredients):
            if count := int((chosen == i).sum()):
                parts.append(self._spots(one.library, count, generator))
                kinds.append(torch.full((count,), one.phase, device=device))
        like = next((part for part in parts if part.tilts is not None), parts[0])
        spots = (
            parts[0] if parts[0].tilts is not None else _with_discs_of(like, parts[0], generator)
        )
        for part in parts[1:]:
            spots = concatenated(spots, _with_discs_of(like, part, generator))
        # Second grains come from the pattern before: of any phase.
        order = torch.randperm(n, generator=generator, device=device)
        return Spots(*(x if x is None else x[order] for x in spots)), torch.cat(kinds)[order]

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
        spots.intensity[: (n + 2) // 3] = 0
        if like.tilts is None:
            return spots
        spots = _with_discs_of(like, spots, generator)
        # Uniform discs would give the decoys away.
        factor = torch.exp(_DECOY_STRUCTURE * _normal(spots.intensity.shape, generator))
        return spots._replace(intensity=spots.intensity * factor)

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
        factor = factor * torch.exp(spread * _normal(factor.shape, generator))
        return spots._replace(intensity=spots.intensity * factor[..., None])

    def _pattern(
        self, spots: Spots, kind: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return counts per area and mask of spots seen through a microscope, and own shares."""
        c, n, k = self.conditions, len(spots.k), spots.k
        spread = aug.uniform(n, (0, c.position_spread), generator)[:, None, None]
        k = k + spread * (2 * torch.rand(k.shape, generator=generator, device=k.device) - 1)
        k, shift = aug.distort(k, c.center_error, c.scale_error, c.ellipticity, generator)
        content, sigma = self._rendered(spots._replace(k=k), generator)
        weight = aug.second_weight(n, c.overlap, _LARGEST_SECOND, generator)
        # Of a phase upon a phase: what else would the second orientation be?
        is_phase = kind < self.n_phases
        weight = weight.where(is_phase & is_phase.roll(1), 0.0)
        content = aug.add_second(content, weight)
        total = spots.intensity.sum((1, 2))
        is_vacuum = kind == self.n_phases
        amorphous = (kind == self.n_phases + 1).nonzero()[:, 0]
        content[amorphous] = aug.amorphous(len(amorphous), self.grid, generator)
        # Without spots, the direct beam is all there is.
        strength = aug.log_uniform(n, c.direct_beam, generator) * total.where(total > 0, 1.0)
        tail = aug.direct_beam_tail(shift, sigma, strength, self.grid)
        content = content + tail * areas(self.grid, generator.device)
        counts, mask = self._exposure(content, is_vacuum, generator)
        return counts, mask, 1 / (1 + weight)

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
            discs = {"disc_radius": radius, "ring_turn": turn}
        else:
            intensity, tilts = _as_discs(spots, radius, self.library.disc_radius)
            # The discs' edges are sharper than Gaussian spots are wide.
            blur = torch.where(radius > 0, torch.minimum(sigma, 0.25 * radius), sigma)
            arrays = (spots.k, intensity, blur)
            discs = {"disc_radius": radius, "tilts": tilts}
        content = render_polar(*arrays, self.grid, **discs, compiled=self.compiled)
        return content, beam


def _normal(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _with_discs_of(like: Spots, spots: Spots, generator: torch.Generator) -> Spots:
    """Return spots with as many parts as others have: uniform discs at their tilts."""
    if like.tilts is None or spots.tilts is not None:
        return spots
    n, n_tilts = len(spots.k), like.tilts.shape[1]
    chosen = torch.randint(len(like.tilts), (n,), generator=generator, device=generator.device)
    tilts = like.tilts[chosen]
    intensity = spots.intensity.expand(-1, -1, n_tilts) / n_tilts
    return spots._replace(intensity=intensity, tilts=tilts)


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
