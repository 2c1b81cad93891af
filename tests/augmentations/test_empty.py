"""Patterns without a crystal: no spots, and rings where they belong."""

from __future__ import annotations

import math

import pytest
import torch

from pyxem_cnn import augmentations as aug
from pyxem_cnn.augmentations._coordinates import areas, positions
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

GRID = PolarGrid(n_radial=20, n_azimuthal=64, k_min=0.1, k_max=1.1)
SQUARE = CartesianGrid((64, 64), 0.03)
GRIDS = [pytest.param(GRID, id="polar"), pytest.param(SQUARE, id="cartesian")]


class TestVacuum:
    def test_no_spots(self, generator):
        """The same all around, and never rising with the radius."""
        density = aug.vacuum(200, GRID, generator) / areas(GRID)
        assert (density.amax(2) - density.amin(2)).max() < 1e-4 * density.max()
        profile = density.mean(2)
        assert (profile.diff(dim=1) <= 1e-5 * profile[:, :-1]).all()

    @pytest.mark.parametrize("grid", GRIDS)
    def test_sum(self, grid, generator):
        content = aug.vacuum(30, grid, generator)
        assert content.shape == (30, *grid.shape)
        torch.testing.assert_close(content.sum((1, 2)), torch.ones(30))

    def test_direct_beam_and_stray_light(self, generator):
        """On square pixels the beam has the width and the share that were asked for."""
        content = aug.vacuum(4, SQUARE, generator, sigma=(0.06, 0.06), stray=(0.25, 0.25))
        flat = content[:, 0, 0] * 64**2
        torch.testing.assert_close(flat, torch.full((4,), 0.2), atol=1e-4, rtol=0)
        beam = content - content[:, :1, :1]
        variance = (beam * positions(SQUARE)[0] ** 2).sum((1, 2)) / beam.sum((1, 2))
        torch.testing.assert_close(variance.sqrt(), torch.full((4,), 0.06), rtol=0.01, atol=0)


class TestAmorphous:
    @pytest.mark.parametrize("grid", GRIDS)
    def test_first_ring(self, grid, generator):
        content = aug.amorphous(40, grid, generator, radius=(0.48, 0.48), rings=(0.9, 0.9))
        torch.testing.assert_close(content.sum((1, 2)), torch.ones(40))
        density = (content / areas(grid)).flatten(1)
        radius = torch.hypot(*positions(grid)).flatten()
        ring = radius > 0.3
        strongest = radius[ring][density[:, ring].argmax(1)]
        torch.testing.assert_close(strongest, torch.full((40,), 0.48), atol=0.06, rtol=0)

    def test_no_spots(self, generator):
        """Around the azimuth there are only the slow changes of diffuse scattering."""
        content = aug.amorphous(200, GRID, generator)
        harmonics = torch.fft.rfft(content / content.mean(2, keepdim=True), dim=2).abs()
        assert harmonics[..., 8:].max() < 1e-3 * GRID.n_azimuthal
        assert (content.amax(2) / content.amin(2)).max() < math.exp(1.6) * 1.01
