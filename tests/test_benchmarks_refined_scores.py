"""The fit of refined scores finds constants that are known, and its patterns are as it says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pyxem_cnn.indexing.refinement.probability import Evidence, FitCalibration

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import refined_scores
from refined_scores import Fits

ERROR = 0.005


def fits_that_keep(calibration, n, rng):
    """Return fits of which as many are right as a calibration says."""
    m = 4
    before = rng.dirichlet([3, 1, 0.5, 1], n)
    is_near = np.broadcast_to(np.eye(m, dtype=bool), (n, m, m))
    evidence = Evidence(
        gain=1000 - rng.exponential(1, (n, m)) ** 3 * 60,
        # The last fit of each is a twin.
        before=np.where(np.arange(m) < 3, before, np.nan),
        elsewhere=before[:, 3],
        is_near=is_near,
    )
    answers = calibration.answers(evidence, ERROR)
    edges = np.cumsum(answers, axis=1)
    which = (rng.random((n, 1)) > edges).sum(axis=1)
    is_right = np.arange(m) == which[:, None]
    return Fits(evidence, is_right, before[:, 0], is_right[:, 0])


def test_known_constants_are_found() -> None:
    truth = FitCalibration(exponent=0.8, sharpness=0.7, twin=0.3, missed=0.5)
    fits = fits_that_keep(truth, 20_000, np.random.default_rng(0))
    found, left = refined_scores.fitted([fits], truth.exponent, ERROR)
    assert found.exponent == truth.exponent
    assert found.sharpness == pytest.approx(truth.sharpness, rel=0.1)
    assert found.twin == pytest.approx(truth.twin, rel=0.15)
    assert found.missed == pytest.approx(truth.missed, rel=0.15)
    score, is_right = refined_scores.best(found, fits, ERROR)
    assert score.mean() == pytest.approx(is_right.mean(), abs=0.01)
    # Another exponent makes what is right less likely.
    assert all(refined_scores.fitted([fits], one, ERROR)[1] > left + 10 for one in (0.5, 1.2))


def test_batches_are_joined() -> None:
    rng = np.random.default_rng(1)
    one, other = (fits_that_keep(FitCalibration(0.5, 1.0, 0.1, 0.3), n, rng) for n in (3, 2))
    evidence = other.evidence
    few = Fits(
        Evidence(
            evidence.gain[:, :2], evidence.before[:, :2], evidence.elsewhere,
            evidence.is_near[:, :2, :2],
        ),
        other.is_right[:, :2],
        *other[2:],
    )  # fmt: skip
    joined = refined_scores._joined([one, few])
    assert joined.is_right.shape == (5, 4)
    assert joined.evidence.is_near.shape == (5, 4, 4)
    assert np.all(joined.evidence.gain[3:, 2:] == -np.inf)
    np.testing.assert_array_equal(joined.evidence.gain[:3], one.evidence.gain)
    calibration = FitCalibration(0.5, 1.0, 0.1, 0.3)
    apart = [calibration.answers(part.evidence, ERROR) for part in (one, few)]
    answers = calibration.answers(joined.evidence, ERROR)
    np.testing.assert_allclose(answers[:3], apart[0])
    np.testing.assert_allclose(answers[3:, :2], apart[1])


@pytest.mark.slow
def test_kinematic_patterns_are_refined() -> None:
    import pyxem_cnn

    patterns = refined_scores.kinematic_patterns("Si", 6, seed=0)
    assert patterns.counts.shape == (6, 128, 128)
    fits = refined_scores.refined_fits(patterns, pyxem_cnn.load_model("si_200kV"), "kinematic")
    score, is_right = refined_scores.best(FitCalibration(0.8, 1.0, 0.1, 0.3), fits, ERROR)
    assert np.all((score > 0) & (score < 1))
    assert is_right.sum() >= 4


def test_dynamical_patterns_have_the_electrons_that_are_drawn() -> None:
    patterns = refined_scores.dynamical_patterns("LiNiO2", 3, seed=0)
    row, column = np.indices((128, 128)) - 63.5
    outside = np.hypot(row, column) * patterns.geometry["scale"] > 0.115
    assert np.all(patterns.counts[:, outside].sum(axis=1) > 50)
    assert np.all(patterns.counts[:, outside].sum(axis=1) < 3e4)
    assert np.linalg.norm(patterns.truth, axis=1) == pytest.approx(1)
