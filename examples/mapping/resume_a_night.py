"""
Go on with a mapping that was interrupted
=========================================

*The mapping of a large scan was interrupted in the night. What is left of it, and how do I go on?*

With ``store=``, every block of orientations is on the disk as soon as it is finished. Here a
network drive fails once, in the middle of a simulated scan. A kill, a power cut or Ctrl-C leave the
same behind.
"""

# %%
# A scan of silicon grains, 24 x 24 patterns in twelve blocks of two rows.
import itertools
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pyxem_cnn
from pyxem_cnn.data import grain_scan
from pyxem_cnn.plot import plot_ipf_maps

folder = Path(tempfile.mkdtemp())
scan, _ = grain_scan(folder / "scan.zspy", shape=(24, 24), seed=3)
scan.rechunk(nav_chunks=(2, 24), sig_chunks=-1, inplace=True)
model = pyxem_cnn.load_model("si_200kV")

# %%
# The drive fails when a block is read for the twelfth time. (The first few reads are those of five
# patterns by which the store recognises the scan.)
reads = itertools.count(1)


def read(block):
    if next(reads) == 12:
        raise OSError("The network drive does not answer")
    return block


drive = scan.deepcopy()
drive.data = scan.data.map_blocks(read, dtype=scan.data.dtype, meta=scan.data._meta)

# %%
# The error says how much is finished, where it is, and how to go on.
try:
    drive.get_orientation_map_cnn(model, store=folder / "map.zarr", show_progressbar=False)
except OSError as error:
    print(error, *error.__notes__, sep="\n")

# %%
# The half that is there can be looked at, also while a mapping runs. What is not finished is not in
# the data.
store = pyxem_cnn.open_store(folder / "map.zarr")
print(store)
plot_ipf_maps(store.prediction.to_crystal_map(), title="Half finished")

# %%
# The same call goes on: the progress bar counts the patterns that are left.
crystal_map = drive.get_orientation_map_cnn(model, store=folder / "map.zarr")
plot_ipf_maps(crystal_map, title="Finished")

# %%
# It is the map that an uninterrupted run gives, to the last bit.
uninterrupted = scan.get_orientation_map_cnn(model, show_progressbar=False)
print(np.array_equal(crystal_map.rotations.data, uninterrupted.rotations.data))

# %%
# A store is of one task: it does not go on with other settings.
try:
    scan.get_orientation_map_cnn(model, n_best=3, store=folder / "map.zarr")
except ValueError as error:
    print(error)
plt.show()
