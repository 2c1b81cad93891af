"""The list of twins in a map: what it holds, and how it becomes properties of the map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.maps.building import with_properties
from pyxem_cnn.maps.twins.text import summarize_twins

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["RELATIONS", "TwinList"]

RELATIONS = ("best", "twin", "near", "other", "other phase", "none")
"""How an orientation can be related to the best one of its point."""


@dataclass(frozen=True, eq=False, repr=False)
class TwinList:
    """How the orientations of each point are related, from :func:`pyxem_cnn.list_twins`.

    Arrays have the shape (points in the data, n_best, ...), in the order of the map.

    Attributes
    ----------
    xmap
        The map that was looked at.
    relation_codes
        Places in "best", "twin", "near", "other", "other phase", "none": see `relation`.
    axis
        The zone axis [uvw] of the half turn that makes the twin of the best orientation, towards
        the source, in the indices of the crystal as that orientation has it; 0 0 0 where an
        orientation is no twin. Shape (points, n_best, 3).
    family
        The same one of all axes that are equivalent to it, <uvw>, shape (points, n_best, 3).
    tilt
        Angle in degrees between the axis and the beam, NaN where there is none.
    deviation
        Angle in degrees of the orientation from the exact twin, NaN where it is none.
    difference
        ``R = sum |P - Q| / sum (P + Q)`` of the kinematic patterns of the best orientation and its
        exact twin, as :func:`pyxem_cnn.metrics.pattern_difference` has it. Below 0.1, no indexing
        tells the two apart. NaN where there is no twin or nothing was simulated.
    score_with_twins
        Probability that the best orientation or one of its listed twins is right, the sum of their
        scores, shape (points,). NaN where nothing is indexed, and without scores.
    accelerating_voltage
        In kV; None where nothing was simulated.
    k_max
        Radius of the detector, 1/angstrom.
    largest_index
        Of the axes.
    tolerance
        In degrees.
    scores
        Name of the property that was summed, None for none.
    """

    xmap: CrystalMap
    relation_codes: np.ndarray
    axis: np.ndarray
    family: np.ndarray
    tilt: np.ndarray
    deviation: np.ndarray
    difference: np.ndarray
    score_with_twins: np.ndarray
    accelerating_voltage: float | None
    k_max: float
    largest_index: int
    tolerance: float
    scores: str | None

    @cached_property
    def relation(self) -> np.ndarray:
        """How each orientation is related to the best one, texts of shape (points, n_best).

        "best" is the best one itself, "twin" a twin of it, "near" the same within the tolerance,
        "other" another orientation of its phase, such as a second grain's or a wrong one,
        "other phase" one of another phase. "none" where there is no orientation, or one whose score
        is too low, and at points that are not indexed.
        """
        return np.array(RELATIONS)[self.relation_codes]

    @cached_property
    def is_twin(self) -> np.ndarray:
        """Which orientations are twins of the best one, booleans of shape (points, n_best)."""
        return self.relation_codes == RELATIONS.index("twin")

    def counts(self, rank: int = 1) -> dict[str, int]:
        """Return how many orientations of one rank are of each relation, at indexed points.

        Parameters
        ----------
        rank
            1 for the second orientations, 2 for the third ones.
        """
        codes = self.relation_codes[self.xmap.is_indexed, rank]
        counts = np.bincount(codes, minlength=len(RELATIONS)).tolist()
        return dict(zip(RELATIONS[1:], counts[1:], strict=True))

    def summary(self) -> str:
        """Return what the other orientations are, and the twins by phase and axis, as text."""
        return summarize_twins(self)

    def to_crystal_map(self) -> CrystalMap:
        """Return the map with the list among its properties.

        Returns
        -------
        crystal_map
            The same points and orientations, with ``prop["twin_axis"]`` (points, n_best, 3),
            ``twin_tilt`` and ``twin_difference`` (points, n_best) and ``score_with_twins``
            (points,), as they are here. Tables (.csv) have no column for the first.
        """
        prop = {
            "twin_axis": self.axis,
            "twin_tilt": self.tilt,
            "twin_difference": self.difference,
            "score_with_twins": self.score_with_twins,
        }
        return with_properties(self.xmap, prop)

    def __repr__(self) -> str:
        """Return what the second orientations are."""
        told = ", ".join(f"{count} {name}" for name, count in self.counts().items() if count)
        return f"<TwinList: {len(self.axis)} points; second orientations: {told or 'none'}>"
