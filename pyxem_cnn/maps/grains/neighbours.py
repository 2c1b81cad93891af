"""Neighbouring points of a crystal map: where points lie on the grid, and which pairs touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_choice, given_expected

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["PointGrid"]

# Steps (rows, columns) to the neighbours behind a point; those before it see it themselves.
_STEPS = {4: ((0, 1), (1, 0)), 8: ((0, 1), (1, 0), (1, 1), (1, -1))}


@dataclass(frozen=True)
class PointGrid:
    """Where the points in the data of a map lie on its grid of rows and columns.

    Attributes
    ----------
    row, column
        Of every point in the data, counted from the first one, shape (points,).
    origin
        Coordinates (x, y) of the first row and column, in scan units.
    step
        Distances (dx, dy) of columns and rows, in scan units; 1 along an axis of a single point.
    index
        Which point in the data lies in a cell, shape (rows, columns); -1 for none.
    """

    row: np.ndarray
    column: np.ndarray
    origin: tuple[float, float]
    step: tuple[float, float]
    index: np.ndarray

    @classmethod
    def of(cls, xmap: CrystalMap) -> PointGrid:
        """Return the grid of a map.

        Parameters
        ----------
        xmap
            Of one or two dimensions, on a rectangular grid.

        Raises
        ------
        ValueError
            If there are no points in the data, or the grid is not rectangular.
        """
        if not np.any(xmap.is_in_data):
            raise ValueError("xmap: got no points in the data, expected some. Every one is masked.")
        used = xmap.is_in_data
        (column, x, dx), (row, y, dy) = (_axis(values, used.size) for values in (xmap._x, xmap._y))
        hexagonal = _is_hexagonal(row, column)
        left, top = column[used].min(), row[used].min()
        column, row = column[used] - left, row[used] - top
        index = np.full((row.max() + 1, column.max() + 1), -1)
        index[row, column] = np.arange(row.size)
        if hexagonal or np.count_nonzero(index >= 0) != row.size:
            raise ValueError(
                given_expected(
                    "Grid of xmap",
                    f"{row.size} points in {index.shape[0]} rows and {index.shape[1]} columns",
                    "a rectangular grid with one point in each cell at most",
                    "Hexagonal grids are not supported: resample the map on a square one.",
                )
            )
        return cls(row, column, (x + left * dx, y + top * dy), (dx, dy), index)

    @property
    def is_line(self) -> bool:
        """Whether all points lie in one row or one column."""
        return 1 in self.index.shape

    def pairs(self, connectivity: int = 4) -> np.ndarray:
        """Return all pairs of neighbouring points, each pair once.

        Parameters
        ----------
        connectivity
            4: neighbours share an edge of their cells; 8: an edge or a corner.

        Returns
        -------
        pairs
            Indices of points in the data, shape (pairs, 2). The first of a pair lies in the row
            above, or to the left.

        Raises
        ------
        ValueError
            If the connectivity is another one.
        """
        check_choice("connectivity", connectivity, _STEPS)
        parts = []
        for down, right in _STEPS[connectivity]:
            first, second = self.index[: -down or None], self.index[down:]
            if right > 0:
                first, second = first[:, :-right], second[:, right:]
            elif right < 0:
                first, second = first[:, -right:], second[:, :right]
            both = (first >= 0) & (second >= 0)
            parts.append(np.stack([first[both], second[both]], axis=1))
        return np.concatenate(parts)

    def touches_edge(self) -> np.ndarray:
        """Return whether a point lies at the edge of the map, or beside a left-out point.

        Returns
        -------
        touches
            Booleans of shape (points,). The edge of a line is its two ends.
        """
        missing = self.index < 0
        outside = np.pad(missing, 1, constant_values=True)
        rows, columns = self.index.shape
        if rows == 1 < columns:
            outside[[0, -1]] = False
        if columns == 1 < rows:
            outside[:, [0, -1]] = False
        beside = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
        return beside[self.row, self.column]


def _axis(values: np.ndarray | None, n_points: int) -> tuple[np.ndarray, float, float]:
    """Return place of every point along an axis, coordinate of the first, and step."""
    if values is None:
        return np.zeros(n_points, dtype=int), 0.0, 1.0
    gaps = np.diff(np.unique(values))
    # Coordinates of files are rounded: gaps a thousand times smaller than the widest are none.
    step = float(gaps[gaps > 1e-3 * gaps.max()].min()) if gaps.size else 1.0
    first = float(values.min())
    return np.round((values - first) / step).astype(int), first, step


def _is_hexagonal(row: np.ndarray, column: np.ndarray) -> bool:
    """Return whether points lie like the squares of one colour on a chessboard."""
    there = np.zeros((row.max() + 1, column.max() + 1), dtype=bool)
    there[row, column] = True
    beside = np.any(there[:, 1:] & there[:, :-1]) or np.any(there[1:] & there[:-1])
    return not beside and bool(np.any(there[1:, 1:] & there[:-1, :-1]))
