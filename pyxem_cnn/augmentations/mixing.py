"""Several patterns in one: a second grain in the beam's path, diffuse scattering on top."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxem_cnn.augmentations._coordinates import per_pattern
from pyxem_cnn.augmentations.draws import chance, uniform


def overlap(content: Tensor, share: float, largest: float, generator: torch.Generator) -> Tensor:
    """Add a weaker second grain to some patterns: that of another pattern of the batch.

    Parameters
    ----------
    content
        Patterns, shape (batch, n_radial, n_azimuthal) or (batch, rows, columns).
    share
        How many of the patterns get one.
    largest
        Largest weight of the second grain against the first.
    generator
        Source of random numbers.
    """
    return add_second(content, second_weight(len(content), share, largest, generator))


def second_weight(n: int, share: float, largest: float, generator: torch.Generator) -> Tensor:
    """Return weights of second grains against the first ones, shape (n,); 0 for no second grain.

    Parameters
    ----------
    n
        Number of patterns.
    share, largest
        As in :func:`overlap`.
    generator
        Source of random numbers.
    """
    chosen = chance(n, share, generator)
    return torch.where(chosen, uniform(n, (0, largest), generator), 0.0)


def add_second(content: Tensor, weight: Tensor) -> Tensor:
    """Return patterns with the one before them in the batch added as a second grain.

    Parameters
    ----------
    content
        Patterns, shape (batch, n_radial, n_azimuthal) or (batch, rows, columns).
    weight
        Of the second grain's counts against the first's, shape (batch,).
    """
    result = content.clone()
    some = weight.nonzero()[:, 0]
    total = content.sum(dim=(1, 2), keepdim=True)
    # The pattern before it, and vacuum stays vacuum: only the division is guarded.
    other = content[some - 1] / total[some - 1].clamp(min=1e-20)
    result[some] += per_pattern(weight[some]) * other * total[some]
    return result


def mix_in(content: Tensor, addition: Tensor, share: Tensor) -> Tensor:
    """Add another contribution, such as a background, so that it holds a share of all counts.

    Parameters
    ----------
    content
        Counts per bin, shape (batch, ...). A pattern without counts becomes the addition alone,
        with ``share / (1 - share)`` counts.
    addition
        Of the same shape and any scale, counts per bin.
    share
        Share of the addition in the sum, 0 or more and below 1, shape (batch,).
    """
    total = content.sum(dim=(1, 2), keepdim=True)
    total = torch.where(total > 0, total, 1.0)
    added = addition.sum(dim=(1, 2), keepdim=True).clamp(min=1e-20)
    return torch.addcmul(content, addition, total * per_pattern(share / (1 - share)) / added)
