"""Lab frames of foreign maps: named ones, and the rotation that two maps differ by everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_type, given_expected
from pyxem_cnn.maps.misorientation import misorientation_angles
from pyxem_cnn.rotations import conjugate, multiply, normalize, to_rotation_vector

if TYPE_CHECKING:
    from orix.quaternion import Quaternion

__all__ = ["FRAMES", "LabRotation", "find_lab_rotation", "frame_quaternion"]

FRAMES = {
    "lab": (1.0, 0.0, 0.0, 0.0),
    # x right, y down, z away from the source: half a turn about x.
    "image": (0.0, 1.0, 0.0, 0.0),
}
"""Turns from our lab frame to the frames that have a name here."""

# Pairs of orientations that a rotation is taken from, and points that it is tried on.
_SEEDS, _TRIED = 16, 300
# Points of the seed's own grain agree with any rotation that comes from it.
_OTHER_GRAIN = 10.0


@dataclass(frozen=True)
class LabRotation:
    """A rotation of the lab frame that makes one map agree with another.

    Attributes
    ----------
    quaternion
        The ``frame`` of ``load_crystal_map``: orientations are multiplied by it on the lab side.
    axis
        Its axis in the lab frame (x right, y up, z towards the source), shape (3,).
    degrees
        Its angle.
    before, after
        Share of the points that agree without it and with it, in percent.
    """

    quaternion: np.ndarray
    axis: np.ndarray
    degrees: float
    before: float
    after: float

    def __str__(self) -> str:
        """Return the rotation and what it changes, in one line."""
        axis = ", ".join(f"{x:.2f}" for x in np.round(self.axis, 2) + 0.0)
        return (
            f"{self.degrees:.1f} deg about [{axis}] of the lab: {self.after:.0f} % of the points "
            f"agree with it, {self.before:.0f} % without"
        )


def frame_quaternion(frame: str | Quaternion | np.ndarray) -> np.ndarray:
    """Return the turn from our lab frame to another one.

    Parameters
    ----------
    frame
        A name in `FRAMES`, or a rotation, of orix or as four numbers, scalar first. Passive: it
        takes vectors from our lab frame to the other one.

    Returns
    -------
    quaternion
        Shape (4,).

    Raises
    ------
    TypeError, ValueError
        If it is neither a known name nor a single rotation.
    """
    if isinstance(frame, str):
        return np.array(FRAMES[check_choice("frame", frame, FRAMES)])
    data: Any = getattr(frame, "data", frame) if not isinstance(frame, np.ndarray) else frame
    check_type("frame", data, (list, tuple, np.ndarray), "Give a name or a rotation.")
    quaternion = np.asarray(data, dtype=np.float64).ravel()
    if quaternion.shape != (4,) or not np.linalg.norm(quaternion) > 0:
        raise ValueError(given_expected("frame", frame, "one rotation, or four numbers"))
    return normalize(quaternion)


def find_lab_rotation(
    p: np.ndarray, q: np.ndarray, symmetry: np.ndarray, tolerance: float = 5.0
) -> LabRotation | None:
    """Return the rotation of the lab that makes orientations q agree with p, if there is one.

    Maps in different frames, or of a mirrored readout, differ by one rotation on the lab side,
    the same in every grain: p = S q R. A pair of points gives a candidate for each S, and the
    candidate counts that brings other grains into agreement, too.

    Parameters
    ----------
    p, q
        Orientations at the same points, shape (n, 4), lab to crystal, one phase.
    symmetry
        Proper rotations of the group, shape (n_operations, 4).
    tolerance
        Angle in degrees up to which orientations agree.

    Returns
    -------
    rotation
        None if no rotation makes twice as many points agree and most of those of other grains,
        or if there is one grain only: there, any two maps differ by one rotation.
    """
    if not len(p):
        return None
    tried = np.unique(np.linspace(0, len(p) - 1, min(len(p), _TRIED)).astype(int))
    p, q = p[tried], q[tried]
    before = np.mean(misorientation_angles(p, q, symmetry) <= tolerance)
    best, support = None, 0.5
    for seed in np.unique(np.linspace(0, len(p) - 1, min(len(p), _SEEDS)).astype(int)):
        elsewhere = misorientation_angles(p, p[seed][None], symmetry) > _OTHER_GRAIN
        if np.count_nonzero(elsewhere) < 0.1 * len(p):
            continue
        for rotation in multiply(conjugate(q[seed]), multiply(conjugate(symmetry), p[seed])):
            agree = _agreement(p, q, rotation, symmetry, tolerance)
            if agree[elsewhere].mean() > support:
                best, support = rotation, agree[elsewhere].mean()
    if best is None:
        return None
    best = _refined(p, q, best, symmetry, tolerance)
    after = np.mean(_agreement(p, q, best, symmetry, tolerance))
    if after < 2 * before:
        return None
    vector = to_rotation_vector(best)
    angle = float(np.linalg.norm(vector))
    axis = vector / max(angle, 1e-12)
    if angle > np.deg2rad(179.5):  # half a turn has two axes: the one along +x, +y or +z
        axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    return LabRotation(best, axis, float(np.rad2deg(angle)), 100 * before, 100 * after)


def _agreement(
    p: np.ndarray, q: np.ndarray, rotation: np.ndarray, symmetry: np.ndarray, tolerance: float
) -> np.ndarray:
    return misorientation_angles(p, multiply(q, rotation), symmetry) <= tolerance


def _refined(
    p: np.ndarray, q: np.ndarray, rotation: np.ndarray, symmetry: np.ndarray, tolerance: float
) -> np.ndarray:
    """Return the mean of the rotations of all points that agree with this one."""
    agree = _agreement(p, q, rotation, symmetry, tolerance)
    # All S of every point; of these, the one nearest to the rotation.
    each = multiply(conjugate(q[agree])[:, None], multiply(conjugate(symmetry), p[agree][:, None]))
    nearest = np.argmax(np.abs(each @ rotation), axis=1)
    each = np.take_along_axis(each, nearest[:, None, None], axis=1)[:, 0]
    return np.linalg.eigh(each.T @ each)[1][:, -1]
