"""The store: a folder with the predictions of a scan, of which some may still be missing."""

from __future__ import annotations

import os
import shutil
import uuid
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_type, given_expected
from pyxem_cnn.indexing.store.blocks import PREDICTIONS, SHIFTS, BlockFiles
from pyxem_cnn.indexing.store.durable import DurableDirectoryStore, sync_folder, sync_tree
from pyxem_cnn.indexing.store.layout import BlockLayout, Index
from pyxem_cnn.indexing.store.skeleton import skeleton_of, with_skeleton

if TYPE_CHECKING:
    from pyxem_cnn.signals.orientation_prediction import LazyOrientationPrediction

__all__ = ["PredictionStore", "as_store_path", "create_store", "open_store"]

_FORMAT, _FORMAT_VERSION = "pyxem_cnn prediction store", 1
_ABOUT = (
    "Written by get_orientation_map_cnn(..., store=...); pyxem_cnn.open_store(path) opens it. A "
    "chunk file appears in 'predictions' as soon as it is finished; missing ones are NaN."
)
_SUFFIX = ".zarr"


class PredictionStore:
    """The predictions of a scan in a folder, all of them or as many as are finished.

    Made by ``get_orientation_map_cnn(..., store=path)`` and opened by :func:`open_store`. It shows
    what was finished when it was opened: open it again to see what was added since.

    Parameters
    ----------
    path
        The folder, ending in .zarr.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it is no store, or one of a later version of the package.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = as_store_path(path)
        attributes = _read_attributes(self.path)
        chunks = tuple(tuple(lengths) for lengths in attributes["chunks"])
        trailing = {name: tuple(shape) for name, shape in attributes["trailing"].items()}
        self.task: dict[str, Any] = attributes["task"]
        self.circumstances: dict[str, Any] = attributes["circumstances"]
        self.files = BlockFiles(self.path, BlockLayout(chunks), trailing)
        self._skeleton = attributes["signal"]

    def __repr__(self) -> str:
        """Return path, progress and models in one line."""
        models = ", ".join(one["name"] for one in self.task["models"])
        damaged = f", {len(self.damaged)} damaged blocks" if self.damaged else ""
        return f"<PredictionStore {self.path}: {self.progress()}{damaged}, models: {models}>"

    @cached_property
    def states(self) -> dict[Index, str]:
        """State of every block, "finished", "missing" or "damaged", by its index."""
        return self.files.states()

    @property
    def damaged(self) -> list[Index]:
        """Indices of blocks that were finished and whose files cannot be read any more."""
        return [index for index, state in self.states.items() if state == "damaged"]

    @property
    def unfinished(self) -> list[Index]:
        """Indices of the blocks that are missing or damaged, in the order of the scan."""
        return [index for index, state in self.states.items() if state != "finished"]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.unfinished

    @cached_property
    def finished(self) -> np.ndarray:
        """Scan positions of finished blocks are True. Shape: that of the scan."""
        layout = self.files.layout
        finished = np.zeros(layout.shape, dtype=bool)
        for index, state in self.states.items():
            finished[layout.in_scan(index)] = state == "finished"
        return finished

    @property
    def prediction(self) -> LazyOrientationPrediction:
        """The prediction, read from the folder when needed.

        Positions that are not finished are NaN, like those that a mask leaves out, so that a
        crystal map has them not in its data.
        """
        finished = [index for index, state in self.states.items() if state == "finished"]
        prediction = with_skeleton(self.files.lazy(PREDICTIONS, finished), self._skeleton)
        if SHIFTS in self.files.trailing:
            prediction.beam_shifts = self.files.lazy(SHIFTS, finished)
        return prediction

    def progress(self) -> str:
        """Return how much is finished, in words."""
        n_blocks = len(self.states) - len(self.unfinished)
        n, total = int(self.finished.sum()), self.finished.size
        return (
            f"{n} of {total} patterns are finished "
            f"({100 * n // total} %, {n_blocks} of {len(self.states)} blocks)"
        )


def open_store(path: str | os.PathLike[str]) -> PredictionStore:
    """Open the store that a mapping writes or has written, finished or not.

    Every block that is there is read once, to see that it is whole. Nothing is changed, and the
    mapping may go on meanwhile.

    Parameters
    ----------
    path
        What was passed as `store` to ``get_orientation_map_cnn``.

    Returns
    -------
    store
        With ``store.prediction``, a :class:`pyxem_cnn.LazyOrientationPrediction`, and
        ``store.finished``, True at scan positions that are finished.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it is no store, or one of a later version of the package.

    Examples
    --------
    >>> import pyxem_cnn
    >>> store = pyxem_cnn.open_store("map.zarr")  # doctest: +SKIP
    >>> store  # doctest: +SKIP
    <PredictionStore map.zarr: 4096 of 65536 patterns are finished (6 %, 16 of 256 blocks), ...>
    >>> crystal_map = store.prediction.to_crystal_map()  # doctest: +SKIP
    """
    return PredictionStore(path)


def as_store_path(path: Any) -> Path:
    """Return the absolute path of a store; its name has to end in .zarr."""
    path = Path(check_type("store", path, (str, os.PathLike))).expanduser().absolute()
    if path.suffix != _SUFFIX:
        raise ValueError(given_expected("store", str(path), f"a name that ends in {_SUFFIX}"))
    return path


def create_store(
    path: Path, prediction: Any, task: dict[str, Any], circumstances: dict[str, Any]
) -> PredictionStore:
    """Make a store without any block; under its name it is there as a whole or not at all.

    Parameters
    ----------
    path
        Where to. Nothing may be there; its folder has to exist.
    prediction
        The lazy prediction that is going to be written.
    task, circumstances
        From :mod:`pyxem_cnn.indexing.store.task`.

    Raises
    ------
    FileExistsError
        If somebody else has made it meanwhile.
    OSError
        If nothing can be written there.
    """
    n = prediction.data.ndim - 2
    layout = BlockLayout(prediction.data.chunks[:n])
    # The predictions last: with them, a block is finished.
    trailing = {} if prediction.beam_shifts is None else {SHIFTS: (2,)}
    trailing |= {PREDICTIONS: prediction.data.shape[n:]}
    attributes = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "about": _ABOUT,
        "chunks": layout.chunks,
        "trailing": trailing,
        "task": task,
        "circumstances": circumstances,
        "signal": skeleton_of(prediction),
    }
    # In the same folder, since renaming is only atomic within one file system.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        _fill(temporary, BlockFiles(temporary, layout, trailing), attributes)
        if path.exists():
            raise FileExistsError(f"{path} was made meanwhile, by somebody else. Call again.")
        temporary.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return PredictionStore(path)


def _fill(folder: Path, files: BlockFiles, attributes: dict[str, Any]) -> None:
    """Write everything but the blocks into a new folder."""
    import zarr

    for name in files.trailing:  # zarr hides what goes wrong if it makes them itself
        (folder / name).mkdir()
    zarr.group(DurableDirectoryStore(folder)).attrs.update(attributes)
    files.create()
    sync_tree(folder)


def _read_attributes(path: Path) -> dict[str, Any]:
    """Return what a store says about itself, or refuse the folder."""
    import zarr

    if not path.exists():
        raise FileNotFoundError(
            f"There is no store {path}. get_orientation_map_cnn(..., store={str(path)!r}) makes it."
        )
    try:
        attributes = dict(zarr.open_group(DurableDirectoryStore(path), mode="r").attrs)
    except (ValueError, OSError) as error:
        raise ValueError(_refusal(path)) from error
    if attributes.get("format") != _FORMAT:
        raise ValueError(_refusal(path))
    version = attributes["format_version"]
    if version > _FORMAT_VERSION:
        expected = f"format version {_FORMAT_VERSION} or older"
        raise ValueError(given_expected(str(path), version, expected, "Update pyxem_cnn."))
    return attributes


def _refusal(path: Path) -> str:
    expected = "the folder of a store that get_orientation_map_cnn has made"
    return given_expected("store", str(path), expected, "Choose another name.")
