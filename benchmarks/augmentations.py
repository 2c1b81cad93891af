"""How long does each augmentation take? python benchmarks/augmentations.py."""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from collections.abc import Callable

import torch

from pyxem_cnn import augmentations as aug
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

PIXEL = 0.015  # 1/angstrom


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"CPU microseconds per pattern, {arguments.threads} thread(s), batches of {arguments.batch}"
    )
    for grid in (PolarGrid(), CartesianGrid((128, 128), 0.025)):
        print(f"\n{grid}")
        calls = calls_on(grid, arguments.batch)
        calls["whole chain"] = lambda generator, grid=grid: chain(grid, arguments.batch, generator)
        for name, call in calls.items():
            print(f"  {name:32s} {time_of(call, arguments.repeats) / arguments.batch * 1e6:7.1f}")


def time_of(call: Callable[[torch.Generator], object], repeats: int) -> float:
    """Return the shortest of some times in seconds."""
    generator = torch.Generator().manual_seed(1)
    call(generator)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call(generator)
        times.append(time.process_time() - start)
    return min(times)


def spots(grid: PolarGrid | CartesianGrid, n: int) -> torch.Tensor:
    """Return patterns that are dark but for a few bins."""
    pattern = torch.rand(n, *grid.shape, generator=torch.Generator().manual_seed(0)) ** 12 + 1e-4
    return pattern / pattern.sum(dim=(1, 2), keepdim=True)


def calls_on(grid: PolarGrid | CartesianGrid, n: int) -> dict[str, Callable]:
    """Return one call of each augmentation."""
    content, ones = spots(grid, n), torch.ones(n)
    k = torch.rand(n, 128, 2) * 2 - 1
    pixels = aug.pixels_per_bin(grid, PIXEL)
    shift, sigma = torch.zeros(n, 2), 0.03 * ones
    calls = {
        "distort (128 spots)": lambda g: aug.distort(k, 0.01, 0.02, 0.01, g),
        "distort_patterns": lambda g: aug.distort_patterns(content, grid, 0.01, 0.02, 0.01, g),
        "diffuse_background": lambda g: aug.diffuse_background(n, grid, g),
        "add_gaussian_background": lambda g: aug.add_gaussian_background(
            content, grid, (0, 0.9), (0.1, 0.6), g
        ),
        "add_amorphous_rings": lambda g: aug.add_amorphous_rings(content, grid, 0.1, (0, 0.5), g),
        "direct_beam_tail": lambda g: aug.direct_beam_tail(shift, sigma, ones, grid),
        "overlap": lambda g: aug.overlap(content, 0.1, 0.5, g),
        "point_spread": lambda g: aug.point_spread(content, 0.02 * ones, grid),
        "square_detector": lambda g: aug.square_detector(n, (0.6, 2.4), 0.1, grid, g),
        "detector_gaps (1 in 10)": lambda g: aug.detector_gaps(
            n, 0.1, (0.02, 0.1), (0.8, 3), grid, g
        ),
        "beam_stop (1 in 10)": lambda g: aug.beam_stop(n, 0.1, (0.03, 0.15), grid, g),
        "central_disc": lambda g: aug.central_disc(n, 0.1, (0.1, 0.25), 0.01, grid, g),
        "blocked (1 in 10)": lambda g: aug.blocked(n, 0.1, grid, g),
    }
    for dose, fast in itertools.product((1e2, 1e3, 1e4, 1e6), (False, True)):
        name = f"count_electrons {dose:g}{' fast' if fast else ''}"
        calls[name] = functools.partial(aug.count_electrons, content, dose * ones, fast=fast)
    calls |= {
        "integrate_electrons": lambda g: aug.integrate_electrons(content, 9, 0.4, 2, pixels, g),
        "saturate": lambda g: aug.saturate(content, 0.01, pixels),
        "add_hot_pixels": lambda g: aug.add_hot_pixels(content, grid, (0, 1e-3), (1, 99), PIXEL, g),
        "dead_pixels": lambda g: aug.dead_pixels(n, grid, (0, 1e-3), PIXEL, g),
        "compress_range": lambda g: aug.compress_range(content, g),
        "vacuum": lambda g: aug.vacuum(n, grid, g),
        "amorphous": lambda g: aug.amorphous(n, grid, g),
    }
    return calls


def chain(grid: PolarGrid | CartesianGrid, n: int, generator: torch.Generator) -> torch.Tensor:
    """Return patterns after what a training pattern goes through; spots are rendered blurred."""
    content = aug.overlap(spots_once(grid, n), 0.1, 0.5, generator)
    content = aug.add_gaussian_background(content, grid, (0, 0.9), (0.1, 0.6), generator)
    content = aug.add_amorphous_rings(content, grid, 0.1, (0, 0.5), generator)
    mask = aug.square_detector(n, (0.6, 2.4), 0.1, grid, generator)
    mask *= aug.detector_gaps(n, 0.1, (0.02, 0.1), (0.8, 3), grid, generator)
    mask *= aug.blocked(n, 0.1, grid, generator)
    dose = aug.log_uniform(n, (100, 1e6), generator)
    counts = aug.count_electrons(content * mask, dose, generator, fast=True)
    return aug.add_hot_pixels(counts, grid, (0, 1e-4), (1, 99), PIXEL, generator) * mask


_SPOTS: dict = {}


def spots_once(grid: PolarGrid | CartesianGrid, n: int) -> torch.Tensor:
    """Return the same patterns every time."""
    if (grid, n) not in _SPOTS:
        _SPOTS[grid, n] = spots(grid, n)
    return _SPOTS[grid, n]


if __name__ == "__main__":
    main()
