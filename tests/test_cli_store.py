"""`pyxem-cnn map --store`: goes on after an interruption, and says how."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import pyxem_cnn
from pyxem_cnn.indexing.block import BlockPredictor
from tests.fixtures_model import DEMO_SIZE, demo_model  # noqa: F401
from tests.test_cli import assert_refused, run, scan  # noqa: F401


@pytest.fixture
def rows(scan, tmp_path):  # noqa: F811
    """The scan of the demonstration in twelve blocks, one a row."""
    import hyperspy.api as hs

    signal = hs.load(scan[0], lazy=True)
    signal.rechunk(nav_chunks=(1, DEMO_SIZE), sig_chunks=-1, inplace=True)
    signal.save(tmp_path / "rows.zspy")
    assert hs.load(tmp_path / "rows.zspy", lazy=True).data.numblocks[:2] == (12, 1)
    return tmp_path / "rows.zspy"


@pytest.fixture
def calls(monkeypatch):
    """One entry for each block; the action, if there is one, runs in the sixth."""
    seen, original = {"n": 0, "action": None}, BlockPredictor.__call__

    def counted(self, *arguments):
        seen["n"] += 1
        if seen["n"] == 6 and seen["action"]:
            seen["action"]()
        return original(self, *arguments)

    monkeypatch.setattr(BlockPredictor, "__call__", counted)
    return seen


def command(rows: Path, model: Path, *options: object):
    folder = rows.parent
    return run("map", rows, model, "-o", folder / "map.h5", *options)


def stored(rows: Path) -> tuple[str, Path]:
    return "--store", rows.with_name("map.zarr")


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)


def no_space() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("action", "code", "word"),
    [(ctrl_c, 130, "Interrupted."), (no_space, 1, "Error: [Errno 28] No space left on device")],
)
@pytest.mark.usefixtures("interrupts_are_seen")
def test_goes_on(rows, demo_model, calls, action, code, word) -> None:  # noqa: F811
    from orix import io

    calls["action"] = action
    result = command(rows, demo_model, *stored(rows))
    assert result.exit_code == code, result.output
    for expected in (word, "of 144 patterns", f"kept in {stored(rows)[1]}", "repeat the call"):
        assert expected in result.text
    assert "Traceback" not in result.output
    assert not rows.with_name("map.h5").exists()
    time.sleep(0.5)  # threads finish what they had begun
    n_missing = len(pyxem_cnn.open_store(stored(rows)[1]).unfinished)
    assert 1 <= n_missing < 12
    calls.update(n=0, action=None)
    result = command(rows, demo_model, *stored(rows))
    assert result.exit_code == 0, result.output
    assert calls["n"] == n_missing
    assert "going on with" in result.text
    assert "144 patterns in " in result.text
    assert "patterns/s" not in result.text  # most of them were there before
    assert "map.zarr" in result.text.split("Written:")[-1]
    other = run("map", rows, demo_model, "-o", rows.with_name("other.h5"))
    assert other.exit_code == 0, other.output
    a, b = (io.load(rows.with_name(name)) for name in ("map.h5", "other.h5"))
    np.testing.assert_array_equal(a.rotations.data, b.rotations.data)


def test_overwrite_is_not_for_the_store(rows, demo_model, calls) -> None:  # noqa: F811
    assert command(rows, demo_model, *stored(rows)).exit_code == 0
    calls["n"] = 0
    refused = command(rows, demo_model, *stored(rows), "--n-best", 2, "--overwrite")
    assert_refused(refused, "another task", "n_best 1 instead of 2")
    assert command(rows, demo_model, *stored(rows), "--resume", "--overwrite").exit_code == 0
    assert calls["n"] == 0


def test_refusals(rows, demo_model, calls) -> None:  # noqa: F811
    before = set(rows.parent.iterdir())
    assert_refused(command(rows, demo_model, "--resume"), "without store=")
    assert_refused(command(rows, demo_model, *stored(rows), "--resume"), "no store", "go on with")
    elsewhere = rows.with_name("no") / "map.zarr"
    assert_refused(command(rows, demo_model, "--store", elsewhere), "Make it first")
    assert_refused(command(rows, demo_model, "--store", rows), "ends in .zarr")
    assert set(rows.parent.iterdir()) == before
    assert calls["n"] == 0


@pytest.mark.parametrize("written", ["map_ipf.png", "map.h5"])
def test_files_are_whole_or_not_there(
    rows,
    demo_model,  # noqa: F811
    monkeypatch,
    written,
) -> None:
    from matplotlib.figure import Figure

    def broken(self, path, **_):
        Path(path).write_bytes(b"half a pict")
        no_space()

    if written == "map.h5":
        from pyxem_cnn.maps.files import export

        monkeypatch.setattr(export, "_write_with_orix", broken)
    else:
        monkeypatch.setattr(Figure, "savefig", broken)
    result = command(rows, demo_model, "--figures")
    assert_refused(result, "No space left")
    assert not rows.with_name(written).exists()
    assert not list(rows.parent.glob(".writing-*"))
