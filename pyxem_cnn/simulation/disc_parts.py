"""The Gaussians that stand for a disc: where they lie and how wide they are."""

from __future__ import annotations

import math

from pyxem_cnn.rotations import Array, array_namespace

__all__ = ["N_PARTS", "uniform_parts", "width_between"]

N_PARTS = 7
"""Gaussians of a disc without structure: one in the middle and six on a ring."""

# Of equal weight and with this ring, Gaussians of the width that is left have a disc's second
# moment: along an axis, 6/7 ring^2/2 + sigma^2 = 1/4 for radius 1. See `width_between`.
_RING = 0.67


def uniform_parts(radius: Array, turn: Array | None = None) -> Array:
    """Return where the Gaussians of equal weight lie that make up discs without structure.

    Parameters
    ----------
    radius
        Of the discs, shape (n,), in any unit: a NumPy array or a torch tensor, as is returned.
    turn
        Angle of the ring, radians, shape (n,). 0 by default.

    Returns
    -------
    offset
        Displacement (x, y) from the disc's centre, shape (n, `N_PARTS`, 2), in the same unit.
    """
    xp = array_namespace(radius)
    turn = xp.zeros_like(radius) if turn is None else turn
    n = N_PARTS - 1
    angle = xp.stack([turn + i * (2 * math.pi / n) for i in range(n)], -1)
    ring = _RING * radius[:, None, None] * xp.stack([xp.cos(angle), xp.sin(angle)], -1)
    return xp.concatenate([xp.zeros_like(ring[:, :1]), ring], 1)


def width_between(points: Array, disc_radius: Array | None = None) -> Array:
    """Return the standard deviation of Gaussians that fill the gaps between points of a disc.

    Along an axis, a disc's second moment is radius^2/4. The points have a part of it, the Gaussians
    the rest, but never less than the square of equal area that each point stands for.

    Parameters
    ----------
    points
        Displacements (x, y) that cover each disc evenly, shape (n, n_points, 2), in any unit: a
        NumPy array or a torch tensor, as is returned.
    disc_radius
        Of the discs, shape (n,), in the same unit. By default that of the disc whose second moment
        the points have.

    Returns
    -------
    sigma
        Shape (n,), in the same unit.
    """
    xp = array_namespace(points)
    spread = (points**2).sum(-1).mean(-1) / 2
    square = 4 * spread if disc_radius is None else disc_radius**2
    return xp.sqrt(xp.maximum(square / 4 - spread, square * (math.pi / (12 * points.shape[1]))))
