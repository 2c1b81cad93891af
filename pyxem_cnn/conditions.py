"""How microscope and specimen vary over training patterns."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pyxem_cnn import augmentations as aug
from pyxem_cnn._checks import check_positive, check_share, given_expected

if TYPE_CHECKING:
    from pyxem_cnn.detector.polar import PolarGrid
    from pyxem_cnn.simulation.library.dynamical_library import DynamicalLibrary
    from pyxem_cnn.simulation.library.zone_axis_library import ZoneAxisLibrary

    Library = ZoneAxisLibrary | DynamicalLibrary

__all__ = ["Conditions"]

# The lowest dose at the beginning of a training, and when it has come down.
_FIRST_ELECTRONS, _EASED_UNTIL = 1e3, 0.3

# Half the side of the smallest detector, against the largest radius of the grid.
_SMALLEST_DETECTOR = 0.4

# Ranges that are drawn evenly in the logarithm.
_LOGARITHMIC = (
    "electrons",
    "spot_sigma",
    "disc_radius",
    "relrod_width",
    "direct_beam",
    "gaussian_width",
    "half_width",
    "pixel",
)
# Single numbers that are no shares, in 1/angstrom or spreads of a logarithm.
_AMOUNTS = ("intensity_spread", "position_spread", "center_error")


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
    gaussian_background
        Share of patterns whose background is a Gaussian around the direct beam, instead of an
        exponential, a Lorentzian and now and then an amorphous ring.
    gaussian_width
        Its standard deviation, 1/angstrom.
    half_width
        Half the side of a square detector, 1/angstrom.
    beam_offset
        Largest distance of the beam from the detector's middle, share of half a side.
    unmasked
        Share of patterns that a detector larger than the grid sees whole.
    blocked
        Share of patterns with a beam stop, and with a larger central disc.
    gaps, gap_width
        Share of patterns with gaps between the detector's modules, and their width, 1/angstrom.
    hot_pixels
        Pixels that count without electrons, share of all.
    pixel
        Side of a detector's pixel, 1/angstrom.
    integrating
        Share of noisy patterns that an integrating detector takes, with gain and read noise.
    read_noise
        Standard deviation of one of its pixels, in electrons.
    saturated
        Share of patterns of which strong spots are cut off.
    overlap
        Share of patterns with a second grain of up to 0.8 of the first one's weight.
    decoys
        Share of patterns of other crystals, a third of them without any crystal: vacuum or
        amorphous.
    """

    electrons: aug.Range = (80.0, 2e5)
    noise_free: float = 0.1
    spot_sigma: aug.Range = (0.006, 0.06)
    disc_radius: aug.Range = (0.02, 0.08)
    discs: float = 0.3
    relrod_width: aug.Range = (0.004, 0.035)
    debye_waller: aug.Range = (0.0, 1.5)
    intensity_power: aug.Range = (0.45, 1.0)
    intensity_spread: float = 0.6
    position_spread: float = 0.004
    center_error: float = 0.03
    scale_error: float = 0.025
    ellipticity: float = 0.01
    background: aug.Range = (0.0, 0.9)
    direct_beam: aug.Range = (0.1, 100.0)
    gaussian_background: float = 0.3
    gaussian_width: aug.Range = (0.1, 0.6)
    half_width: aug.Range = (0.6, 2.4)
    beam_offset: float = 0.1
    unmasked: float = 0.4
    blocked: float = 0.08
    gaps: float = 0.06
    gap_width: aug.Range = (0.02, 0.08)
    hot_pixels: aug.Range = (0.0, 1e-4)
    pixel: aug.Range = (0.005, 0.03)
    integrating: float = 0.1
    read_noise: aug.Range = (0.0, 0.2)
    saturated: float = 0.03
    overlap: float = 0.12
    decoys: float = 0.12

    def __post_init__(self) -> None:
        """Check the numbers."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple):
                _check_range(field.name, value)
            elif field.name in _AMOUNTS:
                check_positive(field.name, value, allow_zero=True)
            else:
                check_share(field.name, value)

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
            center_error=min(self.center_error, 0.15 * nearest),
            position_spread=min(self.position_spread, 0.02 * nearest),
            half_width=(max(_SMALLEST_DETECTOR * grid.k_max, 1.8 * nearest), 1.8 * grid.k_max),
        )
        return fitted._dynamical(library) if library.is_dynamical else fitted

    def _dynamical(self, library: DynamicalLibrary) -> Conditions:
        """Return conditions for intensities that hold multiple scattering already."""
        radius = library.disc_radius
        return replace(
            self,
            disc_radius=(0.85 * radius, 1.15 * radius) if radius else self.disc_radius,
            discs=max(self.discs, 0.75) if radius else 0.0,
            debye_waller=(0.0, 0.2 * self.debye_waller[1]),
            intensity_power=(max(0.8, self.intensity_power[0]), self.intensity_power[1]),
            intensity_spread=0.3 * self.intensity_spread,
        )

    def eased(self, progress: float) -> Conditions:
        """Return the conditions at some time of a training: doses begin high.

        Parameters
        ----------
        progress
            0 at the beginning, 1 at the end.
        """
        low, high = self.electrons
        first = min(_FIRST_ELECTRONS, high)
        if low >= first or progress >= _EASED_UNTIL:
            return self
        lowest = first * (low / first) ** (progress / _EASED_UNTIL)
        return replace(self, electrons=(lowest, high))

    def measured_at(self, electrons: float) -> Conditions:
        """Return conditions at one dose, without decoys and second grains, for validation."""
        return replace(
            self, electrons=(electrons, electrons), noise_free=0.0, decoys=0.0, overlap=0.0
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return asdict(self)


def _check_range(name: str, span: Any) -> None:
    """Raise unless a range is two numbers, the lower one first, of a size that can be drawn."""
    kind = "above zero" if name in _LOGARITHMIC else "of zero or more"
    expected = f"two numbers {kind}, the lower one first"
    if not isinstance(span, tuple | list) or len(span) != 2:
        remedy = f"One value for all patterns is {name}=(value, value)."
        raise TypeError(given_expected(name, span, expected, remedy))
    low, high = (check_positive(name, v, allow_zero=name not in _LOGARITHMIC) for v in span)
    if high < low:
        raise ValueError(given_expected(name, span, expected))
    limit = {"background": 1.0, "hot_pixels": 1.0}.get(name, math.inf)
    if high >= limit:
        raise ValueError(given_expected(name, span, "shares from 0 to below 1"))


def _capped(span: aug.Range, largest: float) -> aug.Range:
    high = min(span[1], largest)
    return min(span[0], high / 2), high
