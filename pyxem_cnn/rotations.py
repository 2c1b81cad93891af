"""Quaternion algebra on NumPy arrays and torch tensors alike, and the frames of the whole package.

Frames and signs, in one place:

- A quaternion is ``(..., 4)``, scalar first ``(a, b, c, d)``, as in orix. Where orix writes
  ``p * q``, this module writes ``multiply(p, q)``.
- An orientation ``O`` is passive, lab to crystal: ``v_crystal = rotate(O, v_lab)``. A reciprocal
  vector of the crystal therefore lies at ``g_lab = rotate(conjugate(O), g_crystal)``.
- Lab frame: x along increasing detector columns, y up (row decreases), z against the beam, towards
  the source. Crystal frame: x along a, z along c*.
- The zone axis of ``O`` is the crystal direction along lab +z.
- Symmetry acts on the left: ``O`` and ``multiply(S, O)`` are the same orientation.
- Turning a pattern counterclockwise (y up) by ``w`` turns ``O`` into ``multiply(O, about_z(-w))``.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

# An ndarray or a torch.Tensor; what comes in decides what goes out.
Array = Any


def _is_tensor(array: Array) -> bool:
    # Looked up, not imported: a caller who holds a tensor has torch loaded already.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def _stack(parts: list[Array]) -> Array:
    if _is_tensor(parts[0]):
        return sys.modules["torch"].stack(parts, dim=-1)
    return np.stack(parts, axis=-1)


def array_namespace(array: Array) -> Any:
    """Return the module whose functions take an array: numpy or torch."""
    return sys.modules["torch"] if _is_tensor(array) else np


def multiply(p: Array, q: Array) -> Array:
    """Return the Hamilton product ``p * q``: first ``q``, then ``p``.

    Parameters
    ----------
    p, q
        Quaternions of shape (..., 4); leading axes broadcast.

    Returns
    -------
    product
        Quaternions of shape (..., 4).
    """
    a1, b1, c1, d1 = p[..., 0], p[..., 1], p[..., 2], p[..., 3]
    a2, b2, c2, d2 = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    return _stack(
        [
            a1 * a2 - b1 * b2 - c1 * c2 - d1 * d2,
            a1 * b2 + b1 * a2 + c1 * d2 - d1 * c2,
            a1 * c2 - b1 * d2 + c1 * a2 + d1 * b2,
            a1 * d2 + b1 * c2 - c1 * b2 + d1 * a2,
        ]
    )


def conjugate(q: Array) -> Array:
    """Return the inverse of unit quaternions of shape (..., 4)."""
    return _stack([q[..., 0], -q[..., 1], -q[..., 2], -q[..., 3]])


def normalize(q: Array) -> Array:
    """Return quaternions of shape (..., 4) scaled to unit length."""
    return q / (q * q).sum(-1)[..., None] ** 0.5


def rotate(q: Array, v: Array) -> Array:
    """Rotate vectors ``v`` of shape (..., 3) by unit quaternions ``q`` of shape (..., 4)."""
    b, c, d = q[..., 1], q[..., 2], q[..., 3]
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    # v' = v + 2 a (u x v) + 2 u x (u x v), u the vector part
    tx, ty, tz = 2 * (c * z - d * y), 2 * (d * x - b * z), 2 * (b * y - c * x)
    a = q[..., 0]
    return _stack(
        [
            x + a * tx + (c * tz - d * ty),
            y + a * ty + (d * tx - b * tz),
            z + a * tz + (b * ty - c * tx),
        ]
    )


def to_matrix(q: Array) -> Array:
    """Return the (..., 3, 3) matrices M with ``rotate(q, v) = M @ v``."""
    a, b, c, d = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    rows = [
        _stack([1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)]),
        _stack([2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)]),
        _stack([2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)]),
    ]
    if _is_tensor(q):
        return sys.modules["torch"].stack(rows, dim=-2)
    return np.stack(rows, axis=-2)


def from_matrix(matrix: np.ndarray) -> np.ndarray:
    """Return the unit quaternions of proper rotation matrices.

    Parameters
    ----------
    matrix
        Orthogonal matrices with determinant +1, shape (..., 3, 3).

    Returns
    -------
    quaternions
        Shape (..., 4), with a >= 0.

    Raises
    ------
    ValueError
        If a matrix is not orthogonal with determinant +1.
    """
    from scipy.spatial.transform import Rotation as ScipyRotation

    matrix = np.asarray(matrix, dtype=np.float64)
    flat = matrix.reshape(-1, 3, 3)
    orthogonal = np.allclose(flat @ flat.transpose(0, 2, 1), np.eye(3), atol=1e-6)
    if not orthogonal or not np.all(np.linalg.det(flat) > 0):
        raise ValueError(
            "Given: matrices that are not proper rotations. Expected: orthogonal 3 x 3 matrices "
            "with determinant +1. Multiply improper operations by -1 first."
        )
    xyzw = ScipyRotation.from_matrix(flat).as_quat(canonical=True)
    return xyzw[:, [3, 0, 1, 2]].reshape(*matrix.shape[:-2], 4)


def about_z(angle: Array) -> Array:
    """Return quaternions (..., 4) that turn vectors by ``angle`` (radians, ...) about z."""
    xp = array_namespace(angle)
    half = angle / 2
    zero = half * 0
    return _stack([xp.cos(half), zero, zero, xp.sin(half)])


def from_rotation_vector(vector: Array) -> Array:
    """Return quaternions (..., 4) of rotation vectors (..., 3): axis times angle in radians."""
    xp = array_namespace(vector)
    square = (vector * vector).sum(-1)
    angle = (square + 1e-30) ** 0.5
    # sin(x/2)/x by its series limit 1/2 at x = 0; the tiny offset keeps gradients finite there.
    factor = xp.sin(angle / 2) / angle
    return _stack(
        [xp.cos(angle / 2), *(vector[..., i] * factor for i in range(3))],
    )


def to_rotation_vector(q: Array) -> Array:
    """Return rotation vectors (..., 3), axis times angle in radians, of length at most pi."""
    xp = array_namespace(q)
    q = xp.where((q[..., :1] < 0), -q, q)
    length = (q[..., 1:] ** 2).sum(-1) ** 0.5
    angle = 2 * xp.arctan2(length, q[..., 0])
    small = length < 1e-8
    factor = xp.where(small, 2 * xp.ones_like(length), angle / xp.where(small, 1, length))
    return q[..., 1:] * factor[..., None]


def angle_between(p: Array, q: Array) -> Array:
    """Return the angle (...) in radians from ``p`` to ``q``, both (..., 4), without symmetry."""
    # arctan2 is exact for small angles, where arccos loses half the digits.
    relative = multiply(conjugate(p), q)
    vector = (relative[..., 1:] ** 2).sum(-1) ** 0.5
    return 2 * array_namespace(p).arctan2(vector, abs(relative[..., 0]))


def disorientation_angle(p: Array, q: Array, symmetry: Array) -> Array:
    """Return the smallest angle between orientations that count modulo a symmetry group.

    Parameters
    ----------
    p, q
        Orientations of shape (..., 4), lab to crystal; leading axes broadcast.
    symmetry
        Proper rotations of the group, shape (n_operations, 4), acting on the left.

    Returns
    -------
    angle
        Angles of shape (...) in radians: the minimum over S of the angle between p and S q.
    """
    equivalent = multiply(symmetry, q[..., None, :])
    angle = angle_between(p[..., None, :], equivalent)
    return angle.amin(-1) if _is_tensor(angle) else angle.min(-1)


def is_among(q: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which rotations (n, 4) are some of others (m, 4), shape (n,)."""
    return np.abs(q @ others.T).max(axis=1) > 1 - 1e-6


def swing_twist(q: Array) -> tuple[Array, Array]:
    """Split rotations into a tilt followed, on the lab side, by a turn about z.

    Parameters
    ----------
    q
        Unit quaternions of shape (..., 4).

    Returns
    -------
    swing, twist
        ``swing`` (..., 4) has no z component, ``twist`` (...) is an angle in radians in
        [-pi, pi), and ``q = multiply(swing, about_z(twist))`` up to sign.
    """
    twist = 2 * array_namespace(q).arctan2(q[..., 3], q[..., 0])
    pi = np.pi
    twist = (twist + pi) % (2 * pi) - pi
    return multiply(q, about_z(-twist)), twist


def zone_axis(q: Array) -> Array:
    """Return the crystal directions (..., 3) along lab +z of orientations (..., 4)."""
    a, b, c, d = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    return _stack([2 * (b * d + a * c), 2 * (c * d - a * b), 1 - 2 * (b * b + c * c)])


def with_zone_axis(direction: np.ndarray) -> np.ndarray:
    """Return one orientation for each zone axis: the shortest turn from z.

    Its in-plane angle is a convention only; combine with ``about_z`` for all the others. Directions
    opposite to z are turned about x.

    Parameters
    ----------
    direction
        Crystal directions of shape (..., 3), of any length above 0.

    Returns
    -------
    quaternions
        Orientations of shape (..., 4), lab to crystal.
    """
    v = np.asarray(direction, dtype=np.float64)
    v = v / np.linalg.norm(v, axis=-1, keepdims=True)
    # The quaternion halfway: (1 + z.v, z x v), which takes z to v.
    q = np.stack([1 + v[..., 2], -v[..., 1], v[..., 0], np.zeros(v.shape[:-1])], axis=-1)
    opposite = np.linalg.norm(q, axis=-1) < 1e-7
    q[opposite] = [0.0, 1.0, 0.0, 0.0]
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def random_quaternions(n: int, generator: np.random.Generator) -> np.ndarray:
    """Return ``n`` uniformly distributed orientations, shape (n, 4)."""
    return normalize(generator.standard_normal((n, 4)))
