"""Where the beam points inside its convergence cone, and on the circle of its precession."""

from __future__ import annotations

import numpy as np


def even_tilts(n_tilts: int) -> np.ndarray:
    """Return the same points in the unit disc every time: rings around its centre.

    All points stand for equal areas. Rings hold 6, 12, 18 ... points and the outermost what is
    left, so that 7, 19 and 37 points have the symmetry of a hexagon.

    Parameters
    ----------
    n_tilts
        Number of points.

    Returns
    -------
    points
        Shape (n_tilts, 2).
    """
    # A centre and an odd number of others would be lopsided.
    inside = 0 if n_tilts in (2, 4, 6) else 1
    points, ring = [np.zeros((inside, 2))], 6
    while inside < n_tilts:
        n = min(ring, n_tilts - inside)
        if 0 < n_tilts - inside - n < 3:
            n = n_tilts - inside  # one or two points alone would be lopsided
        radius = np.sqrt((inside + n / 2) / n_tilts)
        angle = 2 * np.pi * np.arange(n) / n
        points.append(radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
        inside, ring = inside + n, ring + 6
    return np.concatenate(points)


def random_tilts(n: int, n_tilts: int, generator: np.random.Generator) -> np.ndarray:
    """Return points in the unit disc, turned afresh for every entry.

    Each entry has the even points, turned by an angle of its own. These are mirror images of
    themselves, so that no asymmetry is common to all entries; and means over a disc are as good as
    with even points, other than with points at random places.

    Parameters
    ----------
    n
        Number of entries.
    n_tilts
        Number of points of each.
    generator
        Source of randomness.

    Returns
    -------
    points
        Shape (n, n_tilts, 2).
    """
    turn = generator.uniform(0, 2 * np.pi, n)
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.stack([cos, sin, -sin, cos], axis=-1).reshape(n, 2, 2)
    return even_tilts(n_tilts) @ matrix


def precession_azimuths(
    n: int, n_tilts: int, n_precession: int, generator: np.random.Generator | None = None
) -> np.ndarray:
    """Return azimuths of the beam in precession for each tilt in the cone.

    Every tilt has `n_precession` even azimuths; those of the tilts interlace, so that the mean over
    the disc samples the circle at ``n_tilts * n_precession`` azimuths.

    Parameters
    ----------
    n
        Number of entries.
    n_tilts
        Tilts in the cone of each.
    n_precession
        Azimuths of each tilt.
    generator
        Source of randomness: turns the circle of each entry and deals the azimuths to the tilts in
        random order.

    Returns
    -------
    azimuths
        In radians, shape (n, n_tilts, n_precession).
    """
    share = np.broadcast_to(np.arange(n_tilts) / n_tilts, (n, n_tilts))
    if generator is not None:
        share = generator.permuted(share, axis=1) + generator.uniform(0, 1, (n, 1))
    steps = share[..., None] + np.arange(n_precession)
    return 2 * np.pi * steps / n_precession
