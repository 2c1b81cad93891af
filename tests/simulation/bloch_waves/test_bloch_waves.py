"""Dynamical intensities against py4DSTEM, abTEM, a multislice, and what symmetry demands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from orix.quaternion import Rotation

from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import (
    about_z,
    conjugate,
    from_matrix,
    multiply,
    random_quaternions,
    rotate,
    to_matrix,
    with_zone_axis,
)
from pyxem_cnn.simulation.bloch_waves import simulator as bloch_waves
from pyxem_cnn.simulation.bloch_waves.eigen_solver import propagate
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator, DynamicalSpots
from pyxem_cnn.simulation.bloch_waves.structure_matrix import excitation_diagonal, flux_metric
from pyxem_cnn.simulation.kinematic import KinematicSimulator, reflections_within
from pyxem_cnn.simulation.structure_factors import allowed_by_centring
from tests._crystals import crystal

NAMES = ("cubic", "hexagonal", "trigonal", "monoclinic", "gaas")
REFERENCES = Path(__file__).parents[1] / "bloch_wave_references.npz"
THICKNESSES = (200.0, 400.0, 600.0, 800.0, 1000.0)
SYMBOLS = {3: "Li", 8: "O", 14: "Si", 28: "Ni"}
GROUPS = {"linio2": "R -3 m:H", "si": "F d -3 m:1"}


@pytest.fixture(scope="module")
def references():
    with np.load(REFERENCES) as file:
        return dict(file)


def crystal_of(references, phase):
    elements = [SYMBOLS[z] for z in references[f"{phase}|atomic_numbers"]]
    positions, lattice = references[f"{phase}|positions"], references[f"{phase}|cell"]
    return CrystalStructure.from_asymmetric_unit(lattice, GROUPS[phase], elements, positions)


def stored(references, phase, program, scattering, s_max, i):
    """Return hkl (S, 3), direct beam first, and intensities (5, S)."""
    key = f"{phase}|{program}|{scattering}|{s_max}|{i}|"
    hkl, intensity = references[f"{key}hkl"].astype(int), references[f"{key}I"]
    order = np.argsort((hkl != 0).any(1), kind="stable")
    return hkl[order], intensity[:, order]


def wavelength_in_py4dstem(voltage):
    """Return the wavelength in angstrom from the constants that py4DSTEM has rounded."""
    m, e, c, h = 9.109383e-31, 1.602177e-19, 299792458, 6.62607e-34
    volt = voltage * 1e3
    return h / np.sqrt(2 * m * e * volt) / np.sqrt(1 + e * volt / 2 / m / c**2) * 1e10


def by_place(spots, n, thickness=-1):
    """Return intensities averaged over the disc, by rounded position."""
    lit = np.concatenate([[True], (spots.hkl[n, 1:] != 0).any(1)])
    places = np.round(spots.k[n][lit] + 1e-7, 4) + 0.0
    return dict(zip(map(tuple, places), spots.disc_intensity[n, thickness][lit], strict=True))


def distance(first, second):
    """Return the largest difference of intensities of two patterns."""
    return max(abs(first.get(k, 0) - second.get(k, 0)) for k in {*first, *second})


class TestReferences:
    @pytest.mark.parametrize("s_max", ["0.02", "0.03"])
    @pytest.mark.parametrize("scattering", ["Lobato"])
    @pytest.mark.parametrize("phase", ["linio2", "si"])
    def test_py4dstem(self, references, phase, scattering, s_max):
        """Their potential, beams and constants: all that is left is the solver."""
        table = dict(
            zip(
                map(tuple, references[f"{phase}|py4DSTEM|{scattering}|Ug_hkl"].tolist()),
                references[f"{phase}|py4DSTEM|{scattering}|Ug"],
                strict=True,
            )
        )
        basis = crystal_of(references, phase).reciprocal_basis
        wavelength = wavelength_in_py4dstem(float(references[f"{phase}|voltage_kV"]))
        for i, rotation in enumerate(references[f"{phase}|rotation_matrices"]):
            hkl, expected = stored(references, phase, "py4DSTEM", scattering, s_max, i)
            g = hkl @ basis.T @ rotation
            matrix = np.array([[table[tuple(x - y)] for y in hkl.tolist()] for x in hkl])
            # Their excitation errors are along z, their other entries without a metric.
            diagonal = excitation_diagonal(g[None], np.zeros((1, 1, 2)), wavelength)[0, 0]
            np.fill_diagonal(matrix, diagonal * flux_metric(g, wavelength) ** 2)
            depths = torch.tensor(THICKNESSES, dtype=torch.float64)
            waves = propagate(torch.as_tensor(matrix), depths, wavelength)
            np.testing.assert_allclose(waves.abs().square(), expected, atol=1e-10)

    @pytest.mark.parametrize("scattering", ["Lobato", "LobatoDW"])
    @pytest.mark.parametrize("phase", ["linio2", "si"])
    def test_abtem(self, references, phase, scattering):
        """Everything is ours: potential, wavelength, excitation errors, metric, propagation."""
        b_iso = 0.0
        if scattering == "LobatoDW":
            sigma = references[f"{phase}|thermal_sigma"]
            b_iso = {SYMBOLS[int(z)]: 8 * np.pi**2 * s**2 for z, s in sigma}
        simulator = BlochWaveSimulator(
            crystal_of(references, phase),
            accelerating_voltage=float(references[f"{phase}|voltage_kV"]),
            thicknesses=THICKNESSES,
            debye_waller=b_iso,
            dtype="float64",
        )
        assert simulator.is_centrosymmetric
        for i, rotation in enumerate(references[f"{phase}|rotation_matrices"]):
            for s_max in ("0.02", "0.03"):
                hkl, expected = stored(references, phase, "abTEM", scattering, s_max, i)
                found = simulator.calculate_beams(from_matrix(rotation[None]), hkl)[..., 0]
                # abTEM gives |psi|^2, we give the current through the exit surface.
                g = hkl @ simulator.crystal.reciprocal_basis.T @ rotation
                found = found * flux_metric(g, simulator.wavelength) ** 2
                np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_other_scattering_factors_differ(self, references):
        """Weickenmeier-Kohl with absorption: 5 to 13 % off, so that the above are real tests."""
        hkl, ours = stored(references, "linio2", "py4DSTEM", "Lobato", "0.03", 0)
        same, theirs = stored(references, "linio2", "py4DSTEM", "WK-CP", "0.03", 0)
        np.testing.assert_array_equal(hkl, same)
        assert np.abs(ours - theirs).max() > 0.01


def multislice(simulator, orientation, periods, n, thickness):
    """Return intensities (n_x, n_y) of all orders, from slices of the potential in real space.

    Nothing but ``simulator.potential`` is shared with Bloch waves. ``periods`` are those of the
    crystal along x, y and z of the lab; ``n`` is the number of samples along each.
    """
    basis = simulator.crystal.reciprocal_basis
    hkl = np.concatenate([np.zeros((1, 3), int), reflections_within(basis, simulator.g_max)])
    hkl = hkl[allowed_by_centring(simulator.crystal, hkl)]
    g = rotate(conjugate(orientation), hkl @ basis.T)
    order = np.rint(g * periods).astype(int)
    np.testing.assert_allclose(order, g * periods, atol=1e-9)
    spectrum = np.zeros(n, dtype=complex)
    np.add.at(spectrum, tuple((order % n).T), simulator.potential(hkl))
    potential = np.fft.ifftn(spectrum) * np.prod(n)  # U(r) = sum U_g exp(2 pi i g . r)
    assert np.abs(potential.imag).max() < 1e-9
    step = periods[2] / n[2]
    k = np.stack(
        np.meshgrid(
            *[np.fft.fftfreq(m, p / m) for m, p in zip(n[:2], periods[:2], strict=True)],
            indexing="ij",
        )
    )
    along = np.sqrt(simulator.wavelength**-2 - (k**2).sum(0))
    propagator = np.exp(2j * np.pi * step * (along - 1 / simulator.wavelength))
    wave = np.ones(n[:2], dtype=complex)
    for i in range(round(thickness / step)):
        # Electrons travel along -z, from slice 0 to slice -1.
        transmitted = wave * np.exp(
            1j * np.pi * simulator.wavelength * step * potential.real[..., -i % n[2]]
        )
        wave = np.fft.ifft2(np.fft.fft2(transmitted) * propagator)
    return np.abs(np.fft.fft2(wave) / wave.size) ** 2


@pytest.fixture(scope="module")
def gaas():
    return BlochWaveSimulator(
        crystal("gaas"),
        accelerating_voltage=200,
        convergence_angle=0,
        n_beams=300,
        g_max=3.0,
        dtype="float64",
        debye_waller=6.0,  # smooth, so that neither code truncates much
    )


class TestPolarity:
    """GaAs along [110]: 002 and 00-2 differ, and which is the stronger one is no convention."""

    A = 5.653
    PERIODS = np.array([A, A / np.sqrt(2), A / np.sqrt(2)])
    # x along [001], z along [110], y along [1-10].
    ORIENTATION = from_matrix(
        np.array([[0, np.sqrt(0.5), np.sqrt(0.5)], [0, -np.sqrt(0.5), np.sqrt(0.5)], [1, 0, 0]])
    )

    def test_against_multislice(self, gaas):
        thickness = 100 * self.PERIODS[2]
        spots = gaas.calculate(self.ORIENTATION[None], thicknesses=[thickness])
        expected = multislice(
            gaas, self.ORIENTATION, self.PERIODS, np.array([64, 48, 32]), thickness
        )
        place = np.rint(spots.k[0] * self.PERIODS[:2]).astype(int)
        found = np.zeros_like(expected)
        np.add.at(found, tuple(place.T), spots.intensity[0, 0, :, 0])
        assert np.abs(found - expected).max() < 5e-4
        # The two ends differ by much more than that.
        inverted = np.roll(expected[::-1, ::-1], 1, axis=(0, 1))
        assert np.abs(expected - inverted).max() > 0.1

    def test_inverted_crystal(self, gaas):
        """The plane normal to the beam is a mirror, so that inversion is a turn about the beam."""
        phase = gaas.crystal
        inverted = replace(
            phase, positions=-phase.positions % 1, translations=-phase.translations % 1
        )
        other = BlochWaveSimulator(
            inverted, accelerating_voltage=200, convergence_angle=0, n_beams=64, dtype="float64"
        )
        same = BlochWaveSimulator(
            phase, accelerating_voltage=200, convergence_angle=0, n_beams=64, dtype="float64"
        )
        turned = multiply(self.ORIENTATION, about_z(np.array(np.pi)))
        first = by_place(same.calculate(turned[None]), 0)
        second = by_place(other.calculate(self.ORIENTATION[None]), 0)
        third = by_place(same.calculate(self.ORIENTATION[None]), 0)
        assert distance(first, second) < 1e-9
        assert distance(first, third) > 0.02

    def test_told(self, gaas):
        assert not gaas.is_centrosymmetric
        assert gaas.polarity
        silicon = BlochWaveSimulator(crystal("cubic"), accelerating_voltage=200)
        assert not silicon.polarity
        told = BlochWaveSimulator(crystal("gaas"), accelerating_voltage=200, polarity=False)
        assert not told.polarity


class TestLimits:
    @pytest.mark.parametrize("name", NAMES)
    def test_thin_crystal_is_kinematic(self, name, rng):
        """I_g = (pi lambda t |U_g|)^2 sinc^2(t s) with diffsims' |F|^2 and excitation errors."""
        thickness = 2.0
        simulator = BlochWaveSimulator(
            crystal(name),
            accelerating_voltage=200,
            convergence_angle=0,
            n_beams=60,
            debye_waller=0,
            dtype="float64",
        )
        kinematic = KinematicSimulator(crystal(name), 200, 2.0, 0.1, 1e-12)
        quaternions = random_quaternions(3, rng)
        with pytest.warns(UserWarning, match="angstrom, as in 500 for 50 nm"):
            spots = simulator.calculate(quaternions, thicknesses=[thickness])
        g_lab, error = kinematic.positions(quaternions)
        ratios = []
        for n in range(3):
            expected = kinematic.intensity * np.sinc(thickness * error[n]) ** 2
            index = {tuple(h): i for i, h in enumerate(kinematic.hkl.tolist())}
            for hkl, k, found in zip(
                spots.hkl[n].tolist(), spots.k[n], spots.intensity[n, 0, :, 0], strict=True
            ):
                i = index.get(tuple(hkl))
                if i is None or kinematic.intensity[i] < 0.05 * kinematic.intensity.max():
                    continue
                np.testing.assert_allclose(k, g_lab[n, i, :2], atol=1e-9)
                ratios.append(found / expected[i])
        gamma, rest = 1 + 200 / 510.99895, np.pi * simulator.crystal.volume
        constant = (np.pi * simulator.wavelength * thickness * gamma / rest) ** 2
        assert len(ratios) > 5
        np.testing.assert_allclose(ratios, constant, rtol=0.05)

    def test_two_beams(self):
        """Silicon's 220 alone, from 20 to 100 nm, on both sides of the Bragg condition."""
        simulator = BlochWaveSimulator(
            crystal("cubic"), accelerating_voltage=200, convergence_angle=0, dtype="float64"
        )
        hkl = np.array([(0, 0, 0), (2, 2, 0)])
        xi = 1 / (simulator.wavelength * abs(simulator.potential(hkl[1:])[0]))
        along = np.array([1, 1, 0]) / np.sqrt(2)
        for tilt in np.deg2rad([-0.2, 0.0, 0.37, 1.0]):
            axis = np.array([0, 0, 1]) * np.cos(tilt) + along * np.sin(tilt)
            (found,) = simulator.calculate_beams(with_zone_axis(axis)[None], hkl).T
            g = np.linalg.norm(simulator.crystal.reciprocal_basis @ hkl[1])
            s = g * np.sin(tilt) - g**2 * simulator.wavelength / 2
            effective = np.hypot(s, 1 / xi)
            expected = (
                np.sin(np.pi * np.array(THICKNESSES) * effective) ** 2 / (effective * xi) ** 2
            )
            np.testing.assert_allclose(found[1], expected, atol=1e-3)

    def test_tilted_beam_is_a_tilted_crystal(self, rng):
        """A beam along (k_x, k_y, -k_z) sees what a beam along -z sees of a turned crystal."""
        simulator = BlochWaveSimulator(
            crystal("trigonal"), accelerating_voltage=300, g_max=2.0, dtype="float64"
        )
        (q,) = random_quaternions(1, rng)
        hkl = simulator._beams(q[None])[0][0][:40]
        tilt = np.array([0.2, -0.1])  # 1/angstrom: 4.4 mrad
        tilted = simulator.calculate_beams(q[None], hkl, directions=tilt[None])[..., 0]
        direction = np.array([*tilt, -np.sqrt(simulator.wavelength**-2 - tilt @ tilt)])
        # The turn of the lab that brings the beam back to -z.
        turn = conjugate(with_zone_axis(-direction))
        np.testing.assert_allclose(
            rotate(turn, direction), [0, 0, -1 / simulator.wavelength], atol=1e-9
        )
        turned = multiply(q, conjugate(turn))
        straight = simulator.calculate_beams(turned[None], hkl)[..., 0]
        untilted = simulator.calculate_beams(q[None], hkl)[..., 0]
        assert np.abs(tilted - straight).max() < 2e-3
        assert np.abs(tilted - untilted).max() > 0.05


class TestSymmetry:
    @pytest.mark.parametrize("name", NAMES)
    def test_equivalent_orientations(self, name, rng):
        simulator = BlochWaveSimulator(
            crystal(name), accelerating_voltage=300, n_beams=40, dtype="float64"
        )
        q = random_quaternions(1, rng)[0]
        operations = simulator.crystal.symmetry_quaternions(polarity=True)
        spots = simulator.calculate(multiply(operations, q))
        patterns = [by_place(spots, n) for n in range(len(operations))]
        assert len(patterns) > 1
        assert max(distance(p, patterns[0]) for p in patterns) < 1e-7

    @pytest.mark.parametrize("name", ["cubic", "trigonal"])
    def test_turn_about_the_beam(self, name, rng):
        """A turned crystal gives the turned pattern, at the same intensities."""
        simulator = BlochWaveSimulator(
            crystal(name), accelerating_voltage=300, convergence_angle=0, dtype="float64"
        )
        q, angle = random_quaternions(1, rng), 0.7
        turned = multiply(q, about_z(np.array([-angle])))
        first, second = simulator.calculate(q), simulator.calculate(turned)
        matrix = to_matrix(about_z(np.array(angle)))[:2, :2]
        expected = {
            tuple(h): i for h, i in zip(first.hkl[0].tolist(), first.k[0] @ matrix.T, strict=True)
        }
        for hkl, k in zip(second.hkl[0].tolist(), second.k[0], strict=True):
            np.testing.assert_allclose(k, expected[tuple(hkl)], atol=1e-9)
        np.testing.assert_allclose(np.sort(first.intensity), np.sort(second.intensity), atol=1e-9)

    @pytest.mark.parametrize("name", ["cubic", "trigonal", "monoclinic"])
    def test_real_matrices_change_nothing(self, name, rng):
        """Without its inversions, and shifted, the same crystal takes the complex path."""
        phase = crystal(name)
        keep = np.linalg.det(phase.rotations_fractional) > 0
        general = replace(
            phase,
            positions=(phase.positions + [0.11, 0.23, 0.31]) % 1,
            rotations_fractional=phase.rotations_fractional[keep],
            translations=phase.translations[keep],
        )
        q = random_quaternions(3, rng)
        real, other = (
            BlochWaveSimulator(p, accelerating_voltage=200, n_beams=40, dtype="float64")
            for p in (phase, general)
        )
        assert real.is_centrosymmetric
        assert not other.is_centrosymmetric
        first, second = real.calculate(q), other.calculate(q)
        for n in range(3):
            assert distance(by_place(first, n), by_place(second, n)) < 1e-9

    @pytest.mark.parametrize(
        ("group", "lattice"),
        [
            ("P 1", (4.1, 5.2, 6.3, 81, 95, 103)),
            ("P -1", (4.1, 5.2, 6.3, 81, 95, 103)),
            ("P 1 21/c 1", (4.1, 5.2, 6.3, 90, 105, 90)),
            ("C 1 2 1", (6.1, 5.2, 6.3, 90, 105, 90)),
            ("I 2 2 2", (5.1, 5.7, 6.3, 90, 90, 90)),
            ("F m m m", (7.1, 7.7, 8.3, 90, 90, 90)),
            ("I 41/a m d:1", (5.1, 5.1, 8.3, 90, 90, 90)),
            ("R 3 m:H", (5.1, 5.1, 9.3, 90, 90, 120)),
            ("R -3:R", (5.1, 5.1, 5.1, 75, 75, 75)),
            ("P 63 m c", (4.1, 4.1, 6.3, 90, 90, 120)),
            ("P 21 3", (6.1, 6.1, 6.1, 90, 90, 90)),
            ("I m -3 m", (4.1, 4.1, 4.1, 90, 90, 90)),
            ("F d -3 m:2", (8.1, 8.1, 8.1, 90, 90, 90)),
        ],
    )
    def test_every_system_and_centring(self, group, lattice, rng):
        position = [[0.125, 0.125, 0.125]] if "F d" in group else [[0, 0, 0]]
        phase = CrystalStructure.from_asymmetric_unit(lattice, group, ["Ti"], position)
        simulator = BlochWaveSimulator(phase, accelerating_voltage=200, n_beams=32)
        spots = simulator.calculate(random_quaternions(4, rng), generator=rng)
        assert (spots.hkl[:, 1:] != 0).any(-1).sum(1).min() > 5
        np.testing.assert_allclose(spots.intensity.sum(2), 1, atol=1e-4)
        assert spots.intensity[:, :, 1:].max() > 1e-3


class TestSettings:
    def test_current_is_conserved(self, rng):
        simulator = BlochWaveSimulator(crystal("gaas"), accelerating_voltage=300, dtype="float64")
        spots = simulator.calculate(random_quaternions(4, rng))
        np.testing.assert_allclose(spots.intensity.sum(2), 1, atol=1e-11)

    @pytest.mark.parametrize("name", ["trigonal", "gaas"])
    def test_single_precision(self, name, rng):
        q = random_quaternions(6, rng)
        single, double = (
            BlochWaveSimulator(crystal(name), accelerating_voltage=300, dtype=dtype).calculate(q)
            for dtype in ("float32", "float64")
        )
        assert single.intensity.dtype == np.float32
        np.testing.assert_array_equal(single.hkl, double.hkl)
        np.testing.assert_allclose(single.intensity, double.intensity, atol=2e-4)

    def test_blocks_change_nothing(self, rng, monkeypatch):
        simulator = BlochWaveSimulator(
            crystal("trigonal"), accelerating_voltage=300, n_beams=24, dtype="float64"
        )
        q, depths, change = (
            random_quaternions(7, rng),
            rng.uniform(200, 900, (7, 3)),
            np.arange(7) / 9,
        )
        arguments = {"thicknesses": depths, "debye_waller_change": change}
        whole = simulator.calculate(q, generator=np.random.default_rng(1), **arguments)
        monkeypatch.setattr(bloch_waves, "_BLOCK_BYTES", {"cpu": 1})
        parts = simulator.calculate(q, generator=np.random.default_rng(1), **arguments)
        np.testing.assert_allclose(parts.intensity, whole.intensity, atol=1e-10)
        np.testing.assert_array_equal(parts.hkl, whole.hkl)

    def test_thicknesses_of_each_orientation(self, rng):
        simulator = BlochWaveSimulator(
            crystal("trigonal"), accelerating_voltage=300, n_beams=24, dtype="float64"
        )
        q, depths = random_quaternions(3, rng), rng.uniform(200, 900, (3, 2))
        spots = simulator.calculate(q, thicknesses=depths)
        assert spots.thicknesses.shape == (3, 2)
        for n in range(3):
            alone = simulator.calculate(q[n : n + 1], thicknesses=depths[n])
            np.testing.assert_allclose(spots.intensity[n], alone.intensity[0], atol=1e-10)

    def test_more_thermal_motion(self, rng):
        """What is added for one orientation is what another simulator has from the start."""
        q = random_quaternions(3, rng)
        settings = {"accelerating_voltage": 300, "n_beams": 24, "dtype": "float64"}
        low = BlochWaveSimulator(crystal("trigonal"), debye_waller=0.4, **settings)
        high = BlochWaveSimulator(crystal("trigonal"), debye_waller=0.7, **settings)
        _, is_beam = low._beams(q)
        changed = low.calculate(q, debye_waller_change=np.array([0.0, 0.3, 0.3]))
        plain, expected = low.calculate(q), high.calculate(q)
        np.testing.assert_allclose(changed.intensity[0], plain.intensity[0], atol=1e-12)
        for n in (1, 2):
            first, second = by_place(changed, n), by_place(expected, n)
            # |U| ranks beams: a few at the end of the list differ.
            assert distance(first, second) < 0.01
            assert distance(first, by_place(plain, n)) > distance(first, second)

    def test_absorption(self, rng):
        """Less current the thicker the crystal, as exp(-2 pi lambda t U'_0) in the mean."""
        settings = {"accelerating_voltage": 300, "n_beams": 40, "dtype": "float64"}
        q = random_quaternions(5, rng)
        for name in ("trigonal", "gaas"):
            plain = BlochWaveSimulator(crystal(name), **settings).calculate(q)
            absorbing = BlochWaveSimulator(crystal(name), absorption=0.1, **settings)
            left = absorbing.calculate(q).intensity.sum(2).mean((0, 2))
            assert (np.diff(left) < 0).all()
            mean = absorbing.potential(np.zeros((1, 3), int))[0].real
            depths = absorbing.thicknesses
            expected = np.exp(-2 * np.pi * absorbing.wavelength * depths * 0.1 * mean)
            np.testing.assert_allclose(left, expected, rtol=0.25)
            faint = BlochWaveSimulator(crystal(name), absorption=1e-9, **settings).calculate(q)
            np.testing.assert_allclose(faint.intensity, plain.intensity, atol=1e-7)

    def test_few_reflections(self):
        simulator = BlochWaveSimulator(
            crystal("cubic"), accelerating_voltage=200, g_max=0.6, n_beams=100
        )
        spots = simulator.calculate(np.array([[1.0, 0, 0, 0]]))
        lit = (spots.hkl[0] != 0).any(1)
        assert 3 < lit.sum() < 30
        assert spots.intensity[0, :, 1:][:, ~lit[1:]].max() == 0
        np.testing.assert_allclose(spots.intensity.sum(2), 1, atol=1e-4)

    @pytest.mark.gpu
    @pytest.mark.parametrize("name", ["trigonal", "gaas"])
    def test_cuda(self, name, rng):
        q = random_quaternions(20, rng)
        cpu, cuda = (
            BlochWaveSimulator(
                crystal(name), accelerating_voltage=300, device=device, dtype="float64"
            ).calculate(q)
            for device in ("cpu", "cuda")
        )
        for n in range(20):
            assert distance(by_place(cpu, n), by_place(cuda, n)) < 1e-8

    def test_real_files(self, test_data, rng):
        for name in ("vo2-m1", "triclinic", "mtex_quartz", "ZnO", "calcite_COD-1547350", "LiCoO2"):
            simulator = BlochWaveSimulator(
                test_data / "cif" / f"{name}.cif", accelerating_voltage=200, n_beams=32
            )
            spots = simulator.calculate(random_quaternions(2, rng))
            np.testing.assert_allclose(spots.intensity.sum(2), 1, atol=1e-4)


class TestDirections:
    def test_same_ones_without_generator(self, rng):
        simulator = BlochWaveSimulator(crystal("cubic"), accelerating_voltage=200, n_beams=16)
        spots = simulator.calculate(random_quaternions(3, rng))
        radius = np.linalg.norm(spots.tilts, axis=-1) * simulator.wavelength
        assert radius.max() < 1.5e-3
        assert radius[:, 0].max() == 0
        assert (spots.tilts == spots.tilts[:1]).all()
        np.testing.assert_allclose(spots.tilts.mean(1), 0, atol=1e-8)

    def test_new_ones_with_generator(self, rng):
        simulator = BlochWaveSimulator(crystal("cubic"), accelerating_voltage=200, n_beams=16)
        q = random_quaternions(3, rng)
        first, again, other = (
            simulator.calculate(q, generator=np.random.default_rng(seed)) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first.intensity, again.intensity)
        assert not np.isclose(first.tilts[:, 1:], other.tilts[:, 1:]).all(-1).any()
        assert not np.isclose(first.tilts[0, 1:], first.tilts[1, 1:]).all(-1).any()

    def test_sub_spots_are_those_of_tilted_beams(self, rng):
        simulator = BlochWaveSimulator(
            crystal("trigonal"), accelerating_voltage=300, n_beams=24, dtype="float64"
        )
        q = random_quaternions(1, rng)
        spots = simulator.calculate(q, generator=rng)
        lit = np.concatenate([[True], (spots.hkl[0, 1:] != 0).any(1)])
        expected = simulator.calculate_beams(q, spots.hkl[0][lit], directions=spots.tilts[0])
        np.testing.assert_allclose(spots.intensity[0][:, lit], expected, atol=1e-9)

    def test_precession_is_the_mean_over_the_circle(self, rng):
        angle, n_precession = 0.5, 12
        simulator = BlochWaveSimulator(
            crystal("trigonal"),
            accelerating_voltage=300,
            convergence_angle=0,
            precession_angle=angle,
            n_precession=n_precession,
            n_beams=30,
            dtype="float64",
        )
        q = random_quaternions(1, rng)
        spots = simulator.calculate(q)
        assert spots.intensity.shape[-1] == 1
        lit = np.concatenate([[True], (spots.hkl[0, 1:] != 0).any(1)])
        azimuth = 2 * np.pi * np.arange(n_precession) / n_precession
        circle = np.stack([np.cos(azimuth), np.sin(azimuth)], -1)
        circle *= np.sin(np.deg2rad(angle)) / simulator.wavelength
        each = simulator.calculate_beams(q, spots.hkl[0][lit], directions=circle)
        np.testing.assert_allclose(spots.intensity[0, :, lit, 0].T, each.mean(-1), atol=1e-9)

    def test_number_of_azimuths(self):
        def n_precession(**settings):
            return BlochWaveSimulator(
                crystal("cubic"), accelerating_voltage=200, **settings
            ).n_precession

        assert n_precession() == 1
        assert n_precession(precession_angle=0.6) == 72
        assert n_precession(precession_angle=0.6, convergence_angle=0, n_tilts=7) == 72
        assert n_precession(precession_angle=0.6, n_tilts=7) == 36
        assert n_precession(precession_angle=0.6, n_precession=5) == 5


class TestArguments:
    @pytest.fixture
    def simulator(self):
        return BlochWaveSimulator(crystal("cubic"), accelerating_voltage=200, n_beams=12)

    def test_orix_rotations(self, simulator, rng):
        q = random_quaternions(3, rng)
        first, second = simulator.calculate(q), simulator.calculate(Rotation(q))
        np.testing.assert_array_equal(first.intensity, second.intensity)

    def test_frame_is_that_of_orix(self, simulator, rng):
        q = random_quaternions(2, rng)
        spots = simulator.calculate(q)
        for n, matrix in enumerate(Rotation(q).to_matrix()):
            g = spots.hkl[n] @ simulator.crystal.reciprocal_basis.T
            np.testing.assert_allclose(spots.k[n], (g @ matrix)[:, :2], atol=1e-6)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"orientations": np.ones(4) / 2}, r"orientations: got .* expected shape \(n, 4\)"),
            ({"orientations": np.ones((2, 4))}, "unit quaternions"),
            ({"thicknesses": [100.0, -1]}, "above zero, in angstrom"),
            ({"thicknesses": np.ones((3, 2))}, "a row for each orientation"),
            ({"debye_waller_change": np.ones(3)}, r"expected shape \(1,\)"),
            ({"debye_waller_change": np.array([np.nan])}, "finite"),
        ],
    )
    def test_refused(self, simulator, arguments, message):
        with pytest.raises(ValueError, match=message):
            simulator.calculate(**({"orientations": np.array([[1.0, 0, 0, 0]])} | arguments))

    def test_a_seed_is_no_generator(self, simulator):
        with pytest.raises(TypeError, match=r"generator: got 3 .*default_rng"):
            simulator.calculate(np.array([[1.0, 0, 0, 0]]), generator=3)

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"accelerating_voltage": 200000}, ValueError, "accelerating_voltage: got 200000.* kV"),
            ({"convergence_angle": -1}, ValueError, "convergence_angle"),
            ({"n_beams": 0}, ValueError, "n_beams"),
            ({"n_beams": 1}, ValueError, "n_beams: got 1, expected at least 2"),
            ({"n_beams": 6.5}, TypeError, "n_beams"),
            ({"dtype": "float16"}, ValueError, "dtype"),
            ({"absorption": -0.1}, ValueError, "absorption"),
            ({"g_max": 0.1}, ValueError, "shortest g of Si"),
            ({"thicknesses": []}, ValueError, "thicknesses"),
            ({"debye_waller": {"Ge": 1}}, ValueError, "Ge"),
        ],
    )
    def test_settings_refused(self, settings, error, message):
        with pytest.raises(error, match=message):
            BlochWaveSimulator(crystal("cubic"), **({"accelerating_voltage": 200} | settings))

    def test_nanometres_are_noticed(self):
        with pytest.warns(UserWarning, match="Multiply by 10 if these are nanometres"):
            BlochWaveSimulator(crystal("cubic"), accelerating_voltage=200, thicknesses=[20, 50])

    @pytest.mark.parametrize("hkl", [[(2, 2, 0)], [(0, 0, 0), (0, 0, 0)], [(0, 0, 0), (40, 0, 0)]])
    def test_beams_refused(self, simulator, hkl):
        with pytest.raises(ValueError, match="000 first"):
            simulator.calculate_beams(np.array([[1.0, 0, 0, 0]]), np.array(hkl))

    def test_reprs(self, simulator):
        assert repr(simulator) == (
            "<BlochWaveSimulator Si: 200 kV, 1.5 mrad, 12 beams within 2.5 1/angstrom, "
            "float32 on cpu>"
        )
        spots = simulator.calculate(np.array([[1.0, 0, 0, 0]]))
        assert isinstance(spots, DynamicalSpots)
        assert len(spots) == 1
        assert spots.disc_intensity.shape == (1, 5, 12)

    def test_no_orientations(self, simulator):
        assert simulator.calculate(np.zeros((0, 4))).intensity.shape == (0, 5, 12, 19)

    def test_progress(self, simulator, capsys):
        simulator.calculate(np.array([[1.0, 0, 0, 0]]), show_progressbar=True)
        assert "Bloch waves" in capsys.readouterr().err

    def test_interruption_leaves_the_simulator_usable(self, simulator, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        q = np.array([[1.0, 0, 0, 0]])
        with monkeypatch.context() as patched:
            patched.setattr(BlochWaveSimulator, "_propagate", interrupt)
            with pytest.raises(KeyboardInterrupt):
                simulator.calculate(q)
        assert simulator.calculate(q).intensity.max() > 0
