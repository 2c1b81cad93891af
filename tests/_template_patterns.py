"""Kinematic patterns drawn by diffsims at known orientations, and pyxem's own matching of them."""

from __future__ import annotations

import numpy as np
from diffsims.generators.simulation_generator import SimulationGenerator
from orix.quaternion import Rotation

from pyxem_cnn.rotations import disorientation_angle, with_zone_axis
from pyxem_cnn.simulation.sampling import zone_axis_grid
from tests._crystals import crystal

SIZE, SCALE, VOLTAGE = 96, 0.025, 200
CENTER = ((SIZE - 1) / 2, (SIZE - 1) / 2)
RADIUS = 1.15


def simulate(names, rotations, excitation_error=0.05):
    """Return a diffsims simulation of one or several phases, given and returned by name."""
    phases = [crystal(name).to_phase() for name in names]
    several = len(names) > 1
    return SimulationGenerator(VOLTAGE).calculate_diffraction2d(
        phases if several else phases[0],
        rotations if several else rotations[0],
        reciprocal_radius=RADIUS,
        max_excitation_error=excitation_error,
        with_direct_beam=False,
    )


def sector(name, spacing=4.0, phi1=0.0):
    """Return template orientations of a phase, turned by phi1 degrees about the beam."""
    q = with_zone_axis(zone_axis_grid(crystal(name).laue_group_matrices(), spacing=spacing))
    return Rotation(q) * Rotation.from_axes_angles([0, 0, 1], phi1, degrees=True)


def draw(name, quaternions, y_up=True, excitation_error=0.05):
    """Return patterns (n, SIZE, SIZE) of orientations, by diffsims."""
    # One more, since diffsims keeps a single pattern in another form.
    q = np.concatenate([np.atleast_2d(quaternions), [[1.0, 0, 0, 0]]])
    simulation = simulate([name], [Rotation(q)], excitation_error)
    patterns = [
        simulation.irot[i].get_diffraction_pattern(
            shape=(SIZE, SIZE),
            sigma=1.2,
            direct_beam_position=CENTER,
            calibration=SCALE,
            fast=False,
            clip_threshold=1e-3,
        )
        for i in range(len(q) - 1)
    ]
    patterns = np.array(patterns)
    return patterns[:, ::-1] if y_up else patterns


def as_signal(patterns):
    """Return patterns (navigation..., SIZE, SIZE) as a calibrated pyxem signal."""
    from pyxem.signals import ElectronDiffraction2D

    signal = ElectronDiffraction2D(np.ascontiguousarray(patterns, dtype=np.float32))
    for axis, center in zip(signal.axes_manager.signal_axes, CENTER, strict=True):
        axis.units, axis.scale, axis.offset = "1/Å", SCALE, -SCALE * center
    signal.beam_energy = VOLTAGE
    return signal


def pyxem_matches(signal, simulation, n_best=1, n_azimuthal=180):
    """Return pyxem's OrientationMap, by its own chain."""
    signal = signal.deepcopy()
    signal.calibration.center = CENTER
    polar = signal.get_azimuthal_integral2d(
        npt=48,
        npt_azim=n_azimuthal,
        radial_range=(0, RADIUS),
        mean=True,
        inplace=False,
        show_progressbar=False,
    )
    return (polar**0.5).get_orientation(
        simulation, frac_keep=1.0, n_best=n_best, show_progressbar=False
    )


def errors(crystal_map, truth, name):
    """Return disorientations in degrees, modulo the Laue group."""
    found = crystal_map._rotations.data
    found = found[:, 0] if found.ndim == 3 else found
    return np.rad2deg(disorientation_angle(found, truth, crystal(name).symmetry_quaternions()))
