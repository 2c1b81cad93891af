"""Spots of silicon from dynamical diffraction, with other settings than models are trained with."""

from __future__ import annotations

import numpy as np

from pyxem_cnn.data._spots import BEAM_ENERGY, LATTICE_PARAMETER
from pyxem_cnn.detector.calibration import electron_wavelength
from pyxem_cnn.phases import CrystalStructure

__all__ = ["dynamical_spots", "probe_radius", "silicon"]

_CONVERGENCE_ANGLE = 1.5  # mrad
# More beams and directions than libraries for training have: nothing numerical is shared.
_N_BEAMS, _N_TILTS = 128, 19
_DEBYE_WALLER = 0.46  # B in square angstrom, at room temperature


def silicon() -> CrystalStructure:
    """Return silicon, with the lattice parameter of the scan."""
    return CrystalStructure.from_asymmetric_unit(
        (LATTICE_PARAMETER,) * 3 + (90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="silicon"
    )


def probe_radius() -> float:
    """Return the radius of the discs in 1/angstrom."""
    return 1e-3 * _CONVERGENCE_ANGLE / electron_wavelength(BEAM_ENERGY)


def dynamical_spots(
    rotations: np.ndarray, thickness: np.ndarray, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return Bloch-wave spots of every orientation, discs as many points.

    Parameters
    ----------
    rotations
        Quaternions of shape (n, 4), scalar first, lab to crystal.
    thickness
        Of the crystal in angstrom, shape (n,).
    seed
        Of the directions in the probe cone.

    Returns
    -------
    spots
        For every orientation, positions (kx, ky) of shape (n_points, 2) in 1/angstrom, y up, and
        intensities of shape (n_points,). Without the direct beam.
    """
    from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator

    simulator = BlochWaveSimulator(
        silicon(),
        accelerating_voltage=BEAM_ENERGY,
        convergence_angle=_CONVERGENCE_ANGLE,
        n_beams=_N_BEAMS,
        n_tilts=_N_TILTS,
        debye_waller=_DEBYE_WALLER,
    )
    found = simulator.calculate(
        rotations, thicknesses=thickness[:, None], generator=np.random.default_rng([seed, 2])
    )
    # Without the first beam, which is the direct one.
    points = found.k[:, 1:, None] + found.tilts[:, None]
    intensity = found.intensity[:, 0, 1:]
    return [
        (k.reshape(-1, 2), strength.ravel()) for k, strength in zip(points, intensity, strict=True)
    ]
