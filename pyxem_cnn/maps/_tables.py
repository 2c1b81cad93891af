"""Tables of equally long columns: as a pandas DataFrame, and as a .csv file with a header."""

from __future__ import annotations

import contextlib
import csv
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyxem_cnn._checks import check_type

__all__ = ["check_output_path", "to_dataframe", "whole_or_nothing", "write_csv"]

_BLOCK = 20_000  # rows


def to_dataframe(columns: Mapping[str, np.ndarray]) -> Any:
    """Return columns as a pandas DataFrame; an ImportError with the remedy without pandas."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "to_dataframe needs pandas, which is not installed: pip install pandas. "
            "Without it, the attribute table has the same columns as NumPy arrays."
        ) from error
    return pandas.DataFrame(dict(columns))


def write_csv(
    path: str | os.PathLike[str],
    columns: Mapping[str, np.ndarray],
    header: Sequence[str],
    overwrite: bool = False,
) -> Path:
    """Write columns to a .csv file, separated by commas, under commented lines.

    Parameters
    ----------
    path
        Where to, ending in .csv.
    columns
        Equally long arrays by name. NaN is written as an empty field.
    header
        Lines that say what the columns are; they are written with a leading ``# ``.
    overwrite
        Whether to replace a file that is there already.

    Returns
    -------
    path
        Where it was written.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the path ends in something else.
    """
    path = check_output_path(path, (".csv",), overwrite)
    with whole_or_nothing(path) as temporary:
        _write(temporary, columns, header)
    return path


def _write(path: Path, columns: Mapping[str, np.ndarray], header: Sequence[str]) -> None:
    """Write the file, in blocks: a million rows of texts at once would need gigabytes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"# {line}\n" for line in header)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for start in range(0, max(len(values) for values in columns.values()), _BLOCK):
            block = slice(start, start + _BLOCK)
            writer.writerows(zip(*(_texts(v[block]) for v in columns.values()), strict=True))


def check_output_path(
    path: str | os.PathLike[str], suffixes: Sequence[str], overwrite: bool = False
) -> Path:
    """Return the path of a file to be written, refusing what could not be written there.

    Parameters
    ----------
    path
        Where to write.
    suffixes
        What the name may end in, such as ``(".csv",)``.
    overwrite
        Whether an existing file may be replaced.

    Returns
    -------
    path

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the path ends in something else.
    """
    path = Path(check_type("path", path, (str, os.PathLike))).expanduser()
    if path.suffix not in suffixes:
        endings = " or ".join([", ".join(suffixes[:-1]), suffixes[-1]][len(suffixes) == 1 :])
        raise ValueError(f"path: got {str(path)!r}, expected a name that ends in {endings}.")
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder, expected the name of a file.")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists already. Choose another name, or overwrite it explicitly."
        )
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.absolute().parent}. Make it first.")
    return path


@contextlib.contextmanager
def whole_or_nothing(path: Path) -> Iterator[Path]:
    """Give the name of a file to write, which takes the place of `path` if all goes well."""
    # In the same folder, since renaming is only atomic within one file system.
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".writing-") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # or a power cut may leave an empty file of that name
        os.replace(temporary, path)


def _texts(values: np.ndarray) -> list[str]:
    """Return the values of a column as they are written: floats to eight figures."""
    if values.dtype.kind == "f":
        return ["" if np.isnan(v) else f"{v:.8g}" for v in values.tolist()]
    if values.dtype.kind == "b":
        return [str(int(v)) for v in values]
    return [str(v) for v in values]
