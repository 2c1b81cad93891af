"""Saved crystal maps: read back by orix they are the same, and nothing is lost by accident."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
from orix import io
from orix.quaternion import Rotation

from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.maps.files.crystal_axes import with_crystal_axes
from pyxem_cnn.maps.files.export import SUFFIXES, check_map_path, save_crystal_map
from pyxem_cnn.rotations import angle_between, multiply, random_quaternions, to_matrix
from tests._crystals import NAMES, crystal
from tests.fixtures_model import SILICON, ZIRCONIA, crystal_map

PHASES = {"one": [SILICON], "two": [SILICON, ZIRCONIA]}


def best(xmap) -> np.ndarray:
    """Return the best orientation of every point, left-out ones included, (points, 4)."""
    return xmap._rotations.data.reshape(xmap.is_in_data.size, -1, 4)[:, 0]


def assert_same_orientations(first, second, where) -> None:
    cosine = np.abs((best(first) * best(second)).sum(-1))[where]
    assert np.rad2deg(2 * np.arccos(cosine.clip(max=1))).max() < 1e-3


def names(xmap) -> list[str]:
    """Return the name of the phase of every point."""
    return [xmap.phases[int(i)].name if i >= 0 else "" for i in xmap._phase_id]


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (1, 5)])
@pytest.mark.parametrize("phases", ["one", "two"])
@pytest.mark.filterwarnings("ignore:Files keep only the name")
def test_h5_keeps_everything(tmp_path: Path, rng, shape, n_best, phases) -> None:
    xmap = crystal_map(shape, PHASES[phases], rng, n_best)
    path = save_crystal_map(xmap, tmp_path / "map.h5")
    loaded = io.load(path)
    assert loaded.shape == xmap.shape
    assert loaded.scan_unit == "nm"
    assert loaded.rotations_per_point == n_best
    np.testing.assert_array_equal(loaded.is_in_data, xmap.is_in_data)
    np.testing.assert_array_equal(loaded._phase_id, xmap._phase_id)
    assert names(loaded) == names(xmap)
    assert_same_orientations(loaded, xmap, xmap._phase_id >= 0)
    np.testing.assert_allclose(np.abs((loaded._rotations.data * xmap._rotations.data).sum(-1)), 1)
    assert set(loaded.prop) == set(xmap.prop)
    for name in xmap.prop:
        np.testing.assert_array_equal(loaded.prop[name], xmap.prop[name])


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (1, 5)])
@pytest.mark.parametrize("phases", ["one", "two"])
def test_ang_keeps_the_best(tmp_path: Path, rng, shape, n_best, phases) -> None:
    xmap = crystal_map(shape, PHASES[phases], rng, n_best)
    path = save_crystal_map(xmap, tmp_path / "map.ang")
    loaded = io.load(path)
    indexed = xmap._phase_id >= 0
    # Left-out points are not indexed, too.
    np.testing.assert_array_equal(loaded._phase_id >= 0, indexed)
    assert names(loaded) == names(xmap)
    assert_same_orientations(loaded, xmap, indexed)
    np.testing.assert_allclose(loaded.dx, 2.5)
    scores, reliability = np.zeros((2, indexed.size))
    scores[xmap.is_in_data] = np.asarray(xmap.prop["scores"]).reshape(xmap.size, -1)[:, 0]
    reliability[xmap.is_in_data] = xmap.prop["reliability"]
    np.testing.assert_allclose(loaded.prop["ci"][indexed], scores[indexed], atol=1e-5)
    np.testing.assert_allclose(loaded.prop["reliability"][indexed], reliability[indexed], atol=1e-5)


def test_columns_of_ang_without_the_help_of_orix(tmp_path: Path, rng) -> None:
    from scipy.spatial.transform import Rotation

    xmap = crystal_map((3, 4), [SILICON], rng)
    rows = np.loadtxt(save_crystal_map(xmap, tmp_path / "map.ang"), comments="#")
    assert rows.shape[0] == 12
    np.testing.assert_allclose(rows[:, 3], np.tile(2.5 * np.arange(4), 3))
    np.testing.assert_allclose(rows[:, 4], np.repeat(2.5 * np.arange(3), 4))
    # Bunge angles take the sample to the crystal: turns about z, x', z'' of the axes.
    turned = Rotation.from_euler("ZXZ", rows[3, :3]).inv().as_matrix()
    q = xmap._rotations.data[3]
    np.testing.assert_allclose(turned, Rotation.from_quat(np.roll(q, -1)).as_matrix(), atol=1e-4)


def test_slice_of_a_map(tmp_path: Path, rng) -> None:
    xmap = crystal_map((5, 6), [SILICON], rng, special=False)
    part = xmap[1:4, 2:5]
    loaded = io.load(save_crystal_map(part, tmp_path / "part.ang"))
    assert loaded.shape == (3, 3)
    expected = best(xmap).reshape(5, 6, 4)[1:4, 2:5].reshape(-1, 4)
    np.testing.assert_allclose(np.abs((best(loaded) * expected).sum(-1)), 1, atol=1e-9)


def test_score_missing_at_an_indexed_point(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng)
    xmap.prop["reliability"] = np.full(xmap.size, np.nan)
    loaded = io.load(save_crystal_map(xmap, tmp_path / "map.ang"))
    np.testing.assert_array_equal(loaded.prop["reliability"], 0)
    assert np.isnan(xmap.prop["reliability"]).all()  # the map itself is left alone


def test_boolean_property(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng, special=False)
    xmap.prop["boundary"] = np.arange(12) % 3 == 0
    for suffix in (".ang", ".h5"):
        loaded = io.load(save_crystal_map(xmap, tmp_path / f"map{suffix}"))
        np.testing.assert_array_equal(loaded.prop["boundary"], np.arange(12) % 3 == 0)


def test_monoclinic_axes_are_warned_of(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [ZIRCONIA], rng)
    with pytest.warns(UserWarning, match="point_group = model.phase.point_group"):
        path = save_crystal_map(xmap, tmp_path / "map.h5")
    loaded = io.load(path)
    ours = ZIRCONIA.to_phase().point_group
    assert not np.allclose(
        np.sort(loaded.phases["ZrO2"].point_group.data, 0), np.sort(ours.data, 0)
    )
    loaded.phases["ZrO2"].point_group = ours  # what the warning says
    assert loaded.phases["ZrO2"].point_group is ours
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        # .ang files put the axis along b themselves.
        path = save_crystal_map(xmap, tmp_path / "map.ang")
    axis = io.load(path).phases["ZrO2"].point_group.axis.data[1]
    np.testing.assert_allclose(np.abs(axis), [0, 1, 0])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_existing_file_is_kept(tmp_path: Path, rng, suffix) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng)
    path = tmp_path / f"map{suffix}"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="exists already"):
        save_crystal_map(xmap, path)
    assert path.read_text() == "precious"
    save_crystal_map(xmap, path, overwrite=True)
    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_the_old_file(tmp_path: Path, rng, monkeypatch) -> None:
    path = tmp_path / "map.h5"
    path.write_text("precious")

    def fail(filename: str, *_: object, **__: object) -> None:
        Path(filename).write_text("half of it")
        raise OSError("disk full")

    monkeypatch.setattr(io, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_crystal_map(crystal_map((3, 4), [SILICON], rng), path, overwrite=True)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".ang", ".h5", ".ctf"])
def test_single_point_is_refused(tmp_path: Path, rng, suffix) -> None:
    with pytest.raises(ValueError, match="single point"):
        save_crystal_map(crystal_map((), [SILICON], rng, special=False), tmp_path / f"map{suffix}")


def test_what_ang_cannot_hold_is_refused(tmp_path: Path, rng) -> None:
    with pytest.raises(ValueError, match=r"several columns for \.ang\. Use \.h5"):
        save_crystal_map(crystal_map((5, 1), [SILICON], rng), tmp_path / "map.ang")
    save_crystal_map(crystal_map((5, 1), [SILICON], rng), tmp_path / "map.h5")
    assert io.load(tmp_path / "map.h5").size == 4  # and one that was left out
    nothing = crystal_map((3, 4), [SILICON], rng)
    nothing.phase_id = -1
    with pytest.raises(ValueError, match="no indexed point"):
        save_crystal_map(nothing, tmp_path / "map.ang")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("map.txt", ValueError, r"ends in \.h5, \.ang, \.ctf or \.csv"),
        ("map", ValueError, "ends in"),
        ("no/map.ang", FileNotFoundError, "Make it first"),
        ("folder.h5", FileExistsError, "is a folder"),
    ],
)
def test_paths_that_are_refused(tmp_path: Path, name, error, message) -> None:
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(error, match=message):
        check_map_path(tmp_path / name, overwrite=True)


def test_list_of_maps_is_refused(tmp_path: Path, rng) -> None:
    with pytest.raises(TypeError, match="one by one"):
        save_crystal_map([crystal_map((3, 4), [SILICON], rng)], tmp_path / "map.h5")


@pytest.mark.parametrize("suffix", [".ang", ".ctf"])
def test_single_point_of_a_larger_map_is_refused(tmp_path: Path, rng, suffix) -> None:
    point = crystal_map((3, 4), [SILICON], rng, special=False)[1, 1]
    with pytest.raises(ValueError, match="single point"):
        save_crystal_map(point, tmp_path / f"map{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_map_without_points_is_refused(tmp_path: Path, rng, suffix) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng)
    xmap.is_in_data = np.zeros(12, dtype=bool)
    with pytest.raises(ValueError, match="no points in the data"):
        save_crystal_map(xmap, tmp_path / f"map{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".ang", ".h5", ".ctf"])
@pytest.mark.parametrize("name", [n for n in NAMES if n != "monoclinic"])
def test_every_crystal_system_comes_back(tmp_path: Path, rng, suffix, name) -> None:
    xmap = crystal_map((3, 4), [crystal(name)], rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = io.load(save_crystal_map(xmap, tmp_path / f"map{suffix}"))
    assert_same_orientations(loaded, xmap, xmap._phase_id >= 0)
    ours, theirs = (m.phases[crystal(name).name] for m in (xmap, loaded))
    np.testing.assert_allclose(
        ours.structure.lattice.abcABG(), theirs.structure.lattice.abcABG(), atol=5e-4
    )
    # The very same rotations, in the same setting.
    groups = [phase.point_group.laue.proper_subgroup for phase in (ours, theirs)]
    overlap = np.abs(groups[0].data @ groups[1].data.T)
    np.testing.assert_allclose(overlap.max(axis=0), 1)
    np.testing.assert_allclose(overlap.max(axis=1), 1)


def read_csv(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return header lines and columns of a table; NaN for empty fields."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header = [line for line in lines if line.startswith("# ")]
    rows = list(csv.DictReader(lines[len(header) :]))
    columns = {}
    for name in rows[0]:
        texts = [row[name] for row in rows]
        try:
            columns[name] = np.array([float(t) if t else np.nan for t in texts])
        except ValueError:
            columns[name] = np.array(texts)
    return header, columns


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (5, 1)])
@pytest.mark.parametrize("phases", ["one", "two"])
def test_csv_keeps_everything(tmp_path: Path, rng, shape, n_best, phases) -> None:
    xmap = crystal_map(shape, PHASES[phases], rng, n_best)
    header, columns = read_csv(save_crystal_map(xmap, tmp_path / "map.csv"))
    for word in ("degrees", "lab to crystal", "y up", "x||a, z||c*", "in nm", "Laue", "Phase 0"):
        assert any(word in line for line in header), word
    n = xmap.is_in_data.size
    assert len(columns["x"]) == n
    np.testing.assert_array_equal(columns["is_in_data"], xmap.is_in_data)
    np.testing.assert_array_equal(columns["phase_id"], xmap._phase_id)
    assert [p if i >= 0 else "" for p, i in zip(columns["phase"], xmap._phase_id, strict=True)] == (
        names(xmap)
    )
    step = {"x": (xmap._x, columns["x"]), "y": (xmap._y, columns["y"])}
    for ours, found in step.values():
        np.testing.assert_allclose(found, 0 if ours is None else ours)
    rotations = xmap._rotations.data.reshape(n, n_best, 4)
    known = xmap._phase_id >= 0
    for place in range(n_best):
        suffix = f"_{place + 1}" if place else ""
        q = np.stack([columns[f"{name}{suffix}"] for name in "abcd"], axis=1)
        np.testing.assert_allclose(q[known], rotations[known, place], atol=1e-7)
        assert np.isnan(q[~known]).all()
        euler = np.stack([columns[f"{angle}{suffix}"] for angle in ("phi1", "Phi", "phi2")], 1)
        from_euler = Rotation.from_euler(euler[known], degrees=True).data
        assert np.rad2deg(angle_between(from_euler, rotations[known, place])).max() < 1e-4
        scores = dict.__getitem__(xmap.prop, "scores").reshape(n, n_best)[:, place]
        np.testing.assert_allclose(columns[f"scores{suffix}"], scores, rtol=1e-7)
    reliability = dict.__getitem__(xmap.prop, "reliability")
    np.testing.assert_allclose(columns["reliability"], reliability, rtol=1e-7)


def test_csv_of_a_slice_and_of_a_point(tmp_path: Path, rng) -> None:
    xmap = crystal_map((5, 6), [SILICON], rng, special=False)
    _, columns = read_csv(save_crystal_map(xmap[1:4, 2:5], tmp_path / "slice.csv"))
    np.testing.assert_allclose(columns["x"], np.tile([5, 7.5, 10], 3))
    np.testing.assert_allclose(columns["y"], np.repeat([2.5, 5, 7.5], 3))
    _, columns = read_csv(save_crystal_map(xmap[2, 3], tmp_path / "point.csv"))
    np.testing.assert_allclose(columns["a"], best(xmap)[15, 0], atol=1e-7)


def test_csv_warns_of_what_it_has_no_column_for(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng, special=False)
    xmap.prop["patches"] = np.zeros((12, 2, 2))
    xmap.prop["grade"] = np.array(["good"] * 12)
    with pytest.warns(UserWarning, match="'patches' has an array at every point"):
        path = save_crystal_map(xmap, tmp_path / "map.csv")
    columns = read_csv(path)[1]
    assert set(columns["grade"]) == {"good"}
    assert not any("patches" in name for name in columns)


@pytest.mark.parametrize("suffix", [".ang", ".ctf", ".csv"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:Files keep only the name")
def test_other_crystal_axes(tmp_path: Path, rng, suffix, name) -> None:
    """Directions of the cell lie in the lab where they lay, by matrices of the cell alone."""
    structure = crystal(name)
    xmap = crystal_map((3, 4), [structure], rng, special=False)
    path = save_crystal_map(xmap, tmp_path / f"map{suffix}", crystal_axes="x||a*, z||c")
    if suffix == ".csv":
        header, columns = read_csv(path)
        q = np.stack([columns[n] for n in "abcd"], axis=1)
        assert any("x||a*, z||c" in line for line in header)
    else:
        q = best(io.load(path))
    ours = structure.to_phase().structure.lattice.base  # rows a, b, c
    metric = ours @ ours.T
    # a, b, c in axes with z along c and x along a*, that is b and c without x.
    c = np.sqrt(metric[2, 2])
    b_z = metric[1, 2] / c
    b_y = np.sqrt(metric[1, 1] - b_z**2)
    a_z = metric[0, 2] / c
    a_y = (metric[0, 1] - a_z * b_z) / b_y
    a_x = np.sqrt(metric[0, 0] - a_y**2 - a_z**2)
    theirs = np.array([[a_x, a_y, a_z], [0, b_y, b_z], [0, 0, c]])
    in_lab = ours @ to_matrix(best(xmap))
    np.testing.assert_allclose(theirs @ to_matrix(q), in_lab, atol=5e-4)
    turned = np.rad2deg(angle_between(best(xmap), q)).mean()
    expected = {"cubic": 0, "hexagonal": 30, "trigonal": 30, "monoclinic": 122.6 - 90}
    np.testing.assert_allclose(turned, expected[name], atol=1e-3)


def test_other_crystal_axes_of_several_phases_and_orientations(rng) -> None:
    q = random_quaternions(8, rng).reshape(4, 2, 4)
    ids = np.array([[0, 1], [1, 0], [1, 1], [-1, -1]])
    xmap = build_crystal_map(q, ids, [crystal("cubic"), crystal("hexagonal")])
    turned = with_crystal_axes(xmap, "x||a*, z||c")._rotations.data
    angles = np.rad2deg(angle_between(turned, xmap._rotations.data))
    np.testing.assert_allclose(angles, [[0, 30], [30, 0], [30, 30], [0, 0]], atol=1e-6)
    # About the c axis, on the crystal side.
    axis = multiply(turned[1, 0], q[1, 0] * [1, -1, -1, -1])
    np.testing.assert_allclose(axis[1:3], 0, atol=1e-12)


def test_other_crystal_axes_are_not_for_h5(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng)
    with pytest.raises(ValueError, match=r"for \.h5"):
        save_crystal_map(xmap, tmp_path / "map.h5", crystal_axes="x||a*, z||c")
    with pytest.raises(ValueError, match="crystal_axes"):
        save_crystal_map(xmap, tmp_path / "map.csv", crystal_axes="x||b")
