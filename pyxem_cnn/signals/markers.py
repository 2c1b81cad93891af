"""HyperSpy markers of predicted orientations: their simulated spots over the patterns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, check_type, given_expected
from pyxem_cnn.indexing.spots import NO_SPOTS, PredictedSpots, Spots, SpotSettings
from pyxem_cnn.signals._ragged import RaggedBlocks

if TYPE_CHECKING:
    from pyxem_cnn.indexing.pattern_frame import PatternFrame
    from pyxem_cnn.signals.orientation_prediction import OrientationPrediction

__all__ = ["MARKER_COLORS", "check_ranks", "check_signal", "compute_markers", "spot_markers"]

MARKER_COLORS = ("red", "deepskyblue", "lime", "orange", "magenta")
_LINES = ("solid", "dashed", "dotted", "dashdot")
# Diameters in points: of the strongest spot, and what share of it the weakest ones keep.
_LARGEST, _LEAST = 14.0, 0.4
# How far above its spot a text stands, as a share of the pattern.
_TEXT_SHIFT = 0.02


def check_ranks(prediction: OrientationPrediction, n_best: int, rank: int) -> range:
    """Return the ranks to show, or raise if the prediction has fewer.

    Parameters
    ----------
    prediction
        With its number of orientations.
    n_best
        How many to show.
    rank
        The first of them, 0 for the best one.

    Raises
    ------
    TypeError, ValueError
        If these are no whole numbers, or the prediction holds fewer orientations.
    """
    check_positive("n_best", n_best, integer=True)
    check_positive("rank", rank, integer=True, allow_zero=True)
    if rank + n_best > prediction.n_best:
        raise ValueError(
            given_expected(
                "rank + n_best",
                rank + n_best,
                f"at most {prediction.n_best}, the orientations that the prediction holds",
                "Map with a larger n_best.",
            )
        )
    return range(rank, rank + n_best)


def check_signal(prediction: OrientationPrediction, signal: Any) -> None:
    """Raise unless a signal has the positions and pixels of the patterns that were mapped.

    Parameters
    ----------
    prediction
        Of the patterns.
    signal
        Any signal.

    Raises
    ------
    TypeError
        If it is no signal.
    ValueError
        If its navigation or signal shape is another one.
    """
    own, frame = prediction.axes_manager.navigation_shape, prediction.pattern_frame
    axes = getattr(signal, "axes_manager", None)
    if axes is None:
        expected = "the signal that was mapped"
        raise TypeError(given_expected("signal", signal, expected))
    if axes.navigation_shape != own:
        expected = f"{own}, the prediction's"
        remedy = "Slice both alike, with .inav."
        raise ValueError(
            given_expected("signal's navigation shape", axes.navigation_shape, expected, remedy)
        )
    if frame is not None and axes.signal_shape[::-1] != frame.shape:
        expected = f"{frame.shape[::-1]} pixels, as the patterns that were mapped"
        remedy = "Pass that signal, not cropped and not binned."
        raise ValueError(
            given_expected("signal's signal shape", axes.signal_shape, expected, remedy)
        )


def spot_markers(
    prediction: OrientationPrediction,
    ranks: range,
    settings: SpotSettings | None,
    colors: Sequence[str],
    include_intensity: bool,
    annotations: dict[str, Any] | None,
    signal: Any,
    options: dict[str, Any],
) -> list[Any]:
    """Return lazy markers of simulated spots.

    Parameters
    ----------
    prediction
        Of the patterns.
    ranks
        Which orientations to show.
    settings
        Which reflections count; None for the default.
    colors
        One for each rank or, with several phases, for each phase.
    include_intensity
        Whether strong spots are larger.
    annotations
        Options of the texts, None for no texts.
    signal
        Whose axes the markers are for; None for those of the patterns that were mapped.
    options
        Of the points.

    Returns
    -------
    markers
        For every rank and phase the points and, if asked for, the texts.
    """
    settings = check_type("spots", settings or SpotSettings(), SpotSettings)
    predicted = _predicted_spots(prediction, settings, signal)
    data = prediction.data[..., ranks.start : ranks.stop, :]
    blocks = RaggedBlocks(data, prediction.beam_shifts, partial(_spots_of_ranks, predicted))
    several = len(prediction.phases) > 1
    markers = []
    for number, rank in enumerate(ranks):
        for phase_id, phase in enumerate(prediction.phases):
            part = partial(_part, blocks, number, phase_id)
            color = colors[(phase_id if several else number) % len(colors)]
            look = {
                "name": f"rank {rank}, {phase.name}",
                "edgecolor": color,
                "linestyle": _LINES[number % len(_LINES) if several else 0],
                "sizes": part(_sizes) if include_intensity else _LARGEST / 2,
                # The best orientation on top, all below the inverse pole figure at 1.
                "zorder": 0.9 - 0.5 * number / len(ranks),
            }
            markers.append(_points(part, {**look, **options}))
            if annotations is not None:
                own = {"name": f"{look['name']}, hkl", "facecolor": color, "zorder": 0.95}
                markers.append(_texts(part, predicted.frame, {**own, **annotations}))
    return markers


def _points(part: Callable[..., Any], options: dict[str, Any]) -> Any:
    import hyperspy.api as hs

    options = {"facecolor": "none", "linewidth": 1.2, **options}
    return hs.plot.markers.Points(part(_positions), **options)


def _texts(part: Callable[..., Any], frame: PatternFrame, options: dict[str, Any]) -> Any:
    import hyperspy.api as hs

    # Rows run down the figure: above is towards the smaller ones.
    up = np.array([0, -_TEXT_SHIFT * frame.shape[0] * frame.axes[1][0]])
    options = {"sizes": (0.6,), "verticalalignment": "bottom", "linewidth": 0, **options}
    offsets, texts = part(partial(_shifted, up)), part(_labels)
    return hs.plot.markers.Texts(offsets, texts=texts, **options)


def compute_markers(markers: list[Any]) -> list[Any]:
    """Compute the dask arrays of markers in place.

    Parameters
    ----------
    markers
        Any markers of HyperSpy.

    Returns
    -------
    markers
        The same.
    """
    import dask
    import dask.array as da

    places = [(m, k) for m in markers for k, v in m.kwargs.items() if isinstance(v, da.Array)]
    computed = dask.compute(*(m.kwargs[k] for m, k in places), scheduler="threads")
    for (marker, key), values in zip(places, computed, strict=True):
        marker.kwargs[key] = values
        marker.dask_kwargs.pop(key, None)
    return markers


def _predicted_spots(
    prediction: OrientationPrediction, settings: SpotSettings, signal: Any
) -> PredictedSpots:
    """Return what makes spots of the prediction's rows, on the axes of the signal if given."""
    frame, models = prediction.pattern_frame, prediction.model_info
    known = all("accelerating_voltage" in model for model in models)
    if frame is None or not known or len(models) != len(prediction.phases):
        raise ValueError(
            "The prediction does not hold the geometry and the voltage that its spots depend on: "
            "it was made by hand or by an older version. Expected: what "
            "get_orientation_map_cnn(..., lazy_output=True) returns. Map the scan again."
        )
    if signal is not None:
        check_signal(prediction, signal)
        frame = frame.on_axes_of(signal)
    return PredictedSpots(
        prediction.phases,
        [model["accelerating_voltage"] for model in models],
        [model["reciprocal_radius"] for model in models],
        frame,
        settings,
        in_scan_frame=prediction.metadata.get_item("OrientationPrediction.frame") == "scan",
    )


def _spots_of_ranks(predicted: PredictedSpots, rows: np.ndarray, shift: Any) -> Any:
    """Return (phase id, spots) of every rank at one position."""
    return [(row[0], predicted(row, shift)) for row in rows]


def _part(blocks: RaggedBlocks, number: int, phase_id: int, make: Callable[[Spots], Any]) -> Any:
    return blocks.array(partial(_made, number, phase_id, make))


def _made(number: int, phase_id: int, make: Callable[[Spots], Any], result: Any) -> Any:
    found, spots = result[number]
    return make(spots if found == phase_id else NO_SPOTS)


def _positions(spots: Spots) -> np.ndarray:
    return spots.positions


def _shifted(shift: np.ndarray, spots: Spots) -> np.ndarray:
    return spots.positions + shift


def _sizes(spots: Spots) -> np.ndarray:
    """Return diameters in points that grow with the amplitude, the root of the intensity."""
    return _LARGEST * np.maximum(np.sqrt(spots.intensity), _LEAST)


def _labels(spots: Spots) -> list[str]:
    return [" ".join(map(str, hkl)) for hkl in spots.hkl]
