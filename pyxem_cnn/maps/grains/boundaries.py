"""Grain boundaries: where two grains touch, and how they are misoriented."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_type
from pyxem_cnn.crystal.orix_symmetry import same_matrices
from pyxem_cnn.maps._tables import to_dataframe
from pyxem_cnn.maps.grains.find import Grains, find_grains
from pyxem_cnn.maps.misorientation import (
    best_quaternions,
    combined_operations,
    misorientation_angles,
    nearest_equivalents,
    proper_group,
)
from pyxem_cnn.rotations import conjugate, multiply, to_rotation_vector

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["COINCIDENCE", "GrainBoundaries", "grain_boundaries"]

COINCIDENCE = {
    3: ((1, 1, 1), 60.0),
    5: ((1, 0, 0), 36.8699),
    7: ((1, 1, 1), 38.2132),
    9: ((1, 1, 0), 38.9424),
    11: ((1, 1, 0), 50.4788),
}
"""Axis and angle in degrees of cubic coincidence site lattices by their Sigma, up to 11."""

_BRANDON = 15.0  # degrees; the tolerance is this divided by the root of Sigma


def grain_boundaries(grains: Grains | CrystalMap, **kwargs: Any) -> GrainBoundaries:
    """Return the boundaries between the grains of a map.

    A boundary is made of segments, each the common edge of the cells of two points in different
    grains. Points in no grain have no boundary.

    Parameters
    ----------
    grains
        From :func:`pyxem_cnn.find_grains`, or a crystal map, whose grains are found first.
    **kwargs
        For `find_grains` if a map is given.

    Returns
    -------
    boundaries
        All segments with the grains and phases on both sides, misorientation angle and axis.

    Raises
    ------
    TypeError
        If `grains` is neither, or arguments are given for grains that are found already.

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap
    >>> from orix.quaternion import Rotation
    >>> turns = Rotation.from_axes_angles([0, 0, 1], np.deg2rad([0, 1, 2, 32, 33, 34]))
    >>> xmap = CrystalMap(turns)
    >>> xmap.phases[0].point_group = "m-3m"
    >>> boundaries = grain_boundaries(xmap)
    >>> boundaries.grains, boundaries.angles
    (array([[0, 1]]), array([30.]))
    """
    from orix.crystal_map import CrystalMap

    check_type("grains", grains, (Grains, CrystalMap), "Look at the maps of a list one by one.")
    if isinstance(grains, Grains):
        if kwargs:
            raise TypeError(f"Arguments {sorted(kwargs)} are for maps; these grains are found.")
    else:
        grains = find_grains(grains, **kwargs)
    pairs = grains.grid.pairs()
    sides = grains.labels[pairs]
    pairs = pairs[(sides >= 0).all(axis=1) & (sides[:, 0] != sides[:, 1])]
    angles, axes = _misorientations(grains, pairs)
    return GrainBoundaries(grains, pairs, angles, axes)


@dataclass(frozen=True, eq=False, repr=False)
class GrainBoundaries:
    """Boundary segments between grains, from `grain_boundaries`.

    Attributes
    ----------
    of
        The grains.
    points
        Points in the data on both sides of every segment, shape (segments, 2).
    angles
        Misorientation in degrees between these two points, modulo the group that the grains were
        found with; for two phases modulo the groups of both. For points that were merged into a
        grain, the mean orientation of the grain counts. Shape (segments,).
    axes
        Misorientation axis in the crystal's Cartesian frame (x along a, z along c*), of unit
        length, brought into the fundamental sector of that group with inversion, since an axis and
        its opposite are the same boundary. NaN between phases of different groups. Shape
        (segments, 3).
    """

    of: Grains
    points: np.ndarray
    angles: np.ndarray
    axes: np.ndarray

    def __len__(self) -> int:
        """Return the number of segments."""
        return len(self.points)

    def __repr__(self) -> str:
        """Return number, length and median angle."""
        if len(self) == 0:
            return "<GrainBoundaries: none>"
        return (
            f"<GrainBoundaries: {len(self)} segments, {self.lengths.sum():.4g} "
            f"{self.of.xmap.scan_unit}, median misorientation {np.median(self.angles):.1f} degrees>"
        )

    @property
    def grains(self) -> np.ndarray:
        """Return the grains on both sides, shape (segments, 2)."""
        return self.of.labels[self.points]

    @property
    def phase_ids(self) -> np.ndarray:
        """Return the phase ids on both sides, shape (segments, 2)."""
        return self.of.xmap.phase_id[self.points]

    @property
    def is_phase_boundary(self) -> np.ndarray:
        """Return whether a segment lies between two phases, shape (segments,)."""
        first, second = self.phase_ids.T
        return first != second

    @cached_property
    def segments(self) -> np.ndarray:
        """Return both ends (x, y) of every segment in scan units, shape (segments, 2, 2)."""
        grid = self.of.grid
        row, column = grid.row[self.points], grid.column[self.points]
        middle = np.stack([column.mean(axis=1), row.mean(axis=1)], axis=1)
        # From point to point, turned by a quarter.
        across = np.stack([row[:, 1] - row[:, 0], column[:, 1] - column[:, 0]], axis=1) / 2
        ends = np.stack([middle - across, middle + across], axis=1)
        return ends * grid.step + grid.origin

    @cached_property
    def lengths(self) -> np.ndarray:
        """Return the length of every segment in scan units, shape (segments,)."""
        return np.linalg.norm(self.segments[:, 1] - self.segments[:, 0], axis=1)

    @cached_property
    def table(self) -> dict[str, np.ndarray]:
        """Return all segments as columns, by name."""
        (x1, y1), (x2, y2) = self.segments.transpose(1, 2, 0)
        columns = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "length": self.lengths}
        for name, values in (("grain", self.grains), ("phase_id", self.phase_ids)):
            columns |= {f"{name}_1": values[:, 0], f"{name}_2": values[:, 1]}
        columns["angle"] = self.angles
        return columns | {f"axis_{n}": self.axes[:, i] for i, n in enumerate("xyz")}

    def to_dataframe(self) -> Any:
        """Return the table as a pandas DataFrame, one row for each segment.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return to_dataframe(self.table)

    def is_coincidence(self, sigma: int, tolerance: float | None = None) -> np.ndarray:
        """Return which segments are near a coincidence site lattice, such as Sigma 3 twins.

        Parameters
        ----------
        sigma
            3, 5, 7, 9 or 11.
        tolerance
            Largest deviation of the misorientation, axis included, in degrees. By default
            Brandon's criterion, 15 degrees divided by the root of Sigma (Brandon, Acta Metall. 14
            (1966) 1479).

        Returns
        -------
        is_coincidence
            Booleans of shape (segments,); False unless both sides are one phase of Laue group
            m-3m.

        Raises
        ------
        ValueError
            If there is no such Sigma in the list, or the tolerance is not above zero.
        """
        from orix.quaternion.symmetry import O

        check_choice("sigma", sigma, COINCIDENCE)
        tolerance = _BRANDON / np.sqrt(sigma) if tolerance is None else tolerance
        check_positive("tolerance", tolerance, remedy="It is in degrees.")
        near = np.zeros(len(self), dtype=bool)
        for phase_id, phase in self.of.xmap.phases:
            if phase_id < 0 or phase.point_group.laue.name != "m-3m":
                continue
            here = (self.phase_ids == phase_id).all(axis=1)
            p, q = _orientations(self.of)[self.points[here]].transpose(1, 0, 2)
            # <S p ~q ~T, C> = <p ~q, ~S C T>, up to sign
            ideal = _rotation(*COINCIDENCE[sigma])
            variants = multiply(multiply(O.data[:, None], ideal), O.data[None]).reshape(-1, 4)
            near[here] = misorientation_angles(p, q, variants) < tolerance
        return near


def _misorientations(grains: Grains, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return angles in degrees and axes of pairs of points, by pairs of phases."""
    xmap, q = grains.xmap, _orientations(grains)
    angles, axes = np.full(len(pairs), np.nan), np.full((len(pairs), 3), np.nan)
    phase_ids = xmap.phase_id[pairs]
    for ids in np.unique(phase_ids, axis=0):
        here = np.flatnonzero((phase_ids == ids).all(axis=1))
        first, second = q[pairs[here]].transpose(1, 0, 2)
        one, other = (proper_group(xmap.phases[int(i)], grains.group) for i in ids)
        operations = combined_operations(one.data, other.data)
        nearest, angles[here] = nearest_equivalents(second, first, operations)
        if same_matrices(one.to_matrix(), other.to_matrix()):
            axes[here] = _axes(multiply(nearest, conjugate(first)), one.laue)
    return angles, axes


def _orientations(grains: Grains) -> np.ndarray:
    """Return the orientation of every point, of merged ones the mean of their grain."""
    q, merged = best_quaternions(grains.xmap), grains.merged
    if np.any(merged):
        q[merged] = grains.mean_rotations.data[grains.labels[merged]]
    return q


def _axes(misorientations: np.ndarray, laue: Any) -> np.ndarray:
    """Return axes in the fundamental sector; NaN where there is no misorientation."""
    from orix.vector import Vector3d

    axes = to_rotation_vector(misorientations)
    length = np.linalg.norm(axes, axis=1, keepdims=True)
    axes = np.divide(axes, length, out=np.full_like(axes, np.nan), where=length > 1e-6)
    known = np.isfinite(axes[:, 0])
    # Block by block: orix compares every axis with every operation.
    for start in range(0, len(axes), 100_000):
        block = np.flatnonzero(known[start : start + 100_000]) + start
        if block.size:
            axes[block] = Vector3d(axes[block]).in_fundamental_sector(laue).data
    return axes


def _rotation(axis: tuple[int, int, int], degrees: float) -> np.ndarray:
    """Return a quaternion of an axis and an angle."""
    half = np.deg2rad(degrees) / 2
    return np.append(np.cos(half), np.sin(half) * np.array(axis) / np.linalg.norm(axis))
