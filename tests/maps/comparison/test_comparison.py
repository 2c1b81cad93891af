"""Comparison of maps: every cause planted and found, the truth counted, nothing lost in files."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest
from orix import io

from pyxem_cnn.maps.comparison.compare import compare_crystal_maps
from pyxem_cnn.maps.files.crystal_axes import CRYSTAL_AXES, with_crystal_axes
from pyxem_cnn.rotations import (
    about_z,
    from_rotation_vector,
    multiply,
    random_quaternions,
    with_zone_axis,
)
from tests._crystals import NAMES, crystal
from tests._maps import grain_orientations, grid_map

SHAPE = (8, 9)


def turned(q, degrees):
    """Return orientations turned about an axis that is none of the crystal's."""
    axis = np.array([0.3, -0.5, 0.81])
    return multiply(q, from_rotation_vector(np.deg2rad(degrees) * axis / np.linalg.norm(axis)))


@pytest.fixture
def planted(rng):
    """Arguments of two maps of three grains with one point of every cause, by its cause.

    The first grain is near [123], where half a turn about it gives the same pattern.
    """
    axis = np.array([1.0, 2, 3]) / np.sqrt(14)
    near_zone = multiply(with_zone_axis(axis), about_z(np.array([0.7])))
    first = grain_orientations(np.concatenate([near_zone, random_quaternions(2, rng)]), SHAPE)
    second = turned(first, 0.4)
    points = {
        "twin": (2, 1),
        "unexplained": (4, 1),
        "neighbour grain": (1, 3),
        "phase": (6, 7),
        "not indexed in a": (0, 0),
        "not indexed in b": (0, 8),
        "not indexed in both": (7, 8),
        "left out": (7, 0),
    }
    second[2, 1] = multiply(np.concatenate([[0], axis]), first[2, 1])
    second[4, 1] = turned(first[4, 1], 25)
    second[1, 3] = first[1, 2]
    ids = {"a": np.zeros(SHAPE), "b": np.zeros(SHAPE)}
    ids["a"][0, 0] = ids["b"][0, 8] = ids["a"][7, 8] = ids["b"][7, 8] = -1
    ids["b"][6, 7] = 1
    in_data = np.ones(SHAPE, dtype=bool)
    in_data[7, 0] = False
    a = grid_map(first, phase_ids=ids["a"])
    b = grid_map(second, ["cubic", "trigonal"], phase_ids=ids["b"], is_in_data=in_data.ravel())
    return a, b, points


def test_every_cause_is_found(planted) -> None:
    a, b, points = planted
    comparison = compare_crystal_maps(a, b, accelerating_voltage=200)
    expected = np.full(SHAPE, "agrees", dtype="<U30")
    for cause, point in points.items():
        expected[point] = cause
    np.testing.assert_array_equal(comparison.cause, expected)
    assert comparison.causes == {"agrees": 64} | dict.fromkeys(sorted(points), 1)
    assert sum(comparison.causes.values()) == 72


def test_values_at_every_point(planted) -> None:
    a, b, points = planted
    comparison = compare_crystal_maps(a, b, accelerating_voltage=200)
    degrees, modulo = comparison.misorientation, comparison.misorientation_modulo_twins
    for cause in ("not indexed in a", "not indexed in b", "not indexed in both", "left out"):
        assert np.isnan(degrees[points[cause]])
        assert np.isnan(modulo[points[cause]])
    assert degrees[points["phase"]] == modulo[points["phase"]] == np.inf
    np.testing.assert_allclose(degrees[points["unexplained"]], 25, atol=1e-4)
    assert degrees[points["twin"]] > 20
    assert modulo[points["twin"]] == 0
    agrees = comparison.cause == "agrees"
    np.testing.assert_allclose(degrees[agrees], 0.4, atol=1e-4)
    np.testing.assert_array_equal(degrees[agrees], modulo[agrees])
    assert comparison.agreement.n == 68
    np.testing.assert_allclose(comparison.agreement.within_5, 100 * 64 / 68)
    np.testing.assert_allclose(comparison.agreement_modulo_twins.within_5, 100 * 65 / 68)


def test_twins_are_not_looked_for_unasked(planted) -> None:
    a, b, points = planted
    comparison = compare_crystal_maps(a, b)
    assert comparison.misorientation_modulo_twins is None
    assert comparison.agreement_modulo_twins is None
    assert comparison.cause[points["twin"]] == "unexplained"
    assert "twins were not looked for" in comparison.summary()


def test_maps_can_be_swapped(planted) -> None:
    a, b, points = planted
    comparison = compare_crystal_maps(b, a, accelerating_voltage=200, names=("b", "a"))
    for cause, point in points.items():
        assert comparison.cause[point] == cause


@pytest.mark.parametrize("name", [*NAMES, "gaas"])
@pytest.mark.parametrize("group", ["Laue", "point"])
def test_equivalent_orientations_agree_in_the_group(name, group, rng) -> None:
    q = random_quaternions(30, rng)
    symmetry = crystal(name).symmetry_quaternions(polarity=group == "point")
    other = multiply(symmetry[rng.integers(0, len(symmetry), 30)], q)
    maps = [grid_map(x.reshape(5, 6, 4), [name]) for x in (q, other)]
    comparison = compare_crystal_maps(*maps, group=group)
    assert comparison.misorientation.max() < 1e-4
    assert f"{group} group" in comparison.summary()


def test_polarity_is_told_by_the_point_group_only(rng) -> None:
    q = random_quaternions(30, rng).reshape(5, 6, 4)
    quarter = from_rotation_vector(np.array([0, 0, np.pi / 2]))  # in 432, not in 23
    maps = [grid_map(x, ["gaas"]) for x in (q, multiply(quarter, q))]
    assert compare_crystal_maps(*maps).misorientation.max() < 1e-4
    np.testing.assert_allclose(compare_crystal_maps(*maps, group="point").misorientation, 90)
    for xmap in maps:
        xmap.group = "point"  # as the maps say
    np.testing.assert_allclose(compare_crystal_maps(*maps).misorientation, 90)
    maps[1].group = "Laue"
    assert compare_crystal_maps(*maps).group == "Laue"


def test_names_of_phases_do_not_count(rng) -> None:
    q = random_quaternions(30, rng).reshape(5, 6, 4)
    a, b = grid_map(q), grid_map(q)
    b.phases[0].name = "silicon"
    comparison = compare_crystal_maps(a, b)
    assert comparison.agreement.within_1 == 100
    assert [phase.name for phase in comparison.phases] == ["Si"]


def test_wrong_at_one_point_inside_of_a_grain_is_no_boundary(rng) -> None:
    q = grain_orientations(random_quaternions(3, rng), SHAPE)
    wrong = q.copy()
    wrong[4, 4] = random_quaternions(1, rng)[0]
    for a, b in ((q, wrong), (wrong, q)):
        assert compare_crystal_maps(grid_map(a), grid_map(b)).cause[4, 4] == "unexplained"


def test_scatter_within_a_grain_is_no_boundary(rng) -> None:
    q = np.tile(random_quaternions(1, rng), (8, 9, 1))
    scattered = turned(q, 0)
    scattered[::2, ::2] = turned(q, 7)[::2, ::2]
    other = turned(q, 0)
    other[1::2, ::2] = turned(q, 7)[1::2, ::2]
    causes = compare_crystal_maps(grid_map(scattered), grid_map(other)).causes
    assert causes == {"unexplained": 40, "agrees": 32}


def test_boundary_one_column_further_on(rng) -> None:
    grains = random_quaternions(2, rng)
    a, b = (grains[(np.arange(9) >= edge).astype(int)][None].repeat(8, 0) for edge in (4, 5))
    comparison = compare_crystal_maps(grid_map(a), grid_map(b))
    assert comparison.causes == {"agrees": 64, "neighbour grain": 8}
    assert np.all(comparison.cause[:, 4] == "neighbour grain")


def test_which_map_is_right(rng) -> None:
    q = grain_orientations(random_quaternions(3, rng), (3, 4))
    a, b = q.copy(), q.copy()
    ids = np.zeros((3, 4))
    a[0, 1], b[0, 2] = turned(q[0, 1], 20), turned(q[0, 2], 20)
    a[0, 3], b[0, 3] = turned(q[0, 3], 20), turned(q[0, 3], 20)
    ids[2, 0] = -1
    truth_ids = np.zeros((3, 4))
    truth_ids[1, 1] = -1
    truth = grid_map(q, phase_ids=truth_ids)
    comparison = compare_crystal_maps(grid_map(a), grid_map(b, phase_ids=ids), truth)
    expected = np.full((3, 4), "both", dtype="<U7")
    expected[0, 1:] = ["b only", "a only", "neither"]
    expected[2, 0], expected[1, 1] = "a only", "unknown"
    np.testing.assert_array_equal(comparison.right, expected)
    # Both are wrong in the same way: they agree.
    assert comparison.cause[0, 3] == "agrees"
    assert comparison.figures["a - truth"].n == 11
    assert comparison.figures["b - truth"].n == 10
    np.testing.assert_allclose(comparison.errors["a"][0, 1], 20, atol=1e-4)
    assert "of the truth, twins not counted, of 11 points" in comparison.summary()


@pytest.mark.parametrize("name", NAMES)
def test_rotated_frame_is_found_out(name, rng) -> None:
    q = grain_orientations(random_quaternions(3, rng), SHAPE)
    about_x = np.array([0.0, 1, 0, 0])
    comparison = compare_crystal_maps(grid_map(q, [name]), grid_map(multiply(q, about_x), [name]))
    assert comparison.agreement.within_5 < 50
    np.testing.assert_allclose(comparison.lab_rotation.degrees, 180, atol=1e-3)
    np.testing.assert_allclose(comparison.lab_rotation.axis, [1, 0, 0], atol=1e-4)
    assert "180.0 deg about [1.00, 0.00, 0.00]" in comparison.summary()


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ((slice(None, None, -1), slice(None)), "with its rows in the opposite order"),
        ((slice(None), slice(None, None, -1)), "with its columns in the opposite order"),
    ],
)
def test_flipped_scan_is_found_out(view, words, rng) -> None:
    q = random_quaternions(30, rng).reshape(5, 6, 4)
    comparison = compare_crystal_maps(grid_map(q), grid_map(q[view]))
    assert comparison.lab_rotation is None
    assert words in comparison.notes[-1]


@pytest.mark.parametrize("swapped", [False, True])
def test_other_crystal_axes_are_found_out(rng, swapped) -> None:
    q = random_quaternions(30, rng).reshape(5, 6, 4)
    a = grid_map(q, ["hexagonal"])
    maps = [a, with_crystal_axes(a, CRYSTAL_AXES[1])]
    comparison = compare_crystal_maps(*maps[:: -1 if swapped else 1], names=("one", "two"))
    name = "one" if swapped else "two"
    # 30 degrees about c either way are one in 6/mmm: the first way is told.
    assert "is read with crystal_axes='x||a*, z||c'" in comparison.notes[-1]
    trigonal = grid_map(q, ["trigonal"])
    maps = [trigonal, with_crystal_axes(trigonal, CRYSTAL_AXES[1])]
    comparison = compare_crystal_maps(*maps[:: -1 if swapped else 1], names=("one", "two"))
    assert f"if {name} is read with crystal_axes" in comparison.notes[-1]


def test_maps_that_agree_have_no_such_notes(planted) -> None:
    a, b, _ = planted
    comparison = compare_crystal_maps(a, b)
    assert comparison.lab_rotation is None
    assert comparison.notes == ()


def test_cropped_map_and_file(planted, tmp_path) -> None:
    a, _, _ = planted
    io.save(str(tmp_path / "map.h5"), a)
    comparison = compare_crystal_maps(a[2:6, 1:8], tmp_path / "map.h5")
    assert comparison.shape == (4, 7)
    assert comparison.agreement.within_1 == 100
    np.testing.assert_allclose(comparison.shared.x[0], 2.5)
    np.testing.assert_allclose(comparison.shared.y[0], 5.0)


def test_best_of_several_orientations_counts(rng) -> None:
    q = random_quaternions(20, rng).reshape(4, 5, 4)
    several = np.stack([q, random_quaternions(20, rng).reshape(4, 5, 4)], axis=2)
    from pyxem_cnn.maps.building import build_crystal_map

    y, x = np.mgrid[:4, :5] * 2.5
    coordinates = {"x": x.ravel(), "y": y.ravel(), "scan_unit": "nm"}
    b = build_crystal_map(
        several.reshape(20, 2, 4),
        np.zeros(20, dtype=int),
        [crystal("cubic")],
        coordinates=coordinates,
    )
    assert compare_crystal_maps(grid_map(q), b).misorientation.max() < 1e-4


def test_grains_and_table_and_file(planted, tmp_path) -> None:
    a, b, points = planted
    labels = np.tile(np.arange(9) // 3, (8, 1))
    comparison = compare_crystal_maps(a, b, a, accelerating_voltage=200, grains=labels)
    assert comparison.grains["points"].tolist() == [24, 24, 24]
    assert comparison.grains["compared"].tolist() == [22, 24, 22]
    table = comparison.table
    assert {len(values) for values in table.values()} == {72}
    np.testing.assert_array_equal(table["cause"], comparison.cause.ravel())
    assert table["phase_b"][6 * 9 + 7] == "LiNiO2"
    assert table["phase_b"][7 * 9] == "left out"
    assert table["phase_a"][0] == "not indexed"

    path = comparison.save(tmp_path / "comparison.csv")
    lines = path.read_text().splitlines()
    head = [line[2:] for line in lines if line.startswith("#")]
    assert head[: len(comparison.summary().splitlines())] == comparison.summary().splitlines()
    figures = json.loads(head[-1].removeprefix("figures: "))
    assert figures["causes"] == comparison.causes
    assert figures["agreement"]["a - b"]["n"] == 68
    assert figures["right"]["both"] == int(np.sum(comparison.right == "both"))
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert list(rows[0]) == list(table)
    row = rows[4 * 9 + 1]
    assert row["cause"] == "unexplained"
    np.testing.assert_allclose(float(row["misorientation"]), 25, atol=1e-4)
    assert rows[0]["misorientation"] == ""
    with pytest.raises(FileExistsError, match="exists already"):
        comparison.save(path)
    comparison.save(path, overwrite=True)


def test_dataframe(planted, monkeypatch) -> None:
    a, b, _ = planted
    comparison = compare_crystal_maps(a, b)

    class Pandas:
        DataFrame = staticmethod(dict)

    monkeypatch.setitem(sys.modules, "pandas", Pandas())
    assert list(comparison.to_dataframe()) == list(comparison.table)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        comparison.to_dataframe()


def test_repr_and_summary(planted) -> None:
    a, b, _ = planted
    comparison = compare_crystal_maps(a, b, accelerating_voltage=200, names=("net", "templates"))
    assert "net and templates: 68 of 72 points indexed in both" in repr(comparison)
    assert "95.6 % modulo twins" in repr(comparison)
    summary = comparison.summary()
    for words in ("Laue group m-3m (Si), -3m (LiNiO2)", "200 kV", "not indexed in templates"):
        assert words in summary
    assert max(len(line) for line in summary.splitlines()) < 120


def test_phase_without_atoms_is_noted(planted) -> None:
    a, b, points = planted
    for xmap in (a, b):
        xmap.phases[0].structure.clear()
    comparison = compare_crystal_maps(a, b, accelerating_voltage=200)
    assert comparison.cause[points["twin"]] == "unexplained"
    assert "no map holds the atoms of Si" in comparison.notes[0]


def test_maps_with_nothing_in_common(rng) -> None:
    q = random_quaternions(20, rng).reshape(4, 5, 4)
    comparison = compare_crystal_maps(grid_map(q), grid_map(q, phase_ids=-1))
    assert comparison.agreement.n == 0
    assert comparison.causes == {"not indexed in b": 20}
    assert "-" in comparison.summary()
    other = compare_crystal_maps(grid_map(q), grid_map(q, ["trigonal"]))
    assert other.causes == {"phase": 20}
    assert other.agreement.median == np.inf


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": 0}, "tolerance"),
        ({"group": "laue"}, "Did you mean 'Laue'"),
        ({"accelerating_voltage": -200}, "kV"),
        ({"accelerating_voltage": 200_000}, "accelerating_voltage: got 200000, .* in kV, not in V"),
        ({"names": ("a", "a")}, "two different texts"),
    ],
)
def test_wrong_arguments(planted, arguments, message) -> None:
    a, b, _ = planted
    with pytest.raises(ValueError, match=message):
        compare_crystal_maps(a, b, **arguments)


def test_truth_is_a_name_like_others_where_there_is_none(planted) -> None:
    a, b, _ = planted
    comparison = compare_crystal_maps(a, b, names=("a", "truth"))
    assert comparison.right is None
    assert list(comparison.figures) == ["a - truth"]
    with pytest.raises(ValueError, match="not 'truth'"):
        compare_crystal_maps(a, b, a, names=("a", "truth"))


def test_phase_without_point_group_is_refused(planted) -> None:
    a, b, _ = planted
    b.phases[0].space_group = None
    b.phases[0].point_group = None
    with pytest.raises(ValueError, match="Point group of phase 'Si' in b"):
        compare_crystal_maps(a, b)
