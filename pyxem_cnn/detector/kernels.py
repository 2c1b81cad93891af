"""Numba kernels that apply a sparse resampling operator to a block of patterns.

Eight patterns are worked on at a time, with the pattern as the fastest axis: an entry of the
operator then meets eight neighbouring numbers, one vector instruction, where a single
pattern would be gathered number by number. Only this small tile becomes float32, never the
whole block. float32 is enough: a bin sums some tens of pixels, and 1e-6 of a count is far below
counting noise. ``fastmath`` holds no flag that assumes finite numbers, so that NaN survives.

This module is imported by the operator when it is first applied, since numba takes long.
"""

from __future__ import annotations

import numba
import numpy as np

LANES = 8
_OPTIONS = {"nopython": True, "nogil": True, "cache": True}
_FASTMATH = {"reassoc", "contract", "nsz"}


@numba.jit(fastmath=_FASTMATH, **_OPTIONS)
def resample(counts, pixels, indptr, index, weights, values):  # pragma: no cover - compiled
    """Write ``values[i, b] = sum_j weights[j] * counts[i, pixels[index[j]]]``.

    Parameters
    ----------
    counts : ndarray
        Patterns (n, n_pixels) of any native integer or float dtype.
    pixels : ndarray
        Flat indices (n_used,) of the pixels that are used, int64.
    indptr, index, weights : ndarray
        The operator's rows (n_bins + 1,), columns into ``pixels`` (n_entries,), float32 weights.
    values : ndarray
        Result (n, n_bins), float32.
    """
    n = counts.shape[0]
    tile = np.empty((pixels.shape[0], LANES), np.float32)
    total = np.empty(LANES, np.float32)
    lanes = np.empty(LANES, np.int64)
    for start in range(0, n, LANES):
        for lane in range(LANES):
            # The last tile repeats the last pattern rather than having a length of its own.
            lanes[lane] = min(start + lane, n - 1)
        for p in range(pixels.shape[0]):
            pixel = pixels[p]
            for lane in range(LANES):
                tile[p, lane] = counts[lanes[lane], pixel]
        for b in range(indptr.shape[0] - 1):
            for lane in range(LANES):
                total[lane] = np.float32(0)
            for j in range(indptr[b], indptr[b + 1]):
                weight, p = weights[j], index[j]
                for lane in range(LANES):
                    total[lane] += weight * tile[p, lane]
            for lane in range(min(LANES, n - start)):
                values[start + lane, b] = total[lane]


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
        Results (n, n_bins), float32; only the rows ``patterns`` are written.
    """
    m = patterns.shape[0]
    tile = np.empty((offsets.shape[0], LANES), np.float32)
    seen = np.empty((offsets.shape[0], LANES), np.float32)
    total = np.empty(LANES, np.float32)
    share = np.empty(LANES, np.float32)
    for start in range(0, m, LANES):
        for lane in range(LANES):
            i = min(start + lane, m - 1)
            _fill_lane(counts[patterns[i]], valid, origins[i], offsets, tile, seen, lane)
        for b in range(indptr.shape[0] - 1):
            for lane in range(LANES):
                total[lane] = np.float32(0)
                share[lane] = np.float32(0)
            for j in range(indptr[b], indptr[b + 1]):
                weight, p = weights[j], index[j]
                for lane in range(LANES):
                    total[lane] += weight * tile[p, lane]
                for lane in range(LANES):
                    share[lane] += weight * seen[p, lane]
            for lane in range(min(LANES, m - start)):
                if share[lane] >= minimum:
                    values[patterns[start + lane], b] = total[lane] / share[lane]
                    coverage[patterns[start + lane], b] = min(share[lane], np.float32(1))
                else:
                    values[patterns[start + lane], b] = np.float32(0)
                    coverage[patterns[start + lane], b] = np.float32(0)


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
