"""Template matching with pyxem as one call, from patterns to a crystal map decoded right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, check_type, given_expected
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.detector.polar import PolarGeometry, ResamplingOperator
from pyxem_cnn.indexing import scan
from pyxem_cnn.indexing.template_blocks import TemplateMatcher, match_scan
from pyxem_cnn.indexing.templates import BinnedTemplates, TemplateSettings, simulate_templates
from pyxem_cnn.maps.templates.decoding import (
    DecodedMatches,
    Templates,
    decode_matches,
    laue_rotations,
)
from pyxem_cnn.maps.templates.orientation_map import matches_to_crystal_map
from pyxem_cnn.phases import CrystalStructure, as_crystal_structure
from pyxem_cnn.rotations import multiply

if TYPE_CHECKING:
    from diffsims.simulations import Simulation2D
    from hyperspy.signal import BaseSignal
    from orix.crystal_map import CrystalMap, Phase
    from pyxem.signals import OrientationMap

__all__ = ["template_matching"]

# Beyond, kinematic spots are too weak to matter, in 1/angstrom.
_LARGEST_RADIUS = 2.0
_VOLTAGE_TOLERANCE = 0.02


def template_matching(
    signal: BaseSignal,
    phase: CrystalStructure | Phase | str | Path | Sequence[Any] | Simulation2D,
    *,
    resolution: float = 2.0,
    n_best: int = 1,
    navigation_mask: np.ndarray | BaseSignal | None = None,
    signal_mask: np.ndarray | BaseSignal | None = None,
    geometry: DetectorGeometry | dict[str, Any] | None = None,
    find_center: bool = False,
    beam_shift: np.ndarray | BaseSignal | None = None,
    settings: TemplateSettings | None = None,
    return_orientation_map: bool = False,
    show_progressbar: bool | None = None,
) -> CrystalMap | tuple[CrystalMap, OrientationMap]:
    """Return the crystal orientation of every pattern by pyxem's template matching.

    Simulates templates with diffsims, resamples patterns to polar coordinates, matches with pyxem's
    ``get_orientation``, all templates at full, and decodes the result as
    :func:`orientation_map_to_crystal_map` does. The scan is read and matched in blocks, so that
    memory does not grow with it, and a lazy scan is never loaded as a whole.

    Parameters
    ----------
    signal
        The scan, or a single pattern, with up to two navigation axes, lazy or not.
    phase
        A crystal structure, the path of a .cif file, an orix phase, or a list of them, which
        compete at every position; or templates, as diffsims' ``calculate_diffraction2d`` makes
        them.
    resolution
        Mean distance of neighbouring templates in degrees. Time grows with its inverse square.
    n_best
        Number of matches to return at every position, best first, one for each template at most:
        they are mostly neighbours of each other.
    navigation_mask
        Scan positions to leave out are True. Shape: that of the scan, (ny, nx).
    signal_mask
        Detector pixels to leave out are True. Shape: that of the detector, (rows, columns).
    geometry
        The detector geometry. By default, it is read from the signal's axes and metadata. A
        dictionary overrides single values of it, as keyword arguments of
        :meth:`pyxem_cnn.DetectorGeometry.from_signal`, for example ``{"beam_energy": 200}`` (kV).
    find_center
        Whether to find the direct beam in the patterns.
    beam_shift
        As in :func:`pyxem_cnn.signals.methods.get_orientation_map_cnn`.
    settings
        How templates are simulated and compared.
    return_orientation_map
        Whether to return pyxem's ``OrientationMap`` as well, in which rows of NaN stand for
        positions that were left out.
    show_progressbar
        Whether to show progress bars. By default, as HyperSpy's preferences say.

    Returns
    -------
    crystal_map
        As of :func:`orientation_map_to_crystal_map`, but with scores between 0 and 1: the cosine
        between pattern and template, patterns being divided by their norm outside the direct
        beam. ``reliability`` looks through the 64 best matches, and is NaN where all of them are
        one answer. Patterns without counts have the phase id -1, left out ones are not in
        the data. ``frame`` is "detector", or "scan" with a `scan_rotation`.
    orientation_map
        With `return_orientation_map`, as a second result.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a mask does not fit, the geometry or the beam energy is missing, the energy differs from
        that of given templates, or there are more than two navigation axes.

    Warns
    -----
    UserWarning
        If patterns that are not left out could not be indexed: empty ones, and those with NaN.

    See Also
    --------
    orientation_map_to_crystal_map : Decodes what pyxem's own chain gives.

    Notes
    -----
    Of pyxem's chain, ``get_azimuthal_integral2d`` is replaced by the operator that the networks
    use, with which centre, scale, ellipticity, mask, flips and transposition of the geometry
    count, and bins are centred on their azimuths. Nothing else is not pyxem's.

    Examples
    --------
    >>> import pyxem_cnn
    >>> crystal_map = pyxem_cnn.template_matching(signal, "si.cif")  # doctest: +SKIP
    """
    settings = TemplateSettings() if settings is None else settings
    check_type("settings", settings, TemplateSettings)
    check_positive("n_best", n_best, integer=True)
    scan.check_signal(signal)
    axes = signal.axes_manager.navigation_axes
    if len(axes) > 2:
        raise ValueError(
            f"signal: got {len(axes)} navigation axes, expected up to 2, as a crystal map has. "
            "Match parts of it: signal.inav[..., i]."
        )
    geometry = scan.resolve_geometry(signal, geometry, signal_mask, find_center)
    geometry, shifts = scan.beam_positions(signal, geometry, find_center, beam_shift)
    left_out = scan.as_navigation_mask(navigation_mask, signal)
    show_progressbar = scan.shows_progress(show_progressbar)
    library = _library(phase, geometry, resolution, settings, show_progressbar)
    matcher = _matcher(library, geometry, settings, n_best)
    rows, certainty = match_scan(matcher, signal.data, left_out, shifts, show_progressbar)
    matches = _in_scan_frame(decode_matches(rows, matcher.templates), geometry)
    unindexed = (matches.phase_ids[:, 0] < 0) & matches.is_in_data
    scan.warn_of_unindexed(unindexed.reshape(signal.data.shape[:-2]))
    frame = "detector" if scan.rotation_to_scan(geometry) is None else "scan"
    crystal_map = matches_to_crystal_map(matches, library.crystals, axes, certainty, frame)
    if not return_orientation_map:
        return crystal_map
    return crystal_map, _as_orientation_map(rows, signal, library.simulation)


@dataclass(frozen=True)
class _Library:
    """Templates and the phases they are of."""

    simulation: Any
    crystals: Sequence[Any]
    radius: float

    def laue_rotations(self) -> list[np.ndarray]:
        """Return the proper rotations of each phase's Laue group."""
        return [
            c.symmetry_quaternions() if isinstance(c, CrystalStructure) else laue_rotations(c)
            for c in self.crystals
        ]


def _matcher(
    library: _Library, geometry: Any, settings: TemplateSettings, n_best: int
) -> TemplateMatcher:
    """Bin the templates and set up the resampling."""
    grid = PolarGrid(settings.n_radial, settings.n_azimuthal, 0.0, library.radius)
    return TemplateMatcher(
        operator=ResamplingOperator(geometry, grid),
        binned=BinnedTemplates(library.simulation, grid, settings.gamma),
        templates=Templates.from_simulation(library.simulation),
        symmetries=library.laue_rotations(),
        gamma=settings.gamma,
        n_best=n_best,
    )


def _library(
    phase: Any, geometry: Any, resolution: float, settings: TemplateSettings, show: bool
) -> _Library:
    """Return the templates, simulated or as given."""
    from diffsims.simulations import Simulation2D

    energy = getattr(geometry, "beam_energy", None)
    radius = settings.reciprocal_radius or min(_radius_on_detector(geometry), _LARGEST_RADIUS)
    if isinstance(phase, Simulation2D):
        from pyxem_cnn.maps.templates.phases import right_phases

        check_voltage(phase.simulation_generator.accelerating_voltage, energy)
        return _Library(phase, right_phases(phase.phases), radius)
    several = isinstance(phase, Sequence) and not isinstance(phase, str)
    if several and not phase:
        raise ValueError(given_expected("phase", phase, "at least one phase"))
    crystals = [as_crystal_structure(one) for one in (phase if several else [phase])]
    if energy is None:
        remedy = "Set signal.beam_energy = 200, or pass geometry={'beam_energy': 200}."
        raise ValueError(given_expected("beam energy", energy, "the voltage in kV", remedy))
    simulation = simulate_templates(crystals, resolution, energy, radius, settings, show)
    return _Library(simulation, crystals, radius)


def check_voltage(of_templates: float, of_signal: float | None) -> None:
    """Raise if templates were simulated for another voltage."""
    if of_signal is not None and abs(of_signal / of_templates - 1) > _VOLTAGE_TOLERANCE:
        raise ValueError(
            f"The signal was taken at {of_signal:g} kV, the templates are for {of_templates:g} kV. "
            "Simulate them again, or, if the signal's metadata are wrong, pass "
            f"geometry={{'beam_energy': {of_templates:g}}}."
        )


def _radius_on_detector(geometry: DetectorGeometry | PolarGeometry) -> float:
    """Return the largest reciprocal radius in 1/angstrom that lies on the detector all around."""
    if isinstance(geometry, PolarGeometry):
        return float(geometry.radial_edges[-1])
    rows, columns = geometry.shape
    x, y = geometry.center
    (left, right), (top, bottom) = (x + 0.5, columns - 0.5 - x), (y + 0.5, rows - 0.5 - y)
    nearest = min(min(left, right) * geometry.scale[0], min(top, bottom) * geometry.scale[1])
    if nearest <= 0:
        expected = "a position on the detector"
        remedy = "Pass settings=TemplateSettings(reciprocal_radius=...) if that is meant."
        raise ValueError(given_expected("center", geometry.center, expected, remedy))
    return float(nearest)


def _in_scan_frame(matches: DecodedMatches, geometry: Any) -> DecodedMatches:
    """Turn orientations from the detector's frame to the scan's, in place."""
    to_scan = scan.rotation_to_scan(geometry)
    if to_scan is not None:
        matches.quaternions[:] = multiply(matches.quaternions, np.array(to_scan))
    return matches


def _as_orientation_map(rows: np.ndarray, signal: Any, simulation: Any) -> OrientationMap:
    """Return matches as pyxem's signal, with the scan's axes."""
    from pyxem.signals import OrientationMap

    result = OrientationMap(rows.reshape(*signal.data.shape[:-2], *rows.shape[1:]))
    own, others = result.axes_manager.navigation_axes, signal.axes_manager.navigation_axes
    for axis, other in zip(own, others, strict=True):
        axis.name, axis.units = other.name, other.units
        axis.scale, axis.offset = other.scale, other.offset
    result.simulation = simulation
    result.column_names = ["index", "correlation", "rotation", "factor"]
    result.units = ["a.u.", "a.u.", "deg", "a.u."]
    return result
