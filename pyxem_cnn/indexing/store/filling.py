"""Compute the blocks that a store lacks, with any of dask's schedulers."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyxem_cnn.indexing.scan import chunked_like
from pyxem_cnn.indexing.store.lock import locked
from pyxem_cnn.indexing.store.prediction_store import PredictionStore

__all__ = ["fill_store"]

_logger = logging.getLogger(__name__)


def fill_store(store: PredictionStore, prediction: Any, show_progressbar: bool) -> PredictionStore:
    """Compute and write the blocks that are missing or damaged.

    Every block is written by the thread or worker that computes it, so that memory holds a few
    blocks however large the scan is.

    Parameters
    ----------
    store
        Where to.
    prediction
        Lazy prediction in the blocks of the store.
    show_progressbar
        Whether to show one, of the patterns that are left to do.

    Returns
    -------
    store
        Opened anew: every block has been read back.

    Raises
    ------
    BlockingIOError
        If another process is writing to the store.
    """
    if store.is_complete:
        _logger.info("%s is complete: nothing is left to do", store.path)
        return store
    with locked(store.path):
        # Another process may have written until its lock was free.
        store = PredictionStore(store.path)
        for index in store.damaged:
            _logger.warning("block %s of %s is damaged and computed again", index, store.path)
            store.files.remove(index)
        if store.finished.any():
            _logger.info("going on with %s: %s", store.path, store.progress())
        with _what_to_do_next(store), _progress(store, show_progressbar) as advance:
            _compute(_tasks(store, prediction), advance)
        written = _read_back(store)
        written.files.remove_leftovers()
    return written


def _tasks(store: PredictionStore, prediction: Any) -> list[Any]:
    """Return a dask task for each unfinished block, which returns how many patterns it wrote."""
    import dask

    arrays = [prediction.data]
    if prediction.beam_shifts is not None:
        arrays.append(chunked_like(prediction.beam_shifts, store.files.layout.chunks))
    # Together, so that shifts and predictions share the patterns that they are made from.
    arrays = dask.optimize(*arrays)
    blocks = [array.to_delayed(optimize_graph=False) for array in arrays]
    write = dask.delayed(store.files.write, pure=False)
    name = f"write-{uuid.uuid4().hex}"
    tasks = []
    for index in store.unfinished:
        # Behind the navigation axes, nothing is divided.
        parts = [block[(*index, *[0] * (block.ndim - len(index)))] for block in blocks]
        shifts = parts[1] if len(parts) > 1 else None
        # Among equal tasks dask begins with the last name: so in the order of the scan.
        key = f"{name}-{len(store.unfinished) - len(tasks):09d}"
        tasks.append(write(parts[0], shifts, index, dask_key_name=key))
    return tasks


def _compute(tasks: list[Any], advance: Callable[[int], None]) -> None:
    """Compute all tasks where dask's settings say, and tell of each one that is done."""
    import dask
    from dask.callbacks import Callback

    # Schedulers of one machine are functions, those of a cluster methods of its client.
    client = getattr(dask.base.get_scheduler(), "__self__", None)
    if client is not None:
        _compute_on_cluster(client, tasks, advance)
        return
    wanted = {task.key for task in tasks}

    def done(key: Any, result: Any, *_: Any) -> None:
        if key in wanted:
            advance(result)

    with Callback(posttask=done):
        dask.compute(*tasks)


def _compute_on_cluster(client: Any, tasks: list[Any], advance: Callable[[int], None]) -> None:
    """Compute all tasks on the workers of a ``distributed.Client``."""
    from distributed import as_completed

    futures = client.compute(tasks)
    try:
        for _, n_patterns in as_completed(futures, with_results=True):
            advance(n_patterns)
    except BaseException:
        client.cancel(futures)  # or the workers would go on
        raise


@contextmanager
def _progress(store: PredictionStore, show: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar of what is left to do, and give the function that moves it on."""
    from tqdm.auto import tqdm

    left = int((~store.finished).sum())
    with tqdm(total=left, unit="pattern", desc="mapping", disable=not show) as bar:
        yield bar.update


@contextmanager
def _what_to_do_next(store: PredictionStore) -> Iterator[None]:
    """Add to whatever ends the run, Ctrl-C included, where its results are and how to go on."""
    try:
        yield
    except BaseException as error:
        error.add_note(_note(store))
        raise


def _note(store: PredictionStore) -> str:
    """Return how much is finished, where, and how to go on."""
    try:
        progress = f"{PredictionStore(store.path).progress()} and kept in {store.path}."
    except OSError:
        progress = f"What is finished is kept in {store.path}."
    return (
        f"{progress} To go on, repeat the call or command: only what is missing is computed. "
        "pyxem_cnn.open_store shows what is there."
    )


def _read_back(store: PredictionStore) -> PredictionStore:
    """Return the store as it is on the disk, or raise if the disk lost something."""
    written = PredictionStore(store.path)
    if not written.is_complete:
        raise OSError(
            f"{store.path} was written, but not all of it can be read back: {written.progress()}. "
            "Look after the disk, and repeat the call: what is missing is computed again."
        )
    return written
