"""Checks of the numbers that describe a detector's geometry."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyxem_cnn._checks import given_expected

# Widths of a detector in 1/angstrom outside of which a calibration is taken for a mistake.
_SMALLEST_SPAN, _LARGEST_SPAN = 0.2, 20.0


def check_shape(shape: Any) -> tuple[int, int]:
    """Return the shape (rows, columns) of a detector as whole numbers, or raise a ValueError."""
    if np.shape(shape) != (2,) or any(int(n) != n or n < 1 for n in shape):
        raise ValueError(
            given_expected("shape", shape, "two positive whole numbers (rows, columns)")
        )
    return int(shape[0]), int(shape[1])


def check_center(center: Any, shape: tuple[int, int]) -> tuple[float, float]:
    """Return a beam centre (x, y) in pixels, or raise a ValueError if it cannot be one."""
    if np.shape(center) != (2,) or not np.all(np.isfinite(center)):
        raise ValueError(
            given_expected(
                "center", center, "two numbers (x, y) in pixels", "Pass center=(column, row)."
            )
        )
    x, y = (float(c) for c in center)
    ny, nx = shape
    if not (-nx <= x <= 2 * nx and -ny <= y <= 2 * ny):
        raise ValueError(
            given_expected(
                "center",
                (round(x, 3), round(y, 3)),
                f"a pixel (x, y) at most a detector's width off its {nx} columns and {ny} rows",
                "Pass center=(x, y) in pixels, or check the offsets of the signal axes.",
            )
        )
    return x, y


def check_scale(scale: Any, shape: tuple[int, int]) -> tuple[float, float]:
    """Return the size of a pixel (x, y) in 1/angstrom, or raise a ValueError if it is absurd."""
    if np.shape(scale) not in ((), (2,)):
        raise ValueError(
            given_expected("scale", scale, "one number or two (x, y) in 1/angstrom per pixel")
        )
    x, y = (float(s) for s in np.broadcast_to(np.asarray(scale, dtype=float), 2))
    given = f"{x:.6g}, {y:.6g}"
    if not (np.isfinite(x) and np.isfinite(y) and x > 0 and y > 0):
        raise ValueError(
            f"scale: got ({given}), expected positive numbers of 1/angstrom per pixel. "
            "Pass scale=; for a mirrored axis use flip_x= or flip_y= with a positive scale."
        )
    span = max(x * shape[1], y * shape[0])
    if not _SMALLEST_SPAN <= span <= _LARGEST_SPAN:
        raise ValueError(
            f"scale: got ({given}) 1/angstrom per pixel, which makes the detector {span:.3g} "
            f"1/angstrom wide, expected {_SMALLEST_SPAN} to {_LARGEST_SPAN}. Check the units of "
            "the signal axes (and the camera length, in mm), or pass scale=."
        )
    return x, y


def check_mask(mask: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return a read-only copy of a mask, True = leave out.

    Parameters
    ----------
    mask
        Booleans.
    shape
        Expected shape (rows, columns).

    Raises
    ------
    TypeError
        If it is not boolean.
    ValueError
        If its shape is not ``shape``, or it leaves nothing.
    """
    mask = np.array(mask)
    if mask.dtype != bool:
        raise TypeError(
            given_expected(
                "mask",
                mask,
                "dtype bool with True = leave out",
                "Use mask.astype(bool), or mask == 0 if 1 stands for good pixels.",
            )
        )
    if mask.shape != shape:
        raise ValueError(given_expected("mask", mask, f"the shape of the patterns, {shape}"))
    if mask.all():
        raise ValueError("mask: got only True, expected some pixels to use. True means leave out.")
    mask.setflags(write=False)
    return mask


def check_ellipticity(ellipticity: float) -> None:
    """Raise a ValueError if a ratio of axes is not from 0.5 to 2."""
    if not 0.5 <= ellipticity <= 2:
        raise ValueError(
            given_expected(
                "ellipticity", ellipticity, "a ratio of axes from 0.5 to 2, 1 for a circle"
            )
        )


def check_angle(name: str, angle: float) -> None:
    """Raise a ValueError if an angle is not finite."""
    if not np.isfinite(angle):
        raise ValueError(given_expected(name, angle, "a number of degrees"))
