"""
Wrap a network of your own
==========================

*I have a PyTorch network that classifies my patterns. Can I map a whole scan with it?*

The network here is the simplest one there is: a single linear layer whose weights are simulated
patterns, in other words template matching. Any module that takes patterns and returns a number for
every class goes the same way, a convolutional network from torchvision or timm as well.
"""

# %%
# A scan whose true orientations are known.
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffsims.generators.simulation_generator import SimulationGenerator
from orix.quaternion import Rotation

import pyxem_cnn
from pyxem_cnn.data import grain_scan
from pyxem_cnn.maps.disorientation import errors_in_degrees

scan, truth = grain_scan(Path(tempfile.mkdtemp()) / "scan.zspy", shape=(10, 10), n_grains=2)

# %%
# The classes of the network: here 60 random orientations and, to have something to find, one in
# every grain.
_, in_grain = np.unique(truth.prop["grain"], return_index=True)
quaternions = np.concatenate([Rotation.random(60).data, truth.rotations.data[in_grain[1:]]])
classes = Rotation(quaternions)

# %%
# The network reads images of 64 x 64 pixels with the beam in the middle and y up, whatever the
# detector: pyxem_cnn resamples. Spots of the classes, from diffsims, are drawn on this grid.
phase = truth.phases["silicon"]
grid = pyxem_cnn.CartesianGrid((64, 64), scale=0.04)
simulation = SimulationGenerator(200).calculate_diffraction2d(
    phase, classes, reciprocal_radius=1.2, max_excitation_error=0.05, with_direct_beam=False
)
axis = grid.scale * (np.arange(64) - 31.5)
templates = []
for spots in simulation.coordinates:
    across = np.exp(-((axis - spots.data[:, :1]) ** 2) / (2 * 0.03**2))
    down = np.exp(-((-axis - spots.data[:, 1:2]) ** 2) / (2 * 0.03**2))
    image = np.sqrt((down * spots.intensity[:, None]).T @ across)
    image[np.hypot(axis[:, None], axis) < 0.15] = 0  # no direct beam
    templates.append(image.ravel() / np.linalg.norm(image))
network = torch.nn.Linear(64 * 64, len(templates), bias=False)
network.weight.data = torch.tensor(np.array(templates), dtype=torch.float32)

# %%
# Nothing is guessed: say what goes in (square root of counts, scaled to unit mean square, flat),
# what comes out, and which orientation each class stands for.
model = pyxem_cnn.wrap_model(
    network,
    phase=phase,
    grid=grid,
    accelerating_voltage=200,
    rotations=classes,
    output="logits",
    preprocessing={"value": "sqrt", "normalise": "rms", "layout": "flat"},
    name="my templates",
)
print(model)

# %%
# From here on it is a model like any other.
xmap = scan.get_orientation_map_cnn(model, show_progressbar=False)
degrees = errors_in_degrees(xmap, truth)
print(f"median error {np.nanmedian(degrees):.2f} degrees, {np.sum(degrees > 5)} points wrong")
