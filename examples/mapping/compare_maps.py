"""
Compare two maps of one scan
============================

*Template matching and the network do not agree. Where, by how much, why, and who is right?*

The scan is simulated with diffsims, so that the truth is known. The second map stands for that of
another program: it comes from a file, holds the orientations in another frame, and is less sure.
"""

# %%
# A scan of silicon grains and its map.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from orix.crystal_map import CrystalMap
from orix.quaternion import Rotation

import pyxem_cnn

folder = Path(tempfile.mkdtemp())
scan, truth = pyxem_cnn.data.grain_scan(folder / "scan.zspy", shape=(30, 30))
model = pyxem_cnn.load_model("si_200kV")
xmap = scan.get_orientation_map_cnn(model, n_best=2, show_progressbar=False)

# %%
# The other program's file: at one point in ten the second-best orientation, a third of a degree of
# noise, and a frame with y down the image and z away from the source.
generator = np.random.default_rng(0)
best, second = (xmap.rotations.data[:, i] for i in (0, 1))
mixed = Rotation(np.where(generator.random((xmap.size, 1)) < 0.1, second, best))
noise = Rotation.from_axes_angles(
    generator.normal(size=(xmap.size, 3)), generator.normal(scale=0.3, size=xmap.size), degrees=True
)
other = CrystalMap(
    rotations=mixed * noise * ~Rotation([0, 1, 0, 0]),
    phase_list=xmap.phases,
    x=xmap.x,
    y=xmap.y,
    scan_unit=xmap.scan_unit,
)
pyxem_cnn.save_crystal_map(other, folder / "other.ang")

# %%
# Read as it is, hardly a point agrees, and the comparison says what would help.
other = pyxem_cnn.load_crystal_map(folder / "other.ang")
comparison = pyxem_cnn.compare_crystal_maps(xmap, other)
print(comparison)
print(comparison.notes[-1])

# %%
# Half a turn about x of the lab: this is the frame of images, y down and z away from the source.
# With a voltage, orientations are also counted modulo pseudo-symmetric twins, which have all but
# the same pattern.
other = pyxem_cnn.load_crystal_map(folder / "other.ang", frame="image")
comparison = pyxem_cnn.compare_crystal_maps(
    xmap, other, truth, accelerating_voltage=200, grains="grain", names=("network", "other")
)
print(comparison.summary())

# %%
# Both maps and the truth, where and why they differ, and by how much.
comparison.plot()

# %%
# The arrays lie point by point over the scan.
disagree = comparison.misorientation > 5
print(f"the network alone is right at {(comparison.right == 'network only').sum()} points,")
print(f"the other map at {(comparison.right == 'other only').sum()}, of {disagree.sum()}")

# %%
# All points and figures in one file.
comparison.save(folder / "comparison.csv")
plt.show()
