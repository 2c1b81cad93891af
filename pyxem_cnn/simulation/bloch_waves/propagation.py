"""Which way through the crystal is the faster one: Chebyshev series or eigenvectors."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from pyxem_cnn.simulation.bloch_waves.chebyshev import propagate_chebyshev, spectrum
from pyxem_cnn.simulation.bloch_waves.eigen_solver import propagate_eigen

# From so many terms of the series on, eigenvectors are faster on a CPU. Measured with MKL for 64
# and 128 beams; products of complex matrices cost four times as much as those of real ones, their
# eigenvectors only a third more.
_MOST_TERMS = {False: 1200, True: 400}


def propagate_directions(
    couplings: Tensor, diagonal: Tensor, thicknesses: np.ndarray, wavelength: float
) -> Tensor:
    """Return the amplitudes of all beams at the exit surfaces, by the faster method.

    On a GPU that is always the series, of which each term is one batched matrix product. With
    absorption it is, too: the matrices are not Hermitian.

    Parameters
    ----------
    couplings, diagonal, thicknesses, wavelength
        As in :func:`~pyxem_cnn.simulation.bloch_waves.chebyshev.propagate_chebyshev`.

    Returns
    -------
    amplitudes
        Complex, for unit incident amplitude, shape (n, T, J, S).
    """
    is_hermitian = not diagonal.is_complex()
    if is_hermitian and diagonal.device.type == "cpu":
        _, half = spectrum(couplings, diagonal)
        n_terms = math.pi * wavelength * float(np.max(thicknesses)) * half
        if n_terms > _MOST_TERMS[couplings.is_complex()]:
            return propagate_eigen(couplings, diagonal, thicknesses, wavelength)
    return propagate_chebyshev(couplings, diagonal, thicknesses, wavelength)
