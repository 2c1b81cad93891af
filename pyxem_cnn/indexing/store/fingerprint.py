"""What tells one scan, mask or array from another without reading all of it."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FEWEST", "array_digest", "file_of_signal", "sample_digests", "scan_fingerprint"]

_logger = logging.getLogger(__name__)

Place = tuple[int, ...]

# Patterns that are compared where they are cheap: in memory, or in small chunks.
_N_SAMPLED = 64
FEWEST = 5
"""Patterns that are compared whatever they cost."""
# Looking at one pattern of a lazy scan costs its whole chunk. Beyond those of the first patterns,
# chunks may be read up to this number of bytes, or this share of the scan if that is more: mapping
# reads all of it.
_READ_BYTES, _READ_SHARE = 64 * 2**20, 1 / 200
_GOLDEN = (5**0.5 - 1) / 2


def scan_fingerprint(signal: Any) -> dict[str, Any]:
    """Return shape, dtype, digests of some patterns, and the file, where there is one.

    Parameters
    ----------
    signal
        Of patterns, lazy or not.
    """
    data = signal.data
    fingerprint = {
        "shape": list(data.shape),
        "dtype": np.dtype(data.dtype).newbyteorder("=").str[1:],
        "patterns": sample_digests(data, data.ndim - 2),
    }
    file = file_of_signal(signal)
    return fingerprint if file is None else fingerprint | {"file": _describe_file(file)}


def sample_digests(data: Any, n_navigation: int, n: int = _N_SAMPLED) -> list[str | None]:
    """Return digests of entries spread over an array.

    Which entries they are follows from the shape alone, so that lists of arrays in other chunks,
    or in memory, can be compared.

    Parameters
    ----------
    data
        NumPy or dask array.
    n_navigation
        Number of leading axes that count the entries.
    n
        Most entries to look at.

    Returns
    -------
    digests
        None for entries whose chunks would cost too much, or cannot be read: whether that
        matters is up to the mapping.
    """
    places = _places(data.shape[:n_navigation], n)
    digests: list[str | None] = [None] * len(places)
    for numbers in _affordable(data, places):
        entries = _read(data, [places[i] for i in numbers])
        for i, entry in zip(numbers, entries or [], strict=False):
            digests[i] = array_digest(entry)
    return digests


def _places(shape: Place, n: int) -> list[Place]:
    """Return up to ``n`` places in an array of this shape, any first few of them spread over it."""
    size = int(np.prod(shape, dtype=np.int64))
    # Multiples of the golden ratio leave no gap, and do not line up with rows or edges, where
    # detectors may be blank in every scan.
    steps = (np.arange(4 * n) + 0.5) * _GOLDEN % 1
    numbers = list(dict.fromkeys((steps * size).astype(np.int64).tolist()))[:n]
    return [tuple(int(i) for i in np.unravel_index(k, shape)) if shape else () for k in numbers]


def _affordable(data: Any, places: list[Place]) -> list[list[int]]:
    """Return the numbers of the places to look at, those of one chunk together."""
    if not hasattr(data, "chunks"):  # in memory
        return [[number] for number in range(len(places))]
    n_navigation = len(places[0])
    ends = [np.cumsum(sizes) for sizes in data.chunks[:n_navigation]]
    # The largest chunk stands for all, with whole detectors.
    shape = (*data.chunksize[:n_navigation], *data.shape[n_navigation:])
    cost = max(1, int(np.prod(shape, dtype=np.int64)) * data.dtype.itemsize)
    n_chunks = max(FEWEST, int(max(_READ_BYTES, _READ_SHARE * data.nbytes) / cost))
    of_chunk: dict[Place, list[int]] = {}
    for number, place in enumerate(places):
        pairs = zip(ends, place, strict=True)
        chunk = tuple(int(np.searchsorted(end, i, "right")) for end, i in pairs)
        if chunk in of_chunk or len(of_chunk) < n_chunks:
            of_chunk.setdefault(chunk, []).append(number)
    return list(of_chunk.values())


def _read(data: Any, places: list[Place]) -> list[np.ndarray] | None:
    """Return entries of one chunk, which is read once, or None if it cannot be read."""
    import dask

    try:
        return [np.asarray(entry) for entry in dask.compute(*(data[place] for place in places))]
    except MemoryError:  # nothing is wrong with the scan
        raise
    except Exception as error:  # whatever a reader raises
        _logger.info("patterns that tell the scan cannot be read, such as %s: %s", places[0], error)
        return None


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
