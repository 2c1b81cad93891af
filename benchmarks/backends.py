"""CPU milliseconds of a network as TorchScript, in float32 and bfloat16, and as exported program.

    python benchmarks/backends.py

A network of the size that `pyxem_cnn.train` makes by default, with random weights, on one core; the
network alone, without resampling and decoding. CPU time is used since machines are shared.
"""

from __future__ import annotations

import argparse
import time

import torch

from pyxem_cnn._torch import ignore_torchscript_deprecation
from pyxem_cnn.model.exported import runnable, to_exported
from pyxem_cnn.model.torchscript import to_torchscript
from pyxem_cnn.networks.azimuthal import AzimuthalConfig, AzimuthalNetwork
from pyxem_cnn.training import TrainingConfig


def networks(config):
    """Return the same network in all forms, by name."""
    network = AzimuthalNetwork(config).eval().requires_grad_(False)
    inputs = torch.rand(2, 2, config.n_radial, config.n_azimuthal).numpy()
    low = to_torchscript(network)
    low.low_precision = True
    with ignore_torchscript_deprecation():
        frozen = torch.jit.freeze(to_torchscript(network))
    exported = runnable(to_exported(network, *inputs))
    return {".pt, float32": frozen, ".pt, bfloat16": low, ".pt2, float32": exported}


def milliseconds(network, counts, mask, repeats):
    """Return the CPU time of one call."""
    for _ in range(3):
        network(counts, mask)
    start = time.process_time()
    for _ in range(repeats):
        network(counts, mask)
    return 1e3 * (time.process_time() - start) / repeats


def main():
    """Print a line for each form and size of batches."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    config = AzimuthalConfig(width=TrainingConfig().width)
    forms = networks(config)
    for n, repeats in ((1, 30), (128, 3)):
        counts = torch.rand(n, config.n_radial, config.n_azimuthal)
        mask = torch.ones_like(counts)
        for name, network in forms.items():
            with torch.inference_mode():
                taken = milliseconds(network, counts, mask, repeats)
            print(f"{n:4} patterns, {name:14}: {taken:7.1f} ms")


if __name__ == "__main__":
    main()
