"""Crystal maps of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_share
from pyxem_cnn.indexing.block import COLUMNS, NOT_INDEXED
from pyxem_cnn.maps.building import build_crystal_map, coordinates_of_axes

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["is_empty", "prediction_to_crystal_map"]

# Without a crystal, as likely as not, a point is not indexed.
_EMPTY = 0.5
# Columns of what not every network tells: of each orientation, and of the point as a whole.
_OF_EACH = ("thickness", "share")
_OF_POINT = ("entropy", "vacuum_probability", "amorphous_probability")


def prediction_to_crystal_map(
    prediction: Any, minimum_score: float = 0.0
) -> CrystalMap | list[CrystalMap]:
    """Return a prediction as orix CrystalMap.

    Parameters
    ----------
    prediction
        An `OrientationPrediction`, lazy or not, with 0 to 3 navigation axes.
    minimum_score
        Points with a lower score are not indexed.

    Returns
    -------
    crystal_map
        With the scan's coordinates and units. Its rotations have the shape (points, n_best), or
        (points,) for one orientation, and so have ``prop["scores"]`` and, for several phases,
        ``prop["phase_ids"]``. ``prop["reliability"]`` and ``prop["phase_probability"]`` belong to
        the best orientation. Where the network tells them, there are ``thickness`` in angstrom
        and ``share`` of each orientation, and ``entropy``, ``vacuum_probability`` and
        ``amorphous_probability``. Points that are rather vacuum or amorphous than a crystal, and
        those below `minimum_score`, have the phase id -1 and keep all the rest. Points without
        orientation have the phase id -1, the identity as rotation and NaN scores; masked points
        have ``is_in_data`` False besides. The attribute
        ``frame``, "detector" or "scan", says in which frame the rotations are, and ``group``,
        "Laue" or "point", modulo which group's rotations they count. For three navigation axes,
        a list of maps in the order of the slowest axis.

    Raises
    ------
    ValueError
        If `minimum_score` is not between 0 and 1.
    """
    check_share("minimum_score", minimum_score)
    data = np.asarray(prediction.data)
    axes = prediction.axes_manager.navigation_axes  # fastest first
    if len(axes) == 3:
        return [_crystal_map(part, axes[:2], prediction, minimum_score) for part in data]
    return _crystal_map(data, axes, prediction, minimum_score)


def _crystal_map(data: np.ndarray, axes: Any, prediction: Any, minimum_score: float) -> CrystalMap:
    """Return the map of predictions (..., n_best, n_columns) with up to two navigation axes."""
    rows = data.reshape(-1, *data.shape[-2:])  # (points, n_best, n_columns)
    left_out = np.isnan(rows[:, 0, 0])
    ids = np.where(np.isnan(rows[..., 0]), NOT_INDEXED, rows[..., 0]).astype(int)
    ids[_is_rejected(rows[:, 0], minimum_score)] = NOT_INDEXED
    return build_crystal_map(
        _column(rows, "a", 4),
        ids,
        prediction.phases,
        coordinates=coordinates_of_axes(axes),
        prop=_properties(rows),
        is_in_data=~left_out,
        frame=prediction.metadata.get_item("OrientationPrediction.frame", "detector"),
        group=prediction.metadata.get_item("OrientationPrediction.group", "Laue"),
    )


def _properties(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is known of points (points,) and orientations (points, n_best)."""
    prop = {
        "scores": _column(rows, "score"),
        "reliability": _column(rows, "reliability")[:, 0],
        "phase_probability": _column(rows, "phase_probability")[:, 0],
    }
    told = {name: _column(rows, name) for name in (*_OF_EACH, *_OF_POINT)}
    for name, values in told.items():
        if np.isfinite(values).any():
            prop[name] = values if name in _OF_EACH else values[:, 0]
    return prop


def is_empty(rows: np.ndarray) -> np.ndarray:
    """Return which rows (..., n_columns) of a prediction are rather none of a crystal."""
    probability = _column(rows, "vacuum_probability") + _column(rows, "amorphous_probability")
    # NaN, where the network does not tell, compares False.
    return np.asarray(probability > _EMPTY)


def _is_rejected(best: np.ndarray, minimum_score: float) -> np.ndarray:
    """Return which points (points,) are no crystal, or not to be believed."""
    return is_empty(best) | (_column(best, "score") < minimum_score)


def _column(rows: np.ndarray, name: str, n: int | None = None) -> np.ndarray:
    """Return a column of rows (..., n_columns), or ``n`` of them from this one on."""
    first = COLUMNS.index(name)
    return rows[..., first] if n is None else rows[..., first : first + n]
