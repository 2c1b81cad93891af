"""Reliability: how far the best orientation stands out from the best different one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyxem_cnn.rotations import disorientation_angle

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MINIMUM_ANGLE", "reliability", "reliability_from_scores"]

# Degrees; candidates closer than this to the best one count as the same answer.
MINIMUM_ANGLE = 10.0


def reliability(
    quaternions: Tensor,
    scores: Tensor,
    symmetry: Tensor,
    minimum_angle: float = MINIMUM_ANGLE,
) -> Tensor:
    """Return ``100 (1 - p2 / p1)``, 0 for a coin flip and 100 where nothing else is likely.

    Parameters
    ----------
    quaternions
        Candidate orientations, best first, shape (n_patterns, n_candidates, 4).
    scores
        Their scores in descending order, at least 0, shape (n_patterns, n_candidates).
    symmetry
        Proper rotations of the group, shape (n_operations, 4).
    minimum_angle
        p1 is the score of the best candidate, p2 that of the best one further away from it than
        this angle in degrees.

    Returns
    -------
    reliability
        Shape (n_patterns,). 100 where all candidates lie within the angle; NaN where the best
        score is not a positive number, and everywhere when there is just one candidate, since
        nothing is known about its rivals then.
    """
    if scores.shape[-1] < 2:
        return scores.new_full(scores.shape[:1], math.nan)
    angle = disorientation_angle(quaternions[:, :1], quaternions, symmetry.to(quaternions))
    # A NaN candidate compares False, thus is no rival.
    far = angle > math.radians(minimum_angle)
    rival = scores.where(far, scores.new_zeros(())).amax(-1)
    return reliability_from_scores(scores[:, 0], rival)


def reliability_from_scores(best: Tensor, rival: Tensor) -> Tensor:
    """Return ``100 (1 - rival / best)`` clipped to 0..100, NaN where ``best`` is not positive.

    Parameters
    ----------
    best, rival
        Scores of one shape.
    """
    value = (100 * (1 - rival / best)).clamp(0, 100)
    return value.where(best > 0, value.new_full((), math.nan))
