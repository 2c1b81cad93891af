"""What networks and templates share of a scan: checks, geometry, masks, beam, blocks, warnings."""

from __future__ import annotations

import inspect
import logging
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_type, given_expected
from pyxem_cnn.detector.geometry import DetectorGeometry, find_center, shifts_from_beam_shift
from pyxem_cnn.detector.polar import PolarGeometry
from pyxem_cnn.indexing.chunks import chunked_like, in_blocks, with_whole_detectors

__all__ = [
    "as_navigation_mask",
    "beam_positions",
    "check_signal",
    "chunked_like",
    "in_blocks",
    "resolve_geometry",
    "rotation_to_scan",
    "shows_progress",
    "warn_of_unindexed",
    "with_whole_detectors",
    "with_signal_mask",
]

_logger = logging.getLogger(__name__)


def check_signal(signal: Any) -> None:
    """Raise unless this is a signal of patterns."""
    axes = getattr(signal, "axes_manager", None)
    if axes is None:
        expected = "a pyxem diffraction signal"
        remedy = "Make one with pyxem.signals.ElectronDiffraction2D(array) and calibrate it."
        raise TypeError(given_expected("signal", signal, expected, remedy))
    if axes.signal_dimension != 2:
        expected = "2 signal dimensions, the rows and columns of a detector"
        given = f"{axes.signal_dimension} signal dimensions"
        remedy = "Swap the axes with s.transpose(signal_axes=2), or load the patterns as 2D."
        raise ValueError(f"signal: got {given}, expected {expected}. {remedy}")
    if axes.navigation_dimension > 3:
        remedy = "Map parts of it with s.inav[...]."
        given = f"{axes.navigation_dimension} navigation dimensions"
        raise ValueError(f"signal: got {given}, expected 0 to 3. {remedy}")
    if axes.navigation_dimension and 0 in axes.navigation_shape:
        raise ValueError(
            f"signal: got an empty scan of shape {axes.navigation_shape}, expected at least one "
            "pattern. Check how the signal was sliced."
        )
    if signal.data.dtype.kind not in "buif":
        expected = "integer or float counts"
        raise TypeError(given_expected("dtype of the patterns", str(signal.data.dtype), expected))


def resolve_geometry(
    signal: Any, geometry: Any, signal_mask: Any, find: bool
) -> DetectorGeometry | PolarGeometry:
    """Return the geometry with the detector mask in it."""
    check_type("geometry", geometry, (DetectorGeometry, PolarGeometry, dict, type(None)))
    is_polar = getattr(signal, "_signal_type", "") == "polar_diffraction"
    if geometry is None or isinstance(geometry, dict):
        options = dict(geometry or {})
        _check_options(options, PolarGeometry if is_polar else DetectorGeometry)
        if is_polar:
            geometry = _polar_geometry(signal, options)
        else:
            if find:  # the centre is found later; any one will do until then
                columns, rows = signal.axes_manager.signal_shape
                options.setdefault("center", ((columns - 1) / 2, (rows - 1) / 2))
            geometry = DetectorGeometry.from_signal(signal, **options)
    shape = signal.axes_manager.signal_shape[::-1]
    if tuple(geometry.shape) != tuple(shape):
        remedy = "Use DetectorGeometry.from_signal(signal)."
        raise ValueError(
            given_expected("geometry.shape", geometry.shape, f"the signal's {shape}", remedy)
        )
    return with_signal_mask(geometry, signal_mask)


def with_signal_mask(
    geometry: DetectorGeometry | PolarGeometry, signal_mask: Any
) -> DetectorGeometry | PolarGeometry:
    """Return the geometry with further pixels masked, the same one where there are none."""
    if signal_mask is None:
        return geometry
    shape = tuple(geometry.shape)
    mask = _boolean_mask("signal_mask", signal_mask, shape, "the detector, (rows, columns)")
    return replace(geometry, mask=mask if geometry.mask is None else mask | geometry.mask)


def _check_options(options: dict[str, Any], kind: type) -> None:
    """Raise if a key is no argument of ``from_signal``."""
    known = [name for name in inspect.signature(kind.from_signal).parameters if name != "signal"]
    for key in options:
        check_choice("key of geometry", key, known)


def _polar_geometry(signal: Any, options: dict[str, Any]) -> PolarGeometry:
    """Read the geometry of polar patterns, which do not say whether they hold means or sums."""
    if "mean" not in options:
        warnings.warn(
            "The polar patterns are taken as means per pixel, as from "
            "get_azimuthal_integral2d(..., mean=True). Pass geometry={'mean': True} to confirm, "
            "or {'mean': False, 'pixel_scale': ...}, 1/angstrom per pixel, for sums.",
            UserWarning,
            stacklevel=5,
        )
    return PolarGeometry.from_signal(signal, **({"mean": True} | options))


def _boolean_mask(name: str, mask: Any, shape: tuple[int, ...], whose: str) -> np.ndarray:
    """Return a mask as a boolean array of the right shape."""
    array = np.asarray(getattr(mask, "data", mask) if hasattr(mask, "axes_manager") else mask)
    if array.dtype != bool:
        expected = "booleans, True = leave out"
        raise TypeError(given_expected(name, array, expected, f"Use {name} > 0 or similar."))
    if array.shape != tuple(shape):
        remedy = "Transpose or crop the mask."
        expected = f"the shape {tuple(shape)} of {whose}"
        raise ValueError(given_expected(name, array, expected, remedy))
    return array


def beam_positions(
    signal: Any, geometry: Any, find: bool, beam_shift: Any
) -> tuple[DetectorGeometry | PolarGeometry, Any]:
    """Return the geometry with the right centre, and shifts (navigation..., 2) or None."""
    if not find and beam_shift is None:
        return geometry, None
    if isinstance(geometry, PolarGeometry):
        raise ValueError(
            "Given: find_center or beam_shift with polar patterns. Expected: patterns on the "
            "detector. Centre the patterns before they are made polar."
        )
    if find and beam_shift is not None:
        raise ValueError(
            "Given: both find_center=True and beam_shift. Expected: one of them. Leave out "
            "find_center to use the given shifts."
        )
    if find:
        found = find_center(signal)
        _logger.info("direct beam found at x = %.2f, y = %.2f pixels", *found.center)
        return geometry.with_center(found.center), found.shifts
    shifts = shifts_from_beam_shift(beam_shift, geometry)
    expected = (*signal.data.shape[:-2], 2)
    if tuple(shifts.shape) != expected:
        if shifts.size != 2:
            remedy = "Pass one (x, y) for the scan or one for every pattern."
            raise ValueError(
                given_expected("shape of beam_shift", shifts.shape, str(expected), remedy)
            )
        shifts = np.broadcast_to(np.asarray(shifts).reshape(2), expected)
    return geometry, shifts


def rotation_to_scan(geometry: Any) -> tuple[float, ...] | None:
    """Return the quaternion into the scan's frame, None where both frames are one."""
    if getattr(geometry, "scan_rotation", 0.0) == 0:
        return None
    return tuple(float(part) for part in geometry.rotation_to_scan())


def as_navigation_mask(mask: Any, signal: Any) -> np.ndarray | None:
    """Return the mask of scan positions to leave out, None if there is none."""
    if mask is None:
        return None
    shape = signal.data.shape[:-2]
    return _boolean_mask("navigation_mask", mask, shape, "the scan, (rows, columns)")


def shows_progress(show_progressbar: bool | None) -> bool:
    """Return whether to show progress bars: as given, or as HyperSpy's preferences say."""
    if show_progressbar is None:
        from hyperspy.api import preferences

        show_progressbar = preferences.General.show_progressbar
    return bool(show_progressbar)


def warn_of_unindexed(bad: np.ndarray, stacklevel: int = 3) -> None:
    """Warn about patterns that nobody could read.

    Parameters
    ----------
    bad
        True where a pattern that was not left out is not indexed. Shape: that of the scan.
    stacklevel
        Calls up to the user's line, this one counted.

    Warns
    -----
    UserWarning
        If there are any. It says how many, and where they are.
    """
    if not np.any(bad):
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0]) if np.ndim(bad) else ()
    warnings.warn(
        f"{int(np.sum(bad))} of {np.size(bad)} patterns are not indexed, the first at {first}: "
        "they could not be read, or hold no counts above zero, or NaN or infinite ones. They have "
        f"the phase id -1 in the map and lie in {_regions(bad)}.",
        UserWarning,
        stacklevel=stacklevel,
    )


def _regions(marked: np.ndarray, at_most: int = 5) -> str:
    """Return where a scan is marked: the ranges around coherent regions, the largest first."""
    from scipy import ndimage

    marked = np.atleast_1d(marked)
    numbers, n = ndimage.label(marked, structure=np.ones((3,) * marked.ndim))
    sizes = np.bincount(numbers.ravel())[1:]
    order = np.argsort(-sizes, kind="stable")[:at_most]
    found = ndimage.find_objects(numbers)
    texts = [", ".join(f"{axis.start}:{axis.stop}" for axis in found[i]) for i in order]
    others = f" and {n - at_most} smaller regions" if n > at_most else ""
    return ", ".join(f"[{text}]" for text in texts) + others
