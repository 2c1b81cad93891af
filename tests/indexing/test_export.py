"""Saved crystal maps: read back by orix they are the same, and nothing is lost by accident."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from orix import io

from pyxem_cnn.indexing.export import check_map_path, save_crystal_map
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


@pytest.mark.parametrize("suffix", [".ang", ".h5"])
def test_existing_file_is_kept(tmp_path: Path, rng, suffix) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng)
    path = tmp_path / f"map{suffix}"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="exists already"):
        save_crystal_map(xmap, path)
    assert path.read_text() == "precious"
    save_crystal_map(xmap, path, overwrite=True)
    assert io.load(path).shape == (3, 4)
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


@pytest.mark.parametrize("suffix", [".ang", ".h5"])
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
        ("map.ctf", ValueError, r"expected one of '\.ang', '\.h5'"),
        ("map", ValueError, "Suffix"),
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
