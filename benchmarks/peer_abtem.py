"""Convergent-beam discs by abTEM's Bloch waves, for accuracy.py and bloch_abtem.py.

    ABTEM_PYTHON benchmarks/peer_abtem.py task.npz result.npz

Needs abTEM and NumPy only; `abtem_discs.py` writes tasks and says what is in the result. In our lab
frame electrons travel along -z; abTEM's go along +z, so that its frame is (x, -y, -z). A direction
of the incident beam is made by turning the crystal.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

SAME_FRAME = np.diag([1.0, -1, -1])


def main(task_path: str, result_path: str) -> None:
    """Read crystal and orientations, and write reflections and intensities."""
    task = dict(np.load(task_path))
    factors = structure_factors(task)
    allowed = allowed_by_centring(factors.hkl, task["centring"])
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


def structure_factors(task):
    """Return abTEM's structure factors."""
    import abtem
    from abtem.bloch.dynamical import StructureFactor
    from ase import Atoms

    abtem.config.set({"precision": "float64", "device": "cpu"})
    atoms = Atoms(task["elements"], scaled_positions=task["positions"], cell=task["cell"], pbc=True)
    sigma = dict(zip(task["sigma_elements"].tolist(), task["sigma"].tolist(), strict=True))
    return StructureFactor(
        atoms,
        g_max=2 * float(task["g_max"]),
        parametrization="lobato",
        thermal_sigma=sigma,
        cutoff="hard",
        centering="P",
    ).build(lazy=False)


def allowed_by_centring(hkl, translations):
    """Return which reflections the lattice has; abTEM knows no R centring.

    Those that glide planes and screw axes forbid stay: other beams scatter into them.
    """
    phases = hkl @ translations.T
    return (np.abs(phases - np.rint(phases)) < 1e-4).all(1)


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


def onto_axis(direction):
    """Return the turn that brings an incident direction (x, y) of unit length onto -z."""
    sine = np.hypot(*direction)
    if sine == 0:
        return np.eye(3)
    x = np.append(direction / sine, 0)
    y, z = np.array([-x[1], x[0], 0]), np.array([0, 0, 1.0])
    cosine = np.sqrt(1 - sine**2)
    frame = np.stack([x, y, z])
    return frame.T @ np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]) @ frame


if __name__ == "__main__":
    main(*sys.argv[1:])
