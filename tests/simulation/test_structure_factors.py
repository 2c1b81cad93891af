"""Structure factors against py4DSTEM's stored ones, diffsims and the sum over atoms by hand."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from diffsims.utils.sim_utils import get_scattering_params_dict
from scipy.constants import c, e, m_e

from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.simulation.kinematic import reflections_within, structure_factors_squared
from pyxem_cnn.simulation.structure_factors import (
    allowed_by_centring,
    inversion_centre,
    isotropic_b,
    potential_coefficients,
    scattering_factors,
    structure_factors,
)
from tests._crystals import atoms_by_hand, crystal, reciprocal_basis_by_hand

NAMES = ("cubic", "hexagonal", "trigonal", "monoclinic", "gaas")
REFERENCES = Path(__file__).parent / "bloch_wave_references.npz"
SYMBOLS = {3: "Li", 8: "O", 14: "Si", 28: "Ni"}


@pytest.fixture(scope="module")
def references():
    with np.load(REFERENCES) as file:
        return dict(file)


def crystal_of(references, phase):
    """Return the atoms of the references as they are listed there, without symmetry."""
    elements = [SYMBOLS[z] for z in references[f"{phase}|atomic_numbers"]]
    positions = references[f"{phase}|positions"]
    lattice = references[f"{phase}|cell"]
    return CrystalStructure.from_asymmetric_unit(lattice, "P 1", elements, positions, name=phase)


@pytest.mark.parametrize("phase", ["linio2", "si"])
def test_potential_is_that_of_py4dstem(references, phase):
    atoms = crystal_of(references, phase)
    hkl = references[f"{phase}|py4DSTEM|Lobato|Ug_hkl"].astype(int)
    theirs = references[f"{phase}|py4DSTEM|Lobato|Ug"]
    factors = structure_factors(atoms, hkl)
    ours = potential_coefficients(atoms, factors, float(references[f"{phase}|voltage_kV"]))
    # py4DSTEM sums exp(+2 pi i g . r); see test_potential_peaks_at_the_atoms for our sign.
    theirs = theirs.conj()
    strongest = np.abs(theirs).max()
    assert np.abs(ours - theirs).max() < 1e-6 * strongest
    strong = np.abs(theirs) > 1e-3 * strongest
    np.testing.assert_allclose(ours[strong], theirs[strong], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_against_the_sum_over_atoms(name):
    table = get_scattering_params_dict("lobato")
    hkl = np.array([(0, 0, 0), (1, 0, 1), (0, 1, 1), (0, 0, 6), (2, 2, 0), (1, 1, 3), (3, 1, -1)])
    g2 = ((hkl @ reciprocal_basis_by_hand(name).T) ** 2).sum(1)
    b = 0.7
    expected = np.zeros(len(hkl), dtype=complex)
    for element, xyz in atoms_by_hand(name):
        factor = sum(a * (2 + b_i * g2) / (1 + b_i * g2) ** 2 for a, b_i in table[element])
        expected += factor * np.exp(-b * g2 / 4) * np.exp(-2j * np.pi * hkl @ xyz)
    phase = crystal(name)
    found = structure_factors(phase, hkl, np.full(len(phase.elements), b))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_square_is_that_of_kinematic_simulation(name):
    phase = crystal(name)
    hkl = reflections_within(phase.reciprocal_basis, 1.0)
    squared = structure_factors_squared(phase, hkl)
    ours = np.abs(structure_factors(phase, hkl)) ** 2
    np.testing.assert_allclose(ours, squared, rtol=1e-6, atol=1e-6 * squared.max())


def test_square_of_mixed_sites():
    """Li and Ni on one site, as in a layered oxide with exchanged cations."""
    phase = CrystalStructure.from_asymmetric_unit(
        (2.878, 2.878, 14.19, 90, 90, 120),
        "R -3 m:H",
        ["Li", "Ni", "Ni", "O"],
        [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0], [0, 0, 0.2585]],
        occupancies=[0.9, 0.1, 1, 1],
        u_iso=[0.01, 0.005, 0.005, 0.008],
    )
    hkl = np.array([(0, 0, 3), (1, 0, 1), (1, 0, -2), (1, 1, 0)])
    squared = structure_factors_squared(phase, hkl)
    np.testing.assert_allclose(np.abs(structure_factors(phase, hkl)) ** 2, squared, rtol=1e-6)
    pure = crystal("trigonal")
    one, all_nickel = (
        structure_factors(p, hkl) for p in (pure, replace(pure, elements=("Ni",) * 12))
    )
    assert not np.allclose(one, all_nickel, rtol=0.05)


def test_potential_peaks_at_the_atoms():
    """U(r) = sum U_g exp(+2 pi i g . r), so that the coefficients have exp(-2 pi i g . r)."""
    phase = crystal("gaas")
    hkl = reflections_within(phase.reciprocal_basis, 1.6)
    factors = structure_factors(phase, hkl, np.full(8, 0.5))
    places = np.concatenate([phase.positions, -phase.positions[4:]])
    potential = (np.exp(2j * np.pi * places @ hkl.T) @ factors).real
    assert potential[:8].min() > 10 * np.abs(potential[8:]).max()


def test_relativistic_factor():
    phase = crystal("cubic")
    low, high = (potential_coefficients(phase, np.ones(1), v)[0] for v in (80, 300))
    rest = m_e * c**2
    assert high / low == pytest.approx((rest + 300e3 * e) / (rest + 80e3 * e))
    assert high == pytest.approx((1 + 300e3 * e / rest) / (np.pi * 5.431**3))


class TestScatteringFactors:
    @pytest.mark.parametrize("label", ["Ni3+", "O2-", "Xx", "", "ni"])
    def test_unknown_labels_are_refused(self, label):
        with pytest.raises(ValueError, match="neutral atom's symbol"):
            scattering_factors(label, np.zeros(1))

    def test_shape(self):
        factors = scattering_factors("Ni", np.zeros((2, 3)))
        assert factors.shape == (2, 3)
        assert factors[0, 0] > 1

    def test_mott_bethe_at_large_g(self):
        """F = (Z - f_x) / (8 pi^2 a_0 (g/2)^2), and f_x fades: 0.023934 Z / (g/2)^2."""
        g = np.array([8.0, 12.0])
        ratio = scattering_factors("Ni", g) / (0.023934 * 28 / (g / 2) ** 2)
        assert 0.94 < ratio[0] < ratio[1] < 1


class TestDisplacements:
    def test_from_structure(self):
        phase = CrystalStructure.from_asymmetric_unit(
            (4.0, 4.0, 4.0, 90, 90, 90), 221, ["Cu"], [[0, 0, 0]], u_iso=0.01, name="Cu"
        )
        np.testing.assert_allclose(isotropic_b(phase), 8 * np.pi**2 * 0.01)

    def test_unknown_ones_are_said(self, caplog):
        with caplog.at_level(logging.INFO):
            b = isotropic_b(crystal("trigonal"), {"Ni": 0.3})
        elements = np.array(crystal("trigonal").elements)
        np.testing.assert_array_equal(b, np.where(elements == "Ni", 0.3, 0.5))
        assert "displacements of Li, O unknown, B = 0.5" in caplog.text

    def test_one_for_all(self):
        np.testing.assert_array_equal(isotropic_b(crystal("gaas"), 0), np.zeros(8))

    def test_other_elements_are_refused(self):
        with pytest.raises(ValueError, match="debye_waller: got 'Fe', expected one of"):
            isotropic_b(crystal("gaas"), {"Fe": 1.0})
        with pytest.raises(ValueError, match="zero or more"):
            isotropic_b(crystal("gaas"), -1.0)


class TestInversionCentre:
    @pytest.mark.parametrize("name", ["cubic", "hexagonal", "trigonal", "monoclinic"])
    def test_factors_become_real(self, name):
        phase = crystal(name)
        hkl = reflections_within(phase.reciprocal_basis, 1.0)
        factors = structure_factors(phase, hkl, origin=inversion_centre(phase))
        assert np.abs(factors.imag).max() < 1e-9 * np.abs(factors).max()
        at_cell = structure_factors(phase, hkl)
        np.testing.assert_allclose(np.abs(factors), np.abs(at_cell), atol=1e-9)

    def test_not_at_the_origin_of_diamond(self):
        hkl = np.array([(1, 1, 1)])
        assert abs(structure_factors(crystal("cubic"), hkl)[0].imag) > 1
        np.testing.assert_allclose(inversion_centre(crystal("cubic")) % 0.25, 0.125)

    def test_none(self):
        assert inversion_centre(crystal("gaas")) is None


@pytest.mark.parametrize(
    ("name", "share"), [("cubic", 1 / 4), ("trigonal", 1 / 3), ("gaas", 1 / 4)]
)
def test_centring(name, share):
    phase = crystal(name)
    hkl = reflections_within(phase.reciprocal_basis, 2.5)
    allowed = allowed_by_centring(phase, hkl)
    assert allowed.mean() == pytest.approx(share, rel=0.05)
    factors = np.abs(structure_factors(phase, hkl))
    assert factors[~allowed].max() < 1e-9 * factors.max()


def test_glide_planes_forbid_nothing_here():
    """Silicon's 222 and 200: the one is filled by dynamical diffraction, the other never."""
    allowed = allowed_by_centring(crystal("cubic"), np.array([(2, 2, 2), (2, 0, 0), (1, 0, 0)]))
    np.testing.assert_array_equal(allowed, [True, True, False])
