"""What a network sees of a pattern, whatever its dose: square roots of counts, and contrasts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["N_CONTRASTS", "Contrasts", "Smoothing", "normalised"]

# Where a count stands half-way between nothing and the strongest spots, against its ring's mean:
# the first layer shows weak spots, the second tells strong ones apart.
_HALF_WAY = (0.5, 4.0)
N_CONTRASTS = len(_HALF_WAY)
"""Layers of `Contrasts`."""

# As spread out as normalised patterns are.
_SPREAD = 2.5
# Rings with less than this, against the mean of all, are dark: no noise is as weak.
_DARKEST = 1e-4
# Surroundings of which less than this was measured say nothing.
_LEAST_MEASURED = 1e-3


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


class Smoothing(nn.Module):
    """Mean counts in the surroundings of every bin: a Gaussian as wide as a ring, in the plane.

    That is about the size of a spot. A bin of a weak spot counts one electron or none; only what
    lies around tells it from background, and has to be added up before anything bends it.

    Parameters
    ----------
    n_radial, n_azimuthal
        Shape of the polar patterns.
    inner_edge
        Radius at which the first ring begins, in widths of a ring.
    """

    def __init__(self, n_radial: int, n_azimuthal: int, inner_edge: float) -> None:
        super().__init__()
        self.n_azimuthal, self.least_measured = n_azimuthal, _LEAST_MEASURED
        ring = torch.arange(n_radial, dtype=torch.float64)
        across = torch.exp(-0.5 * (ring[:, None] - ring).square())
        # Distances along each ring, in widths of a ring.
        bins = torch.arange(n_azimuthal, dtype=torch.float64)
        arc = 2 * math.pi / n_azimuthal * torch.minimum(bins, n_azimuthal - bins)
        along = torch.exp(-0.5 * (arc * (ring[:, None] + inner_edge + 0.5)).square())
        along = along / along.sum(dim=1, keepdim=True)
        across = across / across.sum(dim=1, keepdim=True)
        # Kept with the weights: they tell what the network saw.
        self.register_buffer("across", across.float())
        # Even functions have real transforms.
        self.register_buffer("along", torch.fft.rfft(along).real.float())

    def forward(self, counts: Tensor, mask: Tensor) -> Tensor:
        """Return means over what was measured, of the shape of the counts.

        Parameters
        ----------
        counts, mask
            As in `normalised`.
        """
        measured = self._spread(mask).clamp(min=self.least_measured)
        return self._spread(counts * mask).clamp(min=0.0) / measured

    def _spread(self, x: Tensor) -> Tensor:
        """Convolve (..., n_radial, n_azimuthal) with the Gaussian."""
        turned = torch.view_as_real(torch.fft.rfft(x)) * self.along[:, :, None]
        around = torch.fft.irfft(torch.view_as_complex(turned), n=self.n_azimuthal)
        return torch.matmul(self.across, around)


class Contrasts(nn.Module):
    """How far counts stand out of their ring.

    Dynamical intensities change with thickness and tilt by more than noise does, so that strong
    spots drown weak ones in any sum. Here a count c in a ring of mean m becomes c / (c + f m),
    which is never more than 1, less what that is on average all around.

    Parameters
    ----------
    smoothing
        What to make of the counts before; None to take them bin by bin.
    """

    def __init__(self, smoothing: Smoothing | None = None) -> None:
        super().__init__()
        self.smoothing = smoothing
        # TorchScript reads no constants of a file.
        self.half_way, self.spread, self.darkest = list(_HALF_WAY), _SPREAD, _DARKEST

    def forward(self, counts: Tensor, mask: Tensor) -> Tensor:
        """Return contrasts, shape (batch, N_CONTRASTS * n_radial, n_azimuthal).

        Parameters
        ----------
        counts, mask
            As in `normalised`.
        """
        if self.smoothing is not None:
            counts = self.smoothing(counts, mask)
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
