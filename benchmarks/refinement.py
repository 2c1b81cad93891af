"""Errors before and after the refinement of orientations, and how long it takes.

    python benchmarks/refinement.py --model si_200kV --patterns 100
    python benchmarks/refinement.py --discs si.npz --crystal si --patterns 100

The first line simulates silicon with more beams and directions than the refinement, as for the
dynamical scan of the demonstration, and maps it with the model, three orientations each. The
second takes disc intensities of another program: an .npz file with the arrays ``matrices``
(n, 3, 3), lab to crystal, ``thicknesses`` (T,) in angstrom, ``tilts`` (J, 2) in 1/angstrom, and
``i|hkl`` (S, 3) and ``i|I`` (T, S, J) of each orientation. With ``--model``, it is mapped with it;
otherwise the refinement starts from the true orientation, turned by one degree about a random
axis, and from its twins.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace

import numpy as np

import pyxem_cnn
from pyxem_cnn.data._dynamical import dynamical_spots, probe_radius, silicon
from pyxem_cnn.data._spots import Detector, patterns_of_spots
from pyxem_cnn.detector.calibration import electron_wavelength
from pyxem_cnn.indexing.refinement.candidates import Twins
from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.rotations import (
    disorientation_angle,
    from_matrix,
    from_rotation_vector,
    multiply,
    random_quaternions,
)

N_BEST = 3


def linio2():
    """Return LiNiO2 at room temperature, as in the table of abTEM."""
    return pyxem_cnn.CrystalStructure.from_asymmetric_unit(
        (2.878, 2.878, 14.19, 90, 90, 120),
        "R -3 m:H",
        ["Ni", "Li", "O"],
        [[0, 0, 0], [0, 0, 0.5], [0, 0, 0.26]],
        u_iso=[0.071**2, 0.123**2, 0.094**2],
        name="LiNiO2",
    )


CRYSTALS = {"si": (silicon, 200.0), "linio2": (linio2, 300.0)}


def own_patterns(n, generator):
    """Return orientations, thicknesses and spots of silicon by our own simulator."""
    truth = random_quaternions(n, generator)
    thickness = generator.uniform(350, 650, n)
    return truth, thickness, dynamical_spots(truth, thickness, 9)


def patterns_of_file(path, crystal, n, generator):
    """Return orientations, thicknesses and spots of another program."""
    file = np.load(path)
    matrices, tilts, thicknesses = (file[key] for key in ("matrices", "tilts", "thicknesses"))
    n = min(n, len(matrices))
    chosen = generator.integers(0, len(thicknesses), n)
    spots = []
    for i in range(n):
        hkl, intensity = file[f"{i}|hkl"], file[f"{i}|I"][chosen[i]]
        kept = hkl.any(axis=1)  # without the direct beam
        g = hkl[kept] @ crystal.reciprocal_basis.T @ matrices[i]  # M^T g
        points = g[:, None, :2] + tilts
        spots.append((points.reshape(-1, 2), intensity[kept].reshape(-1)))
    return from_matrix(matrices[:n]), thicknesses[chosen], spots


def mapped(scan, options, truth, crystal, geometry, generator):
    """Return a map to refine: of a model, or one made of turned true orientations and twins."""
    if options.model:
        model = pyxem_cnn.load_model(options.model)
        return scan.get_orientation_map_cnn(
            model, n_best=N_BEST, geometry=geometry, show_progressbar=False
        ), model
    axis = generator.standard_normal((len(truth), 3))
    axis *= np.deg2rad(1) / np.linalg.norm(axis, axis=1, keepdims=True)
    start = Twins(crystal)(multiply(truth, from_rotation_vector(axis)))[:, :N_BEST]
    order = generator.permuted(np.tile(np.arange(N_BEST), (len(truth), 1)), axis=1)
    start = np.take_along_axis(start, order[..., None], 1)
    scores = np.full(start.shape[:2], 1 / N_BEST)
    xmap = build_crystal_map(start, np.zeros(len(start), int), [crystal], prop={"scores": scores})
    simulator = pyxem_cnn.BlochWaveSimulator(
        crystal, accelerating_voltage=geometry["beam_energy"], n_tilts=7, g_max=2.0
    )
    return xmap, simulator


def told(name, degrees):
    """Print the errors of the best orientations."""
    shares = ", ".join(f"{100 * np.mean(degrees < x):.0f} % within {x} deg" for x in (0.2, 0.5, 2))
    print(f"  {name}: median {np.median(degrees):.3f} deg, {shares}", flush=True)


def errors(xmap, truth, symmetry):
    """Return the errors of the best orientations in degrees."""
    found = xmap.rotations.data.reshape(len(truth), -1, 4)[:, 0]
    return np.rad2deg(disorientation_angle(truth, found, symmetry))


def main():
    """Make the patterns, map and refine them at each dose."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model file or name")
    parser.add_argument("--discs", help=".npz file of another program")
    parser.add_argument("--crystal", choices=CRYSTALS, default="si")
    parser.add_argument("--patterns", type=int, default=100)
    parser.add_argument("--doses", default="inf,1e4,1e3,300", help="electrons, inf for no noise")
    parser.add_argument("--simulator", choices=("bloch", "kinematic"), default="bloch")
    parser.add_argument("--rerank-only", action="store_true", help="not with ranks kept as well")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    from pyxem.signals import ElectronDiffraction2D

    generator = np.random.default_rng(options.seed)
    make, voltage = CRYSTALS[options.crystal]
    crystal = make()
    truth, thickness, spots = (
        patterns_of_file(options.discs, crystal, options.patterns, generator)
        if options.discs
        else own_patterns(options.patterns, generator)
    )
    radius = 1.5e-3 / electron_wavelength(voltage) if options.discs else probe_radius()
    symmetry = crystal.symmetry_quaternions()
    for electrons in (float(dose) for dose in options.doses.split(",")):
        is_clean = np.isinf(electrons)
        detector = replace(Detector(disc_radius=radius), electrons=1e4 if is_clean else electrons)
        counts = patterns_of_spots(spots, detector)
        scan = ElectronDiffraction2D(counts if is_clean else generator.poisson(counts))
        geometry = {"center": detector.center, "scale": detector.scale, "beam_energy": voltage}
        xmap, model = mapped(scan, options, truth, crystal, geometry, generator)
        print("no noise" if is_clean else f"{electrons:g} electrons outside the direct beam")
        before = errors(xmap, truth, symmetry)
        told("before", before)
        for name, rerank in (("refined, ranks kept", False), ("refined, re-ranked", True)):
            if options.rerank_only and not rerank:
                continue
            start = time.process_time()
            refined = scan.refine_orientation_cnn(
                xmap, model, geometry=geometry, rerank=rerank, simulator=options.simulator,
                show_progressbar=False,
            )  # fmt: skip
            seconds = (time.process_time() - start) / len(truth)
            after = errors(refined, truth, symmetry)
            told(name, after)
            depth = np.asarray(refined.prop["thickness"]).reshape(len(truth), -1)[:, 0]
            off = np.median(np.abs(depth - thickness)[after < 2])
            score = np.asarray(refined.prop["refined_score"]).reshape(len(truth), -1)[:, 0]
            sure = score > 0.9
            print(
                f"    thickness off by {off:.0f} angstrom, {seconds:.2f} CPU s a pattern; of the "
                f"{100 * sure.mean():.0f} % with refined_score > 0.9, "
                f"{100 * np.mean(after[sure] < 5):.0f} % are within 5 deg",
                flush=True,
            )


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", module="hyperspy|orix|diffsims|pyxem\\.")
        main()
