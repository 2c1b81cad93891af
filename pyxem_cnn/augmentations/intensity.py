"""The scale on which intensities reach a network: linear, or logarithmic over some decades."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxem_cnn.augmentations._coordinates import per_pattern
from pyxem_cnn.augmentations.draws import Range, chance, log_uniform


def compress_range(
    patterns: Tensor,
    generator: torch.Generator,
    span: Range = (1e3, 1e7),
    linear: float = 0.0,
) -> Tensor:
    """Compress the dynamic range of patterns, as programs that save or show them do.

    ``log(1 + r x) / log(1 + r)``, with x the intensity over the pattern's largest one: what is
    weaker than 1/r of it stays linear and dark, what is stronger becomes logarithmic. A network
    that sees many r does not depend on how its patterns were saved. One that takes the square root
    of counts, such as ours, wants counts and not this.

    Parameters
    ----------
    patterns
        Counts per pixel or density, shape (batch, n_radial, n_azimuthal) or (batch, rows, columns).
        Negative values count as 0.
    generator
        Source of random numbers.
    span
        Range of r, drawn evenly in the logarithm.
    linear
        Share of patterns that stay linear.

    Returns
    -------
    patterns
        From 0 to 1; an empty pattern stays 0.
    """
    n = len(patterns)
    ratio = per_pattern(log_uniform(n, span, generator))
    keep = per_pattern(chance(n, linear, generator))
    x = patterns.clamp(min=0)
    x = x / x.amax(dim=(1, 2), keepdim=True).clamp(min=1e-20)
    compressed = torch.log1p(ratio * x).div_(torch.log1p(ratio))
    return torch.where(keep, x, compressed) if linear else compressed
