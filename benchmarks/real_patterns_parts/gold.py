"""Gold at 20 kV near [100]: patterns of a distorting lens, as they are and straightened."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates

from pyxem_cnn.detector.direct_beam import find_center
from pyxem_cnn.rotations import to_matrix
from real_patterns_parts.patterns import Patterns

# 1/angstrom per pixel at the beam, and by how much more a pixel is worth per square of 1/angstrom:
# 200, 400 and 600 lie at 57.9, 119.0 and 187.1 pixels, at 0.490, 0.981 and 1.471 1/angstrom.
_SCALE, _DISTORTION = 0.00856, 0.0405
# Discs are 24 pixels wide and 58 pixels apart.
_WINDOW = 61
# What the patterns come with.
_GIVEN = 0.0084
# Direction of the row of 200 from +x towards +y, degrees modulo 90.
_ROW = 10.5


class GoldAngles(NamedTuple):
    """Angles of an orientation in degrees."""

    tilt: float  # of the beam from the nearest <100>
    turn: float  # of the row of 200 from where it is in the pattern


def gold_pattern(folder: Path, name: str, straightened: bool) -> Patterns:
    """Return a pattern.

    Parameters
    ----------
    folder
        With the patterns.
    name
        "saed" or "cbed".
    straightened
        Whether the distortion is taken out. It is measured on the known d-spacing of gold.
    """
    pattern = np.load(folder / f"distorted_{name}_pattern.npy")
    x, y = (float(value) for value in find_center(pattern).center)
    if straightened:
        pattern = _straightened(pattern, x, y)
    geometry = {"scale": _SCALE if straightened else _GIVEN, "center": (x, y), "beam_energy": 20}
    how = "straightened" if straightened else "as recorded"
    return Patterns(f"gold {name.upper()}, {how}", pattern[None], geometry, window=_WINDOW)


def _straightened(pattern: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return a pattern with radii in proportion to the scattering vectors."""
    rows, columns = np.indices(pattern.shape, dtype=float)
    dx, dy = columns - x, rows - y
    stretch = 1 + _DISTORTION * _SCALE**2 * (dx**2 + dy**2)
    at = (y + stretch * dy, x + stretch * dx)
    return map_coordinates(pattern, at, order=1, cval=0.0).astype(np.float32)


def angles(quaternion: np.ndarray) -> GoldAngles:
    """Return how far an orientation is from the zone axis and from the row of reflections."""
    axes = to_matrix(quaternion).T  # of the crystal, in the lab
    cosines = np.abs(axes[2])
    along = int(cosines.argmax())
    row = axes[:2, (along + 1) % 3]
    direction = np.rad2deg(np.arctan2(row[1], row[0]))
    turn = (direction - _ROW + 45) % 90 - 45
    return GoldAngles(float(np.rad2deg(np.arccos(cosines[along].clip(0, 1)))), float(turn))
