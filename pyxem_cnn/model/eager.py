"""The eager network of a model: to be trained further, or written in the other form of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxem_cnn.model.test_tensors import ModelFileError, TensorCheck

if TYPE_CHECKING:
    import torch

    from pyxem_cnn.model import OrientationModel
    from pyxem_cnn.networks.azimuthal import AzimuthalConfig

__all__ = ["SAME", "azimuthal_network"]

SAME = 1e-5
"""Largest difference of the outputs of equal networks, as a share of an output's largest value."""


def azimuthal_network(model: OrientationModel) -> torch.nn.Module:
    """Return the eager network of a trained model, made again from its weights.

    Neither TorchScript nor an exported program can be turned into the other form, and neither
    holds the Python code of the network. That of :func:`pyxem_cnn.train` is part of this package.

    Parameters
    ----------
    model
        From a file.

    Returns
    -------
    network
        An `AzimuthalNetwork` that gives the same outputs as the model's on its test tensors.

    Raises
    ------
    ModelFileError
        If the model's network is another one.
    """
    from pyxem_cnn.networks.azimuthal import AzimuthalNetwork

    weights = model.module.state_dict()
    try:
        network = AzimuthalNetwork(_config(model, weights)).eval().requires_grad_(False)
        # Only what the network itself keeps: compiled ones also keep tables that it makes anew.
        network.load_state_dict({name: weights[name] for name in network.state_dict()})
        check = model.test_tensors
        TensorCheck(check.counts, check.mask, model.outputs_of_test(), SAME).check(network)
    except (KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"The network of the model {model.name!r} is not the one that pyxem_cnn.train of this "
            "version trains, and its file does not hold the Python code that it was made of: it "
            "can be used, but neither trained further nor written in another form. Build or wrap "
            "the eager network, and use that model."
        ) from error
    return network


def _config(model: OrientationModel, weights: dict[str, torch.Tensor]) -> AzimuthalConfig:
    """Return the sizes of a network from its weights, its grid and its target."""
    from pyxem_cnn.networks.azimuthal import AzimuthalConfig
    from pyxem_cnn.networks.growing import sizes_of_blocks

    n_blocks, n_hidden = sizes_of_blocks(weights)
    width = weights["zone_weight"].shape[1]
    inputs = weights["stem"].shape[1]
    of_one_layer = model.grid.n_radial * (model.grid.n_azimuthal // model.target.n_bins)
    return AzimuthalConfig(
        n_radial=model.grid.n_radial,
        n_azimuthal=model.grid.n_azimuthal,
        n_zones=tuple(model.target.n_zones),
        n_bins=model.target.n_bins,
        width=width,
        n_hidden=n_hidden,
        n_blocks=n_blocks,
        reach=(weights["stem"].shape[0] // width - 1) // 2,
        embedding=weights["residual_head.zone_embedding.weight"].shape[1],
        n_candidates=model.test_tensors.outputs["cell"].shape[1],
        contrasts=inputs > 2 * of_one_layer,
        inner_edge=model.grid.inner_edge if "contrasts.smoothing.across" in weights else None,
    )
