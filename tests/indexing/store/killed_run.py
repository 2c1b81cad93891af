"""A mapping in a process of its own that kills itself, or waits to be killed; not a test."""

from __future__ import annotations

import os
import signal
import sys
import time

import dask
import hyperspy.api as hs

import pyxem_cnn  # noqa: F401  (attaches the methods)
from pyxem_cnn.indexing.block import BlockPredictor
from tests.indexing.conftest import GEOMETRY


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run(scan: str, model: str, store: str, how: str) -> None:
    """Map the scan: killed in the 6th block, while the 6th is written, or from outside."""
    original, replace, calls, writes = BlockPredictor.__call__, os.replace, [], []

    def predict(self, *arguments):
        calls.append(1)
        if how == "predicting" and len(calls) == 6:
            kill()
        if how == "outside":
            time.sleep(0.1)
        return original(self, *arguments)

    def rename(source, target):
        writes.append("predictions" in str(target))
        if how == "writing" and sum(writes) == 7:  # the first one is the array's own description
            kill()
        return replace(source, target)

    BlockPredictor.__call__, os.replace = predict, rename
    with dask.config.set(scheduler="threads" if how == "outside" else "synchronous"):
        hs.load(scan, lazy=True).get_orientation_map_cnn(
            model, geometry=GEOMETRY, n_best=2, store=store, show_progressbar=False
        )


if __name__ == "__main__":
    run(*sys.argv[1:])
