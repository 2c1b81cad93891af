"""Random numbers: ranges, distributions, seeds."""

from __future__ import annotations

import pytest
import torch

from pyxem_cnn import augmentations as aug
from pyxem_cnn.augmentations.draws import within


class TestDraws:
    def test_uniform(self, generator):
        x = aug.uniform(20_000, (2.0, 5.0), generator)
        assert x.shape == (20_000,)
        assert x.min() >= 2
        assert x.max() <= 5
        assert float(x.mean()) == pytest.approx(3.5, abs=0.03)

    def test_log_uniform(self, generator):
        x = aug.log_uniform(20_000, (1.0, 1e4), generator)
        assert x.min() >= 0.999
        assert x.max() <= 1.001e4
        # A quarter of the draws in each decade.
        share = torch.histc(x.log10(), 4, 0, 4) / len(x)
        torch.testing.assert_close(share, torch.full((4,), 0.25), atol=0.015, rtol=0)

    def test_ranges_without_width(self, generator):
        assert (aug.uniform(9, (3.0, 3.0), generator) == 3).all()
        torch.testing.assert_close(aug.log_uniform(9, (7.0, 7.0), generator), torch.full((9,), 7.0))

    @pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
    def test_chance(self, probability, generator):
        share = float(aug.chance(20_000, probability, generator).float().mean())
        assert share == pytest.approx(probability, abs=0.015 if 0 < probability < 1 else 0)

    def test_the_generator_decides(self):
        draws = [aug.uniform(5, (0, 1), torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])

    def test_within_fills_a_square(self, generator):
        points = within(20_000, 0.5, generator)
        assert points.shape == (20_000, 2)
        assert points.abs().max() <= 0.5
        torch.testing.assert_close(points.var(0), torch.full((2,), 1 / 12), atol=3e-3, rtol=0)
