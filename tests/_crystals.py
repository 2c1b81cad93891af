"""Crystals that several tests share, and the same crystals written out by hand for diffsims."""

from __future__ import annotations

import numpy as np

from pyxem_cnn.phases import CrystalStructure

# One crystal for each kind of symmetry that could go wrong in its own way.
NAMES = ("cubic", "hexagonal", "trigonal", "monoclinic")

_VO2_SITES = {
    "V": (0.242, 0.975, 0.025),
    "O": (0.10, 0.21, 0.20),
    "O2": (0.39, 0.69, 0.29),
}


def crystal(name: str) -> CrystalStructure:
    """Return silicon, magnesium, LiNiO2 on hexagonal axes, VO2 (M1) or GaAs."""
    lattice, group, elements, positions, title = {
        "cubic": ((5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], "Si"),
        "hexagonal": (
            (3.209, 3.209, 5.211, 90, 90, 120),
            "P 63/m m c",
            ["Mg"],
            [[1 / 3, 2 / 3, 0.25]],
            "Mg",
        ),
        "trigonal": (
            (2.878, 2.878, 14.19, 90, 90, 120),
            "R -3 m:H",
            ["Li", "Ni", "O"],
            [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.2585]],
            "LiNiO2",
        ),
        "monoclinic": (
            (5.743, 4.517, 5.375, 90, 122.6, 90),
            "P 1 21/c 1",
            ["V", "O", "O"],
            list(_VO2_SITES.values()),
            "VO2",
        ),
        "gaas": (
            (5.653, 5.653, 5.653, 90, 90, 90),
            "F -4 3 m",
            ["Ga", "As"],
            [[0, 0, 0], [0.25, 0.25, 0.25]],
            "GaAs",
        ),
    }[name]
    return CrystalStructure.from_asymmetric_unit(lattice, group, elements, positions, name=title)


def diffsims_phase(name: str, space_group: int | None = None):
    """Return the same crystal as an orix phase: cell and atoms written out by hand."""
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    lattice, atoms, point_group = _CELLS[name]()
    # diffpy's own orientation of the cell, as in any .cif file: orix turns it, diffsims follows.
    structure = Structure([Atom(e, xyz=xyz) for e, xyz in atoms], lattice=Lattice(*lattice))
    if space_group is not None:
        return Phase(name=name, space_group=space_group, structure=structure)
    return Phase(name=name, point_group=point_group, structure=structure)


def atoms_by_hand(name: str) -> list[tuple[str, tuple[float, float, float]]]:
    """Return element and fractional coordinates of every atom of the cell."""
    return _CELLS[name]()[1]


def reciprocal_basis_by_hand(name: str) -> np.ndarray:
    """Return a*, b*, c* as columns in 1/angstrom, x along a and z along c*."""
    a, b, c, _, beta, gamma = _CELLS[name]()[0]
    if gamma == 120:
        rows = [(a, 0, 0), (-a / 2, a * np.sqrt(3) / 2, 0), (0, 0, c)]
    else:
        beta = np.deg2rad(beta)
        rows = [(a, 0, 0), (0, b, 0), (c * np.cos(beta), 0, c * np.sin(beta))]
    return np.linalg.inv(np.array(rows))


_FACES = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])


def _cubic_cell():
    atoms = [("Si", xyz) for xyz in np.concatenate([_FACES, _FACES + 0.25])]
    return (5.431, 5.431, 5.431, 90, 90, 90), atoms, "m-3m"


def _gaas_cell():
    atoms = [("Ga", xyz) for xyz in _FACES] + [("As", xyz) for xyz in _FACES + 0.25]
    return (5.653, 5.653, 5.653, 90, 90, 90), atoms, "-43m"


def _hexagonal_cell():
    atoms = [("Mg", (1 / 3, 2 / 3, 0.25)), ("Mg", (2 / 3, 1 / 3, 0.75))]
    return (3.209, 3.209, 5.211, 90, 90, 120), atoms, "6/mmm"


def _trigonal_cell():
    obverse = np.array([(0, 0, 0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3)])
    heights = [("Li", 0.5), ("Ni", 0.0), ("O", 0.2585), ("O", -0.2585)]
    atoms = [(e, (xyz + (0, 0, z)) % 1) for e, z in heights for xyz in obverse]
    return (2.878, 2.878, 14.19, 90, 90, 120), atoms, "-3m"


def _monoclinic_cell():
    atoms = []
    for site, (x, y, z) in _VO2_SITES.items():
        for sign in (1, -1):
            atoms.append((site[0], (sign * x, sign * y, sign * z)))
            atoms.append((site[0], (sign * -x, sign * (y + 0.5), sign * (0.5 - z))))
    # orix' own 2/m has its axis on z; the group plays no part in where spots lie.
    return (5.743, 4.517, 5.375, 90, 122.6, 90), atoms, "1"


_CELLS = {
    "cubic": _cubic_cell,
    "hexagonal": _hexagonal_cell,
    "trigonal": _trigonal_cell,
    "monoclinic": _monoclinic_cell,
    "gaas": _gaas_cell,
}
