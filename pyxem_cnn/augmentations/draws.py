"""Random numbers for a batch: evenly, evenly in the logarithm, yes or no."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyxem_cnn._checks import given_expected

Range = tuple[float, float]


def uniform(n: int, span: Range, generator: torch.Generator) -> Tensor:
    """Return ``n`` numbers drawn evenly from ``span``, shape (n,)."""
    return span[0] + (span[1] - span[0]) * _rand(n, generator)


def log_uniform(n: int, span: Range, generator: torch.Generator) -> Tensor:
    """Return ``n`` numbers whose logarithm is drawn evenly from ``span``, shape (n,)."""
    return uniform(n, (math.log(span[0]), math.log(span[1])), generator).exp()


def chance(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """Return ``n`` booleans that are True with the given probability, shape (n,)."""
    return _rand(n, generator) < probability


def shares(n: int, span: Range, generator: torch.Generator) -> Tensor:
    """Return ``n`` shares of a whole from 0 to below 1, or raise ValueError, shape (n,)."""
    if not 0 <= span[0] <= span[1] < 1:
        remedy = "A share is that of the whole sum: 0.5 adds as much as there is."
        raise ValueError(
            given_expected("share", span, "a range (low, high) from 0 to below 1", remedy)
        )
    return uniform(n, span, generator)


def within(n: int, largest: float, generator: torch.Generator) -> Tensor:
    """Return ``n`` points drawn evenly from a square of half side ``largest``, shape (n, 2)."""
    draw = torch.rand(n, 2, generator=generator, device=generator.device)
    return largest * (2 * draw - 1)


def _rand(n: int, generator: torch.Generator) -> Tensor:
    """Return ``n`` numbers from 0 to 1 on the generator's device."""
    return torch.rand(n, generator=generator, device=generator.device)
