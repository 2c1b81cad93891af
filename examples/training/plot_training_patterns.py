"""
What does a network see while it is trained?
============================================

Look at the training patterns before you spend an hour on training: do they resemble your own? Rows
show the same patterns at falling doses, as the network receives them, that is on its polar grid
without the direct beam. The last row shows decoys, crystals that do not exist, from which the
network learns what is *not* its phase.
"""

# %%
# Silicon at 200 kV: the zone axes, the polar grid, and how microscope and specimen vary.
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch

from pyxem_cnn import CrystalStructure, PolarGrid, simulate_library
from pyxem_cnn.datasets import Conditions, PatternSource
from pyxem_cnn.simulation.decoys import decoy_library

silicon = CrystalStructure.from_asymmetric_unit(
    (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
)
grid = PolarGrid()
library = simulate_library(silicon, 200, n_zone_axes=200, show_progressbar=False)
decoys = decoy_library(silicon, 200, np.random.default_rng(0), k_max=grid.k_max, n_lattices=20)
conditions = Conditions().fitted_to(library, grid)

# %%
# One source for each row. With the same seed they draw the same orientations, spots, backgrounds
# and detectors, so that only the noise differs.
rows = {"no noise": replace(conditions.measured_at(1e4), noise_free=1.0)}
for electrons in (1e4, 1e3, 300):
    rows[f"{electrons:,.0f} electrons"] = conditions.measured_at(electrons)
rows["decoys,\n10,000 electrons"] = replace(conditions.measured_at(1e4), decoys=0.5)

# %%
# Square roots of the counts, negative ones as 0; grey is what no detector pixel measured.
n_columns = 6
edges = (np.arange(grid.n_azimuthal + 1) - 0.5) * grid.azimuthal_step
figure, axes = plt.subplots(
    len(rows), n_columns, figsize=(9, 7.4), subplot_kw={"projection": "polar"}
)
figure.subplots_adjust(left=0.11, right=0.99, bottom=0.01, top=0.95, wspace=0.05, hspace=0.05)
for line, (title, varied) in zip(axes, rows.items(), strict=True):
    generator = torch.Generator().manual_seed(7)
    batch = PatternSource(library, grid, varied, decoys).batch(4 * n_columns, generator)
    # Decoys come last in a batch.
    shown = slice(-n_columns, None)
    for axis, counts, mask in zip(
        line, batch.counts[shown].numpy(), batch.mask[shown].numpy(), strict=True
    ):
        value = np.ma.masked_array(np.sqrt(counts.clip(0)), mask == 0)
        axis.pcolormesh(
            edges,
            grid.radial_edges,
            value,
            cmap=plt.get_cmap("magma").with_extremes(bad="0.75"),
            vmin=0,
            vmax=np.percentile(value.compressed(), 99.5) or 1,
            rasterized=True,
        )
        axis.set(xticks=[], yticks=[], ylim=(0, grid.k_max))
    line[0].text(
        -0.12, 0.5, title, transform=line[0].transAxes, rotation=90, va="center", ha="center"
    )
figure.suptitle(f"Training patterns of silicon, 200 kV, {grid.k_min} to {grid.k_max} 1/angstrom")
figure.savefig("training_patterns.png", dpi=80)
