"""How far the Bloch-wave simulator is from its own converged limit, and what a setting costs.

    OMP_NUM_THREADS=1 python benchmarks/bloch_convergence.py --out convergence.csv

One number is changed at a time, beside a run in which it is large; then named settings are compared
with a run in which all are large. R = sum |I - I_ref| / sum I_ref over the discs within --k-max of
the direct beam, which is left out (R_000 counts it), in percent, mean over random orientations;
CPU milliseconds for one orientation. Prints a table in Markdown, and writes it as .csv.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time

import numpy as np
import torch
from bloch_crystals import CRYSTALS, THICKNESSES

from pyxem_cnn import BlochWaveSimulator
from pyxem_cnn.rotations import random_quaternions

# Where nothing else is said.
BASE = {"n_beams": 64, "n_tilts": 19, "g_max": 2.5}
PRECESSION = {"precession_angle": 0.6}
# Name of a series: the argument, its values, its converged value, changes to BASE.
SERIES = {
    "beams": ("n_beams", (32, 48, 64, 96, 128, 192), 300, {"g_max": 3.0}),
    "g_max": ("g_max", (1.6, 2.0, 2.5, 3.0), 4.0, {"n_beams": 256}),
    "tilts": ("n_tilts", (1, 7, 13, 19, 37, 61), 217, {}),
    "azimuths, parallel beam": (
        "n_precession",
        (12, 24, 36, 48, 72),
        360,
        PRECESSION | {"n_tilts": 1},
    ),
    "float": ("dtype", ("float32",), "float64", {}),
}
# Settings by name, and the run that they are compared with.
NAMED = {
    "named": (
        {
            "fast": {"n_beams": 48, "n_tilts": 7},
            "default": {},
            "accurate": {"n_beams": 128, "n_tilts": 37, "g_max": 3.0},
        },
        {"n_beams": 300, "n_tilts": 127, "g_max": 3.5, "dtype": "float64"},
    ),
    "precession, tilts x azimuths": (
        {
            f"{tilts} x {azimuths}": BASE
            | PRECESSION
            | {"n_tilts": tilts, "n_precession": azimuths}
            for tilts, azimuths in ((1, 36), (1, 72), (1, 144), (7, 10), (7, 36), (19, 36))
        },
        BASE | PRECESSION | {"n_tilts": 19, "n_precession": 144},
    ),
}
HEADER = "| crystal | series | value | " + " | ".join(f"R at {t:g} A" for t in THICKNESSES)
HEADER += " | mean R | median R | mean R_000 | beams | ms |"


def run(name, orientations, **settings):
    """Return the spots of a run and the CPU seconds for one orientation."""
    crystal, voltage, b_iso = CRYSTALS[name]()
    simulator = BlochWaveSimulator(
        crystal,
        accelerating_voltage=voltage,
        convergence_angle=1.5,
        thicknesses=THICKNESSES,
        debye_waller=b_iso,
        **settings,
    )
    simulator.calculate(orientations[:1])
    seconds = []
    for _ in range(2):
        start = time.process_time()
        spots = simulator.calculate(orientations)
        seconds.append(time.process_time() - start)
    return spots, min(seconds) / len(orientations)


def discs(spots, i, k_max, direct_beam):
    """Return the disc intensities (T,) of one orientation by Miller indices."""
    k = np.linalg.norm(np.asarray(spots.k[i]), axis=-1)
    hkl = np.asarray(spots.hkl[i])
    # Short lists are filled up with 000; the direct beam is the first.
    keep = (k <= k_max) & hkl.any(-1)
    keep[0] = direct_beam
    return dict(
        zip(
            map(tuple, hkl[keep].tolist()), np.asarray(spots.disc_intensity)[i].T[keep], strict=True
        )
    )


def mismatch(spots, reference, k_max, direct_beam=False):
    """Return R for every orientation and thickness, shape (n, T)."""
    rows = []
    for i in range(len(reference.hkl)):
        ours, true = (discs(s, i, k_max, direct_beam) for s in (spots, reference))
        nothing = np.zeros(len(THICKNESSES))
        difference = sum(
            np.abs(ours.get(g, nothing) - true.get(g, nothing)) for g in ours.keys() | true.keys()
        )
        rows.append(difference / sum(true.values()))
    return np.array(rows)


def compare(name, orientations, label, settings, reference, k_max):
    """Run one setting and return a line of the table."""
    spots, seconds = run(name, orientations, **settings)
    r = mismatch(spots, reference, k_max)
    r_000 = mismatch(spots, reference, k_max, direct_beam=True)
    line = {"crystal": name, "series": label[0], "value": label[1]}
    line |= {f"R at {t:g}": f"{100 * x:.2f}" for t, x in zip(THICKNESSES, r.mean(0), strict=True)}
    line |= {
        "mean R": f"{100 * r.mean():.2f}",
        "median R": f"{100 * np.median(r):.2f}",
        "mean R_000": f"{100 * r_000.mean():.2f}",
        "beams": f"{1 + spots.hkl.any(-1).sum(1).mean():.0f}",
        "ms": f"{1e3 * seconds:.2f}",
    }
    print("| " + " | ".join(str(v) for v in line.values()) + " |", flush=True)
    return line


def table(name, n, seed, chosen, k_max):
    """Return the lines of all chosen series for one crystal."""
    orientations = random_quaternions(n, np.random.default_rng(seed))
    lines = []
    for series in [s for s in SERIES if s in chosen]:
        argument, values, limit, changes = SERIES[series]
        settings = BASE | changes
        reference, _ = run(name, orientations, **settings | {argument: limit})
        for value in values:
            changed = settings | {argument: value}
            lines.append(compare(name, orientations, (series, value), changed, reference, k_max))
    for series, (choices, limit) in NAMED.items():
        if series in chosen:
            reference, _ = run(name, orientations, **limit)
            for label, settings in choices.items():
                lines.append(
                    compare(name, orientations, (series, label), settings, reference, k_max)
                )
    return lines


def main():
    """Print the table and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crystals", nargs="+", default=["LiNiO2", "Si", "Mg", "VO2"])
    parser.add_argument("--series", nargs="+", default=[*SERIES, *NAMED])
    parser.add_argument("--n", type=int, default=24, help="random orientations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--k-max", type=float, default=1.6, help="edge of the detector, 1/angstrom")
    parser.add_argument("--out", help="file for the table, .csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(HEADER)
    print("|---" * HEADER.count(" | ") + "|---|")
    lines = []
    for name in options.crystals:
        lines += table(name, options.n, options.seed, options.series, options.k_max)
    if options.out:
        with open(options.out, "w", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
        print(f"written: {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
