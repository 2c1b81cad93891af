"""How far a map is from the true one: same crystals, and the angle at every point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_type, given_expected
from pyxem_cnn.maps.misorientation import best_quaternions, misorientation_angles, proper_group

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

__all__ = ["errors_in_degrees", "has_same_cell", "is_same_crystal"]

# Cells that differ by less are one phase.
_CELL_TOLERANCE = 0.02


def has_same_cell(phase: Phase, other: Phase) -> bool:
    """Return whether cell lengths and angles agree within 2 percent.

    Parameters
    ----------
    phase, other
        With cells.
    """
    cells = [p.structure.lattice.abcABG() for p in (phase, other)]
    return bool(np.allclose(*cells, rtol=_CELL_TOLERANCE))


def is_same_crystal(phase: Phase, other: Phase) -> bool:
    """Return whether two phases are one crystal: about the same cell and the same symmetry.

    Parameters
    ----------
    phase, other
        With point groups. Names do not count.

    Returns
    -------
    same
        True if cell lengths and angles agree within 2 percent, and either the Laue groups are of
        one type or the point groups have the same rotations: .ang files keep no more of a group.
    """
    if not has_same_cell(phase, other):
        return False
    if None in (phase.point_group, other.point_group):
        return False
    laue = {p.point_group.laue.name.split(":")[0] for p in (phase, other)}
    proper = {p.point_group.proper_subgroup.name.split(":")[0] for p in (phase, other)}
    return len(laue) == 1 or len(proper) == 1


def errors_in_degrees(xmap: CrystalMap, truth: CrystalMap) -> np.ndarray:
    """Return the disorientation of every point from the true orientation.

    Orientations count modulo the proper rotations of the true phase's Laue group.

    Parameters
    ----------
    xmap
        The map. The best orientation of every point counts.
    truth
        The true orientations at the same points.

    Returns
    -------
    degrees
        Shape (points in the data of `xmap`,). NaN where the truth has no phase (vacuum); infinite
        where the map has none or another one: of another point group, or another cell by more
        than 2 percent. Names do not count.

    Raises
    ------
    ValueError
        If the maps do not have the same points.
    """
    from orix.crystal_map import CrystalMap

    check_type("xmap", xmap, CrystalMap, "Compare the maps of a list one by one.")
    check_type("truth", truth, CrystalMap, "Compare the maps of a list one by one.")
    if xmap.is_in_data.shape != truth.is_in_data.shape or not np.all(
        truth.is_in_data[xmap.is_in_data]
    ):
        expected = f"those of the map, {xmap.is_in_data.size}, none of them left out"
        raise ValueError(given_expected("points of truth", truth.is_in_data.size, expected))
    truth = truth[xmap.is_in_data[truth.is_in_data]]
    found, true = best_quaternions(xmap), best_quaternions(truth)
    degrees = np.full(xmap.size, np.nan)
    for phase_id, phase in truth.phases_in_data:
        if phase_id < 0:
            continue
        here = truth.phase_id == phase_id
        same = [i for i, other in xmap.phases if i >= 0 and is_same_crystal(phase, other)]
        right = here & np.isin(xmap.phase_id, same)
        degrees[here] = np.inf
        symmetry = proper_group(phase).data
        degrees[right] = misorientation_angles(true[right], found[right], symmetry)
    return degrees
