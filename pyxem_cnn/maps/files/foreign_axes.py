"""From crystal axes of other programs to ours: the way back from `crystal_axes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_choice
from pyxem_cnn.maps.files.crystal_axes import CRYSTAL_AXES, OURS, turn_of_axes
from pyxem_cnn.rotations import conjugate, multiply

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

__all__ = ["differ_in", "from_crystal_axes"]


def differ_in(phase: Phase) -> bool:
    """Return whether the programs' axes differ in a crystal, as in hexagonal cells."""
    turns = [turn_of_axes(phase, axes) for axes in CRYSTAL_AXES]
    return bool(np.min([abs(turn[0]) for turn in turns]) < 1 - 1e-9)


def from_crystal_axes(xmap: CrystalMap, crystal_axes: str) -> None:
    """Take the orientations of a map from other crystal axes to ours, in place.

    Parameters
    ----------
    xmap
        The map, as read from a file.
    crystal_axes
        The axes that its orientations refer to.

    Raises
    ------
    ValueError
        If they are unknown.
    """
    from orix.quaternion import Rotation

    check_choice("crystal_axes", crystal_axes, CRYSTAL_AXES)
    if crystal_axes == OURS:
        return
    data = np.array(xmap._rotations.data, dtype=np.float64)
    for phase_id, phase in xmap.phases:
        here = xmap._phase_id == phase_id
        if phase_id >= 0 and here.any():
            back = conjugate(turn_of_axes(phase, crystal_axes))
            data[here] = multiply(back, data[here])
    xmap._rotations = Rotation(data)
