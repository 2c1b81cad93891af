"""Every direction of convergent-beam discs by abTEM's Bloch waves; accuracy.py runs it.

    ABTEM_PYTHON benchmarks/accuracy_peer_abtem.py task.npz result.npz

Needs abTEM and NumPy only. Frames are those of bloch_peer_abtem.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from bloch_peer_abtem import SAME_FRAME, onto_axis, structure_factors


def main(task_path: str, result_path: str) -> None:
    """Read crystal and orientations, and write reflections and intensities."""
    task = np.load(task_path)
    factors, allowed = structure_factors(task)
    result = {name: task[name] for name in ("matrices", "tilts", "thicknesses")}
    n = len(task["matrices"])
    for i, matrix in enumerate(task["matrices"]):
        result[f"{i}|hkl"], result[f"{i}|I"] = one_orientation(factors, allowed, matrix, task)
        print(f"\rabTEM: {i + 1} of {n} orientations", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    # Under its own name only when it is complete.
    partial = Path(result_path).with_suffix(".part.npz")
    np.savez(partial, **result)
    partial.replace(result_path)


def one_orientation(factors, allowed, matrix, task):
    """Return hkl (S, 3) and intensities (n_thicknesses, S, n_directions)."""
    from abtem.bloch.dynamical import BlochWaves

    energy, s_max = float(task["voltage"]) * 1e3, float(task["s_max"])
    mask, discs = None, []
    for tilt in task["tilts"]:
        turned = SAME_FRAME @ onto_axis(tilt * float(task["wavelength"])) @ matrix.T
        waves = BlochWaves(
            factors, energy, s_max, float(task["g_max"]), orientation_matrix=turned, centering="P"
        )
        # The beams of the first direction, near the middle of the disc, serve all of them.
        mask = waves.hkl_mask & allowed if mask is None else mask
        waves._hkl_mask = mask
        discs.append(waves.calculate_diffraction_patterns(task["thicknesses"], lazy=False).array)
    return factors.hkl[mask].astype(np.int16), np.stack(discs, axis=-1).astype(np.float32)


if __name__ == "__main__":
    main(*sys.argv[1:])
