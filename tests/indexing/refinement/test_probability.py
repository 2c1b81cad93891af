"""Probabilities of fits: one answer each, none at all, symmetry, phases, and what scores say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pyxem_cnn.indexing.refinement.probability import (
    CALIBRATIONS,
    RIGHT,
    Evidence,
    FitCalibration,
    gather_evidence,
)
from pyxem_cnn.rotations import (
    conjugate,
    from_rotation_vector,
    multiply,
    random_quaternions,
    to_matrix,
)
from tests._crystals import crystal

CALIBRATION = FitCalibration(exponent=0.5, sharpness=1.0, twin=0.1, missed=0.3)
ERROR = 0.005


def evidence_of(gain, before, elsewhere, near=()):
    """Return what is known of one pattern; `near` lists pairs of fits that are close."""
    is_near = np.eye(len(gain), dtype=bool)
    for a, b in near:
        is_near[a, b] = is_near[b, a] = True
    return Evidence(
        np.array([gain], dtype=float), np.array([before]), np.array([elsewhere]), is_near[None]
    )


def turned(quaternions, degrees, axis=(0, 0, 1)):
    axis = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    return multiply(quaternions, from_rotation_vector(np.deg2rad(degrees) * axis))


def test_scores_alone_where_all_fit_alike() -> None:
    evidence = evidence_of([500, 500, 500], [0.6, 0.2, 0.1], 0.1)
    found = replace(CALIBRATION, missed=1.0)(evidence, ERROR)
    assert found[0] == pytest.approx([0.6, 0.2, 0.1], abs=0.02)


def test_the_better_fit_is_more_probable() -> None:
    worse, better = (
        CALIBRATION(evidence_of([500, gain], [0.5, 0.3], 0.2), ERROR)[0] for gain in (520, 900)
    )
    assert worse[1] < better[1]
    assert better[1] > better[0]
    # What errors of the simulation may amount to does not tell orientations apart.
    blurred = CALIBRATION(evidence_of([500, 900], [0.5, 0.3], 0.2), 10.0)[0]
    assert blurred[1] < blurred[0]


def test_fits_of_one_place_are_one_answer() -> None:
    alone = CALIBRATION(evidence_of([500, 480], [0.5, 0.3], 0.2), ERROR)[0]
    evidence = evidence_of([500, 500, 480], [0.5, 0.5, 0.3], 0.2, near=[(0, 1)])
    together = CALIBRATION(evidence, ERROR)[0]
    assert together == pytest.approx([alone[0], alone[0], alone[1]])
    assert np.count_nonzero(CALIBRATION.answers(evidence, ERROR)) == 2


def test_between_two_answers_the_truth_may_be_near_both() -> None:
    # 0 and 1 are far apart, 2 is near both and worse than either.
    evidence = evidence_of([500, 490, 300], [0.4, 0.4, 0.4], 0.2, near=[(0, 2), (1, 2)])
    found = CALIBRATION(evidence, ERROR)[0]
    assert found[2] == pytest.approx(found[0] + found[1])


def test_none_may_be_right() -> None:
    sure, unsure = (
        CALIBRATION(evidence_of([500], [1 - elsewhere], elsewhere), ERROR)[0, 0]
        for elsewhere in (0.0, 0.9)
    )
    assert sure > 0.99
    assert unsure == pytest.approx(0.11 / (0.11 + 0.3 * 0.91))


def test_less_sharp_scores_share_out_more_evenly() -> None:
    evidence = evidence_of([500, 400], [0.6, 0.2], 0.2)
    sharp, soft = (
        replace(CALIBRATION, sharpness=one).answers(evidence, ERROR)[0] for one in (1.0, 0.5)
    )
    assert soft[0] / soft[1] == pytest.approx(np.sqrt(sharp[0] / sharp[1]))
    # Whether any is right stays the same.
    assert soft.sum() == pytest.approx(sharp.sum())


def test_twins_share_what_is_left() -> None:
    evidence = evidence_of([500, 500], [0.7, np.nan], 0.3)
    found = CALIBRATION(evidence, ERROR)[0]
    assert found[1] / found[0] == pytest.approx(0.1 * 0.31 / 0.71)


def test_without_fits() -> None:
    evidence = Evidence(
        np.full((2, 3), -np.inf), np.full((2, 3), np.nan), np.ones(2), np.zeros((2, 3, 3), bool)
    )
    assert np.all(CALIBRATION(evidence, ERROR) == 0)
    assert np.all(CALIBRATION.log_weights(evidence, ERROR) == -np.inf)


@pytest.mark.parametrize("calibration", CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_answers_and_none_add_up_to_one(calibration) -> None:
    rng = np.random.default_rng(0)
    n, m = 50, 6
    q, phase = random_quaternions(n * m, rng).reshape(n, m, 4), np.zeros((n, m), dtype=int)
    scores = rng.dirichlet(np.ones(4), n)[:, :3]
    given = turned(q[:, :3], 0.5), phase[:, :3]
    gain = rng.uniform(0, 1000, (n, m))
    evidence = gather_evidence(
        gain, (q, phase), given, scores, [crystal("cubic").symmetry_quaternions()]
    )
    answers = calibration.answers(evidence, ERROR)
    assert np.all(answers >= 0)
    assert np.all(answers.sum(1) < 1)
    assert np.all(calibration(evidence, ERROR) <= 1)
    # The better an orientation fits, the more probable it is.
    gain[:, 0] += 500
    again = calibration(evidence._replace(gain=gain), ERROR)
    assert np.all(again[:, 0] >= calibration(evidence, ERROR)[:, 0] - 1e-12)


@pytest.mark.parametrize("name", ["cubic", "hexagonal", "trigonal", "monoclinic"])
def test_near_is_modulo_the_laue_group(name) -> None:
    rng = np.random.default_rng(4)
    symmetry = crystal(name).symmetry_quaternions()
    truth = random_quaternions(8, rng)
    # Equivalent orientations S O, turned by less and by more than 5 degrees.
    operation = symmetry[rng.integers(len(symmetry), size=8)]
    fits = np.stack([multiply(operation, turned(truth, d, (1, 2, 0))) for d in (4.8, 5.2)], axis=1)
    phase = np.zeros((8, 2), dtype=int)
    evidence = gather_evidence(
        np.ones((8, 2)), (fits, phase), (truth[:, None], phase[:, :1]), np.full((8, 1), 0.7),
        [symmetry],
    )  # fmt: skip
    assert np.all(evidence.before[:, 0] == 0.7)
    assert np.all(np.isnan(evidence.before[:, 1]))
    assert evidence.elsewhere == pytest.approx(0.3)
    # By hand: the angle of S O1 O2^-1, for all S.
    between = to_matrix(multiply(fits[:, 0], conjugate(fits[:, 1])))
    traces = np.einsum("sij,nji->ns", to_matrix(symmetry), between)
    angle = np.rad2deg(np.arccos(np.clip((traces.max(1) - 1) / 2, -1, 1)))
    np.testing.assert_array_equal(evidence.is_near[:, 0, 1], angle < RIGHT)


def test_phases_are_told_apart() -> None:
    q = random_quaternions(1, np.random.default_rng(0))[None]
    fits = np.concatenate([q, q], axis=1)
    phase = np.array([[0, 1]])
    symmetries = [crystal(name).symmetry_quaternions() for name in ("cubic", "trigonal")]
    evidence = gather_evidence(
        np.ones((1, 2)), (fits, phase), (fits, phase), np.array([[0.6, 0.3]]), symmetries
    )
    assert evidence.before[0] == pytest.approx([0.6, 0.3])
    np.testing.assert_array_equal(evidence.is_near[0], np.eye(2, dtype=bool))


def test_scores_that_are_no_probabilities_are_parts_of_one() -> None:
    q = random_quaternions(3, np.random.default_rng(0))[None]
    phase = np.array([[0, 0, -1]])
    evidence = gather_evidence(
        np.ones((1, 3)), (q, phase), (q, phase), np.array([[1.0, 1.0, 1.0]]),
        [crystal("monoclinic").symmetry_quaternions()],
    )  # fmt: skip
    assert evidence.before[0, :2] == pytest.approx([0.5, 0.5])
    assert evidence.elsewhere[0] == 0
    assert evidence.gain[0, 2] == -np.inf
    assert not evidence.is_near[0, 2].any()
