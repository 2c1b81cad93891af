"""Batched rendering of spot lists as polar patterns or images, area-preserving.

Bins receive a spot's integral over them (differences of the cumulative normal distribution), so
that spots narrower than a bin lose nothing. In polar coordinates, a Gaussian that is small against
its distance from the direct beam is a radial profile times an azimuthal profile. A disc is a few
Gaussians with the disc's own second moment: of equal weight, or, for discs with structure, one for
each direction of the incident beam that was simulated. Only bins within four standard deviations
are touched: a pattern costs microseconds.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn._checks import check_shape
from pyxem_cnn.rotations import Array, array_namespace
from pyxem_cnn.simulation.disc_parts import N_PARTS, uniform_parts, width_between

if TYPE_CHECKING:
    from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

__all__ = ["cumulative_normal", "render_cartesian", "render_polar"]

# The kernel's spots reach so many standard deviations; 6e-5 of them lies outside.
REACH = 4.0
# The cumulative normal distribution, tabulated: linear interpolation is right to 2e-6.
TABLE_STEPS_PER_SIGMA = 256


class _Parts(NamedTuple):
    """Gaussians that make up every spot."""

    intensity: Array  # (n, n_spots, n_parts)
    offset: Array  # (n, n_parts, 2), 1/angstrom
    sigma: Array  # (n,), 1/angstrom


def render_polar(
    k: Array,
    intensity: Array,
    sigma: Array,
    grid: PolarGrid,
    disc_radius: Array | None = None,
    ring_turn: Array | None = None,
    tilts: Array | None = None,
    compiled: bool = False,
) -> Array:
    """Render spots on a polar grid.

    Takes NumPy arrays, or torch tensors of one device, and returns what it was given. Tensors of a
    GPU are rendered there.

    Parameters
    ----------
    k
        Spot positions (kx, ky), y up, shape (n, n_spots, 2), 1/angstrom.
    intensity
        Integral of each spot, shape (n, n_spots); 0 for no spot. With `tilts`, the integral of
        each of its parts, shape (n, n_spots, n_tilts).
    sigma
        Standard deviation of Gaussian spots, shape (n,), 1/angstrom. Meant for spots that are
        further than about two sigma from the direct beam. With `tilts`, that of the point spread
        by which the discs are blurred besides.
    grid
        The polar grid.
    disc_radius
        Radius of discs, shape (n,), 1/angstrom; where it is above 0, the spot is a disc and
        ``sigma`` is not used. Discs with `tilts` have it as well.
    ring_turn
        Angle in radians of the ring of Gaussians that make a disc, shape (n,). Draw it afresh for
        every pattern: a ring that turned with the pattern would tell a network the in-plane angle.
    tilts
        Displacement (x, y) of the spots for each simulated direction of the incident beam, shape
        (n, n_tilts, 2), 1/angstrom: the points that fill a disc. They should cover the disc of
        `disc_radius` evenly, or, without it, the disc whose second moment they have. A single
        tilt is a single Gaussian, that of a disc if `disc_radius` is given.
    compiled
        Whether torch compiles what a GPU does, for many batches of one size.

    Returns
    -------
    content
        Integral of the pattern over each bin, shape (n, n_radial, n_azimuthal), float32: counts,
        if ``intensity`` is in counts.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    parts = _parts(k, intensity, sigma, disc_radius, ring_turn, tilts)
    if array_namespace(k) is not np:
        return _render_tensors(k, parts, grid, compiled)
    from pyxem_cnn.simulation._rendering_kernel import render_on_rings

    content = np.zeros((len(k), *grid.shape), dtype=np.float32)
    arrays = (_single(a) for a in (k, *parts))
    render_on_rings(content, *arrays, grid.k_min, grid.radial_step, cumulative_normal())
    return content


def _render_tensors(k: Any, parts: _Parts, grid: PolarGrid, compiled: bool) -> Any:
    """Return bin contents of tensors: on a CPU the compiled renderer is faster."""
    import torch

    if k.device.type == "cpu":
        from pyxem_cnn.simulation._rendering_kernel import render_on_rings

        content = torch.zeros((len(k), *grid.shape))
        arrays = (_single(array.numpy()) for array in (k, *parts))
        table = cumulative_normal()
        render_on_rings(content.numpy(), *arrays, grid.k_min, grid.radial_step, table)
        return content
    from pyxem_cnn.simulation import _rendering_torch

    tensors = (array.float() for array in (k, *parts))
    return _rendering_torch.render_on_rings(
        *tensors, grid.shape, grid.k_min, grid.radial_step, compiled
    )


def render_cartesian(
    k: np.ndarray,
    intensity: np.ndarray,
    sigma: np.ndarray,
    grid: CartesianGrid,
    disc_radius: np.ndarray | None = None,
    ring_turn: np.ndarray | None = None,
    tilts: np.ndarray | None = None,
) -> np.ndarray:
    """Render spots as images, the direct beam in the middle.

    Parameters
    ----------
    k, intensity, sigma
        As in :func:`render_polar`, without its limit on the size of the spots.
    grid
        The pixels.
    disc_radius, ring_turn, tilts
        As in :func:`render_polar`.

    Returns
    -------
    content
        Integral of the pattern over each pixel, shape (n, rows, columns), float32, y up: rows
        count downwards from the largest ky.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    from pyxem_cnn.simulation._rendering_kernel import render_on_pixels

    parts = _parts(k, intensity, sigma, disc_radius, ring_turn, tilts)
    content = np.zeros((len(k), *grid.shape), dtype=np.float32)
    arrays = (_single(a) for a in (k, *parts))
    render_on_pixels(content, *arrays, grid.scale, cumulative_normal())
    return content


def _parts(
    k: Array,
    intensity: Array,
    sigma: Array,
    disc_radius: Array | None,
    ring_turn: Array | None,
    tilts: Array | None,
) -> _Parts:
    """Return the Gaussians that every spot consists of."""
    n, n_spots = k.shape[:2]
    xp = array_namespace(k)
    if tilts is not None:
        check_shape("tilts", tilts, (n, "n_tilts", 2))
        check_shape("intensity", intensity, (n, n_spots, tilts.shape[1]), "One for each tilt.")
        return _Parts(intensity, tilts, xp.hypot(sigma, width_between(tilts, disc_radius)))
    check_shape("intensity", intensity, (n, n_spots))
    if disc_radius is None or not (disc_radius > 0).any():
        return _Parts(intensity[..., None], xp.zeros_like(k[:, :1]), sigma)
    return _uniform_discs(intensity, sigma, disc_radius, ring_turn)


def _uniform_discs(
    intensity: Array, sigma: Array, radius: Array, ring_turn: Array | None
) -> _Parts:
    """Return seven equal Gaussians for every disc, and one where the radius is 0."""
    xp = array_namespace(radius)
    is_disc = radius > 0
    offset = uniform_parts(radius, ring_turn)
    of_disc = is_disc / float(N_PARTS)
    weight = xp.stack([of_disc + ~is_disc, *((N_PARTS - 1) * [of_disc])], -1)
    return _Parts(
        intensity[..., None] * weight[:, None, :],
        offset,
        xp.where(is_disc, width_between(offset, radius), sigma),
    )


def _single(array: Any) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float32)


@cache
def cumulative_normal() -> np.ndarray:
    """Return the integral of a Gaussian up to -REACH ... REACH standard deviations, tabulated."""
    from scipy.special import ndtr

    n = int(REACH * TABLE_STEPS_PER_SIGMA)
    table = ndtr(np.arange(-n, n + 2) / TABLE_STEPS_PER_SIGMA)
    # Cut at the reach and stretched to 0..1: the integral of a spot is exact.
    return ((table - table[0]) / (table[2 * n] - table[0])).clip(0, 1).astype(np.float32)
