"""Low-index zone axes of a crystal, and half turns of the crystal about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.rotations import is_among, multiply, to_matrix, zone_axis

if TYPE_CHECKING:
    from pyxem_cnn.crystal.structure import CrystalStructure

__all__ = ["TwinAxes", "lattice_translations", "low_index_zones"]

# Of fractional coordinates: those of files have four digits.
_SAME = 1e-3


def low_index_zones(crystal: CrystalStructure, largest_index: int = 2) -> np.ndarray:
    """Return the lattice directions with low indices and their equivalents, opposites once.

    Parameters
    ----------
    crystal
        The structure.
    largest_index
        Of u, v and w. Equivalents may have larger ones: axes at 120 degrees.

    Returns
    -------
    zones
        Shortest lattice vector along each, Cartesian, shape (m, 3), in angstrom.
    """
    _, vectors = _directions(
        crystal.basis, crystal.rotations_fractional, lattice_translations(crystal), largest_index
    )
    return vectors


def lattice_translations(crystal: CrystalStructure) -> np.ndarray:
    """Return the halves and thirds of the cell that are vectors of the lattice.

    The atoms tell: what takes each to one of its kind.

    Parameters
    ----------
    crystal
        The structure, with all atoms of its cell.

    Returns
    -------
    translations
        Fractional coordinates in [0, 1), shape (n, 3), without 000: n is 3 for a cell that is
        centred on its faces, 0 for a primitive one.
    """
    from scipy.spatial import cKDTree

    kinds = list(zip(crystal.elements, crystal.occupancies.tolist(), strict=True))
    trees = [
        cKDTree(crystal.positions[[i for i, kind in enumerate(kinds) if kind == one]], boxsize=1)
        for one in set(kinds)
    ]
    parts = [np.stack(np.meshgrid(*[np.arange(n) / n] * 3), -1).reshape(-1, 3)[1:] for n in (2, 3)]

    def is_translation(shift: np.ndarray) -> bool:
        return all((tree.query((tree.data + shift) % 1)[0] < _SAME).all() for tree in trees)

    return np.array([part for part in np.concatenate(parts) if is_translation(part)]).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class TwinAxes:
    """Low-index zone axes about which half a turn leads to another orientation.

    Near such an axis [uvw], an orientation O and C2[uvw] O are pseudo-symmetric twins: the crystal
    turned by 180 degrees about [uvw] has nearly the same pattern. The two-fold axes of the Laue
    group, which lead to the same orientation, are left out. Opposites are one axis.

    Attributes
    ----------
    indices
        [uvw] without a common divisor, whole numbers of shape (m, 3).
    vectors
        The shortest lattice vector along each, in the crystal's frame, shape (m, 3), angstrom.
    half_turns
        C2[uvw], quaternions of shape (m, 4).
    families
        Indices <uvw> that all equivalents of an axis share, shape (m, 3).
    to_family
        The rotation of the Laue group that turns each axis to that one, or to its opposite, shape
        (m, 4).
    """

    indices: np.ndarray
    vectors: np.ndarray
    half_turns: np.ndarray
    families: np.ndarray
    to_family: np.ndarray

    @classmethod
    def of(cls, crystal: CrystalStructure, largest_index: int = 2) -> TwinAxes:
        """Return the axes of a crystal.

        Parameters
        ----------
        crystal
            The structure.
        largest_index
            As for `low_index_zones`.
        """
        symmetry, translations = crystal.symmetry_quaternions(), lattice_translations(crystal)
        return cls.of_lattice(crystal.basis, symmetry, translations, largest_index)

    @classmethod
    def of_lattice(
        cls, basis: np.ndarray, symmetry: np.ndarray, translations: np.ndarray, largest_index: int
    ) -> TwinAxes:
        """Return the axes of a lattice.

        Parameters
        ----------
        basis
            Vectors a, b and c as columns, shape (3, 3), angstrom.
        symmetry
            Proper rotations of the Laue group, shape (s, 4).
        translations
            From `lattice_translations`.
        largest_index
            As for `low_index_zones`.
        """
        rotations = fractional_rotations(basis, symmetry)
        indices, vectors = _directions(basis, rotations, translations, largest_index)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        half_turns = np.pad(unit, ((0, 0), (1, 0)))
        families, operation = _families(indices, rotations)
        columns = (indices, vectors, half_turns, families, symmetry[operation])
        is_other = ~is_among(half_turns, symmetry)
        return cls(*(column[is_other] for column in columns))

    def __len__(self) -> int:
        """Return the number of axes."""
        return len(self.indices)

    def offsets(self, quaternions: np.ndarray) -> np.ndarray:
        """Return how far from the beam's line through the origin each lattice vector ends.

        This says how near an axis is: longer lattice vectors, which fewer reflections belong to,
        have to be nearer to the beam. Reflections at k that are not of the zone's zeroth Laue zone
        are far from a flat Ewald sphere where the offset is less than 1 / k.

        Parameters
        ----------
        quaternions
            Lab to crystal, shape (..., 4).

        Returns
        -------
        offsets
            Shape (..., m), angstrom.
        """
        along = zone_axis(quaternions) @ self.vectors.T
        return np.sqrt(np.maximum((self.vectors**2).sum(1) - along**2, 0))

    def near(self, quaternions: np.ndarray, farthest: float) -> tuple[np.ndarray, ...]:
        """Return which axes are near the beam, for millions of orientations.

        Parameters
        ----------
        quaternions
            Lab to crystal, shape (n, 4).
        farthest
            Largest offset, angstrom.

        Returns
        -------
        place, number, offset
            Orientation, axis and offset in angstrom of every pair that is near, shape (pairs,), in
            the order of the orientations.
        """
        direction, square = zone_axis(quaternions), (self.vectors**2).sum(1)
        least = np.sqrt(np.maximum(square - farthest**2, 0)).astype(np.float32)
        # Single precision finds the few that are worth a closer look.
        along = direction.astype(np.float32) @ self.vectors.T.astype(np.float32)
        place, number = np.nonzero(np.abs(along, out=along) >= least)
        exact = (direction[place] * self.vectors[number]).sum(1)
        return place, number, np.sqrt(np.maximum(square[number] - exact**2, 0))

    def turned(self, quaternions: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Return orientations of the crystal after half a turn about one of the axes, C2[uvw] O.

        Parameters
        ----------
        quaternions
            Lab to crystal, shape (..., 4).
        number
            Which axis, shape (...).

        Returns
        -------
        twins
            Shape (..., 4).
        """
        return multiply(self.half_turns[number], quaternions)


def fractional_rotations(basis: np.ndarray, quaternions: np.ndarray) -> np.ndarray:
    """Return rotations of a lattice as whole numbers that act on [uvw], shape (s, 3, 3).

    Parameters
    ----------
    basis
        Vectors a, b and c as columns, shape (3, 3).
    quaternions
        Shape (s, 4).
    """
    return np.rint(np.linalg.inv(basis) @ to_matrix(quaternions) @ basis).astype(int)


def _directions(
    basis: np.ndarray, rotations: np.ndarray, translations: np.ndarray, largest_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return indices and shortest lattice vectors of all low-index directions."""
    box = np.stack(np.meshgrid(*[np.arange(-largest_index, largest_index + 1)] * 3), -1)
    # Axes at 120 degrees: a three-fold axis turns [2 -1 0] into [1 3 0].
    images = (box.reshape(-1, 3) @ np.unique(rotations, axis=0).transpose(0, 2, 1)).reshape(-1, 3)
    images = np.unique(images, axis=0)
    images = images[len(images) // 2 + 1 :]  # sorted: one of each pair of opposites, without 000
    images = images[np.gcd.reduce(images, axis=1) == 1]
    # A vector u / n is of the lattice where it is congruent to a translation.
    vectors = images.astype(float)
    for n in (2, 3):
        rest = images[:, None] / n - translations
        is_shorter = (np.abs(rest - np.rint(rest)) < 1e-4).all(-1).any(-1)
        vectors[is_shorter] /= n
    return images, vectors @ basis.T


def _families(indices: np.ndarray, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same one of all equivalents of each axis (m, 3), and which rotation makes it (m,).

    It is the one that people write: few minus signs, small indices, ascending.
    """
    images = np.einsum("sij,mj->msi", rotations, indices)
    images = np.concatenate([images, -images], axis=1)
    negative, total = (images < 0).sum(-1), np.abs(images).sum(-1)
    order = np.lexsort((images[..., 2], images[..., 1], images[..., 0], total, negative), axis=-1)
    first = order[:, 0]
    return images[np.arange(len(images)), first], first % len(rotations)
