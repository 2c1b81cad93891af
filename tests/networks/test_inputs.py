"""What networks see of patterns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from pyxem_cnn.networks.inputs import N_CONTRASTS, Contrasts, Smoothing, normalised


@pytest.fixture
def counts():
    return torch.distributions.Poisson(2.0).sample((4, 6, 32))


@pytest.fixture
def mask():
    mask = torch.ones(6, 32)
    mask[:, 20:24] = 0
    mask[3, :20] = 0.5
    return mask


def both(counts, mask):
    value, rings = normalised(counts, mask)
    return torch.cat([value, Contrasts()(counts, mask)], dim=1), rings


def test_the_scale_of_counts_does_not_matter(counts, mask):
    value, rings = both(counts, mask)
    for factor in (1e-6, 300.0):
        scaled = both(factor * counts, mask)
        torch.testing.assert_close(scaled[0], value, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(scaled[1], rings, atol=1e-4, rtol=1e-4)


def test_rings_have_no_mean_and_masked_bins_no_value(counts, mask):
    layers = Contrasts()(counts, mask).view(4, N_CONTRASTS, 6, 32)
    assert layers.abs().max() > 0.5
    assert (layers[..., 20:24] == 0).all()
    means = layers.sum(-1)
    torch.testing.assert_close(means, torch.zeros_like(means), atol=1e-4, rtol=0)


def test_what_is_even_has_no_contrast_where_bins_are_half_covered(mask):
    ring = torch.tensor([9.0, 1.0, 0.01, 2.0, 5.0, 0.3])[:, None].expand(1, 6, 32)
    assert Contrasts()(ring, mask).abs().max() < 1e-5


def test_contrasts_are_counts_against_the_mean_of_their_ring():
    counts = torch.tensor([[[1.0, 0, 3, 0], [8, 8, 8, 8]]])
    found = Contrasts()(counts, torch.ones(2, 4)).view(N_CONTRASTS, 2, 4)
    for layer, f in zip(found, (0.5, 4.0), strict=True):
        share = torch.tensor([1 / (1 + f), 0, 3 / (3 + f), 0])
        expected = 2.5 * (share - share.mean())
        torch.testing.assert_close(layer[0], expected, atol=5e-3, rtol=0)  # and a dark current
    torch.testing.assert_close(found[:, 1], torch.zeros(N_CONTRASTS, 4), atol=1e-5, rtol=0)


def test_weak_spots_show_beside_strong_ones():
    """Where one spot has nearly all counts, square roots hide a weak one, contrasts do not."""
    counts = torch.full((1, 2, 32), 0.01)
    counts[0, 0, 4], counts[0, 1, 9] = 4000, 1
    mask = torch.ones(2, 32)
    root = normalised(counts, mask)[0][0]
    weak = Contrasts()(counts, mask).view(N_CONTRASTS, 2, 32)
    assert root[1, 9] < 0.02 * root[0, 4]
    assert (weak[:, 1, 9] > 0.6 * weak[:, 0, 4]).all()


def test_nothing_is_nothing_and_dark_rings_are_dark():
    assert (Contrasts()(torch.zeros(1, 3, 8), torch.ones(3, 8)) == 0).all()
    assert (Contrasts()(torch.ones(1, 3, 8), torch.zeros(3, 8)) == 0).all()
    counts = torch.ones(1, 3, 8)
    counts[0, 2] = 1e-9 * torch.arange(8)  # tails of a rendering, far below any electron
    assert Contrasts()(counts, torch.ones(3, 8)).abs().max() < 1e-2


class TestSmoothing:
    """Means over a Gaussian as wide as a ring."""

    # Rings from 3 to 9 of their widths: bins are 0.6 to 1.8 widths wide.
    smoothing = Smoothing(6, 32, 3.0)

    def test_along_a_ring_it_is_a_gaussian_of_the_width_of_a_ring(self):
        counts = torch.zeros(6, 6, 32)
        for ring in range(6):
            counts[ring, ring, 5] = 1.0
        found = self.smoothing(counts, torch.ones(6, 32)).numpy()
        for ring in range(6):
            sigma = 32 / (2 * np.pi * (3.5 + ring))  # in bins
            expected = gaussian_filter1d(
                counts[ring, ring].numpy(), sigma, mode="wrap", truncate=12
            )
            along = found[ring, ring] / found[ring, ring].sum()
            np.testing.assert_allclose(along, expected, atol=1e-5)

    def test_across_rings_it_is_the_same_gaussian(self):
        counts = torch.zeros(1, 6, 32)
        counts[0, 2] = 1.0
        found = self.smoothing(counts, torch.ones(6, 32))[0]
        kernel = np.exp(-0.5 * (np.arange(6)[:, None] - np.arange(6)) ** 2)
        expected = kernel[:, 2] / kernel.sum(1)
        np.testing.assert_allclose(found, np.tile(expected[:, None], 32), atol=1e-6)

    def test_turning_a_pattern_turns_its_means(self, counts, mask):
        turned = self.smoothing(counts.roll(7, -1), mask.roll(7, -1))
        expected = self.smoothing(counts, mask).roll(7, -1)
        torch.testing.assert_close(turned, expected, atol=1e-4, rtol=0)

    @pytest.mark.parametrize("each", [False, True])
    def test_what_was_not_measured_does_not_count(self, counts, mask, each):
        mask = mask.expand(4, 6, 32).clone() if each else mask
        even = torch.full((4, 6, 32), 3.0)
        torch.testing.assert_close(self.smoothing(even, mask), even, atol=1e-4, rtol=0)
        hidden = counts + 1e3 * (mask == 0)
        torch.testing.assert_close(
            self.smoothing(hidden, mask), self.smoothing(counts, mask), atol=1e-3, rtol=0
        )

    def test_nothing_gives_nothing(self):
        assert (self.smoothing(torch.zeros(1, 6, 32), torch.ones(6, 32)) == 0).all()
        assert (self.smoothing(torch.ones(1, 6, 32), torch.zeros(6, 32)) == 0).all()

    def test_contrasts_show_a_weak_spot_that_no_bin_shows(self, generator):
        """Sixteen bins with 1.5 electrons each among 0.5: every single bin looks like noise."""
        expected = torch.full((400, 6, 32), 0.5)
        expected[:, 2:4, 10:18] = 1.5
        counts = torch.poisson(expected, generator=generator)

        def distance(contrasts: Contrasts) -> float:
            layer = contrasts(counts, torch.ones(6, 32))[:, 2]  # for weak spots
            there, elsewhere = layer[:, 14], layer[:, 30]
            return float((there.mean() - elsewhere.mean()) / elsewhere.std())

        assert distance(Contrasts(self.smoothing)) > 1.7 * distance(Contrasts())
