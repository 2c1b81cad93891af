"""The compiled scores of many spot lists against apertures."""

from __future__ import annotations

import math

import numba
import numpy as np

__all__ = ["score_nodes"]


@numba.njit(nogil=True, fastmath=True, cache=True)
def _between(image, row, column):
    """Return an image (rings, bins) between its bins, around in its second axis."""
    n_rings, n_bins = image.shape
    row = min(max(row, 0.0), n_rings - 1.001)
    i, j = int(row), int(math.floor(column))
    u, v = row - i, column - j
    j, other = j % n_bins, (j + 1) % n_bins
    inner = (1 - v) * image[i, j] + v * image[i, other]
    outer = (1 - v) * image[i + 1, j] + v * image[i + 1, other]
    return (1 - u) * inner + u * outer


@numba.njit(nogil=True, fastmath=True, cache=True)
def _gain(found, background, light, n):
    """Return the log-likelihood above the background alone, at the best scale of the spots."""
    total, excess = 1e-12, 0.0
    for m in range(n):
        total += light[m]
        excess += found[m] - background[m]
    scale = max(excess, 0.0) / total
    for _ in range(2):
        gradient, curvature = 0.0, 1e-12
        for m in range(n):
            share = light[m] / (scale * light[m] + background[m])
            gradient += found[m] * share - light[m]
            curvature += found[m] * share * share
        scale = max(0.3 * scale, scale + gradient / curvature)
    gain = 0.0
    for m in range(n):
        signal = scale * light[m]
        gain += found[m] * math.log(1 + signal / background[m]) - signal
    return gain


@numba.njit(nogil=True, fastmath=True, cache=True)
def score_nodes(
    counts, background, caught, distortion, which, node, turn, turns, radius, azimuth, intensity,
    k_min, step, out
):  # fmt: skip
    """Write log-likelihoods above the background alone into ``out`` (n, n_turns, T).

    Of n pairs of a pattern ``which`` and a library's entry ``node``, turned by ``turn`` and each of
    ``turns`` (radians). ``radius`` and ``azimuth`` (N, S) and ``intensity`` (N, T, S) are those of
    the entries. ``distortion`` (patterns, 3) moves their spots: centre along x and y, and stretch.
    """
    n_rings, n_bins = counts.shape[1:]
    arc = 2 * math.pi / n_bins
    n_spots = radius.shape[1]
    found, flat, light = np.empty(n_spots), np.empty(n_spots), np.empty(n_spots)
    part = np.empty(n_spots)
    spot = np.empty(n_spots, dtype=np.int64)
    for i in range(which.shape[0]):
        p, q = which[i], node[i]
        shift_x, shift_y, stretch = distortion[p, 0], distortion[p, 1], 1 + distortion[p, 2]
        for w in range(turns.shape[0]):
            n = 0
            for s in range(n_spots):
                angle, distance = azimuth[q, s] + turn[i] + turns[w], radius[q, s]
                cos, sin = math.cos(angle), math.sin(angle)
                # To first order: centres are off by much less than spots are far away.
                angle += (shift_y * cos - shift_x * sin) / max(distance, 1e-6)
                distance = stretch * distance + shift_x * cos + shift_y * sin
                row = (distance - k_min) / step - 0.5
                if row < -0.5 or row > n_rings - 0.5:
                    continue
                column = angle / arc
                expected = _between(background[p], row, column)
                if expected <= 0:
                    continue
                found[n] = _between(counts[p], row, column)
                flat[n] = expected
                part[n] = caught[min(max(int(row + 0.5), 0), n_rings - 1)]
                spot[n] = s
                n += 1
            for t in range(intensity.shape[1]):
                for m in range(n):
                    light[m] = intensity[q, t, spot[m]] * part[m]
                out[i, w, t] = _gain(found, flat, light, n)
