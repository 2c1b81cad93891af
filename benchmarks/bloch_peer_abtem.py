"""Discs of convergent-beam patterns by abTEM's Bloch waves; bloch_abtem.py runs it.

    ABTEM_PYTHON benchmarks/bloch_peer_abtem.py task.npz result.npz

Needs abTEM and NumPy only. In our lab frame electrons travel along -z; abTEM's go along +z, so that
its frame is (x, -y, -z). A direction of the incident beam is made by turning the crystal.
"""

from __future__ import annotations

import sys

import numpy as np

SAME_FRAME = np.diag([1.0, -1, -1])


def main(task_path: str, result_path: str) -> None:
    """Read crystal and orientations, and write reflections and disc intensities."""
    import abtem

    task = np.load(task_path)
    factors, allowed = structure_factors(task)
    discs = {"version": abtem.__version__}
    for i, matrix in enumerate(task["matrices"]):
        hkl, intensity = one_orientation(factors, allowed, matrix, task)
        discs[f"hkl {i}"], discs[f"intensity {i}"] = hkl, intensity
    np.savez(result_path, **discs)


def structure_factors(task):
    """Return abTEM's structure factors of a task, and which of them do not vanish."""
    import abtem
    from abtem.bloch.dynamical import StructureFactor
    from ase import Atoms

    abtem.config.set({"precision": "float64", "device": "cpu"})
    atoms = Atoms(task["elements"], scaled_positions=task["positions"], cell=task["cell"], pbc=True)
    sigma = dict(zip(task["sigma_elements"].tolist(), task["sigma"].tolist(), strict=True))
    factors = StructureFactor(
        atoms,
        g_max=2 * float(task["g_max"]),
        parametrization="lobato",
        thermal_sigma=sigma,
        cutoff="hard",
        centering="P",
    ).build(lazy=False)
    # abTEM knows no R centring: reflections that vanish are left out here.
    return factors, np.abs(factors.array) > 1e-8 * np.abs(factors.array).max()


def one_orientation(factors, allowed, matrix, task):
    """Return hkl (n, 3) and the mean intensity of the discs (n_thicknesses, n)."""
    from abtem.bloch.dynamical import BlochWaves

    energy, s_max = float(task["voltage"]) * 1e3, float(task["s_max"])
    total, mask = 0.0, None
    for tilt in task["tilts"]:
        turned = SAME_FRAME @ onto_axis(tilt * float(task["wavelength"])) @ matrix.T
        waves = BlochWaves(
            factors, energy, s_max, float(task["g_max"]), orientation_matrix=turned, centering="P"
        )
        # The beams of the first direction, the middle of the disc, serve all of them.
        mask = waves.hkl_mask & allowed if mask is None else mask
        waves._hkl_mask = mask
        total = total + waves.calculate_diffraction_patterns(task["thicknesses"], lazy=False).array
    return factors.hkl[mask], total / len(task["tilts"])


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
