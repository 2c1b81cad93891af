"""Gathering of candidates that mean the same orientation."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyxem_cnn.rotations import angle_between, multiply, normalize
from pyxem_cnn.targets._ranking import MINIMUM_ANGLE

__all__ = ["Clusters", "cluster", "padded"]

# Degrees; candidates nearer to each other than this are one answer.
_CLUSTER_ANGLE = 3.0


class Clusters(NamedTuple):
    """Distinct orientations, best first.

    Attributes
    ----------
    quaternions
        Weighted means, shape (batch, n, 4).
    scores
        Summed probabilities, shape (batch, n).
    phase
        Shape (batch, n).
    seed
        The best candidate of each, shape (batch, n).
    rival
        Score of the best one that is far from the first, or of another phase, shape (batch,).
    """

    quaternions: Tensor
    scores: Tensor
    phase: Tensor
    seed: Tensor
    rival: Tensor


def cluster(
    candidates: Tensor, probability: Tensor, phase: Tensor, symmetry: Tensor, n: int
) -> Clusters:
    """Gather candidates of one phase that lie within 3 degrees of each other.

    NaN where there are no more candidates, or where probabilities are not finite.

    Parameters
    ----------
    candidates
        Quaternions, shape (batch, n_candidates, 4).
    probability, phase
        Of each candidate, shape (batch, n_candidates).
    symmetry
        Proper rotations of each phase, shape (n_phases, n_operations, 4); short lists are filled
        up with copies.
    n
        How many clusters are looked for.
    """
    left = probability.nan_to_num(nan=0.0)
    means, scores, seeds = [], [], []
    for _ in range(n):
        seed = left.argmax(dim=1, keepdim=True)
        own = phase.gather(1, seed)
        reference = candidates.gather(1, seed[..., None].expand(-1, 1, 4))
        nearest, angle = _nearest_equivalent(reference, candidates, _of_phase(symmetry, own[:, 0]))
        is_same = (angle < math.radians(_CLUSTER_ANGLE)) & (phase == own)
        weight = left.where(is_same, 0)
        means.append(normalize((weight[..., None] * nearest).sum(1) + 1e-12))
        scores.append(weight.sum(1))
        seeds.append(seed[:, 0])
        left = left - weight
    return _ordered(
        torch.stack(means, 1),
        torch.stack(scores, 1),
        torch.stack(seeds, 1),
        (probability, phase, symmetry),
    )


def _ordered(
    mean: Tensor, score: Tensor, seed: Tensor, given: tuple[Tensor, Tensor, Tensor]
) -> Clusters:
    """Return clusters by falling score, and the first one's rival."""
    probability, phase, symmetry = given
    # Several cells may add up to more than the single best one, which came first.
    order = score.argsort(dim=1, descending=True, stable=True)
    score, seed = score.gather(1, order), seed.gather(1, order)
    mean = mean.gather(1, order[..., None].expand(-1, -1, 4))
    own = phase.gather(1, seed)
    distance = _nearest_equivalent(mean[:, :1], mean, _of_phase(symmetry, own[:, 0]))[1]
    is_rival = (distance > math.radians(MINIMUM_ANGLE)) | (own != own[:, :1])
    rival = score.where(is_rival, 0).amax(dim=1)
    found = probability[:, :1].isfinite() & (score > 0)
    return Clusters(
        mean.where(found[..., None], math.nan), score.where(found, math.nan), own, seed, rival
    )


def _of_phase(symmetry: Tensor, phase: Tensor) -> Tensor:
    """Return the operations for each pattern, (batch or 1, n_operations, 4)."""
    return symmetry if len(symmetry) == 1 else symmetry[phase]


def _nearest_equivalent(
    reference: Tensor, orientation: Tensor, symmetry: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the equivalents of orientations (batch, n, 4) nearest to references (batch, 1, 4).

    Parameters
    ----------
    reference, orientation
        Quaternions.
    symmetry
        Operations for all patterns or for each one, shape (1 or batch, n_operations, 4).

    Returns
    -------
    nearest, angle
        Shapes (batch, n, 4), with the sign that makes the dot product positive, and (batch, n) in
        radians.
    """
    # The overlap |<r, S o>| is the cosine of half the angle: one product finds the nearest S.
    inverse = symmetry * symmetry.new_tensor([1.0, -1.0, -1.0, -1.0])
    turned = multiply(inverse, reference)  # (batch, n_operations, 4)
    overlap = orientation @ turned.transpose(1, 2)  # (batch, n, n_operations)
    operation = overlap.abs().argmax(dim=-1)
    symmetry = symmetry.expand(len(orientation), -1, -1)
    chosen = symmetry.gather(1, operation[..., None].expand(-1, -1, 4))
    nearest = multiply(chosen, orientation)
    sign = overlap.gather(-1, operation[..., None]).sign()
    nearest = nearest * torch.where(sign == 0, 1.0, sign)
    return nearest, angle_between(reference, nearest)


def padded(values: Tensor, n_best: int) -> Tensor:
    """Return the first ``n_best`` entries of axis 1, NaN (or -1) beyond what there is.

    Parameters
    ----------
    values
        Shape (batch, n, ...).
    n_best
        How many are wanted.
    """
    values = values[:, :n_best]
    missing = n_best - values.shape[1]
    if missing <= 0:
        return values
    nothing = math.nan if values.is_floating_point() else -1
    fill = values.new_full((values.shape[0], missing, *values.shape[2:]), nothing)
    return torch.cat([values, fill], dim=1)
