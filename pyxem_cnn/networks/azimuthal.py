"""The azimuth-equivariant network: circular along the azimuth, radius bins as channels.

Turning a pattern by one stride of azimuth bins shifts every feature map, and with it the scores of
the in-plane bins, by one position. Activations keep the layout (channel, azimuth, batch), so that
every layer is one large matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class AzimuthalConfig:
    """Sizes of an `AzimuthalNetwork`.

    Attributes
    ----------
    n_radial, n_azimuthal
        Shape of the polar patterns.
    n_zones
        Number of zone-axis cells.
    n_bins
        Number of in-plane bins; divides ``n_azimuthal``.
    width
        Channels of the trunk.
    n_blocks
        Residual blocks.
    taps
        Azimuth bins that the stem sees at once.
    embedding
        Size of the hidden layer that combines features and zone for the residuals.
    n_candidates
        How many cells the network hands out for each pattern.
    """

    n_radial: int = 42
    n_azimuthal: int = 128
    n_zones: int = 106
    n_bins: int = 32
    width: int = 160
    n_blocks: int = 4
    taps: int = 12
    embedding: int = 64
    n_candidates: int = 16

    def __post_init__(self) -> None:
        """Check that the sizes fit each other."""
        if self.n_azimuthal % self.n_bins or self.taps < self.n_azimuthal // self.n_bins:
            raise ValueError(
                f"n_azimuthal={self.n_azimuthal}, n_bins={self.n_bins} and taps={self.taps} do not "
                "fit: expected n_bins to divide n_azimuthal, and at least n_azimuthal / n_bins "
                "taps. Change n_bins or the polar grid."
            )


class CirculantMix(nn.Module):
    """Mix positions of the azimuth, each channel with its own circular kernel."""

    def __init__(self, width: int, n_bins: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(width, n_bins) * n_bins**-0.5)
        shift = torch.arange(n_bins)[:, None] - torch.arange(n_bins)[None]
        self.register_buffer("shift", shift.remainder(n_bins), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (width, n_bins, batch) to the same shape."""
        # (width, n_bins, n_bins) @ (width, n_bins, batch)
        return torch.bmm(self.kernel[:, self.shift], x)


class ChannelNorm(nn.Module):
    """Batch normalisation of (channels, positions, batch) over positions and batch."""

    def __init__(self, width: int, momentum: float = 0.05) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (width, positions, batch) to the same shape."""
        if self.training:
            var, mean = torch.var_mean(x, dim=(1, 2))
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var, self.momentum)
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(var + 1e-5)
        return torch.addcmul((self.bias - mean * scale)[:, None, None], x, scale[:, None, None])


class Block(nn.Module):
    """Residual block: circulant mixing along the azimuth, then a perceptron over channels."""

    def __init__(self, width: int, n_bins: int) -> None:
        super().__init__()
        self.mix = CirculantMix(width, n_bins)
        self.norm = ChannelNorm(width)
        self.expand = nn.Parameter(torch.randn(2 * width, width) * width**-0.5)
        self.expand_bias = nn.Parameter(torch.zeros(2 * width, 1))
        self.contract = nn.Parameter(torch.randn(width, 2 * width) * 0.3 * (2 * width) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map (width, n_bins, batch) to the same shape."""
        y = self.norm(x + self.mix(x)).flatten(1)  # (width, n_bins * batch)
        y = F.relu(torch.addmm(self.expand_bias, self.expand, y))  # (2 width, n_bins * batch)
        return x + torch.mm(self.contract, y).view_as(x)


class AzimuthalNetwork(nn.Module):
    """Joint scores over zone axis x in-plane bin, continuous residuals, and a phase score.

    Parameters
    ----------
    config
        The sizes.
    """

    def __init__(self, config: AzimuthalConfig) -> None:
        super().__init__()
        self.n_zones, self.n_bins = config.n_zones, config.n_bins
        self.stride = config.n_azimuthal // config.n_bins
        self.taps = config.taps
        self.n_candidates = min(config.n_candidates, config.n_zones * config.n_bins)
        inputs = 2 * config.n_radial * config.taps
        width = config.width
        self.stem = nn.Parameter(torch.randn(width, inputs) * (2 / inputs) ** 0.5)
        self.stem_norm = ChannelNorm(width)
        self.blocks = nn.ModuleList([Block(width, config.n_bins) for _ in range(config.n_blocks)])
        self.head_norm = ChannelNorm(width)
        self.zone_weight = nn.Parameter(torch.randn(config.n_zones, width) * width**-0.5)
        self.zone_bias = nn.Parameter(torch.zeros(config.n_zones, 1))
        self.feature_to_hidden = nn.Linear(width, config.embedding)
        self.zone_embedding = nn.Embedding(config.n_zones, config.embedding)
        self.hidden_to_residual = nn.Linear(config.embedding, 3)
        self.phase_head = nn.Sequential(
            nn.Linear(2 * width, config.embedding), nn.ReLU(), nn.Linear(config.embedding, 1)
        )

    def features(self, counts: Tensor, mask: Tensor) -> Tensor:
        """Return features of each in-plane position.

        Parameters
        ----------
        counts
            Mean counts per detector pixel, shape (batch, n_radial, n_azimuthal).
        mask
            Share of each bin that was measured, the same shape or without the batch.

        Returns
        -------
        features
            Shape (width, n_bins, batch).
        """
        batch = counts.shape[0]
        mask = mask.expand_as(counts)
        # The square root makes Poisson noise even; what is the same all around a ring is
        # background; the scale of the counts carries no orientation.
        value = counts.clamp(min=0.0).sqrt() * mask
        ring = value.sum(dim=2, keepdim=True) / mask.sum(dim=2, keepdim=True).clamp(min=1e-6)
        value = (value - ring) * mask
        power = value.square().sum(dim=(1, 2), keepdim=True)
        power = power / mask.sum(dim=(1, 2), keepdim=True).clamp(min=1.0)
        value = value * torch.rsqrt(power + 1e-20)
        x = torch.cat([value, mask], dim=1).permute(1, 2, 0)  # (2 n_radial, n_azimuthal, batch)
        before = (self.taps - self.stride) // 2
        after = self.taps - self.stride - before
        x = torch.cat([x[:, x.shape[1] - before :], x, x[:, :after]], dim=1)
        x = x.unfold(1, self.taps, self.stride)  # (2 n_radial, n_bins, batch, taps)
        # (inputs, n_bins * batch)
        x = x.permute(0, 3, 1, 2).reshape(self.stem.shape[1], self.n_bins * batch)
        x = torch.mm(self.stem, x).view(self.stem.shape[0], self.n_bins, batch)
        x = F.relu(self.stem_norm(x))
        for block in self.blocks:
            x = block(x)
        return F.relu(self.head_norm(x))

    def logits(self, features: Tensor) -> Tensor:
        """Return scores of all cells, shape (batch, n_zones * n_bins), zone by zone."""
        scores = torch.addmm(self.zone_bias, self.zone_weight, features.flatten(1))
        return scores.view(self.n_zones * self.n_bins, -1).t()

    def phase_logit(self, features: Tensor) -> Tensor:
        """Return the score for 'this is a pattern of the phase', shape (batch,)."""
        pooled = torch.cat([features.mean(dim=1), features.amax(dim=1)]).t()  # (batch, 2 width)
        return self.phase_head(pooled)[:, 0]

    def residuals(self, features: Tensor, cells: Tensor) -> Tensor:
        """Return what is left between a cell's centre and the orientation.

        Parameters
        ----------
        features
            Shape (width, n_bins, batch).
        cells
            Cell numbers zone * n_bins + bin, shape (batch, n).

        Returns
        -------
        residuals
            Two tilts and an in-plane offset in degrees, shape (batch, n, 3).
        """
        zone = torch.div(cells, self.n_bins, rounding_mode="floor")
        hidden = self.feature_to_hidden(features.permute(2, 1, 0))  # (batch, n_bins, embedding)
        position = (cells % self.n_bins)[..., None].expand(-1, -1, hidden.shape[2])
        hidden = F.relu(hidden.gather(1, position) + self.zone_embedding(zone))
        return self.hidden_to_residual(hidden)

    def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return the best cells of each pattern.

        Parameters
        ----------
        counts, mask
            As in `features`.

        Returns
        -------
        outputs
            ``cell`` (batch, n_candidates), best first; ``probability``, the same shape;
            ``residual`` (batch, n_candidates, 3) in degrees; ``phase_probability`` (batch,).
        """
        features = self.features(counts, mask)
        probability = self.logits(features).softmax(dim=1)
        best, cells = probability.topk(self.n_candidates, dim=1)
        return {
            "cell": cells,
            "probability": best,
            "residual": self.residuals(features, cells),
            "phase_probability": self.phase_logit(features).sigmoid(),
        }
