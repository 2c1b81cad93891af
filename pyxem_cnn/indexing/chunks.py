"""Chunks of a scan: blocks of whole patterns, small enough for memory."""

from __future__ import annotations

import itertools
import logging
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["chunked_like", "in_blocks", "with_whole_detectors"]

_logger = logging.getLogger(__name__)

# Raw bytes of the patterns that one task reads at most.
_BLOCK_BYTES = 64 * 2**20
# Blocks of fewer patterns cost dask, networks and stores more than the patterns do. Where a scan
# has many such chunks, several make a block.
_FEW_PATTERNS, _MANY_CHUNKS = 64, 1000
# Chunks of a lazy scan are read as a whole, by each thread one: larger ones are worth a warning.
_CHUNK_BYTES = 512 * 2**20


def chunked_like(values: Any, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
    """Return an array (navigation..., others) as dask array with the scan's chunks."""
    import dask.array as da

    whole = tuple(values.shape[len(chunks) :])
    if isinstance(values, da.Array):
        return values.rechunk((*chunks, *whole))
    return da.from_array(np.ascontiguousarray(values), chunks=(*chunks, *whole), name=False)


def in_blocks(data: Any) -> da.Array:
    """Return patterns as dask array: whole detectors, blocks of bounded size.

    Parameters
    ----------
    data
        Patterns of shape (navigation..., rows, columns), a NumPy or a dask array. Chunks of a
        lazy scan stay as they are on disk, unless they cut the detector, are large, or are small
        and many.
    """
    import dask.array as da

    patterns_at_once = max(1, _BLOCK_BYTES // _pattern_bytes(data))
    if not isinstance(data, da.Array):
        return _views(data, (*_blocks_of(data.shape[:-2], patterns_at_once), -1, -1))
    data = with_whole_detectors(data)
    largest = data.chunksize[:-2]
    if np.prod(largest, dtype=np.int64) > patterns_at_once:
        block = _blocks_of(largest, patterns_at_once)
        pairs = zip(data.chunks[:-2], block, strict=True)
        return data.rechunk((*(_divided(sizes, n) for sizes, n in pairs), -1, -1))
    at_once = min(_FEW_PATTERNS, patterns_at_once) // int(np.prod(largest, dtype=np.int64))
    if data.npartitions > _MANY_CHUNKS and at_once > 1:
        pairs = zip(data.chunks[:-2], _blocks_of(data.numblocks[:-2], at_once), strict=True)
        data = data.rechunk((*(_joined(sizes, n) for sizes, n in pairs), -1, -1))
    return data


def with_whole_detectors(data: da.Array) -> da.Array:
    """Return lazy patterns (navigation..., rows, columns) of which no chunk cuts the detector.

    Parameters
    ----------
    data
        A dask array.

    Warns
    -----
    UserWarning
        If chunks are so large that reading them may not fit in memory.
    """
    is_cut = any(len(chunks) > 1 for chunks in data.chunks[-2:])
    together = int(np.prod(data.chunksize[:-2], dtype=np.int64)) * _pattern_bytes(data)
    if together > _CHUNK_BYTES:
        _warn_of_chunks(data, together, is_cut)
    elif is_cut:
        _logger.warning(
            "the scan's chunks %s cut the detector: every pattern is put together from several "
            "chunks, which is slow. Save the scan with whole patterns in each chunk.",
            data.chunksize,
        )
    return data.rechunk({data.ndim - 2: -1, data.ndim - 1: -1}) if is_cut else data


def _warn_of_chunks(data: da.Array, together: int, is_cut: bool) -> None:
    """Warn that a thread has to hold so many bytes to get at one block of whole patterns."""
    why = ""
    if is_cut:
        why = " and cut the detector: all that share scan positions are read to get one pattern"
    fewer = ""
    if data.npartitions > 1 and together < data.nbytes:
        fewer = " Or map with fewer threads: dask.config.set(num_workers=1)."
    n = max(1, data.ndim - 2)
    side = max(1, int((_BLOCK_BYTES / _pattern_bytes(data)) ** (1 / n)))
    warnings.warn(
        f"The scan's chunks {data.chunksize} are large{why}. Each thread holds "
        f"{together / 2**30:.1f} GiB of the scan's {data.nbytes / 2**30:.1f} GiB at once. Expected "
        f"whole patterns in chunks of up to {_CHUNK_BYTES / 2**30:g} GiB. Save the scan so once, "
        f"s.rechunk(nav_chunks={(side,) * n}, sig_chunks=-1); s.save('scan.zspy'), with a "
        f"distributed.Client open if it is larger than memory.{fewer}",
        UserWarning,
        stacklevel=2,
    )


def _pattern_bytes(data: Any) -> int:
    return int(np.prod(data.shape[-2:])) * data.dtype.itemsize


def _views(data: np.ndarray, chunks: tuple[int, ...]) -> da.Array:
    """Return an array in memory as dask array of views: dask's ``from_array`` copies it whole."""
    import dask.array as da
    from dask.array.core import normalize_chunks, slices_from_chunks

    sizes = normalize_chunks(chunks, data.shape, dtype=data.dtype)
    # A random name: hashing the data would take as long as mapping it.
    name = f"patterns-{uuid.uuid4().hex}"
    keys = itertools.product([name], *(range(len(axis)) for axis in sizes))
    blocks = (data[block] for block in slices_from_chunks(sizes))
    meta = np.empty((0,) * data.ndim, dtype=data.dtype)
    return da.Array(dict(zip(keys, blocks, strict=True)), name, sizes, meta=meta)


def _joined(sizes: tuple[int, ...], n: int) -> tuple[int, ...]:
    """Return the lengths of groups of ``n`` neighbouring chunks."""
    return tuple(sum(sizes[start : start + n]) for start in range(0, len(sizes), n))


def _divided(sizes: tuple[int, ...], n: int) -> tuple[int, ...]:
    """Return the lengths of pieces of at most ``n``, none of which lies in two chunks."""
    pieces: list[int] = []
    for size in sizes:
        pieces += [n] * (size // n) + [size % n] * (size % n > 0)
    return tuple(pieces)


def _blocks_of(shape: tuple[int, ...], n: int) -> tuple[int, ...]:
    """Return the shape of blocks of at most ``n`` positions, whole along the fastest axes."""
    block = []
    for size in reversed(shape):
        block.append(max(1, min(size, n)))
        n //= block[-1]
    return tuple(reversed(block))
