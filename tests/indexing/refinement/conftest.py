"""Patterns of known orientations: by diffsims, and by Bloch waves with other numbers than ours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from diffsims.generators.simulation_generator import SimulationGenerator
from orix.quaternion import Rotation

from pyxem_cnn.data._spots import Detector, patterns_of_spots
from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.rotations import from_rotation_vector, multiply, random_quaternions
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from tests import _template_patterns as drawn
from tests._crystals import crystal

VOLTAGE = 200


class Case(NamedTuple):
    """Patterns (n, rows, columns), true orientations and a map that is wrong by a degree."""

    patterns: np.ndarray
    truth: np.ndarray
    thickness: np.ndarray
    xmap: object
    geometry: dict


def turned(quaternions, degrees, rng):
    """Return orientations turned by an angle about random axes."""
    axis = rng.standard_normal((len(quaternions), 3))
    axis *= np.deg2rad(degrees) / np.linalg.norm(axis, axis=1, keepdims=True)
    return multiply(quaternions, from_rotation_vector(axis))


def map_of(quaternions, name, **options):
    """Return a crystal map of orientations (n, 4) or (n, n_best, 4) of one phase."""
    scores = np.full(quaternions.shape[:-1], 0.5)
    return build_crystal_map(
        quaternions,
        np.zeros(len(quaternions), dtype=int),
        [crystal(name)],
        prop={"scores": scores},
        **options,
    )


def as_scan(patterns):
    """Return patterns as a pyxem signal."""
    from pyxem.signals import ElectronDiffraction2D

    return ElectronDiffraction2D(patterns)


def drawn_by_diffsims(name, quaternions):
    """Return patterns (n, rows, columns), y up, of relrods with tails up to 0.08 1/angstrom."""
    # One more, since diffsims keeps a single pattern in another form.
    q = np.concatenate([quaternions, [[1.0, 0, 0, 0]]])
    simulation = SimulationGenerator(VOLTAGE).calculate_diffraction2d(
        crystal(name).to_phase(),
        Rotation(q),
        reciprocal_radius=drawn.RADIUS,
        max_excitation_error=0.08,
        shape_factor_width=0.05,
        with_direct_beam=False,
    )
    patterns = [
        simulation.irot[i].get_diffraction_pattern(
            shape=(drawn.SIZE, drawn.SIZE),
            sigma=1.2,
            direct_beam_position=drawn.CENTER,
            calibration=drawn.SCALE,
            fast=False,
            clip_threshold=1e-4,
        )
        for i in range(len(quaternions))
    ]
    return np.array(patterns)[:, ::-1]


def kinematic_case(name, n, rng, degrees=0.8):
    """Return patterns by diffsims."""
    truth = random_quaternions(n, rng)
    patterns = drawn_by_diffsims(name, truth)
    patterns = 1e4 * patterns / patterns.sum(axis=(1, 2), keepdims=True)
    geometry = {"center": drawn.CENTER, "scale": drawn.SCALE, "beam_energy": VOLTAGE}
    # Where diffsims was not asked for spots.
    rows, columns = np.indices(patterns.shape[1:])
    radius = drawn.SCALE * np.hypot(columns - drawn.CENTER[0], rows - drawn.CENTER[1])
    geometry["mask"] = radius > drawn.RADIUS - 0.05
    xmap = map_of(turned(truth, degrees, rng), name)
    return Case(patterns, truth, np.full(n, np.nan), xmap, geometry)


def dynamical_case(name, n, rng, degrees=0.8):
    """Return patterns by Bloch waves with more beams and other directions."""
    truth, thickness = random_quaternions(n, rng), rng.uniform(350, 650, n)
    simulator = BlochWaveSimulator(
        crystal(name), accelerating_voltage=VOLTAGE, n_beams=90, n_tilts=13
    )
    found = simulator.calculate(truth, thicknesses=thickness[:, None], generator=rng)
    points = (found.k[:, 1:, None] + found.tilts[:, None]).reshape(n, -1, 2)
    spots = list(zip(points, found.intensity[:, 0, 1:].reshape(n, -1), strict=True))
    detector = Detector(disc_radius=1.5e-3 / simulator.wavelength)
    geometry = {
        "center": detector.center,
        "scale": detector.scale,
        "beam_energy": VOLTAGE,
    }
    patterns = patterns_of_spots(spots, detector)
    return Case(patterns, truth, thickness, map_of(turned(truth, degrees, rng), name), geometry)


@pytest.fixture(scope="session")
def silicon_case():
    """Six kinematic patterns of silicon."""
    return kinematic_case("cubic", 6, np.random.default_rng(3))


@pytest.fixture(scope="session")
def silicon_simulator():
    """A simulator of silicon with a parallel beam, of which the refinement reads the phase."""
    return BlochWaveSimulator(
        crystal("cubic"), accelerating_voltage=VOLTAGE, convergence_angle=0, n_beams=16
    )
