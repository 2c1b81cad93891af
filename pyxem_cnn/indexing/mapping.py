"""Map models over a signal: check the input, set up the lazy computation, run it."""

from __future__ import annotations

import inspect
import logging
import uuid
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_type, given_expected
from pyxem_cnn._torch import limit_threads, resolve_device
from pyxem_cnn.detector.geometry import DetectorGeometry, find_center, shifts_from_beam_shift
from pyxem_cnn.detector.polar import PolarGeometry, ResamplingOperator
from pyxem_cnn.indexing.block import COLUMNS, NOT_INDEXED, BlockPredictor
from pyxem_cnn.indexing.pattern_frame import PatternFrame
from pyxem_cnn.model import OrientationModel, load_model

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["get_orientation_map"]

_logger = logging.getLogger(__name__)

# Raw bytes of the patterns that one task reads at most.
_BLOCK_BYTES = 64 * 2**20
_CPU_BATCH, _GPU_BATCH = 128, 2048
# Voltages that differ by less are the same setting of a microscope.
_VOLTAGE_TOLERANCE = 0.02


def get_orientation_map(
    signal: Any,
    model: Any,
    *,
    n_best: int = 1,
    navigation_mask: Any = None,
    signal_mask: Any = None,
    geometry: DetectorGeometry | PolarGeometry | dict[str, Any] | None = None,
    find_center: bool = False,
    beam_shift: Any = None,
    device: Any = "auto",
    batch_size: int | None = None,
    lazy_output: bool = False,
    show_progressbar: bool | None = None,
) -> Any:
    """Return orientations of all patterns; documented at `get_orientation_map_cnn`."""
    _check_signal(signal)
    models = _as_models(model)
    check_positive("n_best", n_best, integer=True)
    geometry = _resolve_geometry(signal, geometry, signal_mask, find_center)
    for one in models:
        _check_voltage(one, geometry)
    geometry, shifts = _beam_positions(signal, geometry, find_center, beam_shift)
    device = resolve_device(device)
    predictor = BlockPredictor(
        models=models,
        operators=tuple(ResamplingOperator(geometry, one.grid) for one in models),
        n_best=n_best,
        batch_size=_batch_size(batch_size, device),
        device=str(device),
        to_scan=_to_scan(geometry),
    )
    left_out = _navigation_mask(navigation_mask, signal)
    predictions = _lazy_predictions(predictor, signal.data, left_out, shifts)
    prediction = _as_prediction(predictions, signal, models, geometry, shifts)
    if lazy_output:
        return prediction
    _compute(prediction, show_progressbar)
    _report_unindexed(prediction.data)
    return prediction.to_crystal_map()


def _check_signal(signal: Any) -> None:
    """Raise unless this is a signal of patterns."""
    axes = getattr(signal, "axes_manager", None)
    if axes is None:
        expected = "a pyxem diffraction signal"
        remedy = "Make one with pyxem.signals.ElectronDiffraction2D(array) and calibrate it."
        raise TypeError(given_expected("signal", signal, expected, remedy))
    if axes.signal_dimension != 2:
        expected = "2 signal dimensions, the rows and columns of a detector"
        given = f"{axes.signal_dimension} signal dimensions"
        remedy = "Swap the axes with s.transpose(signal_axes=2), or load the patterns as 2D."
        raise ValueError(f"signal: got {given}, expected {expected}. {remedy}")
    if axes.navigation_dimension > 3:
        remedy = "Map parts of it with s.inav[...]."
        given = f"{axes.navigation_dimension} navigation dimensions"
        raise ValueError(f"signal: got {given}, expected 0 to 3. {remedy}")
    if axes.navigation_dimension and 0 in axes.navigation_shape:
        raise ValueError(
            f"signal: got an empty scan of shape {axes.navigation_shape}, expected at least one "
            "pattern. Check how the signal was sliced."
        )
    if signal.data.dtype.kind not in "buif":
        expected = "integer or float counts"
        raise TypeError(given_expected("dtype of the patterns", str(signal.data.dtype), expected))


def _as_models(model: Any) -> tuple[OrientationModel, ...]:
    """Return one or several models, loading those given by name."""
    several = isinstance(model, Sequence) and not isinstance(model, str)
    models = list(model) if several else [model]
    if not models:
        raise ValueError(given_expected("model", model, "at least one model"))
    loaded = [one if isinstance(one, OrientationModel) else load_model(one) for one in models]
    groups = {one.polarity for one in loaded}
    if len(groups) > 1:
        raise ValueError(
            "Given: models of which some tell polarity and some do not. Expected: models of one "
            "kind, since orientations count modulo different groups. Map them one by one."
        )
    return tuple(loaded)


def _resolve_geometry(
    signal: Any, geometry: Any, signal_mask: Any, find: bool
) -> DetectorGeometry | PolarGeometry:
    """Return the geometry with the detector mask in it."""
    from dataclasses import replace

    check_type("geometry", geometry, (DetectorGeometry, PolarGeometry, dict, type(None)))
    is_polar = getattr(signal, "_signal_type", "") == "polar_diffraction"
    if geometry is None or isinstance(geometry, dict):
        options = dict(geometry or {})
        _check_options(options, PolarGeometry if is_polar else DetectorGeometry)
        if is_polar:
            geometry = _polar_geometry(signal, options)
        else:
            if find:  # the centre is found later; any one will do until then
                columns, rows = signal.axes_manager.signal_shape
                options.setdefault("center", ((columns - 1) / 2, (rows - 1) / 2))
            geometry = DetectorGeometry.from_signal(signal, **options)
    shape = signal.axes_manager.signal_shape[::-1]
    if tuple(geometry.shape) != tuple(shape):
        remedy = "Use DetectorGeometry.from_signal(signal)."
        raise ValueError(
            given_expected("geometry.shape", geometry.shape, f"the signal's {shape}", remedy)
        )
    if signal_mask is None:
        return geometry
    mask = _boolean_mask("signal_mask", signal_mask, shape, "the detector, (rows, columns)")
    return replace(geometry, mask=mask if geometry.mask is None else mask | geometry.mask)


def _check_options(options: dict[str, Any], kind: type) -> None:
    """Raise if a key is no argument of ``from_signal``."""
    known = [name for name in inspect.signature(kind.from_signal).parameters if name != "signal"]
    for key in options:
        check_choice("key of geometry", key, known)


def _polar_geometry(signal: Any, options: dict[str, Any]) -> PolarGeometry:
    """Read the geometry of polar patterns, which do not say whether they hold means or sums."""
    if "mean" not in options:
        warnings.warn(
            "The polar patterns are taken as means per pixel, as from "
            "get_azimuthal_integral2d(..., mean=True). Pass geometry={'mean': True} to confirm, "
            "or {'mean': False, 'pixel_scale': ...}, 1/angstrom per pixel, for sums.",
            UserWarning,
            stacklevel=5,
        )
    return PolarGeometry.from_signal(signal, **({"mean": True} | options))


def _boolean_mask(name: str, mask: Any, shape: tuple[int, ...], whose: str) -> np.ndarray:
    """Return a mask as a boolean array of the right shape."""
    array = np.asarray(getattr(mask, "data", mask) if hasattr(mask, "axes_manager") else mask)
    if array.dtype != bool:
        expected = "booleans, True = leave out"
        raise TypeError(given_expected(name, array, expected, f"Use {name} > 0 or similar."))
    if array.shape != tuple(shape):
        remedy = "Transpose or crop the mask."
        expected = f"the shape {tuple(shape)} of {whose}"
        raise ValueError(given_expected(name, array, expected, remedy))
    return array


def _check_voltage(model: OrientationModel, geometry: DetectorGeometry | PolarGeometry) -> None:
    """Raise if the pattern was taken at another voltage than the model learnt."""
    energy = getattr(geometry, "beam_energy", None)
    if energy is None:
        _logger.info(
            "the signal has no beam energy; the model's %g kV are taken", model.accelerating_voltage
        )
    elif abs(energy / model.accelerating_voltage - 1) > _VOLTAGE_TOLERANCE:
        raise ValueError(
            f"The signal was taken at {energy:g} kV, the model {model.name!r} learnt patterns at "
            f"{model.accelerating_voltage:g} kV. Train a model for {energy:g} kV, or, if the "
            "signal's metadata are wrong, correct them: s.beam_energy = "
            f"{model.accelerating_voltage:g}, or geometry={{'beam_energy': ...}}."
        )


def _beam_positions(
    signal: Any, geometry: Any, find: bool, beam_shift: Any
) -> tuple[DetectorGeometry | PolarGeometry, Any]:
    """Return the geometry with the right centre, and shifts (navigation..., 2) or None."""
    if not find and beam_shift is None:
        return geometry, None
    if isinstance(geometry, PolarGeometry):
        raise ValueError(
            "Given: find_center or beam_shift with polar patterns. Expected: patterns on the "
            "detector. Centre the patterns before they are made polar."
        )
    if find and beam_shift is not None:
        raise ValueError(
            "Given: both find_center=True and beam_shift. Expected: one of them. Leave out "
            "find_center to use the given shifts."
        )
    if find:
        found = find_center(signal)
        _logger.info("direct beam found at x = %.2f, y = %.2f pixels", *found.center)
        return geometry.with_center(found.center), found.shifts
    shifts = shifts_from_beam_shift(beam_shift, geometry)
    expected = (*signal.data.shape[:-2], 2)
    if tuple(shifts.shape) != expected:
        if shifts.size != 2:
            remedy = "Pass one (x, y) for the scan or one for every pattern."
            raise ValueError(
                given_expected("shape of beam_shift", shifts.shape, str(expected), remedy)
            )
        shifts = np.broadcast_to(np.asarray(shifts).reshape(2), expected)
    return geometry, shifts


def _to_scan(geometry: Any) -> tuple[float, ...] | None:
    """Return the quaternion into the scan's frame, None where both frames are one."""
    if getattr(geometry, "scan_rotation", 0.0) == 0:
        return None
    return tuple(float(part) for part in geometry.rotation_to_scan())


def _batch_size(batch_size: int | None, device: Any) -> int:
    if batch_size is None:
        return _CPU_BATCH if device.type == "cpu" else _GPU_BATCH
    return int(check_positive("batch_size", batch_size, integer=True))


def _navigation_mask(mask: Any, signal: Any) -> np.ndarray | None:
    if mask is None:
        return None
    shape = signal.data.shape[:-2]
    return _boolean_mask("navigation_mask", mask, shape, "the scan, (rows, columns)")


def _lazy_predictions(
    predictor: BlockPredictor, data: Any, left_out: np.ndarray | None, shifts: Any
) -> da.Array:
    """Return predictions (navigation..., n_best, 8) as a dask array; nothing is computed."""
    import dask.array as da

    patterns = _in_blocks(data)
    n = patterns.ndim - 2
    navigation = tuple(range(n))
    # (n_best, columns) are new axes; the detector's are summed up by the predictor.
    rank, column, row, pixel, xy = range(n, n + 5)
    arguments: list[Any] = [patterns, (*navigation, row, pixel)]
    chunks = patterns.chunks[:-2]
    for values, axes in ((left_out, ()), (shifts, (xy,))):
        if values is None:
            arguments += [None, None]
            continue
        arguments += [_chunked_like(values, chunks), (*navigation, *axes)]
    return da.blockwise(
        predictor,
        (*navigation, rank, column),
        *arguments,
        new_axes={rank: predictor.n_best, column: len(COLUMNS)},
        concatenate=True,
        dtype=np.float32,
        meta=np.empty((0,) * (n + 2), dtype=np.float32),
        name=f"orientations-{uuid.uuid4().hex}",
    )


def _chunked_like(values: Any, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
    """Return an array (navigation..., others) as dask array with the scan's chunks."""
    import dask.array as da

    whole = tuple(values.shape[len(chunks) :])
    if isinstance(values, da.Array):
        return values.rechunk((*chunks, *whole))
    return da.from_array(np.ascontiguousarray(values), chunks=(*chunks, *whole), name=False)


def _in_blocks(data: Any) -> da.Array:
    """Return patterns as dask array: whole detectors, blocks of bounded size.

    Chunks of a lazy scan stay as they are on disk, unless they cut the detector or are large.
    """
    import dask.array as da

    pattern_bytes = int(np.prod(data.shape[-2:])) * data.dtype.itemsize
    patterns_at_once = max(1, _BLOCK_BYTES // pattern_bytes)
    whole = {data.ndim - 2: -1, data.ndim - 1: -1}
    if not isinstance(data, da.Array):
        # A random name: hashing the data would take as long as mapping it.
        chunks = (*_blocks_of(data.shape[:-2], patterns_at_once), -1, -1)
        return da.from_array(data, chunks=chunks, asarray=False, name=False)
    if any(len(chunks) > 1 for chunks in data.chunks[-2:]):
        _logger.warning(
            "the scan's chunks %s cut the detector: every pattern is put together from several "
            "chunks, which is slow. Save the scan with whole patterns in each chunk.",
            data.chunksize,
        )
        data = data.rechunk(whole)
    largest = data.chunksize[:-2]
    if np.prod(largest, dtype=np.int64) > patterns_at_once:
        data = data.rechunk((*_blocks_of(largest, patterns_at_once), -1, -1))
    return data


def _blocks_of(shape: tuple[int, ...], n: int) -> tuple[int, ...]:
    """Return the shape of blocks of at most ``n`` positions, whole along the fastest axes."""
    block = []
    for size in reversed(shape):
        block.append(max(1, min(size, n)))
        n //= block[-1]
    return tuple(reversed(block))


def _as_prediction(
    predictions: da.Array,
    signal: Any,
    models: tuple[OrientationModel, ...],
    geometry: Any,
    shifts: Any,
) -> Any:
    """Return the lazy signal with the scan's axes and with what the numbers mean."""
    from hyperspy.signals import LazySignal2D

    prediction = LazySignal2D(predictions)
    prediction.set_signal_type("orientation_prediction")
    own = prediction.axes_manager.navigation_axes
    for axis, other in zip(own, signal.axes_manager.navigation_axes, strict=True):
        axis.name, axis.units = other.name, other.units
        if not other.is_uniform:
            _logger.warning("the axis %s has no even step: positions are counted", other.name)
            axis.units = "px"
            continue
        axis.scale, axis.offset = other.scale, other.offset
    prediction.metadata.General.title = signal.metadata.get_item("General.title", "")
    prediction.metadata.add_dictionary(
        {
            "OrientationPrediction": {
                "columns": list(COLUMNS),
                "phases": [model.crystal.to_dict() for model in models],
                "models": [_model_info(model) for model in models],
                "frame": "detector" if _to_scan(geometry) is None else "scan",
                "group": "point" if models[0].polarity else "Laue",
                "pattern_frame": PatternFrame.from_signal(signal, geometry).to_json(),
            }
        }
    )
    if shifts is not None:
        prediction.beam_shifts = shifts
    return prediction


def _model_info(model: OrientationModel) -> dict[str, Any]:
    """Return what a prediction keeps of a model: which one, and what its spots depend on."""
    return {
        "name": model.name,
        "sha256": model.sha256,
        "accelerating_voltage": model.accelerating_voltage,
        "reciprocal_radius": model.grid.largest_radius,
    }


def _compute(prediction: Any, show_progressbar: bool | None) -> None:
    """Compute a lazy prediction in place, torch on one thread for each of dask's."""
    from dask.diagnostics import ProgressBar

    if show_progressbar is None:
        from hyperspy.api import preferences

        show_progressbar = preferences.General.show_progressbar
    with ProgressBar() if show_progressbar else nullcontext(), limit_threads(1):
        prediction.compute(show_progressbar=False)


def _report_unindexed(data: np.ndarray) -> None:
    """Warn about patterns that no model could read."""
    bad = data[..., 0, 0] == NOT_INDEXED
    if not np.any(bad):
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0]) if np.ndim(bad) else ()
    warnings.warn(
        f"{int(np.sum(bad))} of {bad.size} patterns are not indexed, the first at {first}: they "
        "hold no counts above zero, or NaN or infinite ones. They have the phase id -1 in the map.",
        UserWarning,
        stacklevel=4,
    )
