"""What tells one scan, mask or array from another without reading all of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["array_digest", "file_of_signal", "sample_digest", "scan_fingerprint"]

# Patterns that are looked at: few, since each may cost the reading of a whole chunk.
_N_SAMPLED = 5


def scan_fingerprint(signal: Any) -> dict[str, Any]:
    """Return shape, dtype, a digest of five patterns, and the file, where there is one.

    Parameters
    ----------
    signal
        Of patterns, lazy or not.
    """
    data = signal.data
    fingerprint = {
        "shape": list(data.shape),
        "dtype": np.dtype(data.dtype).newbyteorder("=").str[1:],
        "patterns": sample_digest(data, data.ndim - 2),
    }
    file = file_of_signal(signal)
    return fingerprint if file is None else fingerprint | {"file": _describe_file(file)}


def sample_digest(data: Any, n_navigation: int) -> str:
    """Return a digest of entries spread evenly over an array.

    Parameters
    ----------
    data
        NumPy or dask array, of which only these entries are read.
    n_navigation
        Number of leading axes that count the entries.
    """
    import dask

    shape = data.shape[:n_navigation]
    n = int(np.prod(shape, dtype=np.int64))
    numbers = np.unique(np.linspace(0, n - 1, _N_SAMPLED).astype(np.int64))
    places = [np.unravel_index(i, shape) if shape else () for i in numbers]
    entries = [data[tuple(int(i) for i in place)] for place in places]
    try:
        samples = dask.compute(entries)[0]
    except Exception:  # a damaged chunk: what becomes of it is decided when it is mapped
        samples = [_or_zeros(entry) for entry in entries]
    return array_digest(np.stack([np.asarray(sample) for sample in samples]))


def _or_zeros(entry: Any) -> np.ndarray:
    """Return an entry of a lazy array, zeros if it cannot be read."""
    try:
        return np.asarray(entry)
    except Exception:
        return np.zeros(entry.shape, entry.dtype)


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
