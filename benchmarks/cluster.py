"""What travels to the workers of a cluster, and how long a map takes there.

    python benchmarks/cluster.py

Starts two worker processes on this machine and maps a scan of 128 x 128 patterns, uint16, from a
zarr folder: by threads, then on the workers, twice. Prints the bytes that the scheduler sends to
the workers, and those that they send each other.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import pyxem_cnn


def make_scan(folder, n, block):
    """Return a lazy scan of n x n patterns in chunks of block x block."""
    import dask.array as da
    from pyxem.signals import ElectronDiffraction2D

    generator = np.random.default_rng(0)
    rates = 5 * generator.random((64, 128, 128), dtype=np.float32) ** 8
    counts = np.resize(generator.poisson(rates).astype(np.uint16), (n, n, 128, 128))
    path = str(Path(folder, "scan.zarr"))
    da.from_array(counts, chunks=(block, block, -1, -1)).to_zarr(path)
    scan = ElectronDiffraction2D(da.from_zarr(path)).as_lazy()
    for axis in scan.axes_manager.signal_axes:
        axis.units, axis.scale, axis.offset = "1/Å", 0.02, -0.02 * 63.5
    return scan


def sent(client):
    """Return the bytes that scheduler and workers have sent to the workers so far, in MB."""

    def from_others(dask_worker):
        return sum(log["total"] for log in dask_worker.transfer_incoming_log)

    comms = client.cluster.scheduler.stream_comms.values()
    return np.array([sum(c.byte_count for c in comms), sum(client.run(from_others).values())]) / 1e6


def main():
    """Map and print."""
    from distributed import Client, LocalCluster

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="si_200kV", help="model file or name")
    parser.add_argument("--size", type=int, default=32, help="patterns along a side of the scan")
    parser.add_argument("--block", type=int, default=4, help="patterns along a side of a chunk")
    options = parser.parse_args()
    model = pyxem_cnn.load_model(options.model)
    quiet = {"dashboard_address": None, "silence_logs": logging.ERROR}
    with tempfile.TemporaryDirectory() as folder:
        scan = make_scan(folder, options.size, options.block)
        print(f"{scan.data.npartitions} blocks, model of {len(model.to_bytes()) / 1e6:.1f} MB")
        start = time.perf_counter()
        expected = scan.get_orientation_map_cnn(model, show_progressbar=False)
        print(f"threads: {time.perf_counter() - start:.1f} s")
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as cluster,
            Client(cluster) as client,
        ):
            for name in ("first map on two workers", "second"):
                before, start = sent(client), time.perf_counter()
                found = scan.get_orientation_map_cnn(model, show_progressbar=False)
                seconds = time.perf_counter() - start
                scheduler, workers = sent(client) - before
                print(
                    f"{name}: {seconds:.1f} s, {scheduler:.2f} MB from the scheduler, "
                    f"{workers:.2f} MB from each other"
                )
                assert np.array_equal(found.rotations.data, expected.rotations.data)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        main()
