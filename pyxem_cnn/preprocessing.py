"""Preprocessing in front of a network of one's own: declared in words, done inside the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pyxem_cnn._checks import check_choice

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Preprocessing"]

_CHOICES = {
    "value": ("counts", "sqrt", "log1p"),
    "normalise": ("none", "rms", "max", "sum", "standard"),
    "layout": ("image", "image_and_mask", "plain", "flat"),
}


@dataclass(frozen=True)
class Preprocessing:
    """What is done to the counts before a network sees them, in this order.

    Parameters
    ----------
    value
        "counts" leaves them alone (mean counts per detector pixel), "sqrt" takes the square
        root, "log1p" the logarithm of one plus the counts.
    normalise
        Each pattern by itself, over its valid bins: divided by the root mean square ("rms"), the
        largest value ("max") or the sum ("sum"); "standard" subtracts the mean and divides by
        the standard deviation; "none". Masked bins are 0 afterwards.
    layout
        Shape in which the network takes patterns: "image" (n_patterns, 1, rows, columns),
        "image_and_mask" (n_patterns, 2, rows, columns) with the mask (1 valid, 0 left out) as
        second channel, "plain" (n_patterns, rows, columns), "flat" (n_patterns, rows * columns).
        On a polar grid, rows are radii and columns azimuths.

    Raises
    ------
    ValueError
        If a word is unknown.
    """

    value: str = "counts"
    normalise: str = "none"
    layout: str = "image"

    def __post_init__(self) -> None:
        """Check the words."""
        for key, choices in _CHOICES.items():
            check_choice(f"preprocessing {key}", getattr(self, key), choices)

    def to_dict(self) -> dict[str, str]:
        """Return the words by name."""
        return asdict(self)

    def apply(self, counts: np.ndarray, mask: np.ndarray) -> Tensor:
        """Return the input of the network for patterns.

        Parameters
        ----------
        counts, mask
            Shape (n_patterns, rows, columns).

        Returns
        -------
        inputs
            Tensor of float32, laid out as declared.
        """
        steps = _Steps(self.value, self.normalise, self.layout)
        return steps(torch.as_tensor(counts).float(), torch.as_tensor(mask).float())

    def wrap(self, network: torch.nn.Module, key: str) -> torch.nn.Module:
        """Return a network with the signature of a model.

        Parameters
        ----------
        network
            Takes one tensor as laid out here, returns one tensor.
        key
            Name of what it returns.

        Returns
        -------
        module
            ``forward(counts, mask)`` that returns a dictionary.
        """
        return _Wrapped(network, _Steps(self.value, self.normalise, self.layout), key)


class _Steps(torch.nn.Module):
    """The preprocessing as a module that TorchScript compiles."""

    def __init__(self, value: str, normalise: str, layout: str) -> None:
        super().__init__()
        self.value = value
        self.normalise = normalise
        self.layout = layout

    def forward(self, counts: Tensor, mask: Tensor) -> Tensor:
        """Return the input of the network, float32."""
        x = counts
        if self.value == "sqrt":
            x = x.clamp(min=0.0).sqrt()
        elif self.value == "log1p":
            x = x.clamp(min=0.0).log1p()
        # A bin that is partly covered holds the mean of what covers it: not to be scaled down.
        mask = (mask > 0).to(x.dtype)
        x = self._normalised(x * mask, mask)
        if self.layout == "image":
            return x.unsqueeze(1)
        if self.layout == "image_and_mask":
            return torch.stack([x, mask], dim=1)
        if self.layout == "flat":
            return x.flatten(1)
        return x

    def _normalised(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return patterns (n, rows, columns) scaled; an empty pattern stays 0."""
        n_valid = mask.sum(dim=(1, 2), keepdim=True).clamp(min=1.0)
        scale = torch.ones_like(n_valid)
        if self.normalise == "standard":
            x = (x - x.sum(dim=(1, 2), keepdim=True) / n_valid) * mask
        if self.normalise == "rms" or self.normalise == "standard":
            scale = (x.square().sum(dim=(1, 2), keepdim=True) / n_valid).sqrt()
        elif self.normalise == "max":
            scale = x.amax(dim=(1, 2), keepdim=True)
        elif self.normalise == "sum":
            scale = x.sum(dim=(1, 2), keepdim=True)
        return x / scale.clamp(min=1e-12)


class _Wrapped(torch.nn.Module):
    """A network behind its preprocessing, with the signature of a model."""

    def __init__(self, network: torch.nn.Module, steps: _Steps, key: str) -> None:
        super().__init__()
        self.network = network
        self.steps = steps
        self.key = key

    def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return what the network gives under its name."""
        return {self.key: self.network(self.steps(counts, mask))}
