"""Diffuse scattering, rings and direct beam: against formulas."""

from __future__ import annotations

import math

import pytest
import torch

from pyxem_cnn import augmentations as aug
from pyxem_cnn.augmentations._coordinates import areas, positions
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

GRID = PolarGrid(n_radial=20, n_azimuthal=64, k_min=0.1, k_max=1.1)
AREAS = torch.as_tensor(GRID.bin_areas, dtype=torch.float32)
SQUARE = CartesianGrid((64, 64), 0.03)
GRIDS = [pytest.param(GRID, id="polar"), pytest.param(SQUARE, id="cartesian")]


class TestDiffuseBackground:
    def test_is_smooth_and_scaled(self, generator):
        background = aug.diffuse_background(200, GRID, generator)
        assert background.shape == (200, *GRID.shape)
        assert (background > 0).all()
        torch.testing.assert_close(background.mean((1, 2)), torch.ones(200))
        # Most of them fall with the radius.
        assert (background[:, 0] > background[:, -1]).float().mean() > 0.8
        # A quarter is the same all around, the others vary smoothly and moderately.
        assert (background.amax(2) / background.amin(2)).amax() < math.exp(1.6) * 1.01
        even = (background.amax(2) / background.amin(2)).amax(1) < 1.0001
        assert 0.12 < float(even.float().mean()) < 0.4

    def test_cartesian(self, generator):
        background = aug.diffuse_background(20, SQUARE, generator)
        assert background.shape == (20, 64, 64)
        torch.testing.assert_close(background.mean((1, 2)), torch.ones(20), atol=0.1, rtol=0)
        assert (background[:, 32, 32] > background[:, 0, 0]).float().mean() > 0.8


class TestDirectBeam:
    def test_against_the_formula(self):
        shift = torch.tensor([[0.01, -0.02], [0.0, 0.0]])
        sigma, strength = torch.tensor([0.05, 0.02]), torch.tensor([100.0, 3.0])
        density = aug.direct_beam_tail(shift, sigma, strength, GRID)
        assert density.shape == (2, *GRID.shape)
        for i, j in ((0, 0), (1, 16), (2, 40)):
            r, a = GRID.radii[i], GRID.azimuths[j]
            x, y = r * math.cos(a) - 0.01, r * math.sin(a) + 0.02
            expected = 100 / (2 * math.pi * 0.05**2) * math.exp(-(x * x + y * y) / (2 * 0.05**2))
            assert float(density[0, i, j]) == pytest.approx(expected, rel=1e-4, abs=1e-6)
        torch.testing.assert_close(density[1], density[1, :, :1].expand(*GRID.shape))

    def test_integral(self):
        """A wide beam: what lies inside the grid is 1 - the part within k_min."""
        density = aug.direct_beam_tail(
            torch.zeros(1, 2), torch.tensor([0.15]), torch.tensor([10.0]), GRID
        )
        expected = 10 * math.exp(-(GRID.k_min**2) / (2 * 0.15**2))
        assert float((density * AREAS).sum()) == pytest.approx(expected, rel=0.01)

    def test_a_narrow_beam_leaves_nothing(self):
        density = aug.direct_beam_tail(
            torch.zeros(1, 2), torch.tensor([0.005]), torch.tensor([1e6]), GRID
        )
        assert not density.any()

    def test_cartesian(self):
        """All of it is inside, at its place: y up is decreasing row."""
        tail = aug.direct_beam_tail(
            torch.tensor([[0.315, 0.465]]), torch.tensor([0.06]), torch.tensor([7.0]), SQUARE
        )
        assert float((tail * areas(SQUARE)).sum()) == pytest.approx(7, rel=1e-3)
        row, column = divmod(int(tail.argmax()), 64)
        assert (row, column) == (16, 42)  # 31.5 - 0.465 / 0.03, 31.5 + 0.315 / 0.03


class TestGaussianBackground:
    @pytest.mark.parametrize("grid", GRIDS)
    def test_width_and_share(self, grid, generator):
        content = torch.zeros(5, *grid.shape)
        content[:, 3, 4] = 80.0
        result = aug.add_gaussian_background(content, grid, (0.2, 0.2), (0.3, 0.3), generator)
        torch.testing.assert_close(result.sum((1, 2)), torch.full((5,), 100.0))
        added = (result - content) / areas(grid)
        radius = torch.hypot(*positions(grid))
        chosen = (radius > 0.15) & (radius < 0.8) & (content[0] == 0)
        level = added[0][chosen] * torch.exp(radius[chosen] ** 2 / (2 * 0.3**2))
        torch.testing.assert_close(level, level.mean().expand(level.shape), rtol=1e-3, atol=0)

    def test_height_and_width_vary(self, generator):
        content = torch.full((300, *GRID.shape), 1e-3)
        result = aug.add_gaussian_background(content, GRID, (0.0, 0.9), (0.1, 1.0), generator)
        share = 1 - content.sum((1, 2)) / result.sum((1, 2))
        assert share.min() < 0.03
        assert 0.87 < share.max() <= 0.9001
        assert float(share.mean()) == pytest.approx(0.45, abs=0.04)


class TestAmorphousRings:
    @pytest.mark.parametrize("grid", GRIDS)
    @pytest.mark.parametrize("radius", [0.3, 0.5])
    def test_radius(self, grid, radius, generator):
        content = torch.zeros(8, *grid.shape)
        rings = aug.add_amorphous_rings(
            content, grid, 1.0, (0.5, 0.5), generator, radius=(radius, radius)
        )
        density = (rings / areas(grid)).flatten(1)
        strongest = torch.hypot(*positions(grid)).flatten()[density.argmax(1)]
        step = max(grid.radial_step, 0.03)
        torch.testing.assert_close(strongest, torch.full((8,), radius), atol=step, rtol=0)

    def test_are_rings_and_one_in_ten_has_them(self, generator):
        content = torch.full((4000, *GRID.shape), 1.0)
        change = aug.add_amorphous_rings(content, GRID, 0.1, (0.1, 0.5), generator) - content
        with_rings = change.sum((1, 2)) > 0
        assert float(with_rings.float().mean()) == pytest.approx(0.1, abs=0.015)
        share = (change.sum((1, 2)) / (change + content).sum((1, 2)))[with_rings]
        assert 0.1 <= share.min() < share.max() <= 0.5001
        assert (change.amax(2) - change.amin(2)).max() < 1e-4 * change.max()
