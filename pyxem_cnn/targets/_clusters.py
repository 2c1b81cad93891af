"""Gathering of candidates that mean the same orientation."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyxem_cnn.rotations import multiply, normalize
from pyxem_cnn.targets._ranking import MINIMUM_ANGLE

__all__ = ["Clusters", "cluster", "left_products", "padded"]

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


def left_products(symmetry: Tensor) -> Tensor:
    """Return matrices that multiply quaternions by operations: ``q @ matrix`` is ``S q``.

    Parameters
    ----------
    symmetry
        Proper rotations, shape (..., 4).

    Returns
    -------
    matrices
        Shape (..., 4, 4). Transposed, they multiply by the inverse operations.
    """
    return multiply(symmetry[..., None, :], torch.eye(4).to(symmetry))


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
        Left products with the proper rotations of each phase, shape (n_phases, n_operations, 4, 4),
        as `left_products` returns them; short lists are filled up with copies.
    n
        How many clusters are looked for.
    """
    left = probability.nan_to_num(nan=0.0)
    means, scores, seeds = [], [], []
    for _ in range(n):
        seed = left.argmax(dim=1, keepdim=True)
        own = phase.gather(1, seed)
        group = _of_phase(symmetry, own[:, 0])
        reference = candidates.gather(1, seed[..., None].expand(-1, 1, 4))[:, 0]
        overlap = _overlaps(reference, candidates, group)
        closeness, operation = overlap.abs().max(dim=-1, keepdim=True)
        is_same = (closeness[..., 0] > _overlap_at(_CLUSTER_ANGLE)) & (phase == own)
        weight = left.where(is_same, 0)
        signed = weight[..., None].copysign(overlap.gather(-1, operation))
        share = torch.zeros_like(overlap).scatter_(2, operation, signed)
        means.append(_mean(candidates, share, group))
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
    closeness = _overlaps(mean[:, 0], mean, _of_phase(symmetry, own[:, 0])).abs().amax(dim=-1)
    is_rival = (closeness < _overlap_at(MINIMUM_ANGLE)) | (own != own[:, :1])
    rival = score.where(is_rival, 0).amax(dim=1)
    found = probability[:, :1].isfinite() & (score > 0)
    return Clusters(
        mean.where(found[..., None], math.nan), score.where(found, math.nan), own, seed, rival
    )


def _of_phase(symmetry: Tensor, phase: Tensor) -> Tensor:
    """Return the left products for each pattern, (batch or 1, n_operations, 4, 4)."""
    return symmetry if len(symmetry) == 1 else symmetry[phase]


def _overlap_at(angle: float) -> float:
    """Return the overlap of unit quaternions that are an angle in degrees apart."""
    return math.cos(math.radians(angle) / 2)


def _overlaps(reference: Tensor, orientation: Tensor, group: Tensor) -> Tensor:
    """Return ``<r, S o>``, the cosines of half the angles between r and the equivalents of o.

    One product compares with all equivalents: ``<r, S o>`` is the overlap of ``S^-1 r`` and o.

    Parameters
    ----------
    reference, orientation
        Quaternions of shapes (batch, 4) and (batch, n, 4).
    group
        Left products with the operations, shape (batch or 1, n_operations, 4, 4).

    Returns
    -------
    overlaps
        Shape (batch, n, n_operations).
    """
    turned = group @ reference[:, None, :, None]  # (batch, n_operations, 4, 1)
    return orientation @ turned[..., 0].transpose(1, 2)


def _mean(orientation: Tensor, share: Tensor, group: Tensor) -> Tensor:
    """Return the sums of equivalents, weighted and scaled to unit length, (batch, 4).

    Parameters
    ----------
    orientation
        Quaternions, shape (batch, n, 4).
    share
        Weight of each with each operation, shape (batch, n, n_operations).
    group
        As in `_overlaps`.
    """
    summed = share.transpose(1, 2) @ orientation  # (batch, n_operations, 4)
    turned = (summed[..., None, :] @ group).sum(dim=1)[:, 0]
    return normalize(turned + 1e-12)


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
