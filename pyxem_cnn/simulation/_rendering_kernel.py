"""The compiled renderers; imported when first needed, since numba is slow to import."""

from __future__ import annotations

import math

import numba
import numpy as np

from pyxem_cnn.simulation.rendering import REACH, TABLE_STEPS_PER_SIGMA

__all__ = ["render_on_pixels", "render_on_rings"]

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
def _add_on_rings(content, kx, ky, weight, sigma, k_min, step, table, profile):
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


@numba.njit(nogil=True, fastmath=True, cache=True)
def _add_on_pixels(content, x, y, weight, sigma, table, profile):
    """Add one Gaussian to an image; position and width in pixels, from the first one's corner."""
    n_rows, n_columns = content.shape
    reach = _REACH * sigma
    top, bottom = max(0, int(math.floor(y - reach))), min(n_rows, int(math.ceil(y + reach)))
    left, right = max(0, int(math.floor(x - reach))), min(n_columns, int(math.ceil(x + reach)))
    if bottom <= top or right <= left:
        return
    before = _cumulative((left - x) / sigma, table)
    for j in range(left, right):
        after = _cumulative((j + 1 - x) / sigma, table)
        profile[j - left] = (after - before) * weight
        before = after
    above = _cumulative((top - y) / sigma, table)
    for i in range(top, bottom):
        below = _cumulative((i + 1 - y) / sigma, table)
        share = below - above
        above = below
        row = content[i]
        for j in range(right - left):
            row[left + j] += share * profile[j]


@numba.njit(nogil=True, fastmath=True, parallel=True, cache=True)
def render_on_rings(content, k, intensity, offset, sigma, k_min, step, table):
    """Add all sub-spots of all patterns to ``content`` (n, n_radial, n_azimuthal).

    ``k`` (n, n_spots, 2), ``intensity`` (n, n_spots, n_parts), ``offset`` (n, n_parts, 2).
    """
    for b in numba.prange(content.shape[0]):
        profile = np.empty(content.shape[2] + 1, dtype=np.float32)
        for s in range(k.shape[1]):
            for p in range(intensity.shape[2]):
                weight = intensity[b, s, p]
                if weight > 0:
                    kx, ky = k[b, s, 0] + offset[b, p, 0], k[b, s, 1] + offset[b, p, 1]
                    _add_on_rings(content[b], kx, ky, weight, sigma[b], k_min, step, table, profile)


@numba.njit(nogil=True, fastmath=True, parallel=True, cache=True)
def render_on_pixels(content, k, intensity, offset, sigma, scale, table):
    """Add all sub-spots of all patterns to ``content`` (n, rows, columns), y up in ``k``."""
    n_rows, n_columns = content.shape[1:]
    for b in numba.prange(content.shape[0]):
        profile = np.empty(n_columns + 1, dtype=np.float32)
        width = sigma[b] / scale
        for s in range(k.shape[1]):
            for p in range(intensity.shape[2]):
                weight = intensity[b, s, p]
                if weight > 0:
                    x = (k[b, s, 0] + offset[b, p, 0]) / scale + n_columns / 2
                    y = n_rows / 2 - (k[b, s, 1] + offset[b, p, 1]) / scale
                    _add_on_pixels(content[b], x, y, weight, width, table, profile)
