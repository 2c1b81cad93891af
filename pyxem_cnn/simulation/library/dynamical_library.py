"""Dynamical zone-axis libraries: Bloch-wave intensities for directions in the fundamental sector.

Every number that the simulation leaves open is drawn afresh for every entry: the zone axis within
its cell of the grid, the thicknesses, the tilts in the probe cone, the Debye-Waller factor. What
is common to all entries, a network would learn in place of the crystal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.detector.calibration import electron_wavelength
from pyxem_cnn.rotations import from_matrix
from pyxem_cnn.simulation.library.parameters import LibraryParameters

if TYPE_CHECKING:
    import torch

    from pyxem_cnn.phases import CrystalStructure
    from pyxem_cnn.simulation.library.spots import DeviceArrays, Spots

__all__ = ["ARRAYS", "DynamicalLibrary", "mirror_rotation"]

# Parts of spots below this share of the pattern's strongest are not rendered.
_WEAKEST = 1e-5

# Arrays of a library: type, axes after the entries', unit.
ARRAYS = {
    "orientation": ("float32", ("quaternion",), "lab to crystal, scalar first"),
    "thickness": ("float32", ("thickness",), "angstrom"),
    "debye_waller_change": ("float32", (), "angstrom^2"),
    "hkl": ("int16", ("spot", "index"), ""),
    "k": ("float32", ("spot", "xy"), "1/angstrom"),
    "tilts": ("float32", ("tilt", "xy"), "1/angstrom"),
    "intensity": ("float16", ("thickness", "spot", "tilt"), "share of the incident beam"),
}


@dataclass(frozen=True, eq=False, repr=False)
class DynamicalLibrary:
    """Dynamical spots of one crystal; every in-plane angle follows by turning them.

    Made by :func:`simulate_library` or read by :func:`load_library`.

    Attributes
    ----------
    parameters
        What was simulated.
    orientation
        Quaternions of the n entries, lab to crystal, shape (n, 4).
    thickness
        In angstrom, shape (n, n_thicknesses).
    debye_waller_change
        What was added to every atom's factor B, square angstrom, shape (n,).
    hkl
        Miller indices of the spots, shape (n, n_spots, 3); 000 for no spot. The direct beam is
        left out.
    k
        Their positions, shape (n, n_spots, 2), 1/angstrom, y up.
    tilts
        Displacement of a spot for each direction of the incident beam, shape (n, n_tilts, 2),
        1/angstrom.
    intensity
        Share of the incident beam that goes into each part of a disc, the mean over which is the
        intensity of the spot, shape (n, n_thicknesses, n_spots, n_tilts), float16.
    """

    parameters: LibraryParameters
    orientation: np.ndarray
    thickness: np.ndarray
    debye_waller_change: np.ndarray
    hkl: np.ndarray
    k: np.ndarray
    tilts: np.ndarray
    intensity: np.ndarray

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.orientation)

    def __repr__(self) -> str:
        """Return phase and sizes in one line."""
        p = self.parameters
        low, high = p.thicknesses
        return (
            f"<DynamicalLibrary {p.crystal.name}, {p.accelerating_voltage:g} kV, "
            f"{p.convergence_angle:g} mrad, {low:g} to {high:g} angstrom: {len(self)} zone axes, "
            f"{self.k.shape[1]} spots, {self.tilts.shape[1]} tilts, {self.nbytes / 1e6:.0f} MB>"
        )

    @property
    def crystal(self) -> CrystalStructure:
        """Return the structure."""
        return self.parameters.crystal

    @property
    def accelerating_voltage(self) -> float:
        """Return the voltage in kV."""
        return self.parameters.accelerating_voltage

    @property
    def nbytes(self) -> int:
        """Return the size of all arrays in bytes."""
        return sum(getattr(self, name).nbytes for name in ARRAYS)

    @property
    def is_dynamical(self) -> bool:
        """Return True: the intensities hold multiple scattering."""
        return True

    @property
    def disc_radius(self) -> float:
        """Return the radius of the discs in 1/angstrom, 0 for a parallel beam."""
        p = self.parameters
        return 1e-3 * p.convergence_angle / electron_wavelength(p.accelerating_voltage)

    @property
    def largest_excitation_error(self) -> float:
        """Return 0: how the intensity falls off with it is in the simulation."""
        return 0.0

    @property
    def shortest_reflection(self) -> float:
        """Return the distance of the nearest spot of any strength from the direct beam, 1/A."""
        some = slice(None, None, max(1, len(self) // 1000))
        mean = self.intensity[some].astype(np.float32).mean(axis=(1, 3))
        k = self.k[some][mean > 1e-3]
        return float(np.sqrt((k**2).sum(-1)).min(initial=1.0))

    def draw(self, n: int, generator: torch.Generator) -> Spots:
        """Draw entries and thicknesses, turned about the beam and mirrored at random.

        Parameters
        ----------
        n
            How many.
        generator
            Source of random numbers; the spots are on its device.
        """
        import torch

        from pyxem_cnn.simulation.library.spots import Spots, mirrored, turned

        device = generator.device
        arrays = self._arrays.on(device)
        index = torch.randint(len(self), (n,), generator=generator, device=device)
        n_layers = self.thickness.shape[1]
        layer = torch.randint(n_layers, (n,), generator=generator, device=device)
        intensity = arrays["intensity"][index, layer].float()
        # Of unit incident beam in each direction: each of them is a part of the beam.
        intensity = intensity / intensity.shape[2]
        weakest = _WEAKEST * intensity.amax((1, 2), keepdim=True)
        spots = Spots(
            arrays["k"][index],
            intensity.where(intensity > weakest, 0.0),
            arrays["orientation"][index],
            arrays["thickness"][index, layer],
            # A single direction gives uniform discs.
            tilts=arrays["tilts"][index] if intensity.shape[2] > 1 else None,
        )
        if self._mirror is not None:
            spots = mirrored(spots, self._mirror, generator)
        return turned(spots, generator)

    @cached_property
    def _arrays(self) -> DeviceArrays:
        from pyxem_cnn.simulation.library.spots import DeviceArrays

        names = ("orientation", "thickness", "k", "tilts", "intensity")
        return DeviceArrays({name: getattr(self, name) for name in names})

    @cached_property
    def _mirror(self) -> np.ndarray | None:
        return mirror_rotation(self.crystal)

    def sha256(self) -> str:
        """Return a hash of the arrays."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, name)))
        return digest.hexdigest()


def mirror_rotation(crystal: CrystalStructure) -> np.ndarray | None:
    """Return the rotation R = -S of an improper operation S of the point group, shape (4,).

    The mirror image of the dynamical pattern of O is that of R O C2y, see `mirrored` in
    `pyxem_cnn.simulation.library.spots`. None for groups of rotations only: no pattern of a chiral
    crystal is the mirror image of another one.

    Parameters
    ----------
    crystal
        The structure.
    """
    operations = crystal.point_group_matrices()
    rotations = -operations[np.linalg.det(operations) < 0]
    if not len(rotations):
        return None
    # The identity, where there is inversion.
    return from_matrix(rotations[np.trace(rotations, axis1=1, axis2=2).argmax()])
