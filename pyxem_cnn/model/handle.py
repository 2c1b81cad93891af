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
_MOST_MODELS = 8


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
            if self.sha256 not in _models:
                data = self.data if self.data is not None else Path(self.path).read_bytes()
                _models[self.sha256] = OrientationModel.from_bytes(data, self.sha256)
                while len(_models) > _MOST_MODELS:
                    _models.popitem(last=False)
            _models.move_to_end(self.sha256)
            return _models[self.sha256]

    def __dask_tokenize__(self) -> tuple[str, str]:
        """Return what tells this model from others."""
        return type(self).__name__, self.sha256
