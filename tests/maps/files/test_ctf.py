"""Files in .ctf format: orix reads them back the same, and the text is what other programs want."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from orix import io
from scipy.spatial.transform import Rotation as ScipyRotation

from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.maps.files.ctf import LAUE_NUMBERS
from pyxem_cnn.maps.files.export import save_crystal_map
from pyxem_cnn.maps.misorientation import misorientation_angles
from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import random_quaternions
from tests._crystals import NAMES, crystal
from tests.fixtures_model import crystal_map


def parts(path: Path) -> tuple[list[str], np.ndarray]:
    """Return header lines and the numbers of a file, read without orix."""
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Phase\tX\tY"))
    return lines[: start + 1], np.loadtxt(lines[start + 1 :], ndmin=2)


def best(xmap) -> np.ndarray:
    return xmap._rotations.data.reshape(xmap.is_in_data.size, -1, 4)[:, 0]


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (1, 5), (5, 1)])
@pytest.mark.parametrize("names", [("cubic",), ("trigonal", "hexagonal")])
def test_through_orix(tmp_path: Path, rng, shape, n_best, names) -> None:
    phases = [crystal(name) for name in names]
    xmap = crystal_map(shape, phases, rng, n_best)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = io.load(save_crystal_map(xmap, tmp_path / "map.ctf"))
    assert loaded.scan_unit == "um"
    assert loaded.size == xmap.is_in_data.size
    np.testing.assert_array_equal(loaded.phase_id >= 0, xmap._phase_id >= 0)
    for i, structure in enumerate(phases):
        here = xmap._phase_id == i
        np.testing.assert_array_equal(loaded.phase_id[here], i + 1)
        phase = loaded.phases[i + 1]
        assert phase.name == structure.name
        assert phase.space_group.number == structure.space_group
        assert phase.point_group.name == structure.to_phase().point_group.laue.name
        np.testing.assert_allclose(
            phase.structure.lattice.abcABG(), structure.to_phase().structure.lattice.abcABG()
        )
        operations = structure.symmetry_quaternions()
        angles = misorientation_angles(best(loaded)[here], best(xmap)[here], operations)
        assert angles.max() < 1e-4
        # The very same rotation, not an equivalent one.
        np.testing.assert_allclose(
            np.abs((best(loaded)[here] * best(xmap)[here]).sum(1)), 1, atol=1e-11
        )
    for ours, theirs in ((xmap._x, loaded.x), (xmap._y, loaded.y)):
        if ours is not None and np.ptp(ours) > 0:
            np.testing.assert_allclose(theirs, 1e-3 * ours)  # nm in micrometres


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:Files keep only the name")
def test_angles_by_scipy(tmp_path: Path, rng, name) -> None:
    xmap = crystal_map((3, 4), [crystal(name)], rng, special=False)
    _, rows = parts(save_crystal_map(xmap, tmp_path / "map.ctf"))
    # Bunge angles take the sample to the crystal: turns about z, x', z'' of the axes.
    matrices = ScipyRotation.from_euler("ZXZ", rows[:, 5:8], degrees=True).inv().as_matrix()
    expected = ScipyRotation.from_quat(np.roll(best(xmap), -1, axis=1)).as_matrix()
    np.testing.assert_allclose(matrices, expected, atol=1e-6)


def test_text(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [crystal("trigonal")], rng)
    path = save_crystal_map(xmap, tmp_path / "map.ctf")
    header, rows = parts(path)
    assert b"\r\n" in path.read_bytes()
    assert header[0] == "Channel Text File"
    for line in ("JobMode\tGrid", "XCells\t4", "YCells\t3", "XStep\t0.002500", "Phases\t1"):
        assert line in header
    assert any("y up, z towards the source" in line for line in header)
    assert header[-2] == (
        "2.8780;2.8780;14.1900\t90.0000;90.0000;120.0000\tLiNiO2\t7\t166\t\t\tx||a, z||c*"
    )
    assert header[-1].split("\t")[5:8] == ["Euler1", "Euler2", "Euler3"]
    assert rows.shape == (12, 11)
    np.testing.assert_allclose(rows[:, 1], np.tile(0.0025 * np.arange(4), 3))
    np.testing.assert_allclose(rows[:, 2], np.repeat(0.0025 * np.arange(3), 4))
    np.testing.assert_array_equal(rows[:3, 0], [1, 0, 0])
    np.testing.assert_array_equal(rows[:3, 4], [0, 3, 5])  # not indexed, left out
    np.testing.assert_array_equal(rows[1:3, 5:], 0)


def test_scores(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [crystal("cubic")], rng, special=False)
    rows = parts(save_crystal_map(xmap, tmp_path / "map.ctf"))[1]
    np.testing.assert_allclose(rows[:, 9] / 255, xmap.scores, atol=0.5 / 255)
    np.testing.assert_allclose(rows[:, 10] / 2.55, xmap.reliability, atol=0.5 / 2.55)
    np.testing.assert_array_equal(rows[:, [3, 8]], 0)
    # Scores that are no probabilities are scaled by their largest.
    xmap.prop["scores"] = np.append(np.arange(11) * 7.0, np.nan)
    rows = parts(save_crystal_map(xmap, tmp_path / "map.ctf", overwrite=True))[1]
    np.testing.assert_array_equal(rows[[0, 10, 11], 9], [0, 255, 0])
    for name in list(xmap.prop):
        del xmap.prop[name]
    rows = parts(save_crystal_map(xmap, tmp_path / "map.ctf", overwrite=True))[1]
    np.testing.assert_array_equal(rows[:, 9:], 0)


def test_slice_counts_from_its_first_point(tmp_path: Path, rng) -> None:
    xmap = crystal_map((5, 6), [crystal("hexagonal")], rng, special=False)
    loaded = io.load(save_crystal_map(xmap[1:4, 2:5], tmp_path / "part.ctf"))
    assert loaded.shape == (3, 3)
    assert (loaded.x.min(), loaded.y.min()) == (0, 0)
    expected = best(xmap).reshape(5, 6, 4)[1:4, 2:5].reshape(-1, 4)
    np.testing.assert_allclose(np.abs((best(loaded) * expected).sum(-1)), 1)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("um", 1), ("\u00b5m", 1), ("\u03bcm", 1), ("nm", 1e-3), ("mm", 1e3), ("m", 1e6)]
    + [("Å", 1e-4), ("A", 1e-4), ("angstrom", 1e-4), ("px", 1)],
)
def test_units_of_length(tmp_path: Path, rng, unit, factor) -> None:
    coordinates = {"x": 1.5 * np.arange(4), "scan_unit": unit}
    q = random_quaternions(4, rng)
    xmap = build_crystal_map(q, np.zeros(4, int), [crystal("cubic")], coordinates=coordinates)
    header, rows = parts(save_crystal_map(xmap, tmp_path / "map.ctf"))
    np.testing.assert_allclose(rows[:, 1], 1.5 * factor * np.arange(4), atol=1e-6)
    step = float(next(line for line in header if line.startswith("XStep")).split("\t")[1])
    np.testing.assert_allclose(step, 1.5 * factor, atol=1e-6)


def test_phase_ids_count_from_one(tmp_path: Path, rng) -> None:
    # Phase 0 occurs nowhere, so that orix forgets it.
    ids = np.array([1, 1, 2, -1])
    phases = [crystal(name) for name in ("cubic", "hexagonal", "trigonal")]
    xmap = build_crystal_map(random_quaternions(4, rng), ids, phases)
    header, rows = parts(save_crystal_map(xmap, tmp_path / "map.ctf"))
    np.testing.assert_array_equal(rows[:, 0], [1, 1, 2, 0])
    assert "Phases\t2" in header
    assert [line.split("\t")[2] for line in header[-3:-1]] == ["Mg", "LiNiO2"]


def test_monoclinic_axes_are_warned_of(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [crystal("monoclinic")], rng)
    with pytest.warns(UserWarning, match="point_group = model.phase.point_group"):
        path = save_crystal_map(xmap, tmp_path / "map.ctf")
    loaded = io.load(path)
    known = xmap._phase_id >= 0
    np.testing.assert_allclose(np.abs((best(loaded) * best(xmap)).sum(-1))[known], 1)
    np.testing.assert_allclose(
        loaded.phases["VO2"].structure.lattice.abcABG(), (5.743, 4.517, 5.375, 90, 122.6, 90)
    )


def test_group_without_inversion_comes_back_as_its_laue_group(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [crystal("gaas")], rng)
    header, _ = parts(save_crystal_map(xmap, tmp_path / "map.ctf"))
    assert header[-2].split("\t")[3:5] == ["11", "216"]
    with pytest.warns(UserWarning, match="Setting space group to 'None'"):
        loaded = io.load(tmp_path / "map.ctf")
    assert loaded.phases["GaAs"].point_group.name == "m-3m"


def test_orix_does_not_read_m3(tmp_path: Path, rng) -> None:
    pyrite = CrystalStructure.from_asymmetric_unit(
        (5.418, 5.418, 5.418, 90, 90, 90), "P a -3", ["Fe", "S"], [[0, 0, 0], [0.385] * 3]
    )
    path = save_crystal_map(crystal_map((3, 4), [pyrite], rng), tmp_path / "map.ctf")
    assert parts(path)[0][-2].split("\t")[3:5] == ["10", "205"]
    with pytest.raises(ValueError, match="'m3' must be of type"):  # the page on files says so
        io.load(path)


def test_numbers_of_laue_groups_are_those_of_orix() -> None:
    from orix.io.plugins import ctf

    source = Path(ctf.__file__).read_text()
    theirs = {int(n): name for n, name in re.findall(r'^ +(\d+): "(\S+)",$', source, re.MULTILINE)}
    theirs[10] = theirs[10].replace("m3", "m-3")
    assert {number: name for name, number in LAUE_NUMBERS.items()} == theirs


def test_nothing_indexed(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [crystal("cubic")], rng)
    xmap.phase_id = -1
    _, rows = parts(save_crystal_map(xmap, tmp_path / "map.ctf"))
    np.testing.assert_array_equal(rows[:, 0], 0)


def test_awkward_names(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [crystal("cubic")], rng)
    xmap.phases["Si"].name = "Si\t(pure)\n"
    loaded = io.load(save_crystal_map(xmap, tmp_path / "map.ctf"))
    assert loaded.phases[1].name == "Si (pure)"


def test_phase_without_point_group_is_refused(tmp_path: Path, rng) -> None:
    xmap = crystal_map((3, 4), [crystal("cubic")], rng)
    xmap.phases["Si"].space_group = xmap.phases["Si"].point_group = None
    with pytest.raises(ValueError, match="has no point group"):
        save_crystal_map(xmap, tmp_path / "map.ctf")
    assert list(tmp_path.iterdir()) == []
