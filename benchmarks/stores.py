"""What a store costs: milliseconds for a block, seconds to open it, and memory of a mapping.

    python benchmarks/stores.py
    python benchmarks/stores.py --folder /data --gigabytes 8

First, blocks of 512 predictions of three orientations are written to `--folder`, with and without
waiting for the disk, and a store of 2000 such blocks is checked. Then scans of 256 x 256 uint16
patterns, made up as they are read, are mapped into a store, `lazy_output=True`, in a process of
their own, and the most memory that this process had is told; the larger scan has eight times as
many patterns.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.indexing.store.blocks import PREDICTIONS, BlockFiles
from pyxem_cnn.indexing.store.layout import BlockLayout

N_BLOCKS, BLOCK, N_BEST = 2000, 512, 3
SIZE, CHUNK = 256, 16  # pixels, and patterns along the side of a chunk
PATTERN_BYTES = 2 * SIZE**2


def write_and_open(folder):
    """Print how long it takes to write a block and to check all blocks."""
    blocks = np.random.default_rng(0).random((BLOCK, N_BEST, len(COLUMNS)), dtype=np.float32)
    layout = BlockLayout(((BLOCK,) * N_BLOCKS,))
    files = BlockFiles(folder / "blocks.zarr", layout, {PREDICTIONS: (N_BEST, len(COLUMNS))})
    files.create()
    sync, written = os.fsync, 0
    for name, function, n in (("", sync, 100), (" without fsync", lambda _: None, N_BLOCKS - 100)):
        os.fsync = function
        start = time.perf_counter()
        for _ in range(n):
            files.write(blocks, None, (written,))
            written += 1
        milliseconds = 1e3 * (time.perf_counter() - start) / n
        print(f"a block of {BLOCK} patterns, {N_BEST} orientations{name}: {milliseconds:.1f} ms")
    os.fsync = sync
    wall, cpu = time.perf_counter(), time.process_time()
    assert set(files.states().values()) == {"finished"}
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{N_BLOCKS} blocks are read and checked in {wall:.1f} s, {cpu:.1f} CPU seconds")


def map_scan(folder, n_patterns):
    """Map a scan that is made up as it is read, and print the most memory of this process."""
    import dask.array as da
    from pyxem.signals import LazyElectronDiffraction2D

    import pyxem_cnn

    model = pyxem_cnn.load_model("si_200kV")
    pattern = np.random.default_rng(0).poisson(0.3, (SIZE, SIZE)).astype(np.uint16)
    rows = -(-n_patterns // 128)

    def read(block_info=None):
        shape = block_info[None]["chunk-shape"]
        return np.broadcast_to(pattern, shape).copy()

    chunks = (da.core.normalize_chunks(CHUNK, (rows,))[0], (CHUNK,) * (128 // CHUNK))
    data = da.map_blocks(read, chunks=(*chunks, (SIZE,), (SIZE,)), dtype=np.uint16)
    scan = LazyElectronDiffraction2D(data)
    options = {"geometry": {"center": (127.5, 127.5), "scale": 0.01}, "lazy_output": True}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    scan.get_orientation_map_cnn(
        model, store=folder / f"{n_patterns}.zarr", show_progressbar=False, **options
    )
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{data.nbytes / 2**30:.2f} GiB of patterns in {time.perf_counter() - start:.0f} s: most "
        f"memory {most / 2**20:.2f} GiB, {(most - before) / 2**20:.2f} GiB more than before"
    )


def main():
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--gigabytes", type=float, default=2, help="of the larger scan, GiB")
    parser.add_argument("--patterns", type=int, help="map one scan of so many only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        if arguments.patterns:
            map_scan(Path(name), arguments.patterns)
            return
        write_and_open(Path(name))
        for share in (0.125, 1):
            n = int(share * arguments.gigabytes * 2**30 / PATTERN_BYTES)
            command = [sys.executable, __file__, "--patterns", str(n), "--folder", name]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
