"""From the points of a crystal map to an image with axes in the scan's unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_type

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from orix.crystal_map import CrystalMap

__all__ = ["FRAME", "best", "check_map", "show_image", "to_image"]

FRAME = "x right, y up, z towards the source"
"""The lab frame, in words."""


def check_map(name: str, xmap: Any) -> CrystalMap:
    """Return a crystal map of one or two dimensions; a TypeError for anything else."""
    from orix.crystal_map import CrystalMap

    return check_type(name, xmap, CrystalMap, "Plot the maps of a list one by one.")


def best(values: np.ndarray) -> np.ndarray:
    """Return the value of the best orientation, shape (points,), of (points,) or (points, n)."""
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 else values


def to_image(xmap: CrystalMap, values: np.ndarray, fill: float = np.nan) -> np.ndarray:
    """Return values of the points in the data as an image.

    Parameters
    ----------
    xmap
        The map.
    values
        Of shape (points in the data, ...).
    fill
        What stands at points that are not in the data.

    Returns
    -------
    image
        Of shape (rows, columns, ...), float. One row for a line of points.
    """
    values = np.asarray(values)
    row, column = _positions(xmap)
    image = np.full((row.max() + 1, column.max() + 1, *values.shape[1:]), fill, dtype=float)
    image[row, column] = values
    return image


def show_image(axes: Axes, xmap: CrystalMap, image: np.ndarray, **kwargs: Any) -> Any:
    """Show an image with coordinates in the scan's unit.

    Parameters
    ----------
    axes
        To draw in.
    xmap
        The map that the image was made of.
    image
        From `to_image`.
    **kwargs
        For ``Axes.imshow``.

    Returns
    -------
    drawn
        What ``imshow`` returns.
    """
    x, dx = _line(xmap.x, xmap.dx)
    y, dy = _line(xmap.y, xmap.dy)
    rows, columns = image.shape[:2]
    left, top = x - dx / 2, y - dy / 2
    extent = (left, left + columns * dx, top + rows * dy, top)
    drawn = axes.imshow(image, extent=extent, interpolation="nearest", **kwargs)
    unit = "scan points" if xmap.scan_unit == "px" else xmap.scan_unit
    axes.set_xlabel(f"scan x ({unit})")
    axes.set_ylabel(f"scan y ({unit})")
    return drawn


def _positions(xmap: CrystalMap) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of every point in the data, counted from the first one."""
    if not np.any(xmap.is_in_data):
        raise ValueError("xmap: got no points in the data, expected some. Every one is masked.")
    columns, rows = (
        np.zeros(xmap.size, dtype=int)
        if values is None
        else np.round((values - values.min()) / (step or 1)).astype(int)
        for values, step in ((xmap.x, xmap.dx), (xmap.y, xmap.dy))
    )
    return rows, columns


def _line(values: np.ndarray | None, step: float) -> tuple[float, float]:
    """Return first coordinate and step of an axis, 1 where it has a single point."""
    return (0.0 if values is None else float(values.min())), float(step) or 1.0
