"""A prediction without its numbers: axes and metadata, as they stand in a store."""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["skeleton_of", "with_skeleton"]

_NODE = "OrientationPrediction"


def skeleton_of(prediction: Any) -> dict[str, Any]:
    """Return navigation axes, title and metadata of a prediction, JSON-able.

    Parameters
    ----------
    prediction
        An `OrientationPrediction`, lazy or not. Beam shifts are left out: they are numbers.
    """
    node = prediction.metadata.get_item(_NODE).as_dictionary()
    return {
        "axes": [
            {
                "name": _text(axis.name),
                "units": _text(axis.units),
                "scale": float(axis.scale),
                "offset": float(axis.offset),
            }
            for axis in prediction.axes_manager.navigation_axes
        ],
        "title": prediction.metadata.get_item("General.title", ""),
        # HyperSpy marks what is a signal in its name.
        "metadata": {k: v for k, v in node.items() if k.removeprefix("_sig_") != "beam_shifts"},
    }


def with_skeleton(data: Any, skeleton: dict[str, Any]) -> Any:
    """Return a lazy prediction of given data.

    Parameters
    ----------
    data
        Dask array (navigation..., n_best, n_columns).
    skeleton
        What :func:`skeleton_of` returned.
    """
    from hyperspy.signals import LazySignal2D

    prediction = LazySignal2D(data)
    prediction.set_signal_type("orientation_prediction")
    for axis, known in zip(prediction.axes_manager.navigation_axes, skeleton["axes"], strict=True):
        for key, value in known.items():
            if value is not None:
                setattr(axis, key, value)
    prediction.metadata.General.title = skeleton["title"]
    prediction.metadata.add_dictionary({_NODE: copy.deepcopy(skeleton["metadata"])})
    return prediction


def _text(value: Any) -> str | None:
    """Return a name or unit, None if HyperSpy has it undefined."""
    return value if isinstance(value, str) else None
