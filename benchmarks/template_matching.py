"""Orientations from template matching, decoded here and by pyxem's own to_crystal_map.

    python benchmarks/template_matching.py --patterns 200
    python benchmarks/template_matching.py --patterns 200 --settings
    python benchmarks/template_matching.py --grains
    python benchmarks/template_matching.py --memory 64

Draws kinematic patterns of random orientations with diffsims, without noise: spots of 1.5 pixels on
128 x 128 pixels of 0.02 1/angstrom at 200 kV, reflections up to the given excitation error. Prints
the share of orientations within 2 and 5 degrees of the truth, modulo the Laue group, with
templates 2 degrees apart: decoded here, and by the shipped decoding from the very same matches.
The other rows are pyxem's chain in its own words (gamma 0.5 on patterns alone, orix's grid,
excitation errors up to 0.05), decoded both ways. Speeds include the simulation of the templates.
With --settings, settings are compared instead; with --grains, exponents on a noisy scan of silicon;
with --memory, the peak memory of a lazy scan of so many by so many patterns of 256 x 256 uint16 is
printed.
"""

from __future__ import annotations

import argparse
import logging
import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import pyxem_cnn
from pyxem_cnn.crystal.structure import CrystalStructure
from pyxem_cnn.rotations import disorientation_angle, random_quaternions

LINIO2 = CrystalStructure.from_asymmetric_unit(
    (2.878, 2.878, 14.19, 90, 90, 120),
    "R -3 m:H",
    ["Li", "Ni", "O"],
    [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.2585]],
    name="LiNiO2",
)
SILICON = CrystalStructure.from_asymmetric_unit(
    (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
)
SIZE, SCALE, VOLTAGE = 128, 0.02, 200
WIDTH = 52


def make_scan(crystal, n, excitation_error, seed=0):
    """Return a line of n patterns and their orientations, drawn by diffsims."""
    from diffsims.generators.simulation_generator import SimulationGenerator
    from orix.quaternion import Rotation
    from pyxem.signals import ElectronDiffraction2D

    truth = random_quaternions(n, np.random.default_rng(seed))
    simulation = SimulationGenerator(VOLTAGE).calculate_diffraction2d(
        crystal.to_phase(),
        Rotation(truth),
        reciprocal_radius=1.3,
        max_excitation_error=excitation_error,
        with_direct_beam=False,
    )
    middle = (SIZE - 1) / 2
    patterns = [
        # diffsims draws ky downward.
        np.flipud(
            simulation.irot[i].get_diffraction_pattern(
                shape=(SIZE, SIZE),
                sigma=1.5,
                direct_beam_position=(middle, middle),
                calibration=SCALE,
                fast=False,
                clip_threshold=1e-4,
            )
        )
        for i in range(n)
    ]
    scan = ElectronDiffraction2D(np.array(patterns, dtype=np.float32)[None])
    for axis in scan.axes_manager.signal_axes:
        axis.units, axis.scale, axis.offset = "1/Å", SCALE, -SCALE * middle
    scan.beam_energy = VOLTAGE
    return scan, truth


def pyxem_chain(scan, crystal, resolution):
    """Return pyxem's own OrientationMap, and the number of its azimuthal bins."""
    from diffsims.generators.simulation_generator import SimulationGenerator
    from orix.sampling import get_sample_reduced_fundamental

    phase = crystal.to_phase()
    templates = SimulationGenerator(VOLTAGE).calculate_diffraction2d(
        phase,
        get_sample_reduced_fundamental(resolution, point_group=phase.point_group),
        reciprocal_radius=1.28,
        max_excitation_error=0.05,
        with_direct_beam=False,
    )
    scan.calibration.center = ((SIZE - 1) / 2, (SIZE - 1) / 2)
    polar = scan.get_azimuthal_integral2d(
        npt=100, npt_azim=360, radial_range=(0, 1.28), mean=True, inplace=False
    )
    return (polar**0.5).get_orientation(templates, frac_keep=1.0), 360


def line(name, orientations, truth, crystal, seconds=None):
    """Print the shares of one way."""
    error = np.rad2deg(disorientation_angle(orientations, truth, crystal.symmetry_quaternions()))
    speed = "" if seconds is None else f"{len(truth) / seconds:8.0f} patterns per CPU second"
    print(
        f"  {name:<{WIDTH}}{np.median(error):7.2f}{100 * np.mean(error < 2):8.0f}"
        f"{100 * np.mean(error < 5):8.0f}{speed}"
    )


def compare_decodings(crystal, scan, truth, resolution):
    """Print matches decoded here and by pyxem, from both chains."""
    start = time.process_time()
    ours, matches = pyxem_cnn.template_matching(
        scan, crystal, resolution=resolution, return_orientation_map=True
    )
    seconds = time.process_time() - start
    line("template_matching", ours.rotations.data, truth, crystal, seconds)
    shipped = matches.to_crystal_map().rotations.data.reshape(-1, 4)
    line("the same matches, pyxem's decoding", shipped, truth, crystal)
    start = time.process_time()
    plain, n_azimuthal = pyxem_chain(scan, crystal, resolution)
    seconds = time.process_time() - start
    decoded = pyxem_cnn.orientation_map_to_crystal_map(plain, n_azimuthal=n_azimuthal)
    line("pyxem's chain, decoded here", decoded.rotations.data, truth, crystal, seconds)
    shipped = plain.to_crystal_map().rotations.data.reshape(-1, 4)
    line("pyxem's chain, pyxem's decoding", shipped, truth, crystal)


def compare_settings(crystal, scan, truth, resolution):
    """Print one line for each of several settings."""
    for changed in (
        {"gamma": 1.0},
        {"gamma": 0.5},
        {},
        {"gamma": 0.2},
        {"max_excitation_error": 0.04, "shape_factor_width": 0.04},
        {"max_excitation_error": 0.03, "shape_factor_width": 0.02},
        {"max_excitation_error": 0.1, "shape_factor_width": 0.03},
        {"n_radial": 96, "n_azimuthal": 360},
        {"n_radial": 42, "n_azimuthal": 128},
    ):
        settings = pyxem_cnn.TemplateSettings(**changed)
        start = time.process_time()
        found = pyxem_cnn.template_matching(scan, crystal, resolution=resolution, settings=settings)
        seconds = time.process_time() - start
        name = ", ".join(f"{key} {value:g}" for key, value in changed.items()) or "defaults"
        line(name, found.rotations.data, truth, crystal, seconds)


def grains():
    """Print exponents compared on a scan of silicon grains with counted electrons."""
    with tempfile.TemporaryDirectory() as folder:
        scan, truth = pyxem_cnn.data.grain_scan(Path(folder) / "grains.zspy", shape=(40, 40))
        inside = (truth.phase_id >= 0) & ~truth.prop["boundary"]
        symmetry = SILICON.symmetry_quaternions()
        for gamma in (0.2, 0.3, 0.5):
            settings = pyxem_cnn.TemplateSettings(gamma=gamma)
            found = pyxem_cnn.template_matching(scan, SILICON, settings=settings)
            error = disorientation_angle(found.rotations.data, truth.rotations.data, symmetry)
            error, sure = np.rad2deg(error)[inside], found.prop["reliability"][inside]
            right, wrong = np.nanmedian(sure[error < 2]), np.nanmedian(sure[error > 5])
            print(
                f"gamma {gamma}: {np.median(error):.2f} degrees, {100 * np.mean(error < 2):.0f} % "
                f"< 2, {100 * np.mean(error < 5):.0f} % < 5; median reliability {right:.1f} right, "
                f"{wrong:.1f} wrong"
            )


def memory(n):
    """Print the peak memory of a scan of n x n patterns that are made when they are read."""
    import dask.array as da
    from pyxem.signals import LazyElectronDiffraction2D

    chunk = np.random.default_rng(0).poisson(2, (8, 8, 256, 256)).astype(np.uint16)
    blocks = ((8,) * (n // 8),) * 2
    data = da.map_blocks(lambda block_info=None: chunk, dtype=np.uint16, chunks=(*blocks, 256, 256))
    scan = LazyElectronDiffraction2D(data)
    for axis in scan.axes_manager.signal_axes:
        axis.units, axis.scale, axis.offset = "1/Å", SCALE / 2, -SCALE / 2 * 127.5
    scan.beam_energy = VOLTAGE
    pyxem_cnn.template_matching(scan, SILICON, resolution=6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{data.nbytes / 2**20:.0f} MiB of patterns, peak {peak:.0f} MiB")


def main():
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, default=200)
    parser.add_argument("--resolution", type=float, default=2.0, help="of the templates, degrees")
    parser.add_argument("--excitation-error", type=float, default=0.05, help="of the patterns")
    parser.add_argument("--settings", action="store_true", help="compare settings")
    parser.add_argument("--grains", action="store_true", help="compare exponents on a noisy scan")
    parser.add_argument("--memory", type=int, help="patterns along a side, a multiple of 8")
    options = parser.parse_args()
    if options.grains or options.memory:
        return grains() if options.grains else memory(options.memory)
    print(f"{'':<{WIDTH + 2}}{'median':>7}{'< 2 deg':>8}{'< 5 deg':>8}")
    for crystal in (LINIO2, SILICON):
        scan, truth = make_scan(crystal, options.patterns, options.excitation_error)
        print(crystal.name)
        pyxem_cnn.template_matching(scan.inav[:2, :], crystal, resolution=20)  # compile
        compare = compare_settings if options.settings else compare_decodings
        compare(crystal, scan, truth, options.resolution)


if __name__ == "__main__":
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    logging.getLogger("hyperspy").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        main()
