"""Errors of a silicon model on dynamical images of random orientations, beside template matching.

    python benchmarks/dynamical_patterns.py --model si_200kV

The images are those of the demonstration's scan: 128 x 128 pixels, a probe of 1.5 mrad, 350 to 650
angstrom, with more beams and directions than models are trained with, 30 percent of the electrons
diffuse.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace

import numpy as np

import pyxem_cnn
from pyxem_cnn.data._dynamical import dynamical_spots, probe_radius
from pyxem_cnn.data._spots import BEAM_ENERGY, Detector, patterns_of_spots
from pyxem_cnn.metrics import modulo_twins, summarize_errors
from pyxem_cnn.rotations import disorientation_angle, random_quaternions
from pyxem_cnn.simulation.kinematic import KinematicSimulator

DOSES = (1e4, 1e3, 300.0)


def report(name, truth, found, model, simulator):
    """Print the errors of one method."""
    degrees = np.rad2deg(disorientation_angle(truth, found, model.target.symmetry))
    twins = modulo_twins(degrees, simulator, truth, found, model.grid)
    print(f"{name}: {summarize_errors(degrees, twins)}", flush=True)


def main():
    """Make the patterns once for each dose and map them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="si_200kV", help="model file or name")
    parser.add_argument("--patterns", type=int, default=600)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    from pyxem.signals import ElectronDiffraction2D

    generator = np.random.default_rng(options.seed)
    truth = random_quaternions(options.patterns, generator)
    thickness = generator.uniform(350, 650, len(truth))
    spots = dynamical_spots(truth, thickness, options.seed)
    model = pyxem_cnn.load_model(options.model)
    simulator = KinematicSimulator(model.crystal, BEAM_ENERGY, model.grid.k_max)
    for electrons in DOSES:
        detector = replace(Detector(disc_radius=probe_radius()), electrons=electrons)
        counts = generator.poisson(patterns_of_spots(spots, detector)).astype(np.uint16)
        scan = ElectronDiffraction2D(counts)
        geometry = {
            "center": detector.center,
            "scale": detector.scale,
            "beam_energy": BEAM_ENERGY,
        }
        how = {"geometry": geometry, "show_progressbar": False}
        maps = {
            "network": scan.get_orientation_map_cnn(model, **how),
            "templates, 2 degrees": pyxem_cnn.template_matching(scan, model.crystal, **how),
        }
        for name, xmap in maps.items():
            found = xmap.rotations.data.reshape(len(truth), -1, 4)[:, 0]
            report(f"{electrons:g} electrons, {name}", truth, found, model, simulator)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", module="hyperspy|orix|diffsims|pyxem\\.")
        main()
