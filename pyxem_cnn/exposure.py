"""From expected patterns to recorded ones: background, mask, counting, faults of the detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyxem_cnn import augmentations as aug
from pyxem_cnn.augmentations._coordinates import areas, radius_and_azimuth

if TYPE_CHECKING:
    from pyxem_cnn.conditions import Conditions
    from pyxem_cnn.detector.polar import PolarGrid

__all__ = ["Exposure"]

_NO_NOISE = math.inf
# What scatters in vacuum, electrons outside the direct beam.
_VACUUM_ELECTRONS = (1.0, 300.0)
_ENERGY_SPREAD = (0.0, 0.6)  # of an integrating detector's response
_HOT_COUNTS = (1.0, 100.0)
# Side of a detector's module as a share of the grid's largest radius.
_MODULE = (0.5, 1.5)


class Exposure:
    """Record patterns under random conditions.

    Parameters
    ----------
    grid
        Polar grid of the patterns.
    conditions
        How they vary.
    """

    def __init__(self, grid: PolarGrid, conditions: Conditions) -> None:
        self.grid, self.conditions = grid, conditions

    def __call__(
        self, content: Tensor, is_vacuum: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return mean counts per area and mask, both of shape (n, n_radial, n_azimuthal).

        Parameters
        ----------
        content
            Expected patterns up to a factor, spots and direct beam, shape (n, n_radial,
            n_azimuthal).
        is_vacuum
            Patterns of nothing at all, shape (n,): they have few electrons.
        generator
            Source of random numbers.
        """
        content = self._with_background(content, generator)
        mask = self._mask(len(content), generator)
        counts = self._counted(content * mask, is_vacuum, generator)
        return counts * mask / areas(self.grid, counts.device), mask

    def _with_background(self, content: Tensor, generator: torch.Generator) -> Tensor:
        """Add diffuse scattering, a drawn share of all electrons."""
        c, n = self.conditions, len(content)
        diffuse = aug.diffuse_background(n, self.grid, generator)
        diffuse = diffuse * areas(self.grid, generator.device)
        bell = self._gaussian(n, generator)
        gaussian = aug.chance(n, c.gaussian_background, generator)
        diffuse = torch.where(gaussian[:, None, None], bell, diffuse)
        low, high = c.background
        # Mostly moderate, now and then nearly everything.
        share = low + (high - low) * aug.uniform(n, (0, 1), generator) ** 2
        share = torch.where(aug.chance(n, 0.2, generator), 0.0, share)[:, None, None]
        total = content.sum(dim=(1, 2), keepdim=True)
        # Patterns without spots consist of background alone.
        total = torch.where(total > 0, total, 1.0)
        strength = total * share / (1 - share) / diffuse.sum(dim=(1, 2), keepdim=True)
        return content + strength * diffuse

    def _gaussian(self, n: int, generator: torch.Generator) -> Tensor:
        """Return Gaussians around the direct beam, in counts per bin."""
        radius = radius_and_azimuth(self.grid, generator.device)[0][:, 0]
        width = aug.log_uniform(n, self.conditions.gaussian_width, generator)[:, None]
        profile = torch.exp(-(radius**2 - radius[0] ** 2) / (2 * width**2))
        return profile[..., None] * areas(self.grid, generator.device)

    def _mask(self, n: int, generator: torch.Generator) -> Tensor:
        """Return where the detector measures."""
        c, grid = self.conditions, self.grid
        mask = aug.square_detector(n, c.half_width, c.beam_offset, grid, generator)
        mask *= aug.blocked(n, c.blocked, grid, generator)
        module = (_MODULE[0] * grid.k_max, _MODULE[1] * grid.k_max)
        mask *= aug.detector_gaps(n, c.gaps, c.gap_width, module, grid, generator)
        mask[aug.chance(n, c.unmasked, generator)] = 1
        return mask

    def _counted(self, content: Tensor, is_vacuum: Tensor, generator: torch.Generator) -> Tensor:
        """Return counts per bin, as the detector records them."""
        c, n = self.conditions, len(content)
        electrons = aug.log_uniform(n, c.electrons, generator)
        few = aug.log_uniform(n, _VACUUM_ELECTRONS, generator)
        electrons = torch.where(is_vacuum, few, electrons)
        is_noisy = ~aug.chance(n, c.noise_free, generator) | is_vacuum
        electrons = torch.where(is_noisy, electrons, _NO_NOISE)
        counts = aug.count_electrons(content, electrons, generator, fast=True)
        pixel = aug.log_uniform(n, c.pixel, generator)
        counts = self._integrated(counts, is_noisy, pixel, generator)
        counts = self._saturated(counts, generator)
        if c.hot_pixels[1] == 0:
            return counts
        hot = aug.add_hot_pixels(counts, self.grid, c.hot_pixels, _HOT_COUNTS, pixel, generator)
        return torch.where(is_noisy[:, None, None], hot, counts)

    def _integrated(
        self, counts: Tensor, is_noisy: Tensor, pixel: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return some of the patterns as an integrating detector records them, in electrons."""
        c = self.conditions
        chosen = (aug.chance(len(counts), c.integrating, generator) & is_noisy).nonzero()[:, 0]
        if not len(chosen):
            return counts
        n = len(chosen)
        counts[chosen] = aug.integrate_electrons(
            counts[chosen],
            1.0,
            aug.uniform(n, _ENERGY_SPREAD, generator),
            aug.uniform(n, c.read_noise, generator),
            aug.pixels_per_bin(self.grid, pixel[chosen]),
            generator,
        )
        return counts

    def _saturated(self, counts: Tensor, generator: torch.Generator) -> Tensor:
        """Return some of the patterns with their strongest bins cut off."""
        chosen = aug.chance(len(counts), self.conditions.saturated, generator).nonzero()[:, 0]
        if not len(chosen):
            return counts
        area = areas(self.grid, counts.device)
        largest = (counts[chosen] / area).amax(dim=(1, 2)).clamp(min=1e-20)
        limit = largest * aug.uniform(len(chosen), (0.2, 1.0), generator)
        counts[chosen] = aug.saturate(counts[chosen], limit, area)
        return counts
