"""Several maps on their shared points: orientations, and phases numbered alike in all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.maps.comparison.alignment import SharedPoints, share_points
from pyxem_cnn.maps.disorientation import is_same_crystal
from pyxem_cnn.maps.misorientation import best_quaternions, proper_group

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

__all__ = ["LEFT_OUT", "AlignedMap", "CommonPhase", "align_maps"]

NOT_INDEXED, LEFT_OUT = -1, -2
"""What stands in `AlignedMap.phase` where there is no orientation, or no point at all."""

# Names of properties that say how well an orientation fits, the better known ones first.
_SCORES = ("scores", "correlation", "ncc", "ci", "dp", "rel", "MAD", "iq")


@dataclass
class CommonPhase:
    """A crystal, as each of several maps describes it.

    Attributes
    ----------
    phases
        The phase of each map that has it, by the map's name.
    """

    phases: dict[str, Phase] = field(default_factory=dict)

    @property
    def best(self) -> Phase:
        """Return the fullest description: the largest Laue group, then the one with atoms."""
        # .ang files hold the rotations of a group only: of -43m, those of 23 remain.
        return max(
            self.phases.values(),
            key=lambda phase: (phase.point_group.laue.size, len(phase.structure) > 0),
        )

    @property
    def name(self) -> str:
        """Return the name that the first map gives to it."""
        return next(iter(self.phases.values())).name

    def rotations(self, group: str) -> np.ndarray:
        """Return the rotations of the "Laue" or "point" group, shape (n_operations, 4)."""
        return np.asarray(proper_group(self.best, group).data)


@dataclass(frozen=True)
class AlignedMap:
    """One map on the shared points.

    Attributes
    ----------
    xmap
        The whole map.
    quaternions
        Best orientations, lab to crystal, shape (rows, columns, 4); the identity where there is
        none.
    phase
        Number of the common phase, shape (rows, columns); -1 not indexed, -2 left out.
    index
        Which point in the data of the map lies there, shape (rows, columns); -1 for none.
    """

    xmap: CrystalMap
    quaternions: np.ndarray
    phase: np.ndarray
    index: np.ndarray

    def values(self, of_points: np.ndarray) -> np.ndarray:
        """Return values (points in the data,) of the map on the shared points, NaN elsewhere."""
        of_points = np.asarray(of_points, dtype=float)
        return np.where(self.index >= 0, of_points[self.index], np.nan)

    def scores(self) -> tuple[str, np.ndarray]:
        """Return name and values (rows, columns) of the score; an empty name if there is none."""
        for name in _SCORES:
            # Files of maps without scores have columns of zeros.
            if name in self.xmap.prop and np.any(self.xmap.prop[name]):
                values = np.asarray(self.xmap.prop[name])
                return name, self.values(values[:, 0] if values.ndim == 2 else values)
        return "", np.full(self.phase.shape, np.nan)


def align_maps(
    maps: dict[str, CrystalMap],
) -> tuple[dict[str, AlignedMap], list[CommonPhase], SharedPoints]:
    """Return maps on the points that they share, and the phases that any of them has.

    Phases of different maps are one if :func:`pyxem_cnn.maps.disorientation.is_same_crystal`;
    names count only where a map has several phases of one cell and symmetry.

    Parameters
    ----------
    maps
        The maps, by the names that messages call them.

    Returns
    -------
    aligned
        The maps on the shared points, by name.
    phases
        The common phases.
    shared
        The shared points.

    Raises
    ------
    ValueError
        If the grids do not fit, or a phase has no point group.
    """
    shared = share_points(maps)
    phases: list[CommonPhase] = []
    aligned = {}
    for (name, xmap), index in zip(maps.items(), shared.index, strict=True):
        numbers = _numbers(name, xmap, phases)
        ids = np.array([numbers.get(i, NOT_INDEXED) for i in xmap.phase_id.tolist()], dtype=int)
        there = index >= 0
        phase = np.where(there, ids[index], LEFT_OUT)
        quaternions = np.where((phase >= 0)[..., None], best_quaternions(xmap)[index], [1, 0, 0, 0])
        aligned[name] = AlignedMap(xmap, quaternions, phase, index)
    return aligned, phases, shared


def _numbers(name: str, xmap: CrystalMap, phases: list[CommonPhase]) -> dict[int, int]:
    """Return the number of each phase id of a map; enter its phases into the common ones."""
    numbers = {}
    for phase_id, phase in xmap.phases_in_data:
        if phase_id < 0:
            continue
        if phase.point_group is None:
            remedy = f"Set {name}.phases[{phase_id}].point_group, or load the file with phases=."
            what = f"Point group of phase {phase.name!r} in {name}"
            raise ValueError(given_expected(what, None, "one", remedy))
        same = [
            i
            for i, common in enumerate(phases)
            if name not in common.phases and is_same_crystal(common.best, phase)
        ]
        named = [i for i in same if phases[i].name == phase.name]
        if not same:
            phases.append(CommonPhase())
        number = (named or same or [len(phases) - 1])[0]
        phases[number].phases[name] = phase
        numbers[int(phase_id)] = number
    return numbers
