"""Workers of a dask cluster write their own blocks, and may die."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from pyxem.signals import ElectronDiffraction2D

import pyxem_cnn
from tests.indexing.store.conftest import assert_same_bits, lazy_signal, stop

distributed = pytest.importorskip("distributed", reason="distributed is not installed")


@pytest.fixture
def client():
    """Two threads of this process that behave like a cluster."""
    with distributed.Client(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None
    ) as made:
        yield made


class TestInThisProcess:
    def test_same_bits(self, mapped, signal, calls, path) -> None:
        expected = mapped(signal, store=None)
        with distributed.Client(
            processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None
        ):
            calls.clear()
            assert_same_bits(mapped(signal), expected)
        assert len(calls) == 12

    def test_goes_on(self, half_done, mapped, calls, capsys, client) -> None:
        mapped(half_done, show_progressbar=True)
        assert len(calls) == 7
        assert "7/7" in capsys.readouterr().err

    def test_error_on_a_worker(self, mapped, signal, calls, path, client) -> None:
        calls.fail(6, stop)
        with pytest.raises(RuntimeError, match="stopped by the test") as caught:
            mapped(signal)
        assert f"kept in {path}" in caught.value.__notes__[0]
        done = int(pyxem_cnn.open_store(path).finished.sum())
        assert 1 <= done < 12
        calls.clear()
        mapped(signal)
        assert len(calls) <= 12 - done


@pytest.mark.slow
def test_worker_that_is_killed(mapped, scan, path, tmp_path) -> None:
    signal = lazy_signal(scan.data, (1, 1))
    expected = mapped(signal, store=None)
    flag = tmp_path / "killed"

    def deadly(block, block_id=None):
        time.sleep(0.05)
        if block_id[:2] == (1, 1) and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), 9)
        return block

    data = signal.data.map_blocks(
        deadly, dtype=signal.data.dtype, meta=np.empty((0,) * 4, dtype=signal.data.dtype)
    )
    risky = ElectronDiffraction2D(data).as_lazy()
    for mine, other in zip(
        risky.axes_manager.navigation_axes, signal.axes_manager.navigation_axes, strict=True
    ):
        mine.scale, mine.offset, mine.units = other.scale, other.offset, other.units
    flag.touch()  # the scan is looked at first, and (1, 1) is one of the patterns that are compared
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        from pyxem_cnn.indexing.store import target

        find = target.StoreTarget.find
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target.StoreTarget, "find", lambda *a: (flag.unlink(), find(*a))[1])
            result = mapped(risky)
        assert flag.exists()
        assert client.cluster is not None
    assert_same_bits(result, expected)
    assert pyxem_cnn.open_store(path).is_complete
