"""Refinement of a crystal map: check the input, run over the scan, put the map together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, check_type, given_expected
from pyxem_cnn.detector.polar import ResamplingOperator
from pyxem_cnn.indexing import scan
from pyxem_cnn.indexing.refinement.batch import BatchRefiner, Refined
from pyxem_cnn.indexing.refinement.phases import (
    as_list,
    grid_for,
    make_sources,
    phase_numbers,
    whole_property,
)
from pyxem_cnn.indexing.refinement.probability import CALIBRATIONS
from pyxem_cnn.indexing.refinement.scan import MapArrays, refine_scan
from pyxem_cnn.indexing.refinement.search import PhaseSearch
from pyxem_cnn.indexing.refinement.settings import RefinementSettings
from pyxem_cnn.maps.building import build_crystal_map, coordinates_of_map
from pyxem_cnn.rotations import normalize

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

    from pyxem_cnn.indexing.refinement.spot_sources import SpotSource

__all__ = ["refine_orientation"]


def refine_orientation(
    signal: Any,
    xmap: CrystalMap,
    model: Any,
    *,
    simulator: str = "bloch",
    rerank: bool = True,
    refine_calibration: bool = False,
    electrons_per_count: float = 1.0,
    navigation_mask: Any = None,
    signal_mask: Any = None,
    geometry: Any = None,
    find_center: bool = False,
    beam_shift: Any = None,
    settings: RefinementSettings | None = None,
    show_progressbar: bool | None = None,
) -> CrystalMap:
    """Return refined orientations; documented at `refine_orientation_cnn`."""
    from orix.crystal_map import CrystalMap

    settings = RefinementSettings() if settings is None else settings
    settings = check_type("settings", settings, RefinementSettings).completed(simulator)
    check_type("xmap", xmap, CrystalMap, "Refine the maps of a list one by one.")
    check_positive("electrons_per_count", electrons_per_count)
    scan.check_signal(signal)
    check_points(xmap, signal)
    geometry = scan.resolve_geometry(signal, geometry, signal_mask, find_center)
    geometry, shifts = scan.beam_positions(signal, geometry, find_center, beam_shift)
    model = as_list(model)
    if not rerank:
        # No twin takes the place of an orientation.
        settings = replace(settings, twins=False)
    grid = grid_for(model)
    sources = make_sources(model, simulator, grid, settings, geometry)
    given = arrays_of(xmap, sources)
    wanted = np.array(xmap.is_in_data)
    left_out = scan.as_navigation_mask(navigation_mask, signal)
    if left_out is not None:
        wanted &= ~left_out.reshape(-1)
    refiner = BatchRefiner(
        ResamplingOperator(geometry, grid),
        [PhaseSearch.of(one, grid, first_sigma(geometry, settings), settings) for one in sources],
        electrons_per_count,
        rerank,
        frame_of(xmap, geometry),
        getattr(xmap, "group", "Laue") == "point",
        CALIBRATIONS[simulator],
    )
    if refine_calibration or settings.spot_sigma is None:
        from pyxem_cnn.indexing.refinement.calibration import fit_shared

        refiner = fit_shared(refiner, signal.data, given, wanted, shifts, refine_calibration)
    show = scan.shows_progress(show_progressbar)
    refined = refine_scan(refiner, signal.data, given, wanted, shifts, show)
    result = as_map(refined, given, xmap, sources, rerank)
    result.geometry = refiner.operator.geometry
    return result


def check_points(xmap: CrystalMap, signal: Any) -> None:
    """Raise unless a map has as many points as a scan.

    Parameters
    ----------
    xmap
        The map.
    signal
        The scan.
    """
    shape = signal.data.shape[:-2]
    if len(shape) > 2:
        given = f"{len(shape)} navigation axes"
        remedy = "Refine parts of it, each with its own map: signal.inav[..., i]."
        raise ValueError(f"signal: got {given}, expected up to 2, as a crystal map has. {remedy}")
    n = int(np.prod(shape))
    if xmap.is_in_data.size != n:
        remedy = (
            "Pass the map of the whole scan. A part of it, xmap[2:5], still knows where it lies, a "
            "map that was saved or copied from a part does not: refine signal.inav[...] with it."
        )
        expected = f"the {n} of the scan of shape {tuple(shape)}"
        raise ValueError(given_expected("points of xmap", xmap.is_in_data.size, expected, remedy))
    known = xmap._original_shape if hasattr(xmap, "_original_shape") else shape
    if len(known) == len(shape) == 2 and tuple(known) != tuple(shape):
        expected = f"that of the scan, {tuple(shape)}"
        raise ValueError(given_expected("shape of xmap", tuple(known), expected))


def frame_of(xmap: CrystalMap, geometry: Any) -> np.ndarray | None:
    """Return the quaternion from the detector's frame to the map's, None where they are one.

    Parameters
    ----------
    xmap
        With the attribute `frame`, if it comes from this package.
    geometry
        Of the patterns.

    Raises
    ------
    ValueError
        If that is not known.
    """
    to_scan = scan.rotation_to_scan(geometry)
    frame = getattr(xmap, "frame", None)
    if frame == "detector" or (frame is None and to_scan is None):
        return None
    if frame is None:
        raise ValueError(
            "The map does not say in which frame its rotations are, and detector and scan are "
            "turned against each other. Set xmap.frame = 'scan' or 'detector'."
        )
    if to_scan is None:
        raise ValueError(
            "The map's rotations are in the scan's frame, but the geometry has no scan_rotation. "
            "Pass the one with which it was mapped: geometry={'scan_rotation': ...} (degrees)."
        )
    return np.asarray(to_scan)


def first_sigma(geometry: Any, settings: RefinementSettings) -> float:
    """Return the point spread in 1/angstrom as given, or one to start with: a pixel.

    Parameters
    ----------
    geometry
        Of the patterns.
    settings
        That may give it.
    """
    if settings.spot_sigma is not None:
        return settings.spot_sigma
    area = getattr(geometry, "pixel_area", None)
    return 0.02 if area is None else float(np.clip(np.sqrt(area), 0.01, 0.03))


def arrays_of(xmap: CrystalMap, sources: list[SpotSource]) -> MapArrays:
    """Return the orientations of all points of a map.

    Parameters
    ----------
    xmap
        The map.
    sources
        One for each phase.
    """
    data = np.asarray(xmap._rotations.data, dtype=np.float64)
    n = len(data)
    quaternions = data.reshape(n, -1, 4)
    phase = phase_numbers(xmap, sources, quaternions.shape[1])
    scores = np.ones(phase.shape)
    if "scores" in xmap.prop:
        scores = whole_property(xmap, "scores").astype(float).reshape(n, -1)
    scores = np.nan_to_num(scores[:, : phase.shape[1]])
    return MapArrays(normalize(quaternions), phase, np.clip(scores, 0, None))


def as_map(
    refined: Refined, given: MapArrays, xmap: CrystalMap, sources: list[SpotSource], rerank: bool
) -> CrystalMap:
    """Return a map with what was refined, and what was given where nothing was.

    Parameters
    ----------
    refined, given
        Orientations of all points.
    xmap
        The map that was given.
    sources
        One for each phase.
    rerank
        Whether ranks changed.
    """
    # A point is refined as a whole, or stays as it was.
    is_refined = (refined.phase >= 0).any(1) if rerank else refined.phase >= 0
    is_refined = np.broadcast_to(is_refined.reshape(len(is_refined), -1), refined.phase.shape)
    quaternions = np.where(is_refined[..., None], refined.quaternions, given.quaternions)
    phase = np.where(is_refined, refined.phase, given.phase)
    quaternions[phase < 0] = np.nan
    places = np.arange(phase.shape[1])
    origin = np.where(is_refined, refined.origin, np.where(phase >= 0, places, -1))
    thick = [one.knows_thickness for one in sources]
    knows = np.where(phase >= 0, np.array(thick)[np.maximum(phase, 0)], False)
    changed = {
        "scores": _from_origin(given.scores, origin),
        "refined_score": refined.score,
        "log_likelihood": refined.likelihood,
        "thickness": np.where(knows, refined.depth, np.nan),
        "moved": refined.moved,
        "origin": origin,
        "electrons": refined.electrons,
    }
    if len(sources) > 1:
        changed["phase_ids"] = phase
    kept = {
        name: _from_origin(whole_property(xmap, name), origin)
        for name in xmap.prop
        if name not in changed
    }
    return build_crystal_map(
        quaternions,
        phase,
        [source.crystal for source in sources],
        coordinates=coordinates_of_map(xmap),
        prop=kept | changed,
        is_in_data=np.array(xmap.is_in_data),
        frame=getattr(xmap, "frame", "detector"),
        group=getattr(xmap, "group", "Laue"),
    )


def _from_origin(values: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return what orientations (points, n_best) take over from their origins, NaN for none.

    What is not known of every orientation, or is no number that may be NaN, stays as it is.
    """
    if values.shape != origin.shape or values.dtype.kind != "f":
        return values
    taken = np.take_along_axis(values, np.maximum(origin, 0), 1)
    return np.where(origin >= 0, taken, np.nan)
