"""Kills, Ctrl-C, full disks and damaged files: what is finished stays, the rest is computed."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal as signals
import subprocess
import sys
import time
from pathlib import Path

import dask
import hyperspy.api as hs
import pytest

import pyxem_cnn
from pyxem_cnn.indexing.store.durable import DurableDirectoryStore
from pyxem_cnn.indexing.store.lock import locked
from tests.indexing.store.conftest import assert_same_bits, lazy_signal

ROOT = Path(__file__).parents[3]


@pytest.fixture
def resumed(mapped, calls, path):
    """Go on with the store; checks that only what is missing is computed, and every bit."""

    def call(signal, **options):
        n_missing = len(pyxem_cnn.open_store(path).unfinished)
        calls.clear()
        xmap = mapped(signal, **options)
        assert len(calls) == n_missing
        assert_same_bits(xmap, mapped(signal, **options | {"store": None}))
        assert pyxem_cnn.open_store(path).is_complete
        assert not list(path.rglob("*.partial"))
        return n_missing

    return call


class TestKilled:
    """The mapping runs in another process, which SIGKILL ends, as the out-of-memory killer does."""

    @pytest.fixture
    def files(self, scan, model, tmp_path):
        lazy_signal(scan.data, (1, 1)).save(tmp_path / "scan.zspy")
        model.save(tmp_path / "model.pt")
        return tmp_path / "scan.zspy", tmp_path / "model.pt"

    @pytest.fixture
    def start(self, files, path):
        def call(how):
            script = Path(__file__).with_name("killed_run.py")
            return subprocess.Popen(
                [sys.executable, script, *map(str, files), path, how],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

        return call

    @pytest.mark.slow
    @pytest.mark.parametrize("how", ["predicting", "writing"])
    def test_by_itself(self, start, files, resumed, path, how) -> None:
        process = start(how)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == -signals.SIGKILL, said
        assert bool(list(path.rglob("*.partial"))) == (how == "writing")
        assert len(pyxem_cnn.open_store(path).unfinished) == 7
        assert resumed(hs.load(files[0], lazy=True)) == 7

    @pytest.mark.slow
    def test_from_outside(self, start, files, resumed, path) -> None:
        process = start("outside")
        try:
            deadline = time.monotonic() + 300
            while len(list(path.glob("predictions/*.0.0"))) < 3 and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            process.kill()
        assert process.wait(60) == -signals.SIGKILL, process.stdout.read()
        assert 0 < resumed(hs.load(files[0], lazy=True)) <= 9


class TestInterrupted:
    @pytest.mark.usefixtures("interrupts_are_seen")
    @pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
    def test_ctrl_c(self, mapped, signal, calls, resumed, path, scheduler) -> None:
        def ctrl_c():
            os.kill(os.getpid(), signals.SIGINT)
            time.sleep(0.2)

        calls.fail(6, ctrl_c)
        with (
            dask.config.set(scheduler=scheduler, num_workers=2),
            pytest.raises(KeyboardInterrupt) as caught,
        ):
            mapped(signal)
        (note,) = caught.value.__notes__
        n_finished = int(re.match(r"(\d+) of 12 patterns are finished \(", note)[1])
        assert 1 <= n_finished < 12
        for word in (f"kept in {path}.", "repeat the call", "pyxem_cnn.open_store"):
            assert word in note
        time.sleep(0.5)  # threads finish what they had begun
        assert resumed(signal) <= 12 - n_finished

    def test_any_error_says_how_to_go_on(self, half_done, path, resumed, mapped, calls) -> None:
        def fail():
            raise OSError(errno.EIO, "the network drive is gone")

        calls.fail(1, fail)
        with pytest.raises(OSError, match="network drive") as caught:
            mapped(half_done)
        assert caught.value.__notes__[0].startswith("5 of 12 patterns are finished (41 %")
        assert resumed(half_done) == 7


class TestDamaged:
    @pytest.mark.parametrize("damage", ["cut", "empty", "deleted", "one bit"])
    def test_is_computed_again(self, mapped, signal, path, resumed, caplog, damage) -> None:
        mapped(signal)
        file = path / "predictions" / "1.2.0.0"
        content = bytearray(file.read_bytes())
        content[20] ^= 1
        if damage == "deleted":
            file.unlink()
        else:
            file.write_bytes({"cut": content[:30], "empty": b"", "one bit": content}[damage])
        store = pyxem_cnn.open_store(path)
        assert store.unfinished == [(1, 2)]
        assert store.damaged == ([] if damage == "deleted" else [(1, 2)])
        assert ("1 damaged blocks" in repr(store)) == (damage != "deleted")
        # What is whole can be looked at.
        assert store.prediction.to_crystal_map().size == 11
        assert resumed(signal) == 1
        assert ("block (1, 2)" in caplog.text) == (damage != "deleted")

    def test_after_it_was_opened(self, mapped, signal, path) -> None:
        mapped(signal)
        prediction = pyxem_cnn.open_store(path).prediction
        (path / "predictions" / "1.2.0.0").write_bytes(b"nothing")
        with pytest.raises(OSError, match=r"1\.2\.0\.0 is damaged .*Repeat the mapping"):
            prediction.compute(show_progressbar=False)

    def test_disk_that_loses_what_it_took(self, mapped, signal, path, monkeypatch) -> None:
        write = DurableDirectoryStore.__setitem__

        def lossy(self, key, value):
            write(self, key, b"\0" * len(value) if key.endswith("0.3.0.0") else value)

        monkeypatch.setattr(DurableDirectoryStore, "__setitem__", lossy)
        with pytest.raises(OSError, match="not all of it can be read back: 11 of 12 patterns"):
            mapped(signal)


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of a given size; a function that changes its options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    if shutil.which("mount") is None or mount("size=160k").returncode != 0:
        pytest.skip("this user may not mount a file system in memory")
    yield folder, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", folder], check=True)


class TestDisk:
    def test_full(self, small_disk, mapped, signal, scan, calls) -> None:
        disk, remount = small_disk
        path = disk / "map.zarr"
        # Sixty blocks do not fit: each takes a page of 4 kB.
        data = scan.data.reshape(12, *scan.data.shape[2:])[[i % 12 for i in range(60)]]
        many = lazy_signal(data, (1,))
        with pytest.raises(OSError, match="No space left") as caught:
            mapped(many, store=path)
        n_finished = int(re.match(r"(\d+) of 60 patterns", caught.value.__notes__[0])[1])
        assert n_finished > 0
        assert n_finished == len(calls) - 1  # the last one was computed, but did not fit
        assert not list(path.rglob("*.partial"))
        calls.clear()
        assert remount("size=10m").returncode == 0
        xmap = mapped(many, store=path)
        assert len(calls) == 60 - n_finished
        assert_same_bits(xmap, mapped(many, store=None))

    def test_full_from_the_start(self, small_disk, mapped, signal) -> None:
        disk, _ = small_disk
        (disk / "other").write_bytes(bytes(140 * 1024))
        with pytest.raises(OSError, match="No space left"):
            mapped(signal, store=disk / "map.zarr")
        assert [p.name for p in disk.iterdir()] == ["other"]

    def test_without_a_disk(self, mapped, signal, resumed, monkeypatch) -> None:
        """The same with a store that says so, where nothing can be mounted."""
        write, written = DurableDirectoryStore.__setitem__, []

        def full(self, key, value):
            written.append(key)
            if sum(key.startswith("predictions/") for key in written) > 6:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(self, key, value)

        with monkeypatch.context() as patch:
            patch.setattr(DurableDirectoryStore, "__setitem__", full)
            with pytest.raises(OSError, match="No space left") as caught:
                mapped(signal)
        assert "5 of 12 patterns" in caught.value.__notes__[0]
        assert resumed(signal) == 7

    def test_read_only(self, small_disk, mapped, signal, calls) -> None:
        disk, remount = small_disk
        path = disk / "map.zarr"
        expected = mapped(signal, store=path)
        calls.clear()
        assert remount("size=10m").returncode == 0
        shutil.copytree(path, disk / "half.zarr")
        (disk / "half.zarr" / "predictions" / "0.0.0.0").unlink()
        assert remount("ro").returncode == 0
        # A complete store is as good as ever.
        assert_same_bits(mapped(signal, store=path), expected)
        for name in ("new.zarr", "half.zarr"):
            with pytest.raises(OSError, match="Read-only file system"):
                mapped(signal, store=disk / name)
        assert calls == []
        assert pyxem_cnn.open_store(disk / "half.zarr").finished.sum() == 11


class TestTwoProcesses:
    def test_the_second_is_refused(self, half_done, mapped, calls, path, resumed) -> None:
        pytest.importorskip("fcntl", reason="this system has no such locks")
        # Locks of files that were opened twice are as strange to each other as two processes.
        with locked(path):
            with pytest.raises(BlockingIOError, match="Another process is writing"):
                mapped(half_done)
            assert pyxem_cnn.open_store(path).finished.sum() == 5
        assert calls == []
        assert resumed(half_done) == 7

    def test_the_lock_of_a_killed_process_is_free(self, half_done, path, resumed) -> None:
        pytest.importorskip("fcntl", reason="this system has no such locks")
        code = (
            "import fcntl, os, sys; fcntl.flock(open(sys.argv[1], 'a'), fcntl.LOCK_EX); "
            "os.kill(os.getpid(), 9)"
        )
        done = subprocess.run([sys.executable, "-c", code, path / "lock"], check=False)
        assert done.returncode == -signals.SIGKILL
        assert resumed(half_done) == 7

    def test_somebody_else_makes_it_meanwhile(self, mapped, signal, path, monkeypatch) -> None:
        from pyxem_cnn.indexing.store import prediction_store

        fill = prediction_store._fill

        def slow(*arguments):
            fill(*arguments)
            path.mkdir()

        monkeypatch.setattr(prediction_store, "_fill", slow)
        with pytest.raises(FileExistsError, match="by somebody else"):
            mapped(signal)
        assert list(path.parent.iterdir()) == [path]


class TestUnreadable:
    """A chunk of the scan itself cannot be read."""

    @pytest.fixture
    def broken(self, scan):
        """Block (1, 2) cannot be read."""
        whole = lazy_signal(scan.data, (1, 1))

        def read(block, block_id=None):
            if block_id[:2] == (1, 2):
                raise OSError(errno.EIO, "bad sector")
            return block

        signal = whole.deepcopy()
        signal.data = whole.data.map_blocks(read, dtype="u2", meta=whole.data._meta)
        return signal

    def test_begun_with_raise_goes_on_with_skip(self, broken, mapped, calls, path) -> None:
        with pytest.raises(OSError, match="bad sector") as caught:
            mapped(broken)
        assert "are finished" in caught.value.__notes__[0]
        n_missing = len(pyxem_cnn.open_store(path).unfinished)
        calls.clear()
        with pytest.warns(UserWarning, match=r"1 of 12 patterns .* first at \(1, 2\)"):
            xmap = mapped(broken, on_read_error="skip")
        assert len(calls) == n_missing
        assert (xmap.phase_id == -1).sum() == 1
        assert pyxem_cnn.open_store(path).is_complete

    def test_what_could_not_be_read_is_no_difference(self, broken, scan, mapped, calls) -> None:
        for _ in range(2):
            with pytest.warns(UserWarning, match="1 of 12 patterns"):
                mapped(broken, on_read_error="skip")
        assert len(calls) == 12
        mapped(lazy_signal(scan.data, (1, 1)))
        assert len(calls) == 12
