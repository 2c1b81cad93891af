"""Why two maps disagree at a point: twin, neighbour grain, phase, not indexed, unexplained."""

from __future__ import annotations

import numpy as np

from pyxem_cnn.maps.comparison.aligned import LEFT_OUT, AlignedMap, CommonPhase
from pyxem_cnn.maps.comparison.twins import find_twins, simulator_of
from pyxem_cnn.maps.misorientation import misorientation_angles

__all__ = ["CAUSES", "find_causes", "modulo_twins", "pair_misorientation"]

CAUSES = (
    "agrees",
    "twin",
    "neighbour grain",
    "unexplained",
    "phase",
    "not indexed in {a}",
    "not indexed in {b}",
    "not indexed in both",
    "left out",
)
"""What can stand in ``MapComparison.cause``, with the names of the maps."""

# Smaller differences are never counted as twins: the patterns of 2 degrees apart may be alike.
_LEAST_TWIN_ANGLE = 2.0
_AROUND = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


def pair_misorientation(
    first: AlignedMap, second: AlignedMap, phases: list[CommonPhase], group: str
) -> np.ndarray:
    """Return the misorientation of two maps at their shared points.

    Parameters
    ----------
    first, second
        The maps.
    phases
        Their common phases.
    group
        "Laue" or "point".

    Returns
    -------
    degrees
        Shape (rows, columns); NaN where a map has no orientation, infinite where phases differ.
    """
    degrees = np.full(first.phase.shape, np.nan)
    both = (first.phase >= 0) & (second.phase >= 0)
    degrees[both & (first.phase != second.phase)] = np.inf
    for number, phase in enumerate(phases):
        here = both & (first.phase == number) & (second.phase == number)
        p, q = first.quaternions[here], second.quaternions[here]
        degrees[here] = misorientation_angles(p, q, phase.rotations(group))
    return degrees


def modulo_twins(
    degrees: np.ndarray,
    maps: tuple[AlignedMap, AlignedMap],
    phases: list[CommonPhase],
    accelerating_voltage: float,
) -> tuple[np.ndarray, list[str]]:
    """Return misorientations with 0 where both orientations have all but the same pattern.

    Parameters
    ----------
    degrees
        From `pair_misorientation`, shape (rows, columns).
    maps
        Both maps.
    phases
        Their common phases.
    accelerating_voltage
        In kV.

    Returns
    -------
    degrees
        Shape (rows, columns).
    notes
        For which phases twins were not looked for, and why.
    """
    first, second = maps
    degrees, notes = degrees.copy(), []
    for number, phase in enumerate(phases):
        far = (first.phase == number) & (degrees > _LEAST_TWIN_ANGLE) & np.isfinite(degrees)
        if not far.any():
            continue
        simulator = simulator_of(list(phase.phases.values()), accelerating_voltage)
        if isinstance(simulator, str):
            notes.append(f"Twins of {phase.name} are not counted: {simulator}.")
            continue
        twins = find_twins(simulator, first.quaternions[far], second.quaternions[far])
        degrees[far] = np.where(twins, 0.0, degrees[far])
    return degrees, notes


def find_causes(
    degrees: np.ndarray,
    without_twins: np.ndarray | None,
    maps: dict[str, AlignedMap],
    phases: list[CommonPhase],
    group: str,
    tolerance: float,
) -> np.ndarray:
    """Return why two maps disagree.

    A neighbour grain is the cause at a grain boundary: the orientations differ by more than twice
    the tolerance, and each map's is that of the other map at one of the eight points around. In a
    grain that both maps speckle with two orientations, this is so, too.

    Parameters
    ----------
    degrees, without_twins
        Misorientations plain and modulo twins, shape (rows, columns). The second may be None: then
        there are no twins among the causes.
    maps
        Both maps by name.
    phases
        Their common phases.
    group
        "Laue" or "point".
    tolerance
        Angle in degrees up to which orientations agree.

    Returns
    -------
    cause
        Texts, shape (rows, columns).
    """
    without_twins = degrees if without_twins is None else without_twins
    (a, first), (b, second) = maps.items()
    causes = [text.format(a=a, b=b) for text in CAUSES]
    lacks = [aligned.phase < 0 for aligned in (first, second)]
    far = np.isfinite(degrees) & (degrees > tolerance)
    # Either orientation has to lie beside the point in the other map: the right one alone does so
    # inside of a grain, too, where one of the maps is wrong at a single point.
    # Below twice the tolerance, scatter within a grain would look like a boundary.
    near_neighbour = far & (without_twins > 2 * tolerance)
    for one, other in ((first, second), (second, first)):
        near_neighbour = _agrees_around(one, other, near_neighbour, phases, group, tolerance)
    conditions = {
        "left out": (first.phase == LEFT_OUT) | (second.phase == LEFT_OUT),
        causes[7]: lacks[0] & lacks[1],
        causes[5]: lacks[0],
        causes[6]: lacks[1],
        "phase": np.isinf(degrees),
        "agrees": degrees <= tolerance,
        "twin": without_twins <= tolerance,
        "neighbour grain": near_neighbour,
    }
    return np.select(list(conditions.values()), list(conditions), "unexplained")


def _agrees_around(
    first: AlignedMap,
    second: AlignedMap,
    asked: np.ndarray,
    phases: list[CommonPhase],
    group: str,
    tolerance: float,
) -> np.ndarray:
    """Return where the first map agrees with the second one at one of the eight points around."""
    found = np.zeros_like(asked)
    rows, columns = asked.shape
    for down, right in _AROUND:
        row, column = np.nonzero(asked & ~found)
        inside = (
            (row + down >= 0)
            & (row + down < rows)
            & (column + right >= 0)
            & (column + right < columns)
        )
        row, column = row[inside], column[inside]
        number = first.phase[row, column]
        p, q = first.quaternions[row, column], second.quaternions[row + down, column + right]
        same = number == second.phase[row + down, column + right]
        for i in np.unique(number[same]):
            here = same & (number == i)
            angles = misorientation_angles(p[here], q[here], phases[i].rotations(group))
            found[row[here], column[here]] |= angles <= tolerance
    return found
