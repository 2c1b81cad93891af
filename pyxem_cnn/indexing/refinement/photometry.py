"""Counts in apertures where spots may lie, and how well a list of spots agrees with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pyxem_cnn.detector.grids import PolarGrid

__all__ = ["ApertureMaps", "Apertures"]

# Rounds in which spots are left out of the background of a ring, and the least that is left of it.
_CLIPPINGS, _DARKEST = 5, 0.02


class ApertureMaps(NamedTuple):
    """Of n patterns, for an aperture about each bin of a polar grid.

    Attributes
    ----------
    counts
        Counts in the aperture, shape (n, n_radial, n_azimuthal).
    background
        What of them is the ring's background, same shape; 0 where too much is masked.
    of_bins
        The background of the bins themselves, same shape.
    distortion
        Centre along x and y, 1/angstrom, and stretch of each pattern, shape (n, 3).
    """

    counts: np.ndarray
    background: np.ndarray
    of_bins: np.ndarray
    distortion: np.ndarray


class Apertures:
    """The shape of a spot about every bin of a polar grid, as weights of the bins around it.

    Parameters
    ----------
    grid
        The polar grid.
    sigma
        Width of the Gaussian that each part of a spot is, 1/angstrom.
    offset
        Displacement of the parts, shape (J, 2), 1/angstrom.

    Attributes
    ----------
    caught
        Share of a spot's counts that its aperture catches, by ring, shape (n_radial,).
    """

    def __init__(self, grid: PolarGrid, sigma: float, offset: np.ndarray) -> None:
        from pyxem_cnn.simulation.rendering import render_polar

        n, parts = grid.n_radial, len(offset)
        k = np.zeros((n, parts, 2)) + offset
        k[..., 0] += grid.radii[:, None]
        shape = render_polar(k, np.full((n, parts), 1 / parts), np.full(n, sigma), grid)
        weight = shape / shape.max(axis=(1, 2), keepdims=True)
        self.caught = (weight * shape).sum(axis=(1, 2)).astype(np.float32)
        self._area = weight * grid.bin_areas
        # (frequency, ring of the aperture, ring of the bin)
        self._kernel = np.fft.rfft(weight, axis=-1).conj().transpose(2, 0, 1).astype(np.complex64)
        self._ideal = self._area.sum(axis=(1, 2))
        self._bin_areas = grid.bin_areas

    def __call__(self, counts: np.ndarray, share: np.ndarray) -> ApertureMaps:
        """Return the maps of patterns.

        Parameters
        ----------
        counts, share
            Counts and covered share of each bin, shape (n, n_radial, n_azimuthal).
        """
        area = share * self._bin_areas
        mean = counts.sum(-1) / np.maximum(area.sum(-1), 1e-12)
        flat = area * mean[..., None]
        layers = np.stack([counts, flat, area])
        spectra = np.fft.rfft(layers, axis=-1).astype(np.complex64)
        product = self._kernel @ spectra.transpose(3, 2, 0, 1).reshape(
            spectra.shape[-1], spectra.shape[2], -1
        )
        product = product.reshape(*product.shape[:2], 3, -1).transpose(2, 3, 1, 0)
        found, uniform, seen = np.fft.irfft(product, n=counts.shape[-1], axis=-1)
        level = _level(found, uniform)
        background = uniform * level
        background[seen < 0.6 * self._ideal[:, None]] = 0
        parts = (np.maximum(found, 0), np.maximum(background, 0), flat * level)
        maps = (part.astype(np.float32) for part in parts)
        return ApertureMaps(*maps, np.zeros((len(counts), 3)))


def _level(found: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return the background of each ring against its mean, spots left out, (n, n_radial, 1)."""
    level = np.ones((*found.shape[:2], 1))
    for _ in range(_CLIPPINGS):
        expected = level * uniform
        dark = found <= expected + 1.5 * np.sqrt(np.maximum(expected, 0)) + 0.5
        inside = np.where(dark, found, 0).sum(-1, keepdims=True)
        level = inside / np.maximum(np.where(dark, uniform, 0).sum(-1, keepdims=True), 1e-12)
        level = np.clip(level, _DARKEST, 1)
    return level
