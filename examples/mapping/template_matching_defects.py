"""
Does pyxem's template matching return the orientations that it found?
=====================================================================

It finds them, but pyxem 0.21 does not read its own result right. Here patterns are drawn *at*
orientations of the templates, turned about the beam or mirrored, so that every match is known. Then
``to_crystal_map`` of pyxem and ``orientation_map_to_crystal_map`` read the same matches.
"""

import hyperspy.api as hs
import numpy as np
from diffsims.generators.simulation_generator import SimulationGenerator
from orix.quaternion import Rotation
from pyxem.signals import ElectronDiffraction2D

import pyxem_cnn
from pyxem_cnn.rotations import disorientation_angle

hs.preferences.General.show_progressbar = False
LINIO2 = pyxem_cnn.CrystalStructure.from_asymmetric_unit(
    (2.878, 2.878, 14.19, 90, 90, 120),
    "R -3 m:H",
    ["Li", "Ni", "O"],
    [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.2585]],
    name="LiNiO2",
)
SIZE, SCALE, CENTER = 128, 0.02, (63.5, 63.5)  # pixels, 1/angstrom, column and row


def simulate(rotations, phase):
    return SimulationGenerator(200).calculate_diffraction2d(
        phase, rotations, reciprocal_radius=1.2, max_excitation_error=0.05, with_direct_beam=False
    )


def draw(rotations, phase):
    """Return polar patterns of orientations, as pyxem's own chain makes them."""
    simulation = simulate(rotations, phase)
    kind = {"sigma": 1.5, "fast": False, "clip_threshold": 1e-3, "calibration": SCALE}
    images = [
        np.flipud(  # diffsims draws y downward
            simulation.irot[i].get_diffraction_pattern(
                (SIZE, SIZE), direct_beam_position=CENTER, **kind
            )
        )
        for i in range(rotations.size)
    ]
    signal = ElectronDiffraction2D(np.array(images)[None])
    signal.calibration(scale=SCALE, units="$A^{-1}$", center=CENTER)
    return signal.get_azimuthal_integral2d(100, 180, radial_range=(0, 1.2), mean=True) ** 0.5


def report(what, templates, truth):
    phase = LINIO2.to_phase()
    matches = draw(truth, phase).get_orientation(simulate(templates, phase), frac_keep=1.0)
    shipped = matches.to_crystal_map()
    right = pyxem_cnn.orientation_map_to_crystal_map(matches, n_azimuthal=180)
    half_turn = Rotation.from_axes_angles([0, 0, 1], 180, degrees=True)
    found = [shipped.rotations, shipped.rotations * half_turn, right.rotations]
    symmetry = LINIO2.symmetry_quaternions()
    errors = [disorientation_angle(r.data.reshape(-1, 4), truth.data, symmetry) for r in found]
    print(f"{what:<22}" + "".join(f"{np.rad2deg(np.median(error)):14.1f}" for error in errors))
    print(f"  scores kept: pyxem {'scores' in shipped.prop}, here {'scores' in right.prop}")


# %%
# Templates without a turn about the beam (phi1 = 0), then with one; patterns turned by any angle.
random = np.random.default_rng(0)
euler = np.column_stack([np.zeros(40), random.uniform(25, 85, 40), random.uniform(5, 55, 40)])
turn = Rotation.from_axes_angles([0, 0, 1], random.uniform(0, 360, 40), degrees=True)
mirror = Rotation.from_axes_angles([0, 1, 0], 180, degrees=True)
plain = Rotation.from_euler(euler, degrees=True)
turned = Rotation.from_euler(euler + [90, 0, 0], degrees=True)
print(f"{'median error, degrees':<22}{'pyxem':>14}{'+ half turn':>14}{'decoded here':>14}")
report("turned patterns", plain, plain * turn)
report("mirrored patterns", plain, plain * mirror * turn)
report("templates, phi1 = 90", turned, turned * turn)
