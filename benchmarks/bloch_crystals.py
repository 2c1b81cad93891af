"""Crystals of the Bloch-wave benchmarks: structure, voltage in kV, B in square angstrom."""

from __future__ import annotations

import math

import numpy as np

from pyxem_cnn import CrystalStructure
from pyxem_cnn.detector.calibration import electron_wavelength


def b_iso(**rms):
    """Return B = 8 pi^2 <u^2> in square angstrom from rms displacements along an axis."""
    return {element: 8 * math.pi**2 * u**2 for element, u in rms.items()}


def abtem_specimen(crystal, voltage, displacements):
    """Return crystal and beam as the abTEM peers read them; displacements as of `b_iso`."""
    return {
        "cell": np.linalg.inv(crystal.reciprocal_basis),
        "elements": crystal.elements,
        "positions": crystal.positions,
        "sigma_elements": list(displacements),
        "sigma": [math.sqrt(b / (8 * math.pi**2)) for b in displacements.values()],
        "voltage": voltage,
        "wavelength": electron_wavelength(voltage),
    }


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


def magnesium():
    """Return magnesium, hexagonal close packed, 200 kV."""
    crystal = CrystalStructure.from_asymmetric_unit(
        (3.209, 3.209, 5.211, 90, 90, 120),
        "P 63/m m c",
        ["Mg"],
        [[1 / 3, 2 / 3, 0.25]],
        name="Mg",
    )
    return crystal, 200.0, b_iso(Mg=0.15)


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


CRYSTALS = {
    "LiNiO2": linio2,
    "Si": silicon,
    "Mg": magnesium,
    "VO2": vanadium_dioxide,
    "GaAs": gallium_arsenide,
}
