"""What whole maps may differ by: the lab frame, the crystals' axes, the order of the scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pyxem_cnn.maps.comparison.aligned import AlignedMap, CommonPhase
from pyxem_cnn.maps.comparison.disagreement import pair_misorientation
from pyxem_cnn.maps.comparison.frames import LabRotation, find_lab_rotation
from pyxem_cnn.maps.files.crystal_axes import CRYSTAL_AXES, turn_of_axes
from pyxem_cnn.rotations import conjugate, multiply

__all__ = ["explain_mismatch"]

_ORDERS = {
    "": (slice(None), slice(None)),
    "its rows in the opposite order": (slice(None, None, -1), slice(None)),
    "its columns in the opposite order": (slice(None), slice(None, None, -1)),
    "its rows and columns in the opposite order": (slice(None, None, -1), slice(None, None, -1)),
}
# Maps of which more agrees are in the same frame.
_ENOUGH = 0.5


def explain_mismatch(
    maps: dict[str, AlignedMap], phases: list[CommonPhase], group: str, tolerance: float
) -> tuple[LabRotation | None, list[str]]:
    """Return the one change that makes maps agree that do not, if there is one.

    Looked for only if less than half of the points of the commonest phase agree.

    Parameters
    ----------
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
    rotation
        Of the lab frame of the second map, with its scan as it is; None if there is none.
    notes
        What was found, in a sentence.
    """
    (a, first), (b, second) = maps.items()
    both = (first.phase >= 0) & (first.phase == second.phase)
    if not both.any():
        return None, []
    degrees = pair_misorientation(first, second, phases, group)
    before = _share(degrees, tolerance)
    if before > _ENOUGH:
        return None, []
    for how, other in _changed((a, b), second, phases):
        share = _share(pair_misorientation(first, other, phases, group), tolerance)
        if share > max(_ENOUGH, 2 * before):
            return None, [f"{b} agrees with {a} at {100 * share:.0f} % of the points {how}."]
    for order, view in _ORDERS.items():
        other = _reordered(second, view)
        rotation = _lab_rotation(first, other, phases, group, tolerance)
        if rotation is not None:
            how = f"{b} agrees with {a} after a rotation by {rotation}"
            remedy = (
                "Is one of them in another frame, or of a mirrored or turned detector? "
                "lab_rotation.quaternion is the frame= of load_crystal_map."
            )
            if order:
                return None, [f"{how}, with {order}. {remedy}"]
            return rotation, [f"{how}. {remedy}"]
    return None, []


def _changed(
    names: tuple[str, str], aligned: AlignedMap, phases: list[CommonPhase]
) -> Iterator[tuple[str, AlignedMap]]:
    """Yield the second map with the scan in other orders and with other crystal axes, and how."""
    for order, view in _ORDERS.items():
        if order:
            yield f"with {order}", _reordered(aligned, view)
    other_axes = CRYSTAL_AXES[1]
    for name, back in zip(names, (False, True), strict=True):
        quaternions = aligned.quaternions.copy()
        for number, phase in enumerate(phases):
            here = aligned.phase == number
            turn = turn_of_axes(phase.best, other_axes)
            quaternions[here] = multiply(conjugate(turn) if back else turn, quaternions[here])
        how = f"if {name} is read with crystal_axes={other_axes!r}"
        yield how, replace(aligned, quaternions=quaternions)


def _share(degrees: np.ndarray, tolerance: float) -> float:
    known = degrees[~np.isnan(degrees)]
    return float(np.mean(known <= tolerance)) if known.size else 0.0


def _reordered(aligned: AlignedMap, view: tuple[slice, slice]) -> AlignedMap:
    return replace(
        aligned,
        quaternions=aligned.quaternions[view],
        phase=aligned.phase[view],
        index=aligned.index[view],
    )


def _lab_rotation(
    first: AlignedMap,
    second: AlignedMap,
    phases: list[CommonPhase],
    group: str,
    tolerance: float,
) -> LabRotation | None:
    """Return the rotation of the lab for the commonest phase."""
    both = (first.phase >= 0) & (first.phase == second.phase)
    if not both.any():
        return None
    number = int(np.bincount(first.phase[both]).argmax())
    here = both & (first.phase == number)
    symmetry = phases[number].rotations(group)
    return find_lab_rotation(first.quaternions[here], second.quaternions[here], symmetry, tolerance)
