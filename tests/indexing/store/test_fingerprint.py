"""Which patterns tell one scan from another, and what looking at them costs."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from pyxem_cnn.indexing.store import fingerprint
from pyxem_cnn.indexing.store.fingerprint import FEWEST, array_digest, sample_digests
from pyxem_cnn.indexing.store.task import differences

SHAPE, N = (40, 50, 4, 4), 64


@pytest.fixture
def data(rng):
    return rng.integers(0, 1000, SHAPE, dtype=np.uint16)


@pytest.fixture
def small_budget(monkeypatch):
    """Reading more than the first few chunks is too much."""
    monkeypatch.setattr(fingerprint, "_READ_BYTES", 0)


class Reads(list):
    """A lazy array that notes which of its chunks are computed, and can fail to read one."""

    def array(self, data, chunks, broken=None, error=OSError):
        def read(block, block_id=None):
            self.append(block_id)
            if block_id == broken:
                raise error("bad sector")
            return block

        lazy = da.from_array(data, chunks=chunks)
        return lazy.map_blocks(read, dtype=data.dtype, meta=lazy._meta)


@pytest.fixture
def reads():
    return Reads()


def places(shape, n=N):
    return np.array(fingerprint._places(shape, n))


def same(a, b):
    return not differences({"scan": {"patterns": a}}, {"scan": {"patterns": b}})


def test_in_memory_all_places_are_looked_at(data) -> None:
    digests = sample_digests(data, 2)
    expected = [array_digest(data[tuple(place)]) for place in places(SHAPE[:2])]
    assert digests == expected
    assert len(set(digests)) == N


@pytest.mark.parametrize("shape", [(256, 256), (250, 400), (1000, 7), (3000,), (20, 30, 40)])
def test_places_are_spread_whatever_the_rows(shape) -> None:
    found = places(shape)
    assert len(np.unique(found, axis=0)) == N
    # The first few lie in different parts of the slowest axis, and no axis is seen at an edge only.
    assert len(np.unique(found[:FEWEST, 0] * FEWEST // shape[0])) >= FEWEST - 1
    for axis, length in zip(found.T, shape, strict=True):
        assert len(np.unique(axis)) > min(length, N) / 2
        assert ((axis > 0) & (axis < length - 1)).mean() > 0.6
    assert len(places((3, 4))) == 12


@pytest.mark.parametrize("n_changed", [1, 40])
def test_a_part_that_was_changed_is_noticed(data, n_changed) -> None:
    changed = data.copy()
    if n_changed == 1:
        changed[tuple(places(SHAPE[:2])[17])] += 1
    else:
        changed[:, :5] = 0  # ten per cent
    assert not same(sample_digests(data, 2), sample_digests(changed, 2))


@pytest.mark.parametrize("chunks", [(1, 1, 4, 4), (40, 1, 4, 4), (7, 9, 2, 4), (40, 50, 4, 4)])
def test_chunks_are_no_difference(data, chunks) -> None:
    assert sample_digests(da.from_array(data, chunks=chunks), 2) == sample_digests(data, 2)


@pytest.mark.parametrize("chunks", [(1, 50, 4, 4), (40, 2, 4, 4), (10, 10, 4, 4)])
@pytest.mark.usefixtures("small_budget")
def test_costly_chunks_are_few_and_read_once(data, chunks, reads) -> None:
    digests = sample_digests(reads.array(data, chunks), 2)
    assert len(reads) == len(set(reads)) == FEWEST
    known = [digest for digest in digests if digest]
    assert FEWEST <= len(known) < N
    assert all(digests[:FEWEST])  # whatever the chunks, these can be compared
    assert same(digests, sample_digests(data, 2))
    assert not same(digests, sample_digests(data + np.uint16(1), 2))


def test_a_share_of_a_large_scan_is_read(data, reads, monkeypatch, small_budget) -> None:
    monkeypatch.setattr(fingerprint, "_READ_SHARE", 0.5)
    sample_digests(reads.array(data, (10, 10, 4, 4)), 2)
    assert len(reads) == 10  # of twenty chunks


def test_one_chunk_is_read_once(data, reads) -> None:
    assert sample_digests(reads.array(data, SHAPE), 2) == sample_digests(data, 2)
    assert len(reads) == 1


def test_what_cannot_be_read_has_no_digest(data, reads) -> None:
    digests = sample_digests(reads.array(data, (20, 25, 4, 4), broken=(0, 1, 0, 0)), 2)
    unread = [digest is None for digest in digests]
    row, column = places(SHAPE[:2]).T
    np.testing.assert_array_equal(unread, (row < 20) & (column >= 25))
    assert same(digests, sample_digests(data, 2))


def test_lack_of_memory_is_told(data, reads) -> None:
    with pytest.raises(MemoryError):
        sample_digests(reads.array(data, SHAPE, (0, 0, 0, 0), MemoryError), 2)


def test_a_single_pattern(data) -> None:
    assert sample_digests(data[0, 0], 0) == [array_digest(data[0, 0])]
    assert sample_digests(da.from_array(data[0, 0]), 0) == [array_digest(data[0, 0])]


def test_digest_knows_shape_and_dtype(data) -> None:
    digest = array_digest(data)
    assert array_digest(data.astype(">u2")) == digest
    assert array_digest(np.asfortranarray(data)) == digest
    for other in (data.astype(np.int16), data.reshape(2000, 4, 4), data + np.uint16(1)):
        assert array_digest(other) != digest
