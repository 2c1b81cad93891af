"""A few patterns from all over a scan, read with a bounded number of chunks."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

__all__ = ["MAX_REGIONS", "PatternSample", "read_sample"]

MAX_REGIONS = 16
"""Regions of a lazy scan that are read at most, each of one chunk at most."""
# Raw bytes that one region holds at most: what mapping reads at once.
_REGION_BYTES = 64 * 2**20


class PatternSample(NamedTuple):
    """Patterns of a scan and where they are from.

    Attributes
    ----------
    patterns
        Shape (n, rows, columns), as they are stored.
    positions
        Indices of the scan positions, shape (n, navigation dimensions), slowest axis first.
    n_read
        Patterns that were read for it; whole regions, from which the sample is taken.
    seconds
        That reading took.
    """

    patterns: np.ndarray
    positions: np.ndarray
    n_read: int
    seconds: float


def read_sample(data: Any, n_patterns: int) -> PatternSample:
    """Return patterns spread over a scan.

    From an array in memory, evenly. From a lazy scan, up to 16 regions are read, each at most one
    chunk and 64 MiB, spread over the scan, and patterns are taken evenly from each.

    Parameters
    ----------
    data
        Patterns of shape (navigation..., rows, columns), NumPy or dask.
    n_patterns
        How many at most.

    Returns
    -------
    sample
    """
    shape = data.shape[:-2]
    n_patterns = min(n_patterns, int(np.prod(shape)))
    if isinstance(data, np.ndarray):
        patterns, positions = _chosen(data, n_patterns)
        return PatternSample(patterns, positions, n_patterns, 0.0)
    regions = _regions(data, min(n_patterns, MAX_REGIONS))
    counts = np.diff(np.round(np.linspace(0, n_patterns, len(regions) + 1)).astype(int))
    parts, n_read = [], 0
    start = time.perf_counter()
    for region, count in zip(regions, counts, strict=True):
        block = np.asarray(data[region].compute(scheduler="threads"))
        patterns, inside = _chosen(block, int(count))
        parts.append((patterns, inside + [part.start for part in region]))
        n_read += int(np.prod(block.shape[:-2]))
    seconds = time.perf_counter() - start
    patterns, positions = (np.concatenate(side) for side in zip(*parts, strict=True))
    return PatternSample(patterns, positions, n_read, seconds)


def _chosen(block: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return up to ``count`` patterns (n, rows, columns) of a block and their indices in it."""
    shape = block.shape[:-2]
    size = int(np.prod(shape))
    flat = _evenly(size, min(count, size))
    # A single pattern has a position of no numbers.
    indices = np.stack(np.unravel_index(flat, shape), axis=-1) if shape else np.zeros((1, 0), int)
    return block.reshape(size, *block.shape[-2:])[flat], indices


def _evenly(n: int, count: int) -> np.ndarray:
    """Return ``count`` of the numbers below n, none of them at the very start of its part."""
    return np.floor((np.arange(count) + 0.5) * n / count).astype(int)


def _regions(data: Any, count: int) -> list[tuple[slice, ...]]:
    """Return the slices of up to ``count`` regions, each in one chunk."""
    chunks = data.chunks[:-2]
    grid = tuple(len(sizes) for sizes in chunks)
    n = int(np.prod(grid))
    at_once = max(1, _REGION_BYTES // (int(np.prod(data.shape[-2:])) * data.dtype.itemsize))
    regions = []
    for flat in _evenly(n, min(n, count)):
        left, region = at_once, []
        for sizes, number in zip(
            reversed(chunks), reversed(np.unravel_index(flat, grid)), strict=True
        ):
            start = int(np.sum(sizes[:number]))
            size = max(1, min(int(sizes[number]), left))
            left //= size
            region.append(slice(start, start + size))
        regions.append(tuple(reversed(region)))
    return regions
