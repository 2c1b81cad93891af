"""Template libraries for pyxem's matching: simulated with diffsims, binned on a polar grid."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, given_expected
from pyxem_cnn.rotations import with_zone_axis
from pyxem_cnn.simulation.sampling import zone_axis_grid

if TYPE_CHECKING:
    from diffsims.simulations import Simulation2D

    from pyxem_cnn.detector.grids import PolarGrid
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["BinnedTemplates", "TemplateSettings", "simulate_templates"]


@dataclass(frozen=True)
class TemplateSettings:
    r"""How templates are simulated and patterns are compared with them.

    The defaults are those that found most orientations of kinematic patterns of silicon and LiNiO2
    with templates 2 degrees apart; what each of them is worth stands in the user guide.

    Parameters
    ----------
    n_radial, n_azimuthal
        Bins of the polar patterns. A radial bin should be about as wide as a spot, an azimuthal
        one as the grid of templates.
    gamma
        Exponent of the intensities, of patterns and templates alike. 1 lets the few strongest spots
        decide, and small exponents let noise in.
    reciprocal_radius
        Largest reciprocal radius in 1/angstrom; by default, the largest that lies on the detector
        all around, and at most 2.
    max_excitation_error
        Reflections further from the Ewald sphere are left out, 1/angstrom.
    shape_factor_width
        Width of the Lorentzian with which intensities fall off from the sphere, 1/angstrom; a
        third of `max_excitation_error` by default. Half way between templates 2 degrees apart, a
        spot at 1 1/angstrom is 0.017 1/angstrom further from the sphere than in either of them.
    precession_angle
        Of the beam in degrees.
    """

    n_radial: int = 64
    n_azimuthal: int = 180
    gamma: float = 0.3
    reciprocal_radius: float | None = None
    max_excitation_error: float = 0.06
    shape_factor_width: float | None = None
    precession_angle: float = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        for name in ("n_radial", "n_azimuthal"):
            check_positive(name, getattr(self, name), integer=True)
        if self.n_azimuthal % 2:
            expected = "an even number, so that a bin begins opposite to the first"
            raise ValueError(given_expected("n_azimuthal", self.n_azimuthal, expected))
        for name in ("gamma", "max_excitation_error"):
            check_positive(name, getattr(self, name))
        for name in ("reciprocal_radius", "shape_factor_width"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        check_positive("precession_angle", self.precession_angle, allow_zero=True)

    @property
    def width(self) -> float:
        """Width of the shape factor in 1/angstrom."""
        width = self.shape_factor_width
        return self.max_excitation_error / 3 if width is None else width


# What relrods take of the excitation error: 1 / thickness of 50 angstrom.
_RELROD = 0.02


def _warn_if_too_coarse(resolution: float, settings: TemplateSettings) -> None:
    """Warn if patterns between two templates have spots that neither of them has."""
    shift = np.deg2rad(resolution / 2)  # of a spot at 1 1/angstrom, along the beam
    if shift + _RELROD <= settings.max_excitation_error:
        return
    wanted = f"{shift + _RELROD:.2g}"
    expected = (
        f"templates so near that {wanted} 1/angstrom, by which spots between two of them leave the "
        f"Ewald sphere, stay below max_excitation_error={settings.max_excitation_error:g}"
    )
    remedy = (
        "Many orientations will be wrong. Choose a smaller resolution, or pass "
        f"settings=TemplateSettings(max_excitation_error={wanted})."
    )
    warnings.warn(
        given_expected("resolution", resolution, expected, remedy), UserWarning, stacklevel=5
    )


def simulate_templates(
    crystals: Sequence[CrystalStructure],
    resolution: float,
    accelerating_voltage: float,
    reciprocal_radius: float,
    settings: TemplateSettings,
    show_progressbar: bool = False,
) -> Simulation2D:
    """Simulate templates with diffsims, one for each zone axis of the fundamental sector.

    The sector is that of the Laue group with its mirrors: pyxem tries every in-plane rotation of a
    template and of its mirror image, which reaches the opposite zone axis. It is computed from the
    operations of each crystal in its own setting, which orix's sectors are not for monoclinic
    and some other groups.

    Parameters
    ----------
    crystals
        The phases.
    resolution
        Mean distance of neighbouring zone axes in degrees.
    accelerating_voltage
        In kV.
    reciprocal_radius
        Largest reciprocal radius in 1/angstrom.
    settings
        Excitation errors and precession.
    show_progressbar
        Whether to show a bar for each phase.

    Returns
    -------
    simulation
        With the phases in their order, and templates turned from z by the shortest way.
    """
    from diffsims.generators.simulation_generator import SimulationGenerator
    from orix.quaternion import Rotation

    check_positive("resolution", resolution, remedy="It is in degrees.")
    _warn_if_too_coarse(resolution, settings)
    grids = [zone_axis_grid(c.laue_group_matrices(), spacing=resolution) for c in crystals]
    # diffsims keeps a single template in another form than many.
    grids = [grid if len(grid) > 1 else np.repeat(grid, 2, axis=0) for grid in grids]
    generator = SimulationGenerator(
        accelerating_voltage, precession_angle=settings.precession_angle
    )
    phases, rotations = (
        [c.to_phase() for c in crystals],
        [Rotation(with_zone_axis(g)) for g in grids],
    )
    several = len(crystals) > 1
    return generator.calculate_diffraction2d(
        phases if several else phases[0],
        rotations if several else rotations[0],
        reciprocal_radius=reciprocal_radius,
        max_excitation_error=settings.max_excitation_error,
        shape_factor_width=settings.width,
        with_direct_beam=False,
        show_progressbar=show_progressbar,
    )


class BinnedTemplates:
    """A simulation, binned once on a polar grid, in the form that pyxem's ``get_orientation`` asks.

    pyxem bins templates anew for every signal, on lower edges, loses the spots that lie about
    180 degrees, and stops reading a template at a spot in the innermost ring. Here spots go to the
    bins that hold them, once for all blocks of a scan.

    Parameters
    ----------
    simulation
        Of one phase or several.
    grid
        Of the patterns, azimuths from 0.
    gamma
        Exponent of the intensities.

    Raises
    ------
    ValueError
        If a template has no spot on the grid.
    """

    def __init__(self, simulation: Simulation2D, grid: PolarGrid, gamma: float) -> None:
        vectors = _vectors(simulation)
        spots = [_binned(np.asarray(v.data), np.asarray(v.intensity), grid) for v in vectors]
        empty = sum(len(intensity) == 0 for *_, intensity in spots)
        if empty:
            raise ValueError(
                f"{empty} of {len(spots)} templates have no spot within {grid.k_max:g} 1/angstrom, "
                "expected one at least. Use a larger reciprocal_radius or max_excitation_error in "
                "TemplateSettings, and check the scale of the patterns."
            )
        shape = (len(spots), max(len(intensity) for *_, intensity in spots))
        self.ring, self.wedge = np.zeros(shape, dtype=int), np.zeros(shape, dtype=int)
        self.intensity = np.zeros(shape)
        for i, (ring, wedge, intensity) in enumerate(spots):
            n = len(ring)
            self.ring[i, :n], self.wedge[i, :n], self.intensity[i, :n] = ring, wedge, intensity
        self.intensity **= gamma

    @property
    def innermost(self) -> int:
        """Index of the innermost ring with a spot of any template."""
        return int(self.ring[self.intensity > 0].min())

    def polar_flatten_simulations(
        self, radial_axes: Any = None, azimuthal_axes: Any = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return indices of rings and wedges and intensities, padded to one length.

        Parameters
        ----------
        radial_axes, azimuthal_axes
            Not used: the bins are known.
        """
        return self.ring, self.wedge, self.intensity


def _vectors(simulation: Any) -> list[Any]:
    """Return the spots of each template, all phases in a row."""
    coordinates = simulation.coordinates
    if simulation.has_multiple_phases:
        return [v for phase in coordinates for v in (phase if _is_list(phase) else [phase])]
    return list(coordinates) if _is_list(coordinates) else [coordinates]


def _is_list(coordinates: Any) -> bool:
    """Return whether these are the spots of several templates, not of one."""
    return not hasattr(coordinates, "intensity")


def _binned(
    xyz: np.ndarray, intensity: np.ndarray, grid: PolarGrid
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ring, wedge (from -180 degrees) and intensity of the spots on a grid."""
    bins = grid.find_bins(xyz[:, 0], xyz[:, 1])
    ring, wedge = np.divmod(bins, grid.n_azimuthal)
    # Ring 0 ends a template for pyxem; there the direct beam is.
    on_grid = (bins >= 0) & (ring > 0) & (intensity > 0)
    wedge = (wedge + grid.n_azimuthal // 2) % grid.n_azimuthal
    return ring[on_grid], wedge[on_grid], intensity[on_grid]
