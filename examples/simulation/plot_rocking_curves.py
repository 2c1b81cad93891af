"""
Up to which thickness are intensities kinematic?
================================================

The 220 reflection of silicon at 200 kV. Kinematic theory lets it grow with the square of the
thickness. With two beams, the intensity goes back and forth between the direct beam and the
diffracted one within an extinction distance. A real crystal has more beams than two, here those
of the row of multiples of 220 and some beside it.
"""

# %%
# 220 points along x. The beam lies 12 degrees from [001], so that other rows of reflections are
# far from the Ewald sphere.
import matplotlib.pyplot as plt
import numpy as np
from orix.quaternion import Rotation

from pyxem_cnn import BlochWaveSimulator, CrystalStructure

silicon = CrystalStructure.from_asymmetric_unit(
    (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
)
thicknesses = np.arange(20.0, 1501.0, 20.0)
simulator = BlochWaveSimulator(
    silicon, accelerating_voltage=200, n_beams=64, convergence_angle=0, dtype="float64"
)
reflection = np.array([2, 2, 0])
g = np.linalg.norm(silicon.reciprocal_basis @ reflection)
bragg_angle = g * simulator.wavelength / 2
extinction = 1 / (simulator.wavelength * abs(simulator.potential(reflection[None])[0]))


def orientations(angles):
    """Return rotations of a crystal that turns about y, from the Bragg position of 220."""
    x, out_of_zone = np.array([1, 1, 0]) / np.sqrt(2), np.deg2rad(12)
    z = np.cos(out_of_zone) * np.array([0, 0, 1])
    z = z + np.sin(out_of_zone) * np.array([1, -1, 0]) / np.sqrt(2)
    turn = bragg_angle + np.asarray(angles)[:, None]
    # A positive turn lifts 220 towards the source, to the Ewald sphere and beyond.
    new_x, new_z = np.cos(turn) * x - np.sin(turn) * z, np.sin(turn) * x + np.cos(turn) * z
    matrices = np.stack([new_x, np.cross(new_z, new_x), new_z], axis=-1)
    return Rotation.from_matrix(matrices)


def intensity(spots):
    """Return the intensity of 220, shape (n, n_thicknesses)."""
    is_reflection = (spots.hkl == reflection).all(-1)
    return np.einsum("nts,ns->nt", spots.disc_intensity, is_reflection)


def two_beams(error, thickness):
    """Return the two-beam intensity of 220."""
    frequency = np.sqrt(error**2 + extinction**-2)
    return np.sin(np.pi * thickness * frequency) ** 2 / (extinction * frequency) ** 2


# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained", sharey=True)
angles = np.linspace(-12e-3, 12e-3, 241)
rocking = simulator.calculate(orientations(angles), thicknesses=[300.0, 900.0])
for axis, thickness, many in zip(axes, (300, 900), intensity(rocking).T, strict=False):
    axis.plot(1e3 * angles, two_beams(g * angles, thickness), "0.6", lw=3, label="two beams")
    axis.plot(1e3 * angles, many, label="64 beams")
    axis.set(title=f"{thickness} angstrom", xlabel="from the Bragg position (mrad)")
axes[2].plot(thicknesses, (np.pi * thicknesses / extinction) ** 2, "k:")
axes[2].plot(thicknesses, two_beams(0, thicknesses), "0.6", lw=3, label="two beams")
series = simulator.calculate(orientations([0.0]), thicknesses=thicknesses)
axes[2].plot(thicknesses, intensity(series)[0], label="64 beams")
axes[2].set(title="at the Bragg position", xlabel="thickness (angstrom)", ylim=(0, 1))
axes[0].set_ylabel("intensity of 220 / incident intensity")
axes[0].legend(frameon=False)
axes[2].text(240, 0.97, "kinematic", rotation=80, ha="right", va="top")
figure.savefig("bloch_rocking_curves.png", dpi=75)
