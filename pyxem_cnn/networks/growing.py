"""Give a larger network the weights of a smaller one, so that both do the same at first."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxem_cnn.networks.inputs import N_CONTRASTS

__all__ = ["grown", "sizes_of_blocks"]

# Axes along which a block's hidden layer grows.
_HIDDEN = {"expand": 0, "expand_bias": 0, "contract": 1}
# What adds blocks and hidden channels to what was there before.
_SILENT = ("contract",)


def grown(small: dict[str, Tensor], large: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of a larger azimuthal network that does what a smaller one does.

    What is new keeps the weights that it has and is not heard at first: new hidden channels and
    blocks lead nowhere, and contrasts are not looked at, until training lets them.

    Parameters
    ----------
    small, large
        Weights by name, as ``state_dict`` returns them: of the smaller network, and of the larger
        one as it was made.

    Returns
    -------
    weights
        For the larger network. Weights of other shapes, such as those of a head for another
        crystal, are left out.
    """
    weights = {}
    for name, own in large.items():
        last, given = name.split(".")[-1], small.get(name)
        if given is None:
            weights[name] = torch.zeros_like(own) if last in _SILENT else own
        elif given.shape == own.shape:
            weights[name] = given
        elif last == "stem" and _lacks_contrasts(given, own):
            weights[name] = _with_contrasts(given, own)
        elif last in _HIDDEN and _fits(given, own, _HIDDEN[last]):
            weights[name] = _extended(given, own, _HIDDEN[last], last in _SILENT)
    return weights


def sizes_of_blocks(weights: dict[str, Tensor]) -> tuple[int, int]:
    """Return how many blocks an azimuthal network has, and the channels of their hidden layers.

    Parameters
    ----------
    weights
        By name.
    """
    hidden = [len(weight) for name, weight in weights.items() if name.endswith(".expand")]
    return len(hidden), max(hidden, default=0)


def _lacks_contrasts(given: Tensor, own: Tensor) -> bool:
    """Return whether a stem sees counts and mask only, and the other one contrasts as well."""
    n_layers = 2 + N_CONTRASTS
    return _fits(given, own, 1) and n_layers * given.shape[1] == 2 * own.shape[1]


def _with_contrasts(given: Tensor, own: Tensor) -> Tensor:
    """Return the weights of a stem with silent ones for layers between the counts and the mask."""
    n = given.shape[1] // 2
    new = own.new_zeros(len(own), own.shape[1] - given.shape[1])
    return torch.cat([given[:, :n].to(own), new, given[:, n:].to(own)], dim=1)


def _fits(given: Tensor, own: Tensor, axis: int) -> bool:
    """Return whether weights are of one shape but for an axis along which they grow."""
    sizes = zip(given.shape, own.shape, strict=True)
    return all(a <= b if i == axis else a == b for i, (a, b) in enumerate(sizes))


def _extended(given: Tensor, own: Tensor, axis: int, silent: bool) -> Tensor:
    """Return given weights with new ones after them along an axis: own ones, or zeros."""
    n = given.shape[axis]
    new = own.narrow(axis, n, own.shape[axis] - n)
    return torch.cat([given.to(own), torch.zeros_like(new) if silent else new], dim=axis)
