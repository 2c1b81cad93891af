"""Writing of .ctf files (Channel Text File), which orix reads and does not write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._version import __version__
from pyxem_cnn.maps.building import NOT_INDEXED
from pyxem_cnn.maps.grains.neighbours import PointGrid
from pyxem_cnn.maps.units import NANOMETRES

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

__all__ = ["LAUE_NUMBERS", "write_ctf"]

LAUE_NUMBERS = {
    name: number
    for number, name in enumerate(
        ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m"), start=1
    )
}
"""Number of each Laue group in .ctf files."""

_COLUMNS = "Phase X Y Bands Error Euler1 Euler2 Euler3 MAD BC BS".split()
_FORMATS = "%d %.6f %.6f %d %d %.5f %.5f %.5f %.4f %d %d".split()
_NO_SOLUTION, _NOT_ANALYSED = 3, 5


def write_ctf(xmap: CrystalMap, path: Path, crystal_axes: str) -> None:
    """Write a crystal map to a .ctf file.

    Every cell of the smallest rectangle around the points in the data gets a line. Euler angles
    are Bunge's in degrees. Points that are not indexed have the phase 0 and the error 3 ("no
    solution"), left-out ones the phase 0 and the error 5 ("not yet analysed"). Coordinates count
    from the first point and are in micrometres if the scan's unit is a known length, as it is
    otherwise. BC is the best score and BS the reliability, scaled to whole numbers from 0 to 255;
    Bands and MAD are 0.

    Parameters
    ----------
    xmap
        The map, of one or two dimensions on a rectangular grid.
    path
        Where to write.
    crystal_axes
        How the Cartesian axes lie in the crystals, which is noted beside each phase.

    Raises
    ------
    ValueError
        If the grid is not rectangular, or a phase has no point group.
    """
    grid = PointGrid.of(xmap)
    phases = [(i, phase) for i, phase in xmap.phases if i != NOT_INDEXED]
    numbers = {i: number for number, (i, _) in enumerate(phases, start=1)}
    header = [*_header(xmap, grid), f"Phases\t{len(phases)}"]
    header += [_phase_line(phase, crystal_axes) for _, phase in phases]
    header.append("\t".join(_COLUMNS))
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"{line}\r\n" for line in header)
        table = _table(xmap, grid, numbers)
        np.savetxt(file, table, fmt=_FORMATS, delimiter="\t", newline="\r\n")


def _header(xmap: CrystalMap, grid: PointGrid) -> list[str]:
    """Return the lines above those of the phases."""
    rows, columns = grid.index.shape
    dx, dy = (step * _scale(xmap) for step in grid.step)
    frame = getattr(xmap, "frame", "detector")
    instrument = "Mag 0 Coverage 100 Device 0 KV 0 TiltAngle 0 TiltAxis 0".replace(" ", "\t")
    return [
        "Channel Text File",
        f"Prj\tEuler angles: {frame} frame, x right, y up, z towards the source; X right, Y down",
        f"Author\tpyxem_cnn {__version__}",
        "JobMode\tGrid",
        f"XCells\t{columns}",
        f"YCells\t{rows}",
        f"XStep\t{dx:.6f}",
        f"YStep\t{dy:.6f}",
        *(f"AcqE{i}\t0" for i in (1, 2, 3)),
        f"Euler angles refer to Sample Coordinate system (CS0)!\t{instrument}",
    ]


def _phase_line(phase: Phase, crystal_axes: str) -> str:
    """Return cell, name, Laue group, space group (0 if unknown) and a note."""
    if phase.point_group is None:
        raise ValueError(
            f"Phase {phase.name!r} has no point group, of which .ctf files hold the Laue group. "
            f"Set it: xmap.phases[{phase.name!r}].point_group = 'm-3m'"
        )
    a, b, c, *angles = (float(value) for value in phase.structure.lattice.abcABG())
    lengths = ";".join(f"{value:.4f}" for value in (a, b, c))
    laue = LAUE_NUMBERS[phase.point_group.laue.name.split(":")[0]]
    space_group = 0 if phase.space_group is None else phase.space_group.number
    name = " ".join(phase.name.split()) or "phase"  # a tab would end the field
    corners = ";".join(f"{value:.4f}" for value in angles)
    return f"{lengths}\t{corners}\t{name}\t{laue}\t{space_group}\t\t\t{crystal_axes}"


def _table(xmap: CrystalMap, grid: PointGrid, numbers: dict[int, int]) -> np.ndarray:
    """Return the numbers of all cells, shape (cells, 11)."""
    point = grid.index.ravel()
    there = point >= 0
    row, column = np.indices(grid.index.shape).reshape(2, -1)
    table = np.zeros((point.size, len(_COLUMNS)))
    values = dict(zip(_COLUMNS, table.T, strict=True))  # views
    dx, dy = (step * _scale(xmap) for step in grid.step)
    values["X"][:], values["Y"][:] = column * dx, row * dy
    phase = np.array([numbers.get(int(i), 0) for i in xmap.phase_id])
    values["Phase"][there] = phase[point[there]]
    values["Error"][:] = np.where(there, _NO_SOLUTION, _NOT_ANALYSED)
    indexed = values["Phase"] > 0
    values["Error"][indexed] = 0
    chosen = point[indexed]
    euler = xmap.rotations.reshape(xmap.size, -1)[chosen, 0].to_euler(degrees=True)
    for i in range(3):
        values[f"Euler{i + 1}"][indexed] = euler.reshape(-1, 3)[:, i]
    values["BC"][indexed] = _bytes(xmap, "scores", 1.0)[chosen]
    values["BS"][indexed] = _bytes(xmap, "reliability", 100.0)[chosen]
    return table


def _bytes(xmap: CrystalMap, name: str, full: float) -> np.ndarray:
    """Return a property of the best orientation, 255 at `full` or at its maximum above that."""
    if name not in xmap.prop:
        return np.zeros(xmap.size)
    values = np.asarray(xmap.prop[name], dtype=float).reshape(xmap.size, -1)[:, 0]
    values = np.nan_to_num(values, posinf=0, neginf=0).clip(min=0)
    return np.round(255 * values / max(full, values.max()))


def _scale(xmap: CrystalMap) -> float:
    """Return how many micrometres the scan's unit has, 1 where it is no length."""
    return 1e-3 * NANOMETRES.get(xmap.scan_unit, 1e3)
