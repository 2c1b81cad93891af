"""Crystal maps: the one place where orix's CrystalMap is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn.indexing.block import NOT_INDEXED

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
        ``frame``, "detector" or "scan", says in which frame the rotations are. For three
        navigation axes, a list of maps in the order of the slowest axis.
    """
    data = np.asarray(prediction.data)
    axes = prediction.axes_manager.navigation_axes  # fastest first
    if len(axes) == 3:
        return [_crystal_map(part, axes[:2], prediction) for part in data]
    return _crystal_map(data, axes, prediction)


def _crystal_map(data: np.ndarray, axes: Any, prediction: Any) -> CrystalMap:
    """Return the map of predictions (rows, columns, n_best, 8), (columns, ...) or (n_best, 8)."""
    from orix.crystal_map import CrystalMap, PhaseList
    from orix.quaternion import Rotation

    rows = data.reshape(-1, *data.shape[-2:])  # (points, n_best, 8)
    left_out = np.isnan(rows[:, 0, 0])
    phase_ids = np.where(np.isnan(rows[..., 0]), NOT_INDEXED, rows[..., 0]).astype(int)
    quaternions = rows[..., 2:6].astype(np.float64)
    missing = ~np.isfinite(quaternions).all(axis=-1)
    quaternions[missing] = [1, 0, 0, 0]
    phases = [structure.to_phase() for structure in prediction.phases]
    prop = {
        "scores": _squeezed(rows[..., 1]),
        "reliability": rows[:, 0, 6],
        "phase_probability": rows[:, 0, 7],
    }
    if len(phases) > 1:
        prop["phase_ids"] = _squeezed(phase_ids)
    crystal_map = CrystalMap(
        rotations=Rotation(_squeezed(quaternions)),
        phase_id=phase_ids[:, 0],
        phase_list=PhaseList(phases, ids=list(range(len(phases)))),
        prop=prop,
        is_in_data=~left_out,
        **_coordinates(axes),
    )
    crystal_map.frame = prediction.metadata.get_item("OrientationPrediction.frame", "detector")
    return crystal_map


def _squeezed(values: np.ndarray) -> np.ndarray:
    """Return values (points, n_best, ...) without the second axis if there is one orientation."""
    return values[:, 0] if values.shape[1] == 1 else values


def _coordinates(axes: Any) -> dict[str, Any]:
    """Return coordinates of all points and their unit, as CrystalMap wants them."""
    if not axes:
        return {"x": np.zeros(1), "scan_unit": "px"}
    values = [np.asarray(axis.axis, dtype=np.float64) for axis in axes]
    known = [axis.units for axis in axes if isinstance(axis.units, str) and axis.units]
    unit = {"scan_unit": known[0] if known else "px"}
    if len(values) == 1:
        return {"x": values[0], **unit}
    y, x = np.meshgrid(values[1], values[0], indexing="ij")
    return {"x": x.ravel(), "y": y.ravel(), **unit}
