"""Dynamical libraries: what they hold is what the simulator says, also turned and mirrored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import (
    conjugate,
    from_matrix,
    multiply,
    random_quaternions,
    rotate,
    to_matrix,
    with_zone_axis,
    zone_axis,
)
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from pyxem_cnn.simulation.library.dynamical_library import ARRAYS, mirror_rotation
from pyxem_cnn.simulation.library.file import simulate_library
from pyxem_cnn.simulation.library.parameters import BUDGET, LibraryParameters
from pyxem_cnn.simulation.library.simulate import (
    library_orientations,
    make_simulator,
    simulate_chunk,
)
from pyxem_cnn.simulation.sampling import in_fundamental_sector, zone_axis_grid
from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget
from tests._crystals import crystal

MIRROR = np.diag([1.0, -1.0, 1.0])
VOLTAGE = {"cubic": 200, "gaas": 200, "trigonal": 300, "monoclinic": 200}


def quartz():
    """Return alpha quartz, P 32 2 1: rotations only."""
    return CrystalStructure.from_asymmetric_unit(
        (4.913, 4.913, 5.405, 90, 90, 120),
        154,
        ["Si", "O"],
        [[0.4697, 0, 0], [0.4133, 0.2672, 0.1188]],
        name="quartz",
    )


def assert_same_pattern(first, second, tolerance):
    """Compare two lists of spots by their places: nearest spots within 0.003 1/angstrom."""
    (k_1, i_1), (k_2, i_2) = first, second
    strong_1, strong_2 = i_1 > 3e-4, i_2 > 3e-4
    for k, i, others, theirs in (
        (k_1[strong_1], i_1[strong_1], k_2, i_2),
        (k_2[strong_2], i_2[strong_2], k_1, i_1),
    ):
        distance = np.linalg.norm(k[:, None] - others[None], axis=-1)
        distance = np.where(theirs[None] > 0, distance, np.inf)
        nearest = distance.argmin(1)
        assert distance.min(1).max() < 3e-3
        np.testing.assert_allclose(i, theirs[nearest], atol=tolerance)


def spots_of(simulator, orientation):
    """Return k (s, 2) and intensity (s,) of one orientation for a parallel beam, 600 angstrom."""
    spots = simulator.calculate(orientation[None], thicknesses=[600.0])
    # Padding is told by its intensity.
    return spots.k[0].astype(float), spots.disc_intensity[0, 0].astype(float)


class TestMirrorImages:
    """The pattern of S M m_y is the mirror image of that of M, if S is an operation."""

    @pytest.mark.parametrize("name", ["cubic", "gaas", "trigonal"])
    def test_of_every_improper_operation(self, name, rng):
        simulator = BlochWaveSimulator(
            crystal(name), accelerating_voltage=VOLTAGE[name], convergence_angle=0, n_beams=64
        )
        operations = crystal(name).point_group_matrices()
        improper = operations[np.linalg.det(operations) < 0]
        (orientation,) = random_quaternions(1, rng)
        k, intensity = spots_of(simulator, orientation)
        for operation in improper[:: max(1, len(improper) // 4)]:
            matrix = operation @ to_matrix(orientation) @ MIRROR
            other = spots_of(simulator, from_matrix(matrix))
            assert_same_pattern((k * [1, -1], intensity), other, 2e-4)

    @pytest.mark.parametrize("name", ["cubic", "gaas", "trigonal"])
    def test_by_the_rotation_of_the_library(self, name, rng):
        simulator = BlochWaveSimulator(
            crystal(name), accelerating_voltage=VOLTAGE[name], convergence_angle=0, n_beams=64
        )
        rotation = mirror_rotation(crystal(name))
        two_fold = np.array([0.0, 0.0, 1.0, 0.0])
        for orientation in random_quaternions(3, rng):
            k, intensity = spots_of(simulator, orientation)
            mirrored = multiply(rotation, multiply(orientation, two_fold))
            assert_same_pattern((k * [1, -1], intensity), spots_of(simulator, mirrored), 2e-4)

    def test_friedel_fails_for_gaas(self):
        """What is right for kinematic patterns is wrong here: the tests above can fail."""
        simulator = BlochWaveSimulator(
            crystal("gaas"), accelerating_voltage=200, convergence_angle=0, n_beams=64
        )
        two_fold = np.array([0.0, 0.0, 1.0, 0.0])
        for direction in ([1, 0.95, 0.05], [0.5, 0.3, 0.2]):
            orientation = with_zone_axis(np.array(direction))
            k, intensity = spots_of(simulator, orientation)
            other = spots_of(simulator, multiply(orientation, two_fold))
            with pytest.raises(AssertionError, match="tolerance"):
                assert_same_pattern((k * [1, -1], intensity), other, 2e-4)

    def test_rotation(self):
        np.testing.assert_allclose(mirror_rotation(crystal("trigonal")), [1, 0, 0, 0], atol=1e-9)
        rotation = to_matrix(mirror_rotation(crystal("gaas")))
        operations = crystal("gaas").point_group_matrices()
        assert np.isclose(operations, -rotation).all((1, 2)).any()
        assert mirror_rotation(quartz()) is None


@pytest.fixture(scope="module", params=["trigonal", "gaas"])
def library(request):
    return simulate_library(
        crystal(request.param),
        VOLTAGE[request.param],
        n_zone_axes=60,
        n_beams=24,
        n_tilts=5,
        n_thicknesses=3,
        k_max=1.2,
        show_progressbar=False,
        n_threads=1,
    )


class TestContent:
    def test_entries_are_what_the_simulator_gives(self, library):
        """With the tilts of the entry, given to the simulator one by one as other orientations."""
        parameters = replace(library.parameters, convergence_angle=0)
        simulator = make_simulator(parameters)
        n = 7
        tilted = []
        wavelength = simulator.wavelength
        for x, y in library.tilts[n].astype(float):
            # The incident beam k = (x, y, -kz): the shortest turn to a frame whose -z is along it.
            axis = np.array([y, -x, 0.0])
            angle = np.arcsin(np.hypot(x, y) * wavelength)
            axis = axis / max(np.linalg.norm(axis), 1e-12)
            turn = np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * axis])
            tilted.append(multiply(library.orientation[n].astype(float), turn))
        change = np.full(len(tilted), library.debye_waller_change[n])
        spots = simulator.calculate(
            np.array(tilted), thicknesses=library.thickness[n], debye_waller_change=change
        )
        for j in range(len(tilted)):
            found = {
                tuple(h): library.intensity[n, :, s, j].astype(float)
                for s, h in enumerate(library.hkl[n])
                if h.any()
            }
            expected = {tuple(h): spots.intensity[j, :, s, 0] for s, h in enumerate(spots.hkl[j])}
            common = [h for h in found if h in expected]
            assert len(common) > 15
            a, b = (np.array([d[h] for h in common]) for d in (found, expected))
            # Tilted orientations take other weak beams along.
            assert np.abs(a - b).sum() < 0.1 * b.sum()

    def test_places(self, library):
        g = rotate(
            conjugate(library.orientation.astype(float))[:, None],
            library.hkl @ library.crystal.reciprocal_basis.T,
        )
        np.testing.assert_allclose(library.k, g[..., :2], atol=1e-5)

    def test_no_direct_beam(self, library):
        used = library.intensity.max((1, 3)) > 0
        assert (library.hkl[used] != 0).any(-1).all()
        assert used.mean() > 0.8

    def test_thicknesses_are_stratified(self, library):
        edges = np.linspace(200, 1000, 4)
        assert (library.thickness >= edges[:-1]).all()
        assert (library.thickness <= edges[1:]).all()
        assert len(np.unique(library.thickness)) == library.thickness.size

    def test_tilts_are_drawn_afresh(self, library):
        radius = np.linalg.norm(library.tilts, axis=-1)
        assert radius.max() <= library.disc_radius * (1 + 1e-5)
        assert (radius**2).mean() == pytest.approx(library.disc_radius**2 / 2, rel=0.1)
        # No direction is preferred, and no two entries have the same tilts.
        assert np.abs(library.tilts.mean((0, 1))).max() < 0.1 * library.disc_radius
        assert len(np.unique(library.tilts[:, -1, 0])) == len(library)

    def test_debye_waller_factors(self, library):
        # B is 0.5 square angstrom where nothing is known.
        change = library.debye_waller_change / 0.5
        assert -0.3 <= change.min() < -0.2
        assert 0.2 < change.max() <= 0.3

    def test_description(self, library):
        assert library.crystal.name in repr(library)
        assert f"{len(library)} zone axes" in repr(library)
        assert library.is_dynamical
        assert library.largest_excitation_error == 0
        assert library.nbytes == sum(getattr(library, name).nbytes for name in ARRAYS)
        assert library.shortest_reflection == pytest.approx(
            {"GaAs": np.sqrt(3) / 5.653, "LiNiO2": 3 / 14.19}[library.crystal.name], rel=0.02
        )
        wavelength = {"GaAs": 0.025079, "LiNiO2": 0.019687}[library.crystal.name]
        assert library.disc_radius == pytest.approx(1.5e-3 / wavelength, rel=1e-4)

    def test_more_decimals_in_the_hash_than_in_the_eye(self, library):
        other = replace(library, thickness=library.thickness.copy())
        assert other.sha256() == library.sha256()
        other.thickness[3, 1] += 1e-3
        assert other.sha256() != library.sha256()


class TestDraws:
    def test_belong_to_their_orientation(self, library, generator):
        """Turned and mirrored spots lie where the label puts their reflections."""
        spots = library.draw(64, generator)
        g = library.crystal.reciprocal_basis
        mirrored = 0
        rotation = mirror_rotation(library.crystal)
        for n in range(64):
            entry, layer = np.argwhere(library.thickness == spots.thickness[n].item())[0]
            label = spots.orientation[n].double().numpy()
            # The label's zone axis is that of the entry, or S times it for the mirrored.
            axis = zone_axis(library.orientation[entry].astype(float))
            is_own = np.allclose(zone_axis(label), axis, atol=1e-5)
            mirrored += not is_own
            operation = np.eye(3) if is_own else -to_matrix(rotation)
            np.testing.assert_allclose(zone_axis(label), operation @ axis, atol=1e-5)
            vectors = (library.hkl[entry] @ g.T) @ operation.T
            places = rotate(conjugate(label), vectors)[:, :2]
            np.testing.assert_allclose(spots.k[n], places, atol=1e-4)
            intensity = library.intensity[entry, layer].astype(float) / library.tilts.shape[1]
            np.testing.assert_allclose(spots.intensity[n], intensity, atol=2e-5)
        assert 15 < mirrored < 49

    def test_tilts_turn_with_the_spots(self, library, generator):
        spots = library.draw(50, generator)
        for n in range(50):
            entry, _ = np.argwhere(library.thickness == spots.thickness[n].item())[0]
            # One linear map takes the spots and the tilts along.
            used = np.linalg.norm(library.k[entry], axis=1) > 0
            turn = np.linalg.lstsq(library.k[entry][used], spots.k[n].numpy()[used], rcond=None)[0]
            np.testing.assert_allclose(library.tilts[entry] @ turn, spots.tilts[n], atol=1e-5)

    def test_patterns_are_those_of_the_label(self, library, generator):
        """The whole chain against the simulator: intensities at the label, mirrored or not."""
        parameters = replace(library.parameters, convergence_angle=0, n_beams=24)
        simulator = make_simulator(parameters)
        central = library.draw(12, generator)
        for n in range(12):
            # The tilt nearest to the axis against a parallel beam along that tilt.
            j = int(central.tilts[n].norm(dim=1).argmin())
            x, y = central.tilts[n, j].double().tolist()
            angle = np.arcsin(np.hypot(x, y) * simulator.wavelength)
            axis = np.array([y, -x, 0.0]) / max(np.hypot(x, y), 1e-12)
            turn = np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * axis])
            label = multiply(central.orientation[n].double().numpy(), turn)
            entry, _ = np.argwhere(library.thickness == central.thickness[n].item())[0]
            spots = simulator.calculate(
                label[None],
                thicknesses=[central.thickness[n].item()],
                debye_waller_change=library.debye_waller_change[entry, None],
            )
            intensity = central.intensity[n, :, j].double().numpy() * library.tilts.shape[1]
            k, expected = spots.k[0, 1:], spots.intensity[0, 0, 1:, 0]
            distance = np.linalg.norm(central.k[n].numpy()[:, None] - k[None], axis=-1)
            strong = intensity > 0.2 * intensity.max()
            nearest = distance[strong].argmin(1)
            assert distance[strong].min(1).max() < 0.02
            np.testing.assert_allclose(
                intensity[strong], expected[nearest], atol=0.15 * intensity.max()
            )


class TestZoneAxes:
    @pytest.mark.parametrize("make", [lambda: crystal("cubic"), lambda: crystal("gaas"), quartz])
    def test_fill_the_sector_of_the_point_group(self, make):
        phase = make()
        operations = phase.point_group_matrices()
        parameters = LibraryParameters(phase, 200, n_zone_axes=500)
        axes = zone_axis(library_orientations(parameters))
        assert len(axes) == pytest.approx(500, rel=0.1)
        # The jitter puts some across the edge.
        assert in_fundamental_sector(axes, operations).mean() > 0.8
        order = {"Si": 48, "GaAs": 24, "quartz": 6}[phase.name]
        assert len(operations) == order

    def test_are_never_the_centres_of_cells(self):
        cells = ZoneInPlaneTarget.for_crystal(crystal("trigonal")).zones
        axes = zone_axis(library_orientations(LibraryParameters(crystal("trigonal"), 300)))
        symmetry = to_matrix(crystal("trigonal").symmetry_quaternions())
        equivalent = np.einsum("sij,nj->nsi", symmetry, axes[::7])
        closest = np.abs(np.rad2deg(np.arccos((equivalent @ cells.T).max((1, 2)).clip(-1, 1))))
        # Many in every cell; what lies near a centre is what chance puts there.
        assert (closest < 0.05).mean() < 2e-3
        assert len(axes) > 30 * len(cells)

    def test_other_seeds_give_other_zone_axes(self):
        parameters = LibraryParameters(crystal("cubic"), 200, n_zone_axes=300)
        a, b = (zone_axis(library_orientations(replace(parameters, seed=s))) for s in (0, 1))
        nearest = np.linalg.norm(a[:, None] - b[None], axis=-1).min(1)
        assert np.median(nearest) > 1e-3

    def test_are_even(self):
        parameters = LibraryParameters(crystal("trigonal"), 300, n_zone_axes=3000)
        axes = zone_axis(library_orientations(parameters))
        cells = zone_axis_grid(crystal("trigonal").point_group_matrices(), n=60)
        inside = in_fundamental_sector(axes, crystal("trigonal").point_group_matrices())
        counts = np.bincount((axes[inside] @ cells.T).argmax(1), minlength=len(cells))
        # Cells at the edge of the sector are smaller.
        assert np.median(counts) == pytest.approx(50, rel=0.3)


class TestParameters:
    def test_fit_the_budget(self):
        cubic = LibraryParameters.within_budget(crystal("cubic"), 200)
        assert 7000 < cubic.n_zone_axes < 9000  # 0.33 degrees in 1/48 of the sphere
        trigonal = LibraryParameters.within_budget(crystal("trigonal"), 300)
        assert 30_000 < trigonal.n_zone_axes <= 32_000
        triclinic = LibraryParameters.within_budget(
            CrystalStructure.from_asymmetric_unit(
                (4, 5, 6, 80, 85, 95), 1, ["Si"], [[0, 0, 0]], name="P1"
            ),
            200,
        )
        assert triclinic.n_zone_axes == 32_000  # 1.1 degrees apart
        for parameters in (cubic, trigonal, triclinic):
            assert parameters.n_zone_axes * parameters.cost <= 1.01 * BUDGET

    def test_large_cells_get_more_beams(self):
        large = CrystalStructure.from_asymmetric_unit(
            (9, 10, 11, 90, 90, 90), 47, ["Si"], [[0.1, 0.2, 0.3]], name="large"
        )
        n_beams = [
            LibraryParameters.within_budget(c, 200).n_beams
            for c in (crystal("cubic"), crystal("trigonal"), large)
        ]
        assert n_beams[:2] == [64, 64]
        assert 64 < n_beams[2] <= 128

    def test_precession_costs_zone_axes(self):
        still = LibraryParameters.within_budget(crystal("trigonal"), 300)
        rocking = LibraryParameters.within_budget(crystal("trigonal"), 300, precession_angle=0.6)
        assert rocking.n_zone_axes < 0.6 * still.n_zone_axes

    def test_what_is_given_is_kept(self):
        given = LibraryParameters.within_budget(crystal("gaas"), 200, n_zone_axes=77, n_beams=200)
        assert (given.n_zone_axes, given.n_beams) == (77, 200)

    def test_what_was_chosen_is_logged(self, caplog):
        with caplog.at_level("INFO", logger="pyxem_cnn"):
            LibraryParameters.within_budget(crystal("monoclinic"), 200)
        assert "zone axes" in caplog.text
        assert "64 beams" in caplog.text

    def test_json(self):
        import json

        parameters = LibraryParameters(crystal("trigonal"), 300, thicknesses=(100, 500))
        again = LibraryParameters.from_dict(json.loads(json.dumps(parameters.to_dict())))
        assert again == parameters
        assert not again.differences(parameters)
        assert list(again.differences(replace(parameters, seed=3))) == ["seed"]

    def test_tilts(self):
        n_tilts = [
            LibraryParameters(crystal("cubic"), 200, **options).n_tilts
            for options in ({}, {"convergence_angle": 0}, {"precession_angle": 0.6})
        ]
        assert n_tilts == [7, 1, 1]
        assert LibraryParameters(crystal("cubic"), 200, precession_angle=0.6).n_precession == 72

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"thicknesses": (500, 200)}, "angstrom"),
            ({"thicknesses": 300}, "smallest and the largest"),
            ({"convergence_angle": -1}, "mrad"),
            ({"precession_angle": -1}, "degrees"),
            ({"n_beams": 0}, "n_beams"),
            ({"n_beams": 1}, "at least 2"),
            ({"debye_waller_spread": 1.5}, "a share from 0 to 1"),
            ({"seed": -1}, "seed"),
        ],
    )
    def test_refusals(self, options, words):
        with pytest.raises(ValueError, match=words):
            LibraryParameters(crystal("cubic"), 200, **options)

    @pytest.mark.filterwarnings("error")
    def test_nanometres_are_noticed(self):
        with pytest.warns(UserWarning, match=r"got \(20.0, 100.0\).* Multiply by 10"):
            parameters = LibraryParameters.within_budget(
                crystal("cubic"), 200, thicknesses=(20, 100), n_zone_axes=50, n_beams=12
            )
        # And not once more for every part of the simulation.
        chunk = simulate_chunk(
            make_simulator(parameters), parameters, 0.5, library_orientations(parameters)[:2], 0
        )
        assert chunk["thickness"].max() < 100

    def test_volts_refused(self):
        with pytest.raises(ValueError, match="accelerating_voltage: got 200000, .* kV"):
            LibraryParameters(crystal("cubic"), 200000)


def test_precession_gives_uniform_discs(generator):
    library = simulate_library(
        crystal("cubic"),
        200,
        n_zone_axes=8,
        n_beams=16,
        precession_angle=0.5,
        k_max=0.8,
        show_progressbar=False,
    )
    assert library.tilts.shape[1] == 1
    assert not library.tilts.any()
    spots = library.draw(3, generator)
    assert spots.tilts is None
    # Azimuths start at random: with more of them, that does not matter.
    simulator = BlochWaveSimulator(
        crystal("cubic"),
        accelerating_voltage=200,
        n_beams=16,
        precession_angle=0.5,
        n_tilts=1,
        n_precession=144,
        g_max=1.0,
    )
    expected = simulator.calculate(
        library.orientation.astype(float),
        thicknesses=library.thickness,
        debye_waller_change=library.debye_waller_change,
    )
    found = library.intensity[..., 0].astype(float)
    np.testing.assert_allclose(found, expected.disc_intensity[:, :, 1:], atol=0.01)


def test_batches_keep_the_thickness(library, generator):
    spots = library.draw(20, generator)
    assert torch.isfinite(spots.thickness).all()
    assert ((spots.thickness >= 200) & (spots.thickness <= 1000)).all()
