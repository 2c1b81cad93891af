"""The compiled part: render spots, fit scale and background of each ring, and what moves them."""

from __future__ import annotations

import math

import numba
import numpy as np

from pyxem_cnn.simulation._rendering_kernel import _add_on_rings

__all__ = ["compare_patterns", "fit_patterns", "normal_equations"]

# Scoring steps for the scale of the spots and the background of every ring together.
_STEPS = 8
# The background of a ring is never less than this share of the ring's mean: spots that the
# simulation lacks cost likelihood, but do not forbid an orientation.
_FLOOR = 0.03


@numba.njit(nogil=True, cache=True)
def _render(image, k, weight, offset, sigma, k_min, step, table, profile):
    """Draw all parts (n_spots, n_parts) of one pattern's spots on an empty image."""
    image[:] = 0
    for s in range(k.shape[0]):
        for p in range(weight.shape[1]):
            if weight[s, p] > 0:
                x, y = k[s, 0] + offset[p, 0], k[s, 1] + offset[p, 1]
                _add_on_rings(image, x, y, weight[s, p], sigma, k_min, step, table, profile)


@numba.njit(nogil=True, fastmath=True, cache=True)
def _scoring_step(counts, area, share, image, scale, mean, background):
    """Return the scale after one scoring step; ``background`` (rings) is changed in place."""
    n_rings, n_bins = counts.shape
    gradient, curvature = 0.0, 0.0
    of_rings = np.zeros((n_rings, 3))
    for r in range(n_rings):
        if mean[r] <= 0:
            continue
        g_s, h_ss, g_b, h_bb, h_sb = 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(n_bins):
            a = area[r, j]
            if a > 0:
                s = image[r, j] * share[r, j]
                value = scale * s + background[r] * a
                w = 1 / value
                rest = (counts[r, j] - value) * w
                g_s += rest * s
                g_b += rest * a
                h_ss += s * s * w
                h_bb += a * a * w
                h_sb += s * a * w
        of_rings[r, 0], of_rings[r, 1], of_rings[r, 2] = g_b, h_bb, h_sb
        gradient += g_s - h_sb * g_b / h_bb
        curvature += h_ss - h_sb * h_sb / h_bb
    change = gradient / max(curvature, 1e-30)
    change = min(max(change, -0.7 * scale), 2 * scale)
    for r in range(n_rings):
        if of_rings[r, 1] > 0:
            b = background[r] + (of_rings[r, 0] - of_rings[r, 2] * change) / of_rings[r, 1]
            background[r] = max(b, _FLOOR * mean[r])
    return scale + change


@numba.njit(nogil=True, fastmath=True, cache=True)
def _gain(counts, area, share, image, scale, mean, background):
    """Return the log-likelihood above that of a background alone."""
    gain = 0.0
    for r in range(counts.shape[0]):
        if mean[r] <= 0:
            continue
        for j in range(counts.shape[1]):
            if area[r, j] > 0:
                n, flat = counts[r, j], mean[r] * area[r, j]
                value = scale * image[r, j] * share[r, j] + background[r] * area[r, j]
                gain += n * math.log(value / flat) - value + flat
    return gain


@numba.njit(nogil=True, fastmath=True, cache=True)
def _fit(counts, area, share, image, background):
    """Fit counts ~ scale * image * share + background * area; return scale and log-likelihood.

    ``share`` is the covered share of each bin, ``area`` its covered area in pixels; ``background``
    (rings) is overwritten. The log-likelihood is that above a background alone.
    """
    n_rings, n_bins = counts.shape
    mean = np.zeros(n_rings)
    total, light = 0.0, 0.0
    for r in range(n_rings):
        covered = 0.0
        for j in range(n_bins):
            mean[r] += counts[r, j]
            covered += area[r, j]
            light += image[r, j] * share[r, j]
        total += mean[r]
        mean[r] /= max(covered, 1e-30)
        background[r] = 0.5 * mean[r]
    if light <= 0 or total <= 0:
        return 0.0, 0.0
    scale = 0.5 * total / light
    for _ in range(_STEPS):
        before = scale
        scale = _scoring_step(counts, area, share, image, before, mean, background)
        if abs(scale - before) < 1e-3 * scale:
            break
    return scale, _gain(counts, area, share, image, scale, mean, background)


@numba.njit(nogil=True, cache=True)
def fit_patterns(counts, area, share, which, k, intensity, offset, sigma, k_min, step, table, out):
    """Write scale and log-likelihood of simulated patterns into ``out`` (n, T, 2).

    ``counts`` and ``area`` (P, rings, bins) are those of the patterns, ``which`` (n,) says which
    one each simulation is compared with; ``k`` (n, S, 2), ``intensity`` (n, T, S, J), ``offset``
    (J, 2).
    """
    image = np.empty(counts.shape[1:], dtype=np.float32)
    profile = np.empty(counts.shape[2] + 1, dtype=np.float32)
    background = np.empty(counts.shape[1])
    for i in range(k.shape[0]):
        p = which[i]
        for t in range(intensity.shape[1]):
            _render(image, k[i], intensity[i, t], offset, sigma, k_min, step, table, profile)
            scale, gain = _fit(counts[p], area[p], share[p], image, background)
            out[i, t, 0], out[i, t, 1] = scale, gain


@numba.njit(nogil=True, fastmath=True, cache=True)
def _gain_on(counts, known, share, image):
    """Return the log-likelihood above that of a known background, at the best scale of spots."""
    light, excess = 1e-30, 0.0
    for r in range(counts.shape[0]):
        for j in range(counts.shape[1]):
            light += image[r, j] * share[r, j]
            excess += counts[r, j] - known[r, j]
    scale = max(excess, 0.0) / light
    for _ in range(2):
        gradient, curvature = -light, 1e-30
        for r in range(counts.shape[0]):
            for j in range(counts.shape[1]):
                s = image[r, j] * share[r, j]
                ratio = s / max(scale * s + known[r, j], 1e-30)
                gradient += counts[r, j] * ratio
                curvature += counts[r, j] * ratio * ratio
        scale = max(0.3 * scale, scale + gradient / curvature)
    gain = -scale * light
    for r in range(counts.shape[0]):
        for j in range(counts.shape[1]):
            if counts[r, j] > 0 and image[r, j] > 0:
                gain += counts[r, j] * math.log(
                    1 + scale * image[r, j] * share[r, j] / max(known[r, j], 1e-30)
                )
    return gain


@numba.njit(nogil=True, cache=True)
def compare_patterns(
    counts, known, share, which, k, intensity, offset, sigma, k_min, step, table, out
):
    """Write log-likelihoods above a known background into ``out`` (n, T); see `fit_patterns`.

    ``known`` (P, rings, bins) is the background in counts. Four times as fast as fitting it.
    """
    image = np.empty(counts.shape[1:], dtype=np.float32)
    profile = np.empty(counts.shape[2] + 1, dtype=np.float32)
    for i in range(k.shape[0]):
        p = which[i]
        for t in range(intensity.shape[1]):
            _render(image, k[i], intensity[i, t], offset, sigma, k_min, step, table, profile)
            out[i, t] = _gain_on(counts[p], known[p], share[p], image)


@numba.njit(nogil=True, fastmath=True, cache=True)
def _weighted_products(counts, area, share, images, steps, scale, background, matrix, vector):
    """Fill the normal equations of what the n images stand for, the scale of spots as the last.

    ``images[0]`` is the pattern, the others are what it becomes by each of n - 1 ``steps``;
    ``matrix`` (n, n), ``vector`` (n,). The background of each ring is eliminated. Only the lower
    triangle is filled.
    """
    n_rings, n_bins = counts.shape
    n = images.shape[0]
    products, mixed, rests = np.empty((n, n)), np.empty(n), np.empty(n)
    values = np.empty(n)
    matrix[:], vector[:] = 0, 0
    for r in range(n_rings):
        products[:], mixed[:], rests[:] = 0, 0, 0
        aa, ab = 0.0, 0.0
        if background[r] <= 0:
            continue
        for j in range(n_bins):
            a = area[r, j]
            values[n - 1] = images[0, r, j] * share[r, j]
            value = scale * values[n - 1] + background[r] * a
            w = 1 / max(value, 1e-30)
            rest = counts[r, j] - value
            aa += w * a * a
            ab += w * a * rest
            for c in range(n - 1):
                change = (images[c + 1, r, j] - images[0, r, j]) / steps[c]
                values[c] = scale * change * share[r, j]
            for c in range(n):
                mixed[c] += w * a * values[c]
                rests[c] += w * rest * values[c]
                for d in range(c + 1):
                    products[c, d] += w * values[c] * values[d]
        if aa <= 0:
            continue
        for c in range(n):
            vector[c] += rests[c] - mixed[c] * ab / aa
            for d in range(c + 1):
                matrix[c, d] += products[c, d] - mixed[c] * mixed[d] / aa


@numba.njit(nogil=True, cache=True)
def _turned(points, angle, out):
    """Write points (n, 2) turned counterclockwise into ``out``."""
    cos, sin = math.cos(angle), math.sin(angle)
    for i in range(points.shape[0]):
        x, y = points[i, 0], points[i, 1]
        out[i, 0], out[i, 1] = cos * x - sin * y, sin * x + cos * y


@numba.njit(nogil=True, cache=True)
def _distorted(points, which, amount, out):
    """Write points (n, 2) into ``out``, moved along x (0) or y (1), or away from the middle (2)."""
    for i in range(points.shape[0]):
        stretch = 1 + amount if which == 2 else 1.0
        out[i, 0] = stretch * points[i, 0] + (amount if which == 0 else 0.0)
        out[i, 1] = stretch * points[i, 1] + (amount if which == 1 else 0.0)


@numba.njit(nogil=True, cache=True)
def normal_equations(
    counts, area, share, which, k, intensity, offset, turned, steps, sigma, k_min, step, table,
    left, right, gain
):  # fmt: skip
    """Write the equations of one Gauss-Newton step of n orientations.

    ``k`` (n, 3, S, 2) and ``intensity`` (n, 3, 2, S, J) are simulations at the orientation, tilted
    about x and tilted about y, each at the depth and a little deeper. ``turned`` is a small angle
    by which the pattern is turned in the plane for its derivative, and ``steps`` (N,) what the
    others were moved by: two tilts, the turn, the depth, and, where there are seven, the centre
    along x and y and the stretch. ``left`` (n, N, N) and ``right`` (n, N) are for these: the scale
    of the spots and the background are eliminated.
    """
    n_rings, n_bins = counts.shape[1:]
    n = steps.shape[0]
    images = np.empty((n + 1, n_rings, n_bins), dtype=np.float32)
    profile = np.empty(n_bins + 1, dtype=np.float32)
    background = np.empty(n_rings)
    k_moved, offset_turned = np.empty_like(k[0, 0]), np.empty_like(offset)
    _turned(offset, turned, offset_turned)
    matrix, vector = np.empty((n + 1, n + 1)), np.empty(n + 1)
    for i in range(k.shape[0]):
        p, base = which[i], intensity[i, 0, 0]
        _render(images[0], k[i, 0], base, offset, sigma, k_min, step, table, profile)
        _render(images[1], k[i, 1], intensity[i, 1, 0], offset, sigma, k_min, step, table, profile)
        _render(images[2], k[i, 2], intensity[i, 2, 0], offset, sigma, k_min, step, table, profile)
        _turned(k[i, 0], turned, k_moved)
        _render(images[3], k_moved, base, offset_turned, sigma, k_min, step, table, profile)
        _render(images[4], k[i, 0], intensity[i, 0, 1], offset, sigma, k_min, step, table, profile)
        for c in range(4, n):
            _distorted(k[i, 0], c - 4, steps[c], k_moved)
            _render(images[c + 1], k_moved, base, offset, sigma, k_min, step, table, profile)
        scale, gain[i] = _fit(counts[p], area[p], share[p], images[0], background)
        _weighted_products(
            counts[p], area[p], share[p], images, steps, scale, background, matrix, vector
        )
        last = max(matrix[n, n], 1e-30)
        for c in range(n):
            right[i, c] = vector[c] - matrix[n, c] * vector[n] / last
            for d in range(c + 1):
                left[i, c, d] = matrix[c, d] - matrix[n, c] * matrix[n, d] / last
                left[i, d, c] = left[i, c, d]
