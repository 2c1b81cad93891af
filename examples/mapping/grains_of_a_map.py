"""
Grains and grain boundaries of a map
====================================

*How large are the grains of my specimen, how bent are they, and how do they meet?*

The scan is simulated, so that the true grains are known. With a map of your own, start at
``find_grains``: it takes any orix crystal map, also one from template matching or EBSD.
"""

# %%
# Map a scan of silicon grains, as in the example before. Where the model doubts that it sees
# silicon at all there is vacuum: these points get no phase.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pyxem_cnn
from pyxem_cnn.data import grain_scan
from pyxem_cnn.plot import plot_grain_boundaries, plot_grains

folder = Path(tempfile.mkdtemp())
scan, truth = grain_scan(folder / "scan.zspy", shape=(36, 36), seed=1)
model = pyxem_cnn.load_model("si_200kV")
xmap = scan.get_orientation_map_cnn(model, show_progressbar=False)
xmap[xmap.prop["phase_probability"] < 0.9].phase_id = -1

# %%
# A grain is a connected region in which neighbouring points are less than 5 degrees apart. Wrong
# points would be grains of their own: regions of fewer than 20 points are given to the grain around
# them. Here these are mostly points where the model took the pseudo-symmetric twin, which in
# silicon is a Sigma 3 twin: small "twins" of ragged shape are not to be trusted.
print(f"raw regions: {len(pyxem_cnn.find_grains(xmap))}")
grains = pyxem_cnn.find_grains(xmap, threshold=5, min_size=20, small="merge")
print(grains)
print(f"true number of grains: {len(np.unique(truth.prop['grain'][truth.prop['grain'] >= 0]))}")
plot_grains(grains)

# %%
# Sizes are those of whole grains only if they do not touch the edge of the map.
inner = ~grains.touches_edge
print(f"{inner.sum()} of the grains are whole")
print("equivalent diameters (nm):", np.sort(grains.equivalent_diameter).round(1))

# %%
# The misorientation of every point from its grain's mean orientation shows bent grains and
# subgrains, and how precise the map is.
plot_grains(grains, "reference_misorientation", vmax=2)
print("orientation spread of the grains (degrees):", grains.orientation_spread.round(2))

# %%
# Boundaries know the angle and the axis between the points on both sides. In cubic crystals,
# twins (Sigma 3) can be marked.
boundaries = pyxem_cnn.grain_boundaries(grains)
print(boundaries)
twins = boundaries.is_coincidence(3)
print(f"twin boundaries: {100 * boundaries.lengths[twins].sum() / boundaries.lengths.sum():.0f} %")
plot_grain_boundaries(boundaries, sigma=(3,))

# %%
# All properties in a table, and the number of the grain beside the orientations of the map.
grains.to_csv(folder / "grains.csv")
xmap.prop["grain"] = grains.labels
pyxem_cnn.save_crystal_map(xmap, folder / "map.h5")
plt.show()
