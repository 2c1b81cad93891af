"""Angles between maps: those of orix, with the right group, and what counts as one crystal."""

from __future__ import annotations

import numpy as np
import pytest
from diffpy.structure import Lattice, Structure
from orix.crystal_map import Phase
from orix.quaternion import Misorientation, Orientation, Rotation

from pyxem_cnn.maps.disorientation import errors_in_degrees, is_same_crystal
from pyxem_cnn.rotations import about_z, multiply, random_quaternions
from tests._crystals import NAMES, crystal
from tests._maps import grid_map
from tests.fixtures_model import SILICON, ZIRCONIA, crystal_map


def with_rotations(xmap, quaternions):
    """Return the map with other orientations at all of its points."""
    xmap._rotations = Rotation(quaternions)
    return xmap


@pytest.mark.parametrize("name", NAMES)
def test_angles_are_those_of_orix(name, rng) -> None:
    p, q = (random_quaternions(30, rng) for _ in range(2))
    maps = [grid_map(x.reshape(5, 6, 4), [name]) for x in (p, q)]
    degrees = errors_in_degrees(*maps)
    group = crystal(name).to_phase().point_group.laue.proper_subgroup
    first, second = Orientation(p), Orientation(q)
    first.symmetry = second.symmetry = group
    np.testing.assert_allclose(degrees, first.angle_with(second, degrees=True), atol=1e-4)
    relative = Misorientation(second * ~first, symmetry=(group, group)).reduce()
    np.testing.assert_allclose(degrees, np.rad2deg(relative.angle), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_symmetrically_equivalent_maps_are_equal(name, rng) -> None:
    q = random_quaternions(30, rng)
    symmetry = crystal(name).symmetry_quaternions()
    other = multiply(symmetry[rng.integers(0, len(symmetry), 30)], q)
    maps = [grid_map(x.reshape(5, 6, 4), [name]) for x in (q, other)]
    assert errors_in_degrees(*maps).max() < 1e-4


def test_errors_against_known_turns(rng) -> None:
    truth = crystal_map((3, 4), [SILICON], rng, special=False)
    xmap = crystal_map((3, 4), [SILICON], rng)
    symmetry = SILICON.symmetry_quaternions()[rng.integers(0, 24, 12)]
    angles = np.linspace(0, 20, 12)
    turned = multiply(symmetry, multiply(truth.rotations.data, about_z(np.deg2rad(angles))))
    degrees = errors_in_degrees(with_rotations(xmap, turned), truth)
    expected = np.delete(angles, 2)  # left out
    expected[1] = np.inf  # not indexed
    np.testing.assert_allclose(degrees, expected, atol=1e-4)


def test_errors_where_truth_has_no_phase_or_another(rng) -> None:
    truth = crystal_map((3, 4), [SILICON, ZIRCONIA], rng)  # point 1 vacuum, point 2 left out
    xmap = crystal_map((3, 4), [SILICON], rng, special=False)
    with pytest.raises(ValueError, match="none of them left out"):
        errors_in_degrees(xmap, truth)
    degrees = errors_in_degrees(xmap[np.arange(12) != 2], truth)
    assert np.isnan(degrees[1])
    assert np.isinf(degrees[2])  # point 3 is zirconia
    assert np.isfinite(degrees[0])


def test_errors_of_maps_of_other_shape_are_refused(rng) -> None:
    with pytest.raises(ValueError, match="points of truth"):
        errors_in_degrees(crystal_map((3, 4), [SILICON], rng), crystal_map((3, 3), [SILICON], rng))


def phase_of(group: str, cell=(5, 5, 5, 90, 90, 90)) -> Phase:
    return Phase(point_group=group, structure=Structure(lattice=Lattice(*cell)))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (phase_of("m-3m"), phase_of("432"), True),  # one Laue group
        (phase_of("-43m"), phase_of("23"), True),  # what .ang files keep of it
        (phase_of("m-3m"), phase_of("m-3"), False),
        (phase_of("m-3m"), phase_of("m-3m", (5.05, 5.05, 5.05, 90, 90, 90)), True),
        (phase_of("m-3m"), phase_of("m-3m", (5.2, 5.2, 5.2, 90, 90, 90)), False),
        (phase_of("m-3m"), Phase(structure=Structure(lattice=Lattice(5, 5, 5, 90, 90, 90))), False),
    ],
)
def test_what_is_one_crystal(first, second, same) -> None:
    first.name, second.name = "this", "that"
    assert is_same_crystal(first, second) is same
    assert is_same_crystal(second, first) is same


def test_monoclinic_settings_are_of_one_type() -> None:
    # Ours with the axis along b; orix's with the axis along c, as it comes from a file.
    ours = crystal("monoclinic").to_phase()
    from_file = Phase(point_group="2/m", structure=ours.structure.copy())
    assert is_same_crystal(ours, from_file)


def test_lists_of_maps_are_refused(rng) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng, special=False)
    with pytest.raises(TypeError, match="one by one"):
        errors_in_degrees([xmap], xmap)
