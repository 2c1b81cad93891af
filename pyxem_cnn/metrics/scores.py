"""Whether scores can be believed: reliability curve and expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyxem_cnn._checks import check_positive, given_expected

__all__ = ["ReliabilityCurve", "expected_calibration_error", "reliability_curve"]


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Scores beside the share that is right, in bins of the score.

    Attributes
    ----------
    edges
        Of the bins, shape (n_bins + 1,), from 0 to 1.
    count
        Points in each bin, shape (n_bins,).
    mean_score, share_right
        Of each bin, 0 to 1, shape (n_bins,); NaN where a bin is empty.
    """

    edges: np.ndarray
    count: np.ndarray
    mean_score: np.ndarray
    share_right: np.ndarray

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of scores from the share that is right, weighted by the points."""
        filled = self.count > 0
        gap = np.abs(self.mean_score - self.share_right)[filled]
        return float(np.average(gap, weights=self.count[filled]))

    @property
    def standard_error(self) -> np.ndarray:
        """Of the share that is right in each bin, as of n independent points, shape (n_bins,)."""
        p = self.share_right
        return np.sqrt(p * (1 - p) / np.maximum(self.count, 1))


def reliability_curve(
    score: np.ndarray, is_right: np.ndarray, n_bins: int = 10
) -> ReliabilityCurve:
    """Return how many points are right at which score.

    Parameters
    ----------
    score
        Of each point, meant as the probability that it is right, 0 to 1, any shape. Points
        without a score (NaN) are left out.
    is_right
        Whether the point is right, for example, within 5 degrees of the truth; the same shape.
    n_bins
        Bins of equal width.

    Raises
    ------
    ValueError
        If the shapes differ, a score is not between 0 and 1, or no point has one.
    """
    check_positive("n_bins", n_bins, integer=True)
    score, is_right = np.asarray(score, dtype=np.float64), np.asarray(is_right)
    if score.shape != is_right.shape:
        expected = f"the shape of score, {score.shape}"
        raise ValueError(given_expected("is_right", is_right, expected, "One for each score."))
    if is_right.dtype != bool:
        expected = "booleans, such as degrees < 5"
        raise ValueError(given_expected("is_right", is_right, expected))
    known = ~np.isnan(score)
    score, is_right = score[known], is_right[known]
    if not score.size:
        raise ValueError("score: got no numbers, expected one score at least that is not NaN.")
    if score.min() < 0 or score.max() > 1:
        expected = "probabilities between 0 and 1"
        raise ValueError(given_expected("score", [score.min(), score.max()], expected))
    bins = np.minimum((score * n_bins).astype(int), n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean_score, share_right = (
            np.bincount(bins, weights=values, minlength=n_bins) / count
            for values in (score, is_right)
        )
    return ReliabilityCurve(np.linspace(0, 1, n_bins + 1), count, mean_score, share_right)


def expected_calibration_error(score: np.ndarray, is_right: np.ndarray, n_bins: int = 10) -> float:
    r"""Return how far scores are from the share of points that are right, on average.

    .. math:: \sum_b \frac{n_b}{n} \left| \bar s_b - r_b \right|

    with the mean score :math:`\bar s_b` and the share :math:`r_b` that is right of the
    :math:`n_b` points of bin b [1]_. 0 if among points with score 0.8, for example, 80 % are right.
    Few points make it too large: 300 points of a perfectly calibrated method have about 0.05.

    Parameters
    ----------
    score, is_right, n_bins
        As in :func:`reliability_curve`.

    Raises
    ------
    ValueError
        As in :func:`reliability_curve`.

    References
    ----------
    .. [1] M. P. Naeini, G. F. Cooper, M. Hauskrecht, AAAI 29 (2015) 2901
    """
    return reliability_curve(score, is_right, n_bins).expected_calibration_error
