"""The renderer for GPUs: every Gaussian on every bin, as batched matrix products.

The compiled renderer touches only the bins near a spot, one after the other. A GPU is faster with
what looks wasteful: the radial and the azimuthal profile of every Gaussian over the whole grid, and
the sum over all Gaussians of their products, which is a matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from pyxem_cnn.simulation.rendering import REACH

__all__ = ["render_on_rings"]

# Profiles held at a time, in numbers: half a gigabyte for each operation on them. Fused operations
# hold them once, and are compiled anew for every size of a piece: there it is all at once.
_PIECE, _FUSED_PIECE = 1 << 27, 1 << 30
_SMALLEST_RADIUS = 1e-6


def render_on_rings(
    k: Tensor,
    intensity: Tensor,
    offset: Tensor,
    sigma: Tensor,
    shape: tuple[int, int],
    k_min: float,
    step: float,
    compiled: bool = False,
) -> Tensor:
    """Return the sum of all sub-spots of all patterns, shape (n, n_radial, n_azimuthal).

    Parameters
    ----------
    k, intensity, offset, sigma
        Shapes (n, n_spots, 2), (n, n_spots, n_parts), (n, n_parts, 2) and (n,), on one device.
    shape
        Numbers of radial and azimuthal bins.
    k_min, step
        Inner edge of the first ring, and width of the rings, 1/angstrom.
    compiled
        Whether torch fuses the operations, which takes half a minute once and then most of the time
        off: worth it for many batches of one size.
    """
    n_gaussians = intensity.shape[1] * intensity.shape[2]
    limit = _FUSED_PIECE if compiled else _PIECE
    n = max(1, limit // max(1, n_gaussians * sum(shape)))
    pieces = zip(*(x.split(n) for x in (k, intensity, offset, sigma)), strict=True)
    render = _fused() if compiled else _render
    return torch.cat([render(*piece, shape, k_min, step) for piece in pieces])


@cache
def _fused() -> Callable[..., Tensor]:
    return torch.compile(_render)


def _render(
    k: Tensor,
    intensity: Tensor,
    offset: Tensor,
    sigma: Tensor,
    shape: tuple[int, int],
    k_min: float,
    step: float,
) -> Tensor:
    """Return some patterns."""
    n_radial, n_azimuthal = shape
    place = (k[:, :, None] + offset[:, None]).flatten(1, 2)  # (n, n_gaussians, 2)
    radius, azimuth = place.norm(dim=2), torch.atan2(place[..., 1], place[..., 0])
    edges = k_min + step * torch.arange(n_radial + 1, device=k.device)
    rings = _cumulative((edges - radius[..., None]) / sigma[:, None, None]).diff(dim=2)
    arc = 2 * math.pi / n_azimuthal
    width = (sigma[:, None] / radius.clamp(min=_SMALLEST_RADIUS))[..., None]
    bins = arc * torch.arange(n_azimuthal, device=k.device)
    distance = torch.remainder(bins - azimuth[..., None] + math.pi, 2 * math.pi) - math.pi
    around = _cumulative((distance + arc / 2) / width) - _cumulative((distance - arc / 2) / width)
    weighted = rings * intensity.flatten(1)[..., None]
    return torch.bmm(weighted.transpose(1, 2), around)


def _cumulative(x: Tensor) -> Tensor:
    """Return the cumulative normal distribution, cut at the reach and stretched to 0..1."""
    missing = math.erf(REACH / math.sqrt(2))  # what lies within the reach
    return (torch.erf(x / math.sqrt(2)) / missing + 1).clamp_(0, 2) / 2
