"""Bloch waves by py4DSTEM for the beams of a file, timed; bloch_speed.py runs it.

    PY4DSTEM_PYTHON benchmarks/bloch_peer_py4dstem.py task.npz result.npz

Needs py4DSTEM and NumPy only. Timed is ``generate_dynamical_diffraction_pattern`` alone: beams and
structure factors are ready before the clock starts, and the structure matrix is kept over the tilts
of an orientation by py4DSTEM's own cache.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np


def main(task_path: str, result_path: str) -> None:
    """Read the task, time every orientation and write intensities and seconds."""
    warnings.filterwarnings("ignore")
    import py4DSTEM

    task = np.load(task_path)
    crystal = py4DSTEM.process.diffraction.Crystal(
        task["positions"], task["numbers"], task["lattice"]
    )
    crystal.calculate_dynamical_structure_factors(
        float(task["voltage"]) * 1e3, method="Lobato", k_max=float(task["g_max"]) * 2
    )
    directions = task["directions"]
    intensity = []
    start = time.process_time()
    for hkl, tilts in zip(task["hkl"], directions, strict=True):
        intensity.append(one_orientation(crystal, hkl, tilts, list(task["thicknesses"])))
    seconds = time.process_time() - start
    np.savez(result_path, intensity=intensity, seconds=seconds)


def one_orientation(crystal, hkl, directions, thicknesses):
    """Return intensities of shape (n_thicknesses, n_beams, n_tilts)."""
    from emdfile import PointList
    from py4DSTEM.process.diffraction.crystal_bloch import DynamicalMatrixCache

    # Lists that are shorter than the others are filled up with 000.
    is_beam = hkl.any(axis=1)
    is_beam[0] = True
    names = ("qx", "qy", "intensity", "h", "k", "l")
    beams = np.zeros(is_beam.sum(), dtype=[(n, float if n[0] in "qi" else int) for n in names])
    beams["h"], beams["k"], beams["l"] = hkl[is_beam].T
    cache = DynamicalMatrixCache() if len(directions) > 1 else None
    patterns = [
        crystal.generate_dynamical_diffraction_pattern(
            PointList(beams),
            thicknesses,
            zone_axis_cartesian=direction,
            dynamical_matrix_cache=cache,
            always_return_list=True,
        )
        for direction in directions
    ]
    values = [[spots.data["intensity"] for spots in series] for series in patterns]
    intensity = np.zeros((len(thicknesses), len(hkl), len(directions)))
    intensity[:, is_beam] = np.moveaxis(np.array(values), 0, -1)
    return intensity


if __name__ == "__main__":
    main(*sys.argv[1:])
