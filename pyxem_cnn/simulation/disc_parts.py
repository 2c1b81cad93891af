"""The Gaussians that stand for a disc: where they lie and how wide they are."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["N_PARTS", "uniform_parts", "width_between"]

N_PARTS = 7
"""Gaussians of a disc without structure: one in the middle and six on a ring."""

# Of equal weight and with this ring, Gaussians of the width that is left have a disc's second
# moment: along an axis, 6/7 ring^2/2 + sigma^2 = 1/4 for radius 1. See `width_between`.
_RING = 0.67


def uniform_parts(radius: np.ndarray, turn: np.ndarray | None = None) -> np.ndarray:
    """Return where the Gaussians of equal weight lie that make up discs without structure.

    Parameters
    ----------
    radius
        Of the discs, shape (n,), in any unit.
    turn
        Angle of the ring, radians, shape (n,). 0 by default.

    Returns
    -------
    offset
        Displacement (x, y) from the disc's centre, shape (n, `N_PARTS`, 2), in the same unit.
    """
    start = np.zeros(len(radius)) if turn is None else turn
    angle = start[:, None] + np.arange(N_PARTS - 1) * (2 * math.pi / (N_PARTS - 1))
    ring = _RING * radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.concatenate([np.zeros((len(radius), 1, 2)), ring], axis=1)


def width_between(points: np.ndarray, disc_radius: np.ndarray | None = None) -> np.ndarray:
    """Return the standard deviation of Gaussians that fill the gaps between points of a disc.

    Along an axis, a disc's second moment is radius^2/4. The points have a part of it, the Gaussians
    the rest, but never less than the square of equal area that each point stands for.

    Parameters
    ----------
    points
        Displacements (x, y) that cover each disc evenly, shape (n, n_points, 2), in any unit.
    disc_radius
        Of the discs, shape (n,), in the same unit. By default that of the disc whose second moment
        the points have.

    Returns
    -------
    sigma
        Shape (n,), in the same unit.
    """
    spread = (points**2).sum(axis=-1).mean(axis=-1) / 2
    square = 4 * spread if disc_radius is None else np.asarray(disc_radius, dtype=np.float64) ** 2
    return np.sqrt(np.maximum(square / 4 - spread, square * math.pi / (12 * points.shape[1])))
