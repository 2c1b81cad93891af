"""Misorientations modulo a group, for millions of pairs: one matrix product, block by block.

With passive orientations (lab to crystal) the misorientation from p to q is ``q * ~p``, in the
crystal frame. Modulo a group acting on the left of both, its smallest angle is

    cos(angle / 2) = max over S of |<S, p * ~q>|,

a product of a matrix (pairs, 4) with one (4, operations), since only the combination of an
operation for p with one for q counts and that is in the group again. orix's
``Orientation.angle_with`` gives the same angles, with one rotation for each pair of operations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_choice
from pyxem_cnn.rotations import conjugate, multiply, normalize

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase
    from orix.quaternion import Symmetry

__all__ = [
    "best_quaternions",
    "combined_operations",
    "mean_orientations",
    "misorientation_angles",
    "nearest_equivalents",
    "pairs_of_one_phase",
    "proper_group",
]

_BLOCK = 100_000  # pairs: 20 MB for 24 operations
_MOST_ITERATIONS = 10


def best_quaternions(xmap: CrystalMap) -> np.ndarray:
    """Return the best orientation of every point in the data, of unit length, (points, 4)."""
    data = xmap._rotations.data[xmap.is_in_data].reshape(xmap.size, -1, 4)[:, 0]
    return normalize(np.asarray(data, dtype=np.float64))


def proper_group(phase: Phase, group: str = "Laue") -> Symmetry:
    """Return the rotations that orientations of a phase count modulo.

    Parameters
    ----------
    phase
        With a point group.
    group
        "Laue" for the rotations of the Laue group (kinematic patterns), "point" for those of the
        point group (where polarity is told).

    Returns
    -------
    symmetry
        Proper rotations only.

    Raises
    ------
    ValueError
        If the phase has no point group, or `group` is something else.
    """
    check_choice("group", group, ("Laue", "point"))
    if phase.point_group is None:
        raise ValueError(
            f"Phase {phase.name!r} has no point group, without which misorientations mean nothing. "
            f"Set it: xmap.phases[{phase.name!r}].point_group = 'm-3m'"
        )
    symmetry = phase.point_group.laue if group == "Laue" else phase.point_group
    return symmetry.proper_subgroup


def combined_operations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return all products ~S * T of operations S of one group and T of another, each once.

    They take the part of the group in `misorientation_angles` where `p` is of the one phase and
    `q` of the other: the smallest angle of S p ~q ~T is that of p ~q from some ~S T.

    Parameters
    ----------
    first, second
        Proper rotations S of shape (n, 4) and T of shape (m, 4).

    Returns
    -------
    operations
        Of shape (k, 4), k at most n m.
    """
    products = multiply(conjugate(first)[:, None], second[None]).reshape(-1, 4)
    rounded = np.round(products, 6) + 0.0
    # q and -q are one rotation: the first component that is not 0 gets positive.
    leading = np.take_along_axis(rounded, (rounded != 0).argmax(1)[:, None], 1)
    _, kept = np.unique(rounded * np.sign(leading), axis=0, return_index=True)
    return products[np.sort(kept)]


def misorientation_angles(p: np.ndarray, q: np.ndarray, operations: np.ndarray) -> np.ndarray:
    """Return the angles between pairs of orientations, modulo a group.

    Parameters
    ----------
    p, q
        Orientations of unit length, shape (pairs, 4), lab to crystal.
    operations
        Proper rotations of the group, shape (n, 4), or, for two phases, of `combined_operations`.

    Returns
    -------
    degrees
        Of shape (pairs,).
    """
    degrees = np.empty(len(p))
    for start in range(0, len(p), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosine = _projections(p[block], q[block], operations)
        np.abs(cosine, out=cosine)
        degrees[block] = _degrees(cosine.max(axis=1))
    return degrees


def nearest_equivalents(
    q: np.ndarray, reference: np.ndarray, operations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return of all orientations equivalent to each q the one nearest to its reference.

    Parameters
    ----------
    q, reference
        Orientations of unit length, shape (n, 4), lab to crystal.
    operations
        Proper rotations of the group, shape (m, 4).

    Returns
    -------
    nearest
        Of shape (n, 4).
    degrees
        Their angles to the reference, shape (n,).
    """
    nearest, degrees = np.empty_like(q), np.empty(len(q))
    for start in range(0, len(q), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosine = np.abs(_projections(reference[block], q[block], operations))
        best = cosine.argmax(axis=1)
        nearest[block] = multiply(operations[best], q[block])
        degrees[block] = _degrees(np.take_along_axis(cosine, best[:, None], axis=1)[:, 0])
    return nearest, degrees


def mean_orientations(
    q: np.ndarray, labels: np.ndarray, first: np.ndarray, operations: np.ndarray
) -> np.ndarray:
    """Return the mean orientation of each set of orientations, right across symmetry.

    All orientations of a set are replaced by those equivalents that are nearest to one reference,
    at first one of them, then their mean, until none changes. The mean is that of orix's
    ``Quaternion.mean`` (Markley et al., J. Guid. Control Dyn. 30 (2007) 1193), which alone knows
    no symmetry: the eigenvector of the sum of the outer products q q^T.

    Parameters
    ----------
    q
        Orientations of unit length, shape (n, 4), lab to crystal.
    labels
        To which set each belongs, from 0 to sets - 1, shape (n,).
    first
        One orientation of each set, shape (sets, 4).
    operations
        Proper rotations of the group, shape (m, 4).

    Returns
    -------
    mean
        Of shape (sets, 4), of unit length, in the surroundings of `first`.
    """
    mean, previous = first, None
    for _ in range(_MOST_ITERATIONS):
        nearest, _ = nearest_equivalents(q, mean[labels], operations)
        if previous is not None and np.allclose(nearest, previous, atol=1e-9):
            break
        mean, previous = _eigenvector_mean(nearest, labels, len(first)), nearest
    return mean


def pairs_of_one_phase(
    xmap: CrystalMap, pairs: np.ndarray, group: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return those pairs of points that are of one phase, and their misorientations.

    Parameters
    ----------
    xmap
        The map.
    pairs
        Indices of points in the data, shape (pairs, 2).
    group
        "Laue" or "point": what orientations count modulo.

    Returns
    -------
    pairs
        The indexed ones of one phase, shape (n, 2), phase by phase.
    degrees
        Misorientation angles, shape (n,).
    """
    q = best_quaternions(xmap)
    phase_ids = xmap.phase_id[pairs]
    found, angles = [np.empty((0, 2), dtype=int)], [np.empty(0)]
    for phase_id, phase in xmap.phases_in_data:
        if phase_id < 0:
            continue
        here = pairs[(phase_ids == phase_id).all(axis=1)]
        operations = proper_group(phase, group).data
        found.append(here)
        angles.append(misorientation_angles(q[here[:, 0]], q[here[:, 1]], operations))
    return np.concatenate(found), np.concatenate(angles)


def _projections(p: np.ndarray, q: np.ndarray, operations: np.ndarray) -> np.ndarray:
    """Return <S, p * ~q> of every pair and operation S, shape (pairs, operations)."""
    return multiply(p, conjugate(q)) @ operations.T


def _degrees(cosine_of_half: np.ndarray) -> np.ndarray:
    # In float64 the arc cosine is good to 2e-6 degrees even at 0.
    return np.rad2deg(2 * np.arccos(cosine_of_half.clip(max=1)))


def _eigenvector_mean(q: np.ndarray, labels: np.ndarray, n_sets: int) -> np.ndarray:
    """Return the eigenvector of the largest eigenvalue of sum q q^T of each set."""
    products = np.empty((n_sets, 4, 4))
    for i in range(4):
        for j in range(i, 4):
            sums = np.bincount(labels, q[:, i] * q[:, j], minlength=n_sets)
            products[:, i, j] = products[:, j, i] = sums
    return np.linalg.eigh(products)[1][..., -1]
