"""Crystal structures from .cif files right and wrong, orix phases, diffpy and by hand."""

import json
import logging
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from diffpy.structure import Atom, Lattice, Structure
from orix.crystal_map import Phase
from orix.vector import Miller

from pyxem_cnn.crystal.cif import element_of_label
from pyxem_cnn.crystal.orix_symmetry import same_matrices, symmetry_matrices
from pyxem_cnn.phases import CrystalStructure, as_crystal_structure, read_cif

ZNO = """
_cell_length_a 3.2501(1)
_cell_length_b 3.2501(1)
_cell_length_c 5.2071(1)
_cell_angle_gamma 120.
_symmetry_space_group_name_H-M 'P 63 m c'
_cell_formula_units_Z 2
_chemical_formula_sum 'O1 Zn1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_B_iso_or_equiv
Zn1 Zn2+ 0.3333 0.6667 0 0.55(2)
O1 O2- 0.3333 0.6667 0.3817(3) 0.60
"""
ATOMS = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
OCCUPIED = ATOMS + "_atom_site_occupancy\n"


def cif(lattice, space_group, atoms, *extra):
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    cell = [f"_cell_{name} {value}" for name, value in zip(names, lattice, strict=True)]
    symbol = [f"_symmetry_space_group_name_H-M '{space_group}'"] if space_group else []
    return "\n".join([*cell, *symbol, *extra, atoms]) + "\n"


def operations(*texts):
    quoted = "\n".join(f"'{text}'" for text in texts)
    return f"loop_\n_space_group_symop_operation_xyz\n{quoted}"


@pytest.fixture
def read(tmp_path):
    def read_text(text, **kwargs):
        path = tmp_path / "phase.cif"
        path.write_text(text if text.lstrip().startswith("data_") else f"data_phase\n{text}")
        return read_cif(path, **kwargs)

    return read_text


def zno():
    return CrystalStructure.from_asymmetric_unit(
        (3.25, 3.25, 5.207, 90, 90, 120),
        "P 63 m c",
        ["Zn", "O"],
        [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.3817]],
        name="ZnO",
    )


class TestCif:
    def test_zno_has_four_atoms_on_their_special_positions(self, read):
        crystal = read(ZNO)
        assert crystal.elements == ("Zn", "Zn", "O", "O")
        thirds = np.sort(crystal.positions[:, :2] * 3, axis=1)
        np.testing.assert_allclose(thirds, np.broadcast_to([1, 2], (4, 2)), atol=1e-12)
        np.testing.assert_allclose(crystal.u_iso[0], 0.55 / (8 * np.pi**2))
        assert crystal.name == "phase"
        assert crystal.space_group == 186
        assert "Zn2+ -> Zn" in crystal.summary()
        assert "Z = 2" in crystal.summary()

    def test_quartz_in_an_origin_of_its_own_has_nine_atoms(self, read):
        text = cif(
            (4.916, 4.916, 5.4054, 90, 90, 120),
            "P 32 2 1",
            ATOMS + "Si 0.46970 0 0\nO 0.41350 0.26690 0.11910",
            "_chemical_formula_sum 'Si O2'",
            operations(
                "x,y,z", "y,x,2/3-z", "-y,x-y,2/3+z", "-x,-x+y,1/3-z", "-x+y,-x,1/3+z", "x-y,-y,-z"
            ),
        )
        crystal = read(text)
        assert crystal.formula == "O6 Si3"
        assert crystal.space_group == 154
        assert "origin differs" in crystal.summary()
        # Silicon in quartz has four oxygen atoms at 1.61 angstrom.
        delta = crystal.positions[3:, None] - crystal.positions[None, :3]
        images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 1, 1, 3)
        bonds = np.linalg.norm((delta + images) @ crystal.basis.T, axis=-1)
        np.testing.assert_array_equal((np.abs(bonds - 1.61) < 0.01).sum(axis=(0, 1)), 4)

    @pytest.mark.parametrize(
        ("lattice", "positions", "atoms"),
        [
            ((2.88, 2.88, 14.19, 90, 90, 120), (0, 0, 0.5, 0.2418), 12),
            ((5.014, 5.014, 5.014, 33.37, 33.37, 33.37), None, 4),
        ],
    )
    def test_linio2_on_hexagonal_and_rhombohedral_axes(self, read, lattice, positions, atoms):
        z_o = 0.2418
        oxygen = f"O 0 0 {z_o}" if positions else f"O {z_o} {z_o} {z_o}"
        nickel = "Ni 0 0 0.5" if positions else "Ni 0.5 0.5 0.5"
        crystal = read(cif(lattice, "R -3 m", f"{ATOMS}Li 0 0 0\n{nickel}\n{oxygen}"))
        assert len(crystal.elements) == atoms
        assert crystal.space_group == 166
        assert len(crystal.symmetry_quaternions()) == 6
        assert crystal.volume / atoms == pytest.approx(8.5, rel=0.05)

    def test_p21n_is_not_read_as_p21c(self, read):
        crystal = read(cif((5, 6, 7, 90, 100, 90), "P 21/n", ATOMS + "Cu 0.1 0.2 0.3"))
        assert crystal.space_group == 14
        assert crystal.space_group_symbol == "P 1 21/n 1"
        expected = [[0.1, 0.2, 0.3], [0.4, 0.7, 0.2], [0.9, 0.8, 0.7], [0.6, 0.3, 0.8]]
        distances = np.abs(crystal.positions[:, None] - np.array(expected)).max(axis=2)
        np.testing.assert_allclose(distances.min(axis=0), 0, atol=1e-9)

    def test_magnetite_depends_on_the_origin_choice(self, read):
        atoms = ATOMS + "FeA 0.125 0.125 0.125\nFeB 0.5 0.5 0.5\nO 0.2549 0.2549 0.2549"
        cell = (8.396, 8.396, 8.396, 90, 90, 90)
        extra = ("_cell_formula_units_Z 8", "_chemical_formula_sum 'Fe3 O4'")
        crystal = read(cif(cell, "F d -3 m:2", atoms, *extra))
        assert crystal.formula == "Fe24 O32"
        with pytest.raises(ValueError, match=r"origin choice|angstrom apart") as error:
            read(cif(cell, "F d -3 m:1", atoms.replace("0.2549", "0.24"), *extra))
        assert "setting" in str(error.value)
        with pytest.warns(UserWarning, match="without its origin choice"):
            read(cif(cell, "F d -3 m", ATOMS + "Si 0 0 0"))
        assert read(cif(cell, "F d -3 m", atoms, *extra), space_group="F d -3 m:2") == crystal

    def test_mixed_sites_keep_both_elements(self, read):
        atoms = OCCUPIED + "Li1 0 0 0 0.95\nNi2 0 0 0 0.05\nNi1 0 0 0.5 1\nO1 0 0 0.2418 1"
        crystal = read(cif((2.88, 2.88, 14.19, 90, 90, 120), "R -3 m", atoms))
        assert len(crystal.elements) == 15
        assert crystal.formula == "Li2.85 Ni3.15 O6"

    def test_occupancies_above_one_are_refused(self, read):
        atoms = OCCUPIED + "Li1 0 0 0 0.95\nNi2 0 0 0 0.25"
        with pytest.raises(ValueError, match=r"got 1.200 in all for Li1 \(Li\) and Ni2 \(Ni\)"):
            read(cif((4, 4, 4, 90, 90, 90), "P m -3 m", atoms))

    def test_two_valences_of_one_element_share_a_place(self, read):
        atoms = OCCUPIED + "Fe1 0 0 0 0.5\nFe2 0 0 0 0.5"
        crystal = read(cif((4, 4, 4, 90, 90, 90), "P m -3 m", atoms))
        assert crystal.formula == "Fe1"
        assert len(crystal.elements) == 2

    def test_repeated_atoms_count_once(self, read):
        atoms = ATOMS + "Cu1 0 0 0\nCu2 0.5 0.5 0\nCu3 0.0001 0 0"
        crystal = read(cif((3.6, 3.6, 3.6, 90, 90, 90), "F m -3 m", atoms))
        assert len(crystal.elements) == 4
        assert "2 repeated atoms left out (Cu2, Cu3)" in crystal.summary()

    def test_alternatives_may_be_near_and_atoms_may_not(self, read):
        lattice = (5, 5, 5, 90, 90, 90)
        half = OCCUPIED + "O1 0.04 0 0 0.5\nSi1 0.5 0.5 0.5 1"
        assert read(cif(lattice, "P -1", half)).formula == "O1 Si1"
        with pytest.raises(ValueError, match=r"'O1' \(O\) and 'O1' \(O\) lie 0.40 angstrom apart"):
            read(cif(lattice, "P -1", half.replace("0.5\nSi1", "1\nSi1")))
        with pytest.warns(UserWarning, match="lie 0.80 angstrom apart"):
            read(cif(lattice, "P -1", half.replace("0.04 0 0 0.5", "0.08 0 0 1")))

    def test_wrong_formula_is_a_warning_and_missing_hydrogen_is_not(self, read):
        with pytest.warns(UserWarning, match=r"O2 Zn2, expected Z x formula = 3 x \(O1 Zn1\)"):
            read(ZNO.replace("units_Z 2", "units_Z 3"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            crystal = read(ZNO.replace("'O1 Zn1'", "'H2 O1 Zn1'"))
        assert "hydrogen is in the formula" in crystal.summary()

    def test_nonsense_label_is_named(self, read):
        with pytest.raises(ValueError, match=r"'Xyz1'.*expected a chemical symbol"):
            read(cif((4, 4, 4, 90, 90, 90), "P m -3 m", ATOMS + "Xyz1 0 0 0"))

    def test_missing_parts_are_named(self, read, tmp_path):
        with pytest.raises(ValueError, match="_cell_length_c"):
            read(ZNO.replace("_cell_length_c 5.2071(1)", ""))
        with pytest.raises(ValueError, match="_atom_site_fract_x"):
            read(ZNO[: ZNO.index("loop_")])
        with pytest.raises(ValueError, match="space_group='P 63 m c'"):
            read(ZNO.replace("_symmetry_space_group_name_H-M 'P 63 m c'", ""))
        with pytest.raises(FileNotFoundError, match="absent.cif"):
            read_cif(tmp_path / "absent.cif")
        with pytest.raises(ValueError, match="cannot be read as .cif"):
            read("data_x\nloop_\n_a\n_b\n1 2 3\n")
        with pytest.raises(TypeError, match="path"):
            read_cif(5)

    def test_contradictions_are_refused(self, read):
        lattice, atoms = (3.6, 3.6, 3.6, 90, 90, 90), ATOMS + "Cu1 0 0 0"
        with pytest.raises(ValueError, match=r"P 1 \(number 1\) and F m -3 m \(number 225\)"):
            read(cif(lattice, "F m -3 m", atoms, operations("x,y,z")))
        with pytest.raises(ValueError, match=r"F m -3 m \(number 225\) as symbol and I m -3 m"):
            read(cif(lattice, "F m -3 m", atoms, "_space_group_IT_number 229"))
        with pytest.raises(ValueError, match="not closed"):
            read(cif(lattice, "P 4", atoms, operations("x,y,z", "-y,x,z")))
        with pytest.raises(ValueError, match="cannot be read"):
            read(cif(lattice, "P 4", atoms, operations("x,y,q")))
        with pytest.raises(ValueError, match="has the symmetry of space group P 63 m c"):
            read(ZNO.replace("120.", "90"), space_group=None)

    def test_hall_symbol_gives_the_operations(self, read):
        text = cif(
            (4.756, 10.207, 5.98, 90, 90, 90),
            "",
            ATOMS + "Mg 0 0 0",
            "_symmetry_space_group_name_Hall '-P 2c 2ab'",
        )
        assert read(text).space_group_symbol == "P b n m"

    def test_one_of_several_blocks(self, read):
        text = f"data_one\n{ZNO}\ndata_two\n{ZNO}"
        with pytest.raises(ValueError, match=r"block=\['one', 'two'\]"):
            read(text)
        assert read(text, block="two").formula == "O2 Zn2"

    def test_displacements_from_anisotropic_ones(self, read):
        aniso = (
            "loop_\n_atom_site_aniso_label\n_atom_site_aniso_U_11\n_atom_site_aniso_U_22\n"
            "_atom_site_aniso_U_33\n_atom_site_aniso_U_12\n_atom_site_aniso_U_13\n"
            "_atom_site_aniso_U_23\nCu1 0.01 0.01 0.03 0.005 0 0\n"
        )
        crystal = read(cif((3, 3, 5, 90, 90, 120), "P 6", ATOMS + "Cu1 0 0 0") + aniso)
        # U12 = U11 / 2 is isotropic in the plane of a hexagonal cell.
        np.testing.assert_allclose(crystal.u_iso, 0.05 / 3, rtol=1e-6)

    @pytest.mark.parametrize(
        ("label", "formula", "element"),
        [
            ("Ni1", {}, "Ni"),
            ("Ni3+", {}, "Ni"),
            ("O2-", {}, "O"),
            ("O-H", {}, "O"),
            ("FeA", {}, "Fe"),
            ("NI(1)", {"Ni": 1}, "Ni"),
            ("CA", {"C": 1, "O": 2}, "C"),
            ("CA", {"Ca": 1, "C": 1}, "Ca"),
            ("O1a", {}, "O"),
            ("Oa", {}, "O"),
            ("D1", {}, "H"),
            ("Wat1", {}, "O"),
            ("Label", {}, None),
            ("?", {}, None),
        ],
    )
    def test_elements_of_labels(self, label, formula, element):
        assert element_of_label(label, formula) == element

    def test_what_was_read_is_logged(self, read, caplog):
        with caplog.at_level(logging.INFO, logger="pyxem_cnn"):
            read(ZNO)
        assert "P 63 m c (186)" in caplog.text


class TestCrystalStructure:
    def test_dictionary_survives_json_and_pickle(self):
        crystal = zno()
        again = CrystalStructure.from_dict(json.loads(json.dumps(crystal.to_dict())))
        assert again == crystal
        assert pickle.loads(pickle.dumps(crystal)) == crystal
        assert hash(again) == hash(crystal)
        assert again != CrystalStructure.from_dict({**crystal.to_dict(), "name": "other"})
        with pytest.raises(ValueError, match="no entry lattice"):
            CrystalStructure.from_dict(
                {k: v for k, v in crystal.to_dict().items() if k != "lattice"}
            )

    def test_arrays_cannot_be_changed(self):
        with pytest.raises(ValueError, match="read-only"):
            zno().positions[0] = 0

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"elements": ["Ni3+"]}, ValueError, "got 'Ni3\\+', expected a chemical symbol"),
            ({"elements": "Ni"}, TypeError, "elements"),
            ({"elements": [28]}, ValueError, "got 28"),
            ({"positions": [[0, 0]]}, ValueError, "positions"),
            ({"positions": [[0, 0, np.nan]]}, ValueError, "finite"),
            ({"occupancies": 1.5}, ValueError, "occupancies"),
            ({"u_iso": -1}, ValueError, "u_iso"),
            ({"lattice": (4, 4, 4)}, ValueError, "six numbers"),
            ({"lattice": "cubic"}, TypeError, "six numbers"),
            ({"lattice": (4, 4, 4, 30, 30, 90)}, ValueError, "corner"),
            ({"space_group": 0}, ValueError, "space_group"),
        ],
    )
    def test_bad_arguments(self, arguments, error, message):
        good = {
            "lattice": (3.5, 3.5, 3.5, 90, 90, 90),
            "space_group": 225,
            "elements": ["Ni"],
            "positions": [[0, 0, 0]],
        }
        with pytest.raises(error, match=message):
            CrystalStructure.from_asymmetric_unit(**{**good, **arguments})

    def test_open_origin_choice_is_a_warning(self):
        with pytest.warns(UserWarning, match="two origin choices"):
            CrystalStructure.from_asymmetric_unit(
                (5.43, 5.43, 5.43, 90, 90, 90), 227, ["Si"], [[0, 0, 0]]
            )

    def test_polarity(self):
        crystal = zno()
        assert len(crystal.symmetry_quaternions()) == 12
        assert len(crystal.symmetry_quaternions(polarity=True)) == 6
        assert len(crystal.point_group_matrices()) == 12
        assert len(crystal.laue_group_matrices()) == 24

    def test_structure_factors_have_the_symmetry(self):
        crystal = zno()
        hkl = np.array([[1, 2, 3], [1, 0, -2], [2, -1, 1]])
        g = hkl @ crystal.reciprocal_basis.T
        for matrix in crystal.point_group_matrices():
            turned = np.linalg.solve(crystal.reciprocal_basis, matrix @ g.T).T
            np.testing.assert_allclose(turned, np.round(turned), atol=1e-9)
            for old, new in zip(hkl, turned, strict=True):
                f = [
                    np.abs(np.exp(2j * np.pi * crystal.positions[2:] @ k).sum()) for k in (old, new)
                ]
                np.testing.assert_allclose(f[1], f[0], atol=1e-9)

    @pytest.mark.parametrize(
        "lattice",
        [
            (4, 4, 4, 90, 90, 90),
            (3.2, 3.2, 5.2, 90, 90, 120),
            (5, 5, 5, 60, 60, 60),
            (4, 5, 6, 90, 105, 90),
            (4, 5, 6, 80, 105, 95),
        ],
    )
    def test_frame_agrees_with_orix(self, lattice):
        crystal = CrystalStructure.from_asymmetric_unit(lattice, 1, ["Si"], [[0.1, 0.2, 0.3]])
        # A lattice in diffpy's own frame, which orix turns to x along a and z along c*.
        phase = Phase(point_group="1", structure=Structure(lattice=Lattice(*lattice)))
        np.testing.assert_allclose(crystal.basis, phase.structure.lattice.base.T, atol=1e-6)
        index = np.eye(3)
        np.testing.assert_allclose(
            crystal.reciprocal_basis.T, Miller(hkl=index, phase=phase).data, atol=1e-6
        )
        np.testing.assert_allclose(crystal.basis.T, Miller(uvw=index, phase=phase).data, atol=1e-6)

    def test_phase_keeps_places_and_gets_our_operators(self):
        for crystal in (
            zno(),
            CrystalStructure.from_asymmetric_unit(
                (5, 6, 7, 90, 100, 90), 14, ["Cu"], [[0.1, 0.2, 0.3]]
            ),
            CrystalStructure.from_asymmetric_unit((5, 5, 7, 90, 90, 120), 162, ["Cu"], [[0, 0, 0]]),
        ):
            phase = crystal.to_phase()
            # orix turns the lattice and changes fractional coordinates, but no distance.
            kept = np.linalg.norm(
                phase.structure.xyz_cartn[:, None] - phase.structure.xyz_cartn, axis=2
            )
            ours = crystal.positions @ crystal.basis.T
            np.testing.assert_allclose(
                kept, np.linalg.norm(ours[:, None] - ours, axis=2), atol=1e-6
            )
            assert same_matrices(
                symmetry_matrices(phase.point_group), crystal.point_group_matrices()
            )
        assert zno().to_phase().space_group.number == 186
        assert crystal.to_phase().space_group is None

    def test_diffsims_takes_the_structure(self):
        from diffsims.crystallography import ReciprocalLatticeVector

        crystal = zno()
        vectors = ReciprocalLatticeVector(crystal.to_phase(), hkl=[[1, 0, 0], [0, 0, 2]])
        vectors.sanitise_phase()
        vectors.calculate_structure_factor()
        assert np.all(np.abs(vectors.structure_factor) > 0)
        expected = np.array([[1, 0, 0], [0, 0, 2]]) @ crystal.reciprocal_basis.T
        np.testing.assert_allclose(vectors.data, expected, atol=1e-6)


class TestAsCrystalStructure:
    def test_crystals_and_paths_pass(self, tmp_path):
        crystal = zno()
        assert as_crystal_structure(crystal) is crystal
        path = tmp_path / "zno.cif"
        path.write_text(f"data_zno\n{ZNO}")
        assert as_crystal_structure(path) == as_crystal_structure(str(path)) == read_cif(path)

    def test_phase_there_and_back(self):
        crystal = zno()
        again = as_crystal_structure(crystal.to_phase())
        assert again.formula == crystal.formula
        np.testing.assert_allclose(again.positions, crystal.positions, atol=1e-6)

    def test_phase_in_diffpys_frame_keeps_its_fractional_coordinates(self):
        atoms = [Atom("Zn", [1 / 3, 2 / 3, 0]), Atom("O", [1 / 3, 2 / 3, 0.3817])]
        structure = Structure(atoms, lattice=Lattice(3.25, 3.25, 5.207, 90, 90, 120))
        crystal = as_crystal_structure(Phase("ZnO", space_group=186, structure=structure))
        assert crystal.formula == "O2 Zn2"
        np.testing.assert_allclose(crystal.positions, zno().positions, atol=1e-6)

    def test_full_cell_finds_its_setting(self):
        crystal = CrystalStructure.from_asymmetric_unit(
            (4.756, 10.207, 5.98, 90, 90, 90),
            "P b n m",
            ["Mg", "Si", "O"],
            [[0, 0, 0], [0.4262, 0.094, 0.25], [0.7657, 0.0913, 0.25]],
        )
        again = as_crystal_structure(crystal.to_diffpy(), space_group=62)
        assert again.space_group_symbol == "P b n m"
        assert again.formula == crystal.formula

    def test_full_cell_finds_its_origin(self):
        lattice = (4.916, 4.916, 5.4054, 90, 90, 120)
        quartz = CrystalStructure.from_asymmetric_unit(
            lattice, 154, ["Si", "O"], [[0.4697, 0, 2 / 3], [0.4135, 0.2669, 0.7858]]
        )
        assert quartz.formula == "O6 Si3"
        structure = quartz.to_diffpy()
        structure.xyz = structure.xyz + np.array([0, 0, 1 / 3])
        again = as_crystal_structure(structure, space_group=154)
        assert again.formula == "O6 Si3"
        assert "origin at" in again.space_group_symbol

    def test_neither_full_cell_nor_asymmetric_unit_is_refused(self):
        atoms = [Atom("Cu", [0, 0, 0]), Atom("Cu", [0.5, 0.5, 0]), Atom("Zn", [0.25, 0.25, 0.25])]
        structure = Structure(atoms, lattice=Lattice(5, 5, 5, 90, 90, 90))
        with pytest.raises(ValueError, match=r"neither fill the cell.*repeats Cu2"):
            as_crystal_structure(structure, space_group=225)

    def test_what_is_missing_is_asked_for(self):
        with pytest.raises(ValueError, match="space_group=166"):
            as_crystal_structure(Structure([Atom("Cu", [0, 0, 0])]))
        with pytest.raises(TypeError, match=r"phase \(obj\): got 5"):
            as_crystal_structure(5)
        with pytest.raises(ValueError, match="got 'Zn2\\+'"):
            as_crystal_structure(Structure([Atom("Zn2+", [0, 0, 0])]), space_group=1)


def test_import_is_cheap():
    code = (
        "import sys, pyxem_cnn.phases; "
        "print([m for m in ('gemmi', 'orix', 'diffpy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Atoms in the cell, counted from the file's Z and formula or from the literature.
ATOM_COUNTS = {
    "ZnO": 4,
    "LiCoO2": 12,
    "Sapphire": 30,
    "Rutile": 6,
    "S": 128,
    "Pu-alpha": 16,
    "mtex_Magnetite": 56,
    "mtex_quartz": 9,
    "quartz_COD-9000775": 9,
    "calcite_COD-1547350": 30,
    "diopside_COD-1000007": 40,
    "forsterite_COD-9000319": 28,
    "titanite_COD-9000509": 32,
    "vo2-m1": 12,
    "pyrope_COD-9000435-original": 160,
    "mtex_Rhabdite": 40,
    "triclinic": 1,
}


def test_every_file_of_the_folder_is_read():
    folder = os.environ.get("PYXEM_CNN_TEST_DATA")
    if not folder:
        pytest.skip("PYXEM_CNN_TEST_DATA does not name a folder with test data")
    paths = sorted((Path(folder) / "cif").glob("*.cif"))
    if not paths:
        pytest.skip("the folder of PYXEM_CNN_TEST_DATA holds no cif/*.cif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        crystals = {path.stem: read_cif(path) for path in paths}
    assert {k: len(crystals[k].elements) for k in ATOM_COUNTS if k in crystals} == {
        k: n for k, n in ATOM_COUNTS.items() if k in crystals
    }
    for name, crystal in crystals.items():
        matrices = symmetry_matrices(crystal.to_phase().point_group)
        assert same_matrices(matrices, crystal.point_group_matrices()), name
