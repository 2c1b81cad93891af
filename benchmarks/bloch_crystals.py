"""Crystals of the benchmarks: structure, voltage in kV, B in square angstrom."""

from __future__ import annotations

import math

from pyxem_cnn import CrystalStructure

THICKNESSES = (200.0, 400.0, 600.0, 800.0, 1000.0)
"""In angstrom, where a benchmark has no reason for others."""


def b_iso(**rms):
    """Return B = 8 pi^2 <u^2> in square angstrom from rms displacements along an axis."""
    return {element: 8 * math.pi**2 * u**2 for element, u in rms.items()}


def linio2():
    """Return LiNiO2, R-3m on hexagonal axes, 300 kV."""
    crystal = CrystalStructure.from_asymmetric_unit(
        (2.878, 2.878, 14.19, 90, 90, 120),
        "R -3 m:H",
        ["Li", "Ni", "O"],
        [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.26]],
        name="LiNiO2",
    )
    return crystal, 300.0, b_iso(Ni=0.071, Li=0.123, O=0.094)


def silicon():
    """Return silicon, 200 kV."""
    crystal = CrystalStructure.from_asymmetric_unit(
        (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
    )
    return crystal, 200.0, b_iso(Si=0.0765)


def close_packed(element, a, c):
    """Return a hexagonal close packed metal."""
    return CrystalStructure.from_asymmetric_unit(
        (a, a, c, 90, 90, 120), "P 63/m m c", [element], [[1 / 3, 2 / 3, 0.25]], name=element
    )


def magnesium():
    """Return magnesium, 200 kV."""
    return close_packed("Mg", 3.209, 5.211), 200.0, b_iso(Mg=0.15)


def titanium():
    """Return alpha titanium, 200 kV."""
    return close_packed("Ti", 2.951, 4.684), 200.0, b_iso(Ti=0.08)


def vanadium_dioxide():
    """Return VO2 (M1), monoclinic, 200 kV."""
    crystal = CrystalStructure.from_asymmetric_unit(
        (5.743, 4.517, 5.375, 90, 122.6, 90),
        "P 1 21/c 1",
        ["V", "O", "O"],
        [(0.242, 0.975, 0.025), (0.10, 0.21, 0.20), (0.39, 0.69, 0.29)],
        name="VO2",
    )
    return crystal, 200.0, b_iso(V=0.08, O=0.09)


def gallium_arsenide():
    """Return GaAs, without a centre of symmetry, 200 kV."""
    crystal = CrystalStructure.from_asymmetric_unit(
        (5.653, 5.653, 5.653, 90, 90, 90),
        "F -4 3 m",
        ["Ga", "As"],
        [[0, 0, 0], [0.25, 0.25, 0.25]],
        name="GaAs",
    )
    return crystal, 200.0, {"Ga": 0.09, "As": 0.08}


def gold():
    """Return gold, 200 kV."""
    crystal = CrystalStructure.from_asymmetric_unit(
        (4.078, 4.078, 4.078, 90, 90, 90), "F m -3 m", ["Au"], [[0, 0, 0]], name="Au"
    )
    return crystal, 200.0, {"Au": 0.62}


CRYSTALS = {
    "LiNiO2": linio2,
    "Si": silicon,
    "Mg": magnesium,
    "Ti": titanium,
    "VO2": vanadium_dioxide,
    "GaAs": gallium_arsenide,
    "Au": gold,
}
