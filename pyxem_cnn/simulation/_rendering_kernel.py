"""The compiled renderer; imported when first needed, since numba is slow to import."""

from __future__ import annotations

import math

import numba
import numpy as np

from pyxem_cnn.simulation.rendering import REACH, TABLE_STEPS_PER_SIGMA

__all__ = ["render"]

# A disc of radius 1 as one Gaussian at its centre and six on a ring, of equal weight:
# 6/7 ring^2/2 + sigma^2 = 1/4, the second moment of a disc along an axis.
_RING = np.float32(0.67)
_RING_SIGMA = np.float32(math.sqrt(0.25 - 3 / 7 * 0.67**2))
_SIXTH_TURN = np.float32(math.pi / 3)
_REACH, _STEPS = np.float32(REACH), np.float32(TABLE_STEPS_PER_SIGMA)


@numba.njit(nogil=True, fastmath=True, cache=True)
def _cumulative(x, table):
    """Return the cumulative normal distribution, cut at the reach."""
    if x <= -_REACH:
        return np.float32(0)
    if x >= _REACH:
        return np.float32(1)
    position = (x + _REACH) * _STEPS
    i = int(position)
    return table[i] + (table[i + 1] - table[i]) * (position - i)


@numba.njit(nogil=True, fastmath=True, cache=True)
def _add_spot(content, kx, ky, weight, sigma, k_min, step, table, profile):
    """Add one Gaussian to a pattern (n_radial, n_azimuthal); ``profile`` is scratch space."""
    n_radial, n_azimuthal = content.shape
    radius = math.sqrt(kx * kx + ky * ky)
    first = max(0, int(math.floor((radius - _REACH * sigma - k_min) / step)))
    last = min(n_radial - 1, int(math.floor((radius + _REACH * sigma - k_min) / step)))
    if last < first:
        return
    arc = 2 * math.pi / n_azimuthal
    width = sigma / max(radius, 1e-6)
    azimuth = math.atan2(ky, kx)
    half = min(_REACH * width, math.pi - 1e-6)
    start = int(math.floor((azimuth - half) / arc + 0.5))
    n = min(int(math.floor((azimuth + half) / arc + 0.5)) - start + 1, n_azimuthal)
    before = _cumulative(((start - 0.5) * arc - azimuth) / width, table)
    for j in range(n):
        after = _cumulative(((start + j + 0.5) * arc - azimuth) / width, table)
        profile[j] = (after - before) * weight
        before = after
    start = start % n_azimuthal
    until = min(n, n_azimuthal - start)
    inner = _cumulative((k_min + first * step - radius) / sigma, table)
    for i in range(first, last + 1):
        outer = _cumulative((k_min + (i + 1) * step - radius) / sigma, table)
        share = outer - inner
        inner = outer
        row = content[i]
        for j in range(until):
            row[start + j] += share * profile[j]
        for j in range(until, n):
            row[start + j - n_azimuthal] += share * profile[j]


@numba.njit(nogil=True, fastmath=True, parallel=True, cache=True)
def render(content, k, intensity, sigma, disc_radius, ring_turn, k_min, step, table):
    """Add all spots of all patterns to ``content`` (n, n_radial, n_azimuthal)."""
    for b in numba.prange(content.shape[0]):
        profile = np.empty(content.shape[2] + 1, dtype=np.float32)
        is_disc = disc_radius[b] > 0
        narrow = disc_radius[b] * _RING_SIGMA if is_disc else sigma[b]
        for s in range(k.shape[1]):
            if intensity[b, s] <= 0:
                continue
            weight = intensity[b, s] / 7 if is_disc else intensity[b, s]
            kx, ky = k[b, s, 0], k[b, s, 1]
            _add_spot(content[b], kx, ky, weight, narrow, k_min, step, table, profile)
            if is_disc:
                for m in range(6):
                    angle = ring_turn[b] + m * _SIXTH_TURN
                    x = kx + _RING * disc_radius[b] * math.cos(angle)
                    y = ky + _RING * disc_radius[b] * math.sin(angle)
                    _add_spot(content[b], x, y, weight, narrow, k_min, step, table, profile)
