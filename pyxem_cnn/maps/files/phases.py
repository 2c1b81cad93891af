"""Phases of map files: point groups set right for their cell, or replaced by known phases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxem_cnn._checks import check_choice, given_expected
from pyxem_cnn.maps.disorientation import has_same_cell

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

    from pyxem_cnn.phases import CrystalStructure

    PhaseLike = CrystalStructure | Phase | str | Path

__all__ = ["repair_point_groups", "replace_phases"]

# How far an operation may miss the lattice, as a share of a cell: more than cells are rounded by,
# less than the 0.0085 by which the monoclinic cell of VO2 misses being orthorhombic.
_LATTICE_TOLERANCE = 0.005
# orix's names of settings, and the name of the type of group.
_TYPES = {"211": "2", "121": "2", "112": "2", "m11": "m", "1m1": "m", "11m": "m"}
_TYPES |= {"321": "32", "312": "32"}


def repair_point_groups(xmap: CrystalMap) -> list[str]:
    """Put the point groups of a map's phases into the setting of their cells, in place.

    Files hold the name of a group only, and orix takes its own group of that name: its monoclinic
    axis is along c. Where this does not fit the cell, the setting that does is taken.

    Parameters
    ----------
    xmap
        The map, as read from a file.

    Returns
    -------
    notes
        What was done, and what the file leaves open, one sentence each.
    """
    from pyxem_cnn.crystal.orix_symmetry import fits_lattice

    notes = []
    for phase_id, phase in xmap.phases:
        if phase_id < 0:
            continue
        if phase.point_group is None:
            notes.append(f"{phase.name}: the file names no point group; it needs phases=.")
        elif not fits_lattice(phase, _LATTICE_TOLERANCE):
            notes.append(_repaired(phase))
        elif phase.point_group.laue.name == "-3m":
            notes.append(
                f"{phase.name}: two-fold axes taken along a, as in R-3m and P-3m1; the file does "
                "not tell. For P-31m, give the phase by phases=."
            )
    return notes


def _repaired(phase: Phase) -> str:
    """Set the point group of this phase to one that fits its cell, if there is one; say so."""
    import gemmi

    from pyxem_cnn.crystal.orix_symmetry import point_group_from_matrices
    from pyxem_cnn.crystal.symmetry import (
        basis_matrix,
        cartesian,
        metric_misfit,
        operations_from_gemmi,
        point_group,
    )

    name = phase.point_group.name.split(":")[0]
    cell = phase.structure.lattice.abcABG()
    for group in gemmi.spacegroup_table():
        if group.point_group_hm() != _TYPES.get(name, name):
            continue
        operations = operations_from_gemmi(group.operations())
        if metric_misfit(cell, operations) < 1:
            matrices = cartesian(point_group(operations.rotations), basis_matrix(cell))
            phase.space_group = None  # else orix derives the point group from it
            phase.point_group = point_group_from_matrices(matrices)
            return f"{phase.name}: axes of {name} set to those of its cell, as in {group.xhm()}."
    return (
        f"{phase.name}: the point group {name} does not fit its cell "
        f"{tuple(float(round(x, 3)) for x in cell)} in any setting; it needs phases=."
    )


def replace_phases(
    xmap: CrystalMap, phases: PhaseLike | Mapping[str, PhaseLike] | Iterable[PhaseLike]
) -> None:
    """Replace the phases of a map by known ones, in place.

    Parameters
    ----------
    xmap
        The map, as read from a file.
    phases
        Crystal structures, orix phases or paths of .cif files. By the name that the file gives to
        the phase, or else each takes the place of those phases that have its cell.

    Raises
    ------
    ValueError
        If a phase has no place.
    """
    from orix.crystal_map import PhaseList

    in_file = {i: phase for i, phase in xmap.phases if i >= 0}
    if isinstance(phases, Mapping):
        known = _by_name(in_file, phases)
    else:
        one = isinstance(phases, str | Path) or not isinstance(phases, Iterable)
        known = _by_cell(in_file, [phases] if one else phases)  # type: ignore[list-item, arg-type]
    xmap.phases = PhaseList({i: known.get(i, phase) for i, phase in xmap.phases})


def _by_name(in_file: dict[int, Phase], phases: Mapping[str, PhaseLike]) -> dict[int, Phase]:
    """Return the known phases by the ids of those of the file that have their names."""
    known = {}
    for name, phase in phases.items():
        check_choice("phases", name, [p.name for p in in_file.values()])
        known |= {i: _as_phase(phase) for i, p in in_file.items() if p.name == name}
    return known


def _by_cell(in_file: dict[int, Phase], phases: Iterable[PhaseLike]) -> dict[int, Phase]:
    """Return the known phases by the ids of those of the file that have their cells."""
    known = {}
    for given in phases:
        phase = _as_phase(given)
        same = [i for i, p in in_file.items() if has_same_cell(p, phase)]
        if not same:
            cells = "; ".join(f"{p.name} {_cell(p)}" for p in in_file.values())
            raise ValueError(
                given_expected(
                    "phases",
                    f"{phase.name} {_cell(phase)}",
                    f"a phase with a cell of the file within 2 percent ({cells})",
                    "Name the phase of the file that it replaces: phases={'name': ...}.",
                )
            )
        known |= {i: phase.deepcopy() for i in same}
    return known


def _as_phase(phase: Any) -> Phase:
    """Return an orix phase of whatever describes it."""
    from orix.crystal_map import Phase

    from pyxem_cnn.phases import as_crystal_structure

    return phase if isinstance(phase, Phase) else as_crystal_structure(phase).to_phase()


def _cell(phase: Phase) -> str:
    return "(" + ", ".join(f"{x:g}" for x in phase.structure.lattice.abcABG()) + ")"
