"""Writing of crystal maps to .h5, .ang, .ctf and .csv files, as a whole or not at all."""

from __future__ import annotations

import copy
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_type, given_expected
from pyxem_cnn.maps._tables import check_output_path, whole_or_nothing, write_csv
from pyxem_cnn.maps.files.crystal_axes import OURS, with_crystal_axes
from pyxem_cnn.maps.files.ctf import write_ctf
from pyxem_cnn.maps.files.point_table import point_columns, point_header

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["check_map_path", "save_crystal_map"]

SUFFIXES = (".h5", ".ang", ".ctf", ".csv")


def save_crystal_map(
    xmap: CrystalMap,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    crystal_axes: str = OURS,
) -> Path:
    """Write a crystal map to a file.

    - .h5 (orix's own format) keeps everything: all orientations of a point, all properties, phase
      ids, and which points were left out.
    - .ang (EDAX OIM, MTEX) keeps the best orientation of every point to 0.001 degrees, the best
      score as confidence index, and the other properties with one number for each point as extra
      columns. Euler angles are in radians, coordinates in the scan's unit, though readers take
      them for micrometres. It knows no left-out points: they are not indexed.
    - .ctf (Oxford Instruments, MTEX) keeps the best orientation to 0.0001 degrees, and score and
      reliability as whole numbers from 0 to 255 in the columns BC and BS. Euler angles are in
      degrees, coordinates in micrometres. Not indexed points have the error 3, left-out ones 5.
    - .csv is a table for everything else: all orientations, as angles and as quaternions, and all
      properties, under lines that name frame and units.

    ``orix.io.load`` reads all but the .csv. In .ang and .ctf, coordinates count from the first
    point, and phase ids from 1 in the order of those phases that occur. The first three keep only
    the *name* of a group (.ctf: the Laue group's), and orix takes its own group of that name.
    Where this has its axes elsewhere, as in monoclinic phases, a warning says so.

    Parameters
    ----------
    xmap
        The map, of one or two dimensions.
    path
        Where to, ending in one of these four. The folder has to exist.
    overwrite
        Whether to replace a file that is there already.
    crystal_axes
        How the Cartesian axes that the orientations in the file refer to lie in the crystals.
        "x||a, z||c*" as in this package and orix, which reads nothing else; or "x||a*, z||c" for
        programs that expect it, not for .h5. The two differ in hexagonal, trigonal, monoclinic
        and triclinic cells.

    Returns
    -------
    path
        Where it was written.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the path ends in something else, the map is a single point (but for .csv), or, for
        .ang, has no indexed points or a single column.

    Warns
    -----
    UserWarning
        If a phase's point group will have other axes when the file is read, or a property does
        not fit into a table.
    """
    from orix.crystal_map import CrystalMap

    check_type("xmap", xmap, CrystalMap, "Save the maps of a list one by one.")
    path = check_map_path(path, overwrite)
    _check_shape(xmap, path.suffix)
    if path.suffix == ".h5" and crystal_axes != OURS:
        raise ValueError(given_expected("crystal_axes", crystal_axes, f"{OURS!r} for .h5"))
    turned = with_crystal_axes(xmap, crystal_axes)
    if path.suffix == ".csv":
        header = point_header(xmap, crystal_axes)
        return write_csv(path, point_columns(turned), header, overwrite)
    for _, phase in xmap.phases:
        _warn_of_lost_axes(phase, path.suffix)
    with whole_or_nothing(path) as temporary:
        if path.suffix == ".ctf":
            write_ctf(turned, temporary, crystal_axes)
        else:
            _write_with_orix(turned, temporary)
        check_map_path(path, overwrite)
    return path


def check_map_path(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Return the path of a map to be written, refusing what could not be written there.

    Parameters
    ----------
    path
        Where to write a map.
    overwrite
        Whether an existing file may be replaced.

    Returns
    -------
    path

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the path ends in something else than .h5, .ang, .ctf or .csv.
    """
    return check_output_path(path, SUFFIXES, overwrite)


def _check_shape(xmap: CrystalMap, suffix: str) -> None:
    """Raise for maps that orix cannot write or read back."""
    if not np.any(xmap.is_in_data):
        raise ValueError("xmap: got no points in the data, expected some. Every one is masked.")
    points = xmap.is_in_data.size if suffix == ".h5" else np.prod(xmap.shape)
    if points == 1 and suffix != ".csv":
        expected = "a line or a map. Only .csv files hold less"
        raise ValueError(f"xmap: got a single point, expected {expected}.")
    if suffix != ".ang":
        return
    if not np.any(xmap.is_indexed):
        raise ValueError("xmap: got no indexed point, of which .ang keeps nothing. Use .h5.")
    # orix takes such a column for a row, and loses its coordinates.
    if xmap._x is None or np.ptp(xmap._x) == 0:
        expected = "several columns for .ang"
        raise ValueError(given_expected("shape of xmap", xmap.shape, expected, "Use .h5."))


def _warn_of_lost_axes(phase: Any, suffix: str) -> None:
    """Warn if orix's group of the same name has its axes elsewhere."""
    from orix.crystal_map import Phase

    from pyxem_cnn.crystal.orix_symmetry import same_matrices, symmetry_matrices

    group = phase.point_group
    if group is None:
        return
    # What the files know of a group.
    if suffix == ".ang":
        group = group.proper_subgroup
    elif suffix == ".ctf":
        group = group.laue
    by_name = Phase(point_group=group.name.split(":")[0]).point_group
    if not same_matrices(symmetry_matrices(group), symmetry_matrices(by_name)):
        warnings.warn(
            f"Files keep only the name {group.name!r} of the point group of {phase.name!r}, and "
            "orix's group of that name has its axes elsewhere. The orientations are right. Load "
            "the file with pyxem_cnn.load_crystal_map, or set the group again after orix.io.load: "
            f"loaded.phases[{phase.name!r}].point_group = model.phase.point_group",
            UserWarning,
            stacklevel=3,
        )


def _for_ang(xmap: CrystalMap) -> tuple[CrystalMap, dict[str, Any]]:
    """Return a map without NaN in its properties, and what orix's writer is told."""
    from orix.crystal_map import CrystalMapProperties

    cleaned, extra = {}, []
    # The arrays of all points: through xmap.prop one gets those in the data only.
    for name, values in dict.items(xmap.prop):
        if values.dtype.kind not in "biuf":
            continue
        # NaN has no width in a table of fixed columns.
        cleaned[name] = np.nan_to_num(values) if values.dtype.kind == "f" else values.astype(int)
        if name != "scores" and values.ndim == 1:
            extra.append(name)
    # Not xmap.deepcopy(): with points left out, orix 0.15 cannot always copy the properties.
    copied = copy.copy(xmap)
    copied._prop = CrystalMapProperties(cleaned, id=xmap._id, is_in_data=xmap.is_in_data)
    return copied, {"extra_prop": extra or None}


def _write_with_orix(xmap: CrystalMap, path: Path) -> None:
    from orix import io

    options: dict[str, Any] = {}
    if path.suffix == ".ang":
        xmap, options = _for_ang(xmap)
    with warnings.catch_warnings():
        # orix stops at the first property that it cannot write, and leaves out all others.
        warnings.filterwarnings("error", "The orix HDF5 writer could not write")
        io.save(str(path), xmap, overwrite=True, **options)
