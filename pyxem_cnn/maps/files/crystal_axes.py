"""How the Cartesian axes of a crystal lie in its cell: ours, and the other one that files have.

Here, in orix and in diffsims, x lies along a and z along c* in every cell. Programs agree for
cubic, tetragonal and orthorhombic cells only. In hexagonal and trigonal ones, .ang files of EDAX
have x along a, .ctf files of Oxford Instruments have x along a*; in monoclinic ones both have x
along a* and z along c. That is how MTEX reads these files, too (``loadEBSD_ang``,
``loadEBSD_ctf`` and ``calcAxis`` of its crystal symmetries).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_choice
from pyxem_cnn.rotations import from_matrix, multiply

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

__all__ = ["CRYSTAL_AXES", "OURS", "turn_of_axes", "with_crystal_axes"]

OURS = "x||a, z||c*"
CRYSTAL_AXES = (OURS, "x||a*, z||c")


def with_crystal_axes(xmap: CrystalMap, crystal_axes: str) -> CrystalMap:
    """Return a map whose orientations refer to other Cartesian axes in the crystals.

    Parameters
    ----------
    xmap
        The map, with orientations in the axes of this package and of orix.
    crystal_axes
        "x||a, z||c*", which changes nothing, or "x||a*, z||c".

    Returns
    -------
    other
        For writing only: its phases, and all that orix derives from them, are still those of
        `xmap`.

    Raises
    ------
    ValueError
        If `crystal_axes` is something else.
    """
    from orix.quaternion import Rotation

    check_choice("crystal_axes", crystal_axes, CRYSTAL_AXES)
    if crystal_axes == OURS:
        return xmap
    data = np.array(xmap._rotations.data, dtype=np.float64)
    for phase_id, phase in xmap.phases:
        if phase_id >= 0:
            here = _of_phase(xmap, phase_id, data.shape[:-1])
            data[here] = multiply(turn_of_axes(phase, crystal_axes), data[here])
    # Not xmap.deepcopy(): with points left out, orix 0.15 cannot always copy the properties.
    other = copy.copy(xmap)
    other._rotations = Rotation(data)
    return other


def _of_phase(xmap: CrystalMap, phase_id: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return which orientations of all points are of a phase."""
    ids = dict.get(xmap.prop, "phase_ids", xmap._phase_id)
    if ids.shape != shape:
        ids = np.broadcast_to(xmap._phase_id.reshape(-1, *[1] * (len(shape) - 1)), shape)
    return ids == phase_id


def turn_of_axes(phase: Phase, crystal_axes: str) -> np.ndarray:
    """Return the rotation from our axes in a crystal (x || a, z || c*) to others.

    Parameters
    ----------
    phase
        With a cell.
    crystal_axes
        One of `CRYSTAL_AXES`.

    Returns
    -------
    quaternion
        Shape (4,). It takes vectors from our axes to the others, and orientations when it is
        multiplied on the crystal side.
    """
    if crystal_axes == OURS:
        return np.array([1.0, 0.0, 0.0, 0.0])
    lattice = phase.structure.lattice
    x, z = lattice.recbase[:, 0], lattice.base[2]  # orthogonal in every cell
    x, z = x / np.linalg.norm(x), z / np.linalg.norm(z)
    return from_matrix(np.stack([x, np.cross(z, x), z]))
