"""Where the direct beam is: found in the patterns, or taken from pyxem's beam shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn._checks import given_expected

if TYPE_CHECKING:
    from pyxem_cnn.detector.geometry import DetectorGeometry

__all__ = ["DirectBeam", "find_center", "shifts_from_beam_shift"]

# Patterns that the centre of the whole scan is found from, spread evenly over the scan. Few, since
# each may cost the reading of a whole chunk.
_N_SAMPLED = 64
_PASS = "Pass what s.get_direct_beam_position(...) returns."


class DirectBeam(NamedTuple):
    """Position of the direct beam, for the scan and for every pattern.

    Attributes
    ----------
    center
        Position (x, y) in the mean pattern, in pixels.
    shifts
        Array (..., 2), NumPy or dask like the patterns, with the navigation shape of the scan:
        position (x, y) of the beam in each pattern less ``center``, in pixels.
    """

    center: tuple[float, float]
    shifts: Any


def find_center(
    signal: Any, *, sigma: float | None = None, half_width: int | None = None
) -> DirectBeam:
    """Estimate the position of the direct beam.

    The brightest blob of the blurred mean pattern (of up to 64 patterns spread over the scan)
    is the direct beam of the scan; its position is the centre of mass of what rises above half
    its height. In every pattern the same is done in a window around it, so that a bright
    reflection further away does not count. (pyxem's ``get_direct_beam_position`` is exact to
    whole pixels in its "blur" method and writes to the data in its "center_of_mass" method
    with a threshold.)

    Parameters
    ----------
    signal
        Signal with two signal dimensions, or a NumPy or dask array (..., rows, columns).
    sigma
        Standard deviation of the blur in pixels. Default: 1/64 of the shorter side, at least 1.
    half_width
        Half the width, in pixels, of the window that holds the direct beam in all patterns.
        Default: 1/8 of the shorter side, at least 4.

    Returns
    -------
    direct_beam
        ``center`` and ``shifts``; the shifts are lazy if the patterns are.

    Raises
    ------
    ValueError
        If there are fewer than two dimensions, a pattern has fewer than 3 pixels along a side,
        or there is nothing bright in the mean pattern.
    """
    data = getattr(signal, "data", signal) if hasattr(signal, "axes_manager") else signal
    if np.ndim(data) < 2 or min(data.shape[-2:]) < 3:
        raise ValueError(
            given_expected(
                "shape of the patterns",
                np.shape(data),
                "(..., rows, columns), 3 or more pixels a side",
            )
        )
    shorter = min(data.shape[-2:])
    sigma = max(1.0, shorter / 64) if sigma is None else float(sigma)
    half_width = max(4, shorter // 8) if half_width is None else int(half_width)
    x, y = _locate(_mean_pattern(data), sigma)
    if not np.isfinite(x):
        raise ValueError(
            "No direct beam found: the mean pattern is empty, flat or not finite. Pass "
            "center=(x, y) in pixels."
        )
    return DirectBeam((x, y), _shifts(data, (x, y), sigma, half_width))


def shifts_from_beam_shift(beam_shift: Any, geometry: DetectorGeometry) -> Any:
    """Turn pyxem's BeamShift into the position of the beam relative to a geometry's centre.

    A BeamShift holds the shift (x, y) that *brings the beam to* ``(columns / 2, rows / 2)``, so
    that the beam of a pattern lies at half the shape less the shift.

    Parameters
    ----------
    beam_shift
        ``pyxem.signals.BeamShift``, lazy or not, in pixels, or an array (..., 2) of the same
        meaning.
    geometry
        Its ``shape`` and ``center`` are used.

    Returns
    -------
    shifts
        Array (..., 2) in pixels, to be passed on as ``shifts``.

    Raises
    ------
    ValueError
        If the last axis does not hold (x, y), or the shifts are not in pixels.
    """
    data = beam_shift.data if hasattr(beam_shift, "axes_manager") else np.asarray(beam_shift)
    if np.ndim(data) == 0 or data.shape[-1] != 2:
        raise ValueError(
            given_expected("shape of the beam shifts", np.shape(data), "(..., 2), x and y", _PASS)
        )
    units = getattr(beam_shift, "units", None)
    if isinstance(units, (list, tuple)) and any(u not in ("px", None) for u in units):
        raise ValueError(
            given_expected("units of the beam shifts", units, "px", _PASS),
        )
    ny, nx = geometry.shape
    return np.array([nx / 2, ny / 2]) - np.asarray(geometry.center) - data


def _mean_pattern(data: Any) -> np.ndarray:
    """Return the mean of patterns spread evenly over a scan, float64 (rows, columns), 0 for NaN."""
    steps = np.ones(data.ndim - 2, dtype=int)
    while np.prod([-(-n // s) for n, s in zip(data.shape, steps, strict=False)]) > _N_SAMPLED:
        steps[np.argmax(np.array(data.shape[:-2]) / steps)] *= 2
    sample = data[tuple(slice(s // 2, None, s) for s in steps)]
    scan = tuple(range(data.ndim - 2))
    finite = np.isfinite(sample)  # patterns of NaN, which could not be read, count for nothing
    total = np.where(finite, sample, 0).sum(axis=scan, dtype=np.float64)
    return np.asarray(total / np.maximum(finite.sum(axis=scan), 1))


def _locate(pattern: np.ndarray, sigma: float) -> tuple[float, float]:
    """Return the position (x, y) of the brightest blob of an image, NaN if there is none."""
    from scipy import ndimage

    image = np.where(np.isfinite(pattern), pattern, 0).astype(np.float64)
    blurred = ndimage.gaussian_filter(image, sigma, mode="nearest")
    peak = blurred.max()
    # The median is the background around the beam.
    height = blurred - (peak + np.median(blurred)) / 2
    if not height.max() > 0:
        return np.nan, np.nan
    blobs, _ = ndimage.label(height > 0)
    weight = np.where(blobs == blobs.flat[blurred.argmax()], height, 0)
    y, x = ndimage.center_of_mass(weight)
    return float(x), float(y)


def _shifts(data: Any, center: tuple[float, float], sigma: float, half_width: int) -> Any:
    """Return the beam's position in every pattern less ``center``, shape (..., 2)."""
    first = [max(0, round(c) - half_width) for c in center]
    last = [round(c) + half_width + 1 for c in center]
    windows = data[..., first[1] : last[1], first[0] : last[0]]
    origin = np.array(first) - np.array(center)

    def locate_block(block: np.ndarray) -> np.ndarray:
        patterns = block.reshape(-1, *block.shape[-2:])
        found = np.array([_locate(pattern, sigma) for pattern in patterns]).reshape(-1, 2)
        return (found + origin).reshape(*block.shape[:-2], 2)

    if isinstance(windows, np.ndarray):
        return locate_block(windows)
    n = windows.ndim
    windows = windows.rechunk({n - 2: -1, n - 1: -1})
    return windows.map_blocks(
        locate_block,
        dtype=np.float64,
        drop_axis=[n - 2, n - 1],
        new_axis=n - 2,
        chunks=(*windows.chunks[:-2], (2,)),
        meta=np.empty((0,) * (n - 1)),
    )
