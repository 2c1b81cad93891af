"""Peak memory of mapping scans on disk, which does not grow with the scan.

    python benchmarks/memory.py
    python benchmarks/memory.py --rows 64 1024 4096 --workers 8

For each size, a process of its own writes a zarr scan of rows x 64 patterns (128 x 128, uint16) to
a temporary folder and maps it. A process that maps one block is the zero: its peak holds Python,
all that is imported, and the network. Printed is the resident memory, in MiB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import warnings

import dask
import numpy as np

import pyxem_cnn  # noqa: F401 - attaches the method

CHUNK = (4, 64, 128, 128)


def main():
    """Map scans of several sizes and print a table, or map one and print its peak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[32, 128, 512], help="multiples of 4"
    )
    parser.add_argument("--model", default="si_200kV", help="model file or name")
    parser.add_argument("--workers", type=int, default=2, help="threads")
    parser.add_argument("--one", action="store_true", help="map one scan, print its peak in KiB")
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.filterwarnings("ignore")
            run(f"{folder}/scan.zarr", options.rows[0], options)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    zero = peak(CHUNK[0], options)
    print(f"{options.model}, {options.workers} threads; one block: {zero:.0f} MiB in all")
    print(f"{'patterns':>9} {'scan, MiB':>10} {'peak above one block, MiB':>26}")
    for rows in options.rows:
        size = rows * np.prod(CHUNK[1:]) * 2 / 2**20
        print(f"{rows * CHUNK[1]:9} {size:10.0f} {peak(rows, options) - zero:26.0f}", flush=True)


def peak(rows, options):
    """Return the peak in MiB of a process that maps one scan."""
    command = [sys.executable, __file__, "--one", "--rows", str(rows), "--model", options.model]
    command += ["--workers", str(options.workers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 2**10


def run(path, rows, options):
    """Write a scan chunk by chunk and map it lazily."""
    import dask.array as da
    import zarr
    from pyxem.signals import LazyElectronDiffraction2D

    shape = (rows, *CHUNK[1:])
    store = zarr.open(path, mode="w", shape=shape, chunks=CHUNK, dtype="u2", compressor=None)
    counts = np.random.default_rng(0).poisson(0.5, CHUNK).astype(np.uint16)
    for first in range(0, rows, CHUNK[0]):
        store[first : first + CHUNK[0]] = counts
    scan = LazyElectronDiffraction2D(da.from_zarr(path))
    for axis in scan.axes_manager.signal_axes:
        axis.units, axis.scale, axis.offset = "1/Å", 0.02, -0.02 * 63.5
    with dask.config.set(scheduler="threads", num_workers=options.workers):
        scan.get_orientation_map_cnn(options.model, show_progressbar=False)


if __name__ == "__main__":
    main()
