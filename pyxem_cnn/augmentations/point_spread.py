"""The detector's point spread: a Gaussian blur that loses no count, in either layout."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from pyxem_cnn.augmentations._coordinates import Grid, bell, check_on_grid
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

# Patterns that are blurred at a time: few enough to stay in a core's cache.
_PIECE = 32


def point_spread(content: Tensor, sigma: Tensor, grid: Grid) -> Tensor:
    """Blur patterns as a detector does whose electrons, or photons, spread sideways.

    In the plane the blur is the same everywhere; on a polar grid it therefore spans more azimuthal
    bins near the middle. There it is computed as diffusion for a time of sigma^2 / 2 from bin to
    bin: positive, exactly count-preserving, with the right second moment whatever the size
    of the bins. Nothing flows over the edges of the grid, in either layout.

    Spots with a Gaussian profile are cheaper to blur by rendering them with a larger sigma.

    Parameters
    ----------
    content
        Counts per bin, shape (batch, ...), before they are counted: noise that a detector
        adds to single pixels is not blurred.
    sigma
        Standard deviation of the point spread, shape (batch,), 1/angstrom; 0 for none.
    grid
        Polar or Cartesian grid.

    Returns
    -------
    content
        Of the same shape.

    Raises
    ------
    ValueError
        If the patterns do not lie on the grid.
    """
    check_on_grid("content", content, grid)
    blur = _diffuse if isinstance(grid, PolarGrid) else _convolve
    pieces = zip(content.split(_PIECE), sigma.split(_PIECE), strict=True)
    return torch.cat([blur(*piece, grid) for piece in pieces])


def _convolve(content: Tensor, sigma: Tensor, grid: CartesianGrid) -> Tensor:
    """Return square patterns after a convolution along columns and one along rows."""
    rows, columns = (_kernel(size, sigma / grid.scale) for size in grid.shape)
    return rows @ content @ columns.mT


def _kernel(size: int, sigma: Tensor) -> Tensor:
    """Return Gaussian blurs of lines of pixels that end in mirrors, shape (batch, size, size)."""
    index = torch.arange(size, dtype=torch.float32, device=sigma.device)
    # A pixel, and its images behind the two mirrors.
    distance = index[:, None] - index
    images = torch.stack([distance, index[:, None] + index + 1])
    images = torch.cat([images, images[1:] - 2 * size])
    variance = sigma.clamp(min=1e-3)[:, None, None, None] ** 2
    kernel = bell(images**2 / variance).sum(1)
    return kernel / kernel.sum(1, keepdim=True)


def _diffuse(content: Tensor, sigma: Tensor, grid: PolarGrid) -> Tensor:
    """Return patterns after diffusion on the polar grid, harmonic by harmonic of the azimuth."""
    n = len(content)
    modes, rates, root = (x.to(content.device) for x in _diffusion(grid))
    spectrum = torch.fft.rfft(content / root, dim=2)  # (batch, radial, harmonics)
    x = torch.view_as_real(spectrum).permute(2, 1, 0, 3).flatten(2)  # (harmonics, radial, 2 batch)
    decay = torch.exp(
        (rates[..., None] * (sigma**2 / 2)).clamp_(min=-60)
    )  # (harmonics, radial, batch)
    x = modes.mT @ x
    x = modes @ (x.view(*decay.shape, 2) * decay[..., None]).flatten(2)
    x = x.view(-1, grid.n_radial, n, 2).permute(2, 1, 0, 3).contiguous()
    blurred = torch.fft.irfft(torch.view_as_complex(x), n=grid.n_azimuthal, dim=2) * root
    return blurred.clamp(min=0)  # negative by rounding only


@lru_cache(maxsize=8)
def _diffusion(grid: PolarGrid) -> tuple[Tensor, Tensor, Tensor]:
    """Return the Laplacian of finite volumes on the grid, diagonalised.

    Returns
    -------
    modes, rates, root
        Eigenvectors (harmonics, n_radial, n_radial) and eigenvalues (harmonics, n_radial) in
        angstrom^2 of the Laplacian between the areas' roots (n_radial, 1), which make it symmetric.
    """
    radii, edges, step = grid.radii, grid.radial_edges[1:-1], grid.radial_step
    harmonics = np.arange(grid.n_azimuthal // 2 + 1)
    # What flows between neighbours, over the length of their common edge.
    coupling = edges / (np.sqrt(radii[:-1] * radii[1:]) * step**2)
    outflow = np.zeros(grid.n_radial)
    outflow[:-1] += edges
    outflow[1:] += edges
    outflow /= radii * step**2
    around = (2 - 2 * np.cos(harmonics * grid.azimuthal_step)) / grid.azimuthal_step**2
    matrix = np.diag(coupling, 1) + np.diag(coupling, -1) - np.diag(outflow)
    matrix = matrix - np.einsum("m,ij->mij", around, np.diag(1 / radii**2))
    rates, modes = np.linalg.eigh(matrix)
    root = np.sqrt(grid.bin_areas[:, :1])
    return tuple(torch.as_tensor(x, dtype=torch.float32) for x in (modes, rates, root))
