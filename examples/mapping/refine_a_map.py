"""
Refine the orientations of a map
================================

*How far from the truth is the map, and which of several likely orientations is the right one?*

A network reads orientations to within a degree or so. Patterns that are simulated for orientations
nearby tell more: here they are compared with the counts of a small scan, whose truth is known.
"""

# %%
# A scan of silicon grains, with dynamical patterns of 10,000 electrons each, calibrated.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pyxem_cnn
from pyxem_cnn.data import grain_scan
from pyxem_cnn.maps.disorientation import errors_in_degrees
from pyxem_cnn.plot import plot_error_map, plot_property_map

folder = Path(tempfile.mkdtemp())
scan, truth = grain_scan(
    folder / "scan.zspy", shape=(5, 8), seed=1, n_grains=4, step=5, simulator="bloch"
)

# %%
# Several orientations for each point: the refinement can choose among them, and among their
# pseudo-symmetric twins.
model = pyxem_cnn.load_model("si_200kV")
xmap = scan.get_orientation_map_cnn(model, n_best=3, show_progressbar=False)

# %%
# The model says what is simulated: its crystal, voltage and convergence angle. Vacuum is left out.
vacuum = xmap.phase_id.reshape(xmap.shape) < 0
refined = scan.refine_orientation_cnn(xmap, model, navigation_mask=vacuum, show_progressbar=False)

# %%
# What came of it.
for name, one in (("network", xmap), ("refined", refined)):
    degrees = errors_in_degrees(one, truth)[~vacuum.ravel()]
    print(f"{name}: median {np.nanmedian(degrees):.2f} deg, {np.nanmean(degrees < 2):.0%} within 2")
plot_error_map(refined, truth)

# %%
# ``origin`` is the rank that each orientation had before, ``moved`` how far it was moved.
best = {name: refined.prop[name][:, 0] for name in ("origin", "moved", "refined_score")}
moved = ~vacuum.ravel()
print("best orientation was not the first one before:", (best["origin"][moved] > 0).sum())
print(f"moved by {np.nanmedian(best['moved'][moved]):.2f} degrees (median)")

# %%
# The thickness comes with it, in angstrom. The simulated specimen has 350 to 650.
plot_property_map(refined, "thickness")
plt.show()
