"""Numba kernels that apply a sparse resampling operator to a block of patterns.

Patterns are worked on 32 at a time, with the pattern as the fastest axis of both the pixels and the
result: an entry of the operator then meets neighbouring numbers, a few vector instructions,
where a single pattern would be gathered number by number. The number of lanes is no constant of
the loops, since the compiler unrolls short loops of constant length into scalar instructions.
Only this small tile becomes float32, never the whole block. float32 is enough: a bin sums some
tens of pixels, and 1e-6 of a count is far below counting noise. ``fastmath`` holds no flag that
assumes finite numbers, so that NaN survives.

This module is imported by the operator when it is first applied, since numba takes long.
"""

from __future__ import annotations

import numba
import numpy as np

LANES = 32
_OPTIONS = {"nopython": True, "nogil": True, "cache": True}
_FASTMATH = {"reassoc", "contract", "nsz"}


@numba.jit(fastmath=_FASTMATH, **_OPTIONS)
def resample(counts, pixels, indptr, index, weights, values):  # pragma: no cover - compiled
    """Write ``values[b, i] = sum_j weights[j] * counts[i, pixels[index[j]]]``.

    Parameters
    ----------
    counts : ndarray
        Patterns (n, n_pixels) of any native integer or float dtype.
    pixels : ndarray
        Flat indices (n_used,) of the pixels that are used, int64.
    indptr, index, weights : ndarray
        The operator's rows (n_bins + 1,), columns into ``pixels`` (n_entries,), float32 weights.
    values : ndarray
        Result (n_bins, n), float32.
    """
    n = counts.shape[0]
    tile = np.empty((pixels.shape[0], min(n, LANES)), np.float32)
    for start in range(0, n, LANES):
        stop = min(start + LANES, n)
        _fill(counts[start:stop], pixels, tile)
        for b in range(indptr.shape[0] - 1):
            _sum_entries(indptr[b], indptr[b + 1], index, weights, tile, values[b, start:stop])


@numba.jit(fastmath=_FASTMATH, **_OPTIONS)
def resample_shifted(  # pragma: no cover - compiled
    counts, valid, patterns, origins, offsets, indptr, index, weights, minimum, values, coverage
):
    """Write means and coverage of patterns whose beam lies at a pixel of their own.

    Parameters
    ----------
    counts : ndarray
        Patterns (n, n_rows, n_columns) of any native integer or float dtype.
    valid : ndarray
        Pixels to use (n_rows, n_columns), bool.
    patterns : ndarray
        Indices (m,) of the patterns to work on, int64.
    origins : ndarray
        Row and column (m, 2) that the operator's offsets count from, int64.
    offsets : ndarray
        Row and column offsets (n_used, 2) of the pixels that are used, int64.
    indptr, index, weights : ndarray
        The operator's rows (n_bins + 1,), columns into ``offsets`` (n_entries,), float32 weights;
        the weights of every bin sum to 1 on a detector without end.
    minimum : float
        Coverage below which a bin is left out.
    values, coverage : ndarray
        Results (n_bins, n), float32; only the columns ``patterns`` are written.
    """
    m = patterns.shape[0]
    tile = np.empty((offsets.shape[0], min(m, LANES)), np.float32)
    seen = np.empty((offsets.shape[0], min(m, LANES)), np.float32)
    total = np.empty(min(m, LANES), np.float32)
    share = np.empty(min(m, LANES), np.float32)
    for start in range(0, m, LANES):
        n_lanes = min(LANES, m - start)
        for lane in range(n_lanes):
            i = start + lane
            _fill_lane(counts[patterns[i]], valid, origins[i], offsets, tile, seen, lane)
        for b in range(indptr.shape[0] - 1):
            first, last = indptr[b], indptr[b + 1]
            _sum_entries(first, last, index, weights, tile, total[:n_lanes])
            _sum_entries(first, last, index, weights, seen, share[:n_lanes])
            for lane in range(n_lanes):
                enough = share[lane] >= minimum
                i = patterns[start + lane]
                values[b, i] = total[lane] / share[lane] if enough else np.float32(0)
                coverage[b, i] = min(share[lane], np.float32(1)) if enough else np.float32(0)


@numba.jit(fastmath=_FASTMATH, **_OPTIONS)
def _fill(counts, pixels, tile):  # pragma: no cover - compiled
    """Write the pixels that are used of patterns (n, n_pixels) to the lanes of a tile.

    Sixteen patterns at a time: the same pixel of patterns whose size is a power of two lies in the
    same place of a cache, which holds about that many.
    """
    for first in range(0, counts.shape[0], 16):
        patterns = counts[first : first + 16]
        for p in range(pixels.shape[0]):
            pixel, row = pixels[p], tile[p, first : first + 16]
            for lane in range(patterns.shape[0]):
                row[lane] = patterns[lane, pixel]


@numba.jit(fastmath=_FASTMATH, **_OPTIONS)
def _sum_entries(first, last, index, weights, tile, total):  # pragma: no cover - compiled
    """Write the weighted sum of some rows of a tile (n_used, n_lanes) to ``total`` (n,)."""
    total[:] = np.float32(0)
    for j in range(first, last):
        weight, row = weights[j], tile[index[j]]
        for lane in range(total.shape[0]):
            total[lane] += weight * row[lane]


@numba.jit(fastmath=_FASTMATH, **_OPTIONS)
def _fill_lane(  # pragma: no cover - compiled
    pattern, valid, origin, offsets, tile, seen, lane
):
    """Write the pixels at offsets from ``origin``, and whether they are valid, to one lane."""
    n_rows, n_columns = valid.shape
    for p in range(offsets.shape[0]):
        row, column = origin[0] + offsets[p, 0], origin[1] + offsets[p, 1]
        tile[p, lane] = np.float32(0)
        seen[p, lane] = np.float32(0)
        if 0 <= row < n_rows and 0 <= column < n_columns and valid[row, column]:
            tile[p, lane] = pattern[row, column]
            seen[p, lane] = np.float32(1)
