import numpy as np
import pytest

from pyxem_cnn.indexing.refinement.spot_sources import DynamicalSource, KinematicSource
from pyxem_cnn.rotations import random_quaternions
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from tests._crystals import crystal


@pytest.fixture(scope="module")
def dynamical():
    simulator = BlochWaveSimulator(
        crystal("cubic"), accelerating_voltage=200, n_beams=24, n_tilts=7, debye_waller=0.46
    )
    return DynamicalSource(simulator, np.linspace(300, 700, 5))


def test_dynamical_spots_are_those_of_the_simulator(dynamical, rng) -> None:
    q, depths = random_quaternions(2, rng), np.array([[300.0, 350.0], [500.0, 505.0]])
    k, intensity, offset = dynamical.calculate(q, depths)
    spots = dynamical.simulator.calculate(q, thicknesses=depths)
    assert np.allclose(k, spots.k[:, 1:])
    assert np.allclose(intensity, spots.intensity[:, :, 1:])
    assert np.allclose(offset, spots.tilts[0], atol=1e-6)
    assert dynamical.disc_radius == pytest.approx(1.5e-3 / dynamical.simulator.wavelength, 1e-3)


def test_smoother_has_a_wider_cone_and_the_same_crystal(dynamical) -> None:
    wide = dynamical.smoother(0.3).simulator
    assert wide.convergence_angle == pytest.approx(1e3 * np.deg2rad(0.15))
    assert np.allclose(wide.potential([[2, 2, 0]]), dynamical.simulator.potential([[2, 2, 0]]))
    # A probe that is wider already stays as it is.
    assert dynamical.smoother(0.1).simulator.convergence_angle == 1.5


def test_depths_denser_and_of_a_part(dynamical) -> None:
    assert np.allclose(dynamical.denser().depths, np.linspace(300, 700, 9))
    part = dynamical.between(420, 900)
    assert part.depth_limits == (420, 700)
    assert np.diff(part.depths).max() <= 100 + 1e-9


def test_kinematic_intensities_fall_off_with_the_excitation_error(rng) -> None:
    source = KinematicSource(crystal("hexagonal"), 200, 1.5, 1.2)
    q = random_quaternions(2, rng)
    k, intensity, offset = source.calculate(q, np.full((2, 2), [0.01, 0.03]))
    spots = source.simulator.spots(q, 96)
    assert np.allclose(k, spots.k, atol=1e-6)
    assert len(offset) == intensity.shape[-1] == 7
    expected = spots.intensity / (1 + (spots.excitation_error / 0.03) ** 2)
    near = np.abs(spots.excitation_error) < 0.06
    assert np.allclose(intensity[:, 1, :, 0][near], expected[near], rtol=1e-4)
    assert np.all(intensity[:, 1, :, 0] <= expected * 1.00001)
    assert not source.knows_thickness
    # Parts have the second moment of a disc along an axis.
    moment = (offset**2).sum(-1).mean() / 2 + source.part_sigma**2
    assert moment == pytest.approx(source.disc_radius**2 / 4, rel=0.02)
