"""What all points of a scan share, fitted to a sample: point spread, centre, scale, thickness."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import ResamplingOperator
from pyxem_cnn.indexing.calibration.fit import Reading, fit_geometry
from pyxem_cnn.indexing.refinement.batch import BatchRefiner, Refined
from pyxem_cnn.indexing.refinement.scan import MapArrays
from pyxem_cnn.indexing.refinement.search import PhaseSearch
from pyxem_cnn.rotations import conjugate, multiply
from pyxem_cnn.simulation.kinematic import KinematicSimulator

__all__ = ["fit_shared"]

_logger = logging.getLogger(__name__)

# Patterns of a sample, and how often the point spread is fitted, with orientations refined anew.
_SAMPLE, _ROUNDS = 16, 2
# Point spreads that are tried, as factors of the last one.
_FACTORS = 1.25 ** np.arange(-4, 5)
_NARROWEST = 0.003  # 1/angstrom
_MAX_EXCITATION_ERROR = 0.05
# Patterns that count for the thickness, and by what share its range is widened.
_CERTAIN, _WIDENED = 0.8, 0.15


class _Sample(NamedTuple):
    """Patterns of a scan, with orientations in the detector's frame."""

    patterns: np.ndarray
    given: MapArrays
    shifts: np.ndarray | None


def fit_shared(
    refiner: BatchRefiner,
    data: Any,
    given: MapArrays,
    wanted: np.ndarray,
    shifts: Any,
    everything: bool,
) -> BatchRefiner:
    """Return a refiner with what was fitted to a sample of confident points.

    Parameters
    ----------
    refiner
        To start with.
    data
        Patterns of shape (navigation..., rows, columns), NumPy or dask.
    given
        Orientations of all points.
    wanted
        Points that may be in the sample, shape (points,).
    shifts
        Beam shifts in pixels, shape (navigation..., 2), or None.
    everything
        Whether centre, scale, ellipticity and the range of thicknesses are fitted, or the point
        spread only.

    Raises
    ------
    ValueError
        If the calibration cannot be fitted: of polar patterns, of a beam that wanders, or because
        too few spots are found.
    """
    if everything:
        _check_can_be_fitted(refiner, shifts)
    sample = _read(refiner, data, given, wanted, shifts)
    if not len(sample.patterns):
        return refiner
    refiner = _with_spread(refiner, sample)
    if not everything:
        return refiner
    refiner = _with_geometry(refiner, sample)
    return _with_thickness(_with_spread(refiner, sample), sample)


def _check_can_be_fitted(refiner: BatchRefiner, shifts: Any) -> None:
    if not isinstance(refiner.operator.geometry, DetectorGeometry):
        raise ValueError(
            "refine_calibration: got polar patterns, expected patterns on the detector: their "
            "centre and scale can no longer be corrected. Refine the scan that they were made of."
        )
    if shifts is not None:
        raise ValueError(
            "refine_calibration: got a beam that wanders over the scan (find_center, beam_shift), "
            "expected one centre for all patterns. Leave out refine_calibration."
        )


def _read(
    refiner: BatchRefiner, data: Any, given: MapArrays, wanted: np.ndarray, shifts: Any
) -> _Sample:
    """Read confident patterns from all over the scan."""
    usable = np.flatnonzero(wanted & (given.phase[:, 0] >= 0))
    surest = np.argsort(-given.scores[usable, 0], kind="stable")[: max(_SAMPLE, len(usable) // 2)]
    usable = np.sort(usable[surest])
    chosen = usable[np.linspace(0, len(usable) - 1, min(_SAMPLE, len(usable))).astype(int)]
    places = np.stack(np.unravel_index(chosen, data.shape[:-2]), axis=-1) if data.ndim > 2 else None
    indices = [()] if places is None else [tuple(place) for place in places]
    patterns = [np.asarray(data[i]) for i in indices] if len(chosen) else []
    moved = None if shifts is None else np.stack([np.asarray(shifts[i]) for i in indices])
    own = MapArrays(*(array[chosen] for array in given))
    if refiner.to_scan is not None:
        turned = multiply(own.quaternions, conjugate(refiner.to_scan))
        own = own._replace(quaternions=turned)
    return _Sample(np.array(patterns), own, moved)


def _refined(refiner: BatchRefiner, sample: _Sample) -> Refined:
    return replace(refiner, to_scan=None)(sample.patterns, *sample.given, sample.shifts)


def _with_spread(refiner: BatchRefiner, sample: _Sample) -> BatchRefiner:
    """Return a refiner whose point spread fits best, unless it is given."""
    if refiner.searches[0].settings.spot_sigma is not None:
        return refiner
    for _ in range(_ROUNDS):
        refined = _refined(refiner, sample)
        data = refiner.binned(sample.patterns, sample.shifts)
        sigma = refiner.searches[0].fit.spot_sigma
        tried = np.maximum(sigma * _FACTORS, _NARROWEST)
        total = np.zeros(len(tried))
        for number, search in enumerate(refiner.searches):
            which = np.flatnonzero(refined.phase[:, 0] == number)
            if len(which):
                q, depths = refined.quaternions[which, 0], refined.depth[which, :1]
                for i, one in enumerate(tried):
                    fit = replace(search.fit, spot_sigma=float(one))
                    total[i] += fit.likelihood(data, which, q, depths).sum()
        best = float(tried[total.argmax()])
        refiner = replace(refiner, searches=[s.with_sigma(best) for s in refiner.searches])
        if best == sigma:
            break
    _logger.info("point spread %.4f 1/angstrom", best)
    return refiner


def _with_geometry(refiner: BatchRefiner, sample: _Sample) -> BatchRefiner:
    """Return a refiner with centre, scale and ellipticity fitted to the spots of the sample."""
    grid = refiner.operator.grid

    def at(geometry: DetectorGeometry) -> BatchRefiner:
        return replace(refiner, operator=ResamplingOperator(geometry, grid))

    number = int(np.bincount(sample.given.phase[:, 0]).argmax())

    def read(geometry: DetectorGeometry) -> Reading:
        refined = _refined(at(geometry), sample)
        is_own = refined.phase[:, 0] == number
        confidence = np.where(is_own, np.nan_to_num(refined.score[:, 0]), 0)
        return Reading(refined.quaternions[:, 0], confidence)

    source = refiner.searches[number].fit.source
    simulator = KinematicSimulator(
        source.crystal, source.accelerating_voltage, grid.k_max, _MAX_EXCITATION_ERROR
    )
    fit = fit_geometry(sample.patterns, refiner.operator.geometry, simulator, read)
    if fit is None:
        raise ValueError(
            f"refine_calibration: too few spots stand out in {len(sample.patterns)} patterns, "
            "expected four in each of at least three. Leave out refine_calibration, or give the "
            "geometry."
        )
    _logger.info("fitted %s", fit.geometry)
    return at(fit.geometry)


def _with_thickness(refiner: BatchRefiner, sample: _Sample) -> BatchRefiner:
    """Return a refiner that looks among the thicknesses of the sample only."""
    refined = _refined(refiner, sample)
    searches = []
    for number, search in enumerate(refiner.searches):
        source = search.fit.source
        sure = (refined.phase[:, 0] == number) & (refined.score[:, 0] > _CERTAIN)
        if source.knows_thickness and sure.sum() > 2:
            depths = refined.depth[sure, 0]
            low, high = depths.min() * (1 - _WIDENED), depths.max() * (1 + _WIDENED)
            source = source.between(low, high)
            _logger.info("%s: %.0f to %.0f angstrom", source.crystal.name, *source.depth_limits)
            fit = search.fit
            search = PhaseSearch.of(source, fit.grid, fit.spot_sigma, search.settings)
        searches.append(search)
    return replace(refiner, searches=searches)
