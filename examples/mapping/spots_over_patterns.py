"""
Look at spots over patterns
===========================

*Is my scan calibrated, and do the predicted spots lie on the measured ones?*

Before a scan is mapped for hours, a sample shows whether beam centre, scale and ellipticity are
right. Afterwards, every pattern can be looked at with the spots that its orientation should show.
"""

# %%
# A scan of silicon grains, simulated by diffsims, whose calibration we spoil: the direct beam is
# 2 pixels off, and the camera length 3 percent wrong.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pyxem_cnn
from pyxem_cnn.data import grain_scan

folder = Path(tempfile.mkdtemp())
scan, truth = grain_scan(folder / "scan.zspy", shape=(20, 20), n_grains=12, seed=1)
true = pyxem_cnn.DetectorGeometry.from_signal(scan)
x, y = true.center
spoilt = {"center": (x + 2, y), "scale": 1.03 * true.scale[0]}

# %%
# The check reads at most 16 chunks of a lazy scan, however large it is. It warns where the
# calibration is further off than the model bears.
import warnings

model = pyxem_cnn.load_model("si_200kV")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    check = pyxem_cnn.check_calibration(scan, model, geometry=spoilt)
print(check)
assert any("beam centre is off" in str(one.message) for one in caught)

# %%
# Blue is where the rings and spots of silicon lie with the given geometry, red with the corrected
# one. Are the red circles on the spots? Then all is well.
check.plot()

# %%
# What was found is what was spoilt, and the corrected geometry can be used as it is.
error = np.hypot(*np.subtract(check.corrected.center, true.center))
scale_error = check.corrected.scale[0] / true.scale[0] - 1
print(f"left of 2 pixels: {error:.3f}, of 3 %: {100 * scale_error:.2f} %")
assert error < 0.1
assert abs(scale_error) < 0.005

# %%
# A lazy prediction computes what one looks at. Computed, it also gives the map to navigate by.
prediction = scan.get_orientation_map_cnn(
    model, n_best=2, geometry=check.corrected, lazy_output=True
)
prediction.compute(show_progressbar=False)
print(prediction)

# %%
# Red are the spots of the best orientation, blue those of the second one: here, at a boundary, that
# of the other grain. Click into the map, and they follow. The keys ``n`` and ``b`` show one
# alternative alone, ``a`` shows all.
scan.compute(show_progressbar=False)
prediction.plot_over_signal(scan, n_best=2, norm="symlog", cmap="gray_r")
scan.axes_manager.indices = (12, 10)
plt.show()
