"""Where the blocks of a scan lie in an array with chunks of one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

__all__ = ["BlockLayout"]

Index = tuple[int, ...]
Slices = tuple[slice, ...]


@dataclass(frozen=True)
class BlockLayout:
    """The blocks of a scan, and their places.

    Block (i, j) of the scan is chunk (i, j) of the stored array. zarr's chunks are of one size,
    that of the largest block, while the blocks of a scan that was sliced are not: what is behind
    the end of a smaller block stays empty. Otherwise the array has the shape of the scan.

    Attributes
    ----------
    chunks
        Lengths of the blocks along every navigation axis, slowest axis first, as dask has them.
    """

    chunks: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the scan."""
        return tuple(sum(lengths) for lengths in self.chunks)

    @property
    def n_blocks(self) -> tuple[int, ...]:
        """Number of blocks along every axis."""
        return tuple(len(lengths) for lengths in self.chunks)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Shape of a chunk of the stored array."""
        return tuple(max(lengths) for lengths in self.chunks)

    @property
    def array_shape(self) -> tuple[int, ...]:
        """Shape of the stored array."""
        return tuple((len(n) - 1) * max(n) + n[-1] for n in self.chunks)

    def indices(self) -> Iterator[Index]:
        """Yield the indices of all blocks, the fastest axis first."""
        return np.ndindex(*self.n_blocks)

    def block_shape(self, index: Index) -> tuple[int, ...]:
        """Return how many positions a block has along every axis."""
        return tuple(lengths[i] for i, lengths in zip(index, self.chunks, strict=True))

    def n_patterns(self, index: Index) -> int:
        """Return how many positions a block has."""
        return int(np.prod(self.block_shape(index), dtype=np.int64))

    def in_array(self, index: Index) -> Slices:
        """Return where a block lies in the stored array."""
        starts = (i * size for i, size in zip(index, self.chunk_shape, strict=True))
        return _slices(starts, self.block_shape(index))

    def in_scan(self, index: Index) -> Slices:
        """Return where a block lies in the scan."""
        ends = (tuple(accumulate(lengths)) for lengths in self.chunks)
        shape = self.block_shape(index)
        starts = (end[i] - n for i, end, n in zip(index, ends, shape, strict=True))
        return _slices(starts, shape)


def _slices(starts: Iterator[int], lengths: tuple[int, ...]) -> Slices:
    return tuple(slice(s, s + n) for s, n in zip(starts, lengths, strict=True))
