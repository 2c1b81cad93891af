"""The blocks of a store on the disk: written whole, read back checked."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn.indexing.block import COLUMNS, LEFT_OUT
from pyxem_cnn.indexing.store.durable import DurableDirectoryStore
from pyxem_cnn.indexing.store.layout import BlockLayout, Index

if TYPE_CHECKING:
    import dask.array as da
    import zarr

__all__ = ["PREDICTIONS", "SHIFTS", "BlockFiles"]

PREDICTIONS, SHIFTS = "predictions", "beam_shifts"
# The same bytes on every machine.
_DTYPES = {PREDICTIONS: "<f4", SHIFTS: "<f8"}


@dataclass(frozen=True)
class BlockFiles:
    """Writes and reads the blocks of a store. Can be pickled, so that workers write their own.

    A block is finished as soon as the file of its predictions is there, since files appear whole
    and this one is the last to be written. A checksum in every file tells if it was damaged later.

    Attributes
    ----------
    path
        Folder of the store.
    layout
        Its blocks.
    trailing
        Shape behind the navigation axes of every array, by name.
    """

    path: Path
    layout: BlockLayout
    trailing: dict[str, tuple[int, ...]]

    def create(self) -> None:
        """Make the arrays, without any block."""
        import zarr
        from numcodecs import CRC32, Shuffle, Zstd

        for name, trailing in self.trailing.items():
            dtype = np.dtype(_DTYPES[name])
            zarr.create(
                shape=(*self.layout.array_shape, *trailing),
                chunks=(*self.layout.chunk_shape, *trailing),
                dtype=dtype,
                fill_value=np.nan,
                # The checksum is what zarr calls the compressor, since that one comes last.
                filters=[Shuffle(dtype.itemsize), Zstd(1)],
                compressor=CRC32(),
                store=DurableDirectoryStore(self.path),
                path=name,
                dimension_separator=".",
            )

    def write(self, predictions: np.ndarray, shifts: np.ndarray | None, index: Index) -> int:
        """Write a block; when this returns, it survives a power cut.

        Parameters
        ----------
        predictions
            Shape (block..., n_best, n_columns).
        shifts
            Of the beam, shape (block..., 2), or None if there are none.
        index
            Of the block.

        Returns
        -------
        n_patterns
            How many positions it has.
        """
        place = self.layout.in_array(index)
        if shifts is not None:
            self._open(SHIFTS, "r+")[place] = shifts
        self._open(PREDICTIONS, "r+")[place] = predictions
        return self.layout.n_patterns(index)

    def read(self, name: str, index: Index) -> np.ndarray:
        """Return a block of one of the arrays, NaN if it is missing.

        Parameters
        ----------
        name
            Of the array.
        index
            Of the block.

        Raises
        ------
        OSError
            If the file is damaged.
        """
        return self._read(self._open(name, "r"), name, index)

    def states(self) -> dict[Index, str]:
        """Return whether each block is "finished", "missing" or "damaged", by reading it."""
        arrays = {name: self._open(name, "r") for name in self.trailing}
        return {index: self._state(arrays, index) for index in self.layout.indices()}

    def _state(self, arrays: dict[str, zarr.Array], index: Index) -> str:
        """Return the state of one block."""
        if not all(self.file_of(name, index).is_file() for name in arrays):
            return "missing"
        try:
            for name, array in arrays.items():
                self._read(array, name, index)
        except OSError:
            return "damaged"
        return "finished"

    def _read(self, array: zarr.Array, name: str, index: Index) -> np.ndarray:
        """Return a block of an open array."""
        try:
            return array[self.layout.in_array(index)]
        except (RuntimeError, ValueError) as error:
            file = self.file_of(name, index)
            remedy = "Repeat the mapping with this store: it makes up for what is damaged."
            raise OSError(f"{file} is damaged ({error}). {remedy}") from error

    def remove(self, index: Index) -> None:
        """Remove the files of a damaged block, so that it can be written anew."""
        for name in reversed(self.trailing):
            self.file_of(name, index).unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove what killed processes had begun to write under a temporary name."""
        for name in self.trailing:
            for file in Path(self.path, name).glob("*.partial"):
                file.unlink(missing_ok=True)

    def file_of(self, name: str, index: Index) -> Path:
        """Return the file of a block."""
        numbers = (*index, *(0 for _ in self.trailing[name]))
        return Path(self.path, name, ".".join(map(str, numbers)))

    def lazy(self, name: str, finished: Iterable[Index]) -> da.Array:
        """Return an array of the scan's shape that reads from the store, NaN where unfinished.

        Parameters
        ----------
        name
            Of the array.
        finished
            Indices of the blocks to read.
        """
        import dask.array as da

        trailing = self.trailing[name]
        if name == PREDICTIONS:
            trailing = (*trailing[:-1], len(COLUMNS))
        return da.map_blocks(
            _BlockReader(self, name, frozenset(finished), trailing),
            chunks=(*self.layout.chunks, *((n,) for n in trailing)),
            dtype=_DTYPES[name],
            meta=np.empty((0,) * (len(self.layout.chunks) + len(trailing))),
            name=f"store-{uuid.uuid4().hex}",
        )

    def _open(self, name: str, mode: Any) -> zarr.Array:
        """Open an array, here or on a worker."""
        import zarr

        try:
            return zarr.open_array(DurableDirectoryStore(self.path), mode=mode, path=name)
        except zarr.errors.ArrayNotFoundError as error:
            raise FileNotFoundError(
                f"There is no store {self.path}. It was deleted, or this is a worker on a machine "
                "that does not see the folder: put the store where all workers see it."
            ) from error


@dataclass(frozen=True)
class _BlockReader:
    """Reads one block of an array for dask."""

    files: BlockFiles
    name: str
    finished: frozenset[Index]
    trailing: tuple[int, ...]

    def __call__(self, block_id: Index) -> np.ndarray:
        index = tuple(block_id[: len(self.files.layout.chunks)])
        shape = (*self.files.layout.block_shape(index), *self.trailing)
        block = np.full(shape, LEFT_OUT, dtype=_DTYPES[self.name])
        if index in self.finished:
            stored = self.files.read(self.name, index)
            # Stores of earlier versions have fewer columns.
            block[..., : stored.shape[-1]] = stored
        return block
