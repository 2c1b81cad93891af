"""Small crystal maps on a grid, for tests that compare maps."""

from __future__ import annotations

import numpy as np

from pyxem_cnn.maps.building import build_crystal_map
from tests._crystals import crystal


def grid_map(
    quaternions, names=("cubic",), phase_ids=0, step=2.5, origin=(0, 0), unit="nm", **kwargs
):
    """Return a map of orientations of shape (rows, columns, 4); origin is (x, y)."""
    rows, columns = np.shape(quaternions)[:2]
    y, x = np.mgrid[:rows, :columns] * float(step)
    coordinates = {"x": x.ravel() + origin[0], "y": y.ravel() + origin[1], "scan_unit": unit}
    return build_crystal_map(
        np.reshape(quaternions, (-1, 4)),
        np.broadcast_to(phase_ids, (rows, columns)).ravel().astype(int),
        [crystal(name) if isinstance(name, str) else name for name in names],
        coordinates=coordinates,
        **kwargs,
    )


def grain_orientations(orientations, shape=(8, 9)):
    """Return orientations (rows, columns, 4) of grains that are stripes of three columns each."""
    columns = np.minimum(np.arange(shape[1]) // 3, len(orientations) - 1)
    return np.tile(np.asarray(orientations)[columns], (shape[0], 1, 1))
