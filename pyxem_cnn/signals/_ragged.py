"""Ragged arrays of what depends on a scan position, computed where the navigator gets to."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["RaggedBlocks"]

# Positions along each axis that are worked out at once, and blocks that are remembered.
_BLOCK, _KEPT = 5, 8


class RaggedBlocks:
    """What a function makes of every row of a prediction, block by block, remembering the last.

    HyperSpy computes every argument of every marker on its own. All of them come from here, so that
    a block of a lazy prediction is predicted once and not for each of them.

    Parameters
    ----------
    predictions
        Shape (navigation..., n_best, n_columns), NumPy or dask.
    shifts
        Beam shifts of shape (navigation..., 2), NumPy or dask, or None.
    function
        Takes the rows (n_best, n_columns) of a position and its shift (2,) or None.
    """

    def __init__(self, predictions: Any, shifts: Any, function: Callable[..., Any]) -> None:
        self._arrays = (predictions, shifts)
        self._function = function
        self._rows: OrderedDict[Any, Any] = OrderedDict()
        self._results: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is remembered, and the lock."""
        return {"_arrays": self._arrays, "_function": self._function}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start anew with nothing remembered."""
        self.__init__(*state["_arrays"], state["_function"])  # type: ignore[misc]

    def array(self, pick: Callable[[Any], Any]) -> da.Array | Any:
        """Return one part of the results as HyperSpy's markers take it.

        Parameters
        ----------
        pick
            Takes the result of a position and returns the part.

        Returns
        -------
        array
            Dask array of objects with the axes in HyperSpy's order, fastest first; for a single
            pattern, the part itself.
        """
        import dask.array as da

        chunks = self._chunks()
        if not chunks:
            return pick(self._block(())[()])
        array = da.map_blocks(
            _picked,
            self,
            pick,
            dtype=object,
            chunks=tuple(_split(sizes) for sizes in chunks),
            meta=np.empty((0,) * len(chunks), dtype=object),
            name=f"ragged-{uuid.uuid4().hex}",
        )
        return array.T

    def block(self, location: tuple[slice, ...]) -> np.ndarray:
        """Return the results at some positions as an array of objects."""
        key = tuple((part.start, part.stop) for part in location)
        return self._remembered(self._results, key, lambda: self._block(location))

    def _block(self, location: tuple[slice, ...]) -> np.ndarray:
        rows, shifts = self._read(location)
        results = np.empty(rows.shape[:-2], dtype=object)
        for index in np.ndindex(results.shape):
            results[index] = self._function(rows[index], None if shifts is None else shifts[index])
        return results

    def _read(self, location: tuple[slice, ...]) -> tuple[np.ndarray, Any]:
        """Return rows and shifts of some positions, all from one chunk of the prediction."""
        whole, inner = [], []
        for part, sizes in zip(location, self._chunks(), strict=True):
            ends = np.cumsum(sizes)
            number = int(np.searchsorted(ends, part.start, side="right"))
            first = int(ends[number] - sizes[number])
            whole.append(slice(first, int(ends[number])))
            inner.append(slice(part.start - first, part.stop - first))
        key = tuple((part.start, part.stop) for part in whole)
        rows, shifts = self._remembered(self._rows, key, lambda: self._compute(tuple(whole)))
        return rows[tuple(inner)], None if shifts is None else shifts[tuple(inner)]

    def _compute(self, location: tuple[slice, ...]) -> tuple[np.ndarray, Any]:
        import dask

        parts = [None if array is None else array[location] for array in self._arrays]
        rows, shifts = dask.compute(*parts, scheduler="threads")
        return np.asarray(rows), None if shifts is None else np.asarray(shifts)

    def _chunks(self) -> tuple[tuple[int, ...], ...]:
        """Return the prediction's chunks along the navigation axes."""
        predictions = self._arrays[0]
        chunks = getattr(predictions, "chunks", None)
        if chunks is None:
            chunks = tuple(_split((size,)) for size in predictions.shape)
        return tuple(chunks[:-2])

    def _remembered(self, store: OrderedDict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in store:
                store[key] = make()
                while len(store) > _KEPT:
                    store.popitem(last=False)
            return store[key]


def _picked(blocks: RaggedBlocks, pick: Callable[[Any], Any], block_info: Any = None) -> np.ndarray:
    """Return one part of the results of the block that dask asks for."""
    results = blocks.block(tuple(slice(*span) for span in block_info[None]["array-location"]))
    parts = np.empty(results.shape, dtype=object)
    for index in np.ndindex(parts.shape):
        parts[index] = pick(results[index])
    return parts


def _split(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return chunks cut into pieces of at most five positions."""
    pieces: list[int] = []
    for size in sizes:
        pieces += [_BLOCK] * (size // _BLOCK) + ([size % _BLOCK] if size % _BLOCK else [])
    return tuple(pieces)
