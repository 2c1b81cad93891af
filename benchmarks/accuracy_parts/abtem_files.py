"""Intensities of abTEM's Bloch waves as a set; `abtem_discs` says what its files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from abtem_discs import CONVERGENCE_ANGLE, Beams, simulate
from bloch_crystals import CRYSTALS

from accuracy_parts.crystals import crystal_named
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.detector.calibration import electron_wavelength
from pyxem_cnn.rotations import from_matrix, random_quaternions


def read_abtem(path: str | Path) -> SpotSet:
    """Return what a file holds; its name begins with the crystal's, as in linio2.npz."""
    path = Path(path)
    name = crystal_named(path.stem.split("_")[0])
    crystal, voltage, b_iso = CRYSTALS[name]()
    with np.load(path) as file:
        matrices, tilts, depths = file["matrices"], file["tilts"], file["thicknesses"]
        hkl = [file[f"{i}|hkl"] for i in range(len(matrices))]
        discs = [file[f"{i}|I"] for i in range(len(matrices))]
    n, size = len(matrices), max(map(len, hkl))
    k = np.zeros((n, size, 2), dtype=np.float32)
    intensity = np.zeros((n, len(depths), size, len(tilts)), dtype=np.float32)
    for i, (matrix, indices, disc) in enumerate(zip(matrices, hkl, discs, strict=True)):
        # g_lab = M^T B hkl, here as rows.
        k[i, : len(indices)] = (indices @ crystal.reciprocal_basis.T @ matrix)[:, :2]
        intensity[i, :, : len(indices)] = disc
    return SpotSet(
        name=f"abTEM {name}",
        crystal=crystal,
        voltage=voltage,
        b_iso=b_iso,
        orientations=from_matrix(matrices),
        k=k,
        intensity=intensity,
        tilts=np.broadcast_to(tilts.astype(np.float32), (n, *tilts.shape)),
        thicknesses=np.broadcast_to(depths, (n, len(depths))),
        disc_radius=1e-3 * CONVERGENCE_ANGLE / electron_wavelength(voltage),
    )


def simulate_with_abtem(python: str, name: str, n: int, folder: Path, seed: int = 20) -> Path:
    """Return the file of n orientations of a crystal, simulated unless it is in the folder."""
    beams = Beams()
    path = folder / f"{name.lower()}_abtem_{n}_{seed}_{beams.g_max:g}.npz"
    if not path.exists():
        orientations = random_quaternions(n, np.random.default_rng(seed))
        simulate(python, CRYSTALS[name](), orientations, sunflower(61), path, beams)
    return path


def sunflower(n: int) -> np.ndarray:
    """Return n points that cover the unit disc evenly, shape (n, 2)."""
    i = np.arange(n) + 0.5
    radius, angle = np.sqrt(i / n), i * np.pi * (3 - 5**0.5)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
