import numpy as np
import pytest

from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.indexing.refinement.candidates import Twins, first_of_each
from pyxem_cnn.metrics import pattern_difference
from pyxem_cnn.rotations import (
    about_z,
    disorientation_angle,
    from_rotation_vector,
    multiply,
    random_quaternions,
    with_zone_axis,
)
from pyxem_cnn.simulation.kinematic import KinematicSimulator
from tests._crystals import crystal

PHASES = ("cubic", "hexagonal", "trigonal", "monoclinic")


@pytest.mark.parametrize("name", PHASES)
def test_twins_are_other_orientations(name, rng) -> None:
    phase = crystal(name)
    q = random_quaternions(20, rng)
    family = Twins(phase)(q)
    assert family.shape == (20, 4, 4)
    assert np.linalg.norm(family, axis=-1) == pytest.approx(1)
    assert np.array_equal(family[:, 0], q)
    assert np.allclose(family[:, 1], multiply(q, about_z(np.array(np.pi))))
    angle = disorientation_angle(q[:, None], family[:, 2:], phase.symmetry_quaternions())
    # A turn about a two-fold axis would lead back.
    assert np.rad2deg(angle).min() > 5


def test_twin_about_a_zone_has_nearly_the_same_pattern(rng) -> None:
    phase = crystal("trigonal")
    simulator = KinematicSimulator(phase, 200, 1.2)
    axis = phase.basis @ [2, 1, 0]
    q = multiply(
        with_zone_axis(axis[None] / np.linalg.norm(axis)),
        from_rotation_vector(np.deg2rad([[0.8, 0.5, 0.0]])),
    )
    family = Twins(phase)(q)[0]
    grid = PolarGrid(k_max=1.2)
    twin, about_beam = (
        pattern_difference(simulator, q, family[i : i + 1], grid)[0] for i in (2, 1)
    )
    assert twin < 0.1 < about_beam


def test_first_of_each_knows_symmetry(rng) -> None:
    symmetry = crystal("cubic").symmetry_quaternions()
    q = random_quaternions(3, rng)
    other = random_quaternions(3, rng)
    given = np.stack([q, multiply(symmetry[5], q), other, np.full_like(q, np.nan)], axis=1)
    kept = first_of_each(given, symmetry, 0.5)
    assert np.array_equal(kept, np.tile([True, False, True, False], (3, 1)))


def test_crystals_without_inversion_centre_have_one_more(rng) -> None:
    phase = crystal("gaas")
    q = random_quaternions(5, rng)
    twins = Twins(phase)
    inverse = twins(q)[:, 1]
    assert list(twins.is_twin) == [False, False, True, True, True]
    laue, point = (phase.symmetry_quaternions(polarity=p) for p in (False, True))
    assert disorientation_angle(q, inverse, laue) == pytest.approx(0, abs=1e-6)
    assert np.rad2deg(disorientation_angle(q, inverse, point)).min() > 20
    assert Twins(phase, 0)(q).shape == (5, 2, 4)
    assert Twins(crystal("cubic"), 0)(q).shape == (5, 1, 4)
