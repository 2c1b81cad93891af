"""Dynamical intensities of random orientations, the same for all methods, and where they come from.

Either from a file that abTEM's intensities are in, or simulated by our own Bloch waves with more
beams and directions than libraries for training have. A file holds ``matrices`` (n, 3, 3), lab to
crystal, ``thicknesses`` (T,) in angstrom, ``wavelength`` in angstrom, ``tilts`` (J, 2) in
1/angstrom, y up, and for each orientation i ``"i|hkl"`` (S, 3) and ``"i|I"`` (T, S, J).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bloch_crystals import CRYSTALS

from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import from_matrix


@dataclass(frozen=True, eq=False)
class SpotSet:
    """Intensities of n orientations: T thicknesses, up to S beams, J directions in the probe.

    Attributes
    ----------
    name
        What tables call it.
    crystal
        What diffracts.
    voltage
        In kV.
    orientations
        Lab to crystal, shape (n, 4).
    k
        Centres of the discs, y up, shape (n, S, 2), 1/angstrom; direct beam included.
    intensity
        Shape (n, T, S, J), 0 where a pattern has fewer beams than others.
    tilts
        Place of each direction in the discs, shape (n, J, 2), 1/angstrom.
    thicknesses
        In angstrom, shape (n, T).
    disc_radius
        In 1/angstrom.
    precession_angle
        Degrees.
    """

    name: str
    crystal: CrystalStructure
    voltage: float
    orientations: np.ndarray
    k: np.ndarray
    intensity: np.ndarray
    tilts: np.ndarray
    thicknesses: np.ndarray
    disc_radius: float
    precession_angle: float = 0.0

    def __len__(self) -> int:
        """Return the number of orientations."""
        return len(self.orientations)


def crystal_named(name: str) -> str:
    """Return the name in CRYSTALS, whatever the case; None for none of them."""
    return {known.lower(): known for known in CRYSTALS}.get(name.lower())


def read_spot_set(path: str | Path, n: int | None = None) -> SpotSet:
    """Return what a file holds; its name says the crystal, as in linio2.npz."""
    path = Path(path)
    name = crystal_named(path.stem.split("_")[0])
    if name is None:
        expected = ", ".join(f"{known.lower()}.npz" for known in CRYSTALS)
        raise ValueError(f"Given: {path.name}. Expected: a name that says the crystal: {expected}.")
    crystal, voltage, _ = CRYSTALS[name]()
    with np.load(path) as file:
        matrices = file["matrices"][:n]
        hkl = [file[f"{i}|hkl"] for i in range(len(matrices))]
        discs = [file[f"{i}|I"] for i in range(len(matrices))]
        tilts, depths = file["tilts"], file["thicknesses"]
    size, count = max(map(len, hkl)), len(matrices)
    k = np.zeros((count, size, 2), dtype=np.float32)
    intensity = np.zeros((count, len(depths), size, len(tilts)), dtype=np.float32)
    for i, (matrix, indices, disc) in enumerate(zip(matrices, hkl, discs, strict=True)):
        # g_lab = M^T B hkl, here as rows.
        k[i, : len(indices)] = (indices @ crystal.reciprocal_basis.T @ matrix)[:, :2]
        intensity[i, :, : len(indices)] = disc
    return SpotSet(
        name=f"abTEM {name}",
        crystal=crystal,
        voltage=voltage,
        orientations=from_matrix(matrices),
        k=k,
        intensity=intensity,
        tilts=np.broadcast_to(tilts.astype(np.float32), (count, *tilts.shape)),
        thicknesses=np.broadcast_to(depths, (count, len(depths))),
        disc_radius=float(np.hypot(*tilts.T).max() * np.sqrt(len(tilts) / (len(tilts) - 0.5))),
    )
