"""Which beams take part in the diffraction of an orientation, out of all reflections."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Added to |U|, in 1/angstrom^2: lets in weak reflections near the Ewald sphere.
_WEAKEST = 0.01
# The list may end anywhere in its last part, so that equals stay together.
_SHORTEST = 0.85


class Candidates(NamedTuple):
    """All reflections that may take part, without 000, and how far the beam is tilted."""

    g: Tensor
    """Reciprocal vectors in the crystal's frame, shape (c, 3), 1/angstrom."""
    strength: Tensor
    """Modulus of the potential's Fourier coefficient, shape (c,), 1/angstrom^2."""
    wavelength: float
    """In angstrom."""
    largest_tilt: float
    """Of the incident beam: convergence and precession together, radians."""


def importance(candidates: Candidates, zone_axis: Tensor) -> Tensor:
    """Return how important each reflection is: 1 on the Ewald sphere, falling to 0 far away.

    1 / (1 + (s / u)^2) with the excitation error s and u = |U| + 0.01, in 1/angstrom and
    1/angstrom^2, averaged over the excitation errors of a beam that is tilted. It depends on g only
    through what g and -g share when the crystal is turned by 180 degrees about a zone axis, so that
    the patterns of such pairs of orientations have beams in pairs.

    Parameters
    ----------
    candidates
        The reflections.
    zone_axis
        Directions in the crystal's frame that point to the source, shape (n, 3).

    Returns
    -------
    importance
        Shape (n, c).
    """
    g, strength, wavelength, largest_tilt = candidates
    g_squared = (g * g).sum(-1)
    g_z = zone_axis @ g.T
    error = g_z - g_squared * (wavelength / 2)
    width = strength + _WEAKEST
    if largest_tilt == 0:
        return 1 / (1 + (error / width) ** 2)
    # Excitation errors of a tilted beam lie within g_xy times the tilt around that on the axis.
    spread = (g_squared - g_z * g_z).clamp_(min=1e-8).sqrt_().mul_(largest_tilt) / width
    error /= width
    return (torch.atan(error + spread) - torch.atan(error - spread)) / (2 * spread)


def select_beams(candidates: Candidates, zone_axis: Tensor, n_beams: int) -> Tensor:
    """Return the most important reflections of each orientation.

    Reflections of equal importance are taken or left together: each list ends at the widest gap of
    its last 15 %.

    Parameters
    ----------
    candidates
        The reflections.
    zone_axis
        Directions in the crystal's frame that point to the source, shape (n, 3).
    n_beams
        Length of the lists, without the direct beam.

    Returns
    -------
    chosen
        Indices into the candidates, most important first, shape (n, n_beams); -1 where a list is
        shorter.
    """
    weight = importance(candidates, zone_axis)
    n_beams = min(n_beams, weight.shape[1] - 1)
    if n_beams < 1:
        return torch.arange(weight.shape[1], device=weight.device).expand(len(weight), -1)
    best, chosen = torch.topk(weight, n_beams + 1, dim=1)
    first = int(np.ceil(_SHORTEST * n_beams))
    ratio = best[:, first:] / best[:, first - 1 : -1].clamp(min=1e-30)
    length = first + ratio.argmin(1)
    chosen = chosen[:, :n_beams]
    beyond = torch.arange(n_beams, device=weight.device) >= length[:, None]
    return chosen.masked_fill(beyond, -1)
