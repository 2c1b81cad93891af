"""Milliseconds from a pattern's arrival to its orientation, for batches of several sizes.

    python benchmarks/latency.py --model si_200kV

Patterns of 128 x 128 and 256 x 256 pixels, uint16, in memory, on one CPU core or, with --device
cuda, on a GPU. Median and 95th percentile of many calls, the first call included; what making the
indexer takes, once, is printed above.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import pyxem_cnn

BATCHES = (1, 8, 32, 128)


def patterns_of(n, size):
    """Return patterns (n, size, size) of a few counts per pixel, brighter spots among them."""
    generator = np.random.default_rng(0)
    rates = generator.random((n, size, size), dtype=np.float32) ** 8
    return generator.poisson(rates * 5).astype(np.uint16)


def measure(model, size, device, seconds):
    """Print the latency of every size of batches."""
    middle = (size - 1) / 2
    geometry = pyxem_cnn.DetectorGeometry(
        shape=(size, size),
        center=(middle, middle),
        scale=2.56 / size,  # 1/angstrom
        beam_energy=model.accelerating_voltage,
    )
    start = time.perf_counter()
    indexer = pyxem_cnn.LiveIndexer(model, geometry, device=device)
    made = time.perf_counter() - start
    print(f"{size} x {size} pixels, {indexer._predictor.device}; made in {made:.1f} s")
    for n in BATCHES:
        data = patterns_of(n, size)
        indexer.reset()
        first = indexer.index(data).latency
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or indexer.latency.n_calls < 10:
            indexer.index(data)
        told = indexer.latency
        print(
            f"{n:5} patterns: median {told.median:7.2f} ms, 95 % {told.percentile_95:7.2f} ms, "
            f"first call {first:7.2f} ms, "
            f"{1e3 * n / told.median:6.0f} patterns/s, {told.n_calls} calls"
        )


def main():
    """Measure both sizes of patterns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="si_200kV", help="model file or name")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each size of batches")
    options = parser.parse_args()
    model = pyxem_cnn.load_model(options.model)
    for size in (128, 256):
        measure(model, size, options.device, options.seconds)


if __name__ == "__main__":
    main()
