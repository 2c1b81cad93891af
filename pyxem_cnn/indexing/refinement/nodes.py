"""Simulated spots on an even grid of zone axes, of which only those that are asked for are made."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn.rotations import conjugate, multiply, rotate, swing_twist, with_zone_axis, zone_axis
from pyxem_cnn.simulation.sampling import sphere_directions

if TYPE_CHECKING:
    from pyxem_cnn.indexing.refinement.spot_sources import SpotSource

__all__ = ["NodeSpots", "Nodes"]

# Orientations are turned by symmetry to where their zone axis is nearest to this direction, so that
# equivalent ones share their nodes. No operation of any point group maps it near itself.
_GENERIC = np.array([0.36, 0.23, 0.90]) / np.linalg.norm([0.36, 0.23, 0.90])
# Nodes that are simulated at once, and how many are kept: about 200 MB of spots.
_BATCH, _MOST = 256, 40_000


class NodeSpots(NamedTuple):
    """Spots of nodes, as far as they are simulated.

    Attributes
    ----------
    radius, azimuth
        Of the spots, 1/angstrom and radians, shape (N, S).
    intensity
        Of whole discs, shape (N, T, S).
    """

    radius: np.ndarray
    azimuth: np.ndarray
    intensity: np.ndarray


class Nodes:
    """A library of one phase that grows where orientations are looked for.

    Several threads may use it.

    Parameters
    ----------
    source
        Simulates spots.
    spacing
        Mean distance of neighbouring zone axes in degrees.
    """

    def __init__(self, source: SpotSource, spacing: float) -> None:
        from scipy.spatial import cKDTree

        self.source, self.spacing = source, spacing
        self.symmetry = source.crystal.symmetry_quaternions(polarity=True)
        directions = sphere_directions(round(4 * np.pi / np.deg2rad(spacing) ** 2))
        self.quaternions = with_zone_axis(directions)
        self._tree = cKDTree(directions)
        self._row: np.ndarray
        self._spots: NodeSpots | None
        self._n: int
        self._forget()
        self._lock = threading.Lock()

    def to_sector(self, quaternions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return equivalent orientations near one sector, and the operations that lead there.

        Parameters
        ----------
        quaternions
            Shape (n, 4).

        Returns
        -------
        equivalent, operations
            ``equivalent = multiply(operations, quaternions)``, both of shape (n, 4).
        """
        axes = rotate(self.symmetry, zone_axis(quaternions)[:, None])
        operations = self.symmetry[(axes @ _GENERIC).argmax(1)]
        return multiply(operations, quaternions), operations

    def near(
        self, quaternions: np.ndarray, radius: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the nodes whose zone axis is near those of orientations.

        Parameters
        ----------
        quaternions
            Shape (n, 4), from `to_sector`.
        radius
            In degrees.

        Returns
        -------
        which, node, turn
            Index of the orientation, of the node, and the angle in radians by which the node's
            pattern has to be turned, each of shape (pairs,).
        """
        found = self._tree.query_ball_point(
            zone_axis(quaternions), 2 * np.sin(np.deg2rad(radius) / 2)
        )
        which = np.repeat(np.arange(len(found)), [len(one) for one in found])
        node = np.concatenate([np.asarray(one, dtype=int) for one in found])
        relative = multiply(conjugate(self.quaternions[node]), quaternions[which])
        return which, node, -swing_twist(relative)[1]

    def spots(self, node: np.ndarray) -> tuple[NodeSpots, np.ndarray]:
        """Return spots, and where in their arrays those of some nodes stand.

        Parameters
        ----------
        node
            Indices of nodes, shape (n,).

        Returns
        -------
        spots, rows
            ``spots.radius[rows]`` are those of the nodes.
        """
        with self._lock:
            missing = np.unique(node[self._row[node] < 0])
            if self._n + len(missing) > _MOST:
                self._forget()
                missing = np.unique(node)
            if len(missing):
                self._simulate(missing)
            assert self._spots is not None
            return self._spots, self._row[node]

    def _forget(self) -> None:
        """Begin anew. Others that hold the old arrays may go on with them."""
        self._row = np.full(len(self.quaternions), -1)
        self._spots, self._n = None, 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the spots out of a pickle: they are simulated again where they are needed."""
        return type(self), (self.source, self.spacing)

    def _simulate(self, missing: np.ndarray) -> None:
        """Add nodes to the library."""
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            depths = np.broadcast_to(self.source.depths, (len(batch), len(self.source.depths)))
            spots = self.source.calculate(self.quaternions[batch], depths)
            new = NodeSpots(
                np.hypot(spots.k[..., 0], spots.k[..., 1]),
                np.arctan2(spots.k[..., 1], spots.k[..., 0]),
                spots.intensity.sum(-1),
            )
            self._append(new)
            self._row[batch] = np.arange(self._n - len(batch), self._n)

    def _append(self, new: NodeSpots) -> None:
        """Put spots behind the others. Who holds the old arrays may go on with them."""
        n = len(new.radius)
        size = 0 if self._spots is None else len(self._spots.radius)
        if self._n + n > size:
            larger = max(2 * size, self._n + n, 4 * _BATCH)
            grown = [np.zeros((larger, *array.shape[1:]), array.dtype) for array in new]
            if self._spots is not None:
                for array, old in zip(grown, self._spots, strict=True):
                    array[: self._n] = old[: self._n]
            self._spots = NodeSpots(*grown)
        for array, part in zip(self._spots, new, strict=True):
            array[self._n : self._n + n] = part
        self._n += n
