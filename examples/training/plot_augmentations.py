"""
What do specimen and microscope add to a pattern?
=================================================

A simulated pattern holds sharp spots on black. Your scan does not: how does one become the other?
Here the same silicon pattern gets one thing after another, in the order in which electrons meet
them: a second grain, an amorphous film, diffuse scattering, the sensor's blur, gaps and beam stop,
counting, defective pixels. Training draws each of them at random. Change the numbers until the last
pattern looks like yours; then you know which conditions to train with.
"""

# %%
# Spots of silicon at 200 kV, a degree off [011], and of a second grain.
import matplotlib.pyplot as plt
import numpy as np
import torch

from pyxem_cnn import CrystalStructure, PolarGrid
from pyxem_cnn import augmentations as aug
from pyxem_cnn.rotations import with_zone_axis
from pyxem_cnn.simulation.kinematic import KinematicSimulator
from pyxem_cnn.simulation.rendering import render_polar

silicon = CrystalStructure.from_asymmetric_unit(
    (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
)
axes = np.array([[0.03, 1, 1.02], [1, 1.04, 2]])
axes /= np.linalg.norm(axes, axis=1, keepdims=True)
spots = KinematicSimulator(silicon, accelerating_voltage=200).spots(with_zone_axis(axes))
intensity = np.sqrt(spots.intensity / (1 + (spots.excitation_error / 0.012) ** 2))

# %%
# One step after another: content is in electrons per bin, a mask is 1 where the detector measures.
grid, pixel, generator = PolarGrid(k_max=1.4), 0.015, torch.Generator().manual_seed(4)
both = torch.from_numpy(render_polar(spots.k, intensity, np.array([0.015, 0.015]), grid))
everywhere = torch.ones(1, *grid.shape)
content, steps = both[:1], {}
steps["simulated"] = content, everywhere
content = aug.overlap(both, share=1.0, largest=1.0, generator=generator)[:1]
steps["second grain"] = content, everywhere
content = aug.add_amorphous_rings(content, grid, 1.0, (0.3, 0.3), generator)
steps["amorphous film"] = content, everywhere
content = aug.add_gaussian_background(content, grid, (0.5, 0.5), (0.3, 0.3), generator)
steps["diffuse scattering"] = content, everywhere
content = aug.point_spread(content, sigma=torch.tensor([0.025]), grid=grid)
steps["point spread"] = content, everywhere
mask = aug.detector_gaps(1, 1.0, (0.05, 0.05), (1.4, 1.4), grid, generator)
mask = mask * aug.beam_stop(1, 1.0, (0.1, 0.1), grid, generator)
steps["gaps, beam stop"] = content, mask
counts = aug.count_electrons(content * mask, torch.tensor([2e4]), generator)
steps["20,000 electrons"] = counts, mask
counts = aug.add_hot_pixels(counts, grid, (1e-3, 1e-3), (30, 300), pixel, generator)
steps["hot pixels"] = counts, mask

# %%
# Square roots of the counts per area, as the network takes them; grey is not measured.
edges = (np.arange(grid.n_azimuthal + 1) - 0.5) * grid.azimuthal_step
figure, axes = plt.subplots(2, 4, figsize=(9, 5), subplot_kw={"projection": "polar"})
figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.86, wspace=0.05, hspace=0.2)
for axis, (title, (content, mask)) in zip(axes.flat, steps.items(), strict=True):
    density = np.ma.masked_array((content[0].numpy() / grid.bin_areas) ** 0.5, mask[0] == 0)
    colours = plt.get_cmap("magma").with_extremes(bad="0.75")
    top = np.percentile(density.compressed(), 99.5)
    axis.pcolormesh(edges, grid.radial_edges, density, cmap=colours, vmin=0, vmax=top)
    axis.set(xticks=[], yticks=[], ylim=(0, grid.k_max))
    axis.set_title(title, fontsize=10)
figure.suptitle(f"From a simulation to a scan, {grid.k_min} to {grid.k_max} 1/angstrom")
figure.savefig("augmentations.png", dpi=90)
