"""Grains: which points belong together, and means and angles as orix has them, across symmetry."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pytest
from orix import io
from orix.quaternion import Orientation, Rotation

from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.maps.grains.find import find_grains
from pyxem_cnn.maps.grains.neighbours import PointGrid
from pyxem_cnn.maps.misorientation import (
    combined_operations,
    mean_orientations,
    misorientation_angles,
    nearest_equivalents,
)
from pyxem_cnn.rotations import (
    about_z,
    angle_between,
    disorientation_angle,
    from_rotation_vector,
    multiply,
    normalize,
    random_quaternions,
)
from tests._crystals import NAMES, crystal


def image_map(labels, rotations, names=("cubic",), phase_ids=None, step=(1.0, 1.0), **kwargs):
    """Return a map of an image of labels, each with an orientation."""
    labels = np.asarray(labels)
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]]
    coordinates = {"x": x.ravel() * step[0], "y": y.ravel() * step[1], "scan_unit": "nm"}
    ids = np.zeros(labels.size, dtype=int) if phase_ids is None else np.ravel(phase_ids)
    return build_crystal_map(
        rotations[labels.ravel()],
        ids,
        [crystal(name) for name in names],
        coordinates=coordinates,
        **kwargs,
    )


def line_map(degrees, **kwargs):
    """Return a line of silicon, turned about z by these angles."""
    turns = about_z(np.deg2rad(np.asarray(degrees, dtype=float)))
    return build_crystal_map(turns, np.zeros(len(turns), dtype=int), [crystal("cubic")], **kwargs)


def scattered(rng, centre, degrees, n):
    """Return orientations around one, in random directions by up to some degrees."""
    axis = rng.normal(size=(n, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    turns = from_rotation_vector(np.deg2rad(rng.uniform(0, degrees, n))[:, None] * axis)
    return multiply(turns, centre)


def in_random_variants(rng, q, operations):
    """Return orientations in symmetrically equivalent form and with random signs."""
    n = len(q)
    return (
        multiply(operations[rng.integers(0, len(operations), n)], q)
        * rng.choice([-1, 1], n)[:, None]
    )


class TestMisorientation:
    @pytest.mark.parametrize("name", NAMES)
    def test_angles_are_those_of_orix_and_our_own(self, name, rng) -> None:
        p, q = random_quaternions(200, rng), random_quaternions(200, rng)
        q[:50] = scattered(rng, p[:50], 3, 50)
        operations = crystal(name).symmetry_quaternions()
        laue = crystal(name).to_phase().point_group.laue
        found = misorientation_angles(p, q, operations)
        first, second = (Orientation(x, symmetry=laue) for x in (p, q))
        np.testing.assert_allclose(found, first.angle_with(second, degrees=True), atol=1e-5)
        own = np.rad2deg(disorientation_angle(p, q, operations))
        np.testing.assert_allclose(found, own, atol=1e-5)

    def test_blocks_change_nothing(self, rng, monkeypatch) -> None:
        p, q = random_quaternions(50, rng), random_quaternions(50, rng)
        operations = crystal("trigonal").symmetry_quaternions()
        angles, nearest = (
            misorientation_angles(p, q, operations),
            nearest_equivalents(p, q, operations),
        )
        monkeypatch.setattr("pyxem_cnn.maps.misorientation._BLOCK", 7)
        np.testing.assert_array_equal(misorientation_angles(p, q, operations), angles)
        for found, expected in zip(nearest_equivalents(p, q, operations), nearest, strict=True):
            np.testing.assert_array_equal(found, expected)

    @pytest.mark.parametrize("name", NAMES)
    def test_nearest_equivalents(self, name, rng) -> None:
        operations = crystal(name).symmetry_quaternions()
        reference = random_quaternions(40, rng)
        near = scattered(rng, reference, 4, 40)
        found, degrees = nearest_equivalents(
            in_random_variants(rng, near, operations), reference, operations
        )
        np.testing.assert_allclose(np.abs((found * near).sum(1)), 1)
        np.testing.assert_allclose(degrees, np.rad2deg(angle_between(near, reference)), atol=1e-5)

    def test_combined_operations_of_one_group_are_that_group(self) -> None:
        for name in NAMES:
            operations = crystal(name).symmetry_quaternions()
            combined = combined_operations(operations, operations)
            assert len(combined) == len(operations)
            np.testing.assert_allclose(np.abs(combined @ operations.T).max(axis=1), 1)


class TestMean:
    @pytest.mark.parametrize("name", NAMES)
    def test_mean_across_symmetry(self, name, rng) -> None:
        operations = crystal(name).symmetry_quaternions()
        laue = crystal(name).to_phase().point_group.laue
        # Halfway to an equivalent: half of the surroundings has other nearest equivalents.
        turn = operations[1] if operations[1][0] >= 0 else -operations[1]
        centre = normalize(turn + [1.0, 0, 0, 0])
        q = scattered(rng, centre, 4, 300)
        expected = Rotation(q).mean().data  # all on one side, no symmetry in it
        q = in_random_variants(rng, q, operations)
        found = mean_orientations(q, np.zeros(300, dtype=int), q[:1], operations)
        assert misorientation_angles(found, expected.reshape(1, 4), operations) < 1e-5
        # The mean of orix alone is wrong here, also for orientations brought into one zone.
        reduced = Orientation(q, symmetry=laue).reduce()
        wrong = misorientation_angles(reduced.mean().data.reshape(1, 4), found, operations)
        assert wrong > 15

    def test_many_sets_at_once(self, rng) -> None:
        operations = crystal("hexagonal").symmetry_quaternions()
        centres = random_quaternions(30, rng)
        labels = rng.permutation(np.repeat(np.arange(30), 20))
        q = scattered(rng, centres[labels], 5, 600)
        expected = np.array([Rotation(q[labels == i]).mean().data[0] for i in range(30)])
        first = in_random_variants(rng, centres, operations)
        variants = in_random_variants(rng, q, operations)
        found = mean_orientations(variants, labels, first, operations)
        assert misorientation_angles(found, expected, operations).max() < 1e-5
        assert np.rad2deg(angle_between(found, first)).max() < 10

    def test_mean_of_a_strongly_bent_grain(self) -> None:
        # Seen from the first point, an equivalent of the last ones is nearer: one has to iterate.
        q = about_z(np.deg2rad(np.arange(51.0)))
        operations = crystal("cubic").symmetry_quaternions()
        found = mean_orientations(q, np.zeros(51, dtype=int), q[:1], operations)
        expected = about_z(np.deg2rad(np.array([25.0])))
        assert misorientation_angles(found, expected, operations) < 1e-5


class TestFinding:
    def test_known_grains(self, rng) -> None:
        labels = np.kron([[0, 1, 1], [2, 1, 0]], np.ones((4, 5), dtype=int))
        rotations = scattered(rng, random_quaternions(3, rng), 0, 3)
        q = scattered(rng, rotations[labels.ravel()], 1, labels.size)
        q = in_random_variants(rng, q, crystal("trigonal").symmetry_quaternions())
        xmap = image_map(np.arange(labels.size).reshape(labels.shape), q, ["trigonal"])
        grains = find_grains(xmap)
        # The two corners with orientation 0 do not touch.
        expected = np.kron([[0, 1, 1], [2, 1, 3]], np.ones((4, 5), dtype=int))
        np.testing.assert_array_equal(grains.labels.reshape(labels.shape), expected)
        assert len(grains) == 4
        np.testing.assert_array_equal(grains.points, [20, 60, 20, 20])
        assert "4, threshold 5 degrees modulo the Laue group" in repr(grains)

    def test_threshold_lies_between_neighbours(self) -> None:
        xmap = line_map([0, 3, 6, 9, 15, 18])
        np.testing.assert_array_equal(find_grains(xmap).labels, [0, 0, 0, 0, 1, 1])
        assert len(find_grains(xmap, 2.9)) == 6
        assert len(find_grains(xmap, 3.1)) == 2
        assert len(find_grains(xmap, 6.1)) == 1

    def test_connectivity(self, rng) -> None:
        rotations = random_quaternions(2, rng)
        xmap = image_map([[0, 1, 0], [1, 0, 1]], rotations)
        assert len(find_grains(xmap)) == 6
        np.testing.assert_array_equal(
            find_grains(xmap, connectivity=8).labels.reshape(2, 3), [[0, 1, 0], [1, 0, 1]]
        )

    def test_phases_are_apart(self) -> None:
        q = np.tile([1.0, 0, 0, 0], (4, 1))
        xmap = image_map([[0, 1, 2, 3]], q, ["cubic", "gaas"], phase_ids=[0, 0, 1, 1])
        grains = find_grains(xmap)
        np.testing.assert_array_equal(grains.labels, [0, 0, 1, 1])
        np.testing.assert_array_equal(grains.phase_id, [0, 1])
        np.testing.assert_array_equal(grains.table["phase"], ["Si", "GaAs"])

    def test_points_without_orientation(self) -> None:
        left_out = np.array([0, 0, 0, 0, 1, 0], dtype=bool)
        xmap = build_crystal_map(
            np.tile([1.0, 0, 0, 0], (6, 1)),
            np.array([0, -1, 0, 0, 0, 0]),
            [crystal("cubic")],
            is_in_data=~left_out,
        )
        grains = find_grains(xmap)
        np.testing.assert_array_equal(grains.labels, [0, -1, 1, 1, 2])
        np.testing.assert_array_equal(np.isnan(grains.reference_misorientation), [0, 1, 0, 0, 0])
        np.testing.assert_allclose(grains.kernel_average_misorientation[[2, 3]], 0, atol=1e-5)
        assert np.isnan(grains.kernel_average_misorientation[[0, 1, 4]]).all()

    def test_nothing_indexed(self) -> None:
        xmap = build_crystal_map(np.full((3, 4), np.nan), np.full(3, -1), [crystal("cubic")])
        grains = find_grains(xmap, min_size=2, small="merge")
        assert len(grains) == 0
        np.testing.assert_array_equal(grains.labels, -1)
        assert {len(column) for column in grains.table.values()} == {0}
        assert "<Grains: 0" in repr(grains)

    def test_group_is_that_of_the_map(self) -> None:
        # GaAs as seen by Friedel's law has the rotations of 432, its point group those of 23.
        turns = about_z(np.deg2rad([0.0, 90.0]))
        phases, ids = [crystal("gaas")], np.zeros(2, dtype=int)
        assert len(find_grains(build_crystal_map(turns, ids, phases))) == 1
        polar = build_crystal_map(turns, ids, phases, group="point")
        assert len(find_grains(polar)) == 2
        assert len(find_grains(polar, group="Laue")) == 1

    def test_best_orientation_counts(self, rng) -> None:
        q = random_quaternions(8, rng).reshape(4, 2, 4)
        q[:, 0] = [1, 0, 0, 0]
        xmap = build_crystal_map(q, np.zeros(4, dtype=int), [crystal("cubic")])
        assert len(find_grains(xmap)) == 1

    def test_slices_of_maps(self, rng) -> None:
        labels = np.array([[0, 0, 1, 1]] * 3)
        xmap = image_map(labels, random_quaternions(2, rng), step=(2.5, 2.5))
        part = find_grains(xmap[1:, 1:3])
        np.testing.assert_array_equal(part.labels.reshape(2, 2), [[0, 1], [0, 1]])
        np.testing.assert_allclose(part.centroid, [[2.5, 3.75], [5.0, 3.75]])

    @pytest.mark.parametrize("shape", [(1, 6), (6, 1)])
    def test_lines_of_a_map(self, shape, rng) -> None:
        labels = np.array([0, 0, 0, 0, 1, 1]).reshape(shape)
        grains = find_grains(image_map(labels, random_quaternions(2, rng), step=(0.5, 0.5)))
        np.testing.assert_array_equal(grains.labels, labels.ravel())
        np.testing.assert_allclose(grains.area, [2.0, 1.0])
        np.testing.assert_allclose(grains.equivalent_diameter, [2.0, 1.0])

    def test_one_point(self) -> None:
        grains = find_grains(line_map([0.0]))
        assert len(grains) == 1
        assert grains.touches_edge.all()


class TestSmallRegions:
    LABELS = (
        (0, 0, 0, 0, 1, 1, 1),
        (0, 2, 2, 0, 1, 3, 1),
        (0, 2, 4, 0, 1, 1, 1),
        (0, 0, 0, 0, 1, 1, 1),
    )

    def grains(self, rng, **kwargs):
        return find_grains(image_map(self.LABELS, random_quaternions(5, rng)), **kwargs)

    def test_drop(self, rng) -> None:
        grains = self.grains(rng, min_size=4)
        labels = np.array(self.LABELS)
        np.testing.assert_array_equal(
            grains.labels.reshape(labels.shape), np.where(labels > 1, -1, labels)
        )
        assert not grains.merged.any()
        assert len(self.grains(rng, min_size=3)) == 3

    def test_merge(self, rng) -> None:
        grains = self.grains(rng, min_size=4, small="merge")
        labels = np.array(self.LABELS)
        # 4 touches 0 with two sides, 2 with two more, and 2 itself goes to 0.
        expected = np.where(np.isin(labels, [0, 2, 4]), 0, 1)
        np.testing.assert_array_equal(grains.labels.reshape(labels.shape), expected)
        np.testing.assert_array_equal(grains.merged.reshape(labels.shape), labels > 1)
        np.testing.assert_array_equal(grains.points, [16, 12])
        # Points taken up say nothing of the orientation, but are far from it.
        np.testing.assert_allclose(grains.orientation_spread, 0, atol=1e-5)
        np.testing.assert_allclose(grains.max_misorientation, 0, atol=1e-5)
        assert grains.reference_misorientation[grains.merged].min() > 5

    def test_merge_goes_by_the_longest_boundary(self, rng) -> None:
        # Point 2 touches grain 0 with one side, grain 1 with two.
        labels = np.array([[0, 0, 2, 1], [0, 0, 1, 1]])
        grains = find_grains(
            image_map(labels, random_quaternions(3, rng)), min_size=2, small="merge"
        )
        np.testing.assert_array_equal(grains.labels.reshape(2, 4), [[0, 0, 1, 1], [0, 0, 1, 1]])

    def test_merge_from_the_outside_in(self, rng) -> None:
        rotations = random_quaternions(4, rng)
        xmap = image_map([[0, 0, 0, 1, 2, 3]], rotations)
        np.testing.assert_array_equal(find_grains(xmap, min_size=2, small="merge").labels, 0)

    def test_merge_stays_in_the_phase(self, rng) -> None:
        rotations = random_quaternions(3, rng)
        xmap = image_map([[0, 0, 1, 2, 2]], rotations, ["cubic", "gaas"], phase_ids=[0, 0, 1, 0, 0])
        grains = find_grains(xmap, min_size=2, small="merge")
        np.testing.assert_array_equal(grains.labels, [0, 0, -1, 1, 1])

    def test_merge_without_any_grain(self, rng) -> None:
        xmap = image_map([[0, 1, 2]], random_quaternions(3, rng))
        assert len(find_grains(xmap, min_size=2, small="merge")) == 0


class TestProperties:
    def test_size_and_place(self, rng) -> None:
        labels = np.zeros((5, 6), dtype=int)
        labels[1:3, 1:5] = 1
        grains = find_grains(image_map(labels, random_quaternions(2, rng), step=(0.5, 2.0)))
        np.testing.assert_array_equal(grains.points, [22, 8])
        np.testing.assert_allclose(grains.area, [22.0, 8.0])
        np.testing.assert_allclose(np.pi / 4 * grains.equivalent_diameter**2, [22, 8])
        np.testing.assert_allclose(grains.centroid[1], [1.25, 3.0])
        np.testing.assert_array_equal(grains.touches_edge, [True, False])

    def test_left_out_points_are_an_edge(self, rng) -> None:
        labels = np.zeros((5, 5), dtype=int)
        labels[2, 2] = 1
        kept = np.ones((5, 5), dtype=bool)
        kept[2, 3] = False
        xmap = image_map(labels, random_quaternions(2, rng), is_in_data=kept.ravel())
        np.testing.assert_array_equal(find_grains(xmap).touches_edge, [True, True])

    @pytest.mark.parametrize("name", NAMES)
    def test_spread_against_orix(self, name, rng) -> None:
        operations = crystal(name).symmetry_quaternions()
        centre = random_quaternions(1, rng)[0]
        q = scattered(rng, centre, 2, 60)
        variants = in_random_variants(rng, q, operations)
        xmap = image_map(np.arange(60).reshape(6, 10), variants, [name])
        grains = find_grains(xmap)
        laue = crystal(name).to_phase().point_group.laue
        mean = Orientation(Rotation(q).mean().data, symmetry=laue)
        degrees = mean.angle_with(Orientation(variants, symmetry=laue), degrees=True)
        np.testing.assert_allclose(grains.reference_misorientation, degrees.ravel(), atol=1e-5)
        np.testing.assert_allclose(grains.orientation_spread, degrees.mean(), atol=1e-5)
        np.testing.assert_allclose(grains.max_misorientation, degrees.max(), atol=1e-5)

    @pytest.mark.parametrize("connectivity", [4, 8])
    def test_kernel_average_point_by_point(self, connectivity, rng) -> None:
        operations = crystal("hexagonal").symmetry_quaternions()
        shape = (5, 6)
        labels = np.where(np.arange(6) < 3, 0, 1) * np.ones((5, 1), dtype=int)
        q = scattered(rng, random_quaternions(2, rng)[labels.ravel()], 2, 30)
        xmap = image_map(np.arange(30).reshape(shape), q, ["hexagonal"])
        grains = find_grains(xmap, connectivity=connectivity)
        found = grains.kernel_average_misorientation.reshape(shape)
        q = q.reshape(*shape, 4)
        for row, column in np.ndindex(shape):
            angles = [
                np.rad2deg(disorientation_angle(q[row, column], q[y, x], operations))
                for y, x in np.ndindex(shape)
                if labels[y, x] == labels[row, column]
                and 0 < (y - row) ** 2 + (x - column) ** 2 <= connectivity // 4
            ]
            np.testing.assert_allclose(found[row, column], np.mean(angles), atol=1e-5)

    def test_bent_grain(self) -> None:
        grains = find_grains(line_map(np.arange(0, 21)))
        assert len(grains) == 1
        expected = Rotation.from_axes_angles([0, 0, 1], 10, degrees=True)
        found = Rotation(grains.mean_rotations.data)
        assert found.angle_with(expected, degrees=True)[0] < 1e-6
        np.testing.assert_allclose(grains.max_misorientation, 10, atol=1e-5)
        np.testing.assert_allclose(grains.kernel_average_misorientation, 1, atol=1e-5)

    def test_table(self, tmp_path, rng) -> None:
        labels = np.array([[0, 0, 1, 1]] * 3)
        grains = find_grains(image_map(labels, random_quaternions(2, rng), step=(2.5, 2.5)))
        euler = Rotation.from_euler(
            np.stack([grains.table[n] for n in ("phi1", "Phi", "phi2")], axis=1), degrees=True
        )
        np.testing.assert_allclose(np.abs((euler.data * grains.mean_rotations.data).sum(1)), 1)
        path = grains.to_csv(tmp_path / "grains.csv")
        lines = path.read_text().splitlines()
        said = [line for line in lines if line.startswith("# ")]
        assert any("area in nm^2" in line for line in said)
        rows = list(csv.DictReader(lines[len(said) :]))
        assert list(rows[0]) == list(grains.table)
        for name in ("area", "phi1", "x"):
            column = [float(row[name]) for row in rows]
            np.testing.assert_allclose(column, grains.table[name], rtol=1e-7)
        assert [row["phase"] for row in rows] == ["Si", "Si"]
        assert [row["touches_edge"] for row in rows] == ["1", "1"]
        with pytest.raises(FileExistsError, match="exists already"):
            grains.to_csv(path)
        grains.to_csv(path, overwrite=True)
        with pytest.raises(ValueError, match=r"ends in \.csv"):
            grains.to_csv(tmp_path / "grains.txt")
        assert list(tmp_path.iterdir()) == [path]

    def test_dataframe(self) -> None:
        pandas = pytest.importorskip("pandas", reason="pandas is not installed")
        frame = find_grains(line_map([0, 1, 30])).to_dataframe()
        assert isinstance(frame, pandas.DataFrame)
        assert frame.shape == (2, 14)
        assert frame["points"].tolist() == [2, 1]

    def test_dataframe_without_pandas(self, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match="pip install pandas"):
            find_grains(line_map([0, 1, 30])).to_dataframe()


class TestGrid:
    def test_rounded_coordinates(self) -> None:
        x = np.round(np.arange(50) * 0.0019, 4)
        x[::2] += 1e-9
        grid = PointGrid.of(line_map(np.zeros(50), coordinates={"x": x}))
        np.testing.assert_array_equal(grid.column, np.arange(50))

    def test_chessboard_of_left_out_points_is_no_hexagonal_grid(self, rng) -> None:
        kept = np.indices((4, 4)).sum(axis=0) % 2 == 1
        xmap = image_map(
            np.zeros((4, 4), dtype=int), random_quaternions(1, rng), is_in_data=kept.ravel()
        )
        assert len(find_grains(xmap)) == 8
        assert len(find_grains(xmap, connectivity=8)) == 1

    def test_slice(self, rng) -> None:
        xmap = image_map(np.zeros((5, 6), dtype=int), random_quaternions(1, rng), step=(0.5, 2.0))
        grid = PointGrid.of(xmap[2:4, 1:5])
        assert (grid.origin, grid.step, grid.index.shape) == ((0.5, 4.0), (0.5, 2.0), (2, 4))

    def test_pairs_of_eight(self, rng) -> None:
        xmap = image_map(np.zeros((3, 4), dtype=int), random_quaternions(1, rng))
        grid = PointGrid.of(xmap)
        for connectivity, reach in ((4, 1), (8, 2)):
            pairs = {tuple(pair) for pair in grid.pairs(connectivity)}
            distance = (grid.row[:, None] - grid.row) ** 2 + (
                grid.column[:, None] - grid.column
            ) ** 2
            expected = {(i, j) for i, j in np.argwhere(distance <= reach) if i < j}
            assert pairs == expected
            assert len(grid.pairs(connectivity)) == len(expected)


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"threshold": 0}, "degrees"),
            ({"threshold": np.nan}, "threshold"),
            ({"connectivity": 6}, "expected one of 4, 8"),
            ({"group": "laue"}, "Did you mean 'Laue'"),
            ({"min_size": 0}, "number of points"),
            ({"small": "keep"}, "'drop', 'merge'"),
        ],
    )
    def test_wrong_arguments(self, arguments, match) -> None:
        with pytest.raises(ValueError, match=match):
            find_grains(line_map([0, 1]), **arguments)

    def test_list_of_maps(self) -> None:
        with pytest.raises(TypeError, match="one by one"):
            find_grains([line_map([0, 1])])

    def test_phase_without_point_group(self) -> None:
        xmap = line_map([0, 1])
        xmap.phases[0].space_group = xmap.phases[0].point_group = None
        with pytest.raises(ValueError, match=r"xmap\.phases\['Si'\]\.point_group"):
            find_grains(xmap)

    def test_all_left_out(self) -> None:
        xmap = line_map([0, 1], is_in_data=np.zeros(2, dtype=bool))
        with pytest.raises(ValueError, match="no points in the data"):
            find_grains(xmap)

    def test_hexagonal_grid(self) -> None:
        y, x = (values.ravel() for values in np.mgrid[:4, :5].astype(float))
        x = x + 0.5 * (y % 2)
        xmap = line_map(np.zeros(20), coordinates={"x": x, "y": 0.866 * y})
        with pytest.raises(ValueError, match="Hexagonal grids"):
            find_grains(xmap)


class TestRealMaps:
    def test_duplex_steel(self, test_data) -> None:
        xmap = io.load(test_data / "orientation_maps" / "sdss_ferrite_austenite.ang")
        grains = find_grains(xmap, min_size=5)
        assert 50 < len(grains) < 200
        assert grains.points.sum() > 0.98 * xmap.size
        assert set(grains.phase_id) == {1, 2}
        # Recrystallised: hardly any spread inside a grain.
        assert np.median(grains.orientation_spread) < 1
        labels = grains.labels.reshape(xmap.shape)
        pairs = grains.grid.pairs()
        laue = xmap.phases[1].point_group.laue
        first, second = (
            Orientation(xmap.rotations[pairs[:, i]].data, symmetry=laue) for i in (0, 1)
        )
        angles = first.angle_with(second, degrees=True)
        one_phase = xmap.phase_id[pairs[:, 0]] == xmap.phase_id[pairs[:, 1]]
        same = labels.ravel()[pairs[:, 0]] == labels.ravel()[pairs[:, 1]]
        inside = (labels.ravel()[pairs] >= 0).all(axis=1)
        assert same[one_phase & (angles < 4.999) & inside].all()

    def test_titanium(self, test_data) -> None:
        path = test_data / "orientation_maps" / "mtex_titanium.txt"
        phi1, capital_phi, phi2, x, y, grain = np.loadtxt(
            path, skiprows=1, usecols=(0, 1, 2, 7, 8, 9)
        ).T
        # The grid is hexagonal: every second row of it is a rectangular one.
        with pytest.raises(ValueError, match="Hexagonal grids"):
            find_grains(line_map(np.zeros(len(x)), coordinates={"x": x, "y": y}))
        kept = np.isin(y, np.unique(y)[::2])
        x, y, grain = x[kept], y[kept], grain[kept]
        euler = np.stack([phi1, capital_phi, phi2], axis=1)[kept]
        q = Rotation.from_euler(euler, degrees=True).data
        coordinates = {"x": x, "y": y, "scan_unit": "um"}
        xmap = build_crystal_map(
            q, np.zeros(len(q), dtype=int), [crystal("hexagonal")], coordinates=coordinates
        )
        labels = find_grains(xmap, 10.0).labels
        # The grains that came with the file, found by another program.
        pairs = PointGrid.of(xmap).pairs()
        ours, theirs = (v[pairs[:, 0]] == v[pairs[:, 1]] for v in (labels, grain))
        assert (ours == theirs).mean() > 0.995
