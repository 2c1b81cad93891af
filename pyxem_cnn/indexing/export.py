"""Writing of crystal maps to .ang and .h5 files, as a whole or not at all."""

from __future__ import annotations

import copy
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_type, given_expected

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["check_map_path", "save_crystal_map"]

SUFFIXES = (".ang", ".h5")


def save_crystal_map(
    xmap: CrystalMap, path: str | os.PathLike[str], overwrite: bool = False
) -> Path:
    """Write a crystal map to a file that ``orix.io.load`` reads.

    - .h5 (orix's own format) keeps everything: all orientations of a point, all properties, phase
      ids, and which points were left out.
    - .ang (MTEX, EDAX OIM) keeps the best orientation of every point to 0.001 degrees, the best
      score as confidence index, and the other properties with one number for each point as extra
      columns. Euler angles are in radians. It knows no left-out points: they are not indexed.
      Phase ids count from 1, in the order of those phases that occur.

    Both keep only the *name* of a point group, and orix takes its own group of that name. Where
    this has its axes elsewhere, as in monoclinic phases, a warning says so.

    Parameters
    ----------
    xmap
        The map, of one or two dimensions.
    path
        Where to, ending in .ang or .h5. The folder has to exist.
    overwrite
        Whether to replace a file that is there already.

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
        If the path ends in something else, the map is a single point, or, for .ang, has no
        indexed points or a single column.

    Warns
    -----
    UserWarning
        If a phase's point group will have other axes when the file is read.
    """
    from orix.crystal_map import CrystalMap

    check_type("xmap", xmap, CrystalMap, "Save the maps of a list one by one.")
    path = check_map_path(path, overwrite)
    _check_shape(xmap, path.suffix)
    for _, phase in xmap.phases:
        _warn_of_lost_axes(phase, path.suffix)
    options: dict[str, Any] = {}
    if path.suffix == ".ang":
        xmap, options = _for_ang(xmap)
    # In the same folder, since renaming is only atomic within one file system.
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".map-") as folder:
        temporary = Path(folder) / path.name
        _write(xmap, temporary, options)
        check_map_path(path, overwrite)
        os.replace(temporary, path)
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
        If the path ends neither in .ang nor in .h5.
    """
    path = Path(check_type("path", path, (str, os.PathLike))).expanduser()
    check_choice("Suffix of the map file", path.suffix, SUFFIXES)
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder, expected the name of a file.")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists already. Choose another name, or overwrite it explicitly."
        )
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.absolute().parent}. Make it first.")
    return path


def _check_shape(xmap: CrystalMap, suffix: str) -> None:
    """Raise for maps that orix cannot write or read back."""
    if xmap.is_in_data.size == 1:
        raise ValueError("xmap: got a single point, expected a line or a map. Files hold no less.")
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
    if suffix == ".ang":
        group = group.proper_subgroup  # all that .ang files know
    by_name = Phase(point_group=group.name.split(":")[0]).point_group
    if not same_matrices(symmetry_matrices(group), symmetry_matrices(by_name)):
        warnings.warn(
            f"Files keep only the name {group.name!r} of the point group of {phase.name!r}, and "
            "orix's group of that name has its axes elsewhere. The orientations are right; after "
            "loading the map, set the point group of its phase again: "
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


def _write(xmap: CrystalMap, path: Path, options: dict[str, Any]) -> None:
    from orix import io

    with warnings.catch_warnings():
        # orix stops at the first property that it cannot write, and leaves out all others.
        warnings.filterwarnings("error", "The orix HDF5 writer could not write")
        io.save(str(path), xmap, overwrite=True, **options)
