"""Map files: orientations, groups, frames and not indexed points as they were, or put right."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from diffpy.structure import Lattice, Structure
from orix import io
from orix.crystal_map import Phase
from orix.quaternion import Rotation

from pyxem_cnn.crystal.orix_symmetry import fits_lattice, same_matrices, symmetry_matrices
from pyxem_cnn.maps.comparison.compare import compare_crystal_maps
from pyxem_cnn.maps.files.crystal_axes import CRYSTAL_AXES, with_crystal_axes
from pyxem_cnn.maps.files.reading import as_crystal_map, load_crystal_map
from pyxem_cnn.rotations import angle_between, multiply, random_quaternions
from tests._crystals import NAMES, crystal
from tests._maps import grid_map


def written(path, names, rng, phase_ids=0, **kwargs):
    """Write a map with orix and return it."""
    q = random_quaternions(20, rng).reshape(4, 5, 4)
    xmap = grid_map(q, names, phase_ids, prop={"score": rng.random(20)}, **kwargs)
    io.save(str(path), xmap)
    return xmap


def largest_angle(first, second) -> float:
    p, q = (xmap.rotations.data.reshape(-1, 4) for xmap in (first, second))
    return float(np.rad2deg(angle_between(p, q)).max())


@pytest.mark.parametrize("suffix", [".h5", ".ang"])
@pytest.mark.parametrize("name", [*NAMES, "gaas"])
def test_map_that_orix_wrote_is_equal_to_itself(tmp_path, rng, suffix, name) -> None:
    xmap = written(tmp_path / f"map{suffix}", [name], rng)
    loaded = load_crystal_map(tmp_path / f"map{suffix}")
    assert largest_angle(xmap, loaded) < 0.01
    comparison = compare_crystal_maps(xmap, loaded)
    assert comparison.agreement.n == 20
    assert comparison.misorientation.max() < 0.01
    # Symmetry that is right: equivalent orientations are equal, too.
    symmetry = crystal(name).symmetry_quaternions()
    chosen = symmetry[rng.integers(0, len(symmetry), 20)]
    xmap._rotations = Rotation(multiply(chosen, xmap.rotations.data))
    assert compare_crystal_maps(loaded, xmap).misorientation.max() < 0.01


def test_monoclinic_axes_are_put_right(tmp_path, rng) -> None:
    written(tmp_path / "map.h5", ["monoclinic"], rng)
    from_orix = next(p for i, p in io.load(str(tmp_path / "map.h5")).phases if i >= 0)
    assert not fits_lattice(from_orix)
    loaded = load_crystal_map(tmp_path / "map.h5")
    phase = next(p for i, p in loaded.phases if i >= 0)
    expected = crystal("monoclinic").point_group_matrices()
    assert same_matrices(symmetry_matrices(phase.point_group), expected)
    assert any("set to those of its cell" in note for note in loaded.notes)


def test_trigonal_axes_are_said_to_be_open(tmp_path, rng) -> None:
    written(tmp_path / "map.h5", ["trigonal"], rng)
    assert any(
        "two-fold axes taken along a" in n for n in load_crystal_map(tmp_path / "map.h5").notes
    )


def test_group_that_fits_in_no_setting_is_warned_of(tmp_path, rng) -> None:
    tetragonal = Phase("x", structure=Structure(lattice=Lattice(4, 4, 5, 90, 90, 90)))
    tetragonal.point_group = "m-3m"
    written(tmp_path / "map.h5", [tetragonal], rng)
    with pytest.warns(UserWarning, match="needs phases="):
        load_crystal_map(tmp_path / "map.h5")
    known = Phase("y", point_group="4/mmm", structure=tetragonal.structure.copy())
    loaded = load_crystal_map(tmp_path / "map.h5", phases=known)
    assert loaded.phases[0].point_group.name == "4/mmm"


def test_known_phases_take_the_place_of_those_of_the_file(tmp_path, rng) -> None:
    phase_ids = np.arange(20).reshape(4, 5) % 2
    written(tmp_path / "map.ang", ["cubic", "trigonal"], rng, phase_ids)
    path = tmp_path / "map.ang"
    loaded = load_crystal_map(path, phases=[crystal("trigonal"), crystal("cubic")])
    assert [len(p.structure) for i, p in loaded.phases if i >= 0] == [8, 12]
    loaded = load_crystal_map(path, phases={"Si": crystal("cubic")})
    assert [len(p.structure) for i, p in loaded.phases if i >= 0] == [8, 0]
    with pytest.raises(ValueError, match="within 2 percent"):
        load_crystal_map(path, phases=crystal("hexagonal"))
    with pytest.raises(ValueError, match="one of 'Si', 'LiNiO2'"):
        load_crystal_map(path, phases={"Se": crystal("cubic")})


@pytest.mark.parametrize("frame", ["image", np.array([0.8, 0, 0.6, 0]), Rotation([0.8, 0, 0.6, 0])])
def test_file_in_another_frame(tmp_path, rng, frame) -> None:
    xmap = written(tmp_path / "map.h5", ["trigonal"], rng)
    turn = np.array([0.0, 1, 0, 0]) if isinstance(frame, str) else np.array([0.8, 0, 0.6, 0])
    foreign = grid_map(multiply(xmap.rotations.data, turn * [1, -1, -1, -1]).reshape(4, 5, 4))
    io.save(str(tmp_path / "foreign.h5"), foreign)
    assert largest_angle(xmap, load_crystal_map(tmp_path / "foreign.h5", frame=frame)) < 1e-4
    assert largest_angle(xmap, load_crystal_map(tmp_path / "foreign.h5")) > 20


@pytest.mark.parametrize("name", ["hexagonal", "trigonal", "monoclinic"])
def test_file_in_other_crystal_axes(tmp_path, rng, name) -> None:
    xmap = written(tmp_path / "map.ang", [name], rng)
    io.save(str(tmp_path / "other.ang"), with_crystal_axes(xmap, CRYSTAL_AXES[1]))
    loaded = load_crystal_map(tmp_path / "other.ang", crystal_axes=CRYSTAL_AXES[1])
    assert largest_angle(xmap, loaded) < 0.01
    assert CRYSTAL_AXES[1] in loaded.notes[-1]
    assert largest_angle(xmap, load_crystal_map(tmp_path / "other.ang")) > 10


def test_threshold(tmp_path, rng) -> None:
    xmap = written(tmp_path / "map.h5", ["cubic"], rng)
    loaded = load_crystal_map(tmp_path / "map.h5", threshold=("score", 0.5))
    np.testing.assert_array_equal(loaded.phase_id < 0, xmap.prop["score"] < 0.5)
    assert load_crystal_map(tmp_path / "map.h5").phase_id.min() == 0
    with pytest.raises(ValueError, match="Did you mean 'score'"):
        load_crystal_map(tmp_path / "map.h5", threshold=("scores", 0.5))


@pytest.mark.parametrize(
    ("name", "pair"),
    [("threshold", "rel"), ("threshold", (0.05, "rel")), ("origin", 5.0), ("origin", (1, 2, 3))],
)
def test_pairs_are_pairs(tmp_path, rng, name, pair) -> None:
    written(tmp_path / "map.ang", ["cubic"], rng)
    with pytest.raises(TypeError, match=rf"{name}: got .*, expected "):
        load_crystal_map(tmp_path / "map.ang", **{name: pair})


def test_origin(tmp_path, rng) -> None:
    written(tmp_path / "map.ang", ["cubic"], rng)
    loaded = load_crystal_map(tmp_path / "map.ang", origin=(5, 7.5))
    np.testing.assert_allclose(loaded.x[:2], [5, 7.5])
    np.testing.assert_allclose(loaded.y[:2], 7.5)


CTF = """Channel Text File
Prj\ttest
Author\t[Unknown]
JobMode\tGrid
XCells\t3
YCells\t2
XStep\t0.5
YStep\t0.5
AcqE1\t0
AcqE2\t0
AcqE3\t0
Euler angles refer to Sample Coordinate system (CS0)!\tMag\t1\tCoverage\t100\tDevice\t0
Phases\t1
5.743;4.517;5.375\t90;122.6;90\tVO2\t2\t0\t\t\tby hand
Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS
1\t0.0\t0.0\t6\t0\t0.0\t0.0\t0.0\t0.5\t90\t200
1\t0.5\t0.0\t6\t0\t90.0\t0.0\t0.0\t0.5\t90\t200
1\t1.0\t0.0\t6\t0\t0.0\t90.0\t0.0\t0.5\t90\t200
0\t0.0\t0.5\t0\t3\t0.0\t0.0\t0.0\t0.0\t10\t200
1\t0.5\t0.5\t6\t0\t0.0\t0.0\t90.0\t0.5\t90\t200
1\t1.0\t0.5\t6\t0\t30.0\t60.0\t90.0\t0.5\t90\t200
"""


def test_ctf_by_hand(tmp_path) -> None:
    (tmp_path / "map.ctf").write_text(CTF)
    xmap = load_crystal_map(tmp_path / "map.ctf")
    assert xmap.shape == (2, 3)
    np.testing.assert_array_equal(xmap.phase_id, [1, 1, 1, -1, 1, 1])
    # phi1 = 90 degrees turns the crystal about z: its a lies along lab y, v_lab = ~R v_crystal.
    a_in_lab = (~xmap.rotations[1]) * _x()
    np.testing.assert_allclose(a_in_lab.data, [[0, 1, 0]], atol=1e-9)
    # The two-fold axis lies along b, that is along the crystal's y.
    two_fold = xmap.phases[1].point_group.proper_subgroup.data
    np.testing.assert_allclose(np.abs(two_fold[1]), [0, 0, 1, 0], atol=1e-9)
    # x along a*, z along c: what the angles of Oxford's files lead to.
    other = load_crystal_map(tmp_path / "map.ctf", crystal_axes="x||a*, z||c")
    b = (~other.rotations[0]) * _y()
    np.testing.assert_allclose(b.data, [[0, 1, 0]], atol=1e-9)  # b is y in both
    a = ((~other.rotations[0]) * _x()).data[0]
    np.testing.assert_allclose(a, [np.sin(np.deg2rad(122.6)), 0, np.cos(np.deg2rad(122.6))])


def _x():
    from orix.vector import Vector3d

    return Vector3d.xvector()


def _y():
    from orix.vector import Vector3d

    return Vector3d.yvector()


def test_what_was_assumed_is_logged_and_nothing_is_printed(tmp_path, rng, caplog, capsys) -> None:
    written(tmp_path / "map.ang", ["cubic"], rng)
    with caplog.at_level(logging.INFO, "pyxem_cnn"):
        loaded = load_crystal_map(tmp_path / "map.ang")
    for words in ("unit of the scan", "frame of its angles"):
        assert words in caplog.text
        assert any(words in note for note in loaded.notes)
    assert capsys.readouterr().out == ""


def test_files_that_are_no_maps(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no file"):
        load_crystal_map(tmp_path / "map.ang")
    (tmp_path / "map.ang").write_text("nothing\n")
    with pytest.raises(ValueError, match="could not be read"):
        load_crystal_map(tmp_path / "map.ang")
    (tmp_path / "map.h5").write_text("nothing\n")
    with pytest.raises(ValueError, match="map.h5 could not be read"):
        load_crystal_map(tmp_path / "map.h5")
    with pytest.raises(ValueError, match="Suffix.*'.csv'.*table.csv.*Save maps as .h5"):
        load_crystal_map(tmp_path / "table.csv")


def test_result_of_template_matching_is_decoded(rng, monkeypatch) -> None:
    from pyxem_cnn.maps.templates import orientation_map

    class OrientationMap:
        """What pyxem calls it, without pyxem."""

    class LazyOrientationMap(OrientationMap):
        pass

    xmap = grid_map(random_quaternions(6, rng).reshape(2, 3, 4))
    monkeypatch.setattr(orientation_map, "orientation_map_to_crystal_map", lambda given: xmap)
    assert as_crystal_map("b", LazyOrientationMap()) is xmap


def test_things_that_are_no_maps() -> None:
    with pytest.raises(TypeError, match=r"to_crystal_map\(\)"):
        as_crystal_map("b", np.zeros(3))


def test_map_of_astar(test_data) -> None:
    path = test_data / "orientation_maps" / "mtex_ACOM.ang"
    xmap = load_crystal_map(path)
    assert xmap.shape == (15, 15)
    assert xmap.scan_unit == "nm"
    assert any("6 points count as indexed although rel is -1" in note for note in xmap.notes)
    assert (load_crystal_map(path, threshold=("rel", 0)).phase_id < 0).sum() == 6
    comparison = compare_crystal_maps(xmap, load_crystal_map(path, frame="image"))
    assert comparison.agreement.within_5 < 50
    np.testing.assert_allclose(comparison.lab_rotation.degrees, 180, atol=0.1)


def test_map_of_two_phases(test_data) -> None:
    path = test_data / "orientation_maps" / "sdss_ferrite_austenite.ang"
    xmap = load_crystal_map(path)
    comparison = compare_crystal_maps(xmap, xmap[20:60, 30:80])
    assert comparison.shape == (40, 50)
    assert comparison.agreement.within_1 == 100
    assert [phase.name for phase in comparison.phases] == [
        "austenite/austenite",
        "ferrite/ferrite",
    ]
