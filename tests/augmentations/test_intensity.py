"""The scale of intensities: against the formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyxem_cnn import augmentations as aug


class TestCompressRange:
    def test_against_the_formula(self, generator):
        patterns = torch.rand(4, 6, 8, generator=generator) * 500
        x = patterns.numpy() / patterns.amax((1, 2), keepdim=True).numpy()
        result = aug.compress_range(patterns, generator, span=(1e4, 1e4))
        np.testing.assert_allclose(result, np.log1p(1e4 * x) / np.log1p(1e4), rtol=1e-5)

    def test_range(self, generator):
        """Intensities of 1e-3 of the largest one lie at 0.1 for r = 1e3 and at 0.57 for 1e7."""
        patterns = torch.ones(2000, 2, 2)
        patterns[:, 0, 0] = 1e-3
        level = aug.compress_range(patterns, generator)[:, 0, 0]
        lowest, highest = (float(np.log(1 + r * 1e-3) / np.log(1 + r)) for r in (1e3, 1e7))
        assert lowest <= level.min() < lowest + 0.01
        assert highest - 0.01 < level.max() <= highest + 1e-6

    def test_order_and_scale_do_not_matter(self, generator):
        patterns = torch.rand(5, 10, 10, generator=generator).sort(-1).values
        seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
        results = [
            aug.compress_range(f * patterns, g) for f, g in zip((1, 300), seeds, strict=True)
        ]
        torch.testing.assert_close(*results)
        assert (results[0].diff(dim=-1) >= 0).all()
        torch.testing.assert_close(results[0].amax((1, 2)), torch.ones(5))

    def test_linear_share(self, generator):
        patterns = torch.rand(1000, 3, 3, generator=generator)
        result = aug.compress_range(patterns, generator, linear=0.3)
        linear = torch.isclose(result, patterns / patterns.amax((1, 2), keepdim=True)).all(2).all(1)
        assert float(linear.float().mean()) == pytest.approx(0.3, abs=0.05)

    def test_nothing_and_less(self, generator):
        patterns = torch.zeros(2, 3, 3)
        patterns[1] = -1
        assert not aug.compress_range(patterns, generator).any()
