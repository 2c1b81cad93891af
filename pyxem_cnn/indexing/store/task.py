"""What is asked for: the task of a store, and how two tasks differ."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._version import __version__
from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.indexing.store.fingerprint import (
    FEWEST,
    array_digest,
    sample_digests,
    scan_fingerprint,
)

if TYPE_CHECKING:
    from pyxem_cnn.indexing.block import BlockPredictor

__all__ = ["describe_circumstances", "describe_task", "differences", "only_moved", "told"]

# A scan that was copied or renamed is still the same scan.
_MAY_MOVE = ("scan.file.name", "scan.file.changed")


def describe_task(
    signal: Any,
    predictor: BlockPredictor,
    *,
    left_out: np.ndarray | None,
    shifts: Any,
    find_center: bool,
) -> dict[str, Any]:
    """Return all that the numbers in a prediction depend on, JSON-able.

    Parameters
    ----------
    signal
        The scan, of which some patterns are read.
    predictor
        Models, geometry and number of orientations.
    left_out
        Mask of the scan or None.
    shifts
        Of the beam, (navigation..., 2), NumPy or dask array, or None.
    find_center
        Whether they were found in the patterns.
    """
    geometry = predictor.operators[0].geometry
    return {
        "models": [{"name": one.name, "sha256": one.sha256} for one in predictor.models],
        "n_best": int(predictor.n_best),
        "columns": list(COLUMNS),
        "scan": scan_fingerprint(signal),
        "geometry": {"kind": type(geometry).__name__}
        | {field.name: _plain(getattr(geometry, field.name)) for field in fields(geometry)},
        "navigation_mask": _plain(left_out),
        "beam": _describe_beam(shifts, find_center, signal.data.ndim - 2),
    }


def describe_circumstances(predictor: BlockPredictor) -> dict[str, Any]:
    """Return what moves the last digits only: versions, device, batch size."""
    from importlib.metadata import version

    return {
        "pyxem_cnn": __version__,
        **{name: version(name) for name in ("torch", "numpy")},
        "device": predictor.device,
        "batch_size": predictor.batch_size,
    }


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return (found, wanted) of all entries that differ, by dotted name.

    Parameters
    ----------
    found
        From :func:`describe_task` or :func:`describe_circumstances`, and from a store.
    wanted
        The same, of now. A file that one of them does not know is no difference, nor is a pattern
        that one of them did not read.
    """
    left, right = _flat(found), _flat(wanted)
    names = dict.fromkeys([*left, *right])
    unknown = [not any(n.startswith("scan.file.") for n in side) for side in (left, right)]
    return {
        name: (left.get(name), right.get(name))
        for name in names
        if not _is_same(left.get(name), right.get(name))
        and not (any(unknown) and name.startswith("scan.file."))
    }


def only_moved(different: Mapping[str, Any]) -> bool:
    """Return whether nothing differs but the name and the time of the scan's file."""
    return all(name in _MAY_MOVE for name in different)


def told(different: Mapping[str, tuple[Any, Any]]) -> str:
    """Return the differences in words."""
    return "; ".join(
        _others(found, wanted)
        if name == "scan.patterns"
        else f"{name} {_in_words(name, found)} instead of {_in_words(name, wanted)}"
        for name, (found, wanted) in different.items()
    )


def _others(found: list[str | None], wanted: list[str | None]) -> str:
    """Return how many patterns differ, in words."""
    # Scans of other shapes have other numbers of patterns that are compared.
    pairs = [(a, b) for a, b in zip(found, wanted, strict=False) if a and b]
    n = sum(a != b for a, b in pairs)
    return f"scan.patterns of which {n} of {len(pairs)} that were compared are others"


def _describe_beam(shifts: Any, find_center: bool, n_navigation: int) -> dict[str, Any]:
    """Return where the positions of the beam come from, and what tells them from others."""
    if find_center:  # follows from the patterns
        return {"from": "find_center", "sha256": None}
    if shifts is None:
        return {"from": "geometry", "sha256": None}
    if hasattr(shifts, "dask"):
        # Each of them may follow from a whole chunk of patterns.
        shifts = np.array(sample_digests(shifts, n_navigation, FEWEST), dtype=str)
    return {"from": "beam_shift", "sha256": array_digest(shifts)}


def _plain(value: Any) -> Any:
    """Return what JSON gives back as it is; masks as number and digest."""
    if isinstance(value, np.ndarray) and value.dtype == bool:
        return {"masked": int(value.sum()), "sha256": array_digest(value)}
    if isinstance(value, np.ndarray | np.generic | tuple | list):
        return [_plain(one) for one in value] if np.ndim(value) else np.asarray(value).item()
    return value


def _is_same(found: Any, wanted: Any) -> bool:
    """Return whether two entries are the same; in lists, None stands for anything."""
    if not (isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted)):
        return bool(found == wanted)
    pairs = zip(found, wanted, strict=True)
    return all(a == b or a is None or b is None for a, b in pairs)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one with dotted names; masks and models stay whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and "sha256" not in value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _in_words(name: str, value: Any) -> str:
    """Return one side of a difference, short enough for a message."""
    if name == "scan.file.changed" and value is not None:
        return datetime.datetime.fromtimestamp(value).isoformat(" ")
    if isinstance(value, Mapping):
        words = {key: str(v)[:12] for key, v in value.items() if v is not None}
        return " ".join(f"{key} {word}" for key, word in words.items())
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return ", ".join(f"{one['name']!r} ({one['sha256'][:12]})" for one in value)
    return repr(value)
