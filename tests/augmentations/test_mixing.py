"""Second grains and shares of counts."""

from __future__ import annotations

import pytest
import torch

from pyxem_cnn import augmentations as aug
from pyxem_cnn.detector.grids import PolarGrid

GRID = PolarGrid(n_radial=20, n_azimuthal=64, k_min=0.1, k_max=1.1)


class TestOverlap:
    def test_none(self, generator):
        content = torch.rand(6, *GRID.shape, generator=generator)
        torch.testing.assert_close(aug.overlap(content, 0.0, 0.5, generator), content)
        assert torch.equal(aug.overlap(content, 1.0, 0.0, generator), content)

    def test_is_a_weaker_other_pattern(self, generator):
        content = torch.zeros(4, *GRID.shape)
        for i in range(4):
            content[i, i, i] = 10.0 ** (i + 1)
        mixed = aug.overlap(content, 1.0, 0.5, generator)
        for i in range(4):
            other = (i - 1) % 4
            assert mixed[i, i, i] == content[i, i, i]
            weight = mixed[i, other, other] / content[i, i, i]
            assert 0 < weight <= 0.5
            assert mixed[i].count_nonzero() == 2

    def test_empty_patterns_stay_empty(self, generator):
        content = torch.rand(4, *GRID.shape, generator=generator)
        content[2] = 0
        assert not aug.overlap(content, 1.0, 0.5, generator)[2].any()


class TestMixIn:
    @pytest.mark.parametrize("share", [0.0, 0.25, 0.99])
    def test_share(self, share, generator):
        content, addition = torch.rand(2, 3, *GRID.shape, generator=generator)
        result = aug.mix_in(content, addition, torch.full((3,), share))
        added = result - content
        torch.testing.assert_close(
            added.sum((1, 2)) / result.sum((1, 2)), torch.full((3,), share), atol=1e-4, rtol=0
        )
        factor = added.sum((1, 2), keepdim=True) / addition.sum((1, 2), keepdim=True)
        torch.testing.assert_close(added, addition * factor, atol=1e-4, rtol=1e-3)

    def test_without_counts(self):
        addition = torch.ones(1, *GRID.shape)
        result = aug.mix_in(torch.zeros(1, *GRID.shape), addition, torch.tensor([0.5]))
        assert float(result.sum()) == pytest.approx(1)
        nothing = aug.mix_in(addition, torch.zeros_like(addition), torch.tensor([0.5]))
        assert torch.equal(nothing, addition)
