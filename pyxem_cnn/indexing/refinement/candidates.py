"""Where to look for the orientation of a pattern: what was found and its pseudo-symmetric twins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.crystal.zone_axes import TwinAxes
from pyxem_cnn.rotations import about_z, disorientation_angle, is_among, multiply

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["SAME", "Twins", "first_of_each"]

SAME = 0.75
"""Orientations that are nearer are one, degrees."""


class Twins:
    """Orientations whose patterns are nearly those of given ones.

    Parameters
    ----------
    crystal
        The structure.
    n_zones
        How many zone axes nearby a turn of the crystal by 180 degrees is tried about. 0 for no
        pseudo-symmetric twins at all.

    Attributes
    ----------
    is_twin
        For each place of a family, whether it is another orientation modulo the Laue group.
    """

    def __init__(self, crystal: CrystalStructure, n_zones: int = 2) -> None:
        self._axes = TwinAxes.of(crystal)
        self.n_zones = min(n_zones, len(self._axes))
        laue = crystal.symmetry_quaternions()
        # Dynamical patterns of a crystal without inversion centre tell it from its inverse.
        point = crystal.symmetry_quaternions(polarity=True)
        self._inverse = laue[~is_among(laue, point)][:1]
        self.is_twin = np.repeat(
            [False, True], [1 + len(self._inverse), (1 + self.n_zones) * (n_zones > 0)]
        )

    def __call__(self, quaternions: np.ndarray) -> np.ndarray:
        """Return orientations with their twins.

        Parameters
        ----------
        quaternions
            Lab to crystal, shape (..., 4).

        Returns
        -------
        family
            Shape (..., n, 4): as given; for crystals without inversion centre, the one that is the
            same modulo the Laue group only; turned by 180 degrees about the beam; turned by 180
            degrees about each of the nearest low-index zone axes [uvw], C2[uvw] O.
        """
        own = [quaternions, *(multiply(one, quaternions) for one in self._inverse)]
        if not self.is_twin.any():
            return np.stack(own, axis=-2)
        nearest = np.argsort(self._axes.offsets(quaternions), axis=-1)[..., : self.n_zones]
        about_zone = self._axes.turned(quaternions[..., None, :], nearest)
        about_beam = multiply(quaternions, about_z(np.array(np.pi)))
        return np.concatenate([np.stack([*own, about_beam], axis=-2), about_zone], axis=-2)


def first_of_each(quaternions: np.ndarray, symmetry: np.ndarray, degrees: float) -> np.ndarray:
    """Return which orientations differ from all before them.

    Parameters
    ----------
    quaternions
        Shape (n, m, 4), the more important ones first; NaN where there is none.
    symmetry
        Proper rotations of the group, shape (s, 4).
    degrees
        Below this angle, orientations are the same.

    Returns
    -------
    kept
        Booleans, shape (n, m).
    """
    kept = np.isfinite(quaternions).all(-1)
    for j in range(1, quaternions.shape[1]):
        angle = disorientation_angle(quaternions[:, :j], quaternions[:, j, None], symmetry)
        kept[:, j] &= ~((angle < np.deg2rad(degrees)) & kept[:, :j]).any(1)
    return kept
