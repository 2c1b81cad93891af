"""Low-index zone axes against the symmetry operations, orix' Miller indices and plain geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from orix.quaternion import Rotation
from orix.vector import Miller

from pyxem_cnn.crystal.zone_axes import TwinAxes, lattice_translations, low_index_zones
from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import random_quaternions, zone_axis
from tests._crystals import NAMES, crystal

IDENTITY = np.eye(3, dtype=int)[None]


def base_centred() -> CrystalStructure:
    """Return a monoclinic crystal with a lattice vector to the middle of the face of a and b."""
    return CrystalStructure.from_asymmetric_unit(
        (12.2, 3.9, 5.8, 90, 103, 90), "C 1 2/m 1", ["Ga", "O"], [[0.1, 0, 0.8], [0.16, 0, 0.11]]
    )


def rhombohedral_axes() -> CrystalStructure:
    return CrystalStructure.from_asymmetric_unit(
        (4.7, 4.7, 4.7, 60, 60, 60), "R -3 m:R", ["Bi"], [[0.23, 0.23, 0.23]]
    )


class TestZones:
    @pytest.mark.parametrize("name", NAMES)
    def test_are_those_of_the_point_group(self, name):
        """Its operations turn [2 -1 0] of a hexagonal cell into [1 3 0]: both are in or neither."""
        phase = crystal(name)
        zones = low_index_zones(phase)
        both = np.concatenate([zones, -zones])
        for operation in phase.point_group_matrices():
            distance = np.linalg.norm((zones @ operation.T)[:, None] - both, axis=-1)
            assert distance.min(axis=1).max() < 1e-9
        assert len(zones) == (73 if name in ("trigonal", "hexagonal") else 49)

    def test_are_lattice_vectors(self):
        """[110] of a face-centred cell is twice the shortest vector along it."""
        zones = low_index_zones(crystal("cubic"))
        lengths = np.linalg.norm(zones, axis=1) / 5.431
        assert len(zones) == 49
        assert lengths.min() == pytest.approx(np.sqrt(0.5))
        assert np.isclose(lengths, 1).sum() == 3
        assert np.isclose(lengths, np.sqrt(3)).sum() == 4
        assert not np.isclose(lengths, np.sqrt(2)).any()

    def test_of_larger_indices_contain_the_others(self):
        few, many = (low_index_zones(crystal("monoclinic"), n) for n in (2, 3))
        assert np.linalg.norm(many[:, None] - few, axis=-1).min(axis=0).max() < 1e-9
        # Of 7^3 - 1 vectors, those without a common divisor, opposites once.
        assert len(many) == 145


class TestTranslations:
    @pytest.mark.parametrize("name", [*NAMES, "gaas", "base", "rhombohedral"])
    def test_are_those_of_the_space_group(self, name):
        made = {"base": base_centred, "rhombohedral": rhombohedral_axes}
        phase = made[name]() if name in made else crystal(name)
        is_centring = (phase.rotations_fractional == IDENTITY).all((1, 2))
        expected = {tuple(t) for t in phase.translations[is_centring].round(3) % 1}
        found = {tuple(t) for t in lattice_translations(phase).round(3)}
        assert found | {(0, 0, 0)} == expected
        assert len(found) == {"cubic": 3, "trigonal": 2, "gaas": 3, "base": 1}.get(name, 0)

    def test_are_told_by_the_atoms_alone(self):
        """As of phases that have lost their space group."""
        phase = base_centred()
        bare = replace(phase, rotations_fractional=IDENTITY, translations=np.zeros((1, 3)))
        np.testing.assert_allclose(lattice_translations(bare), [[0.5, 0.5, 0]])

    def test_other_atoms_do_not_count(self):
        """CsCl is no body-centred lattice, and half-empty sites are not full ones."""
        cell, sites = (4.1, 4.1, 4.1, 90, 90, 90), [[0, 0, 0], [0.5, 0.5, 0.5]]
        for elements, occupancies, n in ((["Cs", "Cl"], 1, 0), (["W", "W"], 1, 1)):
            phase = CrystalStructure.from_asymmetric_unit(
                cell, "P m -3 m", elements, sites, occupancies=occupancies
            )
            assert len(lattice_translations(phase)) == n
        partly = CrystalStructure.from_asymmetric_unit(
            cell, "P m -3 m", ["W", "W"], sites, occupancies=[1, 0.5]
        )
        assert len(lattice_translations(partly)) == 0


@pytest.mark.parametrize("name", [*NAMES, "gaas"])
class TestTwinAxes:
    def test_are_directions_as_orix_has_them(self, name):
        phase = crystal(name)
        axes = TwinAxes.of(phase, 3)
        directions = Miller(uvw=axes.indices, phase=phase.to_phase())
        length = np.linalg.norm(axes.vectors, axis=1)
        np.testing.assert_allclose(directions.unit.data, axes.vectors / length[:, None], atol=1e-6)
        assert set(np.round(directions.norm / length, 6)) <= {1, 2, 3}
        turns = Rotation.from_axes_angles(directions, np.pi)
        cosine = np.abs((turns.data * axes.half_turns).sum(1))
        np.testing.assert_allclose(cosine, 1, atol=1e-9)

    def test_leave_out_exactly_the_two_fold_axes(self, name):
        phase = crystal(name)
        axes = TwinAxes.of(phase)
        laue = phase.to_phase().point_group.laue.proper_subgroup
        cosine = np.abs(laue.data @ axes.half_turns.T)
        assert cosine.max() < np.cos(np.deg2rad(5) / 2)
        # All two-fold axes of these groups have low indices.
        is_half_turn = np.isclose(laue.data[:, 0], 0)
        assert len(low_index_zones(phase)) - len(axes) == is_half_turn.sum()

    def test_offset_is_the_distance_from_the_beam(self, name, rng):
        axes = TwinAxes.of(crystal(name))
        q = random_quaternions(5, rng)
        beam = zone_axis(q)[:, None] + np.zeros_like(axes.vectors)
        expected = np.linalg.norm(np.cross(beam, axes.vectors), axis=-1)
        np.testing.assert_allclose(axes.offsets(q), expected, atol=1e-6)

    @pytest.mark.parametrize("farthest", [0.7, 1.25, 3.5])
    def test_near_ones_are_those_of_small_offset(self, name, farthest, rng):
        axes = TwinAxes.of(crystal(name), 6)
        q = random_quaternions(200, rng)
        place, number, offset = axes.near(q, farthest)
        expected = axes.offsets(q)
        np.testing.assert_allclose(offset, expected[place, number], atol=1e-6)
        is_found = np.zeros(expected.shape, dtype=bool)
        is_found[place, number] = True
        np.testing.assert_array_equal(is_found, expected <= farthest)

    def test_turned_crystal(self, name, rng):
        axes = TwinAxes.of(crystal(name))
        q, number = random_quaternions(6, rng), rng.integers(len(axes), size=6)
        turns = Rotation.from_axes_angles(axes.vectors[number], np.pi)
        np.testing.assert_allclose(
            np.abs(((turns * Rotation(q)).data * axes.turned(q, number)).sum(1)), 1, atol=1e-9
        )

    @pytest.mark.filterwarnings("ignore:Setting space group")
    def test_families_are_those_of_orix(self, name):
        phase = crystal(name)
        axes = TwinAxes.of(phase, 3)
        in_orix = phase.to_phase()
        in_orix.point_group = in_orix.point_group.laue
        for one in range(0, len(axes), 7):
            family = Miller(uvw=axes.indices[one : one + 1], phase=in_orix).symmetrise(unique=True)
            expected = {tuple(map(int, uvw)) for uvw in np.rint(family.uvw)}
            together = (axes.families == axes.families[one]).all(1)
            members = [*axes.indices[together].tolist(), *(-axes.indices[together]).tolist()]
            assert {tuple(uvw) for uvw in members} == expected
            assert tuple(axes.families[one]) in expected

    def test_rotations_to_the_family(self, name):
        phase = crystal(name)
        axes = TwinAxes.of(phase, 3)
        turned = (Rotation(axes.to_family) * Miller(uvw=axes.indices, phase=phase.to_phase())).unit
        wanted = Miller(uvw=axes.families, phase=phase.to_phase()).unit
        np.testing.assert_allclose(np.abs(turned.dot(wanted)), 1, atol=1e-6)
        laue = phase.symmetry_quaternions()
        assert np.abs(axes.to_family @ laue.T).max(axis=1) == pytest.approx(1)


def test_families_are_written_as_people_do():
    axes = TwinAxes.of(crystal("cubic"), 3)
    written = {tuple(map(int, family)) for family in axes.families}
    assert {(1, 1, 1), (1, 1, 2), (0, 1, 2), (1, 2, 3)} <= written
    assert not {(0, 0, 1), (0, 1, 1)} & written
    assert all(min(family) >= 0 and list(family) == sorted(family) for family in written)
