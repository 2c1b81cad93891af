"""Directions in the probe cone and on the precession circle: even, fresh, without a common turn."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.simulation.probe_tilts import even_tilts, precession_azimuths, random_tilts


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 13, 19, 37, 64])
def test_even_tilts_fill_the_disc(n):
    points = even_tilts(n)
    assert points.shape == (n, 2)
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-12)
    assert np.linalg.norm(points, axis=1).max() < 1
    if n >= 7:
        # A disc's second moment along any axis is 1/4.
        np.testing.assert_allclose((points.T @ points) / n, np.eye(2) / 4, atol=0.04)


@pytest.mark.parametrize("n", [7, 19, 37])
def test_even_tilts_have_six_fold_symmetry(n):
    points = even_tilts(n) @ [1, 1j]
    turned = points * np.exp(1j * np.pi / 3)
    assert np.abs(turned[:, None] - points).min(1).max() < 1e-12


class TestRandomTilts:
    def test_each_ring_of_equal_area_has_one(self, rng):
        points = random_tilts(50, 13, rng)
        assert points.shape == (50, 13, 2)
        ring = np.floor((points**2).sum(-1) * 13)
        np.testing.assert_array_equal(np.sort(ring, axis=1), np.tile(np.arange(13), (50, 1)))

    def test_nothing_is_common_to_all(self, rng):
        """Means over many entries have neither a direction, nor an axis, nor a sense of turning."""
        z = random_tilts(4000, 7, rng) @ [1, 1j]
        for moment in (
            z,
            z**2,
            z**3,
            z**6,
            z[:, 1:] * z[:, :-1].conj() - np.abs(z[:, 1:] * z[:, :-1]),
        ):
            spread = np.abs(moment).std() / np.sqrt(4000)
            assert abs(moment.imag.mean()) < 5 * spread
        assert abs((np.abs(z) ** 2).mean() - 0.5) < 0.01

    def test_the_same_from_the_same_seed(self):
        first, second = (random_tilts(3, 7, np.random.default_rng(4)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert not np.isclose(first[0], first[1]).all(-1).any()


@pytest.mark.parametrize("seed", [None, 3])
def test_azimuths_interlace(seed):
    generator = None if seed is None else np.random.default_rng(seed)
    azimuths = precession_azimuths(4, 7, 9, generator)
    assert azimuths.shape == (4, 7, 9)
    for each in azimuths.reshape(4, -1):
        steps = np.diff(np.sort(each % (2 * np.pi)))
        np.testing.assert_allclose(steps, 2 * np.pi / 63, rtol=1e-9)
    # Those of one tilt are even, too.
    np.testing.assert_allclose(np.diff(azimuths, axis=-1), 2 * np.pi / 9, rtol=1e-9)


def test_azimuths_are_dealt_at_random(rng):
    azimuths = precession_azimuths(5, 7, 9, rng)
    first = np.argsort(azimuths[..., 0], axis=1)
    assert len({tuple(order) for order in first.tolist()}) > 1
    assert len(np.unique(azimuths[:, 0, 0].round(6))) == 5
