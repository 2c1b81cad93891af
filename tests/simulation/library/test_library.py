"""Zone-axis libraries: what they hold, and what they take from diffsims."""

from __future__ import annotations

import numpy as np
import pytest
from diffsims.generators.simulation_generator import SimulationGenerator
from orix.quaternion import Rotation
from orix.sampling import get_sample_reduced_fundamental

from pyxem_cnn.rotations import random_quaternions, zone_axis
from pyxem_cnn.simulation.kinematic import KinematicSimulator
from pyxem_cnn.simulation.library.zone_axis_library import (
    kinematic_library,
    library_from_simulation,
    single_precision,
    split,
)
from pyxem_cnn.simulation.sampling import in_fundamental_sector
from tests._crystals import crystal, diffsims_phase


@pytest.fixture(scope="module", params=["cubic", "trigonal", "monoclinic"])
def library(request):
    return kinematic_library(
        crystal(request.param), 200, k_max=1.0, n_zone_axes=80, max_excitation_error=0.05
    )


class TestKinematicLibrary:
    def test_entries_are_what_the_simulator_gives(self, library):
        simulator = KinematicSimulator(library.crystal, 200, 1.05, 0.05)
        expected = single_precision(simulator.spots(library.orientation.astype(float), 128))
        np.testing.assert_allclose(library.spots.k.sum(1), expected.k.sum(1), atol=1e-2)
        np.testing.assert_allclose(
            np.sort(library.spots.intensity, 1), np.sort(expected.intensity, 1), atol=1e-5
        )

    def test_zone_axes_fill_the_sector_of_the_laue_group(self, library):
        operations = library.crystal.laue_group_matrices()
        axes = zone_axis(library.orientation.astype(float))
        # Single precision may put one on the edge outside.
        assert in_fundamental_sector(axes, operations).mean() > 0.95
        assert len(library) == pytest.approx(80, rel=0.15)

    def test_description(self, library):
        assert library.orientation.dtype == library.spots.k.dtype == np.float32
        assert library.spots.intensity.max() == 1
        assert library.accelerating_voltage == 200
        assert library.mirror
        said = f"{library.crystal.name}, 200 kV: {len(library)} zone axes, 128 spots"
        assert said in repr(library)
        assert not library.with_shape_factor
        used = library.spots.intensity > 0
        assert np.hypot(*library.spots.k[used].T).max() <= 1.05 + 1e-6
        assert np.abs(library.spots.excitation_error).max() <= 0.05 + 1e-6

    def test_offset_gives_other_zone_axes(self):
        a, b = (
            kinematic_library(crystal("cubic"), 200, k_max=0.8, n_zone_axes=30, offset=o)
            for o in (0.0, 0.37)
        )
        distance = np.linalg.norm(
            zone_axis(a.orientation)[:, None] - zone_axis(b.orientation), axis=-1
        )
        assert np.median(distance.min(1)) > 1e-3

    def test_large_cells_get_a_thinner_slab(self):
        from pyxem_cnn.phases import CrystalStructure

        large = CrystalStructure.from_asymmetric_unit(
            (21, 23, 25, 90, 90, 90), 47, ["Si"], [[0.1, 0.2, 0.3]], name="large"
        )
        library = kinematic_library(large, 200, k_max=0.8, n_zone_axes=20, n_spots=64)
        used = library.spots.intensity > 0
        assert 20 < used.sum(1).mean() <= 64
        assert np.abs(library.spots.excitation_error[used]).max() < 0.09


@pytest.fixture(scope="module")
def simulation():
    """diffsims patterns whose rotations have in-plane angles of their own, 110 or more."""
    rotations = get_sample_reduced_fundamental(
        resolution=3, point_group=diffsims_phase("cubic").point_group
    )
    rotations = rotations * Rotation.from_euler([[25.0, 0, 0]], degrees=True)
    copies = -(-110 // rotations.size)
    return SimulationGenerator(200).calculate_diffraction2d(
        diffsims_phase("cubic"),
        Rotation(np.concatenate([rotations.data.reshape(-1, 4)] * copies)),
        reciprocal_radius=1.0,
        max_excitation_error=0.03,
        with_direct_beam=True,
    )


class TestFromSimulation:
    def test_spots_are_those_of_the_simulation(self, simulation):
        library = library_from_simulation(simulation, crystal("cubic"))
        assert len(library) == simulation.rotations.size
        assert library.with_shape_factor
        assert library.accelerating_voltage == 200
        np.testing.assert_allclose(library.orientation, simulation.rotations.data, atol=1e-6)
        largest = max(
            v.intensity[np.hypot(*v.data[:, :2].T) > 1e-6].max() for v in simulation.coordinates
        )
        for n in (0, 7, len(library) - 1):
            vectors = simulation.coordinates[n]
            off_beam = np.hypot(*vectors.data[:, :2].T) > 1e-6
            order = np.argsort(-vectors.intensity[off_beam])
            count = min(len(order), 128)
            np.testing.assert_allclose(
                library.spots.k[n, :count], vectors.data[off_beam][order][:count, :2], atol=1e-6
            )
            np.testing.assert_allclose(
                library.spots.intensity[n, :count],
                vectors.intensity[off_beam][order][:count] / largest,
                atol=1e-6,
            )
            assert not library.spots.intensity[n, count:].any()

    def test_strongest_spots_are_kept(self, simulation):
        few = library_from_simulation(simulation, crystal("cubic"), n_spots=3)
        every = library_from_simulation(simulation, crystal("cubic"), n_spots=500)
        assert few.spots.k.shape[1] == 3
        np.testing.assert_allclose(few.spots.intensity, every.spots.intensity[:, :3])

    def test_too_few_rotations_are_refused(self):
        simulation = SimulationGenerator(200).calculate_diffraction2d(
            diffsims_phase("cubic"),
            Rotation(random_quaternions(3, np.random.default_rng(0))),
            reciprocal_radius=0.6,
        )
        with pytest.raises(ValueError, match="3 rotations"):
            library_from_simulation(simulation, crystal("cubic"))

    def test_several_phases_are_refused(self):
        rotation = Rotation(random_quaternions(2, np.random.default_rng(0)))
        simulation = SimulationGenerator(200).calculate_diffraction2d(
            [diffsims_phase("cubic"), diffsims_phase("hexagonal")],
            [rotation, rotation],
            reciprocal_radius=0.6,
        )
        with pytest.raises(ValueError, match="several phases"):
            library_from_simulation(simulation)


def test_split(library):
    rest, held_out = split(library, every=10)
    assert len(rest) + len(held_out) == len(library)
    np.testing.assert_array_equal(held_out.orientation, library.orientation[::10])
    np.testing.assert_array_equal(held_out.spots.k, library.spots.k[::10])
    assert len(rest.spots) == len(rest)
    np.testing.assert_array_equal(rest.orientation[0], library.orientation[1])
    np.testing.assert_array_equal(rest.spots.excitation_error[0], library.spots.excitation_error[1])
