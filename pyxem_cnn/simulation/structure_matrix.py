"""The structure matrix of Bloch waves: diagonals for tilted beams, and the flux they carry."""

from __future__ import annotations

import numpy as np


def excitation_diagonal(g: np.ndarray, directions: np.ndarray, wavelength: float) -> np.ndarray:
    """Return ``K^2 - |k + g|^2``, which is 2 K s_g near the Ewald sphere.

    Parameters
    ----------
    g
        Reciprocal vectors in the lab frame, z towards the source, shape (n, S, 3), 1/angstrom.
    directions
        Transverse part of the incident wave vectors, shape (n, J, 2), 1/angstrom. The wave vector
        is k = (k_x, k_y, -k_z) with the length K = 1 / wavelength: electrons travel along -z.
    wavelength
        In angstrom.

    Returns
    -------
    diagonal
        In 1/angstrom^2, shape (n, J, S), positive for g inside the sphere.
    """
    k_z = np.sqrt(1 / wavelength**2 - (directions**2).sum(-1))
    transverse = directions @ g[..., :2].transpose(0, 2, 1)
    along = k_z[..., None] * g[:, None, :, 2]
    return 2 * (along - transverse) - (g**2).sum(-1)[:, None]


def flux_metric(g: np.ndarray, wavelength: float) -> np.ndarray:
    """Return D_g = (1 - lambda g_z)^(-1/2).

    A wave k + g crosses the exit surface with the velocity K - g_z. The equation of each wave is
    divided by it, and stays Hermitian for amplitudes that are normalised to flux:
    A_gh -> D_g A_gh D_h. Their squares are the shares of the incident current that a detector
    counts, and without absorption their sum is 1.

    Parameters
    ----------
    g
        Reciprocal vectors in the lab frame, z towards the source, shape (..., 3), 1/angstrom.
    wavelength
        In angstrom.

    Returns
    -------
    metric
        Shape (...).
    """
    return (1 - wavelength * g[..., 2]) ** -0.5
