"""The demo scan: spots where the true orientations put them, y up, and what else is promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyxem_cnn.data import grain_scan
from pyxem_cnn.data._microstructure import microstructure
from pyxem_cnn.data._spots import Detector, simulated_spots
from tests.fixtures_model import SILICON, kinematic_spots

SHAPE = (10, 13)


@pytest.fixture(scope="module")
def scan_and_truth(tmp_path_factory: pytest.TempPathFactory):
    """A small scan of three grains and its truth."""
    path = tmp_path_factory.mktemp("grains") / "scan.zspy"
    return grain_scan(path, shape=SHAPE, seed=3, n_grains=3)


def brightest_spots(scan, row: int, column: int, n: int = 4) -> np.ndarray:
    """Return (kx, ky), y up, of the n brightest spots away from the beam, from the axes alone."""
    image = scan.data[row, column].compute().astype(float)
    kx, down = (axis.axis for axis in scan.axes_manager.signal_axes)
    kx, ky = np.meshgrid(kx, -down)
    image[np.hypot(kx, ky) < 0.15] = 0
    found = []
    for _ in range(n):
        r, c = np.unravel_index(np.argmax(image), image.shape)
        part = np.s_[max(r - 3, 0) : r + 4, max(c - 3, 0) : c + 4]
        weight = image[part].copy()
        found.append([(weight * kx[part]).sum(), (weight * ky[part]).sum()] / weight.sum())
        image[part] = 0
    return np.array(found)


def distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance of every point to the nearest of the others."""
    return np.linalg.norm(points[:, None] - others, axis=-1).min(axis=1)


def inner_positions(truth) -> np.ndarray:
    """Return one position (row, column) inside each grain."""
    grain, boundary = truth.prop["grain"], truth.prop["boundary"]
    first = [np.flatnonzero((grain == g) & ~boundary)[0] for g in np.unique(grain[grain >= 0])]
    return np.array([np.unravel_index(i, SHAPE) for i in first])


@pytest.mark.parametrize("source", [kinematic_spots, lambda q: simulated_spots(q[None])[0]])
def test_spots_lie_where_the_truth_puts_them_and_y_is_up(scan_and_truth, source) -> None:
    scan, truth = scan_and_truth
    rotations = truth.rotations.data.reshape(*SHAPE, 4)
    pixel, mirrored = 0.02, []
    for row, column in inner_positions(truth):
        spots = brightest_spots(scan, row, column)
        k, strength = source(rotations[row, column])
        k = k[strength > 0.01 * strength.max()]
        assert distances(spots, k).max() < pixel
        mirrored.append(distances(spots, k * [1, -1]).max())
        mirrored.append(distances(spots, k * [-1, 1]).max())
    # A scan with y down, or x to the left, is told apart.
    assert min(mirrored) > 1.5 * pixel


def test_own_kinematics_agree_with_diffsims() -> None:
    rotation = microstructure(SHAPE, 3, 3).rotations[0]
    k, intensity = simulated_spots(rotation[None])[0]
    own, strength = kinematic_spots(rotation)
    strong = intensity > 0.02 * intensity.max()
    assert distances(k[strong], own).max() < 1e-3
    assert distances(own[strength > 0.05 * strength.max()], k).max() < 1e-3


def test_signal_is_lazy_and_calibrated(scan_and_truth) -> None:
    scan, _ = scan_and_truth
    assert type(scan).__name__ == "LazyElectronDiffraction2D"
    assert scan.data.dtype == np.uint16
    assert scan.data.shape == (*SHAPE, 128, 128)
    assert scan.data.chunksize[-2:] == (128, 128)
    assert [axis.units for axis in scan.axes_manager.navigation_axes] == ["nm", "nm"]
    assert scan.metadata.Acquisition_instrument.TEM.beam_energy == 200
    axes = scan.axes_manager.signal_axes
    center = [-axis.offset / axis.scale for axis in axes]
    np.testing.assert_allclose(center, Detector().center)
    assert all(abs(c % 1) > 0.1 for c in center)  # between pixels


def test_direct_beam_lies_at_the_origin(scan_and_truth) -> None:
    scan, truth = scan_and_truth
    row, column = np.argwhere(truth.phase_id.reshape(SHAPE) < 0)[0]
    image = scan.data[row, column].compute().astype(float)
    x, y = (axis.axis for axis in scan.axes_manager.signal_axes)
    assert abs((image.sum(0) * x).sum() / image.sum()) < 0.002
    assert abs((image.sum(1) * y).sum() / image.sum()) < 0.002


def test_geometry_is_read_from_the_signal(scan_and_truth) -> None:
    from pyxem_cnn.detector.geometry import DetectorGeometry

    geometry = DetectorGeometry.from_signal(scan_and_truth[0])
    np.testing.assert_allclose(geometry.center, Detector().center)
    np.testing.assert_allclose(geometry.scale, 0.02)
    assert geometry.beam_energy == 200


def test_truth_is_a_map_of_silicon(scan_and_truth) -> None:
    scan, truth = scan_and_truth
    assert truth.shape == SHAPE
    assert truth.scan_unit == "nm"
    np.testing.assert_allclose([truth.dx, truth.dy], [5, 5])
    assert list(truth.prop) == ["grain", "boundary", "thickness"]
    assert np.isnan(truth.prop["thickness"]).all()  # kinematic spots have none
    assert truth.phases[0].space_group.number == 227
    assert truth.phases[0].point_group.size == len(SILICON.point_group_matrices())
    grain = truth.prop["grain"]
    np.testing.assert_array_equal(truth.phase_id < 0, grain < 0)
    assert 0 < (grain < 0).mean() < 0.2  # a strip of vacuum
    assert len(np.unique(grain)) == 4  # three grains and vacuum


def test_grains_have_subgrains_below_two_degrees() -> None:
    structure = microstructure((40, 40), 8, 0)
    largest = []
    for grain in np.unique(structure.grain[structure.grain >= 0]):
        index = np.unique(structure.orientation[structure.grain == grain])
        inside = structure.rotations[index]
        cosine = np.abs(inside @ inside.T).clip(max=1)
        largest.append(np.rad2deg(2 * np.arccos(cosine)).max())
    assert max(largest) < 4
    assert np.median(largest) > 0.2


def test_boundaries_are_where_the_next_grain_begins(scan_and_truth) -> None:
    _, truth = scan_and_truth
    grain = truth.prop["grain"].reshape(SHAPE)
    expected = np.zeros(SHAPE, dtype=bool)
    for row, column in np.ndindex(SHAPE):
        after = [(row + 1, column), (row, column + 1)]
        others = [grain[p] for p in after if p[0] < SHAPE[0] and p[1] < SHAPE[1]]
        expected[row, column] = grain[row, column] >= 0 and any(
            o >= 0 and o != grain[row, column] for o in others
        )
    np.testing.assert_array_equal(truth.prop["boundary"].reshape(SHAPE), expected)
    assert expected.any()


def test_boundary_patterns_show_both_grains(scan_and_truth) -> None:
    scan, truth = scan_and_truth
    structure = microstructure(SHAPE, 3, 3)
    row, column = np.argwhere(truth.prop["boundary"].reshape(SHAPE))[0]
    image = scan.data[row, column].compute().astype(float)
    detector = Detector()
    own, other = (
        detector.spots(*simulated_spots(structure.rotations[index[row, column]][None])[0])
        for index in (structure.orientation, structure.neighbour)
    )
    outside = detector.radius > 0.15
    images = np.stack([own[outside], other[outside], detector.diffuse[outside]], axis=1)
    share, *_ = np.linalg.lstsq(images / images.sum(0), image[outside], rcond=None)
    assert share[0] > share[1] > 0.2 * share[:2].sum()


def test_electrons(tmp_path: Path) -> None:
    scan, truth = grain_scan(tmp_path / "s.zspy", shape=(8, 8), n_grains=4, electrons=2e4)
    # Counted beyond the direct beam; its tail stays below the counts in vacuum.
    counts = scan.data.compute()[..., Detector().radius > 0.12].sum(-1)
    vacuum = truth.phase_id.reshape(8, 8) < 0
    np.testing.assert_allclose(counts[~vacuum].mean(), 2e4, rtol=0.35)
    assert counts[vacuum].max() < 0.05 * counts[~vacuum].min()


def test_same_seed_same_scan(tmp_path: Path) -> None:
    scans = [
        grain_scan(tmp_path / f"{name}.{suffix}", shape=(5, 6), seed=seed, n_grains=2)
        for name, suffix, seed in (("a", "zspy", 1), ("b", "hspy", 1), ("c", "zspy", 2))
    ]
    first, second, third = (scan.data.compute() for scan, _ in scans)
    np.testing.assert_array_equal(first, second)
    assert np.any(first != third)
    assert not np.allclose(scans[0][1].rotations.data, scans[2][1].rotations.data)


def test_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "scan.zspy"
    path.mkdir()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        grain_scan(path, shape=(4, 4))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": "scan.tif"}, ValueError, r"ending in \.zspy or \.hspy"),
        ({"path": 3}, TypeError, "path"),
        ({"path": "no/such/scan.zspy"}, FileNotFoundError, "no folder"),
        ({"shape": (4,)}, ValueError, "rows, columns"),
        ({"shape": (4, 3)}, ValueError, "at least 4"),
        ({"shape": (4, 4.5)}, TypeError, "shape"),
        ({"n_grains": 0}, ValueError, "n_grains"),
        ({"electrons": -1}, ValueError, "electrons"),
        ({"step": 0}, ValueError, "step"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, monkeypatch, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        grain_scan(**({"path": "scan.zspy", "shape": (4, 4)} | arguments))
    assert list(tmp_path.iterdir()) == []
