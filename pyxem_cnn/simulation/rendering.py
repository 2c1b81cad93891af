"""Batched rendering of spot lists as polar patterns, area-preserving, without a Cartesian detour.

A Gaussian spot that is small against its distance from the direct beam is, in polar coordinates, a
radial profile times an azimuthal profile. Bins receive the spot's integral over them (differences of
the cumulative normal distribution), so that spots narrower than a bin lose nothing. A disc is seven
Gaussians with the disc's own second moment. Only bins within four standard deviations are touched:
a pattern costs microseconds.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pyxem_cnn.polar import PolarGrid

# A disc of radius 1 as one Gaussian at its centre and six on a ring, of equal weight:
# 6/7 ring^2/2 + sigma^2 = 1/4, the second moment of a disc along an axis.
_RING = 0.67
_RING_SIGMA = math.sqrt(0.25 - 3 / 7 * _RING**2)
# Spots reach so many standard deviations; 6e-5 of them lies outside.
_REACH = 4.0
# The cumulative normal distribution, tabulated: linear interpolation is right to 2e-6.
_TABLE_STEPS_PER_SIGMA = 256


def render_polar(
    k: np.ndarray,
    intensity: np.ndarray,
    sigma: np.ndarray,
    grid: PolarGrid,
    disc_radius: np.ndarray | None = None,
    ring_turn: np.ndarray | None = None,
) -> np.ndarray:
    """Render spots on a polar grid.

    Parameters
    ----------
    k
        Spot positions (kx, ky), y up, shape (n, n_spots, 2), 1/angstrom.
    intensity
        Integral of each spot, shape (n, n_spots); 0 for no spot.
    sigma
        Standard deviation of Gaussian spots, shape (n,), 1/angstrom. Meant for spots that are
        further than about two sigma from the direct beam.
    grid
        The polar grid.
    disc_radius
        Radius of discs, shape (n,), 1/angstrom; where it is above 0, the spot is a disc and
        ``sigma`` is not used.
    ring_turn
        Angle in radians of the ring of Gaussians that make a disc, shape (n,). Draw it afresh for
        every pattern: a ring that turned with the pattern would tell a network the in-plane angle.

    Returns
    -------
    content
        Integral of the pattern over each bin, shape (n, n_radial, n_azimuthal), float32: counts,
        if ``intensity`` is in counts.
    """
    n = len(k)
    content = np.zeros((n, *grid.shape), dtype=np.float32)
    zeros = np.zeros(n, dtype=np.float32)
    arguments = (k, intensity, sigma, _or(disc_radius, zeros), _or(ring_turn, zeros))
    _kernel()(
        content,
        *(np.ascontiguousarray(a, dtype=np.float32) for a in arguments),
        grid.k_min,
        grid.radial_step,
        _cumulative_normal(),
    )
    return content


def _or(array: np.ndarray | None, default: np.ndarray) -> np.ndarray:
    return default if array is None else array


@cache
def _cumulative_normal() -> np.ndarray:
    from scipy.special import ndtr

    n = int(_REACH * _TABLE_STEPS_PER_SIGMA)
    table = ndtr(np.arange(-n, n + 2) / _TABLE_STEPS_PER_SIGMA)
    # Cut at the reach and stretched to 0..1: the integral of a spot is exact.
    return ((table - table[0]) / (table[2 * n] - table[0])).clip(0, 1).astype(np.float32)


@cache
def _kernel() -> Any:
    """Return the compiled renderer; numba is imported when first needed."""
    import numba

    reach, steps = np.float32(_REACH), np.float32(_TABLE_STEPS_PER_SIGMA)

    @numba.njit(nogil=True, fastmath=True)
    def cumulative(x: float, table: np.ndarray) -> float:
        if x <= -reach:
            return np.float32(0)
        if x >= reach:
            return np.float32(1)
        position = (x + reach) * steps
        i = int(position)
        return table[i] + (table[i + 1] - table[i]) * (position - i)

    @numba.njit(nogil=True, fastmath=True)
    def add_spot(content, kx, ky, weight, sigma, k_min, step, table, profile):  # noqa: ANN202
        n_radial, n_azimuthal = content.shape
        radius = math.sqrt(kx * kx + ky * ky)
        first = max(0, int(math.floor((radius - reach * sigma - k_min) / step)))
        last = min(n_radial - 1, int(math.floor((radius + reach * sigma - k_min) / step)))
        if last < first:
            return
        arc = 2 * math.pi / n_azimuthal
        width = sigma / max(radius, 1e-6)
        azimuth = math.atan2(ky, kx)
        half = min(reach * width, math.pi - 1e-6)
        start = int(math.floor((azimuth - half) / arc + 0.5))
        n = min(int(math.floor((azimuth + half) / arc + 0.5)) - start + 1, n_azimuthal)
        before = cumulative(((start - 0.5) * arc - azimuth) / width, table)
        for j in range(n):
            after = cumulative(((start + j + 0.5) * arc - azimuth) / width, table)
            profile[j] = (after - before) * weight
            before = after
        start = start % n_azimuthal
        inner = cumulative((k_min + first * step - radius) / sigma, table)
        for i in range(first, last + 1):
            outer = cumulative((k_min + (i + 1) * step - radius) / sigma, table)
            share = outer - inner
            inner = outer
            row = content[i]
            until = min(n, n_azimuthal - start)
            for j in range(until):
                row[start + j] += share * profile[j]
            for j in range(until, n):
                row[start + j - n_azimuthal] += share * profile[j]

    @numba.njit(nogil=True, fastmath=True, parallel=True)
    def render(content, k, intensity, sigma, disc_radius, ring_turn, k_min, step, table):  # noqa: ANN202
        for b in numba.prange(content.shape[0]):
            profile = np.empty(content.shape[2] + 1, dtype=np.float32)
            is_disc = disc_radius[b] > 0
            narrow = disc_radius[b] * np.float32(_RING_SIGMA) if is_disc else sigma[b]
            for s in range(k.shape[1]):
                if intensity[b, s] <= 0:
                    continue
                weight = intensity[b, s] / 7 if is_disc else intensity[b, s]
                kx, ky = k[b, s, 0], k[b, s, 1]
                add_spot(content[b], kx, ky, weight, narrow, k_min, step, table, profile)
                if is_disc:
                    for m in range(6):
                        angle = ring_turn[b] + m * np.float32(math.pi / 3)
                        x = kx + np.float32(_RING) * disc_radius[b] * math.cos(angle)
                        y = ky + np.float32(_RING) * disc_radius[b] * math.sin(angle)
                        add_spot(content[b], x, y, weight, narrow, k_min, step, table, profile)

    return render
