"""The Gaussians of discs against the moments of a disc."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.simulation.disc_parts import N_PARTS, uniform_parts, width_between

RADII = np.array([0.05, 0.12])


def test_parts_have_the_centre_and_second_moment_of_a_disc():
    offset = uniform_parts(RADII, np.array([0.0, 0.3]))
    assert offset.shape == (2, N_PARTS, 2)
    np.testing.assert_allclose(offset.mean(axis=1), 0, atol=1e-15)
    moment = (offset**2).mean(axis=1) + width_between(offset, RADII)[:, None] ** 2
    np.testing.assert_allclose(moment, np.stack([RADII, RADII], axis=-1) ** 2 / 4, rtol=1e-12)


def test_turn_is_counterclockwise():
    before, after = uniform_parts(RADII), uniform_parts(RADII, np.full(2, np.pi / 3))
    # The ring's parts move on by one, the one in the middle stays.
    np.testing.assert_allclose(after[:, 1:], np.roll(before[:, 1:], -1, axis=1), atol=1e-15)
    np.testing.assert_array_equal(after[:, 0], 0)
    quarter = uniform_parts(RADII, np.full(2, np.pi / 2))
    assert np.all(quarter[:, 1, 1] > 0.6 * RADII)


def test_gaussians_are_never_narrower_than_the_area_of_a_point():
    # Sixteen points in a square lattice: each stands for a cell of edge 1, variance 1/12.
    x, y = np.meshgrid(np.arange(4) - 1.5, np.arange(4) - 1.5)
    points = np.stack([x.ravel(), y.ravel()], axis=-1)[None]
    radius = np.sqrt(16 / np.pi) * np.ones(1)
    assert width_between(points, radius)[0] == pytest.approx(np.sqrt(1 / 12), rel=0.02)


def test_without_a_radius_the_points_moment_is_the_discs():
    points = uniform_parts(RADII)
    spread = (points**2).sum(axis=-1).mean(axis=-1) / 2
    expected = width_between(points, 2 * np.sqrt(spread))
    np.testing.assert_allclose(width_between(points), expected)


def test_tensors_give_tensors():
    import torch

    radius = torch.as_tensor(RADII)
    offset = uniform_parts(radius, torch.tensor([0.1, 0.2], dtype=torch.float64))
    expected = uniform_parts(RADII, np.array([0.1, 0.2]))
    np.testing.assert_allclose(offset.numpy(), expected)
    np.testing.assert_allclose(
        width_between(offset, radius).numpy(), width_between(expected, RADII)
    )
