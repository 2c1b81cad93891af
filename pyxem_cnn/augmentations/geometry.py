"""Errors of the geometry: camera length, centre and ellipticity, of spots and of patterns."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pyxem_cnn.augmentations._coordinates import Grid, areas, check_on_grid, per_pattern, positions
from pyxem_cnn.augmentations.draws import uniform, within
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

# Patterns that are moved at a time: few enough to stay in a core's cache.
_PIECE = 16


def distort(
    k: Tensor, center: float, scale: float, ellipticity: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Move spots by errors of the centre, the camera length and the ellipticity.

    Parameters
    ----------
    k
        Positions, shape (batch, n_spots, 2), 1/angstrom.
    center
        Largest error of the centre, 1/angstrom.
    scale, ellipticity
        Largest relative errors.
    generator
        Source of random numbers.

    Returns
    -------
    k, shift
        Moved positions and the error of the centre, shape (batch, 2): the direct beam lies there.
    """
    matrix, shift = _draw(len(k), center, scale, ellipticity, generator)
    return k @ matrix.transpose(1, 2) + shift[:, None], shift


def distort_patterns(
    content: Tensor,
    grid: Grid,
    center: float,
    scale: float,
    ellipticity: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Do to finished patterns what :func:`distort` does to spots.

    Interpolation widens spots by up to half a bin: where there are spot lists, distort those.

    Parameters
    ----------
    content
        Counts per bin, shape (batch, ...).
    grid
        Polar or Cartesian grid.
    center
        Largest error of the centre, 1/angstrom.
    scale, ellipticity
        Largest relative errors; a scale above 0 enlarges the pattern and crops it.
    generator
        Source of random numbers.

    Returns
    -------
    content, mask, shift
        As of :func:`warp`, and the position of the direct beam, shape (batch, 2), 1/angstrom.
    """
    matrix, shift = _draw(len(content), center, scale, ellipticity, generator)
    return *warp(content, matrix, shift, grid), shift


def warp(content: Tensor, matrix: Tensor, shift: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Move the content of patterns from k to ``matrix @ k + shift``, keeping the counts.

    Densities are interpolated linearly: a spot a few bins wide keeps its counts to 1 %.

    Parameters
    ----------
    content
        Counts per bin, shape (batch, ...).
    matrix
        Shape (batch, 2, 2), for (kx, ky) with y up.
    shift
        Shape (batch, 2), 1/angstrom.
    grid
        Polar or Cartesian grid.

    Returns
    -------
    content, mask
        Shape (batch, ...). The mask is 0, and the content too, in bins that show what lay
        outside of the grid.

    Raises
    ------
    ValueError
        If the patterns do not lie on the grid.
    """
    check_on_grid("content", content, grid)
    area = areas(grid, content.device)
    find = _find_polar if isinstance(grid, PolarGrid) else _find_square
    pieces = zip(
        *(x.split(_PIECE) for x in (content, torch.linalg.inv(matrix), shift)), strict=True
    )
    moved, masks = [], []
    for values, inverse, offset in pieces:
        density, where, mask = find(values / area, _source(inverse, offset, grid), grid)
        density = F.grid_sample(density[:, None], where, padding_mode="border", align_corners=True)
        moved.append(density[:, 0].mul_(mask).mul_(area))
        masks.append(mask)
    return torch.cat(moved) / per_pattern(torch.linalg.det(matrix).abs()), torch.cat(masks)


def _source(inverse: Tensor, shift: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return where the content of each bin comes from, kx and ky of shape (batch, ...)."""
    x, y = positions(grid, shift.device)
    x, y = x - shift[:, :1, None], y - shift[:, 1:, None]
    (a, b), (c, d) = ([per_pattern(inverse[:, i, j]) for j in (0, 1)] for i in (0, 1))
    return torch.addcmul(a * x, b, y), torch.addcmul(c * x, d, y)


def _draw(
    n: int, center: float, scale: float, ellipticity: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return symmetric matrices (n, 2, 2) and shifts (n, 2)."""
    angle = uniform(n, (0, math.pi), generator)
    stretch = uniform(n, (-ellipticity, ellipticity), generator)
    size = 1 + uniform(n, (-scale, scale), generator)
    cos, sin = (2 * angle).cos() * stretch, (2 * angle).sin() * stretch
    matrix = torch.stack([size + cos, sin, sin, size - cos], dim=-1).view(n, 2, 2)
    return matrix, within(n, center, generator)


def _find_polar(
    density: Tensor, source: tuple[Tensor, Tensor], grid: PolarGrid
) -> tuple[Tensor, Tensor, Tensor]:
    """Return densities with azimuths from -pi to pi, where to read them (-1 to 1), and the mask."""
    x, y = source
    radius = torch.hypot(x, y)
    half = grid.n_azimuthal // 2
    density = torch.cat([density[..., half:], density[..., : half + 2]], dim=-1)
    column = torch.atan2(y, x).div_(grid.azimuthal_step).add_(grid.n_azimuthal - half)
    row = ((radius - grid.k_min) / grid.radial_step).sub_(0.5)
    mask = ((radius >= grid.k_min) & (radius < grid.k_max)).float()
    return density, _normalised(column, row, density), mask


def _find_square(
    density: Tensor, source: tuple[Tensor, Tensor], grid: CartesianGrid
) -> tuple[Tensor, Tensor, Tensor]:
    """Return densities, where to read them (-1 to 1), and the mask."""
    rows, columns = grid.shape
    column = (source[0] / grid.scale).add_((columns - 1) / 2)
    row = (source[1] / -grid.scale).add_((rows - 1) / 2)
    mask = (column > -0.5) & (column < columns - 0.5) & (row > -0.5) & (row < rows - 0.5)
    return density, _normalised(column, row, density), mask.float()


def _normalised(column: Tensor, row: Tensor, density: Tensor) -> Tensor:
    """Return coordinates as ``grid_sample`` takes them, with -1 and 1 on the outermost bins."""
    rows, columns = (max(n - 1, 1) for n in density.shape[-2:])
    return torch.stack([column.mul_(2 / columns).sub_(1), row.mul_(2 / rows).sub_(1)], dim=-1)
