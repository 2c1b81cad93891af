"""Space group operations: gemmi's tables against orix's and diffpy's, over all 230 groups."""

import gemmi
import numpy as np
import pytest
from diffpy.structure.spacegroups import GetSpaceGroup
from orix.plot import IPFColorKeyTSL
from orix.quaternion.symmetry import get_point_group
from orix.vector import Vector3d

from pyxem_cnn import rotations
from pyxem_cnn.crystal import symmetry
from pyxem_cnn.crystal.orix_symmetry import (
    OperatorSymmetry,
    point_group_from_matrices,
    same_matrices,
    symmetry_matrices,
)

CELLS = {
    1: (4, 5, 6, 80, 105, 95),
    3: (4, 5, 6, 90, 105, 90),
    16: (4, 5, 6, 90, 90, 90),
    75: (4, 4, 5, 90, 90, 90),
    143: (4, 4, 6, 90, 90, 120),
    195: (4, 4, 4, 90, 90, 90),
}
# Where orix 0.15 takes another setting from the number than the International Tables have.
ORIX_DIFFERS = [*range(3, 16), *range(115, 121), 149, 151, 153, 157, 159, 162, 163, 189, 190]
UNUSUAL = [
    ("P 1 21/n 1", (4, 5, 6, 90, 105, 90)),
    ("P 2/m 1 1", (4, 5, 6, 100, 90, 90)),
    ("B 1 1 2/b", (4, 5, 6, 90, 90, 100)),
    ("P m 2 m", (4, 5, 6, 90, 90, 90)),
    ("R -3 m:R", (4, 4, 4, 70, 70, 70)),
    ("R -3:R", (4, 4, 4, 70, 70, 70)),
    ("R 3 2:R", (4, 4, 4, 50, 50, 50)),
]


def standard_cell(number):
    return CELLS[max(first for first in CELLS if first <= number)]


def operations_of(space_group, lattice):
    group = symmetry.find_space_groups(space_group, lattice)[0]
    return symmetry.operations_from_gemmi(group.operations())


def point_group_of(space_group, lattice):
    rotation = symmetry.point_group(operations_of(space_group, lattice).rotations)
    return symmetry.cartesian(rotation, symmetry.basis_matrix(lattice))


def test_gemmi_and_diffpy_agree_on_every_operation():
    for number in range(1, 231):
        operations = list(GetSpaceGroup(number).iter_symops())
        theirs = symmetry.Operations(
            np.array([op.R for op in operations]), np.array([op.t for op in operations])
        )
        ours = operations_of(number, standard_cell(number))
        assert len(ours.rotations) == len(operations), number
        assert symmetry.same_operations(ours, theirs), number


def test_list_of_groups_where_orix_differs_is_exact():
    differs = [
        number
        for number in range(1, 231)
        if not same_matrices(
            symmetry_matrices(get_point_group(number)),
            point_group_of(number, standard_cell(number)),
        )
    ]
    assert differs == ORIX_DIFFERS


@pytest.mark.parametrize("number", [1, 2, 5, 9, 14, 47, 82, 118, 122, 146, 151, 157, 163, 190, 227])
def test_cartesian_point_groups_are_orthogonal_and_closed(number):
    matrices = point_group_of(number, standard_cell(number))
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1) - np.eye(3), 0, atol=1e-12)
    products = np.einsum("iab,jbc->ijac", matrices, matrices).reshape(-1, 3, 3)
    nearest = np.abs(products[:, None] - matrices).max(axis=(2, 3)).min(axis=1)
    assert nearest.max() < 1e-9
    np.testing.assert_allclose(matrices[0], np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    ("space_group", "lattice"), [(n, standard_cell(n)) for n in ORIX_DIFFERS] + UNUSUAL
)
def test_orix_group_holds_our_operators_and_a_true_sector(space_group, lattice):
    matrices = point_group_of(space_group, lattice)
    group = point_group_from_matrices(matrices)
    assert same_matrices(symmetry_matrices(group), matrices)
    laue = np.concatenate([matrices, -matrices])
    laue = laue if len(matrices) == group.laue.size / 2 else matrices
    assert same_matrices(symmetry_matrices(group.laue), laue)
    assert group.laue.name is not None
    proper = laue[np.linalg.det(laue) > 0]
    assert same_matrices(symmetry_matrices(group.laue_proper_subgroup), proper)
    directions = np.random.default_rng(1).normal(size=(200, 3))
    normals = group.laue.fundamental_sector.data
    images = np.einsum("gij,nj->gni", laue, directions)
    inside = np.all(np.einsum("gni,ki->gnk", images, normals) > 0, axis=2)
    np.testing.assert_array_equal(inside.sum(axis=0), 1)


@pytest.mark.parametrize(
    ("space_group", "lattice"),
    [(14, CELLS[3]), (118, CELLS[75]), (151, CELLS[143]), (163, CELLS[143]), *UNUSUAL],
)
def test_ipf_colours_do_not_change_under_the_laue_group(space_group, lattice):
    matrices = point_group_of(space_group, lattice)
    key = IPFColorKeyTSL(point_group_from_matrices(matrices)).direction_color_key
    directions = np.random.default_rng(2).normal(size=(40, 3))
    colours = [key.direction2color(Vector3d(directions @ m.T)) for m in [*matrices, *(-matrices)]]
    np.testing.assert_allclose(colours, np.broadcast_to(colours[0], np.shape(colours)), atol=1e-6)
    assert len(np.unique(np.round(colours[0], 3), axis=0)) > 30


def test_named_groups_are_orix_own():
    group = point_group_from_matrices(point_group_of(225, CELLS[195]))
    assert not isinstance(group, OperatorSymmetry)
    assert group == get_point_group(225)


def test_symmetry_quaternions_act_like_the_matrices():
    matrices = point_group_of(163, CELLS[143])
    group = point_group_from_matrices(matrices)
    vector = np.array([0.3, -0.5, 0.7])
    proper = matrices[np.linalg.det(matrices) > 0]
    ours = rotations.rotate(rotations.from_matrix(proper), vector)
    np.testing.assert_allclose(ours, proper @ vector, atol=1e-12)
    assert group.proper_subgroup.size == 6


@pytest.mark.parametrize(
    ("space_group", "lattice", "expected"),
    [
        (166, (3, 3, 14, 90, 90, 120), "R -3 m:H"),
        (166, (6, 6, 6, 50, 50, 50), "R -3 m:R"),
        ("R -3 m", (6, 6, 6, 50, 50, 50), "R -3 m:R"),
        ("P21/n", (4, 5, 6, 90, 105, 90), "P 1 21/n 1"),
        ("B2/b", (4, 5, 6, 90, 90, 105), "B 1 1 2/b"),
        (14, (4, 5, 6, 90, 90, 105), "P 1 1 21/a"),
        ("F d -3 m:2", (8, 8, 8, 90, 90, 90), "F d -3 m:2"),
        (227, (8, 8, 8, 90, 90, 90), "F d -3 m:1"),
        ("Pbnm", (4, 5, 6, 90, 90, 90), "P b n m"),
    ],
)
def test_setting_follows_symbol_and_cell(space_group, lattice, expected):
    assert symmetry.find_space_groups(space_group, lattice)[0].xhm() == expected


def test_bad_space_groups_are_refused():
    with pytest.raises(TypeError, match="space_group"):
        symmetry.find_space_groups(2.5, CELLS[1])
    with pytest.raises(ValueError, match=r"got 231, expected a number from 1 to 230"):
        symmetry.find_space_groups(231, CELLS[1])
    with pytest.raises(ValueError, match="'nonsense'"):
        symmetry.find_space_groups("nonsense", CELLS[1])
    with pytest.raises(ValueError, match=r"symmetry of space group P 63 m c"):
        symmetry.find_space_groups("P 63 m c", (3, 3, 5, 90, 90, 90))


def test_basis_agrees_with_gemmi_cell():
    lattice = CELLS[1]
    basis = symmetry.basis_matrix(lattice)
    np.testing.assert_allclose(basis, gemmi.UnitCell(*lattice).orth.mat.tolist(), atol=1e-12)


def test_symmetrized_lattice_keeps_a_good_cell_and_mends_a_near_one():
    operations = operations_of(225, CELLS[195])
    assert symmetry.symmetrized_lattice((4, 4, 4, 90, 90, 90), operations) == (4, 4, 4, 90, 90, 90)
    mended = symmetry.symmetrized_lattice((4.0, 4.003, 4.0, 90, 90, 90), operations)
    np.testing.assert_allclose(mended, (4.001, 4.001, 4.001, 90, 90, 90), atol=1e-5)
    assert symmetry.metric_misfit((4, 4.3, 4, 90, 90, 90), operations) > 1


def test_origin_shift_is_found_and_a_wrong_group_is_not():
    first, second = (operations_of(f"F d -3 m:{k}", CELLS[195]) for k in (1, 2))
    shift = symmetry.origin_shift(first, second)
    moved = second.translations + shift - second.rotations @ shift
    assert symmetry.same_operations(first, symmetry.Operations(second.rotations, moved % 1))
    right, left = operations_of(152, CELLS[143]), operations_of(154, CELLS[143])
    assert symmetry.origin_shift(right, left) is None


def test_incomplete_list_of_operations_is_no_group():
    operations = operations_of(186, CELLS[143])
    assert symmetry.is_group(operations)
    assert not symmetry.is_group(symmetry.Operations(*(x[:-1] for x in operations)))
