"""
Can dynamical diffraction tell [10-10] from [1-100] of LiNiO2?
==============================================================

Along both zone axes of the layered oxide, spots lie at the same places. One pattern is the other
one turned by 180 degrees: kinematic intensities obey Friedel's law and are the same. Multiple
scattering need not obey it, if it runs through the first-order Laue zone. That zone lies at
4.5 1/angstrom, far beyond the detector, so that the simulation has to reach there; and thermal
motion of the atoms damps it.
"""

# %%
# The crystal looks the same from both sides of a plane, but not after half a turn about [10-10].
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
thermal = {"Ni": 0.40, "Li": 1.19, "O": 0.70}  # B at room temperature, square angstrom
direct_basis = np.linalg.inv(crystal.reciprocal_basis).T


def orientation(uvw):
    """Return the rotation with a zone axis towards the source and c* upwards."""
    z = direct_basis @ np.array(uvw)
    z, y = z / np.linalg.norm(z), np.array([0.0, 0, 1])
    return Rotation.from_matrix(np.stack([np.cross(y, z), y, z], axis=1))


# [10-10] and [1-100] are [210] and [1-10] with three indices.
zones = Rotation.stack([orientation((2, 1, 0)), orientation((1, -1, 0))]).flatten()

# %%
# 300 beams up to 4.8 1/angstrom and a crystal of 1000 angstrom; kinematic intensities are the
# squares of the potential's Fourier coefficients.
grid = CartesianGrid((120, 120), 0.025)
rows = {
    "kinematic": (thermal, True),
    "dynamical,\nroom temperature": (thermal, False),
    "dynamical,\natoms at rest": (0.0, False),
}
figure, axes = plt.subplots(3, 3, figsize=(7, 7.5), layout="constrained")
for line, (title, (b_iso, is_kinematic)) in zip(axes, rows.items(), strict=True):
    simulator = BlochWaveSimulator(
        crystal, accelerating_voltage=300, n_beams=300, g_max=4.8, n_tilts=37, debye_waller=b_iso
    )
    spots = simulator.calculate(zones, thicknesses=[1000.0])
    parts = spots.intensity[:, 0]
    if is_kinematic:
        squares = [simulator.potential(hkl) ** 2 for hkl in spots.hkl]
        parts = np.repeat(np.array(squares)[..., None], 37, axis=-1)
    parts = parts * spots.hkl.any(-1)[..., None]  # without the direct beam
    radius = np.full(2, 1.5e-3 / simulator.wavelength)
    images = render_cartesian(spots.k, parts, np.full(2, 0.01), grid, radius, tilts=spots.tilts)
    first, second = images / images[0].sum()
    limit = np.percentile(first, 99.7)
    for axis, image in zip(line, (first, second), strict=False):
        axis.imshow(np.sqrt(image), cmap="magma", vmax=np.sqrt(limit))
    line[2].imshow(first - second, cmap="RdBu_r", vmin=-limit / 5, vmax=limit / 5)
    line[2].set_xlabel(f"|difference| / sum = {100 * np.abs(first - second).sum():.2f} %")
    line[0].set_ylabel(title)
for axis, title in zip(axes[0], ("[10-10]", "[1-100]", "difference x 5"), strict=True):
    axis.set_title(title)
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
figure.suptitle("LiNiO2, 300 kV, 1.5 mrad, without the direct beam; square root of intensity")
figure.savefig("bloch_pseudo_symmetry.png", dpi=75)
