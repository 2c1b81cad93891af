"""Where the bins of a grid lie, as tensors that broadcast against a batch of patterns."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from pyxem_cnn._checks import check_shape
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

Grid = PolarGrid | CartesianGrid


@lru_cache(maxsize=16)
def radius_and_azimuth(grid: Grid, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return the middles of the bins in 1/angstrom and radians, azimuth from +x with y up.

    Parameters
    ----------
    grid
        Polar or Cartesian grid.
    device
        Where the tensors lie.

    Returns
    -------
    radius, azimuth
        Shapes (n_radial, 1) and (1, n_azimuthal), or (rows, columns) both: do not write into them.
    """
    if isinstance(grid, PolarGrid):
        radius, azimuth = grid.radii[:, np.newaxis], grid.azimuths[np.newaxis]
    else:
        rows, columns = grid.shape
        x = (np.arange(columns) - (columns - 1) / 2) * grid.scale
        y = ((rows - 1) / 2 - np.arange(rows)) * grid.scale  # rows run down, y up
        x, y = np.meshgrid(x, y)
        radius, azimuth = np.hypot(x, y), np.arctan2(y, x)
    return (
        torch.as_tensor(radius, dtype=torch.float32, device=device),
        torch.as_tensor(azimuth, dtype=torch.float32, device=device),
    )


@lru_cache(maxsize=16)
def positions(grid: Grid, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return the middles of the bins as (kx, ky) in 1/angstrom, y up, each of the grid's shape."""
    radius, azimuth = radius_and_azimuth(grid, device)
    return radius * azimuth.cos(), radius * azimuth.sin()


@lru_cache(maxsize=16)
def areas(grid: Grid, device: torch.device | None = None) -> Tensor:
    """Return the areas of the bins in 1/angstrom squared, of the grid's shape."""
    return torch.as_tensor(grid.bin_areas, dtype=torch.float32, device=device)


@lru_cache(maxsize=16)
def bin_size(grid: Grid, device: torch.device | None = None) -> Tensor:
    """Return the bins' shorter sides in 1/angstrom, shape (n_radial, 1) or (rows, columns)."""
    radius, _ = radius_and_azimuth(grid, device)
    size = grid.bin_size(radius.cpu().numpy())
    return torch.as_tensor(size, dtype=torch.float32, device=device)


def radial_span(grid: Grid) -> tuple[float, float]:
    """Return the smallest and the largest radius of full rings, 1/angstrom."""
    if isinstance(grid, PolarGrid):
        return grid.k_min, grid.k_max
    return 0.0, min(grid.shape) * grid.scale / 2


def check_on_grid(what: str, patterns: Tensor, grid: Grid) -> None:
    """Raise ValueError if patterns do not lie on a grid, shape (batch, ...)."""
    kind = type(grid).__name__
    check_shape(what, patterns, ("batch", *grid.shape), f"These are the bins of the {kind}.")


def per_pattern(value: Tensor) -> Tensor:
    """Return one number for each pattern, shape (batch,), as (batch, 1, 1)."""
    return value[:, None, None]


def bell(square: Tensor) -> Tensor:
    """Return ``exp(-square / 2)``, no less than 1e-26: smaller numbers slow processors down."""
    return square.div(-2).clamp_(min=-60).exp_()
