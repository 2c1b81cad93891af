"""How the other orientations of a point are related to the best one: by which half turn, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pyxem_cnn.crystal.zone_axes import TwinAxes, lattice_translations
from pyxem_cnn.maps.misorientation import misorientation_angles, proper_group
from pyxem_cnn.rotations import rotate, zone_axis

if TYPE_CHECKING:
    from orix.crystal_map import Phase

    from pyxem_cnn.crystal.structure import CrystalStructure
    from pyxem_cnn.simulation.kinematic import KinematicSimulator

__all__ = ["Related", "axes_of_phase", "relate", "twin_differences"]

_BLOCK = 10_000  # orientations: 50 MB for 1300 axes
# Angles that differ by less are equal, degrees: the nearer axis is then the one.
_SAME_ANGLE = 0.1
# Patterns of one axis are simulated once for all zone axes in a cell of this size, 0.23 degrees.
_CELL = 0.004


class Related(NamedTuple):
    """How orientations (n, m) are related to the best ones (n,).

    Attributes
    ----------
    is_near
        Whether they are the same within the tolerance.
    axis
        Number of the axis of the half turn, -1 for none.
    deviation
        Angle in degrees from the exact twin; NaN without an axis.
    """

    is_near: np.ndarray
    axis: np.ndarray
    deviation: np.ndarray


def axes_of_phase(phase: Phase, crystal: CrystalStructure | None, largest_index: int) -> TwinAxes:
    """Return the axes of half turns of a phase.

    Parameters
    ----------
    phase
        With a cell and a point group.
    crystal
        The phase with its atoms. Without them, the lattice is taken to be primitive.
    largest_index
        Of u, v and w.

    Raises
    ------
    ValueError
        If it has no cell or no point group.
    """
    symmetry = proper_group(phase).data
    lattice = phase.structure.lattice
    if np.allclose(lattice.abcABG(), (1, 1, 1, 90, 90, 90)):
        raise ValueError(
            f"Phase {phase.name!r} has no cell (a = b = c = 1 angstrom), which zone axes refer to. "
            "Load the map with load_crystal_map(path, phases=), or set its structure."
        )
    translations = np.empty((0, 3)) if crystal is None else lattice_translations(crystal)
    return TwinAxes.of_lattice(lattice.base.T, symmetry, translations, largest_index)


def relate(
    best: np.ndarray,
    others: np.ndarray,
    there: np.ndarray,
    axes: TwinAxes,
    symmetry: np.ndarray,
    limits: tuple[float, float],
) -> Related:
    """Return how orientations are related to the best ones.

    Parameters
    ----------
    best
        Shape (n, 4), lab to crystal.
    others
        Shape (n, m, 4).
    there
        Which of the others are to be looked at, shape (n, m).
    axes
        Axes of half turns of the phase.
    symmetry
        Proper rotations of its Laue group, shape (s, 4).
    limits
        Tolerance in degrees, and largest offset of an axis from the beam in angstrom.
    """
    tolerance, farthest = limits
    is_near = np.zeros(there.shape, dtype=bool)
    point, rank = np.nonzero(there)
    angles = misorientation_angles(best[point], others[point, rank], symmetry)
    is_near[point, rank] = angles <= tolerance
    axis, deviation = np.full(there.shape, -1), np.full(there.shape, np.nan)
    asked = there & ~is_near
    points = np.flatnonzero(asked.any(axis=1))
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        place, number, offset = axes.near(best[block], farthest)
        point = block[place]
        turned = axes.turned(best[point], number)
        for rank in range(there.shape[1]):
            here = np.flatnonzero(asked[point, rank])
            angles = misorientation_angles(turned[here], others[point[here], rank], symmetry)
            right = angles <= tolerance
            here, angles = here[right], angles[right]
            # The best of each point is written last.
            last = np.lexsort((offset[here], np.round(angles / _SAME_ANGLE)))[::-1]
            axis[point[here[last]], rank] = number[here[last]]
            deviation[point[here[last]], rank] = angles[last]
    return Related(is_near, axis, deviation)


def twin_differences(
    simulator: KinematicSimulator, axes: TwinAxes, best: np.ndarray, number: np.ndarray
) -> np.ndarray:
    """Return how much the patterns of orientations and of their exact twins differ.

    Patterns that agree but for a turn in the plane or for symmetry, and whose zone axes are 0.2
    degrees apart, are simulated once.

    Parameters
    ----------
    simulator
        Of the phase.
    axes
        Axes of half turns.
    best
        Orientations, shape (n, 4), lab to crystal.
    number
        Which axis makes the twin of each, shape (n,).

    Returns
    -------
    difference
        As :func:`pyxem_cnn.metrics.pattern_difference` has it, shape (n,).
    """
    from pyxem_cnn.maps.comparison.twins import pattern_differences

    _, family = np.unique(axes.families, axis=0, return_inverse=True)
    direction = rotate(axes.to_family[number], zone_axis(best))
    size = int(2 / _CELL) + 1
    key = family.ravel()[number].astype(np.int64)
    for cell in np.floor((direction.clip(-1, 1) + 1) / _CELL).astype(np.int64).T:
        key = key * size + cell
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    one = best[first]
    return pattern_differences(simulator, one, axes.turned(one, number[first]))[inverse.ravel()]
