"""Grains of a crystal map: connected regions of one phase without a large misorientation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_type
from pyxem_cnn.maps.grains.grain_set import Grains
from pyxem_cnn.maps.grains.neighbours import PointGrid
from pyxem_cnn.maps.grains.small_regions import drop_small, merge_small
from pyxem_cnn.maps.misorientation import pairs_of_one_phase

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["Grains", "find_grains"]


def find_grains(
    xmap: CrystalMap,
    threshold: float = 5.0,
    *,
    connectivity: int = 4,
    group: str | None = None,
    min_size: int = 1,
    small: str = "drop",
) -> Grains:
    """Find the grains of a crystal map.

    A grain is a connected region of points of one phase. Two neighbouring points are connected if
    the misorientation between them is below the threshold, so that a bent grain can hold
    orientations that are further apart than that. The regions are SciPy's
    ``scipy.sparse.csgraph.connected_components``.

    Parameters
    ----------
    xmap
        The map, of one or two dimensions on a rectangular grid. The best orientation of every
        point counts.
    threshold
        Misorientation in degrees from which on neighbouring points are not connected.
    connectivity
        4: neighbours share an edge of their cells; 8: an edge or a corner.
    group
        Orientations count modulo the proper rotations of the "Laue" or of the "point" group. By
        default as the map says (``xmap.group``), else "Laue".
    min_size
        Points of the smallest region that counts as a grain.
    small
        What becomes of smaller regions. "drop": their points are in no grain. "merge": they are
        given to the grain of the same phase that they share the longest boundary with, and are
        dropped if there is none. Points given to a grain count for its size and place, not for
        its mean orientation and spread.

    Returns
    -------
    grains
        Labels of all points and properties of all grains. Points that are left out or not indexed
        are in no grain.

    Raises
    ------
    TypeError
        If `xmap` is no crystal map.
    ValueError
        If an argument is out of its range, the map has no points, a phase has no point group, or
        the grid is not rectangular.

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap
    >>> from orix.quaternion import Rotation
    >>> turns = Rotation.from_axes_angles([0, 0, 1], np.deg2rad([0, 1, 2, 30, 31, 32]))
    >>> xmap = CrystalMap(turns)
    >>> xmap.phases[0].point_group = "m-3m"
    >>> grains = find_grains(xmap)
    >>> grains.labels
    array([0, 0, 0, 1, 1, 1])
    >>> grains.orientation_spread
    array([0.667, 0.667])
    """
    from orix.crystal_map import CrystalMap

    check_type("xmap", xmap, CrystalMap, "Look at the maps of a list one by one.")
    check_positive("threshold", threshold, remedy="It is in degrees.")
    check_positive("min_size", min_size, integer=True, remedy="It is a number of points.")
    check_choice("small", small, ("drop", "merge"))
    group = group or getattr(xmap, "group", "Laue")
    grid = PointGrid.of(xmap)
    pairs, angles = pairs_of_one_phase(xmap, grid.pairs(connectivity), group)
    regions = _connected(xmap, pairs[angles < threshold])
    labels = merge_small(regions, pairs, min_size) if small == "merge" else regions
    labels = drop_small(labels, min_size)
    return Grains(
        xmap, labels, float(threshold), connectivity, group, _taken_up(labels, regions, min_size)
    )


def _connected(xmap: CrystalMap, pairs: np.ndarray) -> np.ndarray:
    """Return the region of every point in the data, -1 where it is not indexed."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), dtype=bool), pairs.T), shape=(xmap.size,) * 2)
    _, regions = connected_components(links, directed=False)
    return drop_small(np.where(xmap.is_indexed, regions, -1), 1)


def _taken_up(labels: np.ndarray, regions: np.ndarray, min_size: int) -> np.ndarray:
    """Return which points of grains came from a region that was too small for one."""
    inside = labels >= 0
    small = np.bincount(regions[regions >= 0]) < min_size
    return inside & np.append(small, False)[regions]
