"""Blocks of any size have their places, and no two share a chunk."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.indexing.store.layout import BlockLayout

CHUNKS = {
    "regular": ((2, 2, 1), (3, 3)),
    "sliced": ((1, 2, 2), (2, 3, 1)),
    "smaller in between": ((3, 1, 3), (4,)),
    "one": ((5,), (7,)),
    "line": ((4, 4, 2),),
    "pattern": (),
    "series": ((1, 1), (2, 1), (3, 3, 3)),
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_places(chunks) -> None:
    layout = BlockLayout(chunks)
    scan, array = np.zeros(layout.shape, int), np.zeros(layout.array_shape, int)
    seen = set()
    for index in layout.indices():
        in_scan = scan[(*layout.in_scan(index), ...)]  # a view, also of one pattern
        in_array = array[(*layout.in_array(index), ...)]
        assert in_scan.shape == in_array.shape == layout.block_shape(index)
        assert in_scan.size == layout.n_patterns(index)
        in_scan += 1
        in_array += 1
        # The chunk that zarr puts the block into, and no other.
        for place, i, size in zip(layout.in_array(index), index, layout.chunk_shape, strict=True):
            assert place.start // size == (place.stop - 1) // size == i
        seen.add(index)
    assert (scan == 1).all()
    assert array.max() == 1
    assert array.sum() == scan.size
    assert len(seen) == np.prod(layout.n_blocks)


def test_regular_blocks_give_an_array_like_the_scan() -> None:
    layout = BlockLayout(CHUNKS["regular"])
    assert layout.array_shape == layout.shape == (5, 6)
    assert all(layout.in_array(index) == layout.in_scan(index) for index in layout.indices())


def test_one_pattern_is_one_block() -> None:
    layout = BlockLayout(())
    assert list(layout.indices()) == [()]
    assert layout.n_patterns(()) == 1
    assert layout.in_scan(()) == ()
