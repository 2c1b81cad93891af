"""The phase that a model hands out gives the right intensities in diffsims, for every cell."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.phases import CrystalStructure, as_crystal_structure
from pyxem_cnn.simulation.kinematic import KinematicSimulator

CRYSTALS = {
    "cubic": ("Fd-3m:1", (5.431,) * 3 + (90, 90, 90), ["Si"], [[0, 0, 0]]),
    "hexagonal": ("P63/mmc", (3.2094, 3.2094, 5.2108, 90, 90, 120), ["Mg"], [[1 / 3, 2 / 3, 0.25]]),
    "trigonal": (
        "R-3m:H",
        (2.88, 2.88, 14.19, 90, 90, 120),
        ["Li", "Ni", "O"],
        [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.26]],
    ),
    "monoclinic": (
        "P21/c",
        (5.743, 4.517, 5.375, 90, 122.61, 90),
        ["V", "O", "O"],
        [[0.242, 0.975, 0.025], [0.1, 0.21, 0.2], [0.39, 0.69, 0.29]],
    ),
}


def crystal_of(name: str) -> CrystalStructure:
    group, lattice, elements, positions = CRYSTALS[name]
    return CrystalStructure.from_asymmetric_unit(
        lattice=lattice, space_group=group, elements=elements, positions=positions, name=name
    )


@pytest.mark.parametrize("name", CRYSTALS)
def test_diffsims_gives_our_intensities_for_the_phase(name: str) -> None:
    from diffsims.generators.simulation_generator import SimulationGenerator
    from orix.quaternion import Rotation

    crystal = crystal_of(name)
    rotation = Rotation.from_euler([20, 50, 70], degrees=True)
    simulation = SimulationGenerator(200).calculate_diffraction2d(
        crystal.to_phase(), rotation, 1.5, with_direct_beam=False, max_excitation_error=0.05
    )
    theirs = simulation.coordinates
    ours = KinematicSimulator(crystal, 200, 1.5, 0.05, minimum_intensity=1e-12)
    (g_lab,), (error,) = ours.positions(rotation.data)
    # diffsims leaves out a few reflections near its radius: look for each of its own in ours.
    distance = np.linalg.norm(theirs.data[:, None] - g_lab[None], axis=2)
    nearest = distance.argmin(axis=1)
    strong = theirs.intensity > 1e-6 * theirs.intensity.max()
    assert distance.min(axis=1)[strong].max() < 1e-9
    shape = 1 / (1 + (np.pi / 0.05 * error) ** 2)
    expected = (ours.intensity * shape)[nearest[strong]]
    ratio = theirs.intensity[strong] / expected
    np.testing.assert_allclose(ratio / np.median(ratio), 1, rtol=1e-6)


@pytest.mark.parametrize("name", CRYSTALS)
def test_crystal_survives_orix(name: str) -> None:
    crystal = crystal_of(name)
    # A monoclinic phase has to drop its space group in orix.
    again = as_crystal_structure(crystal.to_phase(), space_group=crystal.space_group_symbol)
    np.testing.assert_allclose(again.basis, crystal.basis, atol=1e-9)
    ours = KinematicSimulator(crystal, 200, 1.0)
    theirs = KinematicSimulator(again, 200, 1.0)
    np.testing.assert_array_equal(theirs.hkl, ours.hkl)
    np.testing.assert_allclose(theirs.intensity, ours.intensity, rtol=1e-6)
