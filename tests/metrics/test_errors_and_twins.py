"""Error figures, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.metrics import modulo_twins, pattern_difference, summarize_errors
from pyxem_cnn.rotations import about_z, multiply, random_quaternions, with_zone_axis
from pyxem_cnn.simulation.kinematic import KinematicSimulator
from tests._crystals import crystal


class TestSummary:
    def test_by_hand(self):
        summary = summarize_errors(np.array([0.5, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0, 9.0, 60.0]))
        assert summary.n == 10
        assert summary.within_2 == 30
        assert summary.within_5 == 50
        assert summary.median in (5.0, 6.0)
        assert summary.percentile_90 in (9.0, 60.0)
        assert summary.within_5_modulo_twins is None

    def test_points_without_prediction_are_wrong(self):
        summary = summarize_errors(np.array([1.0, np.nan, 1.0, np.nan]))
        assert summary.within_5 == 50
        assert summary.percentile_90 == np.inf
        assert summarize_errors(np.full(3, np.nan)).median == np.inf

    def test_twins(self):
        summary = summarize_errors(np.array([1.0, 60.0, np.nan]), np.array([1.0, 0.0, np.nan]))
        assert summary.within_5 == pytest.approx(100 / 3)
        assert summary.within_5_modulo_twins == pytest.approx(200 / 3)
        assert "67 % modulo twins" in str(summary)

    def test_any_shape(self):
        assert summarize_errors(np.ones((3, 4))).n == 12

    def test_text(self):
        text = str(summarize_errors(np.array([1.234, 1.234])))
        assert "median 1.23 deg" in text
        assert "n = 2" in text

    def test_nothing(self):
        with pytest.raises(ValueError, match="no angles"):
            summarize_errors(np.zeros(0))


GRID = PolarGrid(k_max=1.2)


@pytest.fixture(scope="module")
def simulator():
    return KinematicSimulator(crystal("cubic"), 200, 1.2, 0.05)


class TestTwins:
    def test_equal_and_unrelated_patterns(self, simulator, rng):
        p, q = random_quaternions(20, rng).reshape(2, 10, 4)
        assert pattern_difference(simulator, p, p, GRID).max() < 1e-6
        symmetric = multiply(simulator.crystal.symmetry_quaternions()[5], p)
        assert pattern_difference(simulator, p, symmetric, GRID).max() < 1e-3
        difference = pattern_difference(simulator, p, q, GRID)
        assert difference.min() > 0.2
        assert difference.max() <= 1

    def test_half_turn_about_the_beam_is_a_twin_on_a_zone_axis_only(self, simulator, rng):
        # [112] up, exactly and 3 degrees off in ten directions.
        axes = np.array([[1.0, 1.0, 2.0]]) / np.sqrt(6) + np.zeros((11, 3))
        tilt = np.cross(axes[0], rng.normal(size=(10, 3)))
        axes[1:] += np.tan(np.deg2rad(3)) * tilt / np.linalg.norm(tilt, axis=1, keepdims=True)
        zone = with_zone_axis(axes)
        turned = multiply(zone, about_z(np.array(np.pi)))
        difference = pattern_difference(simulator, zone, turned, GRID)
        assert difference[0] < 0.1
        # Were the Ewald sphere flat, the two would be equal in all directions: 0.16 to 0.29.
        assert (difference[1:] > 0.12).all()
        degrees = modulo_twins(np.full(11, 60.0), simulator, zone, turned, GRID)
        np.testing.assert_array_equal(degrees, np.where(difference < 0.1, 0, 60))

    def test_small_errors_and_missing_predictions_stay(self, simulator, rng):
        q = random_quaternions(3, rng)
        given = np.array([1.5, np.nan, 30.0])
        near = multiply(q, about_z(np.array(np.pi / 3)))
        found = modulo_twins(given, simulator, q, near, GRID)
        np.testing.assert_array_equal(found, [1.5, np.nan, 30.0])
        assert given[2] == 30
