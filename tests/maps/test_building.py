"""Crystal maps are built in one place, with one meaning of what is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hyperspy.axes import UniformDataAxis
from orix import io

from pyxem_cnn.maps.building import build_crystal_map, coordinates_of_axes, with_properties
from pyxem_cnn.rotations import random_quaternions
from tests._crystals import crystal

LINIO2, SILICON = crystal("trigonal"), crystal("cubic")


def quaternions(*shape, seed=0):
    n = int(np.prod(shape))
    return random_quaternions(n, np.random.default_rng(seed)).reshape(*shape, 4)


def ids(*shape, value=0):
    return np.full(shape, value)


class TestBuild:
    def test_plain(self):
        q = quaternions(6)
        xmap = build_crystal_map(q, ids(6), [LINIO2])
        assert xmap.rotations_per_point == 1
        np.testing.assert_allclose(xmap.rotations.data, q, atol=1e-12)
        assert xmap.phases[0].name == "LiNiO2"
        assert (xmap.frame, xmap.group) == ("detector", "Laue")
        np.testing.assert_array_equal(xmap.x, np.arange(6))
        assert not xmap.prop

    def test_several_orientations_and_phases(self):
        q, phase = quaternions(4, 3), np.array([[0, 1, 0], [1, 0, -1], [-1, -1, -1], [0, 0, 1]])
        q[1, 2] = np.nan
        q[2] = np.nan
        scores = np.arange(12.0).reshape(4, 3)
        xmap = build_crystal_map(q, phase, [LINIO2, SILICON], prop={"scores": scores})
        np.testing.assert_array_equal(xmap.phase_id, [0, 1, -1, 0])
        np.testing.assert_array_equal(xmap.prop["phase_ids"], phase)
        np.testing.assert_array_equal(xmap.prop["scores"], scores)
        np.testing.assert_array_equal(xmap._rotations.data[2], [[1, 0, 0, 0]] * 3)
        np.testing.assert_array_equal(xmap._rotations.data[1, 2], [1, 0, 0, 0])
        np.testing.assert_allclose(xmap._rotations.data[0], q[0])
        assert xmap["Si"].size == 1
        assert "not_indexed" in xmap.phases.names

    def test_one_best_is_squeezed(self):
        xmap = build_crystal_map(
            quaternions(4, 1), ids(4, 1), [LINIO2], prop={"scores": np.ones((4, 1))}
        )
        assert xmap.prop["scores"].shape == (4,)
        assert xmap.rotations.shape == (4,)

    def test_arguments_are_not_changed(self):
        q = quaternions(3)
        q[1] = np.nan
        prop = {}
        build_crystal_map(q, ids(3), [LINIO2, SILICON], prop=prop)
        assert np.isnan(q[1]).all()
        assert prop == {}

    def test_one_phase_id_for_all_orientations_of_a_point(self):
        xmap = build_crystal_map(quaternions(3, 2), np.array([0, 1, -1]), [LINIO2, SILICON])
        np.testing.assert_array_equal(xmap.prop["phase_ids"], [[0, 0], [1, 1], [-1, -1]])

    def test_phases_of_orix(self):
        xmap = build_crystal_map(quaternions(2), ids(2), [SILICON.to_phase()])
        assert xmap.phases[0].point_group.name == "m-3m"

    def test_phases_have_different_colours(self):
        green, blue = SILICON.to_phase(), LINIO2.to_phase()
        green.color = "tab:green"
        phases = [LINIO2, green, blue, SILICON, SILICON]
        xmap = build_crystal_map(quaternions(5), np.arange(5), phases)
        colors = ["tab:blue", "tab:green", "tab:orange", "tab:red", "tab:purple"]
        assert xmap.phases.colors == colors
        assert blue.color == "tab:blue"  # what was given stays as it is

    def test_points_out_of_the_data(self):
        xmap = build_crystal_map(
            quaternions(3), ids(3), [LINIO2], is_in_data=np.array([True, False, True])
        )
        assert xmap.size == 2

    def test_frame_and_group_stay_with_slices(self):
        xmap = build_crystal_map(quaternions(4), ids(4), [LINIO2], frame="scan", group="point")
        part = xmap[1:3]
        assert (part.frame, part.group) == ("scan", "point")

    def test_through_a_file(self, tmp_path):
        q = quaternions(4, 2)
        coordinates = {"x": np.tile([0.0, 1.5], 2), "y": np.repeat([0.0, 2.0], 2)}
        xmap = build_crystal_map(q, ids(4, 2), [SILICON], coordinates=coordinates)
        assert xmap.shape == (2, 2)
        io.save(str(tmp_path / "map.h5"), xmap)
        again = io.load(str(tmp_path / "map.h5"))
        np.testing.assert_allclose(abs((again._rotations.data * q).sum(-1)), 1, atol=1e-6)
        assert again.dy == 2.0


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "error", "match"),
        [
            ({"quaternions": np.ones((3, 3))}, ValueError, "quaternions"),
            ({"phase_ids": np.zeros(3)}, TypeError, "whole numbers"),
            ({"phase_ids": ids(4)}, ValueError, "phase_ids"),
            ({"phase_ids": ids(3, value=1)}, ValueError, "one of 1 phases"),
            ({"phase_ids": ids(3, value=-2)}, ValueError, "got -2"),
            ({"phases": ["Si"]}, TypeError, "CrystalStructure or Phase"),
            ({"prop": {"scores": np.ones(2)}}, ValueError, "scores"),
            ({"is_in_data": np.ones(2, dtype=bool)}, ValueError, "is_in_data"),
            ({"frame": "sample"}, ValueError, "detector"),
            ({"group": "laue"}, ValueError, "Did you mean 'Laue'"),
        ],
    )
    def test_wrong_arguments(self, change, error, match):
        arguments = {"quaternions": quaternions(3), "phase_ids": ids(3), "phases": [SILICON]}
        with pytest.raises(error, match=match):
            build_crystal_map(**(arguments | change))


class TestCoordinates:
    def axis(self, size, scale, offset, units):
        return UniformDataAxis(size=size, scale=scale, offset=offset, units=units)

    def test_two_axes(self):
        axes = (self.axis(3, 0.5, 10, "nm"), self.axis(2, 2, -1, "nm"))
        found = coordinates_of_axes(axes)
        np.testing.assert_allclose(found["x"], [10, 10.5, 11] * 2)
        np.testing.assert_allclose(found["y"], [-1, -1, -1, 1, 1, 1])
        assert found["scan_unit"] == "nm"

    def test_one_axis(self):
        found = coordinates_of_axes((self.axis(3, 0.5, 10, None),))
        np.testing.assert_allclose(found["x"], [10, 10.5, 11])
        assert found["scan_unit"] == "px"
        assert "y" not in found

    def test_no_axis(self):
        assert coordinates_of_axes(())["x"].tolist() == [0.0]


class TestWithProperties:
    def test_left_out_points_get_nothing(self):
        inside = np.array([True, False, True, True])
        xmap = build_crystal_map(
            quaternions(4, 2), ids(4), [SILICON], prop={"scores": np.ones((4, 2))},
            is_in_data=inside, frame="scan",
        )  # fmt: skip
        values = {"angle": np.arange(6.0).reshape(3, 2), "axis": np.ones((3, 2, 3), np.int8)}
        result = with_properties(xmap, values)
        np.testing.assert_array_equal(result.prop["angle"], values["angle"])
        whole = {name: dict.__getitem__(result.prop, name) for name in values}
        assert np.isnan(whole["angle"][1]).all()
        assert not whole["axis"][1].any()
        assert whole["axis"].dtype == np.int8
        assert (result.frame, result.group) == ("scan", "Laue")

    def test_given_map_stays_as_it_is(self):
        xmap = build_crystal_map(quaternions(4), ids(4), [SILICON], prop={"scores": np.ones(4)})
        result = with_properties(xmap, {"scores": np.zeros(4), "new": np.zeros(4)})
        result[:2].prop["new"] = 1.0
        assert list(xmap.prop) == ["scores"]
        assert xmap.prop["scores"].all()
        assert not result.prop["scores"].any()
        np.testing.assert_array_equal(result.rotations.data, xmap.rotations.data)
