"""What a dynamical simulation gives: beams, where they lie and how intense they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class DynamicalSpots:
    """Dynamical spots of n orientations: S beams, T thicknesses, J directions in the probe cone.

    Attributes
    ----------
    hkl
        Miller indices of the beams, direct beam first, shape (n, S, 3). Lists that are shorter
        than S are filled up with 000 and intensity 0.
    k
        Positions of the beams' centres in the lab frame, shape (n, S, 2), 1/angstrom, y up.
    intensity
        Intensities for unit incident intensity in each direction, shape (n, T, S, J).
    tilts
        Where the incident directions lie in the direct beam's disc, shape (n, J, 2), 1/angstrom.
        Direction j of a beam appears at ``k + tilts[j]``.
    thicknesses
        In angstrom, shape (T,) or (n, T).
    """

    hkl: np.ndarray
    k: np.ndarray
    intensity: np.ndarray
    tilts: np.ndarray
    thicknesses: np.ndarray

    def __len__(self) -> int:
        """Return the number of orientations."""
        return len(self.k)

    @cached_property
    def disc_intensity(self) -> np.ndarray:
        """Return intensities averaged over the discs, shape (n, T, S)."""
        return self.intensity.mean(-1)

    def __repr__(self) -> str:
        """Return the shape in one line."""
        n, n_thicknesses, n_beams, n_tilts = self.intensity.shape
        return (
            f"<DynamicalSpots: {n} orientations, {n_thicknesses} thicknesses, {n_beams} beams, "
            f"{n_tilts} directions>"
        )
