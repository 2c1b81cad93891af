"""Colours of all points of a map by the grain that they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.maps.grains.grain_set import Grains
from pyxem_cnn.maps.misorientation import best_quaternions
from pyxem_cnn.plot.ipf import ipf_colors

if TYPE_CHECKING:
    from orix.crystal_map import Phase

__all__ = [
    "blank",
    "grains_ipf",
    "indexed_phases",
    "on_points",
    "pale",
    "points_ipf",
    "told_apart",
]


def indexed_phases(grains: Grains) -> list[tuple[int, Phase]]:
    """Return id and phase of all phases in the data."""
    return [(i, phase) for i, phase in grains.xmap.phases_in_data if i >= 0]


def on_points(grains: Grains, values: np.ndarray) -> np.ndarray:
    """Return the value of its grain for every point, NaN in no grain."""
    inside = grains.labels >= 0
    spread = np.full((grains.labels.size, *values.shape[1:]), np.nan)
    spread[inside] = values[grains.labels[inside]]
    return spread


def _rgba(grains: Grains, rgb: np.ndarray) -> np.ndarray:
    """Return colours of points with those in no grain transparent, shape (points, 4)."""
    return np.column_stack([np.nan_to_num(rgb), grains.labels >= 0]).astype(float)


def grains_ipf(grains: Grains, direction: str) -> np.ndarray:
    """Return the IPF colour of its grain's mean orientation for every point."""
    rgb = np.zeros((len(grains), 3))
    for phase_id, phase in indexed_phases(grains):
        here = grains.phase_id == phase_id
        if np.any(here):
            rgb[here] = ipf_colors(grains.mean_rotations[here], phase, direction)
    return _rgba(grains, on_points(grains, rgb))


def points_ipf(grains: Grains, direction: str) -> np.ndarray:
    """Return the IPF colour of every point's own orientation."""
    from orix.quaternion import Rotation

    q, rgb = best_quaternions(grains.xmap), np.zeros((grains.xmap.size, 3))
    for phase_id, phase in indexed_phases(grains):
        here = grains.xmap.phase_id == phase_id
        rgb[here] = ipf_colors(Rotation(q[here]), phase, direction)
    return _rgba(grains, rgb)


def told_apart(grains: Grains) -> np.ndarray:
    """Return a colour for every grain: hues in steps of the golden ratio, all far apart."""
    from matplotlib.colors import hsv_to_rgb

    number = np.arange(len(grains))
    hue, depth = number * 0.618034 % 1, number * 0.381966 % 1
    hsv = np.stack([hue, 0.45 + 0.35 * depth, 0.95 - 0.3 * (number * 0.7548777 % 1)], axis=1)
    return _rgba(grains, on_points(grains, hsv_to_rgb(hsv)))


def blank(grains: Grains) -> np.ndarray:
    """Return white for every point in a grain."""
    return _rgba(grains, np.ones((grains.xmap.size, 3)))


def pale(rgba: np.ndarray) -> np.ndarray:
    """Return colours mixed with white, so that lines stand out."""
    return np.column_stack([1 - 0.45 * (1 - rgba[:, :3]), rgba[:, 3]])
