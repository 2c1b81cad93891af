"""Crystal maps of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn.indexing.block import NOT_INDEXED
from pyxem_cnn.maps.building import build_crystal_map, coordinates_of_axes

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["prediction_to_crystal_map"]


def prediction_to_crystal_map(prediction: Any) -> CrystalMap | list[CrystalMap]:
    """Return a prediction as orix CrystalMap.

    Parameters
    ----------
    prediction
        An `OrientationPrediction`, lazy or not, with 0 to 3 navigation axes.

    Returns
    -------
    crystal_map
        With the scan's coordinates and units. Its rotations have the shape (points, n_best), or
        (points,) for one orientation, and so have ``prop["scores"]`` and, for several phases,
        ``prop["phase_ids"]``. ``prop["reliability"]`` and ``prop["phase_probability"]`` belong to
        the best orientation. Points without orientation have the phase id -1, the identity as
        rotation and NaN scores; masked points have ``is_in_data`` False besides. The attribute
        ``frame``, "detector" or "scan", says in which frame the rotations are, and ``group``,
        "Laue" or "point", modulo which group's rotations they count. For three navigation axes,
        a list of maps in the order of the slowest axis.
    """
    data = np.asarray(prediction.data)
    axes = prediction.axes_manager.navigation_axes  # fastest first
    if len(axes) == 3:
        return [_crystal_map(part, axes[:2], prediction) for part in data]
    return _crystal_map(data, axes, prediction)


def _crystal_map(data: np.ndarray, axes: Any, prediction: Any) -> CrystalMap:
    """Return the map of predictions (rows, columns, n_best, 8), (columns, ...) or (n_best, 8)."""
    rows = data.reshape(-1, *data.shape[-2:])  # (points, n_best, 8)
    left_out = np.isnan(rows[:, 0, 0])
    return build_crystal_map(
        rows[..., 2:6],
        np.where(np.isnan(rows[..., 0]), NOT_INDEXED, rows[..., 0]).astype(int),
        prediction.phases,
        coordinates=coordinates_of_axes(axes),
        prop={
            "scores": rows[..., 1],
            "reliability": rows[:, 0, 6],
            "phase_probability": rows[:, 0, 7],
        },
        is_in_data=~left_out,
        frame=prediction.metadata.get_item("OrientationPrediction.frame", "detector"),
        group=prediction.metadata.get_item("OrientationPrediction.group", "Laue"),
    )
