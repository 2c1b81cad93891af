"""A lazy scan of twelve patterns in blocks, its mapping, and a count of the blocks it computes."""

from __future__ import annotations

import threading

import dask
import dask.array as da
import numpy as np
import pytest
from pyxem.signals import ElectronDiffraction2D

import pyxem_cnn  # noqa: F401  (attaches the methods)
from pyxem_cnn.indexing.block import BlockPredictor


def lazy_signal(data, chunks):
    """Return a lazy scan with these chunks of whole patterns."""
    array = da.from_array(data, chunks=(*chunks, -1, -1))
    signal = ElectronDiffraction2D(array).as_lazy()
    for axis, name in zip(signal.axes_manager.navigation_axes, "xyz", strict=False):
        axis.name, axis.units, axis.scale, axis.offset = name, "nm", 2.5, -1.0
    return signal


def bits(prediction):
    """Return the bits of a prediction's numbers, NaN included."""
    return np.ascontiguousarray(np.asarray(prediction.data)).view(np.uint32)


def assert_same_bits(a, b):
    """Check that two crystal maps are the same to the last bit."""
    np.testing.assert_array_equal(a._rotations.data, b._rotations.data)
    np.testing.assert_array_equal(a._phase_id, b._phase_id)
    np.testing.assert_array_equal(a.is_in_data, b.is_in_data)
    assert set(a.prop) == set(b.prop)
    for name in a.prop:
        np.testing.assert_array_equal(a.prop[name], b.prop[name])
    assert (a.frame, a.group, a.scan_unit) == (b.frame, b.group, b.scan_unit)
    np.testing.assert_array_equal(a.x, b.x)


@pytest.fixture(autouse=True)
def one_thread():
    """Two cores are shared with others; tests that need threads ask for them."""
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def signal(scan):
    """Twelve blocks of one pattern."""
    return lazy_signal(scan.data, (1, 1))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "map.zarr"


@pytest.fixture
def mapped(model, geometry, path):
    """Call the method, by default with a store."""

    def call(signal, models=None, **options):
        options = {"geometry": geometry, "n_best": 2, "show_progressbar": False} | options
        options = {"store": path} | options
        return signal.get_orientation_map_cnn(models or model, **options)

    return call


class Calls(list):
    """Shapes of the blocks that predictors saw; one call can be made to fail."""

    def __init__(self) -> None:
        self.failing, self.action = None, None
        self.lock = threading.Lock()

    def clear(self) -> None:
        """Count from zero, and let no call fail."""
        super().clear()
        self.failing = None

    def fail(self, number, action) -> None:
        """Let the call of this number, counted from now and from 1, do something else first."""
        self.failing, self.action = len(self) + number, action


@pytest.fixture
def calls(monkeypatch):
    """Blocks that are computed from now on."""
    seen, original = Calls(), BlockPredictor.__call__

    def counted(self, patterns, *others):
        with seen.lock:
            seen.append(patterns.shape[:-2])
            now = len(seen) == seen.failing
        if now:
            seen.action()
        return original(self, patterns, *others)

    monkeypatch.setattr(BlockPredictor, "__call__", counted)
    return seen


def stop():
    """Fail as a broken program does."""
    raise RuntimeError("stopped by the test")


@pytest.fixture
def half_done(signal, mapped, calls, path):
    """A store of which five of twelve blocks are finished; returns the scan."""
    calls.fail(6, stop)
    with pytest.raises(RuntimeError, match="stopped by the test"):
        mapped(signal)
    calls.clear()
    return signal
