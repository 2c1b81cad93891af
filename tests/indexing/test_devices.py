"""Which devices are used, one batch at a time on each, and fewer patterns where memory is short.

There is a GPU in the last tests only, which are skipped without one: the others replace what
torch says of the machine.
"""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace

import dask
import numpy as np
import pytest
import torch

from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import ResamplingOperator
from pyxem_cnn.indexing import devices
from pyxem_cnn.indexing.block import BlockPredictor
from pyxem_cnn.indexing.devices import DeviceTurns, check_device, devices_here, spread
from pyxem_cnn.targets import Decoded
from tests.indexing.conftest import SCALE


@pytest.fixture
def gpus(monkeypatch):
    """Let torch see some number of CUDA devices."""

    def see(n):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: n > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: n)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

    return see


@pytest.fixture(autouse=True)
def forget_rooms(monkeypatch):
    monkeypatch.setattr(devices, "_rooms", {})


class TestDevicesHere:
    @pytest.mark.parametrize(
        ("device", "n", "expected"),
        [
            ("auto", 0, ("cpu",)),
            ("auto", 1, ("cuda:0",)),
            ("auto", 3, ("cuda:0", "cuda:1", "cuda:2")),
            ("cuda", 2, ("cuda:0", "cuda:1")),
            ("cuda:1", 2, ("cuda:1",)),
            ("cpu", 2, ("cpu",)),
        ],
    )
    def test_names(self, gpus, device, n, expected):
        gpus(n)
        assert devices_here(device) == expected

    def test_that_are_missing(self, gpus):
        gpus(0)
        with pytest.raises(ValueError, match="0 CUDA devices"):
            devices_here("cuda")
        gpus(2)
        with pytest.raises(ValueError, match="2 CUDA devices"):
            devices_here("cuda:2")

    def test_one_of_its_own(self):
        assert spread(None, 4, has_own=True) == ("cuda:0",)
        assert spread(2, 4, has_own=True) == ("cuda:2",)

    @pytest.mark.parametrize("visible", ["1,0", None])
    def test_of_a_worker(self, gpus, monkeypatch, visible):
        """dask-cuda lets each worker see all GPUs, its own first."""
        distributed = pytest.importorskip("distributed")
        gpus(2)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert devices_here("auto") == ("cuda:0", "cuda:1")
        monkeypatch.setattr(distributed, "get_worker", SimpleNamespace)
        assert len(devices_here("auto")) == (2 if visible is None else 1)


class TestCheckDevice:
    def test_here(self, gpus):
        gpus(0)
        assert check_device("auto") == "auto"
        assert check_device(torch.device("cpu")) == "cpu"
        for name in ("cuda", "cuda:3", "gpu"):
            with pytest.raises(ValueError, match=f"device: got '{name}'"):
                check_device(name)
        with pytest.raises(TypeError, match="device"):
            check_device(0)

    def test_of_other_processes(self, gpus):
        """A login node without a GPU maps on nodes that have some."""
        gpus(0)
        with dask.config.set(scheduler="processes"):
            assert check_device("cuda") == "cuda"
            assert check_device("auto") == "auto"
            with pytest.raises(ValueError, match="device: got 'gpu'"):
                check_device("gpu")
            with pytest.raises(TypeError, match="device"):
                check_device(0)

    def test_of_an_asynchronous_client(self, gpus, monkeypatch):
        """Nothing can be computed with it here, but lazy predictions can be made."""

        def refuse():
            raise RuntimeError("Attempting to use an asynchronous Client")

        gpus(0)
        monkeypatch.setattr("dask.base.get_scheduler", refuse)
        assert check_device("cuda") == "cuda"


def run_together(function, n):
    """Call a function in n threads at once and wait for all."""
    threads = [threading.Thread(target=function) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


class TestTurns:
    def test_one_at_a_time_on_each(self):
        turns, lock = DeviceTurns(), threading.Lock()
        names, inside, most, served = ("cuda:0", "cuda:1"), {}, {}, []
        both = threading.Barrier(2, timeout=10)

        def work():
            for i in range(20):
                with turns.take(names) as name:
                    with lock:
                        inside[name] = inside.get(name, 0) + 1
                        most[name] = max(most.get(name, 0), inside[name])
                        served.append(name)
                    if i == 0:
                        both.wait()  # breaks unless two callers are served at once
                    with lock:
                        inside[name] -= 1

        run_together(work, 4)
        assert most == dict.fromkeys(names, 1)
        assert len(served) == 80

    def test_an_error_frees_the_device(self):
        turns = DeviceTurns()
        with pytest.raises(ZeroDivisionError), turns.take(("cuda:0",)):
            raise ZeroDivisionError
        with turns.take(("cuda:0",)) as name:
            assert name == "cuda:0"

    def test_others_do_not_wait(self):
        turns = DeviceTurns()
        with turns.take(("cuda:0",)), turns.take(("cuda:1", "cuda:0")) as name:
            assert name == "cuda:1"


class FakeModel:
    """A model whose device has room for a few patterns."""

    name, sha256 = "fake", "0" * 64

    def __init__(self, room, error=None):
        self.room, self.calls = room, []
        self.error = error or torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    def predict(self, counts, mask, n_best, device):
        self.calls.append((len(counts), device))
        if len(counts) > self.room:
            raise self.error
        assert len(mask) == len(counts) or mask.ndim < counts.ndim
        value = torch.as_tensor(counts[:, 0, 0])
        quaternions = value[:, None, None].expand(-1, n_best, 4)
        return Decoded(
            quaternions=quaternions,
            scores=quaternions[..., 0],
            reliability=value,
            phase_probability=quaternions[..., 0],
            share=quaternions[..., 0],
        )


def patterns(n):
    return np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3)


def predict(model, n, names=("cuda:0",), mask=None):
    mask = np.ones((2, 3), np.float32) if mask is None else mask
    return devices.predict_in_turn(model, patterns(n), mask, 2, names)


TORCHSCRIPT = RuntimeError(
    "The following operation failed in the TorchScript interpreter.\n"
    "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB."
)


class TestOutOfMemory:
    @pytest.mark.parametrize("error", [None, TORCHSCRIPT], ids=["torch", "TorchScript"])
    def test_half_as_many(self, error, caplog):
        model = FakeModel(3, error)
        with caplog.at_level(logging.WARNING, "pyxem_cnn"):
            decoded = predict(model, 10)
        assert [n for n, _ in model.calls] == [10, 5, 2, 2, 2, 2, 2]
        expected = patterns(10)[:, 0, 0]
        np.testing.assert_array_equal(decoded.reliability, expected)
        np.testing.assert_array_equal(decoded.share, np.repeat(expected[:, None], 2, axis=1))
        assert decoded.thickness is None
        assert len(caplog.records) == 2
        assert "Pass batch_size=2" in caplog.text
        # Remembered, and said no more.
        model.calls.clear()
        caplog.clear()
        predict(model, 5)
        assert [n for n, _ in model.calls] == [2, 2, 1]
        assert not caplog.records

    def test_other_devices_and_models_keep_their_room(self):
        small, large = FakeModel(3), FakeModel(100)
        predict(small, 8)
        large.sha256 = "1" * 64
        predict(large, 8)
        assert large.calls == [(8, "cuda:0")]
        predict(large, 8, ("cuda:1",))
        assert large.calls[-1] == (8, "cuda:1")

    def test_mask_of_each_pattern(self):
        decoded = predict(FakeModel(3), 7, mask=np.ones((7, 2, 3), np.float32))
        np.testing.assert_array_equal(decoded.reliability, patterns(7)[:, 0, 0])

    def test_not_even_one(self):
        with pytest.raises(torch.cuda.OutOfMemoryError) as caught:
            predict(FakeModel(0), 4)
        assert "device='cpu'" in caught.value.__notes__[0]
        # The device is free again.
        assert len(predict(FakeModel(4), 1).scores) == 1

    def test_other_errors_are_errors(self):
        model = FakeModel(3, RuntimeError("shape mismatch"))
        with pytest.raises(RuntimeError, match="shape mismatch"):
            predict(model, 4)
        assert len(model.calls) == 1

    def test_blocks_of_several_devices(self, model, scan, geometry, gpus, monkeypatch):
        """A whole block on two GPUs that have room for three patterns, beside the CPU."""
        gpus(2)
        seen, original = [], type(model).predict

        def on_small_gpus(self, counts, mask, n_best, device):
            seen.append((len(counts), device))
            if len(counts) > 3:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return original(self, counts, mask, n_best, "cpu")

        detector = DetectorGeometry(scan.data.shape[-2:], **geometry | {"scale": (SCALE, SCALE)})
        operators = (ResamplingOperator(detector, model.grid),)
        expected = BlockPredictor((model,), operators, n_best=2, device="cpu")(scan.data)
        monkeypatch.setattr(type(model), "predict", on_small_gpus)
        rows = BlockPredictor((model,), operators, n_best=2, device="auto")(scan.data)
        np.testing.assert_allclose(rows, expected, atol=1e-4)
        assert {device for _, device in seen} == {"cuda:0"}
        assert [n for n, _ in seen] == [12, 6, 3, 3, 3, 3]


def test_batch_size_of_the_device():
    assert devices.batch_size_on("cpu", None) < devices.batch_size_on("cuda:0", None)
    assert devices.batch_size_on("cuda:0", 7) == 7


@pytest.mark.gpu
class TestCuda:
    def test_same_map_as_on_the_cpu(self, model, scan, geometry):
        from pyxem.signals import ElectronDiffraction2D

        maps = [
            ElectronDiffraction2D(scan.data).get_orientation_map_cnn(
                model, geometry=geometry, device=device, show_progressbar=False
            )
            for device in ("cpu", "cuda")
        ]
        np.testing.assert_allclose(maps[0].rotations.data, maps[1].rotations.data, atol=1e-4)
        np.testing.assert_allclose(maps[0].prop["scores"], maps[1].prop["scores"], atol=1e-2)

    def test_torch_tells_that_a_gpu_is_full(self):
        """Also inside TorchScript, which passes on the message only."""
        from pyxem_cnn._torch import ignore_torchscript_deprecation

        def huge(x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros([1 << 50])

        x = torch.zeros(1, device="cuda")
        with ignore_torchscript_deprecation():
            scripted = torch.jit.script(huge)
        for function in (huge, scripted):
            with pytest.raises(RuntimeError) as caught:
                function(x)
            assert devices._is_out_of_memory(caught.value)
