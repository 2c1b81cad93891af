"""Noise: means and variances against Poisson statistics and the law of detectors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pyxem_cnn import augmentations as aug
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

GRID = PolarGrid(n_radial=20, n_azimuthal=64, k_min=0.1, k_max=1.1)


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

    @pytest.mark.parametrize("fast", [False, True])
    @pytest.mark.parametrize("mean", [0.05, 0.9, 1.7, 9.9, 10.1, 30.0, 500.0])
    def test_distribution(self, mean, fast, generator):
        """Chi-squared test of the counts of even patterns against scipy's distribution."""
        content = torch.ones(50, 30, 40)
        dose = torch.full((50,), mean * 1200)
        counts = aug.count_electrons(content, dose, generator, fast=fast)
        values = np.bincount(counts.flatten().int().numpy())
        expected = stats.poisson.pmf(np.arange(len(values)), mean) * counts.numel()
        usual = expected > 10
        rest = [values[~usual].sum()], [counts.numel() - expected[usual].sum()]
        test = stats.chisquare(
            np.append(values[usual], rest[0]), np.append(expected[usual], rest[1])
        )
        assert test.pvalue > 1e-3


class TestFastCounting:
    def test_mean_variance_and_independence(self, generator):
        """Of bins of very different means beside each other, drawn in three ways."""
        n = 20_000
        expected = torch.tensor([0.0, 0.01, 0.3, 0.99, 1.01, 6.0, 9.99, 10.01, 40.0, 1e4])
        content = expected.view(2, 5).expand(n, 2, 5)
        dose = torch.full((n,), float(expected.sum()))
        counts = aug.count_electrons(content, dose, generator, fast=True).flatten(1).double()
        assert not counts[:, 0].any()
        mean, variance = counts.mean(0)[1:], counts.var(0)[1:]
        truth = expected[1:].double()
        assert ((mean - truth).abs() < 4.5 * (truth / n).sqrt()).all()
        assert ((variance - truth).abs() < 4.5 * ((truth + 2 * truth**2) / n).sqrt()).all()
        correlation = torch.corrcoef(counts[:, 1:].T) - torch.eye(9)
        assert correlation.abs().max() < 4.5 / math.sqrt(n)

    def test_the_generator_decides(self):
        content, dose = torch.rand(3, *GRID.shape), torch.full((3,), 1e3)
        state = torch.get_rng_state()
        a, b, c = (
            aug.count_electrons(content, dose, torch.Generator().manual_seed(s), fast=True)
            for s in (1, 1, 2)
        )
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        assert torch.equal(torch.get_rng_state(), state)

    def test_the_same_pattern_twice_gets_other_noise(self, generator):
        content = torch.rand(1, *GRID.shape).expand(2, *GRID.shape)
        counts = aug.count_electrons(content, torch.full((2,), 1e3), generator, fast=True)
        assert not torch.equal(counts[0], counts[1])

    def test_no_noise(self, generator):
        content, dose = torch.rand(2, *GRID.shape), torch.tensor([math.inf, 50.0])
        counts = aug.count_electrons(content, dose, generator, fast=True)
        torch.testing.assert_close(counts[0] / counts[0].sum(), content[0] / content[0].sum())
        assert counts.dtype == torch.float32


class TestIntegratingDetector:
    def test_mean_and_variance(self, generator):
        """gain^2 N (1 + spread^2) + n read_noise^2, from shot noise to read noise."""
        n, gain, spread, read_noise = 6000, 12.0, 0.5, 3.0
        content = torch.linspace(0, 3, 24).view(4, 6)
        pixels = torch.linspace(1, 9, 24).view(4, 6)
        dose = torch.full((n,), 200.0)
        counts = aug.count_electrons(content.expand(n, 4, 6), dose, generator)
        signal = aug.integrate_electrons(counts, gain, spread, read_noise, pixels, generator)
        expected = content / content.sum() * 200
        error = 4 * signal.std(0) / math.sqrt(n)
        assert ((signal.mean(0) - gain * expected).abs() < error).all()
        variance = gain**2 * expected * (1 + spread**2) + pixels * read_noise**2
        torch.testing.assert_close(signal.var(0), variance, rtol=0.1, atol=0)
        assert float((signal.var(0) / variance).mean()) == pytest.approx(1, abs=0.02)

    def test_a_detector_without_noise(self, generator):
        counts = torch.arange(12.0).view(1, 3, 4)
        assert torch.equal(aug.integrate_electrons(counts, 4, 0, 0, 1, generator), 4 * counts)

    def test_parameters_of_each_pattern(self, generator):
        counts = torch.zeros(3, *GRID.shape)
        noise = torch.tensor([0.0, 1.0, 5.0])
        signal = aug.integrate_electrons(counts, torch.ones(3), 0.0, noise, 1.0, generator)
        torch.testing.assert_close(signal.std((1, 2)), noise, rtol=0.06, atol=0)
        assert (signal < 0).any()  # as after subtraction of a dark image


class TestSaturate:
    def test_cut_off(self):
        content = torch.tensor([[[0.0, 5.0, 20.0, 300.0]]])
        pixels = torch.tensor([[1.0, 1.0, 1.0, 4.0]])
        expected = torch.tensor([[[0.0, 5.0, 10.0, 40.0]]])
        assert torch.equal(aug.saturate(content, 10, pixels), expected)
        assert torch.equal(aug.saturate(content, torch.tensor([10.0]), pixels), expected)
        assert torch.equal(aug.saturate(content, 10, 1.0)[..., :3], expected[..., :3])

    @pytest.mark.parametrize("mean", [1.0, 20.0, 90.0])
    def test_coincidence_against_frames(self, mean, rng):
        """One hundred frames; each sees an electron or not, however many come."""
        seen = (rng.poisson(mean / 100, size=(4000, 100)) > 0).sum(1).mean()
        content = torch.tensor([[[mean]]])
        recorded = float(aug.saturate(content, 100.0, 1.0, coincidence=True))
        assert recorded == pytest.approx(seen, rel=0.02)


def test_pixels_per_bin():
    pixels = aug.pixels_per_bin(GRID, 0.01)
    assert float(pixels.sum()) == pytest.approx(math.pi * (1.1**2 - 0.1**2) / 1e-4, rel=1e-5)
    square = CartesianGrid((8, 8), 0.02)
    torch.testing.assert_close(aug.pixels_per_bin(square, 0.02), torch.ones(8, 8))
    many = aug.pixels_per_bin(square, torch.tensor([0.02, 0.01]))
    torch.testing.assert_close(many[:, 0, 0], torch.tensor([1.0, 4.0]))
