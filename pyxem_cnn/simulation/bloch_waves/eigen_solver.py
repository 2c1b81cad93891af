"""Propagation through a crystal by eigendecomposition of the structure matrix."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pyxem_cnn._checks import check_shape

_DIRECTIONS_AT_ONCE = 64


def propagate_eigen(
    couplings: Tensor, diagonal: Tensor, thicknesses: np.ndarray, wavelength: float
) -> Tensor:
    """Return the amplitudes of all beams at the exit surfaces.

    Parameters
    ----------
    couplings, diagonal, thicknesses, wavelength
        As in :func:`~pyxem_cnn.simulation.bloch_waves.chebyshev.propagate_chebyshev`.

    Returns
    -------
    amplitudes
        Complex, for unit incident amplitude, shape (n, T, J, S).
    """
    rows = max(1, _DIRECTIONS_AT_ONCE // diagonal.shape[1])
    depths = torch.as_tensor(thicknesses, device=diagonal.device).to(diagonal.real.dtype)
    parts = []
    for i in range(0, len(couplings), rows):
        own = depths[i : i + rows, None] if depths.ndim == 2 else depths
        matrix = couplings[i : i + rows, None] + torch.diag_embed(diagonal[i : i + rows])
        parts.append(propagate(matrix, own, wavelength).transpose(1, 2))
    return torch.cat(parts)


def propagate(structure_matrix: Tensor, thicknesses: Tensor, wavelength: float) -> Tensor:
    """Return the amplitudes of all beams at the exit surfaces of a crystal.

    psi(t) = exp(i pi lambda t A) e_0, with A = C diag(v) C^H and e_0 the direct beam.

    Parameters
    ----------
    structure_matrix
        A in 1/angstrom^2, shape (..., S, S), Hermitian: ``2 K s_g`` on the diagonal, ``U_(g-h)``
        off it; beam 0 is the direct beam. Matrices with absorption are not Hermitian; they are
        told by the imaginary part of their diagonal, and go through a matrix exponential instead.
    thicknesses
        In angstrom, shape (T,), or with leading axes that broadcast against those of the matrix.
    wavelength
        In angstrom.

    Returns
    -------
    amplitudes
        Complex, for unit incident amplitude, shape (..., T, S).

    Raises
    ------
    ValueError
        If the matrix is not square.

    References
    ----------
    Humphreys, Rep. Prog. Phys. 42 (1979) 1825; De Graef, Introduction to Conventional Transmission
    Electron Microscopy (2003), section 5.7.

    Examples
    --------
    Two beams at the Bragg condition: the intensity of the diffracted one is sin^2(pi t / xi) with
    the extinction distance xi = 1 / (lambda U).

    >>> import torch
    >>> matrix = torch.tensor([[0.0, 0.05], [0.05, 0.0]], dtype=torch.float64)
    >>> amplitudes = propagate(matrix, torch.tensor([500.0]), wavelength=0.02)
    >>> amplitudes.abs() ** 2
    tensor([[0.0000, 1.0000]], dtype=torch.float64)
    """
    check_shape("structure_matrix", structure_matrix, (..., "S", "S"))
    phase = math.pi * wavelength * torch.as_tensor(thicknesses, device=structure_matrix.device)
    diagonal = torch.diagonal(structure_matrix, dim1=-2, dim2=-1)
    if diagonal.is_complex() and bool((diagonal.imag != 0).any()):
        exponent = 1j * phase[..., None, None] * structure_matrix[..., None, :, :]
        return torch.linalg.matrix_exp(exponent)[..., 0]
    values, vectors = torch.linalg.eigh(structure_matrix)
    turns = phase.to(values.dtype)[..., :, None] * values[..., None, :]  # (..., T, S)
    excitation = vectors[..., None, 0, :].conj()
    waves = torch.polar(torch.ones_like(turns), turns) * excitation
    return waves @ vectors.transpose(-1, -2).to(waves.dtype)
