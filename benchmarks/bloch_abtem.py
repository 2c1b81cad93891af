"""How far the Bloch-wave simulator is from abTEM's converged discs, with settings by name.

    OMP_NUM_THREADS=1 python benchmarks/bloch_abtem.py --abtem /path/to/abtem/bin/python

abTEM runs in its own environment, given by the path of its Python. Random orientations of LiNiO2 at
300 kV and of silicon at 200 kV, 1.5 mrad, 200 to 1000 angstrom, room temperature; abTEM with all
beams within 0.15 1/angstrom of the Ewald sphere and 3 1/angstrom (about 290 and 340) and 91
directions of the incident beam. R = sum |I - I_abTEM| / sum I_abTEM in percent over abTEM's
reflections within --k-max, without the direct beam and with it; mean over orientations and
thicknesses, and mean at the greatest thickness.
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np
import torch
from abtem_discs import Beams, simulate
from bloch_convergence import NAMED, run
from bloch_crystals import CRYSTALS

from pyxem_cnn.rotations import random_quaternions
from pyxem_cnn.simulation.bloch_waves.probe_tilts import even_tilts

SETTINGS = NAMED["named"][0] | {
    "288 beams": {"n_beams": 288, "n_tilts": 91, "g_max": 3.0, "dtype": "float64"}
}


def abtem_discs(python, name, orientations, n_tilts):
    """Return a dictionary of disc intensities (T,) by Miller indices for each orientation."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/discs.npz"
        simulate(
            python, CRYSTALS[name](), orientations, even_tilts(n_tilts), path, Beams(0.15, 3.0)
        )
        with np.load(path) as file:
            pairs = [(file[f"{i}|hkl"], file[f"{i}|I"].mean(-1)) for i in range(len(orientations))]
    return [dict(zip(map(tuple, hkl.tolist()), discs.T, strict=True)) for hkl, discs in pairs]


def mismatch(spots, reference, reciprocal_basis, k_max, direct_beam):
    """Return R in percent for every orientation and thickness, shape (n, T)."""
    rows = []
    for hkl, intensity, true in zip(spots.hkl, spots.disc_intensity, reference, strict=True):
        is_beam = hkl.any(-1)
        is_beam[0] = True
        ours = dict(zip(map(tuple, hkl[is_beam].tolist()), intensity.T[is_beam], strict=True))
        within = [
            g
            for g in true
            if np.linalg.norm(reciprocal_basis @ g) <= k_max and (direct_beam or any(g))
        ]
        difference = sum(np.abs(ours.get(g, 0.0) - true[g]) for g in within)
        rows.append(100 * difference / sum(true[g] for g in within))
    return np.array(rows)


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--abtem", required=True, help="Python of an environment with abTEM 1.0")
    parser.add_argument("--n", type=int, default=20, help="random orientations")
    parser.add_argument("--tilts", type=int, default=91, help="directions for abTEM")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--k-max", type=float, default=1.6, help="edge of the detector, 1/angstrom")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| crystal | setting | mean R | at 1000 A | mean R with direct beam | ms |")
    print("|---|---|---|---|---|---|")
    for name in ("LiNiO2", "Si"):
        orientations = random_quaternions(options.n, np.random.default_rng(options.seed))
        reference = abtem_discs(options.abtem, name, orientations, options.tilts)
        basis = CRYSTALS[name]()[0].reciprocal_basis
        for label, settings in SETTINGS.items():
            spots, seconds = run(name, orientations, **settings)
            r, r_000 = (
                mismatch(spots, reference, basis, options.k_max, direct) for direct in (False, True)
            )
            print(
                f"| {name} | {label} | {r.mean():.1f} | {r[:, -1].mean():.1f} | "
                f"{r_000.mean():.2f} | {1e3 * seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
