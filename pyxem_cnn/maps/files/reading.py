"""Reading of crystal maps from files, with what the formats lose put right or said."""

from __future__ import annotations

import contextlib
import io as text_io
import logging
import os
import warnings
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_type, given_expected
from pyxem_cnn.maps.comparison.frames import frame_quaternion
from pyxem_cnn.maps.files.crystal_axes import OURS
from pyxem_cnn.maps.files.foreign_axes import differ_in, from_crystal_axes
from pyxem_cnn.maps.files.phases import repair_point_groups, replace_phases

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap
    from orix.quaternion import Quaternion

    from pyxem_cnn.maps.files.phases import PhaseLike

__all__ = ["as_crystal_map", "load_crystal_map"]

_logger = logging.getLogger(__name__)

_SUFFIXES = (".ang", ".ctf", ".h5", ".hdf5")
_UNITS = {
    ".ang": "Files .ang do not hold the unit of the scan: {unit} is a guess of the reader.",
    ".ctf": "Files .ctf are in micrometres by definition; some programs write other units.",
}


def load_crystal_map(
    path: str | os.PathLike[str],
    *,
    phases: PhaseLike | Mapping[str, PhaseLike] | Iterable[PhaseLike] | None = None,
    frame: str | Quaternion | np.ndarray = "lab",
    crystal_axes: str = OURS,
    threshold: tuple[str, float] | None = None,
    origin: tuple[float, float] | None = None,
) -> CrystalMap:
    """Read a crystal map that orix, EDAX, Oxford, Bruker, ASTAR, EMsoft or MTEX wrote.

    ``orix.io.load`` reads the file. What the format loses is put right where the file tells
    enough, and is said otherwise: in the map's attribute ``notes``, one sentence each, and in the
    log at the level INFO.

    - *Point groups.* Files hold the name only. Where orix's group of this name does not fit the
      cell, as in monoclinic phases, the setting that fits is taken. .ang files know the rotations
      of a group only.
    - *Frame.* Euler angles are Bunge's, from a frame that files do not name to the crystal. By
      default it is taken to be our lab frame: x right along the columns of the scan, y up, z
      towards the source.
    - *Crystal axes*, which the angles lead to, are taken to be orix's and ours: x along a, z along
      c*. Programs differ in hexagonal, trigonal, monoclinic and triclinic cells.
    - *Place.* .ang and .ctf files of orix and of this package count coordinates from their first
      point: give `origin` for a cropped map.
    - *Atoms* are in no such file; give `phases` to compare modulo pseudo-symmetric twins.

    Parameters
    ----------
    path
        The file, ending in .ang, .ctf, .h5 or .hdf5.
    phases
        Known phases to take the place of the file's: crystal structures, orix phases or paths of
        .cif files. Each replaces the phases with its cell, or that of its name if given as a
        dictionary.
    frame
        The frame of the file's angles: "lab"; "image" for x right, y down, z away from the source;
        or any rotation, of orix or as four numbers, that takes vectors from our lab frame to that
        of the file. It is multiplied to the orientations on the lab side.
    crystal_axes
        The axes in the crystals that the file's angles lead to: "x||a, z||c*" (orix, EDAX but for
        monoclinic and triclinic cells) or "x||a*, z||c" (Oxford).
    threshold
        Name of a property and the least value that a point has to have, ("ci", 0.1) for example;
        points below, and those without a value, are then not indexed. Files of ASTAR mark no
        points as not indexed.
    origin
        Scan coordinates (x, y) of the first point. By default, as in the file.

    Returns
    -------
    crystal_map
        Orientations lab to crystal. Not indexed points have the phase id -1.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If `threshold` or `origin` is no such pair.
    ValueError
        If it cannot be read, or an argument does not fit to it.

    Warns
    -----
    UserWarning
        If a phase has no point group that fits its cell.

    Examples
    --------
    >>> from pyxem_cnn import load_crystal_map
    >>> ref = load_crystal_map("astar.ang", threshold=("rel", 0.05))  # doctest: +SKIP
    """
    path = Path(check_type("path", path, (str, os.PathLike))).expanduser()
    remedy = (
        f"Those of {path.name} are not read. Save maps as .h5, .ctf or .ang to read them again."
    )
    check_choice("Suffix of the map file", path.suffix.lower(), _SUFFIXES, remedy)
    quaternion = frame_quaternion(frame)
    _check_pair("threshold", threshold, (str, Real), "(name, least value), such as ('ci', 0.1)")
    _check_pair("origin", origin, (Real, Real), "the scan coordinates (x, y) of the first point")
    xmap = _read(path)
    notes = []
    if path.suffix.lower() in _UNITS:
        notes.append(_UNITS[path.suffix.lower()].format(unit=xmap.scan_unit))
    if phases is not None:
        replace_phases(xmap, phases)
    notes += repair_point_groups(xmap)
    for note in notes:
        if "needs phases=" in note:
            warnings.warn(f"{path.name}: {note}", UserWarning, stacklevel=2)
    from_crystal_axes(xmap, crystal_axes)
    _turn(xmap, quaternion)
    if threshold is not None:
        notes.append(_apply_threshold(xmap, threshold))
    if origin is not None:
        _move(xmap, origin)
    notes += [*_marked_points(xmap), _axes_in_words(xmap, frame, crystal_axes)]
    xmap.frame, xmap.notes = "detector", tuple(notes)
    _logger.info("Read %s. %s", path, " ".join(notes))
    return xmap


def as_crystal_map(name: str, obj: Any) -> CrystalMap:
    """Return the crystal map of a map, a pyxem result of template matching, or a file.

    Parameters
    ----------
    name
        What messages call it.
    obj
        An orix ``CrystalMap``, a pyxem ``OrientationMap`` or the path of a file.

    Raises
    ------
    TypeError
        If it is something else.
    """
    from orix.crystal_map import CrystalMap

    if isinstance(obj, str | os.PathLike):
        return load_crystal_map(obj)
    if any(kind.__name__ == "OrientationMap" for kind in type(obj).__mro__):
        from pyxem_cnn.maps.templates.orientation_map import orientation_map_to_crystal_map

        return orientation_map_to_crystal_map(obj)
    remedy = (
        "Give an orix CrystalMap, a pyxem OrientationMap or the path of a map; of a list of maps, "
        "one by one; a prediction as prediction.to_crystal_map()."
    )
    return check_type(name, obj, CrystalMap, remedy)


def _read(path: Path) -> CrystalMap:
    """Return what orix reads, without what it prints."""
    from orix import io

    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    printed = text_io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            xmap = io.load(str(path))
    except (KeyError, IndexError, OSError, TypeError, UnicodeDecodeError, ValueError) as error:
        remedy = "Is it a map, whole, and of the format that its name ends in?"
        raise ValueError(f"{path} could not be read by orix: {error!r}. {remedy}") from error
    _logger.debug("orix: %s", printed.getvalue())
    return xmap


def _check_pair(name: str, pair: Any, types: tuple[type, type], expected: str) -> None:
    """Raise a TypeError unless an argument is None or a pair of these types."""
    if pair is None:
        return
    is_pair = isinstance(pair, tuple | list | np.ndarray) and len(pair) == 2
    if not is_pair or not all(map(isinstance, pair, types)):
        raise TypeError(given_expected(name, pair, expected))


def _turn(xmap: CrystalMap, quaternion: np.ndarray) -> None:
    """Multiply all orientations by a rotation on the lab side, in place."""
    from orix.quaternion import Rotation

    from pyxem_cnn.rotations import multiply

    xmap._rotations = Rotation(multiply(xmap._rotations.data, quaternion))


def _move(xmap: CrystalMap, origin: tuple[float, float]) -> None:
    """Shift the scan coordinates so that the first point lies at the origin (x, y), in place."""
    for name, first in zip(("_x", "_y"), origin, strict=True):
        values = getattr(xmap, name)
        if values is not None:
            setattr(xmap, name, values - values.min() + float(first))


def _axes_in_words(xmap: CrystalMap, frame: Any, crystal_axes: str) -> str:
    """Return which frame and, where it matters, which crystal axes were taken."""
    said = repr(frame) if isinstance(frame, str) else "the given one"
    text = f"The frame of its angles, which no file tells, is taken to be {said}"
    if any(differ_in(phase) for phase_id, phase in xmap.phases if phase_id >= 0):
        text += f", and the crystals' axes {crystal_axes}"
    return f"{text}."


def _apply_threshold(xmap: CrystalMap, threshold: tuple[str, float]) -> str:
    """Mark points below a value as not indexed; return what was done."""
    name, least = threshold
    check_choice("threshold", name, list(xmap.prop))
    values = np.asarray(xmap.prop[name], dtype=float)
    if values.ndim != 1:
        expected = "a property with one number for each point"
        raise ValueError(given_expected(f"threshold, {name}", values, expected))
    below = ~(values >= least) & (xmap.phase_id >= 0)
    # orix's setter takes one id for all points.
    xmap._phase_id[np.flatnonzero(xmap.is_in_data)[below]] = -1
    if below.any() and -1 not in xmap.phases.ids:
        xmap.phases.add_not_indexed()
    return f"{np.count_nonzero(below)} points with {name} below {least:g} are not indexed."


def _marked_points(xmap: CrystalMap) -> list[str]:
    """Return a note if indexed points carry ASTAR's or EDAX's mark of a bad point."""
    for name in ("rel", "ci"):
        if name in xmap.prop:
            marked = np.count_nonzero((xmap.prop[name] == -1) & (xmap.phase_id >= 0))
            if marked:
                return [
                    f"{marked} points count as indexed although {name} is -1; "
                    f"threshold=({name!r}, 0) leaves them out."
                ]
    return []
