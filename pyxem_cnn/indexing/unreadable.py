"""Chunks of a scan that cannot be read: NaN and a message, so that the others are mapped."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_shape
from pyxem_cnn.indexing.scan import with_whole_detectors

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["skip_unreadable", "skipping_told", "without_unreadable"]

_logger = logging.getLogger(__name__)


def without_unreadable(signal: Any) -> Any:
    """Return a scan of which patterns that cannot be read are NaN.

    Parameters
    ----------
    signal
        Of patterns. Only a lazy one has something left to read: others are returned as they are.
    """
    if not getattr(signal, "_lazy", False):
        return signal
    data = skip_unreadable(with_whole_detectors(signal.data))
    return signal._deepcopy_with_new_data(data)


def skip_unreadable(data: da.Array) -> da.Array:
    """Return the same patterns, float32 if they are integers, where unreadable chunks are NaN.

    Whatever goes wrong on the way to a chunk's patterns counts: in reading, in decompressing, and
    in what the lazy scan is to do with them. It is logged on the machine where it happens.

    Parameters
    ----------
    data
        Lazy patterns of shape (navigation..., rows, columns), whole detectors in each chunk.

    Returns
    -------
    patterns
        Lazy as well, of the same chunks. Patterns that lie in the memory of a cluster's workers
        already are returned as they are.
    """
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    # Only floating point holds NaN, and all chunks have to be of one dtype.
    dtype = data.dtype if data.dtype.kind == "f" else np.dtype(np.float32)
    graph = dict(data.__dask_optimize__(data.__dask_graph__(), data.__dask_keys__()))
    name = f"readable-{uuid.uuid4().hex}"
    edges = [(0, *accumulate(sizes)) for sizes in data.chunks]
    tasks = {}
    for index in np.ndindex(*data.numblocks):
        key = (data.name, *index)
        steps = _steps_to(key, graph)
        if steps is None:
            return data
        bounds = tuple(tuple(list(pairwise(e))[i]) for e, i in zip(edges, index, strict=True))
        tasks[(name, *index)] = (_ChunkReader(steps, key, bounds, dtype),)
    layers = HighLevelGraph.from_collections(name, tasks, dependencies=[])
    return da.Array(layers, name, data.chunks, meta=np.empty((0,) * data.ndim, dtype))


def _steps_to(key: Any, graph: dict[Any, Any]) -> dict[Any, Any] | None:
    """Return all tasks that lead to a chunk; None if results of a cluster are among them.

    They run in one task, which can so see them fail.
    """
    from dask.optimization import cull

    try:
        steps, dependencies = cull(graph, [key])
    except KeyError:
        return None
    return steps if all(steps.keys() >= set(needed) for needed in dependencies.values()) else None


@contextmanager
def skipping_told(on_read_error: str) -> Iterator[None]:
    """Add to errors inside a block how damaged chunks are skipped, unless they are.

    Parameters
    ----------
    on_read_error
        "raise" or "skip".

    Yields
    ------
    None
        Nothing.
    """
    try:
        yield
    except Exception as error:
        if on_read_error == "raise":
            error.add_note(
                "If a part of the scan cannot be read, on_read_error='skip' maps the others."
            )
        raise


@dataclass(frozen=True)
class _ChunkReader:
    """Reads one chunk.

    Attributes
    ----------
    steps
        The part of the scan's graph that leads to the chunk.
    key
        Of the chunk in it.
    bounds
        First position and the one after the last, along every axis of the scan and the detector.
    dtype
        Of what is returned.
    """

    steps: dict[Any, Any] = field(repr=False)
    key: tuple[Any, ...]
    bounds: tuple[tuple[int, int], ...]
    dtype: np.dtype

    def __call__(self) -> np.ndarray:
        """Return the patterns, NaN if they cannot be read."""
        import dask

        try:
            patterns = np.asarray(dask.get(self.steps, self.key), dtype=self.dtype)
            check_shape("the chunk", patterns, self.shape)
            return patterns
        except MemoryError:  # nothing is wrong with the file
            raise
        except Exception as error:
            where = ", ".join(f"{first}:{end}" for first, end in self.bounds[:-2])
            _logger.warning(
                "the patterns at [%s] cannot be read and are left out: %s: %s",
                *(where, type(error).__name__, error),
            )
        return np.full(self.shape, np.nan, dtype=self.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the chunk."""
        return tuple(end - first for first, end in self.bounds)
