"""One block of patterns to one block of predictions."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import ResamplingOperator
from pyxem_cnn.indexing.block import COLUMNS, BlockPredictor, _compete, _Part, _readable
from pyxem_cnn.rotations import about_z, multiply
from pyxem_cnn.signals.orientation_prediction import COLUMNS as SIGNAL_COLUMNS
from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget
from tests._crystals import crystal


class SeveralPhases:
    """A model that names two phases in turn, and is surer of itself than the one in it."""

    def __init__(self, model):
        self.model, self.grid, self.crystals = model, model.grid, (model.crystal, model.crystal)

    def predict(self, counts, mask, n_best, device):
        decoded = self.model.predict(counts, mask, n_best, device)
        phase = (torch.arange(n_best) + 1).remainder(2).expand(len(counts), n_best)
        return decoded._replace(phase=phase, phase_probability=torch.ones(len(counts), n_best))


class Told:
    """A model whose network says the same of every pattern: cells and classes that are given."""

    def __init__(self, grid, names, probability, classes):
        self.grid, self.crystals = grid, tuple(crystal(name) for name in names)
        self.target = ZoneInPlaneTarget.for_crystal(list(self.crystals), spacing=8.0)
        self.probability, self.classes = torch.tensor([probability]), torch.tensor([classes])

    def predict(self, counts, mask, n_best, device):
        # A cell of each phase in turn.
        cells = torch.tensor([self.target.first_zones]) * self.target.n_bins
        outputs = {
            "cell": cells,
            "probability": self.probability,
            "residual": torch.zeros(*cells.shape, 3),
            "class_probability": self.classes,
        }
        n = len(counts)
        return self.target.decode(
            {k: x.expand(n, *x.shape[1:]) for k, x in outputs.items()}, n_best
        )


@pytest.fixture
def predictor(model, scan, geometry):
    return make(model, scan, geometry)


def make(models, scan, geometry, **options):
    models = models if isinstance(models, tuple) else (models,)
    detector = DetectorGeometry(shape=scan.data.shape[-2:], **geometry | {"scale": (0.045, 0.045)})
    operators = tuple(ResamplingOperator(detector, one.grid) for one in models)
    options = {"n_best": 2, "batch_size": 5, "device": "cpu"} | options
    return BlockPredictor(models, operators, **options)


def assert_unit(rows):
    np.testing.assert_allclose(np.linalg.norm(rows[..., 2:6], axis=-1), 1, atol=1e-5)


def test_columns_are_those_of_the_signal():
    assert COLUMNS == SIGNAL_COLUMNS


def test_block(predictor, scan):
    rows = predictor(scan.data)
    assert rows.shape == (3, 4, 2, len(COLUMNS))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows[..., 0, 2:6], scan.rotations, atol=1e-6)
    assert (rows[..., 0] == 0).all()
    assert (rows[..., 0, 1] > rows[..., 1, 1]).all()
    assert (rows[..., 6] > 50).all()
    assert (rows[..., 7] > 0.8).all()
    assert_unit(rows)


@pytest.mark.parametrize("batch_size", [1, 4, 12, 1000])
def test_batch_size_changes_nothing(model, scan, geometry, batch_size, predictor):
    other = make(model, scan, geometry, batch_size=batch_size)
    np.testing.assert_allclose(other(scan.data), predictor(scan.data), atol=1e-4)


def test_navigation_shape_is_kept(predictor, scan):
    expected = predictor(scan.data)
    np.testing.assert_allclose(predictor(scan.data[1, 2]), expected[1, 2], atol=1e-5)
    np.testing.assert_allclose(predictor(scan.data[1]), expected[1], atol=1e-5)
    assert predictor(scan.data[:0]).shape == (0, 4, 2, len(COLUMNS))
    folded = scan.data.reshape(2, 3, 2, *scan.data.shape[-2:])
    np.testing.assert_allclose(
        predictor(folded).reshape(12, 2, -1), expected.reshape(12, 2, -1), atol=1e-5
    )


def test_left_out(predictor, scan):
    left_out = np.zeros((3, 4), dtype=bool)
    left_out[1], left_out[0, 2] = True, True
    rows = predictor(scan.data, left_out)
    assert np.isnan(rows[left_out]).all()
    np.testing.assert_allclose(rows[~left_out], predictor(scan.data)[~left_out], atol=1e-5)
    assert np.isnan(predictor(scan.data, np.ones((3, 4), dtype=bool))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, -5.0])
def test_unreadable_patterns_are_not_indexed(predictor, scan, bad):
    data = scan.data.astype(np.float32)
    data[1, 1] = bad
    rows = predictor(data)
    assert (rows[1, 1, :, 0] == -1).all()
    assert np.isnan(rows[1, 1, :, 1:]).all()
    others = np.ones((3, 4), dtype=bool)
    others[1, 1] = False
    np.testing.assert_allclose(rows[others], predictor(scan.data)[others], atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_pixel_on_a_spot(predictor, scan, bad):
    data = scan.data.astype(np.float32)
    rows, columns = np.indices(data.shape[-2:])
    ring = abs(np.hypot(columns - 24.3, rows - 22.8) * 0.045 - 0.5) < 0.02
    y, x = np.argwhere(ring)[0]
    data[0, 0, y, x] = bad
    assert predictor(data)[0, 0, 0, 0] == -1


def test_readable():
    counts = np.zeros((6, 2, 3), dtype=np.float32)
    counts[1] = 1
    counts[2, 0, 0], counts[3, 0, 0], counts[4, 0, 0] = np.nan, np.inf, -np.inf
    counts[4, 1], counts[5] = 3, -2
    np.testing.assert_array_equal(_readable(counts), [False, True, False, False, False, False])
    assert _readable(np.full((1, 40, 40), 3e38, dtype=np.float32)).all()


def test_all_unreadable(predictor, scan):
    rows = predictor(np.zeros_like(scan.data))
    assert (rows[..., 0] == -1).all()


def test_more_wanted_than_there_are(model, scan, geometry):
    rows = make(model, scan, geometry, n_best=20)(scan.data[0])
    assert (rows[:, :16, 0] == 0).all()
    assert (rows[:, 16:, 0] == -1).all()
    assert np.isnan(rows[:, 16:, 1:]).all()
    assert_unit(rows[:, :16])


def test_to_scan(model, scan, geometry, predictor):
    turn = tuple(about_z(np.array(0.4)))
    turned, rows = make(model, scan, geometry, to_scan=turn)(scan.data), predictor(scan.data)
    np.testing.assert_allclose(
        turned[..., 2:6], multiply(rows[..., 2:6], np.array(turn)), atol=1e-6
    )
    np.testing.assert_allclose(turned[..., [0, 1, 6, 7]], rows[..., [0, 1, 6, 7]])


def test_shifts(predictor, scan):
    """Patterns moved by whole pixels, one by one."""
    moved, shifts = np.zeros_like(scan.data), np.zeros((3, 4, 2))
    for n, (i, j) in enumerate(np.ndindex(3, 4)):
        dx, dy = n % 3 - 1, n % 5 - 2
        moved[i, j] = np.roll(scan.data[i, j], (dy, dx), axis=(0, 1))
        shifts[i, j] = dx, dy
    rows = predictor(moved, None, shifts)
    np.testing.assert_allclose(rows[..., 0, 2:6], scan.rotations, atol=1e-6)


def test_pickle(predictor, scan):
    again = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(again(scan.data), predictor(scan.data))


def test_torch_keeps_its_threads(predictor, scan):
    before = torch.get_num_threads()
    predictor(scan.data[0])
    assert torch.get_num_threads() == before


class TestCompetition:
    def test_phases_of_a_mixed_block(self, model, other_model, scan, geometry, rotations):
        from tests.indexing.conftest import detector_patterns

        data = np.concatenate([scan.data[0], detector_patterns("cubic", rotations[:3])])
        rows = make((model, other_model), scan, geometry)(data)
        np.testing.assert_array_equal(rows[:, 0, 0], [0] * 4 + [1] * 3)
        np.testing.assert_allclose(rows[:4, 0, 2:6], scan.rotations[0], atol=1e-6)
        np.testing.assert_allclose(rows[4:, 0, 2:6], rotations[:3], atol=1e-6)
        swapped = make((other_model, model), scan, geometry)(data)
        np.testing.assert_array_equal(swapped[:, 0, 0], [1] * 4 + [0] * 3)
        np.testing.assert_allclose(swapped[:, 0, 1:], rows[:, 0, 1:], atol=1e-5)

    def test_phase_ids_run_over_all_phases_of_all_models(self, model, scan, geometry):
        several = SeveralPhases(model)
        alone = make(several, scan, geometry, n_best=3)(scan.data)
        np.testing.assert_array_equal(alone[..., 0], np.broadcast_to([1, 0, 1], (3, 4, 3)))
        first = make((several, model), scan, geometry, n_best=3)(scan.data)
        np.testing.assert_array_equal(first[..., 0, 0], 1)
        assert set(np.unique(first[..., 0])) <= {0, 1, 2}
        second = make((model, several), scan, geometry, n_best=3)(scan.data)
        np.testing.assert_array_equal(second[..., 0, 0], 2)  # after the one phase of the first
        np.testing.assert_allclose(second[..., 0, 1:8], alone[..., 0, 1:8])

    def test_each_rank_counts_with_the_probability_of_its_own_phase(self, model, scan, geometry):
        # Within the phases, cells have 0.96 and 0.96. Joint with the phases, 0.48 and 0.288.
        several = Told(model.grid, ["cubic", "trigonal"], [0.6, 0.36], [0.5, 0.3, 0.1, 0.1, 0.0])
        one = Told(model.grid, ["hexagonal"], [0.6], [0.45, 0.2, 0.3, 0.05])  # joint 0.27
        rows = make((several, one), scan, geometry, n_best=3)(scan.data[0])
        np.testing.assert_array_equal(rows[..., 0], np.tile([0, 1, 2], (4, 1)))
        np.testing.assert_allclose(rows[0, :, 1], [0.6, 0.36, 0.6], rtol=1e-6)
        np.testing.assert_allclose(rows[0, :, 7], [0.5, 0.3, 0.45], rtol=1e-6)
        swapped = make((one, several), scan, geometry, n_best=3)(scan.data[0])
        np.testing.assert_array_equal(swapped[0, :, 0], [1, 2, 0])
        np.testing.assert_array_equal(swapped[..., 1:], rows[..., 1:])

    @staticmethod
    def compete(parts, n_best):
        """Let rows of models of one phase each compete."""
        return _compete([_Part(rows, rows[:, 0, 7]) for rows in parts], n_best)

    def row(self, phase, score, probability, mark=0.5):
        return [phase, score, mark, mark, mark, mark, 50, probability]

    def test_the_likeliest_phase_comes_first(self):
        a = np.array([[self.row(0, 0.9, 0.5), self.row(0, 0.1, 0.5)]])
        b = np.array([[self.row(1, 0.6, 0.7), self.row(1, 0.4, 0.7)]])
        rows = self.compete([a, b], 2)
        np.testing.assert_array_equal(rows[0, :, 0], [1, 0])
        np.testing.assert_allclose(rows[0, :, 1], [0.6, 0.9])

    def test_the_others_follow_by_joint_score(self):
        a = np.array([[self.row(0, s, 0.9) for s in (0.5, 0.3, 0.2)]])
        b = np.array([[self.row(1, s, 0.8) for s in (0.7, 0.2, 0.1)]])
        rows = self.compete([a, b], 3)
        np.testing.assert_allclose(rows[0, :, 1], [0.5, 0.7, 0.3])
        np.testing.assert_array_equal(rows[0, :, 0], [0, 1, 0])

    def test_missing_rows_go_last(self):
        missing = [-1] + [np.nan] * 7
        a = np.array([[missing, missing], [missing, missing]])
        b = np.array([[self.row(1, 0.1, 0.01), missing], [missing, missing]])
        rows = self.compete([a, b], 2)
        np.testing.assert_array_equal(rows[..., 0], [[1, -1], [-1, -1]])

    def test_without_phase_probabilities_scores_decide(self):
        a = np.array([[self.row(0, 0.4, np.nan)]])
        b = np.array([[self.row(1, 0.9, np.nan)]])
        assert self.compete([a, b], 1)[0, 0, 0] == 1
        assert self.compete([b, a], 1)[0, 0, 0] == 1
