"""How probable fitted orientations are: by the scores before, by how well they fit, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pyxem_cnn.rotations import disorientation_angle

__all__ = ["CALIBRATIONS", "RIGHT", "Evidence", "FitCalibration", "gather_evidence"]

RIGHT = 5.0
"""A score is the probability that the truth is nearer than this, degrees."""

# What no score beforehand is below, and log-likelihoods that never tell orientations apart.
_SMALLEST, _LEAST = 0.01, 3.0


class Evidence(NamedTuple):
    """What is known of m fitted orientations of each of n patterns.

    Attributes
    ----------
    gain
        Log-likelihood of each, -inf where there is none, shape (n, m).
    before
        Score of the given orientation that it is near, NaN where it is near none, shape (n, m).
    elsewhere
        Probability beforehand that no given orientation is right, shape (n,).
    is_near
        Which are within `RIGHT` of each other, shape (n, m, m).
    """

    gain: np.ndarray
    before: np.ndarray
    elsewhere: np.ndarray
    is_near: np.ndarray


@dataclass(frozen=True)
class FitCalibration:
    """Weighs scores and likelihoods such that probabilities are right in so many cases.

    The weight of a fit is its probability beforehand, times ``(1 + d)**-exponent``, with its
    log-likelihood below that of the best, d, in units of what errors may amount to. A power, since
    fits fail: that of the right orientation may have missed its peak by far. One weight more stands
    for the right orientation not being among those that were fitted. What is left is shared out by
    a power of the weights, too: scores and likelihoods are of the same pattern, hence not
    independent, and together they are too sure.

    Attributes
    ----------
    exponent
        How much likelihoods count.
    sharpness
        The power of the weights.
    twin
        Probability beforehand of a fit that is near no given orientation, as a share of that of no
        given one being right.
    missed
        Weight of none being right, as a share of the same.
    """

    exponent: float
    sharpness: float
    twin: float
    missed: float

    def log_weights(self, evidence: Evidence, model_error: float) -> np.ndarray:
        """Return the logarithms of the weights, -inf where there is no fit, shape (n, m).

        Parameters
        ----------
        evidence
            What is known.
        model_error
            Part of the log-likelihood that errors of the simulation may amount to.
        """
        best = np.maximum(evidence.gain.max(axis=1, keepdims=True), 0)
        below = (best - np.maximum(evidence.gain, 0)) / (_LEAST + model_error * best)
        twin = self.twin * (evidence.elsewhere[:, None] + _SMALLEST)
        before = np.where(np.isnan(evidence.before), twin, evidence.before + _SMALLEST)
        value = np.log(before) - self.exponent * np.log1p(below)
        return np.where(np.isfinite(evidence.gain), value, -np.inf)

    def answers(self, evidence: Evidence, model_error: float) -> np.ndarray:
        """Return the probabilities of answers, 0 for fits that are none, shape (n, m).

        Fits that are near each other are one answer, the weightiest of them. What is missing to 1
        is the probability that no fit is right.

        Parameters
        ----------
        evidence, model_error
            As for `log_weights`.
        """
        value = self.log_weights(evidence, model_error)
        weight = np.where(_is_first(value, evidence.is_near), np.exp(value), 0)
        total = weight.sum(axis=1, keepdims=True)
        some = total / (total + self.missed * (evidence.elsewhere + _SMALLEST)[:, None])
        part = weight**self.sharpness
        return some * part / np.maximum(part.sum(axis=1, keepdims=True), 1e-300)

    def __call__(self, evidence: Evidence, model_error: float) -> np.ndarray:
        """Return the probabilities that fits are right, 0 for none, shape (n, m).

        Parameters
        ----------
        evidence, model_error
            As for `log_weights`.
        """
        answers = self.answers(evidence, model_error)
        # Between two answers, the truth may be near both.
        near = np.einsum("nij,nj->ni", evidence.is_near.astype(float), answers)
        return np.where(np.isfinite(evidence.gain), near, 0)


CALIBRATIONS = {
    "bloch": FitCalibration(exponent=0.8, sharpness=0.72, twin=0.1, missed=0.3),
    "kinematic": FitCalibration(exponent=0.6, sharpness=0.97, twin=0.16, missed=0.33),
}
"""By simulator, as ``benchmarks/refined_scores.py`` finds them of 600 to 900 patterns.

Kinematic ones are of dynamical and kinematic patterns alike: real ones are dynamical, whatever they
are compared with. The exponents are not the likeliest, 0.6 and 0.4: 0.8 ranked another program's
patterns better at 0.3 nats less, and 0.6 leaves kinematic likelihoods a say, at 1.
"""


def gather_evidence(
    gain: np.ndarray,
    fitted: tuple[np.ndarray, np.ndarray],
    given: tuple[np.ndarray, np.ndarray],
    scores: np.ndarray,
    symmetries: Sequence[np.ndarray],
) -> Evidence:
    """Return what is known of fitted orientations.

    Parameters
    ----------
    gain
        Log-likelihood of each, -inf for none, shape (n, m).
    fitted
        Quaternions (n, m, 4) and numbers of their phases, -1 for none, shape (n, m).
    given
        The same of the orientations from before, shape (n, n_best, 4) and (n, n_best).
    scores
        How probable these are, shape (n, n_best). Where they add up to more than 1, they are taken
        as parts of 1.
    symmetries
        Proper rotations of the Laue group of each phase, shape (s, 4).
    """
    scores = np.where(given[1] >= 0, np.nan_to_num(scores), 0)
    total = scores.sum(axis=1)
    scores = scores / np.maximum(total, 1)[:, None]
    is_near = _is_near(*fitted, *given, symmetries)
    before = np.where(is_near, scores[:, None, :], 0).sum(-1)
    return Evidence(
        gain=np.where(fitted[1] >= 0, gain, -np.inf),
        before=np.where(is_near.any(-1), before, np.nan),
        elsewhere=np.maximum(1 - total, 0),
        is_near=_is_near(*fitted, *fitted, symmetries),
    )


def _is_near(
    one: np.ndarray,
    phase: np.ndarray,
    other: np.ndarray,
    other_phase: np.ndarray,
    symmetries: Sequence[np.ndarray],
) -> np.ndarray:
    """Return which of orientations (n, a, 4) are within `RIGHT` of which others (n, b, 4)."""
    near = np.zeros((*phase.shape, other_phase.shape[1]), dtype=bool)
    for number, symmetry in enumerate(symmetries):
        i, a, b = np.nonzero((phase == number)[:, :, None] & (other_phase == number)[:, None, :])
        angle = disorientation_angle(one[i, a], other[i, b], symmetry)
        near[i, a, b] = angle < np.deg2rad(RIGHT)
    return near


def _is_first(value: np.ndarray, is_near: np.ndarray) -> np.ndarray:
    """Return which fits are near none that is weightier, and itself such a first, shape (n, m)."""
    first = np.zeros(value.shape, dtype=bool)
    row = np.arange(len(value))
    for place in np.argsort(-value, axis=1, kind="stable").T:
        covered = (is_near[row, place] & first).any(axis=1)
        first[row, place] = ~covered & np.isfinite(value[row, place])
    return first
