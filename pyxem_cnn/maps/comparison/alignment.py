"""The points that several crystal maps share, matched by their scan coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.maps.grains.neighbours import PointGrid
from pyxem_cnn.maps.units import NANOMETRES

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["SharedPoints", "share_points"]

# Shares of a step: how far the grids may lie apart, at the first point and at the last one.
_OFFSET_TOLERANCE, _DRIFT_TOLERANCE = 0.1, 0.25


@dataclass(frozen=True)
class SharedPoints:
    """The part of the scan that several maps have in common.

    Attributes
    ----------
    index
        For each map, which of its points in the data lies at a position, shape (rows, columns);
        -1 where it has none there (left out).
    x, y
        Scan coordinates of the columns and of the rows, in the unit of the first map, shapes
        (columns,) and (rows,).
    scan_unit
        Unit of the coordinates.
    notes
        What was assumed to match the maps, one sentence each.
    """

    index: tuple[np.ndarray, ...]
    x: np.ndarray
    y: np.ndarray
    scan_unit: str
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that all maps cover; a line of points has one row."""
        return len(self.y), len(self.x)


def share_points(maps: dict[str, CrystalMap]) -> SharedPoints:
    """Return the rectangle of scan positions that all maps cover.

    Positions are matched by the maps' coordinates and steps, so that a cropped map finds its place
    in the whole one. The rectangle of a map is that of its points in the data.

    Parameters
    ----------
    maps
        The maps with the names that messages call them by; the others are matched to the first.

    Raises
    ------
    ValueError
        If a grid has another step, is shifted by parts of a step, or the maps have no position
        in common.
    """
    (first_name, first), *others = maps.items()
    reference = PointGrid.of(first)
    grids, offsets, notes = [reference], [(0, 0)], []
    for name, xmap in others:
        grid = PointGrid.of(xmap)
        names = (first_name, name)
        factors, note = _unit_factors(names, (first, xmap), (reference, grid))
        offsets.append(tuple(_offset(names, (reference, grid), factors, axis) for axis in (1, 0)))
        grids.append(grid)
        notes += note
    starts = np.array(offsets)
    stops = starts + [grid.index.shape for grid in grids]
    start, stop = starts.max(axis=0), stops.min(axis=0)
    if np.any(stop <= start):
        raise ValueError(_nothing_shared(maps, grids))
    parts = []
    for name, grid, offset in zip(maps, grids, offsets, strict=True):
        (row, column), (last_row, last_column) = start - offset, stop - offset
        parts.append(grid.index[row:last_row, column:last_column])
        if parts[-1].shape != grid.index.shape:
            notes.append(
                f"Of {name}, rows {row} to {last_row - 1} and columns {column} to "
                f"{last_column - 1} are compared, from 0: the others do not have the rest."
            )
    y, x = (
        reference.origin[axis] + reference.step[axis] * np.arange(start[1 - axis], stop[1 - axis])
        for axis in (1, 0)
    )
    return SharedPoints(tuple(parts), x, y, first.scan_unit, tuple(notes))


def _unit_factors(
    names: tuple[str, str], maps: tuple[CrystalMap, CrystalMap], grids: tuple[PointGrid, PointGrid]
) -> tuple[tuple[float, float], list[str]]:
    """Return what takes the second map's x and y to the first one's unit, and what was assumed."""
    first, second = (xmap.scan_unit for xmap in maps)
    if first == second:
        return (1.0, 1.0), []
    if "px" in (first, second):
        counted = names[first != "px"]
        factors = tuple(a / b for a, b in zip(grids[0].step, grids[1].step, strict=True))
        return factors, [f"{counted} counts scan points: its step is taken to be the other map's."]
    if first in NANOMETRES and second in NANOMETRES:
        factor = NANOMETRES[second] / NANOMETRES[first]
        if _steps_fit(grids, (factor, factor)):
            return (factor, factor), []
    note = f"{names[1]} says {second} where {names[0]} says {first}: the numbers are compared."
    return (1.0, 1.0), [note]


def _steps_fit(grids: tuple[PointGrid, PointGrid], factors: tuple[float, float]) -> bool:
    return all(_step_fits(*grids, factors[axis], axis) for axis in (0, 1))


def _step_fits(first: PointGrid, second: PointGrid, factor: float, axis: int) -> bool:
    """Return whether steps along x (axis 0) or y (1) agree well enough to the last point."""
    n = min(first.index.shape[1 - axis], second.index.shape[1 - axis])
    apart = abs(factor * second.step[axis] / first.step[axis] - 1)
    return n == 1 or apart * (n - 1) <= _DRIFT_TOLERANCE


def _offset(
    names: tuple[str, str],
    grids: tuple[PointGrid, PointGrid],
    factors: tuple[float, float],
    axis: int,
) -> int:
    """Return by how many steps the second grid starts behind the first, along x (0) or y (1)."""
    first, second = grids
    letter, factor = "xy"[axis], factors[axis]
    step = first.step[axis] if first.index.shape[1 - axis] > 1 else factor * second.step[axis]
    if not _step_fits(first, second, factor, axis):
        raise ValueError(
            given_expected(
                f"Step of {names[1]} along {letter}",
                _rounded(factor * second.step[axis]),
                f"that of {names[0]}, {first.step[axis]:g}",
                "Maps of one scan are compared point by point: bring one of them to the other's "
                "grid first.",
            )
        )
    offset = (factor * second.origin[axis] - first.origin[axis]) / step
    if abs(offset - round(offset)) > _OFFSET_TOLERANCE:
        raise ValueError(
            given_expected(
                f"First {letter} of {names[1]}",
                _rounded(factor * second.origin[axis]),
                f"{first.origin[axis]:g} as in {names[0]}, or that plus whole steps of {step:g}",
                "Are these maps of one scan?",
            )
        )
    return round(offset)


def _rounded(value: float) -> float:
    """Return a number for a message, without the last digits of a float."""
    return float(f"{value:.6g}")


def _nothing_shared(maps: dict[str, CrystalMap], grids: list[PointGrid]) -> str:
    """Return the message for maps of different places."""
    places = []
    for name, grid in zip(maps, grids, strict=True):
        x, y = (
            f"{grid.origin[axis]:g} to "
            f"{grid.origin[axis] + grid.step[axis] * (grid.index.shape[1 - axis] - 1):g}"
            for axis in (0, 1)
        )
        places.append(f"{name}: x {x}, y {y} {maps[name].scan_unit}")
    return (
        f"The maps have no scan position in common ({'; '.join(places)}). Expected: maps of one "
        "scan, or parts of it, with the scan's coordinates."
    )
