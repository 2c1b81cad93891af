"""Defective pixels: hot ones that count without electrons, dead ones that do not count."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxem_cnn.augmentations._coordinates import Grid, areas, check_on_grid, per_pattern
from pyxem_cnn.augmentations.draws import Range, log_uniform, uniform


def pixels_per_bin(grid: Grid, pixel: float | Tensor) -> Tensor:
    """Return how many detector pixels a bin averages over.

    Parameters
    ----------
    grid
        Polar or Cartesian grid.
    pixel
        Side of a pixel in 1/angstrom, a number or shape (batch,).

    Returns
    -------
    pixels
        Shape grid.shape, or (batch, ...); below 1 where bins are smaller than pixels.
    """
    if isinstance(pixel, Tensor):
        return areas(grid, pixel.device) / per_pattern(pixel) ** 2
    return areas(grid) / pixel**2


def add_hot_pixels(
    counts: Tensor,
    grid: Grid,
    share: Range,
    strength: Range,
    pixel: float | Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Add pixels that count without electrons: defects of the sensor, X-rays, cosmic rays.

    Parameters
    ----------
    counts
        Counts per bin, after :func:`count_electrons`: hot pixels are not blurred and have no shot
        noise of the beam. Shape (batch, ...).
    grid
        Polar or Cartesian grid.
    share
        Hot pixels per pixel of the detector, drawn evenly for every pattern.
    strength
        Counts of a hot pixel, drawn evenly in the logarithm.
    pixel
        Side of a pixel in 1/angstrom, a number or shape (batch,).
    generator
        Source of random numbers.

    Raises
    ------
    ValueError
        If the patterns do not lie on the grid.
    """
    check_on_grid("counts", counts, grid)
    index, present = _random_pixels(len(counts), grid, share, pixel, generator)
    value = log_uniform(index.numel(), strength, generator).view(index.shape) * present
    return counts.flatten(1).scatter_add(1, index, value).view(counts.shape)


def dead_pixels(
    n: int, grid: Grid, share: Range, pixel: float | Tensor, generator: torch.Generator
) -> Tensor:
    """Return which share of each bin's pixels is alive, shape (n, ...), 0 to 1.

    On a Cartesian grid of the detector's own pixels this is 0 or 1. A polar bin averages several
    pixels and loses a part. There are two kinds:

    - *unknown* dead pixels read 0: multiply counts by what is returned;
    - *known* ones are masked, and the bin holds the mean of the others: multiply the expected
      content by it, count, divide by it, and mask bins of which less than half is left.

    Parameters
    ----------
    n
        Number of patterns.
    grid
        Polar or Cartesian grid.
    share
        Dead pixels per pixel of the detector, drawn evenly for every pattern.
    pixel
        Side of a pixel in 1/angstrom, a number or shape (batch,).
    generator
        Source of random numbers.
    """
    index, present = _random_pixels(n, grid, share, pixel, generator)
    pixels = pixels_per_bin(grid, pixel).to(generator.device).expand(n, *grid.shape).flatten(1)
    lost = present / pixels.gather(1, index)
    alive = torch.ones_like(pixels).scatter_add(1, index, -lost)
    return alive.clamp_(min=0).view(n, *grid.shape)


def _random_pixels(
    n: int, grid: Grid, share: Range, pixel: float | Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return bins of randomly placed pixels and which of them exist, both of shape (n, most)."""
    area = areas(grid, generator.device).flatten()
    total = pixels_per_bin(grid, pixel).sum(dim=(-2, -1)).to(generator.device)
    number = torch.poisson(uniform(n, share, generator) * total, generator=generator)
    most = int(number.max()) if n else 0
    # A pixel falls into a bin as often as the bin is large.
    level = torch.rand(n, most, generator=generator, device=generator.device, dtype=torch.float64)
    edges = area.cumsum(0, dtype=torch.float64)
    index = torch.searchsorted(edges, level * edges[-1], right=True).clamp_(max=len(area) - 1)
    present = torch.arange(most, device=number.device) < number[:, None]
    return index, present.float()
