"""A crystal map as a plain table: one row for each point, everything in named columns."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.maps.building import NOT_INDEXED

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["point_columns", "point_header"]


def point_columns(xmap: CrystalMap) -> dict[str, np.ndarray]:
    """Return the points of a map as columns.

    Parameters
    ----------
    xmap
        The map.

    Returns
    -------
    columns
        By name: ``x``, ``y``, ``is_in_data``, ``phase_id`` and ``phase``, Bunge angles ``phi1``,
        ``Phi`` and ``phi2`` in degrees, the quaternion ``a`` to ``d``, and all properties with
        numbers or texts. Further orientations of a point, and further values of a property, have
        ``_2``, ``_3``, ... behind the name. NaN where there is no orientation. The rows are all
        points in the smallest rectangle around those in the data.

    Warns
    -----
    UserWarning
        If a property has more values at a point than one list.
    """
    rows = _rows(xmap)
    names = {i: phase.name for i, phase in xmap.phases} | {NOT_INDEXED: "not_indexed"}
    phase_id = xmap._phase_id[rows]
    columns = {
        "x": _coordinates(xmap._x, rows),
        "y": _coordinates(xmap._y, rows),
        "is_in_data": xmap.is_in_data[rows],
        "phase_id": phase_id,
        "phase": np.array([names[int(i)] for i in phase_id], dtype=object),
    }
    orientations = _orientations(xmap, rows)
    for place, suffix in enumerate(_suffixes(len(orientations))):
        columns |= {f"{name}{suffix}": v for name, v in orientations[place].items()}
    for name, values in dict.items(xmap.prop):
        columns |= _property_columns(name, values[rows])
    return columns


def point_header(xmap: CrystalMap, crystal_axes: str) -> list[str]:
    """Return lines that say what the columns of `point_columns` mean.

    Parameters
    ----------
    xmap
        The map.
    crystal_axes
        How the Cartesian axes lie in the crystals.

    Returns
    -------
    lines
        Frame, units, phases.
    """
    frame, group = (getattr(xmap, n, v) for n, v in (("frame", "detector"), ("group", "Laue")))
    lines = [
        f"Crystal map; x (along increasing columns) and y (along increasing rows) in "
        f"{xmap.scan_unit}",
        "Orientations: lab to crystal, Bunge angles phi1, Phi, phi2 in degrees, quaternion a, b, "
        "c, d with the scalar a first",
        f"Lab frame ({frame}): x right, y up (against increasing rows), z towards the source",
        f"Crystal frame: {crystal_axes}; orientations count modulo the {group} group",
        "phase_id -1: not indexed; is_in_data 0: left out; name_2, name_3: next best",
    ]
    for i, phase in xmap.phases:
        if i != NOT_INDEXED:
            cell = ", ".join(f"{float(v):g}" for v in phase.structure.lattice.abcABG())
            symmetry = "unknown" if phase.point_group is None else phase.point_group.name
            lines.append(
                f"Phase {i}: {phase.name}, point group {symmetry}, cell {cell} (angstrom, degrees)"
            )
    return lines


def _rows(xmap: CrystalMap) -> np.ndarray:
    """Return the indices of the points within the rectangle around those in the data."""
    inside = np.ones(xmap.is_in_data.size, dtype=bool)
    for values in (xmap._x, xmap._y):
        if values is not None:
            used = values[xmap.is_in_data]
            inside &= (values >= used.min()) & (values <= used.max())
    return np.flatnonzero(inside)


def _coordinates(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    return np.zeros(rows.size) if values is None else np.asarray(values, dtype=float)[rows]


def _orientations(xmap: CrystalMap, rows: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Return Bunge angles and quaternions of the best orientations, of the second ones, ..."""
    from orix.quaternion import Rotation

    all_of_them = Rotation(xmap._rotations.data[rows].reshape(rows.size, -1, 4))
    n_best = all_of_them.shape[1]
    ids = dict.get(xmap.prop, "phase_ids", xmap._phase_id)[rows].reshape(rows.size, -1)
    ids = np.broadcast_to(ids, (rows.size, n_best)) if ids.shape[1] == 1 else ids
    found = []
    for place in range(n_best):
        rotations = all_of_them[:, place]
        values = np.column_stack([rotations.to_euler(degrees=True), rotations.data])
        values[ids[:, place] == NOT_INDEXED] = np.nan
        found.append(dict(zip(("phi1", "Phi", "phi2", *"abcd"), values.T, strict=True)))
    return found


def _property_columns(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Return a property as one column, or as one for each value at a point."""
    if values.ndim > 2:
        warnings.warn(
            f"Property {name!r} has an array at every point, shape {values.shape[1:]}, which a "
            "table has no column for: it is left out. .h5 files keep it.",
            UserWarning,
            stacklevel=4,
        )
        return {}
    values = values.reshape(len(values), -1)
    return {f"{name}{s}": v for s, v in zip(_suffixes(values.shape[1]), values.T, strict=True)}


def _suffixes(n: int) -> list[str]:
    return ["", *(f"_{i}" for i in range(2, n + 1))]
