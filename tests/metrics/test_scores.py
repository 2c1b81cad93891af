"""Calibration of scores, against torchmetrics and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyxem_cnn.metrics import expected_calibration_error, reliability_curve


def drawn(n, seed, power=1.0):
    """Return scores, and whether points are right, with the probability score**power."""
    generator = np.random.default_rng(seed)
    score = generator.random(n)
    return score, generator.random(n) < score**power


class TestAgainstTorchmetrics:
    @pytest.mark.parametrize("n_bins", [1, 7, 10, 15])
    @pytest.mark.parametrize("power", [0.3, 1.0, 3.0])
    def test_same_number(self, n_bins, power):
        from torchmetrics.classification import BinaryCalibrationError

        score, is_right = drawn(500, seed=n_bins, power=power)
        theirs = BinaryCalibrationError(n_bins=n_bins, norm="l1")(
            torch.from_numpy(score), torch.from_numpy(is_right)
        )
        assert expected_calibration_error(score, is_right, n_bins) == pytest.approx(
            float(theirs), abs=1e-6
        )

    def test_overconfident_by_much(self):
        score, is_right = drawn(500, seed=1, power=3.0)
        assert expected_calibration_error(score, is_right, 10) > 0.15


class TestByHand:
    score = np.array([0.05, 0.15, 0.55, 0.6, 0.95, 1.0])
    is_right = np.array([False, False, True, False, True, True])

    def test_curve(self):
        curve = reliability_curve(self.score, self.is_right, n_bins=2)
        assert curve.edges.tolist() == [0, 0.5, 1]
        assert curve.count.tolist() == [2, 4]
        np.testing.assert_allclose(curve.mean_score, [0.1, 0.775])
        np.testing.assert_allclose(curve.share_right, [0, 0.75])
        np.testing.assert_allclose(curve.standard_error, [0, np.sqrt(0.75 * 0.25 / 4)])

    def test_error(self):
        expected = (2 * 0.1 + 4 * 0.025) / 6
        assert expected_calibration_error(self.score, self.is_right, 2) == pytest.approx(expected)

    def test_empty_bins_are_undefined(self):
        curve = reliability_curve(self.score, self.is_right, n_bins=10)
        assert curve.count[3] == 0
        assert np.isnan(curve.mean_score[3])
        assert np.isnan(curve.share_right[3])
        assert np.isfinite(curve.expected_calibration_error)

    def test_one_falls_into_the_last_bin(self):
        assert reliability_curve(np.ones(4), np.ones(4, dtype=bool), 10).count[-1] == 4

    def test_certain_and_right(self):
        assert expected_calibration_error(np.ones(4), np.ones(4, dtype=bool), 10) == 0
        assert expected_calibration_error(np.ones(4), np.zeros(4, dtype=bool), 10) == 1

    def test_any_shape(self):
        square = (self.score.reshape(2, 3), self.is_right.reshape(2, 3))
        assert expected_calibration_error(*square, 2) == expected_calibration_error(
            self.score, self.is_right, 2
        )

    def test_points_without_a_score_do_not_count(self):
        score = np.append(self.score, [np.nan, np.nan])
        is_right = np.append(self.is_right, [True, False])
        assert reliability_curve(score, is_right, 2).count.sum() == 6

    def test_few_points_look_worse(self):
        small = np.mean([expected_calibration_error(*drawn(300, seed), 10) for seed in range(50)])
        large = np.mean([expected_calibration_error(*drawn(30_000, seed), 10) for seed in range(5)])
        # What the docstring says.
        assert small == pytest.approx(0.05, abs=0.02)
        assert large < 0.01


class TestRefused:
    @pytest.mark.parametrize(
        ("score", "is_right", "message"),
        [
            ([0.5, 0.5], [True], "the shape of score"),
            ([0.5, 1.5], [True, False], "between 0 and 1"),
            ([0.5, -0.1], [True, False], "between 0 and 1"),
            ([0.5, 0.5], [1, 0], "booleans"),
            ([np.nan], [True], "not NaN"),
        ],
    )
    def test_says_why(self, score, is_right, message):
        with pytest.raises(ValueError, match=message):
            reliability_curve(np.array(score), np.array(is_right))

    def test_bins(self):
        with pytest.raises(ValueError, match="n_bins"):
            reliability_curve(np.array([0.5]), np.array([True]), 0)
