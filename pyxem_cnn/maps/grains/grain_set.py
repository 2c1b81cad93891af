"""What is known of the grains of a crystal map: size, mean orientation, spread, place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn.maps._tables import to_dataframe, write_csv
from pyxem_cnn.maps.grains.neighbours import PointGrid
from pyxem_cnn.maps.misorientation import (
    best_quaternions,
    mean_orientations,
    nearest_equivalents,
    pairs_of_one_phase,
    proper_group,
)

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap
    from orix.quaternion import Rotation

__all__ = ["Grains"]


@dataclass(frozen=True, eq=False, repr=False)
class Grains:
    """Grains of a crystal map, from :func:`pyxem_cnn.find_grains`.

    Properties of the grains are arrays in the order of their labels, which count from 0 in the
    order of the points of the scan. Lengths are in the scan's unit, angles in degrees.

    Attributes
    ----------
    xmap
        The map that they were found in.
    labels
        Grain of every point in the data, -1 for none, shape (points,).
    threshold
        Misorientation in degrees from which on neighbouring points are not connected.
    connectivity
        4 or 8 neighbours.
    group
        Orientations count modulo the proper rotations of the "Laue" or the "point" group.
    merged
        Points of small regions that were given to a grain, booleans of shape (points,).
    """

    xmap: CrystalMap
    labels: np.ndarray
    threshold: float
    connectivity: int
    group: str
    merged: np.ndarray

    def __len__(self) -> int:
        """Return the number of grains."""
        return int(self.labels.max(initial=-1)) + 1

    def __repr__(self) -> str:
        """Return number, criterion and size."""
        head = (
            f"<Grains: {len(self)}, threshold {self.threshold:g} degrees modulo the {self.group} "
            f"group, {self.connectivity} neighbours"
        )
        if len(self) == 0:
            return f"{head}>"
        median = f"{np.median(self.equivalent_diameter):.4g} {self.xmap.scan_unit}"
        outside = np.count_nonzero(self.labels < 0)
        return f"{head}; median diameter {median}; {outside} points in no grain>"

    @cached_property
    def grid(self) -> PointGrid:
        """Return rows and columns of the points."""
        return PointGrid.of(self.xmap)

    @cached_property
    def points(self) -> np.ndarray:
        """Return the number of points of every grain."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self))

    @cached_property
    def area(self) -> np.ndarray:
        """Return the area in scan units squared; for a line of points, the length."""
        return self.points * self._cell

    @cached_property
    def equivalent_diameter(self) -> np.ndarray:
        """Return the diameter of a circle of the same area; for a line of points, the length."""
        return self.area if self.grid.is_line else np.sqrt(4 / np.pi * self.area)

    @cached_property
    def phase_id(self) -> np.ndarray:
        """Return the phase id of every grain."""
        return self.xmap.phase_id[self._first_point]

    @cached_property
    def centroid(self) -> np.ndarray:
        """Return mean coordinates (x, y) of the points in scan units, shape (grains, 2)."""
        inside = self.labels >= 0
        (x, y), (dx, dy) = self.grid.origin, self.grid.step
        places = x + dx * self.grid.column, y + dy * self.grid.row
        return np.stack([self._mean_over(place, inside) for place in places], axis=1)

    @cached_property
    def touches_edge(self) -> np.ndarray:
        """Return whether a grain touches the map's edge or a left-out point: it may go on there."""
        touching = self.grid.touches_edge() & (self.labels >= 0)
        return np.isin(np.arange(len(self)), self.labels[touching])

    @cached_property
    def mean_rotations(self) -> Rotation:
        """Return the mean orientation of every grain, an orix rotation of shape (grains,).

        All orientations of a grain are replaced by those symmetrically equivalent ones that are
        nearest to their mean before they are averaged. Of the equivalent means, this is the one
        near the grain's first point.
        """
        from orix.quaternion import Rotation

        q, means = best_quaternions(self.xmap), np.tile([1.0, 0, 0, 0], (len(self), 1))
        for phase_id in np.unique(self.phase_id):
            ids = np.flatnonzero(self.phase_id == phase_id)
            here = self._own & np.isin(self.labels, ids)
            labels = np.searchsorted(ids, self.labels[here])
            first = q[self._first_point[ids]]
            means[ids] = mean_orientations(q[here], labels, first, self._operations(phase_id))
        return Rotation(means)

    @cached_property
    def reference_misorientation(self) -> np.ndarray:
        """Return the misorientation in degrees of every point from the mean of its grain.

        Also called grain reference orientation deviation (GROD). NaN in no grain. Shape (points,).
        """
        q, means = best_quaternions(self.xmap), self.mean_rotations.data
        degrees = np.full(len(q), np.nan)
        for phase_id in np.unique(self.phase_id):
            here = (self.labels >= 0) & (self.xmap.phase_id == phase_id)
            _, degrees[here] = nearest_equivalents(
                q[here], means[self.labels[here]], self._operations(phase_id)
            )
        return degrees

    @cached_property
    def orientation_spread(self) -> np.ndarray:
        """Return the mean misorientation to the grain's mean orientation, in degrees (GOS)."""
        return self._mean_over(self.reference_misorientation, self._own)

    @cached_property
    def max_misorientation(self) -> np.ndarray:
        """Return the largest misorientation to the grain's mean orientation, in degrees."""
        largest = np.zeros(len(self))
        np.maximum.at(largest, self.labels[self._own], self.reference_misorientation[self._own])
        return largest

    @cached_property
    def kernel_average_misorientation(self) -> np.ndarray:
        """Return the mean misorientation of every point to its neighbours in the same grain.

        In degrees, shape (points,). Neighbours are those that grains were found with. NaN in no
        grain and without a neighbour in the same grain.
        """
        pairs = self.grid.pairs(self.connectivity)
        first, second = self.labels[pairs].T
        pairs = pairs[(first == second) & (first >= 0)]
        pairs, angles = pairs_of_one_phase(self.xmap, pairs, self.group)
        n = self.labels.size
        sums = sum(np.bincount(pairs[:, side], angles, minlength=n) for side in (0, 1))
        count = np.bincount(pairs.ravel(), minlength=n)
        return np.divide(sums, count, out=np.full(n, np.nan), where=count > 0)

    @cached_property
    def table(self) -> dict[str, np.ndarray]:
        """Return all properties of the grains as columns, by name."""
        euler = self.mean_rotations.to_euler(degrees=True).reshape(-1, 3)
        names = {phase_id: phase.name for phase_id, phase in self.xmap.phases}
        return {
            "grain": np.arange(len(self)),
            "phase_id": self.phase_id,
            "phase": np.array([names[int(i)] for i in self.phase_id], dtype=object),
            "points": self.points,
            "area": self.area,
            "equivalent_diameter": self.equivalent_diameter,
            "x": self.centroid[:, 0],
            "y": self.centroid[:, 1],
            "phi1": euler[:, 0],
            "Phi": euler[:, 1],
            "phi2": euler[:, 2],
            "orientation_spread": self.orientation_spread,
            "max_misorientation": self.max_misorientation,
            "touches_edge": self.touches_edge,
        }

    def to_dataframe(self) -> Any:
        """Return the table as a pandas DataFrame, one row for each grain.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return to_dataframe(self.table)

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table to a .csv file.

        Parameters
        ----------
        path
            Where to, ending in .csv.
        overwrite
            Whether to replace a file that is there already.

        Returns
        -------
        path
            Where it was written.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is False.
        FileNotFoundError
            If the folder does not exist.
        ValueError
            If the path ends in something else.
        """
        unit = self.xmap.scan_unit
        area = unit if self.grid.is_line else f"{unit}^2"
        header = [
            f"Grains: misorientation of neighbours below {self.threshold:g} degrees modulo the "
            f"{self.group} group, {self.connectivity} neighbours",
            f"area in {area}; equivalent_diameter, x, y (centroid) in {unit}",
            "phi1, Phi, phi2: Bunge angles of the mean orientation, lab to crystal, in degrees",
            "orientation_spread, max_misorientation: from the mean orientation, in degrees",
        ]
        return write_csv(path, self.table, header, overwrite)

    @property
    def _own(self) -> np.ndarray:
        """Points that speak for the orientation of their grain."""
        return (self.labels >= 0) & ~self.merged

    @property
    def _cell(self) -> float:
        """Area of a cell of the grid; of a line, its length."""
        rows, columns = self.grid.index.shape
        dx, dy = self.grid.step
        return dx if rows == 1 else dy if columns == 1 else dx * dy

    @cached_property
    def _first_point(self) -> np.ndarray:
        points = np.flatnonzero(self._own)
        return points[np.unique(self.labels[points], return_index=True)[1]]

    def _operations(self, phase_id: int) -> np.ndarray:
        return proper_group(self.xmap.phases[int(phase_id)], self.group).data

    def _mean_over(self, values: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the mean of values of some points over every grain."""
        labels = self.labels[points]
        sums = np.bincount(labels, values[points], minlength=len(self))
        return sums / np.bincount(labels, minlength=len(self))
