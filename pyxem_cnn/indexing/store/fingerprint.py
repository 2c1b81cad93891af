"""What tells one scan, mask or array from another without reading all of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["array_digest", "file_of_signal", "sample_digests", "scan_fingerprint"]

# Patterns that are looked at: few, since each may cost the reading of a whole chunk.
_N_SAMPLED = 5


def scan_fingerprint(signal: Any, skip: bool = False) -> dict[str, Any]:
    """Return shape, dtype, digests of five patterns, and the file, where there is one.

    Parameters
    ----------
    signal
        Of patterns, lazy or not.
    skip
        Whether patterns that cannot be read have no digest, instead of raising.
    """
    data = signal.data
    fingerprint = {
        "shape": list(data.shape),
        "dtype": np.dtype(data.dtype).newbyteorder("=").str[1:],
        "patterns": sample_digests(data, data.ndim - 2, skip),
    }
    file = file_of_signal(signal)
    return fingerprint if file is None else fingerprint | {"file": _describe_file(file)}


def sample_digests(data: Any, n_navigation: int, skip: bool = False) -> list[str | None]:
    """Return digests of entries spread evenly over an array.

    Parameters
    ----------
    data
        NumPy or dask array, of which only these entries are read.
    n_navigation
        Number of leading axes that count the entries.
    skip
        Whether those that cannot be read are None, instead of raising.
    """
    shape = data.shape[:n_navigation]
    n = int(np.prod(shape, dtype=np.int64))
    digests: list[str | None] = []
    for number in np.unique(np.linspace(0, n - 1, _N_SAMPLED).astype(np.int64)):
        place = tuple(int(i) for i in np.unravel_index(number, shape)) if shape else ()
        try:
            digests.append(array_digest(np.asarray(data[place])))
        except Exception:  # whatever a reader raises
            if not skip:
                raise
            digests.append(None)
    return digests


def array_digest(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's dtype, shape and values, whatever its byte order."""
    native = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False)
    digest = hashlib.sha256(f"{native.dtype.name}{array.shape}".encode())
    digest.update(native.tobytes())
    return digest.hexdigest()


def file_of_signal(signal: Any) -> Path | None:
    """Return the file that HyperSpy loaded a signal from, None if there is none."""
    known = getattr(signal, "tmp_parameters", None)
    if known is None or not known.has_item("filename"):
        return None
    extension = known.get_item("extension", "")
    path = Path(known.get_item("folder", "."), f"{known.filename}{extension}")
    return path if path.exists() else None


def _describe_file(path: Path) -> dict[str, Any]:
    """Return name, size in bytes (None for a folder, as .zspy) and second of the last change."""
    status = path.stat()
    size = status.st_size if path.is_file() else None
    return {"name": path.name, "size": size, "changed": int(status.st_mtime)}
