"""Building of crystal maps: the one place that calls orix's CrystalMap."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_shape, check_type, given_expected

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

    from pyxem_cnn.phases import CrystalStructure

__all__ = [
    "NOT_INDEXED",
    "build_crystal_map",
    "coordinates_of_axes",
    "coordinates_of_map",
    "with_properties",
]

NOT_INDEXED = -1
"""Phase id of points without an orientation, as in orix."""

_IDENTITY = (1.0, 0.0, 0.0, 0.0)


def build_crystal_map(
    quaternions: np.ndarray,
    phase_ids: np.ndarray,
    phases: Sequence[CrystalStructure | Phase],
    *,
    coordinates: Mapping[str, Any] | None = None,
    prop: Mapping[str, np.ndarray] | None = None,
    is_in_data: np.ndarray | None = None,
    frame: str = "detector",
    group: str = "Laue",
) -> CrystalMap:
    """Return an orix crystal map of orientations, with one meaning of what is undefined.

    Parameters
    ----------
    quaternions
        Orientations, lab to crystal, scalar first, best first: shape (points, n_best, 4) or, for
        one orientation, (points, 4). NaN where there is none.
    phase_ids
        Place of each orientation's phase in `phases`, -1 where there is none. Shape
        (points, n_best) or (points,); one id for a point holds for all its orientations.
    phases
        Crystal structures or orix phases.
    coordinates
        ``x``, ``y`` and ``scan_unit`` as orix's ``CrystalMap`` takes them, all points in C order,
        such as from :func:`coordinates_of_axes`. By default, points are counted.
    prop
        Arrays of shape (points, ...). Those of shape (points, 1) become (points,).
    is_in_data
        Points that belong to the map, shape (points,). By default, all.
    frame
        "detector" or "scan": in which frame the rotations are.
    group
        "Laue" or "point": modulo which group's rotations the orientations count.

    Returns
    -------
    crystal_map
        Rotations of shape (points, n_best), or (points,) for one orientation; the identity where
        there is none. Its phase ids are those of the best orientation. Phases of orix's default
        colour get one each. For several phases,
        ``prop["phase_ids"]`` holds those of all orientations. Its attributes ``frame`` and
        ``group`` say what the arguments said; orix carries them to slices, not to files. Its list
        of phases holds those that are best anywhere, as orix wants it.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or value.
    """
    quaternions, phase_ids = _checked(quaternions, phase_ids, len(phases))
    n_points = len(quaternions)
    check_choice("frame", frame, ("detector", "scan"))
    check_choice("group", group, ("Laue", "point"))
    prop = {name: np.asarray(values) for name, values in (prop or {}).items()}
    if len(phases) > 1:
        prop.setdefault("phase_ids", phase_ids)
    for name, values in prop.items():
        check_shape(f"prop[{name!r}]", values, (n_points, *[None] * (values.ndim - 1)))
    if is_in_data is not None:
        check_shape("is_in_data", is_in_data, (n_points,))
    crystal_map = _crystal_map(
        _without_gaps(quaternions),
        phase_id=phase_ids[:, 0],
        phases=phases,
        prop={name: _squeezed(values) for name, values in prop.items()},
        is_in_data=is_in_data,
        **(coordinates or {}),
    )
    crystal_map.frame, crystal_map.group = frame, group
    return crystal_map


def coordinates_of_map(xmap: CrystalMap) -> dict[str, Any]:
    """Return the coordinates of all points of a map, in its data or not, and their unit.

    Parameters
    ----------
    xmap
        The map.

    Returns
    -------
    coordinates
        As `build_crystal_map` takes them.
    """
    coordinates = {"x": xmap._x, "y": xmap._y, "scan_unit": xmap.scan_unit}
    return {name: values for name, values in coordinates.items() if values is not None}


def with_properties(xmap: CrystalMap, prop: Mapping[str, np.ndarray]) -> CrystalMap:
    """Return a map with further properties.

    orix's own assignment refuses several values for each point where points are left out.

    Parameters
    ----------
    xmap
        The map, which stays as it is.
    prop
        Arrays of shape (points in the data, ...), which replace those of the same name. Points that
        are not in the data get NaN, or 0 in arrays of whole numbers.

    Returns
    -------
    crystal_map
        The same points and orientations.
    """
    from orix.crystal_map import CrystalMapProperties

    inside = np.array(xmap.is_in_data)
    everything = dict(dict.items(xmap.prop))
    for name, values in prop.items():
        values = np.asarray(values)
        fill = np.nan if values.dtype.kind == "f" else 0
        whole = np.full((inside.size, *values.shape[1:]), fill, dtype=values.dtype)
        whole[inside] = values
        everything[name] = whole
    result = copy.copy(xmap)
    result.is_in_data = inside
    result._prop = CrystalMapProperties(everything, id=xmap._id, is_in_data=inside)
    return result


def coordinates_of_axes(axes: Sequence[Any]) -> dict[str, Any]:
    """Return the coordinates of a scan's points and their unit.

    Parameters
    ----------
    axes
        Up to two HyperSpy axes, the fastest first, as in ``axes_manager.navigation_axes``.

    Returns
    -------
    coordinates
        Arrays ``x`` and, for two axes, ``y``, all points in C order, and ``scan_unit``, "px" where
        the axes have no unit.
    """
    if not axes:
        return {"x": np.zeros(1), "scan_unit": "px"}
    values = [np.asarray(axis.axis, dtype=np.float64) for axis in axes]
    known = [axis.units for axis in axes if isinstance(axis.units, str) and axis.units]
    unit = {"scan_unit": known[0] if known else "px"}
    if len(values) == 1:
        return {"x": values[0], **unit}
    y, x = np.meshgrid(values[1], values[0], indexing="ij")
    return {"x": x.ravel(), "y": y.ravel(), **unit}


def _checked(
    quaternions: np.ndarray, phase_ids: np.ndarray, n_phases: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return quaternions (points, n_best, 4) and phase ids (points, n_best)."""
    quaternions, phase_ids = np.array(quaternions, dtype=np.float64), np.asarray(phase_ids)
    if quaternions.ndim == 2:
        quaternions = quaternions[:, None]
    check_shape("quaternions", quaternions, ("points", "n_best", 4))
    n_points, n_best = quaternions.shape[:2]
    if phase_ids.dtype.kind not in "iu":
        remedy = "Use -1 where there is no orientation."
        raise TypeError(given_expected("phase_ids", phase_ids, "whole numbers", remedy))
    if phase_ids.ndim == 1:
        phase_ids = np.repeat(phase_ids[:, None], n_best, axis=1)
    check_shape("phase_ids", phase_ids, (n_points, n_best))
    lowest, highest = phase_ids.min(initial=0), phase_ids.max(initial=-1)
    if lowest < NOT_INDEXED or highest >= n_phases:
        given = int(lowest if lowest < NOT_INDEXED else highest)
        expected = f"-1 or the place of one of {n_phases} phases, from 0"
        raise ValueError(given_expected("phase_ids", given, expected))
    return quaternions, phase_ids.astype(int)


def _without_gaps(quaternions: np.ndarray) -> np.ndarray:
    """Put the identity where there is no orientation; orix cannot hold NaN."""
    quaternions[~np.isfinite(quaternions).all(axis=-1)] = _IDENTITY
    return quaternions


def _crystal_map(quaternions: np.ndarray, phases: Sequence[Any], **options: Any) -> CrystalMap:
    """Call orix."""
    from orix.crystal_map import CrystalMap, Phase, PhaseList
    from orix.quaternion import Rotation

    from pyxem_cnn.phases import CrystalStructure

    check_type("phases", phases, (list, tuple))
    for phase in phases:
        check_type("phase", phase, (CrystalStructure, Phase))
    in_orix = [p.to_phase() if isinstance(p, CrystalStructure) else p for p in phases]
    return CrystalMap(
        rotations=Rotation(_squeezed(quaternions)),
        phase_list=PhaseList(_told_apart(in_orix), ids=list(range(len(in_orix)))),
        **options,
    )


def _told_apart(phases: list[Phase]) -> list[Phase]:
    """Return phases of different colours, where orix's default, the first one, was left."""
    from itertools import cycle

    from matplotlib.colors import TABLEAU_COLORS

    default, *others = TABLEAU_COLORS
    taken = {phase.color for phase in phases} - {default}
    colors = cycle([default, *(color for color in others if color not in taken)])
    phases = [phase.deepcopy() for phase in phases]
    for phase in phases:
        if phase.color == default:
            phase.color = next(colors)
    return phases


def _squeezed(values: np.ndarray) -> np.ndarray:
    """Return values (points, n_best, ...) without the second axis if there is one orientation."""
    return values[:, 0] if values.ndim > 1 and values.shape[1] == 1 else values
