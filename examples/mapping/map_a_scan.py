"""
Map the orientations of a scan
==============================

*Which way do the grains of my specimen point, and where should I not trust the map?*

The scan here is simulated with diffsims, so the true orientations are known. With a scan of your
own, leave out that part and load it lazily: ``scan = hs.load("scan.zspy", lazy=True)``.
"""

# %%
# A lazily opened scan of silicon grains, calibrated: the direct beam lies at the origin of the
# signal axes, which are in 1/angstrom, and the metadata know the beam energy.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pyxem_cnn
from pyxem_cnn.data import grain_scan
from pyxem_cnn.maps.disorientation import errors_in_degrees
from pyxem_cnn.plot import plot_error_map, plot_ipf_maps, plot_property_map

folder = Path(tempfile.mkdtemp())
scan, truth = grain_scan(folder / "scan.zspy", shape=(20, 20), seed=1)
print(scan)

# %%
# A model knows one phase at one voltage. This one is shipped with the package.
model = pyxem_cnn.load_model("si_200kV")
print(model)

# %%
# Every pattern is read once, chunk by chunk. ``n_best=3`` keeps the runners-up, too.
xmap = scan.get_orientation_map_cnn(model, n_best=3, show_progressbar=False)
print(xmap)

# %%
# The colours say which crystal direction lies along x, y and z of the lab: x to the right, y up,
# z towards the source.
plot_ipf_maps(xmap)

# %%
# Where not to trust the map: the score is the probability that an orientation is right, and the
# reliability is low where a very different one is almost as likely. In the strip at the left there
# is no specimen: its points are not indexed but for a few, whose phase probability is below 0.9.
plot_property_map(xmap, "reliability")
plot_property_map(xmap, "phase_probability")

# %%
# With a low score a point is left to be indexed by other means.
empty = xmap.phase_id < 0
doubtful = xmap.prop["scores"][:, 0] < 0.5
print(f"vacuum: {empty.sum()} points, doubtful: {(doubtful & ~empty).sum()} of {xmap.size}")

# %%
# Here the truth is known, and the errors can be measured. Those of a few degrees lie on grain
# boundaries, where a pattern shows two grains.
plot_error_map(xmap, truth)
degrees = errors_in_degrees(xmap, truth)
print(f"median error {np.nanmedian(degrees):.2f} degrees")

# %%
# The map is an orix ``CrystalMap``, and can be saved for MTEX or for orix.
pyxem_cnn.save_crystal_map(xmap, folder / "map.ang")
pyxem_cnn.save_crystal_map(xmap, folder / "map.h5")
plt.show()
