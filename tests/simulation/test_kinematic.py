"""Kinematic spots against diffsims, for the same orix rotations."""

from __future__ import annotations

import numpy as np
import pytest
from diffsims.generators.simulation_generator import SimulationGenerator
from diffsims.utils.sim_utils import get_electron_wavelength
from orix.quaternion import Rotation

from pyxem_cnn.rotations import random_quaternions
from pyxem_cnn.simulation.kinematic import (
    KinematicSimulator,
    electron_wavelength,
    reflections_within,
    structure_factors_squared,
)
from tests._crystals import atoms_by_hand, crystal, diffsims_phase, reciprocal_basis_by_hand

NAMES = ("cubic", "hexagonal", "trigonal", "monoclinic", "gaas")
K_MAX, SLAB, WIDTH = 1.3, 0.06, 0.02


def lorentzian(error):
    """Return the shape factor of diffsims' "lorentzian" model, by its definition."""
    sigma = np.pi / WIDTH
    return sigma / (np.pi * (sigma**2 * error**2 + 1))


@pytest.fixture(scope="module", params=NAMES)
def compared(request):
    """Five orientations: ours (positions, |F|^2, errors) and diffsims' vectors."""
    quaternions = random_quaternions(5, np.random.default_rng(7))
    generator = SimulationGenerator(200, shape_factor_model="lorentzian", minimum_intensity=1e-12)
    simulation = generator.calculate_diffraction2d(
        diffsims_phase(request.param),
        Rotation(quaternions),
        # diffsims 0.7 misses reflections near its radius in oblique cells: it stops at
        # h = radius / |a*|, where h = radius |a| is right. So it gets a larger one.
        reciprocal_radius=1.3 * K_MAX,
        with_direct_beam=False,
        max_excitation_error=SLAB,
        shape_factor_width=WIDTH,
    )
    simulator = KinematicSimulator(crystal(request.param), 200, K_MAX, SLAB, 1e-9)
    vectors = [v[np.linalg.norm(v.data, axis=1) <= K_MAX] for v in simulation.coordinates]
    return simulator, quaternions, vectors


def inside_sphere(simulator, spots, error, n):
    """Return which of our spots have |g| up to K_MAX; the detector is wider than that."""
    radius = 1 / get_electron_wavelength(200)
    k2 = (spots.k[n] ** 2).sum(-1)
    z = radius - np.sqrt(radius**2 - k2) - error
    return (spots.intensity[n] > 0) & (k2 + z**2 <= K_MAX**2)


def test_same_spots_at_the_same_places(compared):
    simulator, quaternions, vectors = compared
    spots = simulator.spots(quaternions, 2000)
    for n, theirs in enumerate(vectors):
        keep = inside_sphere(simulator, spots, spots.excitation_error[n], n)
        ours = spots.k[n][keep]
        strong = theirs.intensity > 1e-9 * theirs.intensity.max()
        xy = theirs.data[strong][:, :2]
        assert len(ours) == len(xy) > 5
        distance = np.linalg.norm(ours[:, None] - xy[None], axis=-1)
        assert distance.min(1).max() < 1e-9
        assert distance.min(0).max() < 1e-9


def test_same_ratio_of_intensities(compared):
    simulator, quaternions, vectors = compared
    spots = simulator.spots(quaternions, 2000)
    ratios = []
    for n, theirs in enumerate(vectors):
        keep = inside_sphere(simulator, spots, spots.excitation_error[n], n)
        error = spots.excitation_error[n][keep]
        intensity = spots.intensity[n][keep] * lorentzian(error)
        xy = theirs.data[:, :2]
        match = np.linalg.norm(spots.k[n][keep][:, None] - xy[None], axis=-1).argmin(1)
        ratios.append(intensity / theirs.intensity[match])
    ratios = np.concatenate(ratios)
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)


def test_excitation_errors_have_the_sign_and_size_of_diffsims(compared):
    simulator, quaternions, vectors = compared
    radius = 1 / get_electron_wavelength(200)
    spots = simulator.spots(quaternions, 2000)
    signs = set()
    for n, theirs in enumerate(vectors):
        x, y, z = theirs.data.T
        expected = radius - np.sqrt(radius**2 - x**2 - y**2) - z
        keep = spots.intensity[n] > 0
        match = np.linalg.norm(theirs.data[:, None, :2] - spots.k[n][keep][None], axis=-1)
        close = match.min(1) < 1e-9
        found = spots.excitation_error[n][keep][match.argmin(1)]
        np.testing.assert_allclose(found[close], expected[close], atol=1e-8)
        signs |= set(np.sign(found[close]))
    assert signs == {-1.0, 1.0}


def test_excitation_error_by_hand():
    """[001] silicon tilted towards +x: -g_x rises to the sphere's centre, +g_x sinks."""
    simulator = KinematicSimulator(crystal("cubic"), 200, 1.0, 0.2)
    tilt = np.deg2rad(1.0)
    # v_lab -> v_crystal about y; g_lab = M^T g.
    q = np.array([[np.cos(tilt / 2), 0, np.sin(tilt / 2), 0]])
    g_lab, error = simulator.positions(q)
    (i,) = np.flatnonzero((simulator.hkl == (4, 0, 0)).all(1))
    g = 4 / 5.431
    np.testing.assert_allclose(g_lab[0, i], [g * np.cos(tilt), 0, g * np.sin(tilt)], atol=1e-12)
    sag = (g * np.cos(tilt)) ** 2 * electron_wavelength(200) / 2
    assert error[0, i] == pytest.approx(sag - g * np.sin(tilt), abs=1e-5)


def test_wavelength():
    # Tabulated: 200 kV 2.508 pm, 300 kV 1.969 pm.
    assert electron_wavelength(200) == pytest.approx(0.02508, abs=1e-5)
    assert electron_wavelength(300) == pytest.approx(0.01969, abs=1e-5)
    assert electron_wavelength(80) == pytest.approx(get_electron_wavelength(80), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_crystal_frame(name):
    """Columns a*, b*, c* in the frame of orix and diffsims: x along a, z along c*."""
    expected = reciprocal_basis_by_hand(name)
    np.testing.assert_allclose(crystal(name).reciprocal_basis, expected, atol=1e-12)
    np.testing.assert_allclose(diffsims_phase(name).structure.lattice.recbase, expected, atol=1e-6)


class TestReflections:
    @pytest.mark.parametrize("name", NAMES)
    def test_against_a_large_box(self, name):
        basis = crystal(name).reciprocal_basis
        box = np.stack(np.meshgrid(*[np.arange(-25, 26)] * 3, indexing="ij"), -1).reshape(-1, 3)
        g = np.linalg.norm(box @ basis.T, axis=1)
        expected = box[(g > 0) & (g <= 1.1)]
        found = reflections_within(basis, 1.1)
        assert set(map(tuple, found)) == set(map(tuple, expected))
        assert len(found) == len(expected) > 50

    def test_limit_is_included(self):
        found = reflections_within(np.eye(3) * 0.2, 0.4)
        assert (2, 0, 0) in set(map(tuple, found))
        assert (0, 0, 0) not in set(map(tuple, found))


class TestStructureFactors:
    def test_silicon_extinctions(self):
        hkl = np.array(
            [(1, 1, 1), (2, 2, 0), (4, 0, 0), (2, 0, 0), (2, 2, 2), (1, 0, 0), (2, 1, 1), (6, 0, 0)]
        )
        intensity = structure_factors_squared(crystal("cubic"), hkl)
        assert (intensity[:3] > 1).all()
        assert (intensity[3:] < 1e-9 * intensity[0]).all()

    def test_gaas_has_what_silicon_has_not(self):
        hkl = np.array([(2, 2, 0), (2, 0, 0), (2, 2, 2), (1, 0, 0)])
        intensity = structure_factors_squared(crystal("gaas"), hkl)
        assert 1e-9 < intensity[1] / intensity[0] < 0.1
        assert intensity[2] > 1e-9 * intensity[0]
        assert intensity[3] < 1e-9 * intensity[0]

    def test_rhombohedral_and_screw_axes(self):
        box = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
        box = box[(box != 0).any(1)]
        trigonal = structure_factors_squared(crystal("trigonal"), box)
        obverse = (-box[:, 0] + box[:, 1] + box[:, 2]) % 3 == 0
        assert trigonal[~obverse].max() < 1e-9 * trigonal.max()
        hexagonal = structure_factors_squared(
            crystal("hexagonal"), np.array([(0, 0, 1), (0, 0, 2)])
        )
        assert hexagonal[0] < 1e-9 * hexagonal[1]

    def test_friedel(self):
        hkl = reflections_within(crystal("gaas").reciprocal_basis, 0.8)
        intensity = structure_factors_squared(crystal("gaas"), hkl)
        np.testing.assert_allclose(
            structure_factors_squared(crystal("gaas"), -hkl), intensity, rtol=1e-9
        )

    @pytest.mark.parametrize("name", NAMES)
    def test_symmetry_of_the_laue_group(self, name):
        phase = crystal(name)
        hkl = reflections_within(phase.reciprocal_basis, 0.9)
        intensity = dict(zip(map(tuple, hkl), structure_factors_squared(phase, hkl), strict=True))
        largest = max(intensity.values())
        for matrix in phase.laue_group_matrices():
            turned = np.linalg.solve(
                phase.reciprocal_basis, matrix @ phase.reciprocal_basis @ hkl.T
            )
            for index, other in zip(hkl, np.rint(turned.T).astype(int), strict=True):
                difference = intensity[tuple(index)] - intensity[tuple(other)]
                assert abs(difference) < 1e-6 * largest

    @pytest.mark.parametrize("name", NAMES)
    def test_against_the_sum_over_atoms(self, name):
        """Lobato's factors and the phases of all atoms, cell and atoms written out by hand."""
        from diffsims.utils.sim_utils import get_scattering_params_dict

        table = get_scattering_params_dict("lobato")
        hkl = np.array(
            [(1, 0, 1), (0, 1, 1), (1, 0, -1), (0, 0, 6), (2, 2, 0), (1, 1, 3), (3, 1, -1)]
        )
        g2 = ((hkl @ reciprocal_basis_by_hand(name).T) ** 2).sum(1)
        amplitude = np.zeros(len(hkl), dtype=complex)
        for element, xyz in atoms_by_hand(name):
            factor = sum(a * (2 + b * g2) / (1 + b * g2) ** 2 for a, b in table[element])
            amplitude += factor * np.exp(-2j * np.pi * hkl @ xyz)
        found = structure_factors_squared(crystal(name), hkl)
        np.testing.assert_allclose(found, np.abs(amplitude) ** 2, rtol=1e-6, atol=1e-6)

    def test_occupancies(self):
        from pyxem_cnn.phases import CrystalStructure

        lattice = (4.0, 4.0, 4.0, 90, 90, 90)
        half, full = (
            CrystalStructure.from_asymmetric_unit(
                lattice, 221, ["Cu"], [[0, 0, 0]], occupancies=o, name="Cu"
            )
            for o in (0.5, 1.0)
        )
        hkl = np.array([(1, 0, 0), (2, 1, 0)])
        np.testing.assert_allclose(
            structure_factors_squared(half, hkl), structure_factors_squared(full, hkl) / 4
        )


class TestSpots:
    def test_padding(self, rng):
        simulator = KinematicSimulator(crystal("cubic"), 200, 1.0, 0.05)
        spots = simulator.spots(random_quaternions(4, rng), 128)
        assert spots.k.shape == (4, 128, 2)
        assert len(spots) == 4
        empty = spots.intensity == 0
        assert empty.any(axis=1).all()
        assert (~empty).any(axis=1).all()
        # What is padded says nothing about the slab.
        assert np.abs(spots.excitation_error).max() <= 0.05

    def test_more_spots_than_reflections(self, rng):
        simulator = KinematicSimulator(crystal("cubic"), 200, 0.5, 0.1)
        spots = simulator.spots(random_quaternions(2, rng), 10_000)
        assert spots.k.shape[1] == len(simulator.g) < 10_000

    def test_the_most_important_are_kept(self, rng):
        simulator = KinematicSimulator(crystal("trigonal"), 200, 1.2, 0.05)
        q = random_quaternions(1, rng)
        every, few = simulator.spots(q, 1000), simulator.spots(q, 10)

        def weight(spots):
            return spots.intensity / (1 + (spots.excitation_error * np.pi / 0.05) ** 2)

        np.testing.assert_allclose(
            np.sort(weight(few)[0]), np.sort(weight(every)[0])[-10:], rtol=1e-12
        )

    def test_blocks_change_nothing(self, rng, monkeypatch):
        simulator = KinematicSimulator(crystal("hexagonal"), 200, 1.2, 0.05)
        q = random_quaternions(7, rng)
        whole = simulator.spots(q, 30)
        parts = [simulator.spots(q[i : i + 1], 30) for i in range(7)]
        np.testing.assert_allclose(whole.k, np.concatenate([p.k for p in parts]))
        np.testing.assert_allclose(whole.intensity, np.concatenate([p.intensity for p in parts]))
