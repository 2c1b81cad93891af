"""Fine-tuning: labels stay with their patterns, and a scan's grains are learnt."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from pyxem_cnn.indexing.fine_tuning.fine_tune import TuningConfig, fine_tune
from pyxem_cnn.indexing.fine_tuning.scan_patterns import ScanPatterns, trusted_points
from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.model import ModelDescription, OrientationModel
from pyxem_cnn.networks.azimuthal import AzimuthalConfig, AzimuthalNetwork
from pyxem_cnn.rotations import disorientation_angle, random_quaternions
from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget
from tests._crystals import crystal
from tests.indexing.conftest import GEOMETRY, GRID, detector_patterns

pytest.importorskip("lightning")

NY, NX, N_GRAINS = 10, 12, 3
NAMES = ("cubic", "trigonal", "hexagonal")
SHORT = TuningConfig(n_patterns=64, batch_size=32)


def model_of(name):
    """Return a model with random weights."""
    torch.manual_seed(0)
    target = ZoneInPlaneTarget.for_crystal(crystal(name), spacing=12.0)
    config = AzimuthalConfig(
        n_radial=GRID.n_radial,
        n_azimuthal=GRID.n_azimuthal,
        n_zones=tuple(target.n_zones),
        width=48,
        n_blocks=1,
    )
    description = ModelDescription(crystal(name), GRID, target, 200, name="fresh", licence="MIT")
    return OrientationModel.build(AzimuthalNetwork(config).eval(), description)


def grains(seed=0):
    """Return orientations (NY, NX, 4): each grain is seen in every row."""
    return random_quaternions(N_GRAINS, np.random.default_rng(seed))[np.arange(NX) % N_GRAINS][
        None
    ].repeat(NY, axis=0)


def scan_of(name, orientations):
    from pyxem.signals import ElectronDiffraction2D

    clean = detector_patterns(name, orientations[0, :N_GRAINS], total=5000)
    rates = clean[np.arange(NX) % N_GRAINS][None].repeat(NY, axis=0)
    return ElectronDiffraction2D(np.random.default_rng(1).poisson(rates).astype(np.uint16))


def map_of(name, orientations, scores=None, **options):
    n = NY * NX
    y, x = np.divmod(np.arange(n), NX)
    prop = {} if scores is None else {"scores": scores}
    return build_crystal_map(
        orientations.reshape(n, 4),
        np.zeros(n, dtype=int),
        [crystal(name)],
        coordinates={"x": x.astype(float), "y": y.astype(float)},
        prop=prop,
        **options,
    )


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    orientations = grains()
    return (
        request.param,
        scan_of(request.param, orientations),
        map_of(request.param, orientations),
        model_of(request.param),
    )


def read(case, **options):
    from pyxem_cnn.indexing.scan import resolve_geometry

    _, signal, xmap, model = case
    geometry = resolve_geometry(signal, GEOMETRY | options, None, False)
    return ScanPatterns.read(signal, xmap, np.arange(24), model, geometry)


class TestPatterns:
    def test_labels_stay_with_turned_and_mirrored_patterns(self, case):
        """A pattern simulated at its label is the pattern."""
        from pyxem_cnn.detector.resampling import ResamplingOperator
        from pyxem_cnn.indexing.scan import resolve_geometry

        name, signal, _, _ = case
        batch = read(case).batch(40, torch.Generator().manual_seed(2))
        geometry = resolve_geometry(signal, GEOMETRY, None, False)
        again = detector_patterns(name, batch.orientation.double().numpy(), total=5000)
        expected, _ = ResamplingOperator(geometry, GRID)(again.astype(np.float32))
        fits = [
            np.corrcoef(a.ravel(), b.ravel())[0, 1]
            for a, b in zip(np.sqrt(batch.counts.numpy()), np.sqrt(expected), strict=True)
        ]
        assert np.median(fits) > 0.8
        assert len({tuple(q) for q in batch.orientation.numpy().round(3).tolist()}) > 30

    def test_electrons_are_whole(self, case):
        """As in indexing: every electron is in one bin."""
        from pyxem_cnn.detector.resampling import ResamplingOperator
        from pyxem_cnn.indexing.scan import resolve_geometry

        geometry = resolve_geometry(case[1], GEOMETRY, None, False)
        electrons = read(case).counts.numpy() * ResamplingOperator(geometry, GRID).covered_area
        assert electrons.sum() > 1000
        np.testing.assert_allclose(electrons, electrons.round(), atol=1e-3)

    def test_measured_ones_are_as_they_were(self, case):
        from dataclasses import replace

        patterns = replace(read(case), is_training=False)
        batch = patterns.batch(10, torch.Generator().manual_seed(2))
        for counts, orientation in zip(batch.counts, batch.orientation, strict=True):
            same = (patterns.counts == counts).all(-1).all(-1)
            assert (patterns.orientation[same] == orientation).all()

    def test_maps_in_the_scan_frame_are_turned_back(self, case):
        plain = read(case)
        turned = read(case, scan_rotation=30.0)
        torch.testing.assert_close(turned.orientation, plain.orientation)
        name, signal, _, model = case
        in_scan = map_of(name, grains(), frame="scan")
        in_scan = read((name, signal, in_scan, model), scan_rotation=30.0)
        relative = Rotation.from_quat(np.roll(plain.orientation.numpy(), -1, axis=1)).inv()
        relative *= Rotation.from_quat(np.roll(in_scan.orientation.numpy(), -1, axis=1))
        np.testing.assert_allclose(np.rad2deg(relative.magnitude()), 30, atol=1e-3)
        # About the beam.
        np.testing.assert_allclose(relative.as_rotvec()[:, :2], 0, atol=1e-5)


class TestFineTune:
    def test_learns_the_grains_of_a_scan(self):
        name = "cubic"
        orientations = grains()
        signal, xmap = scan_of(name, orientations), map_of(name, orientations)
        model = model_of(name)
        config = TuningConfig(n_patterns=9600, batch_size=64, learning_rate=3e-3)
        tuned = fine_tune(
            model, signal, xmap, geometry=GEOMETRY, config=config, show_progressbar=False
        )
        figures = tuned.metadata["metrics"]
        assert figures["own scan, before"]["within_5"] < 10
        assert figures["own scan, after"]["within_5"] > 90
        assert tuned.name == "fresh_tuned"
        assert tuned.metadata["licence"] == "MIT"
        assert tuned.metadata["training"]["tuned"]["from_sha256"] == model.sha256
        assert tuned.metadata["training"]["tuned"]["n_patterns"] == 9600
        found = signal.get_orientation_map_cnn(tuned, geometry=GEOMETRY, show_progressbar=False)
        angle = np.rad2deg(
            disorientation_angle(
                found.rotations.data, orientations.reshape(-1, 4), tuned.target.symmetry
            )
        )
        assert (angle < 5).mean() > 0.9

    def test_lazy_scans_are_the_same(self, case):
        _, signal, xmap, model = case
        options = {"geometry": GEOMETRY, "config": SHORT, "show_progressbar": False}
        with warnings.catch_warnings():
            # So few patterns teach nothing.
            warnings.filterwarnings("ignore", "The tuned model agrees less")
            tuned, lazy = (fine_tune(model, s, xmap, **options) for s in (signal, signal.as_lazy()))
        for a, b in zip(
            tuned.module.state_dict().values(), lazy.module.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(a, b)

    def test_one_that_became_worse_says_so(self):
        """Of a map that is random, a model that was right before learns nothing good."""
        name, orientations = "cubic", grains()
        signal, xmap = scan_of(name, orientations), map_of(name, orientations)
        options = {"geometry": GEOMETRY, "show_progressbar": False}
        config = TuningConfig(n_patterns=9600, batch_size=64, learning_rate=3e-3)
        good = fine_tune(model_of(name), signal, xmap, config=config, **options)
        wrong = grains()
        wrong[:8] = random_quaternions(8 * NX, np.random.default_rng(9)).reshape(8, NX, 4)
        with pytest.warns(UserWarning, match="agrees less with the map"):
            fine_tune(good, signal, map_of(name, wrong), config=config, **options)


class TestPoints:
    def test_scores_and_phases(self):
        scores = np.linspace(0, 1, NY * NX)
        xmap = map_of("cubic", grains(), scores=scores)
        points = trusted_points(xmap, (NY, NX), 0.75, 1)
        np.testing.assert_array_equal(points, np.flatnonzero(scores >= 0.75))
        xmap[:3, :].phase_id = -1
        assert trusted_points(xmap, (NY, NX), 0.0, 1).min() == 3 * NX

    @pytest.mark.parametrize(
        ("change", "error", "words"),
        [
            ({"shape": (NY, NX + 1)}, ValueError, r"120 points.*\(10, 13\).*whole map"),
            ({"minimum_score": 1.0}, ValueError, "trusted points.*Lower minimum_score"),
            ({"crystal_map": 3}, TypeError, "crystal_map"),
        ],
    )
    def test_wrong_maps(self, change, error, words):
        xmap = map_of("cubic", grains(), scores=np.full(NY * NX, 0.5))
        options = {"crystal_map": xmap, "shape": (NY, NX), "minimum_score": 0.2, "n_phases": 1}
        with pytest.raises(error, match=words):
            trusted_points(**options | change)

    def test_slices_of_maps_are_refused(self):
        with pytest.raises(ValueError, match="not a slice"):
            trusted_points(map_of("cubic", grains())[:4, :], (NY, NX), 0.0, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"n_patterns": 0},
        {"learning_rate": -1},
        {"held_out": 0},
        {"held_out": 1.2},
        {"batch_size": -3},
    ],
)
def test_config(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        TuningConfig(**options)
