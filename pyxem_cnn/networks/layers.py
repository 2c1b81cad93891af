"""Layers of the azimuth-equivariant network: turning their input turns their output."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Block", "ChannelNorm", "CirculantMix", "ZoneHead"]


class CirculantMix(nn.Module):
    """Mix positions of the azimuth, each channel with its own circular kernel, and add the input.

    Parameters
    ----------
    width
        Channels.
    n_bins
        Positions.
    """

    def __init__(self, width: int, n_bins: int) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.kernel = nn.Parameter(torch.randn(width, n_bins) * n_bins**-0.5)
        self.register_buffer("identity", torch.eye(n_bins)[:1], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (width, n_bins, batch) to the same shape."""
        # Row i of the circulant matrix is the kernel backwards, from its entry i.
        backwards = (self.kernel + self.identity).to(x.dtype).flip(1)
        rows = torch.cat([backwards, backwards], dim=1).unfold(1, self.n_bins, 1)
        circulant = rows[:, : self.n_bins].flip(1)
        # (width, n_bins, n_bins) @ (width, n_bins, batch)
        return torch.bmm(circulant, x)


class ChannelNorm(nn.Module):
    """Batch normalisation of (channels, positions, batch) over positions and batch.

    Parameters
    ----------
    width
        Channels.
    momentum
        Share of a batch in the running statistics.
    """

    def __init__(self, width: int, momentum: float = 0.05) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def affine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and offset of each channel, float32, that normalise an input."""
        mean, var = self.running_mean, self.running_var
        if self.training:
            # In float32, whatever the activations are.
            n = x.shape[1] * x.shape[2]
            mean = x.sum(dim=(1, 2), dtype=torch.float32) / n
            var = x.square().sum(dim=(1, 2), dtype=torch.float32) / n - mean.square()
            var = var.clamp(min=0.0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var, self.momentum)
        scale = self.weight * torch.rsqrt(var + 1e-5)
        return scale, self.bias - mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """Map (width, positions, batch) to the same shape."""
        scale, offset = self.affine(x)
        scale, offset = scale.to(x.dtype)[:, None, None], offset.to(x.dtype)[:, None, None]
        return x * scale + offset


class Block(nn.Module):
    """Residual block: circulant mixing along the azimuth, then a perceptron over channels.

    Parameters
    ----------
    width
        Channels.
    n_bins
        Positions.
    n_hidden
        Channels of the perceptron's hidden layer.
    """

    def __init__(self, width: int, n_bins: int, n_hidden: int) -> None:
        super().__init__()
        self.mix = CirculantMix(width, n_bins)
        self.norm = ChannelNorm(width)
        self.expand = nn.Parameter(torch.randn(n_hidden, width) * width**-0.5)
        self.expand_bias = nn.Parameter(torch.zeros(n_hidden, 1))
        self.contract = nn.Parameter(torch.randn(width, n_hidden) * 0.3 * n_hidden**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map (width, n_bins, batch) to the same shape."""
        y = self.mix(x)
        # The norm is a factor and an offset of each channel: both go into the weights.
        scale, offset = self.norm.affine(y)
        expand = self.expand.float()
        bias = (self.expand_bias + torch.mm(expand, offset[:, None])).to(x.dtype)
        expand = (expand * scale).to(x.dtype)
        y = torch.addmm(bias, expand, y.flatten(1)).relu_()  # (n_hidden, n_bins * batch)
        return torch.addmm(x.flatten(1), self.contract.to(x.dtype), y).view_as(x)


class ZoneHead(nn.Module):
    """Read numbers from the features at a position, given the zone axis.

    Parameters
    ----------
    width
        Channels.
    embedding
        Size of the hidden layer.
    n_zones
        Zone axes of all phases.
    n_values
        How many numbers.
    """

    def __init__(self, width: int, embedding: int, n_zones: int, n_values: int) -> None:
        super().__init__()
        self.feature_to_hidden = nn.Linear(width, embedding)
        self.zone_embedding = nn.Embedding(n_zones, embedding)
        self.hidden_to_values = nn.Linear(embedding, n_values)

    def forward(self, features: Tensor, position: Tensor, zone: Tensor) -> Tensor:
        """Return values (batch, n, n_values).

        Parameters
        ----------
        features
            Shape (batch, n_bins, width).
        position, zone
            Which in-plane bins and zones, shape (batch, n).
        """
        there = features.gather(1, position[..., None].expand(-1, -1, features.shape[2]))
        weight = self.feature_to_hidden.weight.to(features.dtype)
        hidden = F.linear(there, weight).float() + self.feature_to_hidden.bias
        return self.hidden_to_values(F.relu(hidden + self.zone_embedding(zone)))
