"""Even grids of directions in the fundamental sector of any point group."""

from __future__ import annotations

import numpy as np

# A direction without symmetry: no operation of any point group maps it near itself.
_GENERIC_DIRECTION = np.array([0.36, 0.23, 0.90])


def sphere_directions(n: int, offset: float = 0.0) -> np.ndarray:
    """Return an even (Fibonacci) grid on the unit sphere.

    Parameters
    ----------
    n
        Number of directions.
    offset
        Turns the whole spiral about z, in turns; a second grid with another offset interlaces.

    Returns
    -------
    directions
        Unit vectors of shape (n, 3).
    """
    i = np.arange(n)
    z = 1 - (2 * i + 1) / n
    azimuth = 2 * np.pi * ((i * (np.sqrt(5) - 1) / 2 + offset) % 1)
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=-1)


def in_fundamental_sector(directions: np.ndarray, operations: np.ndarray) -> np.ndarray:
    """Return which directions lie in the fundamental sector of a point group.

    The sector is the Dirichlet cell of a generic direction c: those v that are nearer to c than any
    of their equivalents. For a group of reflections this is the usual triangle between mirror
    planes, for groups of rotations one of the equally valid choices, for every setting of the axes.

    Parameters
    ----------
    directions
        Unit vectors of shape (n, 3), Cartesian crystal frame.
    operations
        All operations of the group, shape (m, 3, 3), Cartesian.

    Returns
    -------
    inside
        Booleans of shape (n,).
    """
    # v . (G^T c) for every G, compared with v . c
    centre = _GENERIC_DIRECTION / np.linalg.norm(_GENERIC_DIRECTION)
    nearest = (directions @ (operations.transpose(0, 2, 1) @ centre).T).max(axis=1)
    return directions @ centre >= nearest - 1e-12


def zone_axis_grid(
    operations: np.ndarray,
    *,
    spacing: float | None = None,
    n: int | None = None,
    offset: float = 0.0,
) -> np.ndarray:
    """Return an even grid of zone axes in the fundamental sector of a point group.

    Parameters
    ----------
    operations
        All operations of the group, shape (m, 3, 3), Cartesian crystal frame.
    spacing
        Mean distance of neighbours in degrees.
    n
        Wanted number of zone axes, instead of ``spacing``. The grid has about that many.
    offset
        Turns the underlying spiral, in turns.

    Returns
    -------
    directions
        Unit vectors of shape (about n, 3).

    Raises
    ------
    ValueError
        Unless exactly one of ``spacing`` and ``n`` is given and positive.
    """
    if (spacing is None) == (n is None) or not (n if spacing is None else spacing) > 0:
        raise ValueError(
            f"Given: spacing={spacing}, n={n}. Expected: exactly one of them, positive. "
            "Pass either the spacing in degrees or the number of zone axes."
        )
    sphere = n * len(operations) if n is not None else 4 * np.pi / np.deg2rad(spacing) ** 2
    directions = sphere_directions(max(1, round(sphere)), offset)
    inside = directions[in_fundamental_sector(directions, operations)]
    # A sector smaller than the spacing may miss every point of the grid; its centre stands for it.
    centre = _GENERIC_DIRECTION / np.linalg.norm(_GENERIC_DIRECTION)
    return inside if len(inside) else centre[None]
