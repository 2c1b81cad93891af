"""Blocks come back as they were written; damage of any kind is found."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.indexing.store.blocks import PREDICTIONS, SHIFTS, BlockFiles
from pyxem_cnn.indexing.store.layout import BlockLayout

LAYOUT = BlockLayout(((1, 2, 2), (3, 1)))  # not regular
N_BEST = 3


@pytest.fixture
def files(tmp_path):
    made = BlockFiles(tmp_path, LAYOUT, {SHIFTS: (2,), PREDICTIONS: (N_BEST, len(COLUMNS))})
    made.create()
    return made


@pytest.fixture
def values(rng):
    """Predictions and shifts of the whole scan, with NaN of several kinds."""
    predictions = rng.normal(size=(*LAYOUT.shape, N_BEST, len(COLUMNS))).astype(np.float32)
    predictions[0, 1], predictions[2, 3, 1] = np.nan, np.inf
    predictions.view(np.uint32)[1, 1, 0, 0] = 0xFFC00001
    return predictions, rng.normal(size=(*LAYOUT.shape, 2))


def write(files, values, index):
    place = LAYOUT.in_scan(index)
    return files.write(values[0][place], values[1][place], index)


def test_everything_comes_back_to_the_bit(files, values) -> None:
    for index in LAYOUT.indices():
        assert files.states()[index] == "missing"
        assert write(pickle.loads(pickle.dumps(files)), values, index) == LAYOUT.n_patterns(index)
        assert files.states()[index] == "finished"
    for name, expected in zip((PREDICTIONS, SHIFTS), values, strict=True):
        lazy = files.lazy(name, LAYOUT.indices())
        assert (lazy.shape, lazy.dtype) == (expected.shape, expected.dtype)
        assert lazy.chunks[:2] == LAYOUT.chunks
        assert lazy.compute(scheduler="synchronous").tobytes() == expected.tobytes()


def test_unfinished_blocks_are_nan(files, values) -> None:
    write(files, values, (1, 0))
    lazy = files.lazy(PREDICTIONS, [(1, 0)]).compute(scheduler="synchronous")
    finished = np.zeros(LAYOUT.shape, dtype=bool)
    finished[1:3, :3] = True
    np.testing.assert_array_equal(lazy[finished], values[0][finished])
    assert np.isnan(lazy[~finished]).all()


def test_a_block_is_finished_with_its_predictions(files, values) -> None:
    write(files, values, (0, 0))
    for name in files.trailing:
        content = files.file_of(name, (0, 0)).read_bytes()
        files.file_of(name, (0, 0)).unlink()
        assert files.states()[(0, 0)] == "missing"
        files.file_of(name, (0, 0)).write_bytes(content)
    assert files.states()[(0, 0)] == "finished"
    # The order in which they are written: a kill in between must not look finished.
    assert list(files.trailing)[-1] == PREDICTIONS


@pytest.mark.parametrize("name", [PREDICTIONS, SHIFTS])
@pytest.mark.parametrize("damage", ["empty", "cut", "one bit", "longer", "zeros"])
def test_damage_is_found_and_made_up_for(files, values, name, damage) -> None:
    for index in LAYOUT.indices():
        write(files, values, index)
    file = files.file_of(name, (2, 0))
    content = bytearray(file.read_bytes())
    if damage == "one bit":
        content[len(content) // 2] ^= 4
    file.write_bytes(
        {
            "empty": b"",
            "cut": content[: len(content) // 2],
            "one bit": content,
            "longer": content + b"\0",
            "zeros": bytes(len(content)),
        }[damage]
    )
    assert files.states()[(2, 0)] == "damaged"
    with pytest.raises(OSError, match=rf"{name}/2\.0.* is damaged .*Repeat the mapping"):
        files.read(name, (2, 0))
    assert [files.states()[i] for i in LAYOUT.indices()].count("finished") == 5
    files.remove((2, 0))
    assert files.states()[(2, 0)] == "missing"
    write(files, values, (2, 0))
    assert files.states()[(2, 0)] == "finished"


def test_fewer_columns_of_an_earlier_version(tmp_path, rng) -> None:
    old = BlockFiles(tmp_path, LAYOUT, {PREDICTIONS: (N_BEST, 8)})
    old.create()
    values = rng.random((1, 3, N_BEST, 8)).astype(np.float32)
    old.write(values, None, (0, 0))
    read = old.lazy(PREDICTIONS, [(0, 0)]).compute(scheduler="synchronous")
    assert read.shape == (5, 4, N_BEST, len(COLUMNS))
    np.testing.assert_array_equal(read[:1, :3, :, :8], values)
    assert np.isnan(read[:1, :3, :, 8:]).all()


def test_worker_without_the_folder(files, values, tmp_path) -> None:
    elsewhere = BlockFiles(tmp_path / "gone", LAYOUT, files.trailing)
    with pytest.raises(FileNotFoundError, match="all workers see it"):
        write(elsewhere, values, (0, 0))
    assert not (tmp_path / "gone").exists()


def test_leftovers_of_a_kill(files, values) -> None:
    write(files, values, (0, 0))
    left = files.path / PREDICTIONS / "0.1.0.0.0123.partial"
    left.write_bytes(b"half a blo")
    assert files.states()[(0, 1)] == "missing"
    files.remove_leftovers()
    assert not left.exists()
    assert files.states()[(0, 0)] == "finished"
