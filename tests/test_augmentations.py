"""What microscopes add to patterns: against formulas, and by counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pyxem_cnn import augmentations as aug
from pyxem_cnn.detector.grids import PolarGrid

GRID = PolarGrid(n_radial=20, n_azimuthal=64, k_min=0.1, k_max=1.1)
AREAS = torch.as_tensor(GRID.bin_areas, dtype=torch.float32)


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


class TestDistort:
    K = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-0.4, 0.3]])

    def distorted(self, n, generator, **errors):
        errors = {"center": 0.0, "scale": 0.0, "ellipticity": 0.0} | errors
        return aug.distort(self.K.expand(n, 3, 2), **errors, generator=generator)

    def test_no_error_changes_nothing(self, generator):
        k, shift = self.distorted(5, generator)
        torch.testing.assert_close(k, self.K.expand(5, 3, 2))
        assert not shift.any()

    def test_center(self, generator):
        k, shift = self.distorted(2000, generator, center=0.02)
        torch.testing.assert_close(k, self.K + shift[:, None])
        assert shift.abs().max() <= 0.02
        assert shift.abs().max() > 0.019
        assert shift.mean(0).abs().max() < 0.002

    def test_camera_length_and_ellipticity(self, generator):
        k, shift = self.distorted(500, generator, scale=0.03, ellipticity=0.01)
        matrix = k[:, :2].transpose(1, 2)  # images of the unit vectors as columns
        torch.testing.assert_close(k[:, 2], (matrix @ self.K[2]))
        torch.testing.assert_close(matrix, matrix.transpose(1, 2))  # no rotation
        axes = torch.linalg.eigvalsh(matrix)
        size, stretch = axes.mean(1) - 1, (axes[:, 1] - axes[:, 0]) / 2
        assert 0.028 < size.abs().max() <= 0.0301
        assert 0.009 < stretch.max() <= 0.0101
        # The long axis points anywhere.
        assert (matrix[:, 0, 1] > 0).float().mean() == pytest.approx(0.5, abs=0.08)


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


class TestMasks:
    def test_square_detector(self, generator):
        mask = aug.square_detector(400, (0.5, 0.5), 0.0, GRID, generator)
        assert mask.shape == (400, *GRID.shape)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        # Four-fold, everything within half a side, nothing beyond the corners.
        torch.testing.assert_close(mask, mask.roll(GRID.n_azimuthal // 4, -1))
        assert (mask[:, GRID.radii < 0.49] == 1).all()
        assert (mask[:, GRID.radii > 0.5 * math.sqrt(2) + 0.01] == 0).all()
        # Half of them are aligned with the axes: +x ends at half a side, the diagonal later.
        ring = int(np.argmin(np.abs(GRID.radii - 0.6)))
        aligned = (mask[:, ring, 0] == 0) & (mask[:, ring, 8] == 1)
        assert aligned.float().mean() > 0.5
        area = (mask * AREAS).sum((1, 2))
        torch.testing.assert_close(
            area, torch.full((400,), 1.0 - math.pi * GRID.k_min**2), atol=0.04, rtol=0
        )

    def test_offset(self, generator):
        mask = aug.square_detector(300, (0.5, 0.5), 0.3, GRID, generator)
        assert (mask - mask.roll(GRID.n_azimuthal // 2, -1)).abs().sum((1, 2)).gt(
            0
        ).float().mean() > 0.9
        assert (mask[:, GRID.radii < 0.34] == 1).all()

    def test_blocked(self, generator):
        assert (aug.blocked(50, 0.0, GRID, generator) == 1).all()
        mask = aug.blocked(200, 1.0, GRID, generator)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        share = 1 - mask.mean((1, 2))
        assert (share > 0).float().mean() > 0.95
        assert share.max() < 0.2
        # A beam stop reaches from the middle to one side only.
        outer = mask[:, -1] == 0
        assert outer.any(1).float().mean() > 0.2
        assert outer.sum(1).max() <= 3


class TestElectrons:
    def content(self, n):
        return torch.rand(n, *GRID.shape, generator=torch.Generator().manual_seed(1)) + 0.5

    def test_mean_and_variance_are_those_of_poisson(self, generator):
        n, dose = 4000, 2e4
        content = self.content(1).expand(n, *GRID.shape)
        counts = aug.count_electrons(content, torch.full((n,), dose), generator)
        assert (counts == counts.round()).all()
        total = counts.sum((1, 2))
        assert float(total.mean()) == pytest.approx(dose, rel=3e-4)
        assert float(total.var()) == pytest.approx(dose, rel=0.1)
        expected = content[0] / content[0].sum() * dose
        torch.testing.assert_close(counts.mean(0), expected, rtol=0.08, atol=0)
        assert float((counts.var(0) / expected).mean()) == pytest.approx(1, abs=0.02)

    def test_no_noise(self, generator):
        content = self.content(2)
        counts = aug.count_electrons(content, torch.tensor([math.inf, 50.0]), generator)
        torch.testing.assert_close(counts[0] / counts[0].sum(), content[0] / content[0].sum())
        assert counts[1].sum() < 100

    def test_empty(self, generator):
        counts = aug.count_electrons(
            torch.zeros(2, *GRID.shape), torch.tensor([100.0, math.inf]), generator
        )
        assert not counts.any()


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
