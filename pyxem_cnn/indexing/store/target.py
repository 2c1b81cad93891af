"""Whether a mapping begins a store, goes on with one, or must leave it alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxem_cnn._checks import check_type
from pyxem_cnn.indexing.store.filling import fill_store
from pyxem_cnn.indexing.store.prediction_store import PredictionStore, as_store_path, create_store
from pyxem_cnn.indexing.store.task import differences, only_moved, told

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["StoreTarget", "check_store"]

_logger = logging.getLogger(__name__)


def check_store(store: Any, resume: bool | None) -> Path | None:
    """Return the path of a store, None if none is wanted, after cheap checks.

    Parameters
    ----------
    store
        What the user passed.
    resume
        True if the store has to exist, False if it may not, None if either is fine.

    Raises
    ------
    FileNotFoundError
        If it has to exist, or its folder does not.
    FileExistsError
        If it may not exist.
    ValueError
        If the name is none of a store, what is there is no store, or `resume` has no `store`.
    """
    check_type("resume", resume, (bool, type(None)))
    if store is None:
        if resume is not None:
            raise ValueError(f"resume: got {resume} without store=. Pass the path of the store.")
        return None
    path = as_store_path(store)
    if not path.exists():
        _check_new(path, resume)
    elif resume is False:
        raise FileExistsError(
            f"{path} exists already. Choose another name, leave out resume=False to go on with it, "
            "or delete it."
        )
    else:
        PredictionStore(path)
    return path


def _check_new(path: Path, resume: bool | None) -> None:
    """Raise if a store has to exist, or cannot be made."""
    if resume:
        raise FileNotFoundError(
            f"There is no store {path} to go on with. Correct the path, or leave out resume to "
            "begin it."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent}. Make it first.")


@dataclass(frozen=True)
class StoreTarget:
    """The store of one mapping, there or not yet.

    Attributes
    ----------
    path
        Of the store.
    task, circumstances
        What is asked for now, from :mod:`pyxem_cnn.indexing.store.task`.
    existing
        The store, if it is there.
    """

    path: Path
    task: dict[str, Any]
    circumstances: dict[str, Any]
    existing: PredictionStore | None

    @classmethod
    def find(
        cls, path: Path, resume: bool | None, task: dict[str, Any], circumstances: dict[str, Any]
    ) -> StoreTarget:
        """Return the target, after a check that a store there is of the same task.

        Parameters
        ----------
        path, resume
            From :func:`check_store`.
        task, circumstances
            What is asked for.

        Raises
        ------
        ValueError
            If the store is of another task. The message names all that differs.
        """
        existing = PredictionStore(path) if path.exists() else None
        if existing is not None:
            _refuse_other(existing, task, resume)
            if other := differences(existing.circumstances, circumstances):
                _logger.warning(
                    "%s was begun with %s: the last digits may differ from one block to another",
                    *(path, told(other)),
                )
        return cls(path, task, circumstances, existing)

    def in_its_blocks(self, patterns: da.Array) -> da.Array:
        """Return patterns (navigation..., rows, columns) in the blocks of the store."""
        if self.existing is None:
            return patterns
        return patterns.rechunk((*self.existing.files.layout.chunks, -1, -1))

    def fill(self, prediction: Any, show_progressbar: bool) -> Any:
        """Compute what is missing and return the prediction, backed by the store.

        Parameters
        ----------
        prediction
            Lazy prediction of patterns :meth:`in_its_blocks`.
        show_progressbar
            Whether to show one, of what is left to do.
        """
        store = self.existing or create_store(self.path, prediction, self.task, self.circumstances)
        return fill_store(store, prediction, show_progressbar).prediction


def _refuse_other(store: PredictionStore, task: dict[str, Any], resume: bool | None) -> None:
    """Raise if a store was made for another task."""
    different = differences(store.task, task)
    if not different:
        return
    if not only_moved(different):
        raise ValueError(
            f"The store {store.path} was made for another task than this one. It has "
            f"{told(different)}. Pass what it was made with, or another store, or delete it."
        )
    if not resume:
        raise ValueError(
            f"The scan of the store {store.path} was renamed, copied or written since: "
            f"{told(different)}. All patterns that were compared are the same. If it is the same "
            "scan, pass resume=True."
        )
    _logger.warning("%s goes on with a scan that was moved: %s", store.path, told(different))
