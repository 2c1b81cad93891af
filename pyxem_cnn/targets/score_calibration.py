"""From a network's probability to a score that can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["ScoreCalibration"]

# Probabilities are kept this far from 0 and 1, where the logit is infinite.
_MARGIN = 1e-6
# A weak pull towards slope 1 and offset 0, in patterns: nothing is fitted to a handful of them.
_PRIOR = 1.0


@dataclass(frozen=True)
class ScoreCalibration:
    """A straight line between the logits of probability and score.

    The score of an orientation is the probability that it is within 5 degrees of the right one,
    as measured on held-out patterns [1]_.

    Attributes
    ----------
    slope, offset
        Of the line: ``score = sigmoid(slope * logit(probability) + offset)``.

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines", in *Advances in Large
       Margin Classifiers* (MIT Press, 1999).
    """

    slope: float = 1.0
    offset: float = 0.0

    @classmethod
    def fit(cls, probability: np.ndarray, is_right: np.ndarray) -> ScoreCalibration:
        """Return the calibration of largest likelihood.

        Parameters
        ----------
        probability
            The network's, shape (n,); NaN counts as 0.
        is_right
            Whether the orientation is right, shape (n,).
        """
        from scipy.optimize import minimize
        from scipy.special import expit

        x = _logit(torch.as_tensor(np.nan_to_num(probability), dtype=torch.float64)).numpy()
        design, right = np.stack([x, np.ones_like(x)], axis=1), np.asarray(is_right, dtype=float)
        start = np.array([1.0, 0.0])

        def surprise(line: np.ndarray) -> tuple[float, np.ndarray]:
            z, pull = design @ line, line - start
            value = np.logaddexp(0, z).sum() - right @ z + _PRIOR / 2 * pull @ pull
            return value, design.T @ (expit(z) - right) + _PRIOR * pull

        slope, offset = minimize(surprise, start, jac=True, method="L-BFGS-B").x
        return cls(float(slope), float(offset))

    def __call__(self, probability: Tensor) -> Tensor:
        """Return the scores of probabilities of any shape; NaN stays NaN."""
        return (self.slope * _logit(probability) + self.offset).sigmoid()

    def to_dict(self) -> dict[str, float]:
        """Return a JSON-able description."""
        return asdict(self)

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> ScoreCalibration:
        """Return the calibration that `to_dict` described."""
        return cls(**description)


def _logit(probability: Tensor) -> Tensor:
    return probability.clamp(_MARGIN, 1 - _MARGIN).logit()
