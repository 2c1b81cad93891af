"""
What does a network see of weak spots?
======================================

The network does not see counts, but three pictures of them: square roots less the mean of their
ring, and two contrasts of counts that were smoothed over the size of a spot, in which spots of a
few electrons show beside one of a thousand.
"""

# %%
# Patterns of silicon at 200 kV with 10,000 electrons outside the direct beam.
import matplotlib.pyplot as plt
import numpy as np
import torch

from pyxem_cnn import CrystalStructure, PolarGrid, simulate_library
from pyxem_cnn.datasets import Conditions, PatternSource
from pyxem_cnn.networks.inputs import N_CONTRASTS, Contrasts, Smoothing, normalised

silicon = CrystalStructure.from_asymmetric_unit(
    (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
)
grid = PolarGrid()
library = simulate_library(silicon, 200, n_zone_axes=200, show_progressbar=False)
conditions = Conditions().fitted_to(library, grid).measured_at(1e4)
n_columns = 6
generator = torch.Generator().manual_seed(7)
batch = PatternSource(library, grid, conditions).batch(n_columns, generator)

# %%
# The layers, as the network makes them. Square roots are those of the counts of each bin. For the
# contrasts, counts are first smoothed over the size of a spot, by a Gaussian as wide as a ring;
# then such a mean c in a ring of mean m becomes c / (c + f m), with f of 0.5 and 4.
smoothing = Smoothing(grid.n_radial, grid.n_azimuthal, grid.inner_edge)
layers = [normalised(batch.counts, batch.mask)[0]]
layers += Contrasts(smoothing)(batch.counts, batch.mask).chunk(N_CONTRASTS, dim=1)
contrasts = "contrasts of\nsmoothed counts,\n"
titles = ["square roots", f"{contrasts}weak spots", f"{contrasts}strong spots"]

# %%
# Red is more than the mean of the ring, blue less; grey is what no detector pixel measured.
edges = (np.arange(grid.n_azimuthal + 1) - 0.5) * grid.azimuthal_step
figure, axes = plt.subplots(
    len(layers), n_columns, figsize=(9, 4.6), subplot_kw={"projection": "polar"}
)
figure.subplots_adjust(left=0.11, right=0.99, bottom=0.01, top=0.91, wspace=0.05, hspace=0.05)
for line, title, layer in zip(axes, titles, layers, strict=True):
    for axis, value, mask in zip(line, layer.numpy(), batch.mask.numpy(), strict=True):
        value = np.ma.masked_array(value, mask == 0)
        limit = np.percentile(value.compressed(), 99.5)
        axis.pcolormesh(
            edges,
            grid.radial_edges,
            value,
            cmap=plt.get_cmap("RdBu_r").with_extremes(bad="0.75"),
            vmin=-limit,
            vmax=limit,
            rasterized=True,
        )
        axis.set(xticks=[], yticks=[], ylim=(0, grid.k_max))
    line[0].text(
        -0.05, 0.5, title, transform=line[0].transAxes, rotation=90, va="center", ha="right"
    )
figure.suptitle("Patterns at 10,000 electrons as the first layer of the network gets them")
figure.savefig("network_inputs.png", dpi=80)
