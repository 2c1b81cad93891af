"""The azimuth-equivariant network: circular along the azimuth, radius bins as channels.

Turning a pattern by one stride of azimuth bins shifts every feature map, and with it the scores of
the in-plane bins, by one position. Activations keep the layout (channel, azimuth, batch), so that
every layer is one large matrix product. Those products run in bfloat16 where `low_precision` is
set: processors and GPUs that have it are several times faster, and patterns are noisier.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyxem_cnn.networks.inputs import N_CONTRASTS, Contrasts, Smoothing, normalised
from pyxem_cnn.networks.layers import Block, ChannelNorm, ZoneHead

NO_PHASES = ("vacuum", "amorphous", "other")
"""Classes of patterns besides the phases: no specimen, no crystal, another crystal."""

# What is known of the orientation in a cell: two tilts, an in-plane offset, the logit of its share.
_N_VALUES = 4
# Matrices that are rounded to the precision of their products wherever they are used.
_KEPT_IN_HALVES = ("stem", "expand", "contract", "zone_weight")
# The thickness is learnt in units of this many angstrom.
THICKNESS_UNIT = 100.0


@dataclass(frozen=True)
class AzimuthalConfig:
    """Sizes of an `AzimuthalNetwork`.

    Attributes
    ----------
    n_radial, n_azimuthal
        Shape of the polar patterns.
    n_zones
        Number of zone-axis cells of each phase.
    n_bins
        Number of in-plane bins; divides ``n_azimuthal``.
    width
        Channels of the trunk.
    n_blocks
        Residual blocks.
    n_hidden
        Channels of the hidden layer of each block; 0 for twice the width.
    reach
        Neighbouring in-plane bins on either side that the stem sees besides its own.
    embedding
        Size of the hidden layers that combine features and zone.
    n_candidates
        How many cells the network hands out for each pattern.
    contrasts
        Whether it sees `pyxem_cnn.networks.inputs.Contrasts` beside square roots of counts. Models
        that were made before there were contrasts do not.
    inner_edge
        Inner edge of the polar grid in widths of its rings: contrasts are smoothed over the size of
        a spot. None for contrasts of single bins, which models had before.
    """

    n_radial: int = 42
    n_azimuthal: int = 128
    n_zones: tuple[int, ...] = (106,)
    n_bins: int = 32
    width: int = 192
    n_blocks: int = 4
    n_hidden: int = 0
    reach: int = 1
    embedding: int = 64
    n_candidates: int = 16
    contrasts: bool = True
    inner_edge: float | None = None

    def __post_init__(self) -> None:
        """Check that the sizes fit each other."""
        if self.n_azimuthal % self.n_bins or 2 * self.reach >= self.n_bins:
            raise ValueError(
                f"n_azimuthal={self.n_azimuthal}, n_bins={self.n_bins} and reach={self.reach} do "
                "not fit: expected n_bins to divide n_azimuthal, and a reach below half of n_bins. "
                "Change n_bins or the polar grid."
            )

    @property
    def stride(self) -> int:
        """Azimuth bins for each in-plane bin."""
        return self.n_azimuthal // self.n_bins


class AzimuthalNetwork(nn.Module):
    """Joint scores over zone axis x in-plane bin, continuous residuals, and what the pattern is of.

    Parameters
    ----------
    config
        The sizes.
    """

    def __init__(self, config: AzimuthalConfig) -> None:
        super().__init__()
        width = config.width
        self.low_precision = False
        self.thickness_unit = THICKNESS_UNIT
        self.n_zones = list(config.n_zones)
        self.n_bins, self.stride = config.n_bins, config.stride
        n_zones = sum(config.n_zones)
        self.n_candidates = min(config.n_candidates, n_zones * config.n_bins)
        self.reach = config.reach
        # Square roots of counts, contrasts, and the mask.
        self.contrasts = Contrasts(_smoothing(config)) if config.contrasts else None
        n_layers = 2 + N_CONTRASTS * config.contrasts
        inputs = n_layers * config.n_radial * config.stride
        spread = (2 / (inputs * (2 * self.reach + 1))) ** 0.5
        self.stem = nn.Parameter(torch.randn((2 * self.reach + 1) * width, inputs) * spread)
        self.stem_norm = ChannelNorm(width)
        n_hidden = config.n_hidden or 2 * width
        self.blocks = nn.ModuleList(
            [Block(width, config.n_bins, n_hidden) for _ in range(config.n_blocks)]
        )
        self.head_norm = ChannelNorm(width)
        self.zone_weight = nn.Parameter(torch.randn(n_zones, width) * width**-0.5)
        self.zone_bias = nn.Parameter(torch.zeros(n_zones, 1))
        self.residual_head = ZoneHead(width, config.embedding, n_zones, _N_VALUES)
        self.thickness_head = ZoneHead(width, 2 * config.embedding, n_zones, 1)
        self.class_head = nn.Sequential(
            nn.Linear(2 * width + config.n_radial + 1, config.embedding),
            nn.ReLU(),
            nn.Linear(config.embedding, len(config.n_zones) + len(NO_PHASES)),
        )

    def keep_halves(self) -> None:
        """Round the large matrices to half precision and keep them so: files are half as large.

        Products are what they were, in float32 or bfloat16. Only for a network that learns no more.
        """
        for name, weight in self.named_parameters():
            if name.split(".")[-1] in _KEPT_IN_HALVES:
                weight.data = weight.data.half()

    def features(self, counts: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return features of each in-plane position, and of the pattern as a whole.

        Parameters
        ----------
        counts
            Mean counts per detector pixel, shape (batch, n_radial, n_azimuthal).
        mask
            Share of each bin that was measured, the same shape or without the batch.

        Returns
        -------
        features, rings
            Shapes (batch, n_bins, width) and (batch, n_radial + 1): the latter is the mean of
            each ring and how uneven the rings are, which tell nothing about the orientation.
        """
        if mask.dim() == 3 and mask.stride(0) == 0:
            mask = mask[0]  # one for all patterns
        value, rings = normalised(counts, mask)
        if self.contrasts is not None:
            value = torch.cat([value, self.contrasts(counts, mask)], dim=1)
        x = self._stem(value, mask)
        x = F.relu(self.stem_norm(x))
        for block in self.blocks:
            x = block(x)
        return F.relu(self.head_norm(x)).permute(2, 1, 0).contiguous(), rings

    def _stem(self, value: Tensor, mask: Tensor) -> Tensor:
        """Return what the stem makes of the layers of patterns, (width, n_bins, batch)."""
        dtype = torch.bfloat16 if self.low_precision else value.dtype
        stem = self.stem.to(dtype)
        if mask.dim() == 3:
            both = torch.cat([value.to(dtype), mask.to(dtype)], dim=1)
            return self._shifted_sum(torch.mm(stem, self._columns(both)))
        n = value.shape[1] * self.stride
        x = self._shifted_sum(torch.mm(stem[:, :n], self._columns(value.to(dtype))))
        return x + self._shifted_sum(torch.mm(stem[:, n:], self._columns(mask.to(dtype)[None])))

    def _columns(self, x: Tensor) -> Tensor:
        """Return (channels * stride, n_bins * batch) of patterns (batch, channels, n_azimuthal)."""
        batch, n, _ = x.shape
        x = x.view(batch, n, self.n_bins, self.stride).permute(1, 3, 2, 0)
        return x.reshape(n * self.stride, self.n_bins * batch)

    def _shifted_sum(self, x: Tensor) -> Tensor:
        """Add what the stem saw in neighbouring strides, (n * width, n_bins * batch)."""
        n = 2 * self.reach + 1
        # No x.shape[1]: in frozen TorchScript it would be that of the weights, which crashes.
        parts = x.view(n, x.shape[0] // n, self.n_bins, -1)
        result = parts[self.reach]  # (width, n_bins, batch)
        for i in range(2 * self.reach + 1):
            if i != self.reach:
                result = result + parts[i].roll(i - self.reach, 1)
        return result

    def logits(self, features: Tensor) -> Tensor:
        """Return scores of all cells, shape (batch, n_bins, n_zones)."""
        weight, bias = self.zone_weight.to(features.dtype), self.zone_bias.to(features.dtype)
        return F.linear(features, weight, bias[:, 0]).float()

    def log_probability(self, logits: Tensor) -> Tensor:
        """Return log-probabilities of the cells, within each phase, of the shape of the logits."""
        if len(self.n_zones) == 1:
            return logits.flatten(1).log_softmax(dim=1).view_as(logits)
        parts = torch.split(logits, self.n_zones, dim=2)
        totals = [part.flatten(1).logsumexp(dim=1)[:, None, None] for part in parts]
        return torch.cat([p - t for p, t in zip(parts, totals)], dim=2)  # noqa: B905

    def class_logits(self, features: Tensor, rings: Tensor) -> Tensor:
        """Return scores of the phases and of `NO_PHASES`, shape (batch, n_phases + 3)."""
        mean = features.sum(dim=1, dtype=torch.float32) / features.shape[1]
        pooled = [mean, features.amax(dim=1).float(), rings]
        return self.class_head(torch.cat(pooled, dim=1))

    def values(self, features: Tensor, cells: Tensor) -> Tensor:
        """Return what is known about the orientation in each of some cells.

        Parameters
        ----------
        features
            Shape (batch, n_bins, width).
        cells
            Cell numbers zone * n_bins + bin, shape (batch, n).

        Returns
        -------
        values
            Shape (batch, n, 4): two tilts and an in-plane offset in degrees, and the logit of the
            share of the pattern that it explains.
        """
        zone = torch.div(cells, self.n_bins, rounding_mode="floor")
        return self.residual_head(features, cells % self.n_bins, zone)

    def thickness(self, features: Tensor, cells: Tensor) -> Tensor:
        """Return the thickness in 100 angstrom, shape (batch, n).

        Parameters
        ----------
        features, cells
            As in `values`.
        """
        zone = torch.div(cells, self.n_bins, rounding_mode="floor")
        return self.thickness_head(features, cells % self.n_bins, zone)[..., 0]

    def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return the best cells of each pattern.

        Parameters
        ----------
        counts, mask
            As in `features`.

        Returns
        -------
        outputs
            ``cell`` (batch, n_candidates), best first; of the same shape ``probability``,
            ``thickness`` in angstrom and ``share``; ``residual`` (batch, n_candidates, 3) in
            degrees; ``class_probability`` (batch, n_phases + 3); ``entropy`` (batch,) in nats.
        """
        features, rings = self.features(counts, mask)
        classes = self.class_logits(features, rings).softmax(dim=1)
        log_probability = self.log_probability(self.logits(features))
        if len(self.n_zones) > 1:
            log_probability = log_probability + self._log_phases(classes)
        best, cells = self._best_cells(log_probability)
        values = self.values(features, cells)
        return {
            "cell": cells,
            "probability": best.exp(),
            "residual": values[..., :3],
            "thickness": self.thickness(features, cells) * self.thickness_unit,
            "share": values[..., 3].sigmoid(),
            "class_probability": classes,
            "entropy": -(log_probability.exp() * log_probability).sum(dim=(1, 2)),
        }

    def _best_cells(self, log_probability: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and numbers of the best cells, (batch, n_candidates), in order.

        The best n cells lie in those n zones whose best cells are best: only they are sorted.
        """
        n = min(self.n_candidates, log_probability.shape[2])
        zones = log_probability.amax(dim=1).topk(n, dim=1).indices  # (batch, n)
        few = log_probability.gather(2, zones[:, None].expand(-1, self.n_bins, -1))
        best, place = few.flatten(1).topk(self.n_candidates, dim=1)
        zone = zones.gather(1, place % n)
        return best, zone * self.n_bins + torch.div(place, n, rounding_mode="floor")

    def _log_phases(self, classes: Tensor) -> Tensor:
        """Return log p(phase | of one of the phases) for every zone, (batch, 1, n_zones)."""
        phases = classes[:, : len(self.n_zones)]
        phases = phases / phases.sum(dim=1, keepdim=True)
        n_zones = torch.tensor(self.n_zones, device=classes.device)
        return (
            phases.clamp(min=1e-20)
            .log()
            .repeat_interleave(n_zones, dim=1, output_size=sum(self.n_zones))[:, None]
        )


def _smoothing(config: AzimuthalConfig) -> Smoothing | None:
    if config.inner_edge is None:
        return None
    return Smoothing(config.n_radial, config.n_azimuthal, config.inner_edge)
