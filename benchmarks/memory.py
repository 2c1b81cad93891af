"""Peak memory of mapping a scan on disk, which should not grow with the scan.

    for n in 32 128 512; do python benchmarks/memory.py $n; done

Writes a zarr scan of n x 64 silicon-like patterns (128 x 128, uint16) to a temporary folder.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import warnings

import numpy as np

import pyxem_cnn  # noqa: F401 - attaches the method

CHUNK = (4, 64, 128, 128)


def main():
    """Map one scan and print its size and the peak of the resident memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int, help="rows of the scan, a multiple of 4")
    parser.add_argument("--model", default="si_200kV", help="model file or name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = run(f"{folder}/scan.zarr", options.rows, options.model)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"scan {size / 2**30:.2f} GiB, peak resident memory {peak:.2f} GiB")


def run(path, rows, model):
    """Write a scan, map it lazily, and return its size in bytes."""
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
    scan.get_orientation_map_cnn(model, show_progressbar=False)
    return scan.data.nbytes


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        main()
