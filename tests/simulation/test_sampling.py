"""Fundamental sectors and even grids, for all 32 point groups."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from orix.quaternion import symmetry
from scipy.spatial import cKDTree

from pyxem_cnn.simulation.sampling import (
    _GENERIC_DIRECTION,
    in_fundamental_sector,
    sphere_directions,
    zone_axis_grid,
)

POINT_GROUPS = {
    "1": 1, "-1": 2, "2": 3, "m": 6, "2/m": 10, "222": 16, "mm2": 25, "mmm": 47, "4": 75,
    "-4": 81, "4/m": 83, "422": 89, "4mm": 99, "-42m": 111, "4/mmm": 123, "3": 143, "-3": 147,
    "32": 150, "3m": 156, "-3m": 164, "6": 168, "-6": 174, "6/m": 175, "622": 177, "6mm": 183,
    "-6m2": 187, "6/mmm": 191, "23": 195, "m-3": 200, "432": 207, "-43m": 215, "m-3m": 221,
}  # fmt: skip


def orix_matrices(group):
    """Return all operations of an orix group as Cartesian matrices, improper ones included."""
    sign = np.where(group.improper, -1.0, 1.0).reshape(-1, 1, 1)
    return sign * group.to_matrix().reshape(-1, 3, 3)


@pytest.fixture(params=POINT_GROUPS)
def group(request):
    return symmetry.get_point_group(POINT_GROUPS[request.param])


def random_directions(n, rng):
    v = rng.normal(size=(n, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def test_all_point_groups_are_there():
    orders = [symmetry.get_point_group(n).size for n in POINT_GROUPS.values()]
    assert len(orders) == 32
    assert max(orders) == 48


def test_sphere_directions():
    directions = sphere_directions(3000)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    np.testing.assert_allclose(directions.mean(0), 0, atol=2e-3)
    np.testing.assert_allclose(directions.T @ directions / 3000, np.eye(3) / 3, atol=2e-3)
    nearest = cKDTree(directions).query(directions, k=2)[0][:, 1]
    assert nearest.min() > 0.8 * np.sqrt(4 * np.pi / 3000)
    # Another offset is the same spiral, turned about z.
    turned = sphere_directions(3000, offset=0.25)
    np.testing.assert_allclose(turned, np.stack(
        [-directions[:, 1], directions[:, 0], directions[:, 2]], axis=1), atol=1e-12)  # fmt: skip


def test_exactly_one_equivalent_of_every_direction_is_inside(group, rng):
    operations = orix_matrices(group)
    v = random_directions(500, rng)
    equivalents = np.einsum("mij,nj->nmi", operations, v)
    inside = in_fundamental_sector(equivalents.reshape(-1, 3), operations)
    np.testing.assert_array_equal(inside.reshape(500, -1).sum(1), 1)


def test_grid_covers_its_share_of_the_sphere(group):
    operations = orix_matrices(group)
    grid = zone_axis_grid(operations, n=400)
    np.testing.assert_allclose(np.linalg.norm(grid, axis=1), 1)
    assert in_fundamental_sector(grid, operations).all()
    # The boundary of a sector takes or leaves some points of the spiral.
    assert len(grid) == pytest.approx(400, rel=0.06)


def test_area_equals_that_of_the_sector_of_orix(group, rng):
    operations = orix_matrices(group)
    v = random_directions(20_000, rng)
    ours = in_fundamental_sector(v, operations).mean()
    assert ours == pytest.approx(1 / group.size, abs=4 * np.sqrt(1 / group.size / 20_000))
    # orix' sector belongs to the Laue group for some groups, so that it may be larger.
    from orix.vector import Vector3d

    theirs = (Vector3d(v) <= group.fundamental_sector).mean()
    if theirs == pytest.approx(1 / group.size, rel=0.2):
        assert ours == pytest.approx(theirs, rel=0.2)


def test_spacing_is_even_over_the_sphere(group):
    """All equivalents of the grid together: no gaps or crowds, sector edges included."""
    operations = orix_matrices(group)
    n = max(1, 3000 // group.size)
    grid = zone_axis_grid(operations, n=n)
    everywhere = np.einsum("mij,nj->nmi", operations, grid).reshape(-1, 3)
    spacing = np.sqrt(4 * np.pi / len(everywhere))
    # Every direction has a zone axis nearby.
    probes = random_directions(4000, np.random.default_rng(0))
    reach = cKDTree(everywhere).query(probes)[0]
    assert reach.max() < 1.6 * spacing
    # Within the sector no two are crowded.
    if len(grid) > 1:
        nearest = cKDTree(grid).query(grid, k=2)[0][:, 1]
        assert nearest.min() > 0.8 * spacing
        assert np.median(nearest) == pytest.approx(spacing, rel=0.15)


@pytest.mark.parametrize("degrees", [1.0, 4.0])
def test_spacing_in_degrees(degrees):
    grid = zone_axis_grid(orix_matrices(symmetry.Oh), spacing=degrees / 2)
    nearest = np.rad2deg(cKDTree(grid).query(grid, k=2)[0][:, 1])
    assert np.median(nearest) == pytest.approx(degrees / 2, rel=0.1)


def test_offset_gives_other_directions():
    operations = orix_matrices(symmetry.Oh)
    a, b = (zone_axis_grid(operations, n=300, offset=o) for o in (0.0, 0.37))
    assert cKDTree(a).query(b)[0].max() > 1e-3


def test_sector_smaller_than_the_spacing():
    operations = orix_matrices(symmetry.Oh)
    grid = zone_axis_grid(operations, spacing=90)
    assert len(grid) >= 1
    assert in_fundamental_sector(grid, operations).all()


def test_generic_direction_lies_off_every_symmetry_element_in_all_settings():
    """Otherwise one of the 230 groups, in one of its settings, would have no sector."""
    centre = _GENERIC_DIRECTION / np.linalg.norm(_GENERIC_DIRECTION)
    from pyxem_cnn.crystal.symmetry import basis_matrix, cartesian

    done = set()
    for setting in gemmi.spacegroup_table():
        system = setting.crystal_system_str()
        if setting.ext == "R":
            lattice = (4.0, 4.0, 4.0, 56.0, 56.0, 56.0)
        elif system in ("trigonal", "hexagonal"):
            lattice = (3.0, 3.0, 5.0, 90.0, 90.0, 120.0)
        else:
            lattice = (4.0, 4.0, 4.0, 90.0, 90.0, 90.0)
        rotations = np.array([op.rot for op in setting.operations().sym_ops]) // 24
        key = (lattice, rotations.tobytes())
        if key in done:
            continue
        done.add(key)
        distance = np.linalg.norm(
            cartesian(rotations, basis_matrix(lattice)) @ centre - centre, axis=1
        )
        assert np.sort(distance)[1:].min(initial=1) > 0.02, setting.xhm()
    assert len(done) > 50


@pytest.mark.parametrize(
    "arguments", [{}, {"n": 3, "spacing": 2.0}, {"n": 0}, {"spacing": 0}, {"spacing": -1.0},
                  {"spacing": float("nan")}],
)  # fmt: skip
def test_refused(arguments):
    with pytest.raises(ValueError, match="exactly one"):
        zone_axis_grid(np.eye(3)[None], **arguments)
