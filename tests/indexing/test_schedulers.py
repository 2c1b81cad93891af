"""Every scheduler of dask gives the same map, and models travel once to every process."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
from pathlib import Path

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from pyxem.signals import ElectronDiffraction2D

import pyxem_cnn  # noqa: F401  (attaches the methods)
from pyxem_cnn.indexing.block import BlockPredictor
from pyxem_cnn.model.handle import ModelHandle

N_BLOCKS = 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scans")


@pytest.fixture(scope="module")
def lazy_scan(scan, folder):
    """The scan four times as large, on the disk, a chunk for each pattern."""
    data = np.tile(scan.data, (2, 2, 1, 1))
    stored = zarr.open(
        str(folder / "scan.zarr"), "w", shape=data.shape, chunks=(1, 1, -1, -1), dtype=data.dtype
    )
    stored[:] = data
    return ElectronDiffraction2D(da.from_zarr(str(folder / "scan.zarr"))).as_lazy()


@pytest.fixture(scope="module")
def options(geometry):
    """All that travels beside the patterns, a beam that wanders by nothing included."""
    mask = np.zeros((6, 8), dtype=bool)
    mask[2, 3:6] = True
    return {
        "geometry": geometry,
        "n_best": 2,
        "navigation_mask": mask,
        "beam_shift": np.broadcast_to((25 - 24.3, 24 - 22.8), (6, 8, 2)),
        "show_progressbar": False,
    }


@pytest.fixture(scope="module")
def reference(lazy_scan, model, other_model, options):
    with dask.config.set(scheduler="synchronous"):
        return lazy_scan.get_orientation_map_cnn([model, other_model], **options)


def assert_equal(a, b):
    """Check that maps are the same, bit for bit."""
    np.testing.assert_array_equal(a._phase_id, b._phase_id)
    np.testing.assert_array_equal(a._rotations.data, b._rotations.data)
    for name in b.prop:
        np.testing.assert_array_equal(a.prop[name], b.prop[name])


def graph_of(prediction):
    """Return the graph as a scheduler gets it, and the key of the models."""
    (optimised,) = dask.optimize(prediction.data)
    graph = dict(optimised.__dask_graph__())
    (shared,) = (key for key in graph if str(key).startswith("predictor-"))
    return graph, shared


class TestGraph:
    def test_models_are_one_key(self, lazy_scan, model, geometry):
        prediction = lazy_scan.get_orientation_map_cnn(model, geometry=geometry, lazy_output=True)
        graph, shared = graph_of(prediction)
        sizes = {key: len(cloudpickle.dumps(task)) for key, task in graph.items()}
        assert sizes.pop(shared) > len(model.to_bytes())
        assert max(sizes.values()) < 5000

    def test_a_block_is_read_and_predicted_in_one_task(self, lazy_scan, model, geometry):
        """Otherwise patterns would be sent from worker to worker."""
        prediction = lazy_scan.get_orientation_map_cnn(model, geometry=geometry, lazy_output=True)
        graph, _ = graph_of(prediction)
        # The models and the zarr array beside the blocks.
        assert len(graph) == N_BLOCKS + 2

    def test_who_passes_models_on_loads_none(self, model, scan, geometry):
        prediction = ElectronDiffraction2D(scan.data).get_orientation_map_cnn(
            model, geometry=geometry, lazy_output=True
        )
        graph, shared = graph_of(prediction)
        predictor = pickle.loads(pickle.dumps(graph[shared]()))
        assert isinstance(predictor, BlockPredictor)
        assert [type(one) for one in predictor.models] == [ModelHandle]
        again = pickle.loads(pickle.dumps(predictor))
        np.testing.assert_array_equal(again(scan.data), prediction.data.compute())

    def test_a_handle_of_a_model_loads_it_no_more(self, model):
        assert ModelHandle.of(model).load() == model
        assert ModelHandle.of(ModelHandle.of(model)) == ModelHandle.of(model)
        assert ModelHandle.of(model).load() is ModelHandle.of(model).load()


class TestOneMachine:
    @pytest.mark.parametrize("workers", [1, 4])
    def test_threads(self, lazy_scan, model, other_model, options, reference, workers):
        with dask.config.set(scheduler="threads", num_workers=workers):
            xmap = lazy_scan.get_orientation_map_cnn([model, other_model], **options)
        assert_equal(xmap, reference)

    def test_chunks_decide_nothing(self, lazy_scan, model, other_model, options, reference):
        signal = lazy_scan.deepcopy()
        signal.data = signal.data.rechunk((4, 5, -1, -1))
        xmap = signal.get_orientation_map_cnn([model, other_model], **options)
        np.testing.assert_array_equal(xmap._phase_id, reference._phase_id)
        np.testing.assert_allclose(xmap._rotations.data, reference._rotations.data, atol=1e-5)


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def count_models(client):
    """Let every worker count how often it makes a model from bytes."""

    def patch():
        from pyxem_cnn.model import OrientationModel

        original = OrientationModel.__init__
        OrientationModel.n_made = 0

        def counting(self, *args, **kwargs):
            OrientationModel.n_made += 1
            original(self, *args, **kwargs)

        OrientationModel.__init__ = counting

    def n_made():
        from pyxem_cnn.model import OrientationModel

        return OrientationModel.n_made

    client.run(patch)
    return lambda: list(client.run(n_made).values())


def bytes_to_workers(client):
    """Return how many bytes the scheduler and other workers have sent to all workers."""

    def received(dask_worker):
        return sum(log["total"] for log in dask_worker.transfer_incoming_log)

    comms = client.cluster.scheduler.stream_comms.values()
    return sum(comm.byte_count for comm in comms), sum(client.run(received).values())


@pytest.mark.slow
class TestCluster:
    def test_the_map_is_the_same(self, client, lazy_scan, model, other_model, options, reference):
        n_made = count_models(client)
        for _ in range(2):
            xmap = lazy_scan.get_orientation_map_cnn([model, other_model], **options)
            assert_equal(xmap, reference)
        assert n_made() == [2, 2]  # two models, once in each of two processes

    def test_models_travel_once(self, client, lazy_scan, model, geometry):
        size = len(model.to_bytes())
        before = bytes_to_workers(client)
        lazy_scan.get_orientation_map_cnn(model, geometry=geometry, show_progressbar=False)
        sent, exchanged = np.subtract(bytes_to_workers(client), before)
        # To the first worker with its task; to the other one from there, or after a race by itself.
        assert size < sent < 0.1 * N_BLOCKS * size
        # No block of patterns goes from one worker to the other.
        assert exchanged < 10 * lazy_scan.data.nbytes / N_BLOCKS

    def test_lazy_predictions(self, client, lazy_scan, model, other_model, options, reference):
        prediction = lazy_scan.get_orientation_map_cnn(
            [model, other_model], lazy_output=True, **options
        )
        rows = client.compute(prediction.data).result()
        mask = options["navigation_mask"]
        assert np.isnan(rows[mask]).all()
        np.testing.assert_array_equal(rows[~mask][:, 0, 0], reference.phase_id)
        assert_equal(prediction.to_crystal_map(), reference)

    def test_patterns_that_lie_on_the_workers(self, client, lazy_scan, model, geometry):
        options = {"geometry": geometry, "show_progressbar": False}
        expected = lazy_scan.get_orientation_map_cnn(model, **options)
        signal = lazy_scan.deepcopy()
        signal.data = client.persist(signal.data)
        for on_read_error in ("raise", "skip"):
            xmap = signal.get_orientation_map_cnn(model, on_read_error=on_read_error, **options)
            assert_equal(xmap, expected)

    def test_a_killed_worker(self, client, lazy_scan, model, geometry, folder):
        """Its blocks are computed by the other one, or by its successor."""
        options = {"geometry": geometry, "show_progressbar": False}
        expected = lazy_scan.get_orientation_map_cnn(model, **options)
        victim = sorted(client.run(os.getpid).values())[0]
        path = str(folder)

        def slowly(block):
            Path(path, f"read-by-{os.getpid()}").touch()
            time.sleep(0.1)
            return block

        def kill():
            while not Path(path, f"read-by-{victim}").exists():
                time.sleep(0.02)
            os.kill(victim, signal.SIGKILL)

        slow_scan = lazy_scan.deepcopy()
        slow_scan.data = slow_scan.data.map_blocks(slowly, dtype=slow_scan.data.dtype)
        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        xmap = slow_scan.get_orientation_map_cnn(model, **options)
        killer.join(10)
        assert not killer.is_alive()
        assert_equal(xmap, expected)
        client.wait_for_workers(2, timeout=60)
        assert victim not in client.run(os.getpid).values()
