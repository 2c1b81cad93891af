"""Intensities of our own Bloch waves, with more beams and directions than models learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from abtem_discs import CONVERGENCE_ANGLE
from bloch_crystals import CRYSTALS

from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.rotations import random_quaternions
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator

_N_BEAMS, _N_LEVELS = 128, 4
_THICKNESS = (200.0, 1000.0)
# In precession, beams are averaged over many azimuths: discs have little structure.
_DIRECTIONS = {"n_tilts": 37}
_DIRECTIONS_PRECESSED = {"n_tilts": 7, "n_precession": 36}


def own_set(name: str, n: int, precession_angle: float, folder: Path, seed: int = 40) -> SpotSet:
    """Return n orientations of a crystal, simulated unless they are in the folder."""
    crystal, voltage, b_iso = CRYSTALS[name]()
    directions = _DIRECTIONS_PRECESSED if precession_angle else _DIRECTIONS
    simulator = BlochWaveSimulator(
        crystal,
        accelerating_voltage=voltage,
        convergence_angle=CONVERGENCE_ANGLE,
        precession_angle=precession_angle,
        n_beams=_N_BEAMS,
        debye_waller=b_iso,
        **directions,
    )
    parts = (name.lower(), f"{precession_angle:g}", _N_BEAMS, simulator.n_tilts, n, seed)
    path = folder / f"own_{'_'.join(map(str, parts))}.npz"
    if not path.exists():
        _simulate(simulator, n, seed, path)
    with np.load(path) as file:
        arrays = dict(file)
    return SpotSet(
        name=f"own {name}" + (f", precessed {precession_angle:g} deg" if precession_angle else ""),
        crystal=crystal,
        voltage=voltage,
        b_iso=b_iso,
        disc_radius=1e-3 * CONVERGENCE_ANGLE / simulator.wavelength,
        precession_angle=precession_angle,
        **arrays,
    )


def _simulate(simulator: BlochWaveSimulator, n: int, seed: int, path: Path) -> None:
    """Write orientations, random thicknesses and what they scatter."""
    generator = np.random.default_rng(seed)
    orientations = random_quaternions(n, generator)
    depths = generator.uniform(*_THICKNESS, (n, _N_LEVELS))
    found = simulator.calculate(
        orientations, thicknesses=depths, generator=generator, show_progressbar=True
    )
    # Under its own name only when it is complete.
    partial = path.with_suffix(".part.npz")
    np.savez(
        partial,
        orientations=orientations,
        k=found.k,
        intensity=found.intensity,
        tilts=found.tilts,
        thicknesses=depths,
    )
    partial.replace(path)
