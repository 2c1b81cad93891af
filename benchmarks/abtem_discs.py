"""Runs abTEM's Bloch waves, in the environment that has them, on crystals of the benchmarks.

What `simulate` writes holds ``matrices`` (n, 3, 3), lab to crystal, ``thicknesses`` (T,) in
angstrom, ``tilts`` (J, 2), where directions of the incident beam lie in the discs, in 1/angstrom, y
up, and for each orientation i ``"i|hkl"`` (S, 3) and ``"i|I"`` (T, S, J).
"""

from __future__ import annotations

import math
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bloch_crystals import THICKNESSES

from pyxem_cnn.detector.calibration import electron_wavelength
from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import to_matrix

CONVERGENCE_ANGLE = 1.5  # mrad
_PEER = Path(__file__).with_name("peer_abtem.py")


@dataclass(frozen=True)
class Beams:
    """Which reflections take part.

    Attributes
    ----------
    s_max
        Largest excitation error, 1/angstrom.
    g_max
        Longest reciprocal vector, 1/angstrom.
    """

    s_max: float = 0.1
    g_max: float = 2.5


def simulate(
    python: str,
    crystal: tuple[CrystalStructure, float, dict[str, float]],
    orientations: np.ndarray,
    points: np.ndarray,
    path: str | Path,
    beams: Beams,
) -> None:
    """Simulate discs and write them.

    Parameters
    ----------
    python
        Of an environment with abTEM 1.0.
    crystal
        Structure, voltage in kV and B in square angstrom, as `bloch_crystals` has them.
    orientations
        Lab to crystal, shape (n, 4).
    points
        Directions of the incident beam as points in the unit disc, shape (J, 2).
    path
        Of the file to write, .npz.
    beams
        Which reflections take part.
    """
    path = Path(path)
    structure, voltage, displacements = crystal
    wavelength = electron_wavelength(voltage)
    is_centring = (structure.rotations_fractional == np.eye(3, dtype=int)).all((1, 2))
    task = path.with_suffix(".task.npz")
    np.savez(
        task,
        cell=np.linalg.inv(structure.reciprocal_basis),
        elements=structure.elements,
        positions=structure.positions,
        centring=structure.translations[is_centring],
        sigma_elements=list(displacements),
        sigma=[math.sqrt(b / (8 * math.pi**2)) for b in displacements.values()],
        voltage=voltage,
        wavelength=wavelength,
        matrices=to_matrix(orientations),
        tilts=points * 1e-3 * CONVERGENCE_ANGLE / wavelength,
        thicknesses=THICKNESSES,
        s_max=beams.s_max,
        g_max=beams.g_max,
    )
    subprocess.run([python, str(_PEER), str(task), str(path)], check=True)
    task.unlink()
