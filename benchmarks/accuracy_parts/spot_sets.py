"""Dynamical intensities of random orientations: what all methods are tested on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pyxem_cnn.phases import CrystalStructure


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
    b_iso
        Displacement parameters B by element, square angstrom.
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
    b_iso: dict[str, float]
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

    def first(self, n: int | None) -> SpotSet:
        """Return the first n orientations; all of them for None."""
        arrays = ("orientations", "k", "intensity", "tilts", "thicknesses")
        return replace(self, **{name: getattr(self, name)[:n] for name in arrays})
