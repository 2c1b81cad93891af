"""Memory of mapping: bounded, however large the scan is, and warned of where it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from pyxem_cnn.indexing import chunks as module
from pyxem_cnn.indexing.chunks import in_blocks

GIB = 2**30
# Maps a scan in a file, five times as large as the memory that it may take besides that of the
# interpreter and all it has imported. Every pattern holds ones: HDF5 makes them up when read.
SCRIPT = """
import resource, sys
import dask, dask.array as da, h5py
from pyxem.signals import LazyElectronDiffraction2D
import pyxem_cnn

path, model = sys.argv[1:3]
rows, limit = int(sys.argv[3]), int(sys.argv[4])

def signal(dataset):
    return LazyElectronDiffraction2D(da.from_array(dataset, chunks=dataset.chunks))

def run(signal):
    with dask.config.set(scheduler="threads", num_workers=2):
        return signal.get_orientation_map_cnn(
            model, geometry={"center": (63.5, 63.5), "scale": 0.016}, show_progressbar=False
        )

with h5py.File(path, "w") as file:
    shape, chunks = (rows, 64, 128, 128), (8, 64, 128, 128)
    dataset = file.create_dataset("data", shape, "u2", chunks=chunks, fillvalue=1)
    size = dataset.size * dataset.dtype.itemsize
    data = signal(dataset)
    run(data.inav[:, :16])  # imports and compiles all there is
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    allowed = int(status["VmData"].split()[0]) * 1024 + limit
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    crystal_map = run(data)
    assert crystal_map.shape == (rows, 64)
    assert (crystal_map.phase_id == 0).all()
    try:
        data.data.compute()
    except MemoryError:
        print(size / limit)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="limits memory as Linux does")
def test_a_scan_much_larger_than_memory(model, tmp_path):
    path = model.save(tmp_path / "model.pt")
    limit = 320 * 2**20
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "scan.h5", path, "800", str(limit)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    # It printed this only after the scan as a whole turned out not to fit.
    assert float(result.stdout.split()[-1]) == pytest.approx(5)


def test_a_scan_in_memory_is_not_copied():
    data = np.ones((30, 40, 64, 64), dtype=np.uint16)
    tracemalloc.start()
    try:
        blocks = in_blocks(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < data.nbytes / 20
    assert blocks.shape == data.shape
    assert blocks.dtype == data.dtype
    assert all(np.shares_memory(np.asarray(b), data) for b in dict(blocks.dask).values())


def test_blocks_in_memory_are_the_scan(rng, monkeypatch):
    data = rng.integers(0, 9, (5, 7, 4, 6)).astype(np.uint8)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 3 * data[0, 0].nbytes)
    blocks = in_blocks(data)
    assert blocks.chunks[:2] == ((1,) * 5, (3, 3, 1))
    np.testing.assert_array_equal(blocks.compute(), data)


def lazy(shape, chunks):
    """Return a scan that nobody can read, since it would not fit."""
    return da.zeros(shape, chunks=chunks, dtype=np.uint16)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ((64, 512, 256, 256), r"are large\. Each thread holds 4\.0 GiB of the scan's 32\.0 GiB"),
        ((-1, -1, 16, 16), r"cut the detector: .* holds 32\.0 GiB of the scan's 32\.0 GiB"),
    ],
    ids=["whole patterns", "cut"],
)
def test_large_chunks_are_warned_of(chunks, message):
    with pytest.warns(UserWarning, match=message) as caught:
        in_blocks(lazy((512, 512, 256, 256), chunks))
    assert r"s.rechunk(nav_chunks=(22, 22), sig_chunks=-1)" in str(caught[0].message)
    # Fewer threads are no remedy where one needs the whole scan.
    assert ("num_workers=1" in str(caught[0].message)) == (chunks[0] != -1)


def test_remedy_for_a_line():
    with pytest.warns(UserWarning, match=r"nav_chunks=\(512,\)"):
        in_blocks(lazy((10_000, 256, 256), (10_000, -1, -1)))


@pytest.mark.parametrize("chunks", [(32, 32, -1, -1), (1, 1, -1, -1), (4, 4, 128, 256)])
def test_other_chunks_are_not_warned_of(chunks):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blocks = in_blocks(lazy((512, 512, 256, 256), chunks))
    assert np.prod(blocks.chunksize, dtype=np.int64) * 2 <= 64 * 2**20
    assert blocks.chunksize[-2:] == (256, 256)
