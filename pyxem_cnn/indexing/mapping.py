"""Map models over a signal: check the input, set up the lazy computation, run it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_share, given_expected
from pyxem_cnn._torch import limit_threads
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import PolarGeometry, ResamplingOperator
from pyxem_cnn.indexing.block import COLUMNS, NOT_INDEXED, BlockPredictor
from pyxem_cnn.indexing.devices import check_device
from pyxem_cnn.indexing.pattern_frame import PatternFrame
from pyxem_cnn.indexing.scan import (
    as_navigation_mask,
    beam_positions,
    check_signal,
    chunked_like,
    in_blocks,
    resolve_geometry,
    rotation_to_scan,
    shows_progress,
    warn_of_unindexed,
)
from pyxem_cnn.indexing.unreadable import skipping_told, without_unreadable
from pyxem_cnn.model import OrientationModel, load_model

if TYPE_CHECKING:
    import dask.array as da

    from pyxem_cnn.indexing.store.target import StoreTarget

__all__ = [
    "as_models",
    "check_voltage",
    "get_orientation_map",
    "what_numbers_mean",
]

_logger = logging.getLogger(__name__)

# Voltages that differ by less are the same setting of a microscope.
_VOLTAGE_TOLERANCE = 0.02


def get_orientation_map(
    signal: Any,
    model: Any,
    *,
    n_best: int = 1,
    minimum_score: float = 0.0,
    navigation_mask: Any = None,
    signal_mask: Any = None,
    geometry: DetectorGeometry | PolarGeometry | dict[str, Any] | None = None,
    find_center: bool = False,
    beam_shift: Any = None,
    device: Any = "auto",
    batch_size: int | None = None,
    on_read_error: str = "raise",
    lazy_output: bool = False,
    store: Any = None,
    resume: bool | None = None,
    show_progressbar: bool | None = None,
) -> Any:
    """Return orientations of all patterns; documented at `get_orientation_map_cnn`."""
    store = _check_store(store, resume)
    check_signal(signal)
    check_choice("on_read_error", on_read_error, ("raise", "skip"))
    readable = without_unreadable(signal) if on_read_error == "skip" else signal
    models = as_models(model)
    check_positive("n_best", n_best, integer=True)
    check_share("minimum_score", minimum_score)
    geometry = resolve_geometry(signal, geometry, signal_mask, find_center)
    for one in models:
        check_voltage(one, geometry)
    geometry, shifts = beam_positions(readable, geometry, find_center, beam_shift)
    if batch_size is not None:
        check_positive("batch_size", batch_size, integer=True)
    predictor = BlockPredictor(
        models=models,
        operators=tuple(ResamplingOperator(geometry, one.grid) for one in models),
        n_best=n_best,
        batch_size=batch_size,
        device=check_device(device),
        to_scan=rotation_to_scan(geometry),
    )
    left_out = as_navigation_mask(navigation_mask, signal)
    patterns = in_blocks(readable.data)
    if store is not None:
        target = _store_target(
            *(store, resume, signal, predictor, left_out, shifts), find_center=find_center
        )
        patterns = target.in_its_blocks(patterns)
    predictions = _lazy_predictions(predictor, patterns, left_out, shifts)
    prediction = _as_prediction(predictions, signal, models, geometry, shifts)
    show_progressbar = shows_progress(show_progressbar)
    with skipping_told(on_read_error):
        if store is not None:
            with limit_threads(1):
                prediction = target.fill(prediction, show_progressbar)
        if lazy_output:
            return prediction
        _compute(prediction, show_progressbar and store is None)
    warn_of_unindexed(prediction.data[..., 0, 0] == NOT_INDEXED, stacklevel=4)
    return prediction.to_crystal_map(minimum_score)


def as_models(model: Any) -> tuple[OrientationModel, ...]:
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


def check_voltage(model: OrientationModel, geometry: DetectorGeometry | PolarGeometry) -> None:
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


def _check_store(store: Any, resume: bool | None) -> Any:
    """Return the path of a store, after checks that cost nothing, None if none is wanted."""
    from pyxem_cnn.indexing.store.target import check_store

    return check_store(store, resume)


def _store_target(
    store: Any,
    resume: bool | None,
    signal: Any,
    predictor: BlockPredictor,
    left_out: np.ndarray | None,
    shifts: Any,
    *,
    find_center: bool,
) -> StoreTarget:
    """Return the store to write to, after a check that it is of this task."""
    from pyxem_cnn.indexing.store.target import StoreTarget
    from pyxem_cnn.indexing.store.task import describe_circumstances, describe_task

    task = describe_task(
        signal,
        predictor,
        left_out=left_out,
        shifts=shifts,
        find_center=find_center,
    )
    return StoreTarget.find(store, resume, task, describe_circumstances(predictor))


def _lazy_predictions(
    predictor: BlockPredictor, patterns: da.Array, left_out: np.ndarray | None, shifts: Any
) -> da.Array:
    """Return predictions (navigation..., n_best, n_columns) as dask array; nothing is computed."""
    import dask
    import dask.array as da

    n = patterns.ndim - 2
    # A block's rows and columns become n_best and columns of a prediction: axes that are kept let
    # dask read a block and predict it in one task, instead of sending patterns between workers.
    *navigation, row, pixel = range(n + 2)
    arguments: list[Any] = [patterns, (*navigation, row, pixel)]
    for values, axes in ((left_out, ()), (shifts, (row,))):
        lazy = None if values is None else chunked_like(values, patterns.chunks[:-2])
        arguments += [lazy, None if lazy is None else (*navigation, *axes)]
    name = f"orientations-{uuid.uuid4().hex}"
    # One key of the graph: models and operators travel once to every worker, not with every task.
    shared = dask.delayed(predictor, name=f"predictor-{name}", traverse=False)
    return da.blockwise(
        _predict_block,
        (*navigation, row, pixel),
        *(shared, None),
        *arguments,
        adjust_chunks={row: predictor.n_best, pixel: len(COLUMNS)},
        align_arrays=False,  # they are, and the two numbers of a shift are no rows
        dtype=np.float32,
        meta=np.empty((0,) * (n + 2), dtype=np.float32),
        name=name,
    )


def _predict_block(predictor: BlockPredictor, *arguments: Any) -> np.ndarray:
    """Return the predictions of a block."""
    return predictor(*arguments)


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
    pattern_frame = {"pattern_frame": PatternFrame.from_signal(signal, geometry).to_json()}
    prediction.metadata.add_dictionary(
        {"OrientationPrediction": what_numbers_mean(models, geometry) | pattern_frame}
    )
    if shifts is not None:
        prediction.beam_shifts = shifts
    return prediction


def what_numbers_mean(models: tuple[OrientationModel, ...], geometry: Any) -> dict[str, Any]:
    """Return the metadata of a prediction: its columns, phases, models, frame and group."""
    return {
        "columns": list(COLUMNS),
        "phases": [one.to_dict() for model in models for one in model.crystals],
        # One entry for each phase: that of the model that read it.
        "models": [_model_info(model) for model in models for _ in model.crystals],
        "frame": "detector" if rotation_to_scan(geometry) is None else "scan",
        "group": "point" if models[0].polarity else "Laue",
    }


def _model_info(model: OrientationModel) -> dict[str, Any]:
    """Return what a prediction keeps of a model: which one, and what its spots depend on."""
    return {
        "name": model.name,
        "sha256": model.sha256,
        "accelerating_voltage": model.accelerating_voltage,
        "reciprocal_radius": model.grid.largest_radius,
    }


def _compute(prediction: Any, show_progressbar: bool) -> None:
    """Compute a lazy prediction in place, torch on one thread for each of dask's."""
    from dask.diagnostics import ProgressBar

    with ProgressBar() if show_progressbar else nullcontext(), limit_threads(1):
        prediction.compute(show_progressbar=False)
