"""Boundary segments: where they lie, and angles and axes as orix has them."""

from __future__ import annotations

import numpy as np
import pytest
from orix import io
from orix.quaternion import Orientation, Rotation
from orix.vector import Vector3d

from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.maps.grains.boundaries import COINCIDENCE, _rotation, grain_boundaries
from pyxem_cnn.maps.grains.find import find_grains
from pyxem_cnn.rotations import from_rotation_vector, multiply, random_quaternions, to_matrix
from tests._crystals import NAMES, crystal


def pair_map(p, q, phases, *, scale=1.0):
    """Return a map of n rows and two columns, p on the left and q on the right."""
    n = len(p)
    ids = np.tile([0, len(phases) - 1], n)
    x, y = np.tile([0.0, scale], n), np.repeat(np.arange(n) * 1.0, 2)
    rotations = np.stack([p, q], axis=1).reshape(-1, 4)
    return build_crystal_map(rotations, ids, phases, coordinates={"x": x, "y": y})


def across(boundaries):
    """Return which segments lie between the two columns."""
    return (
        boundaries.of.xmap.y[boundaries.points[:, 0]]
        == (boundaries.of.xmap.y[boundaries.points[:, 1]])
    )


@pytest.mark.parametrize("name", NAMES)
def test_angles_are_those_of_orix(name, rng) -> None:
    p, q = random_quaternions(60, rng), random_quaternions(60, rng)
    boundaries = grain_boundaries(pair_map(p, q, [crystal(name)]), threshold=1e-3)
    laue = crystal(name).to_phase().point_group.laue
    expected = Orientation(p, symmetry=laue).angle_with(Orientation(q, symmetry=laue), degrees=True)
    np.testing.assert_allclose(boundaries.angles[across(boundaries)], expected, atol=1e-5)


@pytest.mark.parametrize("first", ["cubic", "trigonal"])
@pytest.mark.parametrize("second", ["hexagonal", "monoclinic"])
def test_angles_between_phases_are_those_of_orix(first, second, rng) -> None:
    p, q = random_quaternions(30, rng), random_quaternions(30, rng)
    phases = [crystal(first), crystal(second)]
    boundaries = grain_boundaries(pair_map(p, q, phases), threshold=1e-3)
    groups = [phase.to_phase().point_group.laue.proper_subgroup for phase in phases]
    # Every combination of operations; orix's Misorientation.reduce misses some near corners.
    relative = Rotation(q) * ~Rotation(p)
    expected = groups[1].outer(relative).outer(groups[0]).angle.min(axis=(0, 2))
    between = boundaries.is_phase_boundary
    np.testing.assert_array_equal(between, across(boundaries))
    np.testing.assert_allclose(boundaries.angles[between], np.rad2deg(expected), atol=1e-5)
    assert np.isnan(boundaries.axes[between]).all()
    assert np.isfinite(boundaries.axes[~between]).all()
    np.testing.assert_array_equal(boundaries.phase_ids[between], [[0, 1]] * between.sum())


@pytest.mark.parametrize("name", NAMES)
def test_axis_of_a_known_turn(name, rng) -> None:
    structure = crystal(name)
    laue = structure.to_phase().point_group.laue
    operations = laue.proper_subgroup.data
    axis = Vector3d(rng.normal(size=(40, 3))).unit
    expected = axis.in_fundamental_sector(laue).data
    p = random_quaternions(40, rng)
    # Turns about crystal axes, seen from symmetrically equivalent orientations. 10 degrees are
    # below the smallest angle that another equivalent could have.
    q = multiply(from_rotation_vector(np.deg2rad(10) * axis.data), p)
    q = multiply(operations[rng.integers(0, len(operations), 40)], q)
    boundaries = grain_boundaries(pair_map(p, q, [structure]), threshold=1e-3)
    here = across(boundaries)
    np.testing.assert_allclose(boundaries.angles[here], 10, atol=1e-6)
    np.testing.assert_allclose(boundaries.axes[here], expected, atol=1e-6)


def test_no_axis_without_misorientation(rng) -> None:
    p = random_quaternions(2, rng)
    xmap = pair_map(p, p, [crystal("cubic")])
    grains = find_grains(xmap[:, 0])  # one column
    assert np.isfinite(grain_boundaries(grains).axes).all()
    two = build_crystal_map(p[[0, 0]], np.array([0, 1]), [crystal("cubic"), crystal("gaas")])
    boundaries = grain_boundaries(two)
    np.testing.assert_allclose(boundaries.angles, 0, atol=1e-5)
    assert np.isnan(boundaries.axes).all()


def test_segments_surround_a_grain(rng) -> None:
    p = random_quaternions(2, rng)
    labels = np.zeros((4, 5), dtype=int)
    labels[1:3, 2:4] = 1
    y, x = np.mgrid[:4, :5]
    coordinates = {"x": 10 + 0.5 * x.ravel(), "y": 20 + 2.0 * y.ravel(), "scan_unit": "nm"}
    xmap = build_crystal_map(p[labels.ravel()], 0 * labels.ravel(), [crystal("cubic")],
                             coordinates=coordinates)  # fmt: skip
    boundaries = grain_boundaries(xmap)
    assert len(boundaries) == 8
    np.testing.assert_allclose(boundaries.lengths.sum(), 4 * 0.5 + 4 * 2.0)
    corners = {tuple(end) for segment in boundaries.segments.round(9) for end in segment}
    xs, ys = zip(*corners, strict=True)
    assert (min(xs), max(xs), min(ys), max(ys)) == (10.75, 11.75, 21, 25)
    assert len(corners) == 8
    assert set(map(tuple, np.sort(boundaries.grains, axis=1))) == {(0, 1)}
    assert "10 nm" in repr(boundaries)


def test_points_in_no_grain_have_no_boundary(rng) -> None:
    p = random_quaternions(4, rng)
    xmap = build_crystal_map(p, np.array([0, -1, 0, 0]), [crystal("cubic")])
    boundaries = grain_boundaries(xmap)
    np.testing.assert_array_equal(boundaries.points, [[2, 3]])
    one = grain_boundaries(xmap[:1])
    assert len(one) == 0
    assert repr(one) == "<GrainBoundaries: none>"
    assert one.segments.shape == (0, 2, 2)


def test_merged_points_stand_for_their_grain() -> None:
    turns = from_rotation_vector(np.deg2rad(np.outer([0, 0, 43, 20, 20], [0, 0, 1.0])))
    xmap = build_crystal_map(turns, np.zeros(5, dtype=int), [crystal("cubic")])
    boundaries = grain_boundaries(xmap, min_size=2, small="merge")
    np.testing.assert_allclose(boundaries.angles, 20, atol=1e-5)
    np.testing.assert_array_equal(boundaries.points, [[2, 3]])


@pytest.mark.parametrize("sigma", COINCIDENCE)
def test_coincidence_lattices_coincide(sigma) -> None:
    # Sigma is the least number that makes the rotation matrix whole.
    matrix = to_matrix(_rotation(*COINCIDENCE[sigma]))
    whole = [n for n in range(1, 20) if np.allclose(n * matrix, np.round(n * matrix), atol=1e-3)]
    assert whole[0] == sigma


@pytest.mark.parametrize("sigma", COINCIDENCE)
def test_coincidence_with_brandons_tolerance(sigma, rng) -> None:
    n, limit = 40, 15 / np.sqrt(sigma)
    operations = crystal("cubic").symmetry_quaternions()
    p = random_quaternions(n, rng)
    off = rng.uniform(0, 2 * limit, n)
    axis = Vector3d(rng.normal(size=(n, 3))).unit.data
    turned = from_rotation_vector(np.deg2rad(off)[:, None] * axis)
    ideal = np.tile(_rotation(*COINCIDENCE[sigma]), (n, 1))
    ideal[::2, 1:] *= -1  # the other way round, the same lattice
    q = multiply(turned, multiply(ideal, p))
    q = multiply(operations[rng.integers(0, 24, n)], q)
    boundaries = grain_boundaries(pair_map(p, q, [crystal("cubic")]), threshold=1e-3)
    here = across(boundaries)
    found = boundaries.is_coincidence(sigma)[here]
    assert np.all(found[off < limit - 1e-6])
    # Beyond the limit another variant can be nearer, but not just beyond it.
    just = (off > limit + 1e-6) & (off < 1.2 * limit)
    assert not np.any(found[just])
    assert not np.any(boundaries.is_coincidence(sigma, 1e-3))


def test_twins_are_told_in_cubic_phases_only(rng) -> None:
    p = random_quaternions(1, rng)
    q = multiply(_rotation((1, 1, 1), 60.0), p)
    assert grain_boundaries(pair_map(p, q, [crystal("cubic")])).is_coincidence(3).all()
    assert not grain_boundaries(pair_map(p, q, [crystal("hexagonal")])).is_coincidence(3).any()
    two = [crystal("cubic"), crystal("gaas")]
    assert not grain_boundaries(pair_map(p, q, two)).is_coincidence(3).any()
    with pytest.raises(ValueError, match="expected one of 3, 5, 7, 9, 11"):
        grain_boundaries(pair_map(p, q, two)).is_coincidence(27)
    with pytest.raises(ValueError, match="tolerance"):
        grain_boundaries(pair_map(p, q, two)).is_coincidence(3, 0)


def test_table(rng) -> None:
    p, q = random_quaternions(3, rng), random_quaternions(3, rng)
    boundaries = grain_boundaries(pair_map(p, q, [crystal("cubic"), crystal("trigonal")]))
    table = boundaries.table
    assert {len(column) for column in table.values()} == {len(boundaries)}
    np.testing.assert_array_equal(table["phase_id_2"], boundaries.phase_ids[:, 1])
    np.testing.assert_allclose(np.hypot(table["x2"] - table["x1"], table["y2"] - table["y1"]), 1)
    frame = pytest.importorskip("pandas", reason="pandas is not installed")
    assert isinstance(boundaries.to_dataframe(), frame.DataFrame)


def test_what_is_refused(rng) -> None:
    xmap = pair_map(random_quaternions(2, rng), random_quaternions(2, rng), [crystal("cubic")])
    with pytest.raises(TypeError, match="one by one"):
        grain_boundaries([xmap])
    with pytest.raises(TypeError, match="threshold"):
        grain_boundaries(find_grains(xmap), threshold=2)


def test_twins_of_austenite(test_data) -> None:
    xmap = io.load(test_data / "orientation_maps" / "sdss_ferrite_austenite.ang")
    boundaries = grain_boundaries(xmap)
    austenite, ferrite = ((boundaries.phase_ids == i).all(axis=1) for i in (1, 2))
    twins = boundaries.is_coincidence(3)
    # Annealing twins are what austenite is known for; ferrite has none.
    assert twins[austenite].mean() > 0.3
    assert twins[ferrite].mean() < 0.1
    # Phases meet near Kurdjumov-Sachs and its kin, 42 to 47 degrees apart.
    assert 38 < np.median(boundaries.angles[boundaries.is_phase_boundary]) < 47
