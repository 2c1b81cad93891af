"""A file is on the disk before it has its name, and its folder after."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from pyxem_cnn.indexing.store import durable
from pyxem_cnn.indexing.store.durable import DurableDirectoryStore, sync_tree


@pytest.fixture
def system_calls(monkeypatch):
    """Names of the system calls that were made, in order."""
    made, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda handle: (made.append("folder" if is_folder(handle) else "file"), fsync(handle)),
    )
    monkeypatch.setattr(os, "replace", lambda *a: (made.append("rename"), replace(*a)))
    return made


def is_folder(handle) -> bool:
    import stat

    return stat.S_ISDIR(os.fstat(handle).st_mode)


def test_content_then_name_then_folder(tmp_path, system_calls) -> None:
    store = DurableDirectoryStore(tmp_path)
    store["0.0"] = b"twelve bytes"
    assert system_calls == ["file", "rename", "folder"]
    assert (tmp_path / "0.0").read_bytes() == store["0.0"] == b"twelve bytes"
    assert os.listdir(tmp_path) == ["0.0"]


def test_full_disk_leaves_nothing_under_the_name(tmp_path, monkeypatch) -> None:
    store = DurableDirectoryStore(tmp_path)
    store["old"] = b"precious"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable.os, "fsync", full)
    for name in ("old", "new"):
        with pytest.raises(OSError, match="No space left"):
            store[name] = b"something else"
    assert os.listdir(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == b"precious"


def test_every_folder_is_synced(tmp_path, system_calls) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    sync_tree(tmp_path)
    assert system_calls == ["folder"] * 3


def test_zarr_reads_what_it_wrote(tmp_path, rng) -> None:
    import zarr

    values = rng.random((5, 4))
    array = zarr.create((5, 4), chunks=(2, 4), store=DurableDirectoryStore(tmp_path / "a.zarr"))
    array[:] = values
    np.testing.assert_array_equal(zarr.open(str(tmp_path / "a.zarr"), mode="r")[:], values)
