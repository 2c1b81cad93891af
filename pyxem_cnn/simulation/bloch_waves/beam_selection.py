"""Which beams take part in the diffraction of an orientation, out of all reflections."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# Added to |U|, in 1/angstrom^2: lets in weak reflections near the Ewald sphere.
_WEAKEST = 0.01
# Reflections further from the Ewald sphere, in 1/angstrom, cost more time than they are worth for
# 64 beams: the quicker the phase of a wave turns, the longer is the series.
_FARTHEST = 0.1
# The list may end anywhere in its last part, so that equals stay together.
_SHORTEST = 0.85


def farthest_excitation_error(n_beams: int) -> float:
    """Return how far from the Ewald sphere beams may be, 1/angstrom; a little more for long lists.

    Much further off there are parts of the Laue zones above and below a zone axis: they are nearer
    to the sphere on one side, and give the two patterns of a pseudo-symmetric pair a false
    difference.

    Parameters
    ----------
    n_beams
        Length of the list, with the direct beam.
    """
    return _FARTHEST * min(max(1.0, math.sqrt(n_beams / 64)), 1.4)


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
    zones: Tensor
    """Low-index directions [uvw] in the crystal's frame, shape (m, 3), angstrom."""
    farthest: float
    """Largest excitation error, 1/angstrom."""


def importance(candidates: Candidates, zone_axis: Tensor) -> Tensor:
    """Return how important each reflection is: 1 on the Ewald sphere, 0 far from it.

    1 / (1 + (s / u)^2) with the excitation error s and u = |U| + 0.01, in 1/angstrom and
    1/angstrom^2, averaged over the excitation errors of a beam that is tilted. It does not tell g
    from -g: a reflection g perpendicular to a zone axis counts as much as -g does after the crystal
    was turned by 180 degrees about that axis.

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
    g, strength, wavelength, largest_tilt, _, farthest = candidates
    g_squared = (g * g).sum(-1)
    g_z = zone_axis @ g.T
    error = g_z - g_squared * (wavelength / 2)
    width = strength + _WEAKEST
    # Excitation errors of a tilted beam lie within g_xy times the tilt around that on the axis.
    spread = (g_squared - g_z * g_z).clamp_(min=1e-8).sqrt_().mul_(max(largest_tilt, 1e-4))
    is_far = error.abs() - spread > farthest
    spread /= width
    error /= width
    weight = (torch.atan(error + spread) - torch.atan(error - spread)) / (2 * spread)
    return weight.masked_fill_(is_far, 0)


def partner_axis(zones: Tensor, zone_axis: Tensor) -> Tensor:
    """Return the zone axes after a turn of the crystal by 180 degrees about a zone nearby.

    Parameters
    ----------
    zones
        Low-index directions, shape (m, 3), in angstrom. Longer ones have to be nearer.
    zone_axis
        Unit vectors, shape (n, 3).

    Returns
    -------
    partner
        Unit vectors, shape (n, 3).
    """
    length = zones.norm(dim=1)
    along = zone_axis @ (zones / length[:, None]).T
    # A zone and its opposite are one: [uvw] and [-u-v-w] give the same turn.
    sine = (1 - along * along).clamp_(min=0).sqrt_()
    nearest = (sine * length).argmin(1)
    unit = zones[nearest] / length[nearest, None]
    return 2 * (unit * zone_axis).sum(1, keepdim=True) * unit - zone_axis


def select_beams(candidates: Candidates, zone_axis: Tensor, n_beams: int) -> Tensor:
    """Return the most important reflections of each orientation.

    A list ends where another one more reflection would separate equals: at the widest gap of the
    last 15 %. It also ends where that of the partner does, the orientation turned by 180 degrees
    about the nearest zone axis. Their patterns are all but the same; without that, truncation alone
    would make them differ.

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
    n_listed = min(n_beams, len(candidates.g))
    best, chosen = _most_important(candidates, zone_axis, n_listed)
    partner = partner_axis(candidates.zones, zone_axis)
    others, _ = _most_important(candidates, partner, n_listed)
    limit = torch.maximum(_widest_gap(best), _widest_gap(others))
    is_beyond = best[:, :n_listed] <= limit[:, None]
    chosen = chosen[:, :n_listed].masked_fill(is_beyond, -1)
    return torch.nn.functional.pad(chosen, (0, n_beams - n_listed), value=-1)


def _most_important(candidates: Candidates, zone_axis: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return importance (n_axes, n + 1) and indices, most important first; 0 behind the last."""
    weight = importance(candidates, zone_axis)
    weight = torch.cat([weight, weight.new_zeros(len(weight), 1)], dim=1)
    return torch.topk(weight, n + 1, dim=1)


def _widest_gap(best: Tensor) -> Tensor:
    """Return the importance (n,) in the middle of the widest gap of each list's end."""
    first = max(1, math.ceil(_SHORTEST * (best.shape[1] - 1)))
    above, below = best[:, first - 1 : -1], best[:, first:]
    # Where fewer reflections lie near the sphere, the widest gap is that behind the last of them.
    place = (below / above.clamp(min=1e-30)).masked_fill(above == 0, 1).argmin(1)[:, None]
    return ((above.gather(1, place) + below.gather(1, place)) / 2)[:, 0]
