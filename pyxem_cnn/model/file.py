"""Reading and writing model files: an archive of a network that carries its own description."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyxem_cnn.maps._tables import whole_or_nothing
from pyxem_cnn.model.exported import FOLDER
from pyxem_cnn.model.networks import archive_of
from pyxem_cnn.model.test_tensors import ModelFileError, TensorCheck

__all__ = ["FORMAT", "FORMAT_VERSION", "ModelFile", "pack", "unpack", "write"]

FORMAT = "pyxem_cnn model"
FORMAT_VERSION = 1
REQUIRED = ("name", "task", "phases", "accelerating_voltage", "grid", "target")

_METADATA, _ARRAYS, _TENSORS = "metadata.json", "arrays.npz", "test_tensors.npz"
# Where these are in the archive; TorchScript's own readers know files in "extra".
_FOLDERS = {"torchscript": "extra", "export": FOLDER}
_FOREIGN = {
    "torchscript": ("a TorchScript network", "torch.jit.load(path)"),
    "export": ("an exported network", "the eager network that it was made of"),
}


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds besides the network itself.

    Parameters
    ----------
    metadata
        The description, JSON-able.
    arrays
        Arrays of the target by name.
    check
        The test tensors.
    backend
        Form of the network, "torchscript" or "export".
    """

    metadata: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    check: TensorCheck
    backend: str = "torchscript"


def pack(compiled: Any, content: ModelFile) -> bytes:
    """Return the bytes of a model file.

    Parameters
    ----------
    compiled
        The network, as :func:`~pyxem_cnn.model.networks.compile_network` returns it for the backend
        in ``content``.
    content
        Everything else.

    Returns
    -------
    data
    """
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **content.arrays)
    extra = {
        _METADATA: json.dumps(content.metadata, indent=1).encode(),
        _ARRAYS: arrays.getvalue(),
        _TENSORS: content.check.to_bytes(),
    }
    return archive_of(compiled, content.backend, extra)


def unpack(data: bytes, source: str, sha256: str | None = None) -> ModelFile:
    """Read and check the description in a model file, without running anything of it.

    Parameters
    ----------
    data
        The whole file.
    source
        How messages call it.
    sha256
        The hash that the file has to have, 64 hexadecimal digits.

    Returns
    -------
    content

    Raises
    ------
    ModelFileError
        If the hash is another one, or this is not a complete model file that this version of
        the package can read.
    """
    if sha256 is not None:
        _check_sha256(data, source, sha256)
    with _open_archive(data, source) as archive:
        names = archive.namelist()
        root = names[0].split("/")[0] if names else ""
        backend = _backend_of({name.removeprefix(f"{root}/") for name in names}, source)
        folder = f"{root}/{_FOLDERS[backend]}"
        parts = {n: archive.read(f"{folder}/{n}") for n in (_METADATA, _ARRAYS, _TENSORS)}
    metadata = _read_metadata(parts[_METADATA], source)
    check = TensorCheck.from_arrays(_read_arrays(parts[_TENSORS], f"the test tensors of {source}"))
    arrays = _read_arrays(parts[_ARRAYS], f"the arrays of {source}")
    return ModelFile(metadata, arrays, check, backend)


def write(data: bytes, path: Path, overwrite: bool) -> None:
    """Write a file as a whole or not at all.

    Parameters
    ----------
    data
        Its content.
    path
        Where to. The folder has to exist.
    overwrite
        Whether to replace a file that is there already.

    Raises
    ------
    FileExistsError
        If there is one and ``overwrite`` is False.
    FileNotFoundError
        If the folder does not exist.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists already. Choose another name, or pass overwrite=True to replace it."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist. Make it first.")
    with whole_or_nothing(path) as temporary:
        temporary.write_bytes(data)


def _check_sha256(data: bytes, source: str, sha256: str) -> None:
    wanted = sha256.strip().lower()
    if len(wanted) != 64 or set(wanted) - set("0123456789abcdef"):
        raise ValueError(f"sha256={sha256!r} is no hash: expected 64 hexadecimal digits.")
    given = hashlib.sha256(data).hexdigest()
    if given != wanted:
        raise ModelFileError(
            f"{source} has the sha256 {given}, expected {wanted}: it is not the file that you "
            "asked for. It was not loaded. Download it again from where the hash is published."
        )


def _open_archive(data: bytes, source: str) -> zipfile.ZipFile:
    """Open the zip archive that a model file is, after checking that it is whole."""
    if not data:
        raise ModelFileError(f"{source} is empty, expected a model file. Copy it again.")
    if data.startswith(b"version https://git-lfs"):
        raise ModelFileError(
            f"{source} is a pointer of Git LFS and not the model itself. Run 'git lfs pull'."
        )
    if not data.startswith(b"PK"):
        raise ModelFileError(
            f"{source} is no model file, it starts with {data[:20]!r}. Expected: a .pt or .pt2 "
            "file that OrientationModel.save wrote."
        )
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        # Of a truncated file, zipfile finds the end of an archive inside. One that starts at 0 and
        # ends at the end is also the only one that torch can find.
        starts = min((member.header_offset for member in archive.infolist()), default=0)
        if starts != 0 or data[-22:-18] != b"PK\x05\x06":
            raise zipfile.BadZipFile("the archive does not span the file")
        damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
        raise ModelFileError(
            f"{source} is truncated or damaged ({error}). Copy or download it again."
        ) from error
    if damaged is not None:
        raise ModelFileError(f"{source} is damaged at {damaged!r}. Copy or download it again.")
    return archive


def _backend_of(names: set[str], source: str) -> str:
    """Return the form of a network; ``names`` of the archive without the leading folder."""
    backend = "export" if "archive_format" in names else "torchscript"
    if backend == "torchscript" and not {"data.pkl", "constants.pkl"} <= names:
        if "data.pkl" in names:
            raise ModelFileError(
                f"{source} was written by torch.save: weights without a network, or pickled Python "
                "objects, which are never loaded. Load the weights into the network they belong "
                "to, then use pyxem_cnn.wrap_model(...).save(path)."
            )
        raise ModelFileError(
            f"{source} is an archive, but not of a network: it holds {sorted(names)[:5]}. "
            "Expected: a .pt or .pt2 file that OrientationModel.save wrote."
        )
    folder = _FOLDERS[backend]
    missing = [n for n in (_METADATA, _ARRAYS, _TENSORS) if f"{folder}/{n}" not in names]
    if _METADATA in missing:
        network, remedy = _FOREIGN[backend]
        raise ModelFileError(
            f"{source} holds {network} without the metadata of pyxem_cnn: its phase, grid and "
            f"preprocessing are unknown. Declare them with pyxem_cnn.wrap_model({remedy}, ...)."
        )
    if missing:
        raise ModelFileError(
            f"{source} lacks {missing}. Write it again with OrientationModel.save."
        )
    return backend


def _read_metadata(data: bytes, source: str) -> dict[str, Any]:
    try:
        metadata = json.loads(data)
        is_ours = metadata["format"] == FORMAT
        version = int(metadata["format_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"The metadata of {source} cannot be read: {error!r}.") from error
    if not is_ours:
        raise ModelFileError(
            f"The metadata of {source} have the format {metadata['format']!r}, expected {FORMAT!r}."
        )
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{source} has the format version {version}, this pyxem_cnn reads up to "
            f"{FORMAT_VERSION}. Install a newer pyxem_cnn."
        )
    missing = [name for name in REQUIRED if name not in metadata]
    if missing:
        raise ModelFileError(f"The metadata of {source} lack {missing}. Write the file again.")
    if not isinstance(metadata["phases"], list) or not metadata["phases"]:
        raise ModelFileError(
            f"The metadata of {source} name the phases {metadata['phases']!r}, expected a list of "
            "one or several crystals. Write the file again."
        )
    return metadata


def _read_arrays(data: bytes, source: str) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ModelFileError(f"Cannot read {source}: {error}.") from error
