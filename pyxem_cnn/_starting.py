"""Where the weights of a training come from: a shipped model, another one, or chance."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pyxem_cnn._checks import given_expected
from pyxem_cnn.model import OrientationModel, load_model
from pyxem_cnn.networks.growing import grown, sizes_of_blocks

if TYPE_CHECKING:
    import torch

__all__ = ["start_from"]

_logger = logging.getLogger(__name__)

# The shipped model that others start from: silicon's, which has learnt most of its crystal.
_USUAL_START = "si_200kV"


def start_from(start: Any, network: torch.nn.Module) -> str | None:
    """Give a network the weights of a model as far as they fit.

    Parameters
    ----------
    start
        As `pyxem_cnn.train` takes it.
    network
        An azimuthal network with random weights; changed in place.

    Returns
    -------
    sha256
        The model's hash, None where the weights stay random.

    Raises
    ------
    ValueError
        If the model is for other grids or widths, or larger than the network.
    """
    if start is None:
        return None
    is_auto = isinstance(start, str) and start == "auto"
    start = _USUAL_START if is_auto else start
    model = start if isinstance(start, OrientationModel) else load_model(start)
    given, own = model.module.state_dict(), network.state_dict()
    weights = grown(given, own)
    sizes, most = sizes_of_blocks(given), sizes_of_blocks(own)
    is_larger = any(size > limit for size, limit in zip(sizes, most, strict=True))
    if is_auto and ("stem" not in weights or is_larger):
        _logger.info("weights are random: those of %s are of other sizes", model.name)
        return None
    if "stem" not in weights:
        expected = "a model of pyxem_cnn.train with the same grid and network width"
        raise ValueError(given_expected("start", model.name, expected))
    if is_larger:
        raise ValueError(_too_large(model.name, sizes, most))
    network.load_state_dict(weights, strict=False)
    n_fitting = sum(min(given[k].numel(), v.numel()) for k, v in own.items() if k in given)
    n = sum(v.numel() for v in own.values())
    _logger.info("%.0f %% of the weights are those of %s", 100 * n_fitting / n, model.name)
    return model.sha256


def _too_large(name: str, sizes: tuple[int, int], most: tuple[int, int]) -> str:
    """Return what to say of a model that has more blocks or hidden channels than the network."""
    n_blocks, n_hidden = sizes
    return (
        f"start: got {name!r} with {n_blocks} blocks, hidden layers of {n_hidden} channels, "
        f"expected at most {most[0]} and {most[1]}, the sizes of the new network. Train one as "
        f"large: n_blocks={n_blocks}, n_hidden={n_hidden}; --blocks {n_blocks} --hidden {n_hidden}."
    )
