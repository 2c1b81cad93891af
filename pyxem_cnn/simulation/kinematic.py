"""Kinematic spots of a crystal for any orientation: positions, |F|^2 and excitation errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.detector.calibration import electron_wavelength
from pyxem_cnn.rotations import conjugate, to_matrix

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure


@dataclass(frozen=True)
class SpotList:
    """Diffraction spots of many orientations, padded to one length.

    Attributes
    ----------
    k
        Positions in the lab frame, shape (n, n_spots, 2), 1/angstrom, (kx, ky) with y up.
    intensity
        Structure factor squared, or a finished intensity, shape (n, n_spots); 0 where padded.
    excitation_error
        Distance from the Ewald sphere along z, shape (n, n_spots), 1/angstrom, with diffsims' sign
        (sphere minus spot).
    """

    k: np.ndarray
    intensity: np.ndarray
    excitation_error: np.ndarray

    def __len__(self) -> int:
        """Return the number of lists."""
        return len(self.k)


def reflections_within(reciprocal_basis: np.ndarray, g_max: float) -> np.ndarray:
    """Return all hkl except 000 with ``0 < g <= g_max``, shape (n, 3), integers.

    Parameters
    ----------
    reciprocal_basis
        Columns a*, b*, c* in 1/angstrom, shape (3, 3).
    g_max
        Largest length in 1/angstrom.
    """
    # |h| = |a . g| <= |a| g_max: the rows of the inverse are the direct lattice vectors.
    limits = np.floor(np.linalg.norm(np.linalg.inv(reciprocal_basis), axis=1) * g_max).astype(int)
    axes = [np.arange(-m, m + 1) for m in limits]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    g = np.linalg.norm(hkl @ reciprocal_basis.T, axis=1)
    return hkl[(g > 0) & (g <= g_max * (1 + 1e-9))]


def structure_factors_squared(crystal: CrystalStructure, hkl: np.ndarray) -> np.ndarray:
    """Return |F|^2 of reflections from diffsims' Lobato scattering factors.

    Parameters
    ----------
    crystal
        The structure.
    hkl
        Miller indices, shape (n, 3).

    Returns
    -------
    intensity
        |F|^2 in angstrom^2, shape (n,).
    """
    from diffsims.utils.sim_utils import get_kinematical_intensities

    g = np.linalg.norm(hkl @ crystal.reciprocal_basis.T, axis=1)
    # In blocks: diffsims makes arrays of (reflections, atoms, 5).
    rows = max(1, 2_000_000 // len(crystal.elements))
    structure = crystal.to_diffpy()
    parts = [
        get_kinematical_intensities(structure, hkl[i : i + rows], g[i : i + rows])
        for i in range(0, len(hkl), rows)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


class KinematicSimulator:
    """Kinematic diffraction of one crystal: which spots, where, how strong, how far off the sphere.

    Parameters
    ----------
    crystal
        The structure.
    accelerating_voltage
        In kV.
    k_max
        Largest distance of a spot from the direct beam, 1/angstrom.
    max_excitation_error
        Spots further than this from the Ewald sphere are left out, 1/angstrom.
    minimum_intensity
        Reflections weaker than this share of the strongest |F|^2 are left out.

    Notes
    -----
    The crystal's reciprocal vectors lie at g_lab = M^T g; the sphere has its centre at +z/lambda,
    as in diffsims.
    """

    def __init__(
        self,
        crystal: CrystalStructure,
        accelerating_voltage: float,
        k_max: float = 1.6,
        max_excitation_error: float = 0.1,
        minimum_intensity: float = 1e-6,
    ) -> None:
        self.crystal = crystal
        self.accelerating_voltage = accelerating_voltage
        self.k_max = k_max
        self.max_excitation_error = max_excitation_error
        self._ewald_radius = 1 / electron_wavelength(accelerating_voltage)
        # A spot at k_max may lie above the plane by the sphere's sag there.
        sag = self._ewald_radius - np.sqrt(max(self._ewald_radius**2 - k_max**2, 0))
        g_max = np.hypot(k_max, sag + max_excitation_error)
        hkl = reflections_within(crystal.reciprocal_basis, g_max)
        intensity = structure_factors_squared(crystal, hkl)
        if not len(hkl):
            raise ValueError(
                f"{crystal.name} has no reflection within k_max={k_max} 1/angstrom. Expected: a "
                "radius beyond the shortest reflection. Use a larger k_max."
            )
        keep = intensity > minimum_intensity * intensity.max(initial=0)
        self.hkl = hkl[keep]
        self.g = self.hkl @ crystal.reciprocal_basis.T
        self.intensity = intensity[keep]

    def positions(self, orientation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lab positions and excitation errors of all reflections, on the sphere or not.

        Parameters
        ----------
        orientation
            Quaternions of shape (n, 4), lab to crystal.

        Returns
        -------
        g_lab, excitation_error
            Shapes (n, n_reflections, 3) and (n, n_reflections), 1/angstrom.
        """
        matrix = to_matrix(conjugate(np.asarray(orientation, dtype=np.float64)))
        g_lab = np.einsum("nij,gj->ngi", matrix, self.g)
        square = self._ewald_radius**2 - (g_lab[..., :2] ** 2).sum(-1)
        sphere = self._ewald_radius - np.sqrt(np.maximum(square, 0))
        return g_lab, sphere - g_lab[..., 2]

    def spots(self, orientation: np.ndarray, n_spots: int = 128) -> SpotList:
        """Return the most important spots near the Ewald sphere, in no order.

        Parameters
        ----------
        orientation
            Quaternions of shape (n, 4), lab to crystal.
        n_spots
            Length of the lists; the strongest are kept, weighted by the distance from the sphere.
        """
        n_spots = min(n_spots, len(self.g))
        # Blocks of about 50 MB keep memory flat for large cells.
        rows = max(1, 2_000_000 // max(1, len(self.g)))
        blocks = [
            self._block(orientation[i : i + rows], n_spots)
            for i in range(0, len(orientation), rows)
        ]
        return SpotList(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

    def _block(self, orientation: np.ndarray, n_spots: int) -> tuple[np.ndarray, ...]:
        g_lab, error = self.positions(orientation)
        near = np.abs(error) < self.max_excitation_error
        near &= (g_lab[..., :2] ** 2).sum(-1) <= self.k_max**2
        width = self.max_excitation_error / np.pi
        weight = np.where(near, self.intensity / (1 + (error / width) ** 2), 0)
        best = np.argpartition(-weight, n_spots - 1, axis=1)[:, :n_spots]
        kept = np.take_along_axis(weight, best, axis=1) > 0
        return (
            np.take_along_axis(g_lab[..., :2], best[..., None], axis=1),
            np.where(kept, self.intensity[best], 0),
            np.where(kept, np.take_along_axis(error, best, axis=1), 0),
        )
