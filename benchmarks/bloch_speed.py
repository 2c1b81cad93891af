"""Orientations per second of the Bloch-wave simulator on one core, beside py4DSTEM at equal beams.

    OMP_NUM_THREADS=1 python benchmarks/bloch_speed.py --py4dstem /path/to/py4dstem/bin/python

py4DSTEM runs in its own environment, given by the path of its Python. It gets the very beams and
directions that our simulator chose, computes them in the same run, single-threaded as well, and R
between both is printed. CPU seconds are used since machines are shared. Ours count everything from
quaternions to intensities, choice of the beams included; py4DSTEM's beams are chosen before its
clock starts. Five thicknesses, no Debye-Waller factors (py4DSTEM's Lobato factors have none).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bloch_crystals import CRYSTALS, THICKNESSES

from pyxem_cnn import BlochWaveSimulator
from pyxem_cnn.detector.calibration import electron_wavelength
from pyxem_cnn.rotations import random_quaternions, to_matrix

PEER = Path(__file__).with_name("bloch_peer_py4dstem.py")


def make_simulator(name, n_beams, n_tilts):
    """Return a simulator of one of the crystals, and its acceleration voltage."""
    crystal, voltage, _ = CRYSTALS[name]()
    simulator = BlochWaveSimulator(
        crystal,
        accelerating_voltage=voltage,
        convergence_angle=1.5 if n_tilts > 1 else 0.0,
        thicknesses=THICKNESSES,
        n_beams=n_beams,
        n_tilts=n_tilts,
        debye_waller=0.0,
    )
    return simulator, crystal, voltage


def ours(simulator, n, repeats=3):
    """Return the spots of n orientations and the CPU seconds for one of them, best of several."""
    generator = np.random.default_rng(0)
    orientations = random_quaternions(n, generator)
    simulator.calculate(orientations[:16])
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        spots = simulator.calculate(orientations)
        seconds.append(time.process_time() - start)
    return orientations, spots, min(seconds) / n


def theirs(python, crystal, voltage, orientations, spots):
    """Return py4DSTEM's CPU seconds for one orientation and R between its intensities and ours."""
    n_wave = 1 / electron_wavelength(voltage)
    tilts = np.asarray(spots.tilts, dtype=float)
    down = -np.sqrt(n_wave**2 - (tilts**2).sum(-1, keepdims=True))
    # The zone axis points against the incident wave.
    lab = -np.concatenate([tilts, down], axis=-1) / n_wave
    directions = np.einsum("nij,nkj->nki", to_matrix(orientations), lab)
    hkl = np.asarray(spots.hkl)
    g = np.linalg.norm(hkl @ crystal.reciprocal_basis.T, axis=-1)
    with tempfile.TemporaryDirectory() as folder:
        task, result = f"{folder}/task.npz", f"{folder}/result.npz"
        np.savez(
            task,
            positions=crystal.positions,
            numbers=[atomic_number(e) for e in crystal.elements],
            lattice=crystal.lattice,
            voltage=voltage,
            g_max=g.max(),
            hkl=hkl,
            directions=directions,
            thicknesses=THICKNESSES,
        )
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        command = [python, str(PEER), task, result]
        subprocess.run(command, check=True, env=os.environ | one_thread)
        answer = np.load(result)
        difference = np.abs(answer["intensity"] - np.asarray(spots.intensity))
        return float(answer["seconds"]) / len(hkl), difference.sum() / answer["intensity"].sum()


def atomic_number(element):
    """Return the atomic number of a symbol."""
    import gemmi

    return gemmi.Element(element).atomic_number


def main():
    """Print a table of speeds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--py4dstem", help="Python of an environment with py4DSTEM 0.14")
    parser.add_argument("--beams", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--tilts", type=int, nargs="+", default=[1, 7, 19])
    parser.add_argument("--n", type=int, default=512, help="orientations for ours")
    parser.add_argument("--n-peer", type=int, default=16, help="orientations for py4DSTEM")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.py4dstem:
        print("py4DSTEM was skipped: no --py4dstem was given")
    print("orientations per second on one core")
    print("crystal    beams tilts   ours  py4DSTEM  ratio  R between both")
    for name in ("LiNiO2", "Si", "GaAs"):
        for n_tilts in options.tilts:
            for n_beams in options.beams:
                simulator, crystal, voltage = make_simulator(name, n_beams, n_tilts)
                _, _, seconds = ours(simulator, max(16, options.n // n_tilts))
                line = f"{name:10} {n_beams:5} {n_tilts:5} {1 / seconds:6.0f}"
                if options.py4dstem:
                    orientations, spots, _ = ours(simulator, options.n_peer, 1)
                    peer, r = theirs(options.py4dstem, crystal, voltage, orientations, spots)
                    line += f" {1 / peer:9.1f} {peer / seconds:6.0f} {r:15.0e}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
