"""A small picklable stand-in for a model, for worker processes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from pyxem_cnn._checks import given_expected
from pyxem_cnn.model import OrientationModel

__all__ = ["ModelHandle"]

_lock = threading.RLock()
_models: OrderedDict[str, OrientationModel] = OrderedDict()
# More than competing models ever are: those of one map must not push each other out.
_MOST_MODELS = 64


@dataclass(frozen=True)
class ModelHandle:
    """Where to get a model, and which one it has to be.

    Parameters
    ----------
    sha256
        Hash of the model file.
    data
        Its content, or None if ``path`` is given.
    path
        Where workers find the file: lighter than its content where they share a file system.
    """

    sha256: str
    data: bytes | None = field(default=None, repr=False)
    path: str | None = None

    def __post_init__(self) -> None:
        """Check that there is one source."""
        if (self.data is None) == (self.path is None):
            given = (type(self.data).__name__, self.path)
            raise ValueError(given_expected("data and path", given, "exactly one of them"))

    @classmethod
    def of(cls, model: OrientationModel | ModelHandle) -> ModelHandle:
        """Return the handle of a model, which this process does not load again.

        Parameters
        ----------
        model
            The model; a handle is returned as it is.
        """
        if isinstance(model, ModelHandle):
            return model
        with _lock:
            _keep(_models.setdefault(model.sha256, model))
        return cls(model.sha256, model.to_bytes())

    def load(self) -> OrientationModel:
        """Return the model, which is loaded once per process.

        Returns
        -------
        model

        Raises
        ------
        ModelFileError
            If the file is not the one that the hash stands for, or no working model.
        """
        with _lock:
            if self.sha256 in _models:
                return _keep(_models[self.sha256])
            data = self.data if self.data is not None else Path(self.path).read_bytes()
            return _keep(OrientationModel.from_bytes(data, self.sha256))

    def __dask_tokenize__(self) -> tuple[str, str]:
        """Return what tells this model from others."""
        return type(self).__name__, self.sha256


def _keep(model: OrientationModel) -> OrientationModel:
    """Return a model after noting that it was used last; the lock is held."""
    _models[model.sha256] = model
    _models.move_to_end(model.sha256)
    while len(_models) > _MOST_MODELS:
        _models.popitem(last=False)
    return model
