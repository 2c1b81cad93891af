"""Give a larger network the weights of a smaller one, so that both do the same at first."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["grown"]

# Axes along which a block's hidden layer grows.
_HIDDEN = {"expand": 0, "expand_bias": 0, "contract": 1}
# What adds blocks and hidden channels to what was there before.
_SILENT = ("contract",)


def grown(small: dict[str, Tensor], large: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of a larger azimuthal network that does what a smaller one does.

    What is new keeps the weights that it has and is not heard at first: new hidden channels and
    blocks lead nowhere, until training lets them.

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
        elif last in _HIDDEN and _fits(given, own, _HIDDEN[last]):
            weights[name] = _extended(given, own, _HIDDEN[last], last in _SILENT)
    return weights


def _fits(given: Tensor, own: Tensor, axis: int) -> bool:
    """Return whether weights are of one shape but for an axis along which they grow."""
    sizes = zip(given.shape, own.shape, strict=True)
    return all(a <= b if i == axis else a == b for i, (a, b) in enumerate(sizes))


def _extended(given: Tensor, own: Tensor, axis: int, silent: bool) -> Tensor:
    """Return given weights with new ones after them along an axis: own ones, or zeros."""
    n = given.shape[axis]
    new = own.narrow(axis, n, own.shape[axis] - n)
    return torch.cat([given.to(own), torch.zeros_like(new) if silent else new], dim=axis)
