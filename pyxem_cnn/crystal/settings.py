"""Which setting of a space group a list of atoms is in, where nobody says."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np

from pyxem_cnn.crystal import symmetry
from pyxem_cnn.crystal.expansion import SAME_PLACE, Report, Sites
from pyxem_cnn.crystal.structure import CrystalStructure, build, tell


def choose_setting(
    name: str, lattice: tuple[float, ...], space_group: int | str, sites: Sites
) -> CrystalStructure:
    """Return the crystal of listed atoms: a full cell or an asymmetric unit, in this order.

    Parameters
    ----------
    name
        Name of the phase.
    lattice
        Cell lengths and angles a, b, c, alpha, beta, gamma in angstrom and degrees.
    space_group
        Number or symbol.
    sites
        The listed atoms.

    Returns
    -------
    crystal
        The crystal in the first setting to which the symmetry adds no atom; otherwise in the
        standard setting, the atoms taken for an asymmetric unit; if this makes no sense, in the
        standard setting with an origin of its own.

    Raises
    ------
    ValueError
        If the atoms fit none of these.
    """
    settings = symmetry.find_space_groups(space_group, lattice)
    candidates = [(s.xhm(), symmetry.operations_from_gemmi(s.operations())) for s in settings]
    filled = _first_filled(name, lattice, settings[0].number, candidates, sites)
    if filled is not None:
        return filled
    report, symbol = Report(), settings[0].xhm()
    report.notes.append(f"the atoms are taken for an asymmetric unit of {symbol}")
    group = (settings[0].number, symbol)
    try:
        crystal = build(name, lattice, group, candidates[0][1], sites, report)
        problem = f"{symbol} repeats {', '.join(report.repeated)}" if report.repeated else ""
    except ValueError as error:
        crystal, problem = None, str(error).rstrip(".")
    if crystal is not None and not problem and not report.warnings:
        return tell(crystal, report)
    shifted = [c for choice in candidates for c in _shifted(*choice, lattice, sites)]
    filled = _first_filled(name, lattice, settings[0].number, shifted, sites)
    if filled is not None:
        return filled
    if crystal is not None and not problem:
        return tell(crystal, report)
    raise ValueError(
        f"The atoms of {name or 'the structure'} neither fill the cell in a setting of {symbol} "
        f"nor are they an asymmetric unit of it: {problem}. Give the setting, as in "
        "space_group='P 1 21/n 1', or read the .cif file with pyxem_cnn.read_cif."
    )


def _first_filled(
    name: str,
    lattice: tuple[float, ...],
    number: int,
    candidates: list[tuple[str, symmetry.Operations]],
    sites: Sites,
) -> CrystalStructure | None:
    """Return the crystal of the first candidate that adds no atom to the listed ones."""
    identity = symmetry.Operations(np.eye(3, dtype=int)[None], np.zeros((1, 3)))
    n_listed = len(build("", lattice, (1, "P 1"), identity, sites, Report()).elements)
    for symbol, operations in candidates:
        report = Report([f"the atoms fill the cell in the setting {symbol}"])
        try:
            crystal = build(name, lattice, (number, symbol), operations, sites, report)
        except ValueError:
            continue
        if len(crystal.elements) == n_listed:
            return tell(crystal, report)
    return None


def _shifted(
    symbol: str, operations: symmetry.Operations, lattice: tuple[float, ...], sites: Sites
) -> list[tuple[str, symmetry.Operations]]:
    """Return the group about other origins, on a grid of 1/24, that map an atom onto others."""
    basis = symmetry.basis_matrix(lattice)
    counts = Counter(sites.elements)
    rarest = min(sites.elements, key=lambda element: counts[element])
    places = sites.positions[np.array(sites.elements) == rarest]
    grid = np.array(list(itertools.product(range(24), repeat=3))) / 24
    for rotation, translation in zip(*operations, strict=True):
        images = rotation @ places[0] + translation + grid - grid @ rotation.T
        gaps = images[:, None] - places
        near = np.linalg.norm((gaps - np.round(gaps)) @ basis.T, axis=2) < SAME_PLACE
        grid = grid[near.any(axis=1)]
    # Origins that differ by a symmetry of the group give the same operations.
    found: dict[tuple[int, ...], tuple[str, symmetry.Operations]] = {}
    for origin in grid:
        moved = (operations.translations + origin - operations.rotations @ origin) % 1.0
        told = f"{symbol} (origin at {np.round(origin, 4).tolist()})"
        key = tuple(np.round(moved * 24).astype(int).ravel() % 24)
        found.setdefault(key, (told, symmetry.Operations(operations.rotations, moved)))
    return list(found.values())
