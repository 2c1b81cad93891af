"""Live indexing: the same numbers as a map of the whole scan, whatever arrives when."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from pyxem.signals import ElectronDiffraction2D

from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.indexing.live.indexer import LiveIndexer
from pyxem_cnn.indexing.live.record import LiveRecord
from pyxem_cnn.indexing.mapping import get_orientation_map
from tests.indexing.conftest import CENTER, SCALE, SHAPE, detector_patterns

DETECTOR = DetectorGeometry(SHAPE, CENTER, (SCALE, SCALE), beam_energy=200)


@pytest.fixture(scope="module")
def shared(model):
    with LiveIndexer(model, DETECTOR, n_best=2) as indexer:
        yield indexer


@pytest.fixture
def indexer(shared):
    shared.reset()
    return shared


def map_of(data, model, **options):
    signal = ElectronDiffraction2D(data)
    for axis in signal.axes_manager.navigation_axes:
        axis.scale, axis.units = 5.0, "nm"
    return get_orientation_map(signal, model, geometry=DETECTOR, show_progressbar=False, **options)


@pytest.fixture(scope="module")
def reference(model, scan):
    return map_of(scan.data, model, n_best=2)


def assert_same_map(a, b):
    assert a.shape == b.shape
    np.testing.assert_array_equal(a.phase_id, b.phase_id)
    np.testing.assert_allclose(a.rotations.data, b.rotations.data, atol=1e-5)
    assert set(a.prop) == set(b.prop)
    for name in a.prop:
        np.testing.assert_allclose(a.prop[name], b.prop[name], rtol=1e-4, atol=1e-3)
    for x, y in ((a.x, b.x), (a.y, b.y)):  # None for maps of a line
        assert x is y is None or np.allclose(x, y)
    assert (a.frame, a.group, a.scan_unit) == (b.frame, b.group, b.scan_unit)
    assert a.phases.names == b.phases.names


class TestResult:
    def test_one_pattern(self, indexer, scan):
        result = indexer.index(scan.data[1, 2])
        assert result.first == 0
        assert result.quaternions.shape == (2, 4)
        np.testing.assert_allclose(result.quaternions[0], scan.rotations[1, 2], atol=1e-6)
        assert result.rotations.shape == (2,)
        np.testing.assert_allclose(result.rotations.data[0], scan.rotations[1, 2], atol=1e-6)
        np.testing.assert_array_equal(result.phase, 0)
        assert result.scores[0] > 0.5 > result.scores[1]
        assert result.reliability > 50
        assert result.phase_probability > 0.8
        assert 0 < result.latency < 10_000

    def test_batch(self, indexer, scan):
        result = indexer.index(scan.data[0])
        assert result.quaternions.shape == (4, 2, 4)
        assert result.rotations.shape == (4, 2)
        assert result.scores.shape == result.phase.shape == (4, 2)
        assert result.reliability.shape == result.phase_probability.shape == (4,)
        np.testing.assert_allclose(result.quaternions[:, 0], scan.rotations[0], atol=1e-6)
        np.testing.assert_array_equal(result.column("score"), result.scores)
        assert result.rows.shape == (4, 2, len(COLUMNS))

    def test_numbers_go_on(self, indexer, scan):
        firsts = [indexer.index(part).first for part in (scan.data[0], scan.data[1, 0])]
        assert firsts == [0, 4]
        assert len(indexer) == 5
        assert indexer.index(scan.data[2]).first == 5

    def test_no_patterns(self, indexer, scan):
        result = indexer.index(scan.data[0, :0])
        assert result.quaternions.shape == (0, 2, 4)
        assert len(indexer) == 0

    def test_a_pattern_without_counts(self, indexer, scan):
        result = indexer.index(np.zeros(SHAPE, np.uint16))
        np.testing.assert_array_equal(result.phase, -1)
        assert np.isnan(result.scores).all()
        np.testing.assert_array_equal(result.rotations.data, [[1, 0, 0, 0]] * 2)

    def test_repr(self, indexer, scan):
        assert repr(indexer).endswith(" on cpu, 0 patterns)")
        assert repr(indexer.index(scan.data[0, 0])).startswith("LiveResult(pattern 0, 1 of 1 in")
        batch = np.stack([scan.data[0, 0], np.zeros(SHAPE, scan.data.dtype)])
        text = repr(indexer.index(batch))
        assert text.startswith("LiveResult(patterns 1 to 2, 1 of 2 indexed, ")
        assert text.endswith(" ms)")
        assert "3 patterns; median " in repr(indexer)

    def test_does_not_change(self, indexer, scan):
        result = indexer.index(scan.data[0, 0])
        with pytest.raises(FrozenInstanceError):
            result.first = 3
        with pytest.raises(ValueError, match="read-only"):
            result.scores[0] = 1

    @pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, ">u2"])
    def test_other_dtypes(self, indexer, scan, dtype):
        data = np.minimum(scan.data[0], 255).astype(dtype)
        same = np.minimum(scan.data[0], 255)
        np.testing.assert_allclose(indexer.index(data).rows, indexer.index(same).rows, atol=1e-4)

    def test_several_phases(self, model, other_model, scan, rotations):
        both = LiveIndexer([model, other_model], DETECTOR)
        cubic = detector_patterns("cubic", rotations[:3]).astype(np.uint16)
        data = np.concatenate([scan.data[0], cubic])
        result = both.index(data)
        np.testing.assert_array_equal(result.phase[:, 0], [0] * 4 + [1] * 3)
        np.testing.assert_allclose(result.quaternions[4:, 0], rotations[:3], atol=1e-6)
        reference = map_of(data, [model, other_model])
        found = both.crystal_map((7,), step=5.0, units="nm")
        assert_same_map(found, reference)

    def test_mask_and_scan_rotation(self, model, scan):
        mask = np.zeros(SHAPE, dtype=bool)
        mask[:, 30:34] = True
        turned = replace(DETECTOR, scan_rotation=30)
        indexer = LiveIndexer(model, turned, signal_mask=mask)
        for patterns in scan.data:
            indexer.index(patterns)
        signal = ElectronDiffraction2D(scan.data)
        options = {"geometry": turned, "signal_mask": mask, "show_progressbar": False}
        reference = get_orientation_map(signal, model, **options)
        found = indexer.crystal_map((3, 4))
        assert found.frame == "scan"
        assert_same_map(found, reference)


class TestMap:
    def test_one_by_one(self, indexer, scan, reference):
        for pattern in scan.data.reshape(-1, *SHAPE):
            indexer.index(pattern)
        assert_same_map(indexer.crystal_map((3, 4), step=5.0, units="nm"), reference)

    @pytest.mark.parametrize("size", [2, 5, 12])
    def test_in_batches(self, indexer, scan, reference, size):
        flat = scan.data.reshape(-1, *SHAPE)
        for start in range(0, len(flat), size):
            indexer.index(flat[start : start + size])
        assert_same_map(indexer.crystal_map((3, 4), step=5.0, units="nm"), reference)

    def test_out_of_order(self, indexer, scan, reference, rng):
        flat = scan.data.reshape(-1, *SHAPE)
        for number in rng.permutation(12):
            assert indexer.index(flat[number], first=number).first == number
        assert_same_map(indexer.crystal_map((3, 4), step=5.0, units="nm"), reference)

    def test_minimum_score(self, indexer, scan, model):
        indexer.index(scan.data.reshape(-1, *SHAPE))
        best = indexer.crystal_map((3, 4)).prop["scores"][:, 0]
        middle = float(best.min() + best.max()) / 2
        found = indexer.crystal_map((3, 4), minimum_score=middle, step=5.0, units="nm")
        np.testing.assert_array_equal(found.phase_id, np.where(best < middle, -1, 0))
        assert 0 < (found.phase_id == -1).sum() < 12
        assert_same_map(found, map_of(scan.data, model, n_best=2, minimum_score=middle))

    def test_what_has_not_arrived_is_not_in_the_data(self, indexer, scan, reference):
        indexer.index(scan.data[0], first=0)
        indexer.index(scan.data[2, 3], first=11)
        found = indexer.crystal_map((3, 4))
        assert found.is_in_data.tolist() == [True] * 4 + [False] * 7 + [True]
        assert found.size == 5
        np.testing.assert_array_equal(found.phase_id, 0)
        expected = reference.rotations.data[[0, 1, 2, 3, 11]]
        np.testing.assert_allclose(found.rotations.data, expected, atol=1e-5)

    def test_one_scan_after_another(self, indexer, scan, reference):
        for data in (scan.data[::-1], scan.data):
            indexer.index(data.reshape(-1, *SHAPE))
        with pytest.raises(ValueError, match=r"scan_shape: got \(3, 4\), expected room for the 24"):
            indexer.crystal_map((3, 4))
        second = indexer.crystal_map((3, 4), first=12, step=5.0, units="nm")
        assert_same_map(second, reference)

    def test_reset(self, indexer, scan):
        indexer.index(scan.data[0])
        indexer.reset()
        assert len(indexer) == indexer.latency.n_calls == 0
        assert indexer.index(scan.data[0, 0]).first == 0

    @pytest.mark.parametrize("shape", [(), (3, 4, 5), (0, 4), (3, -1)])
    def test_bad_shapes(self, indexer, shape):
        with pytest.raises(ValueError, match="scan_shape: got"):
            indexer.crystal_map(shape)


class TestThreads:
    def test_two_threads(self, indexer, scan, reference):
        flat = scan.data.reshape(-1, *SHAPE)
        barrier = threading.Barrier(2)

        def work(which):
            barrier.wait()
            return [indexer.index(flat[n], first=n) for n in range(which, 12, 2)]

        with ThreadPoolExecutor(2) as pool:
            results = [one for part in pool.map(work, range(2)) for one in part]
        assert sorted(one.first for one in results) == list(range(12))
        for one in results:
            truth = scan.rotations.reshape(-1, 4)[one.first]
            np.testing.assert_allclose(one.quaternions[0], truth, atol=1e-6)
        assert_same_map(indexer.crystal_map((3, 4), step=5.0, units="nm"), reference)

    def test_numbers_are_given_once(self):
        record = LiveRecord(1)
        with ThreadPoolExecutor(8) as pool:
            firsts = list(pool.map(lambda _: record.reserve(3), range(500)))
        assert sorted(firsts) == list(range(0, 1500, 3))

    def test_submit(self, indexer, scan, reference):
        seen = []
        futures = [indexer.submit(pattern) for pattern in scan.data.reshape(-1, *SHAPE)]
        for future in futures:
            future.add_done_callback(lambda done: seen.append(done.result().first))
        assert [one.result().first for one in futures] == list(range(12))
        assert_same_map(indexer.crystal_map((3, 4), step=5.0, units="nm"), reference)
        assert sorted(seen) == list(range(12))

    def test_a_buffer_may_be_used_again(self, indexer, scan):
        buffer = scan.data[0, 0].copy()
        indexer.submit(np.stack([scan.data[0, 1]] * 30))  # keeps the queue busy
        future = indexer.submit(buffer)
        buffer[:] = 0
        np.testing.assert_allclose(future.result().quaternions[0], scan.rotations[0, 0], atol=1e-6)

    def test_waiting_counts(self, indexer, scan, monkeypatch):
        slow = indexer._predictor

        def wait(patterns):
            time.sleep(0.05)
            return slow(patterns)

        monkeypatch.setattr(indexer, "_predictor", wait)
        # The number of orientations is asked of the predictor.
        monkeypatch.setattr(LiveIndexer, "n_best", 2)
        results = [one.result() for one in [indexer.submit(scan.data[0, 0]) for _ in range(3)]]
        assert [one.latency > 49 * (n + 1) for n, one in enumerate(results)] == [True] * 3

    def test_closed(self, model, scan):
        with LiveIndexer(model, DETECTOR) as indexer:
            future = indexer.submit(scan.data[0, 0])
        assert future.done()
        with pytest.raises(RuntimeError) as caught:
            indexer.submit(scan.data[0, 1])
        assert "The indexer was closed" in caught.value.__notes__[0]
        assert indexer.index(scan.data[0, 1]).first == 1


class TestLatency:
    def test_statistics(self, indexer, scan):
        assert indexer.latency.n_calls == 0
        assert np.isnan(indexer.latency.median)
        values = [indexer.index(scan.data[0, n % 4]).latency for n in range(9)]
        summary = indexer.latency
        assert summary.n_calls == 9
        assert summary.median == np.median(values)
        assert summary.percentile_95 == np.percentile(values, 95)
        assert summary.maximum == max(values)
        assert str(summary).startswith(f"median {summary.median:.1f} ms, 95th perc")

    def test_the_last_calls_count(self):
        record = LiveRecord(1)
        rows = np.zeros((1, 1, len(COLUMNS)))
        for n in range(10_010):
            record.write(record.reserve(1), rows, float(n))
        assert record.latency().n_calls == 10_010
        assert record.latency().maximum == 10_009
        assert record.latency().median == 10 + (10_000 - 1) / 2
        assert len(record) == 10_010

    def test_the_first_pattern_does_not_wait_for_compilers(self, model, scan, tmp_path):
        """Nothing is compiled or loaded any more: it takes about as long as the next ones."""
        code = (
            "import json, pickle, sys;"
            "model, detector, patterns = pickle.load(open(sys.argv[1], 'rb'));"
            "from pyxem_cnn import LiveIndexer; indexer = LiveIndexer(model, detector);"
            "print(json.dumps([indexer.index(one).latency for one in patterns]));"
            "slow = ('hyperspy', 'dask', 'pyxem', 'orix');"
            "print(json.dumps([name for name in slow if name in sys.modules]))"
        )
        path = tmp_path / "all.pickle"
        path.write_bytes(pickle.dumps((model, DETECTOR, scan.data.reshape(-1, *SHAPE))))
        command = [sys.executable, "-c", code, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        (first, *others), imported = map(json.loads, done.stdout.splitlines())
        assert first < 20 * np.median(others)
        assert imported == []


class TestRefusals:
    def test_shapes(self, indexer):
        for shape in [(48, 49), (50, 48), (2, 3, *SHAPE), (48,), ()]:
            with pytest.raises(ValueError, match=r"patterns: got .*, expected shape \(48, 50\) or"):
                indexer.index(np.zeros(shape, np.uint16))
            with pytest.raises(ValueError, match="make an indexer with the geometry"):
                indexer.submit(np.zeros(shape, np.uint16))
        assert len(indexer) == 0

    def test_types(self, indexer):
        with pytest.raises(TypeError, match="patterns: got .*complex128, expected an array of int"):
            indexer.index(np.zeros(SHAPE, complex))
        with pytest.raises(TypeError, match="patterns: got 'a pattern'"):
            indexer.index("a pattern")

    def test_numbers(self, indexer, scan):
        indexer.index(scan.data[0])
        with pytest.raises(ValueError, match=r"Pattern 3 was indexed before.*reset\(\)"):
            indexer.index(scan.data[1], first=3)
        with pytest.raises(ValueError, match="first: got -1"):
            indexer.index(scan.data[1], first=-1)
        assert indexer.index(scan.data[1]).first == 4

    def test_numbers_of_failed_patterns_are_free_again(self, indexer, scan, monkeypatch):
        def fail(patterns):
            raise MemoryError("full")

        with monkeypatch.context() as patched:
            patched.setattr(indexer, "_predictor", fail)
            with pytest.raises(MemoryError, match="full"):
                indexer.index(scan.data[0])
        assert len(indexer) == 0
        assert indexer.index(scan.data[0]).first == 0

    def test_making_one(self, model):
        with pytest.raises(TypeError, match=r"geometry: got .*DetectorGeometry.from_signal"):
            LiveIndexer(model, {"center": CENTER})
        with pytest.raises(ValueError, match="taken at 80 kV"):
            LiveIndexer(model, replace(DETECTOR, beam_energy=80))
        with pytest.raises(ValueError, match=r"signal_mask: got .*\(3, 3\)"):
            LiveIndexer(model, DETECTOR, signal_mask=np.zeros((3, 3), bool))
        with pytest.raises(ValueError, match="batch_size: got 0"):
            LiveIndexer(model, DETECTOR, batch_size=0)
        with pytest.raises(ValueError, match="n_best: got 0"):
            LiveIndexer(model, DETECTOR, n_best=0)
        with pytest.raises(TypeError, match="dtype: got"):
            LiveIndexer(model, DETECTOR, dtype="datetime64[s]")
        with pytest.raises(FileNotFoundError, match="nor a shipped model"):
            LiveIndexer("no such model", DETECTOR)
