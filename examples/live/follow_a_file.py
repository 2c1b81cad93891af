"""
Follow a file that grows
========================

*Which way does the crystal under the beam point, now, while the microscope still scans?*

Many detectors write frames one behind the other into a raw file. Here a thread plays the
microscope: it appends the frames of a simulated scan. The indexer reads what is new, and every
orientation is there a few milliseconds after its pattern.
"""

# %%
import tempfile
import threading
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pyxem_cnn
from pyxem_cnn.data import grain_scan
from pyxem_cnn.maps.disorientation import errors_in_degrees
from pyxem_cnn.plot import plot_ipf_maps

folder = Path(tempfile.mkdtemp())
scan, truth = grain_scan(folder / "scan.zspy", shape=(12, 16), seed=2)
shape = scan.axes_manager.signal_shape[::-1]  # rows, columns
frames = scan.data.compute().reshape(-1, *shape)
raw_file = folder / "frames.raw"
raw_file.touch()

# %%
# All that takes long is done before the first pattern arrives. The geometry comes from a scan that
# was calibrated at the same camera length.
geometry = pyxem_cnn.DetectorGeometry.from_signal(scan)
indexer = pyxem_cnn.LiveIndexer("si_200kV", geometry, dtype=frames.dtype)


# %%
# The microscope: a frame every 2 milliseconds. They reach the disk in the buffer's time.
def microscope() -> None:
    with raw_file.open("ab") as file:
        for frame in frames:
            file.write(frame.tobytes())
            time.sleep(0.002)


# %%
# The reader: only frames that are there as a whole, and none twice.
def new_frames(n_read: int) -> np.ndarray:
    n_whole = raw_file.stat().st_size // frames[0].nbytes
    count, offset = (n_whole - n_read) * frames[0].size, n_read * frames[0].nbytes
    return np.fromfile(raw_file, frames.dtype, count, offset=offset).reshape(-1, *shape)


writer = threading.Thread(target=microscope)
writer.start()
while len(indexer) < len(frames):
    patterns = new_frames(len(indexer))
    if len(patterns) == 0:
        time.sleep(0.001)
        continue
    result = indexer.index(patterns)
    if len(indexer) % 40 < len(patterns):
        print(f"{result}: {np.degrees(result.rotations[-1, 0].to_euler()).round(1)}")
writer.join()
print(indexer)

# %%
# At any time, the map of what has arrived; positions that are still to come are not in its data.
xmap = indexer.crystal_map((12, 16), step=5.0, units="nm")
plot_ipf_maps(xmap)
degrees = errors_in_degrees(xmap, truth)
print(f"{xmap.size} orientations, median error {np.nanmedian(degrees):.2f} degrees")
plt.show()
