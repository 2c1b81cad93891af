"""Hot and dead pixels: how many, where, and what they do to a bin."""

from __future__ import annotations

import pytest
import torch

from pyxem_cnn import augmentations as aug
from pyxem_cnn.augmentations._coordinates import areas
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

GRID = PolarGrid(n_radial=20, n_azimuthal=64, k_min=0.1, k_max=1.1)
SQUARE = CartesianGrid((64, 64), 0.03)
GRIDS = [pytest.param(GRID, id="polar"), pytest.param(SQUARE, id="cartesian")]


class TestHotPixels:
    @pytest.mark.parametrize("grid", GRIDS)
    def test_number_and_strength(self, grid, generator):
        counts = torch.zeros(400, *grid.shape)
        hot = aug.add_hot_pixels(counts, grid, (2e-3, 2e-3), (50.0, 50.0), 0.03, generator)
        assert not counts.any()
        number = hot.sum((1, 2)) / 50
        torch.testing.assert_close(number, number.round(), atol=1e-4, rtol=0)
        expected = 2e-3 * float(aug.pixels_per_bin(grid, 0.03).sum())
        assert float(number.mean()) == pytest.approx(expected, rel=0.06)
        assert float(number.var()) == pytest.approx(expected, rel=0.25)

    def test_lie_anywhere_on_the_detector(self, generator):
        """A bin is hit in proportion to its area."""
        hot = aug.add_hot_pixels(
            torch.zeros(500, *GRID.shape), GRID, (0.02, 0.02), (1.0, 1.0), 0.02, generator
        )
        hits = hot.sum((0, 2))
        expected = hits.sum() * areas(GRID).sum(1) / areas(GRID).sum()
        assert ((hits - expected).abs() < 4.5 * expected.sqrt()).all()

    def test_none(self, generator):
        counts = torch.rand(3, *GRID.shape)
        assert torch.equal(
            aug.add_hot_pixels(counts, GRID, (0.0, 0.0), (1.0, 9.0), 0.02, generator), counts
        )


class TestDeadPixels:
    def test_share_of_the_detector(self, generator):
        """Weighted by area, as much is dead as was asked for."""
        alive = aug.dead_pixels(400, GRID, (0.01, 0.01), 0.01, generator)
        weight = areas(GRID) / areas(GRID).sum()
        assert float((alive * weight).sum((1, 2)).mean()) == pytest.approx(0.99, abs=5e-4)
        assert alive.min() >= 0
        assert alive.max() == 1

    def test_a_polar_bin_loses_the_share_of_its_pixels(self, generator):
        alive = aug.dead_pixels(200, GRID, (0.002, 0.002), 0.01, generator)
        lost = (1 - alive) * aug.pixels_per_bin(GRID, 0.01)
        torch.testing.assert_close(lost, lost.round(), atol=2e-3, rtol=0)
        assert 0 < lost[:, 5:].max() < 6

    def test_pixels_are_dead_or_alive(self, generator):
        alive = aug.dead_pixels(50, SQUARE, (0.02, 0.02), 0.03, generator)
        assert (alive.sub(alive.round()).abs() < 1e-5).all()
        assert float(alive.mean()) == pytest.approx(0.98, abs=2e-3)

    def test_pixel_size_of_each_pattern(self, generator):
        pixel = torch.tensor([0.005, 0.05])
        alive = aug.dead_pixels(2, GRID, (0.01, 0.01), pixel, generator)
        assert (alive[0] < 1).sum() > (alive[1] < 1).sum() > 0
        assert alive[0].min() > 0
