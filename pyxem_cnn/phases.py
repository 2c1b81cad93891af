"""Reading of phases: .cif files, orix phases and diffpy structures become crystal structures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_type, given_expected
from pyxem_cnn.crystal import cif
from pyxem_cnn.crystal.checks import check_lattice, check_sites
from pyxem_cnn.crystal.expansion import Report
from pyxem_cnn.crystal.settings import choose_setting
from pyxem_cnn.crystal.structure import (
    CrystalStructure,
    build,
    tell,
)

if TYPE_CHECKING:
    from diffpy.structure import Structure
    from orix.crystal_map import Phase

__all__ = ["CrystalStructure", "as_crystal_structure", "read_cif"]


def read_cif(
    path: str | Path, *, block: str | None = None, space_group: int | str | None = None
) -> CrystalStructure:
    """Return the crystal of a .cif file.

    The file's own symmetry operations are used, else those of its Hall symbol, its
    Hermann-Mauguin symbol or its number; where it gives several, they must agree. What was read
    is in :meth:`CrystalStructure.summary` and is logged at the level INFO.

    Parameters
    ----------
    path
        The file. Its stem becomes the name of the phase.
    block
        Name of the ``data_`` block, for files with several structures.
    space_group
        Number or symbol with setting, in place of what the file says.

    Returns
    -------
    crystal
        The crystal with every atom of its cell.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, is incomplete or contradicts itself.

    Warns
    -----
    UserWarning
        If the atoms do not match the formula, if the origin choice is left open, or if atoms are
        suspiciously near each other.
    """
    path = Path(check_type("path", path, (str, Path)))
    report = Report()
    content = cif.read_content(path, block, space_group, report)
    lattice = check_lattice(content.lattice)
    crystal = build(
        path.stem,
        lattice,
        (content.space_group.number, content.symbol),
        content.operations,
        content.sites,
        report,
    )
    cif.check_formula(content, crystal.elements, crystal.occupancies, report)
    return tell(crystal, report)


def as_crystal_structure(
    obj: CrystalStructure | Phase | Structure | str | Path,
    *,
    space_group: int | str | None = None,
) -> CrystalStructure:
    """Return a crystal structure from whatever describes a phase.

    The atoms of an orix phase or a diffpy structure may be those of the full cell or of the
    asymmetric unit. Neither knows the setting of its space group: where the symmetry adds no atom
    in some setting, such as P b n m for number 62, that one is taken. Prefer the path of the .cif
    file where there is one: ``Phase.from_cif`` gets the atoms of some files wrong.

    Parameters
    ----------
    obj
        A :class:`CrystalStructure` (returned as it is), an orix ``Phase``, a diffpy
        ``Structure``, or the path of a .cif file.
    space_group
        Number or symbol with setting; needed where `obj` has none.

    Returns
    -------
    crystal
        The crystal with every atom of its cell.

    Raises
    ------
    TypeError
        If `obj` is something else.
    ValueError
        If the space group is missing, or if lattice, atoms and space group do not fit.
    FileNotFoundError
        If there is no such file.
    """
    if isinstance(obj, CrystalStructure):
        return obj
    if isinstance(obj, str | Path):
        return read_cif(obj, space_group=space_group)

    from diffpy.structure import Structure
    from orix.crystal_map import Phase

    check_type("phase (obj)", obj, (CrystalStructure, Phase, Structure, str, Path))
    structure, name = obj, obj.title if isinstance(obj, Structure) else obj.name
    if isinstance(obj, Phase):
        structure = _unturned(obj)
        if space_group is None and obj.space_group is not None:
            # diffpy adds thousands for other settings: 2062 is P n m a in another one.
            space_group = obj.space_group.number % 1000
    if space_group is None:
        raise ValueError(
            given_expected(
                "space_group",
                space_group,
                "the space group of the phase, which has none",
                "Give it as a number or symbol, space_group=166, or give the path of a .cif file.",
            )
        )
    return _from_structure(structure, name, space_group)


def _unturned(phase: Phase) -> Structure:
    """Return the structure of a phase with the fractional coordinates that it was given.

    orix turns the lattice of a structure and keeps the Cartesian places of its atoms, which
    changes the fractional coordinates.
    """
    from diffpy.structure import Lattice

    structure = phase.structure.copy()
    structure.placeInLattice(Lattice(base=phase._diffpy_lattice))
    return structure


def _from_structure(structure: Structure, name: str, space_group: int | str) -> CrystalStructure:
    """Return the crystal of a diffpy structure."""
    lattice = check_lattice(structure.lattice.abcABG())
    atoms = [atom for atom in structure if atom.occupancy > 0]
    u_iso = np.array([atom.Uisoequiv for atom in atoms], dtype=float)
    sites = check_sites(
        [atom.element for atom in atoms],
        np.array([atom.xyz for atom in atoms], dtype=float).reshape(-1, 3),
        np.array([atom.occupancy for atom in atoms], dtype=float),
        # diffpy's 0 means that nobody set it.
        np.where(u_iso > 0, u_iso, np.nan),
    )
    return choose_setting(name, lattice, space_group, sites)
