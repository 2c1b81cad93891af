"""Numba kernel that gives every electron of a pixel a bin of its own."""

from __future__ import annotations

import numba
import numpy as np

# Of more electrons in a pixel, shares are given, rounded by chance.
_MOST_ONE_BY_ONE = 64


@numba.jit(nopython=True, nogil=True, cache=True)
def count_whole(counts, first, bins, cumulative, weight, found):  # pragma: no cover - compiled
    """Add the weights of the bins that electrons fall into.

    Parameters
    ----------
    counts : ndarray
        Whole numbers of electrons (n, n_pixels) of any dtype.
    first, bins, cumulative : ndarray
        For each pixel, where its bins begin (n_pixels + 1,), the bins, and the share of its area
        up to and with each of them; what is missing to 1 lies in no bin.
    weight : ndarray
        What an electron adds to each bin (n_bins,), float32.
    found : ndarray
        Result (n, n_bins), float32, zeros before.
    """
    hit = np.empty(first.shape[0], np.int64)
    for i in range(counts.shape[0]):
        row, values = counts[i], found[i]
        n_hit, seed = _hits(row, first, hit)
        for h in range(n_hit):
            p = hit[h]
            start, stop = first[p], first[p + 1]
            n = row[p]
            if n > _MOST_ONE_BY_ONE:
                before = np.float32(0)
                for j in range(start, stop):
                    share = cumulative[j] - before
                    before = cumulative[j]
                    electrons = np.floor(n * share + _random(seed, p, j))
                    values[bins[j]] += np.float32(electrons) * weight[bins[j]]
                continue
            for electron in range(int(n)):
                u = _random(seed, p, electron)
                for j in range(start, stop):
                    if u < cumulative[j]:
                        values[bins[j]] += weight[bins[j]]
                        break


@numba.jit(nopython=True, nogil=True, cache=True)
def _hits(row, first, hit):  # pragma: no cover - compiled
    """Write the pixels with electrons that are used to ``hit``; return how many, and a seed."""
    n_hit, seed = 0, np.uint64(0)
    for p in range(first.shape[0] - 1):
        if row[p] > 0 and first[p] < first[p + 1]:
            hit[n_hit] = p
            n_hit += 1
            seed += np.uint64(row[p]) * np.uint64(2 * p + 1)
    return n_hit, seed


@numba.jit(nopython=True, nogil=True, cache=True)
def _random(seed, a, b):  # pragma: no cover - compiled
    """Return a number from 0 to 1 that depends on three whole numbers: SplitMix64's last steps."""
    x = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(b) * np.uint64(0xD1B54A32D192ED03)
    x += seed * np.uint64(0xA0761D6478BD642F)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return np.float32(np.float64(x >> np.uint64(11)) / 9007199254740992.0)
