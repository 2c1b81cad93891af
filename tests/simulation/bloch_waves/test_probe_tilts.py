"""Directions in the probe cone and on the precession circle: even, fresh, without a common turn."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.simulation.bloch_waves.probe_tilts import (
    even_tilts,
    precession_azimuths,
    random_tilts,
)


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
    def test_each_is_the_even_ones_turned(self, rng):
        z = random_tilts(50, 13, rng) @ [1, 1j]
        even = even_tilts(13) @ [1, 1j]
        turn = z[:, -1] / even[-1]
        np.testing.assert_allclose(np.abs(turn), 1)
        np.testing.assert_allclose(z, turn[:, None] * even, atol=1e-12)

    @pytest.mark.parametrize("n", [2, 5, 7, 13, 19])
    def test_each_is_a_mirror_image_of_itself(self, n, rng):
        """Otherwise all entries had a sense of turning in common."""
        points = random_tilts(3, n, rng) @ [1, 1j]
        for z in points:
            axis = z[np.abs(z).argmax()]
            mirrored = z.conj() * axis / axis.conj()
            assert np.abs(mirrored[:, None] - z).min(1).max() < 1e-12

    def test_nothing_is_common_to_all(self, rng):
        """Means over many entries have neither a direction nor an axis."""
        z = random_tilts(4000, 7, rng) @ [1, 1j]
        for power in (1, 2, 3, 6):
            moment = (z**power).mean(1)  # of one entry; 1 at most
            assert abs(moment.mean()) < 5 / np.sqrt(4000)

    def test_the_same_from_the_same_seed(self):
        first, second = (random_tilts(3, 7, np.random.default_rng(4)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert not np.isclose(first[0, 1:], first[1, 1:]).all(-1).any()


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
