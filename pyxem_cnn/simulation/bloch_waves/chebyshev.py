"""Propagation through a crystal by a Chebyshev series: every thickness, no eigenvectors.

With A scaled to X = (A - centre) / half, of spectrum within [-1, 1],

    exp(i pi lambda t A) = exp(i pi lambda t centre) sum_k (2 - delta_k0) i^k J_k(z) T_k(X),

z = pi lambda t half, with Bessel functions J_k and vectors T_k(X) e_0 from a recurrence that the
thickness does not enter (Tal-Ezer and Kosloff, J. Chem. Phys. 81 (1984) 3967). About z terms are
needed, each one matrix product for all tilts of an orientation.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_CACHE = 2**19  # bytes
_BLOCK = 16  # terms that are summed at once; even, so that real and imaginary ones alternate


def propagate_chebyshev(
    couplings: Tensor, diagonal: Tensor, thicknesses: np.ndarray, wavelength: float
) -> Tensor:
    """Return the amplitudes of all beams at the exit surfaces.

    Parameters
    ----------
    couplings
        Off-diagonal part of A for n orientations, 1/angstrom^2, shape (n, S, S), real or complex.
    diagonal
        Diagonal of A for J directions of the incident beam, shape (n, J, S). Beam 0 is the
        direct beam. An imaginary part is absorption.
    thicknesses
        In angstrom, shape (T,), or (n, T) with others for each orientation.
    wavelength
        In angstrom.

    Returns
    -------
    amplitudes
        Complex, for unit incident amplitude, shape (n, T, J, S).
    """
    centre, half = spectrum(couplings, diagonal)
    phase = np.pi * wavelength * np.atleast_2d(np.asarray(thicknesses, dtype=np.float64))
    weights = _weights(phase * half, torch.finfo(diagonal.dtype).eps / 10)  # (1 or n, T, K)
    turns = torch.as_tensor(np.exp(1j * phase * centre))
    parts = []
    for part in _parts(couplings):
        own = weights[part] if len(weights) > 1 else weights
        scaled = (diagonal[part] - centre) / (half / 2)
        even, odd = _sums(couplings[part] / (half / 2), scaled, own)
        amplitudes = even + 1j * odd if even.is_complex() else torch.complex(even, odd)
        turn = turns[part] if len(turns) > 1 else turns
        turn = turn.to(amplitudes.dtype).to(amplitudes.device)
        parts.append(amplitudes.mul_(turn[:, :, None, None]))
    return torch.cat(parts)


def _parts(couplings: Tensor) -> list[slice]:
    """Return slices of the orientations whose matrices fit into a processor's cache."""
    n, size = len(couplings), couplings[0].numel() * couplings.element_size()
    rows = n if couplings.is_cuda else max(1, _CACHE // size)
    return [slice(i, i + rows) for i in range(0, n, rows)]


def spectrum(couplings: Tensor, diagonal: Tensor) -> tuple[float, float]:
    """Return the centre and half the width of an interval that holds all eigenvalues of A.

    Parameters
    ----------
    couplings
        Off-diagonal part of A, shape (n, S, S).
    diagonal
        Diagonals of A, shape (n, J, S).

    Returns
    -------
    centre, half
        In the unit of A.
    """
    # Gershgorin: each lies within the sum of its row's couplings of a diagonal entry.
    reach = couplings.abs().sum(-1)[:, None, :]
    real = diagonal.real if diagonal.is_complex() else diagonal
    low, high = float((real - reach).min()), float((real + reach).max())
    half = max((high - low) / 2, 1e-6)
    if diagonal.is_complex():
        # The series converges in a narrow ellipse around the interval.
        half = max(half, 20 * float(diagonal.imag.abs().max()))
    return (low + high) / 2, half


def _weights(z: np.ndarray, tolerance: float) -> np.ndarray:
    """Return (2 - delta_k0) J_k(z), with the signs of i^k, shape (..., K).

    K is a multiple of the block, filled up with zeros. By Miller's downward recurrence, which is
    stable and serves all arguments at once.
    """
    z = np.maximum(z, 1e-9)
    start = np.ceil(z + 18 + 10 * np.cbrt(z)).astype(int)
    last = int(start.max())
    values = np.zeros((last + 2, *z.shape))
    for k in range(last, -1, -1):
        values[k] = 2 * (k + 1) / z * values[k + 1] - (values[k + 2] if k < last else 0)
        values[k][start == k] = 1e-30
    values /= values[0] + 2 * values[2::2].sum(0)
    values[1:] *= 2
    needed = np.flatnonzero(np.abs(values).reshape(last + 2, -1).max(1) > tolerance)[-1] + 1
    values = values[:needed]
    values[2::4] *= -1  # i^2 = -1, i^3 = -i
    values[3::4] *= -1
    padding = [(0, 0)] * z.ndim + [(0, -needed % _BLOCK)]
    return np.pad(np.moveaxis(values, 0, -1), padding)


def _sums(couplings: Tensor, diagonal: Tensor, weights: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the sums over even and over odd k of weight times T_k(X) e_0, (n, T, J, S) each.

    ``couplings`` and ``diagonal`` are those of 2 X.
    """
    n, n_tilts, n_beams = diagonal.shape
    n_thicknesses = weights.shape[1]
    dtype = torch.promote_types(couplings.dtype, diagonal.dtype)
    transposed = couplings.to(dtype).transpose(1, 2).contiguous()
    diagonal = diagonal.to(dtype)
    factors = torch.as_tensor(weights).to(dtype).to(diagonal.device)
    # Even and odd terms lie apart: terms[k % 2, k // 2].
    terms = diagonal.new_zeros((2, _BLOCK // 2, n, n_tilts, n_beams))
    terms[0, 0, :, :, 0] = 1
    slots = [terms[k % 2, k // 2] for k in range(_BLOCK)]
    rows = n if len(weights) > 1 else 1
    by_row = [t.view(_BLOCK // 2, rows, -1).transpose(0, 1) for t in terms]
    sums = [t.new_zeros((rows, n_thicknesses, t.shape[2])) for t in by_row]
    for start in range(0, weights.shape[2], _BLOCK):
        _next_terms(slots, transposed, diagonal, is_start=start == 0)
        for parity in range(2):
            block = factors[:, :, start + parity : start + _BLOCK : 2]
            sums[parity].baddbmm_(block, by_row[parity])  # (rows, T, k) x (rows, k, rest)
    shape = (rows, n_thicknesses, n // rows, n_tilts, n_beams)
    order = (0, 2, 1, 3, 4)
    return tuple(s.view(shape).permute(order).flatten(0, 1) for s in sums)


def _next_terms(slots: list[Tensor], transposed: Tensor, diagonal: Tensor, is_start: bool) -> None:
    """Overwrite the block of terms by the next ones: T_(k+1) = 2 X T_k - T_(k-1), T_1 = X T_0."""
    if is_start:
        torch.baddbmm(slots[1], slots[0], transposed, beta=0, out=slots[1])
        slots[1].addcmul_(diagonal, slots[0]).div_(2)
    for k in range(2 if is_start else 0, _BLOCK):
        now = slots[k - 1]
        torch.baddbmm(slots[k - 2], now, transposed, beta=-1, out=slots[k])
        slots[k].addcmul_(diagonal, now)
