"""Spots of crystals that do not exist: what a model must learn not to take for its phase.

Each decoy is the phase's own reciprocal lattice under a random homogeneous deformation, with random
factors on its structure factors and, often, a random extinction rule. Decoys thus look like
crystals of the same complexity, some of them nearly like the phase.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.rotations import random_quaternions
from pyxem_cnn.simulation.kinematic import KinematicSimulator, SpotList
from pyxem_cnn.simulation.library.zone_axis_library import ZoneAxisLibrary, single_precision

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure

_EXTINCTION_RULES = [rule for rule in itertools.product((0, 1), repeat=3) if any(rule)]
_LARGEST_SCALE = 0.35
_LARGEST_STRAIN = 0.15
# A deformation that changes no length by more than this is within a microscope's calibration.
_SMALLEST_CHANGE = 0.06


def decoy_library(
    crystal: CrystalStructure,
    accelerating_voltage: float,
    generator: np.random.Generator,
    *,
    k_max: float = 1.6,
    n_lattices: int = 200,
    n_orientations: int = 30,
    n_spots: int = 128,
) -> ZoneAxisLibrary:
    """Simulate deformed lattices in random orientations.

    Parameters
    ----------
    crystal
        The phase that is not meant.
    accelerating_voltage
        In kV.
    generator
        Source of random numbers.
    k_max
        Largest distance of a spot from the direct beam, 1/angstrom.
    n_lattices, n_orientations
        How many deformations, and orientations of each.
    n_spots
        Length of the spot lists.

    Returns
    -------
    library
        Its orientations mean nothing.
    """
    # Shrunken lattices need reflections from further out.
    simulator = KinematicSimulator(
        crystal, accelerating_voltage, k_max * np.exp(_LARGEST_SCALE + _LARGEST_STRAIN)
    )
    hkl, g, intensity = simulator.hkl, simulator.g, simulator.intensity
    simulator.k_max = k_max * 1.05
    lists, orientations = [], []
    for _ in range(n_lattices):
        keep = _allowed(hkl, generator)
        simulator.g = g[keep] @ _deformation(generator).T
        simulator.intensity = intensity[keep] * np.exp(generator.normal(0, 0.7, keep.sum()))
        orientation = random_quaternions(n_orientations, generator)
        lists.append(_padded(simulator.spots(orientation, n_spots), n_spots))
        orientations.append(orientation)
    spots = SpotList(
        np.concatenate([s.k for s in lists]),
        np.concatenate([s.intensity / s.intensity.max(initial=1e-30) for s in lists]),
        np.concatenate([s.excitation_error for s in lists]),
    )
    orientation = np.concatenate(orientations).astype(np.float32)
    return ZoneAxisLibrary(crystal, accelerating_voltage, orientation, single_precision(spots))


def _deformation(generator: np.random.Generator) -> np.ndarray:
    """Return a random symmetric 3 x 3 matrix that is not nearly a unit matrix."""
    while True:
        strain = generator.uniform(-_LARGEST_STRAIN, _LARGEST_STRAIN, (3, 3))
        scale = np.exp(generator.uniform(-_LARGEST_SCALE, _LARGEST_SCALE))
        matrix = scale * (np.eye(3) + (strain + strain.T) / 2)
        if np.abs(np.linalg.eigvalsh(matrix) - 1).max() > _SMALLEST_CHANGE:
            return matrix


def _allowed(hkl: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return which reflections a random extinction rule leaves, shape (n,); often all of them."""
    keep = np.ones(len(hkl), dtype=bool)
    if generator.random() < 0.5:
        rule = _EXTINCTION_RULES[generator.integers(len(_EXTINCTION_RULES))]
        keep = (hkl @ rule) % 2 == 0
    return keep if keep.sum() > 8 else np.ones(len(hkl), dtype=bool)


def _padded(spots: SpotList, n_spots: int) -> SpotList:
    """Return lists of exactly ``n_spots`` entries."""
    missing = n_spots - spots.k.shape[1]
    return SpotList(
        np.pad(spots.k, ((0, 0), (0, missing), (0, 0))),
        np.pad(spots.intensity, ((0, 0), (0, missing))),
        np.pad(spots.excitation_error, ((0, 0), (0, missing))),
    )
