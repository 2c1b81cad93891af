"""Where model files are: a path, or the name of one that is shipped with the package."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from pyxem_cnn._checks import check_type

__all__ = ["available_models", "find_model"]

_FOLDER = Path(__file__).parents[1] / "data" / "models"


def available_models() -> list[str]:
    """Return the names of the models that are shipped with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.pt"))


def find_model(path_or_name: str | os.PathLike[str]) -> Path:
    """Return the path of a model file.

    Parameters
    ----------
    path_or_name
        A path, or the name of a shipped model, which goes first.

    Returns
    -------
    path
        Of a file that exists.

    Raises
    ------
    FileNotFoundError
        If there is neither; the message lists the shipped models.
    """
    check_type("path_or_name", path_or_name, (str, os.PathLike))
    names = available_models()
    if path_or_name in names:
        return _FOLDER / f"{path_or_name}.pt"
    path = Path(path_or_name).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder, expected a model file such as model.pt.")
    if path.suffix or path.parent != Path("."):
        raise FileNotFoundError(f"There is no file {path}; looked in {path.absolute().parent}.")
    near = difflib.get_close_matches(str(path_or_name).lower(), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise FileNotFoundError(
        f"There is neither a file nor a shipped model called {str(path_or_name)!r}.{hint} "
        f"Shipped models: {', '.join(names) or 'none'}."
    )
