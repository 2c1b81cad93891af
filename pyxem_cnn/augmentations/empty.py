"""The two kinds of pattern without a crystal: vacuum and amorphous material."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxem_cnn.augmentations._coordinates import Grid, areas, per_pattern
from pyxem_cnn.augmentations.background import amorphous_rings, diffuse_background, direct_beam_tail
from pyxem_cnn.augmentations.draws import Range, log_uniform, uniform
from pyxem_cnn.augmentations.mixing import mix_in


def vacuum(
    n: int,
    grid: Grid,
    generator: torch.Generator,
    sigma: Range = (0.006, 0.06),
    stray: Range = (1e-4, 0.05),
) -> Tensor:
    """Return patterns where the beam hits nothing: the direct beam and a little stray light.

    On a polar grid without the direct beam, its tail and the stray electrons are all there is.

    Parameters
    ----------
    n
        Number of patterns.
    grid
        Polar or Cartesian grid.
    generator
        Source of random numbers.
    sigma
        Standard deviation of the direct beam, 1/angstrom, drawn evenly in the logarithm.
    stray
        Stray electrons on the grid against those of the direct beam, drawn evenly in the logarithm;
        the same everywhere.

    Returns
    -------
    content
        Counts per bin up to a factor, shape (n, ...); the sum of a pattern is 1.
    """
    width = log_uniform(n, sigma, generator)
    shift = width.new_zeros(n, 2)
    area = areas(grid, generator.device)
    beam = direct_beam_tail(shift, width, torch.ones_like(width), grid) * area
    flat = per_pattern(log_uniform(n, stray, generator)) * area / area.sum()
    return _normalised(beam + flat)


def amorphous(
    n: int,
    grid: Grid,
    generator: torch.Generator,
    radius: Range = (0.25, 0.6),
    rings: Range = (0.1, 0.8),
) -> Tensor:
    """Return patterns of amorphous material: broad rings on diffuse scattering.

    Parameters
    ----------
    n
        Number of patterns.
    grid
        Polar or Cartesian grid.
    generator
        Source of random numbers.
    radius
        Radius of the first ring, 1/angstrom.
    rings
        Share of the rings in all counts.

    Returns
    -------
    content
        Counts per bin up to a factor, shape (n, ...); the sum of a pattern is 1. The direct
        beam is left out: add :func:`direct_beam_tail` where the grid shows it.
    """
    area = areas(grid, generator.device)
    diffuse = diffuse_background(n, grid, generator) * area
    density = amorphous_rings(n, grid, radius, generator)
    return _normalised(mix_in(diffuse, density * area, uniform(n, rings, generator)))


def _normalised(content: Tensor) -> Tensor:
    """Return patterns of which each has the sum 1."""
    return content / content.sum(dim=(1, 2), keepdim=True)
