"""Scores that were calibrated: as right as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from torchmetrics.functional.classification import binary_calibration_error

from pyxem_cnn.targets.score_calibration import ScoreCalibration


@pytest.fixture
def overconfident():
    """Probabilities of an overconfident network, and whether it was right."""
    generator = np.random.default_rng(0)
    true = generator.beta(2, 1, 20_000)
    return expit(2.0 * logit(true) + 0.5), generator.random(20_000) < true


def calibration_error(scores, right):
    scores, right = torch.as_tensor(scores), torch.as_tensor(right).int()
    return float(binary_calibration_error(scores, right, n_bins=10))


def test_finds_what_was_done_to_the_probabilities(overconfident):
    found = ScoreCalibration.fit(*overconfident)
    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.offset == pytest.approx(-0.25, abs=0.06)


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (3.0, 2.0), (0.3, -1.0), (8.0, 0.0)])
def test_extreme_networks(slope, offset):
    """Of which many probabilities are all but 0 or 1."""
    generator = np.random.default_rng(1)
    true = generator.beta(0.5, 0.3, 20_000)
    probability = expit(slope * logit(np.clip(true, 1e-9, 1 - 1e-9)) + offset)
    right = generator.random(20_000) < true
    found = ScoreCalibration.fit(probability.astype(np.float32), right)
    assert found.slope > 0
    scores = found(torch.as_tensor(probability))
    assert calibration_error(scores, right) < 0.06


def test_scores_are_as_right_as_they_say(overconfident):
    probability, right = overconfident
    scores = ScoreCalibration.fit(probability, right)(torch.as_tensor(probability))
    assert calibration_error(probability, right) > 0.1
    assert calibration_error(scores, right) < 0.015


def test_ranks_stay():
    probability = torch.linspace(0, 1, 101)
    scores = ScoreCalibration(0.4, -1.0)(probability)
    assert (scores.diff() >= 0).all()
    assert ((scores > 0) & (scores < 1)).all()


def test_extremes_and_gaps():
    found = ScoreCalibration()(torch.tensor([0.0, 0.25, 1.0, float("nan")]))
    torch.testing.assert_close(found[1], torch.tensor(0.25))
    assert 0 < found[0] < 1e-5
    assert 1 - 1e-5 < found[2] < 1
    assert found[3].isnan()


@pytest.mark.parametrize("right", [True, False])
def test_a_handful_of_patterns_proves_nothing(right):
    """Nothing but hits, or misses: finite, and not far from the probabilities themselves."""
    found = ScoreCalibration.fit(np.full(5, 0.5), np.full(5, right))
    assert np.isfinite([found.slope, found.offset]).all()
    assert abs(found.offset) < 3


def test_missing_probabilities_count_as_none():
    probability = np.array([np.nan, 0.2, 0.9, 0.8] * 50)
    right = np.array([False, False, True, True] * 50)
    found = ScoreCalibration.fit(probability, right)
    expected = ScoreCalibration.fit(np.nan_to_num(probability), right)
    assert found == expected


def test_description():
    calibration = ScoreCalibration(0.9, 0.1)
    assert ScoreCalibration.from_dict(calibration.to_dict()) == calibration
