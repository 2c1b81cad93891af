"""Wrong calibrations that are put in are found again; scans are sampled, not read."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from hyperspy.signals import Signal2D

from pyxem_cnn.data import grain_scan
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.indexing.calibration.check import CalibrationCheck, check_calibration
from pyxem_cnn.indexing.calibration.fit import Reading, fit_geometry
from pyxem_cnn.indexing.calibration.model import (
    SampleReader,
    _judge,
    beam_wander,
    estimate_seconds,
    tell_handedness,
)
from pyxem_cnn.indexing.calibration.report import _wander, view_of
from pyxem_cnn.indexing.calibration.sample import MAX_REGIONS, read_sample
from pyxem_cnn.model import load_model
from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import (
    disorientation_angle,
    from_rotation_vector,
    multiply,
    random_quaternions,
)
from pyxem_cnn.simulation.kinematic import KinematicSimulator
from tests._crystals import crystal

N_PATTERNS = 30
CENTER, SCALE = (64.37, 62.81), 0.02  # of pyxem_cnn.data.grain_scan
PROBLEM = "ignore:The (beam centre|scale|ellipticity) is off:UserWarning"


@pytest.fixture(scope="module")
def model():
    return load_model("si_200kV")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Silicon grains made by diffsims, read into memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's and dask's deprecations
        path = tmp_path_factory.mktemp("scan") / "scan.zspy"
        scan, _ = grain_scan(path, shape=(12, 12), n_grains=12, seed=2)
        scan.compute(show_progressbar=False)
    return scan


def check(scan, model, **geometry) -> CalibrationCheck:
    return check_calibration(scan, model, geometry=geometry, n_patterns=N_PATTERNS)


@pytest.fixture(scope="module")
def right(scan, model) -> CalibrationCheck:
    return check(scan, model)


@pytest.fixture(scope="module")
def corrected(scan, model) -> CalibrationCheck:
    """The check of a geometry in which everything is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check(scan, model, **WRONG["all"])


WRONG = {
    "right": {},
    "centre": {"center": (CENTER[0] + 2.0, CENTER[1])},
    "scale": {"scale": 1.03 * SCALE},
    "ellipticity": {"ellipticity": 1.02, "ellipse_angle": 30.0},
    "all": {
        "center": (CENTER[0] - 1.2, CENTER[1] + 1.6),
        "scale": 0.97 * SCALE,
        "ellipticity": 1.02,
        "ellipse_angle": -50.0,
    },
    "far": {"scale": 1.2 * SCALE, "center": (CENTER[0] - 3, CENTER[1] + 2)},
}


@pytest.mark.filterwarnings(PROBLEM)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_calibration_is_found_again(wrong: str, scan, model, request) -> None:
    ready = {"right": "right", "all": "corrected"}.get(wrong)
    found = request.getfixturevalue(ready) if ready else check(scan, model, **WRONG[wrong])
    # docs/user/look.md states these accuracies.
    assert np.hypot(*np.subtract(found.corrected.center, CENTER)) < 0.05
    assert abs(found.corrected.scale[0] / SCALE - 1) < 0.002
    assert abs(found.corrected.ellipticity - 1) < 0.004
    assert found.confidence[1] > 0.9
    assert found.confidence[1] > found.confidence[0] - 0.01
    given = found.given
    np.testing.assert_allclose(found.center_shift, np.subtract(CENTER, given.center), atol=0.05)
    assert found.scale_ratio == pytest.approx(SCALE / given.scale[0], abs=0.002)
    assert found.ellipticity == pytest.approx(given.ellipticity, abs=0.004)
    off = {"centre": "beam centre", "scale": "scale", "ellipticity": "ellipticity"}
    expected = {"right": [], "all": list(off), "far": ["centre", "scale"]}.get(wrong, [wrong])
    told = [problem.split(" is off by")[0] for problem in found.problems]
    assert told == [f"The {off[name]}" for name in expected]


def test_standard_errors_cover_the_truth(corrected: CalibrationCheck) -> None:
    fit = corrected.fit
    assert abs(fit.geometry.center[0] - CENTER[0]) < 4 * fit.center_error[0] + 0.01
    assert abs(fit.geometry.center[1] - CENTER[1]) < 4 * fit.center_error[1] + 0.01
    assert abs(fit.geometry.scale[0] / SCALE - 1) < 4 * fit.scale_error + 5e-4
    assert max(fit.center_error) < 0.05
    assert fit.scale_error < 0.002
    assert fit.n_patterns > 10
    assert fit.n_spots > 100


def test_corrected_geometry_maps_like_the_right_one(
    scan, model, corrected: CalibrationCheck
) -> None:
    part = scan.inav[3:9, 3:9]
    maps = [
        part.get_orientation_map_cnn(model, geometry=geometry, show_progressbar=False)
        for geometry in (None, corrected.corrected)
    ]
    symmetry = model.crystal.symmetry_quaternions()
    degrees = np.rad2deg(disorientation_angle(*(one.rotations.data for one in maps), symmetry))
    assert np.median(degrees) < 0.2


def test_report_and_figure(scan, model) -> None:
    with pytest.warns(UserWarning, match=r"The scale is off by 2\.9 %.* bears 2\.5 %.*Pass geom"):
        found = check(scan, model, scale=1.03 * SCALE)
    text = repr(found)
    assert text.startswith("CalibrationCheck of 30 of 144 patterns with 'si_200kV'")
    for part in ("x 64.3", "% from given", "the model bears 2.5 %", "Friedel's law", "run time:"):
        assert part in text
    figure = found.plot()
    axes = [one for sub in figure.subfigs for one in sub.axes]
    assert len(axes) == 9
    assert len(axes[0].lines) == 2 * (8 + 1)
    # The first ring of silicon, {111}, as corrected: its radius in pixels about the true beam.
    curve = next(line for line in axes[0].lines[9:] if line.get_linestyle() == "-")
    radius = np.hypot(*(curve.get_xydata() - CENTER).T)
    np.testing.assert_allclose(radius, np.sqrt(3) / 5.431 / SCALE, rtol=0.006)


def test_nothing_recognised(scan, model) -> None:
    with pytest.warns(UserWarning, match="could not be checked.*right phase"):
        found = check(scan, model, scale=2.5 * SCALE)
    assert found.fit is None
    assert found.corrected is found.given
    assert "nothing is corrected" in repr(found)
    view = view_of(found)
    assert len(view.rings) == len(view.centers) == len(view.profiles) == 1
    assert all(pattern.corrected.shape == (0, 2) for pattern in view.patterns)
    found.plot()


@pytest.mark.parametrize("name", ["trigonal", "hexagonal", "monoclinic"])
def test_fit_of_other_crystals_and_readouts(name: str, rng: np.random.Generator) -> None:
    """With orientations that are known up to 1 degree, for a detector that does everything."""
    truth = DetectorGeometry(
        (140, 150), (77.3, 66.2), (0.02, 0.021), 200, flip_y=True, transpose=True,
        ellipticity=1.02, ellipse_angle=25.0,
    )  # fmt: skip
    simulator = KinematicSimulator(crystal(name), 200, 1.2, 0.04)
    quaternions = random_quaternions(20, rng)
    spots = simulator.spots(quaternions)
    columns, rows = np.meshgrid(np.arange(150), np.arange(140))
    x, y = truth.to_pixels(spots.k[..., 0], spots.k[..., 1])
    strength = spots.intensity / (1 + (spots.excitation_error / 0.015) ** 2)
    patterns = np.zeros((20, 140, 150))
    for pattern, *lists in zip(patterns, x, y, strength, strict=True):
        for column, row, height in zip(*lists, strict=True):
            if height > 1e-3 * lists[2].max():
                pattern += height * np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / 3)
        pattern *= 2e4 / pattern.sum()
    patterns = rng.poisson(patterns + 0.2)
    tilts = from_rotation_vector(rng.normal(0, np.deg2rad(0.6), (20, 3)))
    reading = Reading(multiply(quaternions, tilts), np.ones(20))
    given = replace(truth, center=(77.8, 65.6), scale=(0.02 * 1.02, 0.021 * 1.02), ellipticity=1.0)
    fit = fit_geometry(patterns, given, simulator, lambda _: reading)
    assert np.hypot(*np.subtract(fit.geometry.center, truth.center)) < 0.1
    assert fit.geometry.scale == pytest.approx(truth.scale, rel=0.004)
    assert fit.geometry.ellipticity == pytest.approx(1.02, abs=0.006)
    assert abs((fit.geometry.ellipse_angle - 25 + 90) % 180 - 90) < 10


def test_fit_gives_up_without_spots(rng: np.random.Generator) -> None:
    simulator = KinematicSimulator(crystal("cubic"), 200, 1.2)
    geometry = DetectorGeometry((64, 64), (32, 32), (0.04, 0.04))
    reading = Reading(random_quaternions(5, rng), np.ones(5))
    patterns = rng.poisson(3.0, (5, 64, 64))
    assert fit_geometry(patterns, geometry, simulator, lambda _: reading) is None
    unsure = Reading(reading.quaternions, np.zeros(5))
    assert fit_geometry(patterns, geometry, simulator, lambda _: unsure) is None


def test_huge_lazy_scan_is_only_sampled() -> None:
    blocks = []

    def make(block_id: tuple[int, ...]) -> np.ndarray:
        blocks.append(block_id)
        return np.full((20, 20, 64, 64), 100 * block_id[0] + block_id[1], np.uint16)

    chunks = ((20,) * 100, (20,) * 100, (64,), (64,))  # 32 GB
    data = da.map_blocks(make, chunks=chunks, dtype=np.uint16, meta=np.empty((0,) * 4, np.uint16))
    sample = read_sample(data, 50)
    assert sample.patterns.shape == (50, 64, 64)
    assert len(blocks) == MAX_REGIONS == 16
    assert sample.n_read == 16 * 400
    assert sample.seconds > 0
    block = sample.positions // 20
    np.testing.assert_array_equal(sample.patterns[:, 0, 0], 100 * block[:, 0] + block[:, 1])
    assert np.ptp(sample.positions, axis=0).min() > 1000  # all over the scan


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("lazy", [False, True])
def test_sample_of_any_scan(shape: tuple[int, ...], lazy: bool) -> None:
    n = int(np.prod(shape))
    data = np.arange(n, dtype=np.uint16).reshape(*shape, 1, 1) * np.ones((5, 6), np.uint16)
    given = da.from_array(data, chunks=(*(2,) * len(shape), 5, 6)) if lazy else data
    sample = read_sample(given, 5)
    assert 1 <= len(sample.patterns) <= min(5, n)
    for pattern, position in zip(sample.patterns, sample.positions, strict=True):
        np.testing.assert_array_equal(pattern, data[tuple(position)])
    assert len({tuple(p) for p in sample.positions}) == len(sample.patterns)


def test_large_chunks_are_not_read_whole() -> None:
    chunks = ((500,), (400,), (64,), (64,))  # one chunk of 1.6 GB
    data = da.zeros((500, 400, 64, 64), chunks=chunks, dtype=np.uint16)
    assert read_sample(data, 10).n_read * 64 * 64 * 2 <= 64 * 2**20


def test_handedness_cannot_be_told_by_friedel_models(right: CalibrationCheck) -> None:
    told = right.handedness
    assert told.verdict is None
    assert "Friedel" in told.reason
    assert told.confidences[0] == pytest.approx(told.confidences[1], abs=0.05)


def _polar_reader(phase: CrystalStructure, as_given: float, mirrored: float, spread: float):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, spread, (2, 40))
    model = SimpleNamespace(polarity=True, crystals=(phase,))

    class Reader:
        def __init__(self) -> None:
            self.model, self.phase = model, 0

        def __call__(self, geometry: DetectorGeometry) -> Reading:
            base, own = (mirrored, noise[1]) if geometry.flip_x else (as_given, noise[0])
            return Reading(np.ones((40, 4)), base + own)

    return Reader()


def test_handedness_of_chiral_crystals() -> None:
    geometry = DetectorGeometry((64, 64), (32, 32), (0.04, 0.04), ellipse_angle=20)
    quartz = CrystalStructure.from_asymmetric_unit(
        (4.913, 4.913, 5.405, 90, 90, 120),
        "P 32 2 1",
        ["Si", "O"],
        [[0.4697, 0, 0], [0.4135, 0.2669, 0.1191]],
        name="quartz",
    )
    for values, verdict in (((0.9, 0.8), "as given"), ((0.7, 0.9), "mirrored"), ((0.8, 0.8), None)):
        told = tell_handedness(_polar_reader(quartz, *values, 0.1), geometry)
        assert told.verdict == verdict
        assert "standard errors" in told.reason
    gaas = tell_handedness(_polar_reader(crystal("gaas"), 0.9, 0.5, 0.1), geometry)
    assert gaas.verdict is None
    assert "not chiral" in gaas.reason
    assert _judge(np.array([0.9]), np.array([0.1]))[0] is None  # one pattern proves nothing


def test_wander_of_the_beam(rng: np.random.Generator) -> None:
    rows, columns = np.mgrid[:64, :64]
    places = 32 + rng.normal(0, 0.8, (200, 2))
    patterns = np.stack([np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8) for x, y in places])
    assert beam_wander(patterns) == pytest.approx(0.8, rel=0.15)
    assert np.isnan(beam_wander(np.zeros((3, 64, 64))))
    assert "0.80 px" in _wander(0.8)
    assert "no counts" in _wander(np.nan)


def test_wrong_input_is_refused(scan, model) -> None:
    with pytest.raises(TypeError, match="signal: got 3, expected a pyxem diffraction signal"):
        check_calibration(3, model)
    with pytest.raises(ValueError, match="model: .*expected one model. Check the phases one by"):
        check_calibration(scan, [model, model])
    with pytest.raises(ValueError, match="n_patterns: got 0"):
        check_calibration(scan, model, n_patterns=0)
    with pytest.raises(ValueError, match="The signal axes are not calibrated"):
        check_calibration(Signal2D(np.ones((2, 2, 32, 32))), model)


def test_run_time_grows_with_the_scan(right: CalibrationCheck) -> None:
    shapes = ((40, 50, 128, 128), (1000, 1000, 128, 128))
    small, large = (
        estimate_seconds(
            right.sample,
            right.reader,
            right.given,
            da.zeros(shape, chunks=(10, 50, 128, 128), dtype=np.uint16),
        )
        for shape in shapes
    )
    assert 50 < large / small < 5000  # 500, on a machine that does nothing else


def test_of_several_phases_the_one_that_is_shown_most_is_measured(monkeypatch):
    model = SimpleNamespace(crystals=(crystal("cubic"), crystal("trigonal"), crystal("hexagonal")))
    rows = np.ones((5, 1, len(COLUMNS)), dtype=np.float32)
    rows[:, 0, COLUMNS.index("phase_id")] = [0, 1, 1, -1, 0]
    rows[:, 0, COLUMNS.index("score")] = [0.3, 0.9, 0.8, np.nan, 0.4]
    rows[:, 0, COLUMNS.index("phase_probability")] = [np.nan, 1.0, 0.5, np.nan, 1.0]
    monkeypatch.setattr(SampleReader, "predictor", lambda *_: lambda patterns: rows)
    first = SampleReader(np.zeros((5, 4, 4)), model, "cpu")
    read = first.of_likeliest_phase(None)
    assert (first.phase, read.phase) == (0, 1)
    reading = read(None)
    np.testing.assert_allclose(reading.confidence, [0.3, 0.9, 0.4, 0, 0.4], rtol=1e-6)
    has_orientation = np.isfinite(reading.quaternions).all(axis=1)
    np.testing.assert_array_equal(has_orientation, [False, True, True, False, False])
    alone = SampleReader(first.patterns, SimpleNamespace(crystals=(crystal("cubic"),)), "cpu")
    assert alone.of_likeliest_phase(None) is alone
