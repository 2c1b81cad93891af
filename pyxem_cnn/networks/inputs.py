"""What a network sees of a pattern, whatever its dose: square roots of counts, and contrasts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["N_CONTRASTS", "Contrasts", "normalised"]

# Where a count stands half-way between nothing and the strongest spots, against its ring's mean:
# the first layer shows weak spots, the second tells strong ones apart.
_HALF_WAY = (0.5, 4.0)
N_CONTRASTS = len(_HALF_WAY)
"""Layers of `Contrasts`."""

# As spread out as normalised patterns are.
_SPREAD = 2.5
# Rings with less than this, against the mean of all, are dark: no noise is as weak.
_DARKEST = 1e-4


def normalised(counts: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return square roots of counts less the mean of their ring, and the rings.

    Parameters
    ----------
    counts
        Mean counts per detector pixel, shape (batch, n_radial, n_azimuthal).
    mask
        Share of each bin that was measured, the same shape or without the batch.

    Returns
    -------
    value, rings
        ``value`` has the shape of the counts and a mean square of 1; ``rings``, shape
        (batch, n_radial + 1), are the mean of each ring and how uneven the rings are.
    """
    # The square root makes Poisson noise even; what is the same all around a ring is background;
    # the scale of the counts carries no orientation.
    value = counts.clamp(min=0.0).sqrt() * mask
    measured = mask.sum(dim=-1, keepdim=True)
    ring = value.sum(dim=2, keepdim=True) / measured.clamp(min=1e-6)
    value = (value - ring) * mask
    n = measured.sum(dim=-2, keepdim=True).clamp(min=1.0)
    power = value.square().sum(dim=(1, 2), keepdim=True) / n
    ring_power = ring.square().mean(dim=1, keepdim=True)
    # Far below any noise: where all rings are even, rounding errors must not look like spots.
    value = value * torch.rsqrt(power + 1e-8 * ring_power + 1e-20)
    rings = ring * torch.rsqrt(ring_power + 1e-20)
    unevenness = torch.sqrt(power / (ring_power + power + 1e-20))
    return value, torch.cat([rings, unevenness], dim=1)[..., 0]


class Contrasts(nn.Module):
    """How far counts stand out of their ring.

    Dynamical intensities change with thickness and tilt by more than noise does, so that strong
    spots drown weak ones in any sum. Here a count c in a ring of mean m becomes c / (c + f m),
    which is never more than 1, less what that is on average all around.
    """

    def __init__(self) -> None:
        super().__init__()
        # TorchScript reads no constants of a file.
        self.half_way, self.spread, self.darkest = list(_HALF_WAY), _SPREAD, _DARKEST

    def forward(self, counts: Tensor, mask: Tensor) -> Tensor:
        """Return contrasts, shape (batch, N_CONTRASTS * n_radial, n_azimuthal).

        Parameters
        ----------
        counts, mask
            As in `normalised`.
        """
        counts = counts.clamp(min=0.0)
        measured = mask.sum(dim=-1, keepdim=True).clamp(min=1e-6)
        mean = (counts * mask).sum(dim=2, keepdim=True) / measured
        mean = mean + self.darkest * mean.mean(dim=1, keepdim=True) + 1e-30
        weight = self.spread * mask
        layers = []
        for half_way in self.half_way:
            share = counts / (counts + half_way * mean)
            usual = (share * mask).sum(dim=2, keepdim=True) / measured
            layers.append((share - usual) * weight)
        return torch.cat(layers, dim=1)
