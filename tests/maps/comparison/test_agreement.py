"""Figures of agreement: of all points and of grains, with what is undefined said."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.maps.comparison.agreement import Agreement, grain_figures, grain_labels
from pyxem_cnn.maps.comparison.aligned import align_maps
from pyxem_cnn.rotations import random_quaternions
from tests._maps import grid_map


def test_figures_of_known_angles() -> None:
    degrees = np.array([[0.5, 1.5, 3.0, np.nan], [0.2, np.inf, 60.0, np.nan]])
    figures = Agreement.of(degrees)
    assert figures.n == 6
    assert figures.median == 3.0  # of an even number, the higher one
    assert figures.percentile_90 == np.inf
    np.testing.assert_allclose(
        [figures.within_1, figures.within_2, figures.within_5], [100 / 3, 50, 200 / 3]
    )
    assert "median" in str(figures)


def test_figures_against_numpy(rng) -> None:
    degrees = rng.exponential(3, 1001)
    figures = Agreement.of(degrees)
    np.testing.assert_allclose(figures.median, np.median(degrees))
    np.testing.assert_allclose(figures.percentile_90, np.quantile(degrees, 0.9))


def test_figures_of_no_points() -> None:
    figures = Agreement.of(np.full((2, 3), np.nan))
    assert figures.n == 0
    assert np.isnan(figures.within_5)
    assert str(figures) == "no points to compare"


@pytest.fixture
def maps(rng):
    """A map of 4 x 5 points, two of them left out, and a part of it, aligned."""
    q = random_quaternions(20, rng).reshape(4, 5, 4)
    mask = np.ones(20, dtype=bool)
    mask[[0, 8]] = False
    grain = np.arange(20) // 5
    whole = grid_map(q, is_in_data=mask, prop={"grain": grain})
    return align_maps({"a": whole, "b": whole[1:, 1:]})


def test_labels_from_any_source(maps) -> None:
    aligned, _, shared = maps
    expected = np.repeat([[1], [2], [3]], 4, axis=1)
    expected[0, 2] = -1  # left out
    np.testing.assert_array_equal(grain_labels("grain", aligned, shared.shape), expected)
    np.testing.assert_array_equal(grain_labels(expected, aligned, shared.shape), expected)
    of_points = (np.arange(20) // 5)[aligned["a"].xmap.is_in_data]
    np.testing.assert_array_equal(grain_labels(of_points, aligned, shared.shape), expected)
    of_part = np.arange(12)
    np.testing.assert_array_equal(
        grain_labels(of_part, aligned, shared.shape), of_part.reshape(3, 4)
    )
    assert grain_labels(None, aligned, shared.shape) is None


def test_labels_that_fit_to_nothing(maps) -> None:
    aligned, _, shared = maps
    with pytest.raises(ValueError, match="each point in the data of a map: 18 .a., 12 .b."):
        grain_labels(np.zeros(7, dtype=int), aligned, shared.shape)
    with pytest.raises(ValueError, match="whole numbers"):
        grain_labels(np.zeros((3, 4)), aligned, shared.shape)
    with pytest.raises(ValueError, match="Did you mean 'grain'"):
        grain_labels("grains", aligned, shared.shape)


def test_grains_are_found(rng) -> None:
    grains = np.repeat(random_quaternions(2, rng), [3, 2], axis=0)
    xmap = grid_map(np.tile(grains, (4, 1, 1)))
    aligned, _, shared = align_maps({"a": xmap, "b": xmap[1:, 1:]})
    labels = grain_labels("find", aligned, shared.shape)
    np.testing.assert_array_equal(labels, np.tile([0, 0, 1, 1], (3, 1)))


def test_figures_of_grains() -> None:
    labels = np.array([[0, 0, 0, 3, 3, -1], [0, 5, 5, 3, 3, -1]])
    degrees = np.array([[1.0, 2, 60, 60, 60, 0], [np.nan, np.nan, np.nan, 61, np.inf, 0]])
    without_twins = np.where(degrees == 60, 0, degrees)
    figures = grain_figures(labels, degrees, without_twins, 5.0)
    assert figures["grain"].tolist() == [0, 3, 5]
    assert figures["points"].tolist() == [4, 4, 2]
    assert figures["compared"].tolist() == [3, 4, 0]
    np.testing.assert_allclose(figures["median"], [2, 61, np.nan])
    np.testing.assert_allclose(figures["agree"], [200 / 3, 0, np.nan])
    np.testing.assert_allclose(figures["agree_modulo_twins"], [100, 50, np.nan])
    assert np.isnan(grain_figures(labels, degrees, None, 5.0)["agree_modulo_twins"]).all()
