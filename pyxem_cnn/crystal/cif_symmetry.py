"""The space group of a .cif file: operations, symbol and number, compared with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pyxem_cnn.crystal import symmetry
from pyxem_cnn.crystal.cif_block import number_value, text_value
from pyxem_cnn.crystal.expansion import Report

_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_SYMBOL = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M")
_NUMBER = ("_space_group_IT_number", "_symmetry_Int_Tables_number")


def read_space_group(
    block: Any, lattice: tuple[float, ...], override: int | str | None, path: Path, report: Report
) -> tuple[Any, str, symmetry.Operations]:
    """Return the space group that a file means.

    Parameters
    ----------
    block
        A ``gemmi.cif.Block``.
    lattice
        Cell lengths and angles, which decide between hexagonal and rhombohedral axes.
    override
        Number or symbol to use in place of what the file says.
    path
        The file, for messages.
    report
        Receives what is worth telling.

    Returns
    -------
    space_group
        A ``gemmi.SpaceGroup``, perhaps in another setting than the operations.
    symbol
        The symbol in the setting of the file.
    operations
        All operations, centring included.

    Raises
    ------
    ValueError
        If there is no space group, or if the file contradicts itself.
    """
    if override is not None:
        report.notes.append(f"space group {override} from the argument, not from the file")
        group = symmetry.find_space_groups(override, lattice)[0]
        return group, group.xhm(), symmetry.operations_from_gemmi(group.operations())
    named = _named_groups(block, lattice)
    operations = _listed_operations(block, path) or _hall_operations(block)
    if operations is not None:
        report.notes.append(f"{len(operations[0])} symmetry operations from the file")
        return _identify(operations, named, path, report)
    if not named:
        raise ValueError(
            f"{path.name}: got neither symmetry operations nor a space group that is known, "
            "expected one of them. Give it as space_group='P 63 m c' (symbol) or 186 (number)."
        )
    _refuse_contradiction(named, path)
    source, group = next(iter(named.items()))
    report.notes.append(f"symmetry operations of {group.xhm()}, from the file's {source}")
    if group.ext == "1":
        report.warnings.append(
            f"{path.name} gives space group {group.hm} without its origin choice; choice 1 is "
            f"taken. If that is wrong, read it with space_group='{group.hm}:2'."
        )
    return group, group.xhm(), symmetry.operations_from_gemmi(group.operations())


def _named_groups(block: Any, lattice: tuple[float, ...]) -> dict[str, Any]:
    """Return the space groups that the file names, by where it names them."""
    import gemmi

    groups: dict[str, Any] = {}
    symbol, number = text_value(block, _SYMBOL), number_value(block, *_NUMBER)
    if symbol:
        groups["symbol"] = gemmi.find_spacegroup_by_name(symbol, lattice[3], lattice[5])
    if number:
        groups["number"] = gemmi.find_spacegroup_by_number(int(number))
    return {source: group for source, group in groups.items() if group is not None}


def _refuse_contradiction(named: dict[str, Any], path: Path) -> None:
    """Refuse a file whose symbol and number name two space groups."""
    if len({group.number for group in named.values()}) < 2:
        return
    told = " and ".join(f"{g.xhm()} (number {g.number}) as {s}" for s, g in named.items())
    raise ValueError(
        f"{path.name}: got {told}, expected one space group. Give the right one as space_group=."
    )


def _listed_operations(block: Any, path: Path) -> symmetry.Operations | None:
    """Return the file's list of symmetry operations."""
    import gemmi

    texts = next((list(block.find_values(t)) for t in _OPERATIONS if block.find_values(t)), [])
    if not texts:
        return None
    try:
        listed = [gemmi.Op(gemmi.cif.as_string(text)) for text in texts]
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path.name}: got symmetry operations that cannot be read ({error}), expected texts "
            "such as '-x+y, y, z+1/2'. Correct them, or give space_group= in their place."
        ) from error
    operations = symmetry.operations_from_gemmi(listed)
    if symmetry.is_group(operations):
        return operations
    raise ValueError(
        f"{path.name}: got a list of {len(listed)} symmetry operations that is not closed, "
        "expected a complete group. Some are missing or wrong: correct them, or give space_group= "
        "in their place."
    )


def _hall_operations(block: Any) -> symmetry.Operations | None:
    """Return the operations that the Hall symbol of the file generates."""
    import gemmi

    hall = text_value(block, _HALL)
    try:
        return symmetry.operations_from_gemmi(gemmi.symops_from_hall(hall)) if hall else None
    except (RuntimeError, ValueError):
        return None


def _identify(
    operations: symmetry.Operations, named: dict[str, Any], path: Path, report: Report
) -> tuple[Any, str, symmetry.Operations]:
    """Return the space group of the operations, after comparing it with what the file names."""
    import gemmi

    found = next((g for g in gemmi.spacegroup_table() if _is_table_entry(g, operations)), None)
    if found is not None:
        for source, group in named.items():
            if group.number != found.number:
                raise ValueError(
                    f"{path.name}: got symmetry operations of {found.xhm()} (number "
                    f"{found.number}) and {group.xhm()} (number {group.number}) as {source}, "
                    "expected one space group. Give the right one as space_group=."
                )
        return found, found.xhm(), operations
    _refuse_contradiction(named, path)
    if not named:
        raise ValueError(
            f"{path.name}: got {len(operations[0])} symmetry operations in a setting that is not "
            "tabulated, and no name, expected a known space group. Add "
            "_space_group_IT_number to the file."
        )
    group = next(iter(named.values()))
    shift = symmetry.origin_shift(operations, symmetry.operations_from_gemmi(group.operations()))
    if shift is None:
        report.warnings.append(
            f"{path.name}: the symmetry operations could not be compared with {group.xhm()}, "
            "because the cell is no tabulated setting; they are used as they are."
        )
        return group, f"{group.xhm()} (setting of the file)", operations
    report.notes.append(f"origin differs from {group.xhm()} by {np.round(shift, 4).tolist()}")
    return group, f"{group.xhm()} (origin of the file)", operations


def _is_table_entry(group: Any, operations: symmetry.Operations) -> bool:
    """Return whether the operations are exactly those of a tabulated setting."""
    tabulated = group.operations()
    if len(tabulated) != len(operations.rotations):
        return False
    return symmetry.same_operations(symmetry.operations_from_gemmi(tabulated), operations)
