"""Areas that the pixels of a detector, or the cells of a polar pattern, share with bins."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid
from pyxem_cnn.detector.polar_geometry import PolarGeometry

__all__ = ["AreaWeights", "detector_weights", "polar_weights"]

# Subpixels along the shorter side of a bin, and along a pixel.
_PER_BIN = 8
_PER_PIXEL = np.array([2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256])
# Subpixels that are worked on at a time, for the memory's sake.
_AT_ONCE = 1_000_000


class AreaWeights(NamedTuple):
    """Overlaps of pixels with bins.

    Attributes
    ----------
    bins
        Flat index of the bin (n_entries,).
    rows, columns
        The pixel (n_entries,); it may lie outside the detector.
    areas
        Area that they share (n_entries,), in pixels or 1/angstrom squared.
    totals
        Area of each bin in the same unit (n_bins,).
    gain
        Returns, for rows and columns, what turns a pixel's value into mean counts per pixel.
    """

    bins: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    areas: np.ndarray
    totals: np.ndarray
    gain: Callable[[np.ndarray, np.ndarray], np.ndarray | float]


def detector_weights(
    geometry: DetectorGeometry, grid: PolarGrid | CartesianGrid, any_beam: bool = False
) -> AreaWeights:
    """Cut pixels into subpixels and give each to the bin that holds its middle.

    The pixels go on beyond the detector's edge as far as a bin may that touches the detector,
    so that what is covered of a bin is known from the same subpixels.

    Parameters
    ----------
    geometry, grid
        What to resample from and to.
    any_beam
        Whether the beam may lie anywhere on the detector, not only at its centre.

    Returns
    -------
    weights
        With areas in pixels.
    """
    rows, columns, sizes = _pixels_near(geometry, grid, any_beam)
    n_bins = int(np.prod(grid.shape))
    found: list[tuple[np.ndarray, ...]] = []
    for m in np.unique(sizes):
        (chosen,) = np.nonzero(sizes == m)
        for part in np.array_split(chosen, -(-chosen.size * m * m // _AT_ONCE)):
            bins, pixel, areas = _overlaps(geometry, grid, rows[part], columns[part], int(m))
            found.append((bins, rows[part][pixel], columns[part][pixel], areas))
    bins, rows, columns, areas = (np.concatenate(f) for f in zip(*found, strict=True))
    totals = np.bincount(bins, areas, minlength=n_bins)
    return AreaWeights(bins, rows, columns, areas, totals, lambda rows, columns: 1.0)


def polar_weights(geometry: PolarGeometry, grid: PolarGrid | CartesianGrid) -> AreaWeights:
    """Return the exact overlaps of polar cells with polar bins.

    Parameters
    ----------
    geometry, grid
        What to resample from and to.

    Returns
    -------
    weights
        With areas in 1/angstrom squared.

    Raises
    ------
    ValueError
        If the grid is not polar.
    """
    if not isinstance(grid, PolarGrid):
        raise ValueError(
            given_expected(
                "grid for patterns that are polar already",
                grid,
                "a PolarGrid",
                "Start from the patterns before the azimuthal integration.",
            )
        )
    radial = _overlap_1d(geometry.radial_edges**2 / 2, grid.radial_edges**2 / 2)
    step = grid.azimuthal_step
    edges = (np.arange(grid.n_azimuthal + 1) - 0.5) * step
    # The cells may start at any multiple of a turn; three turns of bins hold all overlaps.
    low = geometry.azimuthal_edges - 2 * np.pi * np.floor(geometry.azimuthal_edges[0] / 2 / np.pi)
    azimuthal = sum(_overlap_1d(low, edges + turn * 2 * np.pi) for turn in (0, 1, 2))
    ring, row = np.nonzero(radial)
    wedge, column = np.nonzero(azimuthal)
    areas = np.outer(radial[ring, row], azimuthal[wedge, column]).ravel()
    return AreaWeights(
        np.add.outer(ring * grid.n_azimuthal, wedge).ravel(),
        np.repeat(row, column.size),
        np.tile(column, row.size),
        areas,
        grid.bin_areas.ravel(),
        geometry.gain,
    )


def _pixels_near(
    geometry: DetectorGeometry, grid: PolarGrid | CartesianGrid, any_beam: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, columns and subpixels along a side of the pixels that may lie in bins."""
    ny, nx = geometry.shape
    if any_beam:
        # A beam on one corner sees the other one at the diagonal.
        corners = geometry.offset_to_reciprocal(np.array([nx, nx]), np.array([ny, -ny]))
    else:
        edges = np.array([-0.5, nx - 0.5]), np.array([-0.5, ny - 0.5])
        corners = geometry.to_reciprocal(*np.meshgrid(*edges))
    far = np.hypot(*corners).max()
    stretch = np.sqrt(max(geometry.ellipticity, 1 / geometry.ellipticity))
    half_diagonal = stretch * np.hypot(*geometry.scale) / 2
    reach = min(grid.largest_radius, far + grid.radial_step) + half_diagonal
    (x, y), (sx, sy) = geometry.center, geometry.scale
    columns = np.arange(np.floor(x - reach * stretch / sx), np.ceil(x + reach * stretch / sx) + 1)
    rows = np.arange(np.floor(y - reach * stretch / sy), np.ceil(y + reach * stretch / sy) + 1)
    radius = np.hypot(*geometry.to_reciprocal(*np.meshgrid(columns, rows)))
    row, column = np.nonzero(radius <= reach)
    # Bins are smallest at the pixel's end that is nearest to the beam.
    nearest = np.maximum(radius[row, column] - half_diagonal, 0)
    wanted = _PER_BIN * stretch * max(sx, sy) / grid.bin_size(nearest)
    sizes = _PER_PIXEL[np.minimum(np.searchsorted(_PER_PIXEL, wanted), _PER_PIXEL.size - 1)]
    return rows[row].astype(np.int64), columns[column].astype(np.int64), sizes


def _overlaps(
    geometry: DetectorGeometry,
    grid: PolarGrid | CartesianGrid,
    rows: np.ndarray,
    columns: np.ndarray,
    m: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bins, indices of pixels and shared areas for pixels cut into m x m."""
    middle = (np.arange(m) + 0.5) / m - 0.5
    y = rows[:, np.newaxis, np.newaxis] + middle[:, np.newaxis]
    x = columns[:, np.newaxis, np.newaxis] + middle
    bins = grid.find_bins(*geometry.to_reciprocal(*np.broadcast_arrays(x, y)))
    bins = bins.reshape(rows.size, -1)
    pixel, subpixel = np.nonzero(bins >= 0)
    key, number = np.unique(bins[pixel, subpixel] * rows.size + pixel, return_counts=True)
    return key // rows.size, key % rows.size, number / m**2


def _overlap_1d(cells: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Return the lengths (n_bins, n_cells) that intervals with these edges share."""
    low = np.maximum(cells[:-1], bins[:-1, np.newaxis])
    high = np.minimum(cells[1:], bins[1:, np.newaxis])
    return np.maximum(high - low, 0)
