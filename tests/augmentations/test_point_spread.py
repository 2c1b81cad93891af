"""The blur: against scipy, against the Gaussian of summed variances, and in counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pyxem_cnn import augmentations as aug
from pyxem_cnn.augmentations._coordinates import areas, positions
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

POLAR = PolarGrid(n_radial=80, n_azimuthal=256, k_min=0.1, k_max=1.3)
SQUARE = CartesianGrid((40, 56), 0.03)
GRIDS = [pytest.param(POLAR, id="polar"), pytest.param(SQUARE, id="cartesian")]


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.7, 5.0])
def test_cartesian_against_scipy(sigma, rng):
    content = rng.random((3, *SQUARE.shape)).astype(np.float32)
    blurred = aug.point_spread(
        torch.from_numpy(content), torch.full((3,), sigma * SQUARE.scale), SQUARE
    )
    expected = [gaussian_filter(c, sigma, mode="reflect", truncate=8) for c in content]
    np.testing.assert_allclose(blurred.numpy(), expected, rtol=2e-5)


@pytest.mark.parametrize("grid", GRIDS)
def test_counts_are_conserved_and_positive(grid, generator):
    content = torch.rand(40, *grid.shape, generator=generator) ** 8
    content[0] = 0
    sigma = aug.uniform(40, (0, 0.2), generator)
    blurred = aug.point_spread(content, sigma, grid)
    torch.testing.assert_close(blurred.sum((1, 2)), content.sum((1, 2)), rtol=2e-5, atol=1e-6)
    assert (blurred >= 0).all()
    assert not blurred[0].any()


@pytest.mark.parametrize("grid", GRIDS)
def test_no_blur(grid, generator):
    content = torch.rand(2, *grid.shape, generator=generator)
    torch.testing.assert_close(
        aug.point_spread(content, torch.zeros(2), grid), content, rtol=0, atol=3e-5
    )


@pytest.mark.parametrize("place", [(0.4, 0.0), (-0.5, 0.4), (0.0, -0.9), (0.25, 0.0)])
def test_polar_against_the_sum_of_variances(place):
    """A Gaussian of 0.05 blurred by 0.05 is one of 0.0707, near the middle as well as far out."""
    x, y = positions(POLAR)
    square = (x - place[0]) ** 2 + (y - place[1]) ** 2
    before, after = (
        torch.exp(-square / (2 * v)) / (2 * np.pi * v) * areas(POLAR) for v in (0.0025, 0.005)
    )
    blurred = aug.point_spread(before[None], torch.tensor([0.05]), POLAR)[0]
    far = torch.hypot(x, y) > 0.2  # within 2 sigma of the inner edge, counts pile up
    error = ((blurred - after) / areas(POLAR)).abs()[far].max()
    assert error < 0.01 * (after / areas(POLAR)).max()


@pytest.mark.parametrize("sigma", [0.004, 0.015, 0.06])
def test_second_moment_of_a_single_bin(sigma):
    """The variance along x and y is sigma^2, also below the size of a bin."""
    content = torch.zeros(1, *POLAR.shape)
    content[0, 40, 16] = 1.0
    blurred = aug.point_spread(content, torch.tensor([sigma]), POLAR).double()
    # What single precision leaves in bins far away would count with the square of the distance.
    blurred[blurred < 1e-7] = 0
    for k in positions(POLAR):
        mean = float((blurred * k).sum())
        variance = float((blurred * (k - mean) ** 2).sum())
        assert mean == pytest.approx(float(k.expand(POLAR.shape)[40, 16]), abs=0.02 * sigma + 1e-4)
        assert variance == pytest.approx(sigma**2, rel=0.03)


def test_turning_and_blurring_commute(generator):
    content = torch.rand(2, *POLAR.shape, generator=generator) ** 8
    sigma = torch.tensor([0.02, 0.1])
    turned = aug.point_spread(content.roll(37, -1), sigma, POLAR)
    torch.testing.assert_close(
        turned, aug.point_spread(content, sigma, POLAR).roll(37, -1), atol=1e-5, rtol=0
    )
