"""Pseudo-symmetric twins in maps: orientations that differ although their patterns hardly do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.metrics import TWIN_DIFFERENCE, pattern_difference

if TYPE_CHECKING:
    from orix.crystal_map import Phase

    from pyxem_cnn.phases import CrystalStructure
    from pyxem_cnn.simulation.kinematic import KinematicSimulator

__all__ = ["crystal_of", "find_twins", "pattern_differences", "simulator_of"]

# Pairs of patterns at a time: about 100 MB of polar patterns.
_BLOCK = 1000
# Maps of template matching repeat the very same orientations: pairs that agree to 0.006 degrees
# are simulated once.
_DECIMALS = 4


def find_twins(simulator: KinematicSimulator, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return which pairs of orientations have all but the same pattern.

    Parameters
    ----------
    simulator
        Of the phase.
    p, q
        Orientations of shape (n, 4), lab to crystal.

    Returns
    -------
    twins
        Shape (n,); True where :func:`pyxem_cnn.metrics.pattern_difference` of the kinematic
        patterns, of 0.125 to 1.6 1/angstrom, is below 0.1.
    """
    if not len(p):
        return np.zeros(0, dtype=bool)
    pairs = np.round(np.concatenate([_one_sign(p), _one_sign(q)], axis=1), _DECIMALS)
    _, first, inverse = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    return pattern_differences(simulator, p[first], q[first])[inverse.ravel()] < TWIN_DIFFERENCE


def pattern_differences(simulator: KinematicSimulator, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return how much the patterns of many pairs of orientations differ, with a progress bar.

    Parameters
    ----------
    simulator
        Of the phase.
    p, q
        Orientations of shape (n, 4), lab to crystal.

    Returns
    -------
    difference
        :func:`pyxem_cnn.metrics.pattern_difference` up to the largest radius of the simulator,
        shape (n,).
    """
    from tqdm.auto import tqdm

    from pyxem_cnn.detector.grids import PolarGrid

    grid = PolarGrid(k_max=simulator.k_max)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(p), _BLOCK)]
    # Shown if it takes longer than two seconds.
    progress = tqdm(blocks, f"Twins of {simulator.crystal.name}", leave=False, delay=2)
    parts = [pattern_difference(simulator, p[block], q[block], grid) for block in progress]
    return np.concatenate([np.empty(0), *parts])


def _one_sign(q: np.ndarray) -> np.ndarray:
    """Return quaternions with a scalar part of zero or more: q and -q are one rotation."""
    return np.where(q[:, :1] < 0, -q, q)


def crystal_of(phase: Phase) -> CrystalStructure | str:
    """Return the crystal of a phase, or why there is none.

    Parameters
    ----------
    phase
        Where it has a point group alone, such as our monoclinic ones, every atom has to be there,
        and the crystal has no operation but the identity.

    Returns
    -------
    crystal
        The crystal, or a sentence.
    """
    from pyxem_cnn.phases import as_crystal_structure

    name = phase.name
    if not len(phase.structure):
        return f"no map holds the atoms of {name}; give them by load_crystal_map(path, phases=)"
    try:
        space_group = None if phase.space_group is not None else 1
        return as_crystal_structure(phase, space_group=space_group)
    except ValueError as error:
        return f"the atoms of {name} cannot be used: {error}"


def simulator_of(
    phases: list[Phase], accelerating_voltage: float, k_max: float = 1.6
) -> KinematicSimulator | str:
    """Return the kinematic simulator of a phase, or why there is none.

    Parameters
    ----------
    phases
        The phase as several maps know it: the first one with atoms counts.
    accelerating_voltage
        In kV.
    k_max
        Largest radius of a spot, 1/angstrom.

    Returns
    -------
    simulator
        The simulator, or a sentence.
    """
    from pyxem_cnn.simulation.kinematic import KinematicSimulator

    phase = next((phase for phase in phases if len(phase.structure)), phases[0])
    crystal = crystal_of(phase)
    if isinstance(crystal, str):
        return crystal
    try:
        simulator = KinematicSimulator(crystal, accelerating_voltage, k_max)
    except ValueError as error:
        return f"the atoms of {phase.name} cannot be used: {error}"
    if not _has_symmetry(simulator, phase):
        return f"the atoms of {phase.name} are not those of a whole cell"
    return simulator


def _has_symmetry(simulator: KinematicSimulator, phase: Phase) -> bool:
    """Return whether reflections that the Laue group makes equivalent are equally strong."""
    order = np.argsort(np.linalg.norm(simulator.g, axis=1))[:200]
    strength = {tuple(hkl): i for hkl, i in zip(simulator.hkl, simulator.intensity, strict=True)}
    to_indices = np.linalg.inv(simulator.crystal.reciprocal_basis)
    largest = simulator.intensity.max()
    for matrix in phase.point_group.laue.proper_subgroup.to_matrix():
        turned = np.round(simulator.g[order] @ matrix.T @ to_indices.T).astype(int)
        found = [strength.get(tuple(hkl), 0.0) for hkl in turned]
        if not np.allclose(found, simulator.intensity[order], atol=0.01 * largest):
            return False
    return True
