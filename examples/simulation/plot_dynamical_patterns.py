"""
What do dynamical diffraction patterns look like on a detector?
===============================================================

A converged beam makes discs, and thick crystals fill them with fringes. Patterns of one orientation
change beyond recognition with thickness. Then come the electrons: of 10,000 in the whole
pattern, a few hundred are scattered.
"""

# %%
# LiNiO2 at 300 kV: on the zone axis [0001], 1 and 3 degrees from it, and somewhere.
import matplotlib.pyplot as plt
import numpy as np
from orix.quaternion import Rotation

from pyxem_cnn import BlochWaveSimulator, CartesianGrid, CrystalStructure
from pyxem_cnn.simulation.rendering import render_cartesian

crystal = CrystalStructure.from_asymmetric_unit(
    (2.878, 2.878, 14.19, 90, 90, 120),
    "R -3 m:H",
    ["Li", "Ni", "O"],
    [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.26]],
    name="LiNiO2",
)
euler = {
    "[0001]": (20, 0, 0),
    "1° off": (20, 1, 15),
    "3° off": (20, 3, 15),
    "47° off": (80, 47, 20),
}
orientations = Rotation.from_euler(list(euler.values()), degrees=True)

# %%
# Many directions of the incident beam: each becomes a point of the discs.
simulator = BlochWaveSimulator(
    crystal,
    accelerating_voltage=300,
    convergence_angle=2.5,
    thicknesses=[200.0, 1000.0],
    n_beams=128,
    n_tilts=169,
)
spots = simulator.calculate(orientations)
grid = CartesianGrid((180, 180), 0.018)
n = len(spots)
radius = np.full(n, 2.5e-3 / simulator.wavelength)
blur = np.full(n, 0.006)  # the detector's point spread, 1/angstrom
thin, thick = (
    render_cartesian(spots.k, intensity, blur, grid, radius, tilts=spots.tilts) / 169
    for intensity in np.moveaxis(spots.intensity, 1, 0)
)

# %%
# Noise as a counting detector has it.
generator = np.random.default_rng(0)
rows = {"200 Å": thin, "1000 Å": thick}
for electrons in (1e5, 1e4):
    rows[f"1000 Å,\n{electrons:,.0f} electrons"] = generator.poisson(thick * electrons)
figure, axes = plt.subplots(len(rows), n, figsize=(8, 8.4), layout="constrained")
for line, (title, patterns) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(title)
    for axis, pattern in zip(line, patterns, strict=True):
        # The direct beam is the brightest; half of the range shows what is 1 % of it.
        limit = max(np.percentile(pattern, 99.8), 1e-12)
        axis.imshow((pattern / limit).clip(0, 1) ** 0.35, cmap="magma", vmin=0, vmax=1)
for axis, title in zip(axes[0], euler, strict=True):
    axis.set_title(title)
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
figure.suptitle("LiNiO2, 300 kV, 2.5 mrad, to 1.6 1/angstrom")
figure.savefig("bloch_patterns.png", dpi=75)
