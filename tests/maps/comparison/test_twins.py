"""Twins in maps: the same as one by one, found again for repeated pairs, refused without atoms."""

from __future__ import annotations

import numpy as np
import pytest
from diffpy.structure import Atom, Lattice, Structure
from orix.crystal_map import Phase

from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.maps.comparison import twins
from pyxem_cnn.maps.comparison.twins import find_twins, simulator_of
from pyxem_cnn.metrics import modulo_twins
from pyxem_cnn.rotations import about_z, multiply, random_quaternions, with_zone_axis
from pyxem_cnn.simulation.kinematic import KinematicSimulator
from tests._crystals import NAMES, crystal


def silicon_pairs(rng, n=12):
    """Return pairs that are twins (half a turn about [123], near it), and pairs that are not."""
    axis = np.array([1.0, 2, 3]) / np.sqrt(14)
    zone = multiply(with_zone_axis(axis), about_z(rng.uniform(0, 2 * np.pi, n)))
    half_turn = np.concatenate([[0], axis])
    return np.concatenate([zone, zone]), np.concatenate(
        [multiply(half_turn, zone), random_quaternions(n, rng)]
    )


def test_twins_are_those_of_the_metric(rng) -> None:
    simulator = KinematicSimulator(crystal("cubic"), 200)
    p, q = silicon_pairs(rng)
    found = find_twins(simulator, p, q)
    np.testing.assert_array_equal(found, np.arange(24) < 12)
    expected = modulo_twins(np.full(24, 50.0), simulator, p, q, PolarGrid()) == 0
    np.testing.assert_array_equal(found, expected)


def test_repeated_pairs_are_simulated_once(rng, monkeypatch) -> None:
    simulator = KinematicSimulator(crystal("cubic"), 200)
    counted = []

    def count(simulator, p, q, grid):
        counted.append(len(p))
        return original(simulator, p, q, grid)

    original = twins.pattern_difference
    monkeypatch.setattr(twins, "pattern_difference", count)
    monkeypatch.setattr(twins, "_BLOCK", 5)
    p, q = silicon_pairs(rng, 6)
    p, q = np.tile(p, (4, 1)), np.tile(q, (4, 1))
    p[20:] *= -1  # the same rotations
    np.testing.assert_array_equal(find_twins(simulator, p, q), np.tile(np.arange(12) < 6, 4))
    assert counted == [5, 5, 2]
    assert find_twins(simulator, p[:0], q[:0]).shape == (0,)


@pytest.mark.parametrize("name", [*NAMES, "gaas"])
def test_simulator_of_a_phase_is_that_of_its_crystal(name) -> None:
    simulator = simulator_of([crystal(name).to_phase()], 200)
    expected = KinematicSimulator(crystal(name), 200)
    np.testing.assert_array_equal(simulator.hkl, expected.hkl)
    np.testing.assert_allclose(simulator.intensity, expected.intensity, rtol=1e-6)


def test_phase_without_atoms_gives_the_reason() -> None:
    empty = Phase(
        "Si", point_group="m-3m", structure=Structure(lattice=Lattice(5, 5, 5, 90, 90, 90))
    )
    assert "no map holds the atoms of Si" in simulator_of([empty], 200)
    assert isinstance(simulator_of([empty, crystal("cubic").to_phase()], 200), KinematicSimulator)


def test_atoms_of_a_part_of_the_cell_are_refused() -> None:
    # Two atoms that do not obey the mirrors of 4/mmm, without a space group that would.
    atoms = [Atom("Ti", (0, 0, 0)), Atom("O", (0.2, 0.37, 0.11))]
    phase = Phase(
        "x", point_group="4/mmm", structure=Structure(atoms, Lattice(4, 4, 6, 90, 90, 90))
    )
    assert "not those of a whole cell" in simulator_of([phase], 200)
