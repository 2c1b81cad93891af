"""Fourier coefficients of the crystal potential for fast electrons, from diffsims' Lobato table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, given_expected
from pyxem_cnn.detector.calibration import check_beam_energy

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure

_logger = logging.getLogger(__name__)

# B of an atom of which nothing is known, in square angstrom: an rms displacement of 0.08 angstrom
# along an axis, common for inorganic crystals at room temperature.
DEFAULT_B_ISO = 0.5
_ENTRIES_AT_ONCE = 2_000_000


def scattering_factors(element: str, g: np.ndarray) -> np.ndarray:
    """Return Lobato and Van Dyck's electron scattering factors of one element.

    Parameters
    ----------
    element
        Chemical symbol of a neutral atom, hydrogen to lawrencium.
    g
        Lengths of reciprocal vectors in 1/angstrom, any shape.

    Returns
    -------
    factors
        First Born approximation for a resting electron, in angstrom, shape of `g`.

    Raises
    ------
    ValueError
        If the table has no such label; ions have none.

    References
    ----------
    Lobato and Van Dyck, Acta Cryst. A70 (2014) 636, equation 16.
    """
    from diffsims.utils.sim_utils import get_scattering_params_dict

    table = get_scattering_params_dict("lobato")
    remedy = "Ions have no factors of their own in this table: use the neutral atom's symbol."
    if element not in table:
        expected = "a chemical symbol from 'H' to 'Lr'"
        raise ValueError(given_expected("element", element, expected, remedy))
    g2 = np.asarray(g, dtype=np.float64) ** 2
    terms = (a * (2 + b * g2) / (1 + b * g2) ** 2 for a, b in table[element])
    return np.asarray(sum(terms))


def isotropic_b(
    crystal: CrystalStructure, debye_waller: float | Mapping[str, float] | None = None
) -> np.ndarray:
    """Return the isotropic displacement parameters B of all atoms.

    Parameters
    ----------
    crystal
        The structure.
    debye_waller
        B in square angstrom, for all atoms or by element. Elements that are not named, and all of
        them by default, take theirs from the structure: 8 pi^2 times its ``u_iso``, or 0.5 square
        angstrom where that is unknown. 0 keeps all atoms at rest.

    Returns
    -------
    b_iso
        B = 8 pi^2 <u^2> in square angstrom, shape (n_atoms,).

    Raises
    ------
    TypeError, ValueError
        If a value is not a number of zero or more, or names an element that is not there.
    """
    from_structure = 8 * np.pi**2 * crystal.u_iso
    b_iso = np.where(np.isnan(from_structure), DEFAULT_B_ISO, from_structure)
    elements = np.array(crystal.elements)
    given = debye_waller if isinstance(debye_waller, Mapping) else {}
    if debye_waller is not None and not isinstance(debye_waller, Mapping):
        given = dict.fromkeys(crystal.elements, debye_waller)
    for element, value in given.items():
        check_choice("debye_waller", element, sorted(set(crystal.elements)))
        check_positive(f"debye_waller[{element!r}]", value, allow_zero=True)
        b_iso[elements == element] = value
    unknown = sorted({e for e in elements[np.isnan(from_structure)] if e not in given})
    if unknown:
        _logger.info(
            "%s: displacements of %s unknown, B = %g square angstrom taken",
            crystal.name,
            ", ".join(unknown),
            DEFAULT_B_ISO,
        )
    return b_iso


def structure_factors(
    crystal: CrystalStructure,
    hkl: np.ndarray,
    b_iso: np.ndarray | None = None,
    origin: np.ndarray | None = None,
) -> np.ndarray:
    """Return F = sum over atoms of occupancy f(g) exp(-B g^2 / 4) exp(-2 pi i hkl . (r - origin)).

    Parameters
    ----------
    crystal
        The structure.
    hkl
        Miller indices, shape (n, 3).
    b_iso
        Displacement parameters B of the atoms in square angstrom, shape (n_atoms,); by default all
        atoms are at rest.
    origin
        Fractional coordinates of the point that phases refer to, shape (3,); by default the
        cell's own.

    Returns
    -------
    factors
        Complex numbers in angstrom, shape (n,).

    Raises
    ------
    ValueError
        If the table has no factors for an element.
    """
    hkl = np.asarray(hkl).reshape(-1, 3)
    b_iso = np.zeros(len(crystal.elements)) if b_iso is None else b_iso
    positions = crystal.positions - (0.0 if origin is None else origin)
    factors = np.zeros(len(hkl), dtype=np.complex128)
    rows = max(1, _ENTRIES_AT_ONCE // len(crystal.elements))
    for start in range(0, len(hkl), rows):
        indices = hkl[start : start + rows]
        g = np.linalg.norm(indices @ crystal.reciprocal_basis.T, axis=1)
        # Atoms that differ in their places and occupancies only share their factors.
        for element, b in sorted(set(zip(crystal.elements, b_iso, strict=True))):
            alike = (np.array(crystal.elements) == element) & (b_iso == b)
            sums = _phases(indices, positions[alike]) @ crystal.occupancies[alike]
            factor = scattering_factors(element, g) * np.exp(-b / 4 * g**2)
            factors[start : start + rows] += factor * sums
    return factors


def _phases(hkl: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return exp(-2 pi i hkl . r), shape (n, n_atoms), as a product over the three axes."""
    phases = np.ones((len(hkl), len(positions)), dtype=np.complex128)
    for axis in range(3):
        values, place = np.unique(hkl[:, axis], return_inverse=True)
        phases *= np.exp(-2j * np.pi * np.outer(values, positions[:, axis]))[place]
    return phases


def potential_coefficients(
    crystal: CrystalStructure, factors: np.ndarray, accelerating_voltage: float
) -> np.ndarray:
    """Return U = gamma F / (pi V), the Fourier coefficients of 2 m e V(r) / h^2.

    Parameters
    ----------
    crystal
        The structure, for the volume V of its cell.
    factors
        Structure factors F in angstrom.
    accelerating_voltage
        In kV, for gamma = 1 + e U / (m c^2).

    Returns
    -------
    coefficients
        In 1/angstrom^2, shape of `factors`.
    """
    from scipy.constants import c, e, m_e

    gamma = 1 + e * check_beam_energy(accelerating_voltage) * 1e3 / (m_e * c**2)
    return gamma / (np.pi * crystal.volume) * factors


def inversion_centre(crystal: CrystalStructure) -> np.ndarray | None:
    """Return the fractional coordinates (3,) of an inversion centre, None where there is none."""
    is_inversion = (crystal.rotations_fractional == -np.eye(3, dtype=int)).all((1, 2))
    if not is_inversion.any():
        return None
    # -x + t maps t / 2 onto itself.
    return crystal.translations[np.argmax(is_inversion)] / 2


def allowed_by_centring(crystal: CrystalStructure, hkl: np.ndarray) -> np.ndarray:
    """Return which reflections the lattice centring allows.

    Glide planes and screw axes forbid others, which dynamical diffraction fills again; those of
    the centring do not belong to the reciprocal lattice of the primitive cell.

    Parameters
    ----------
    crystal
        The structure.
    hkl
        Miller indices, shape (n, 3).

    Returns
    -------
    allowed
        Booleans of shape (n,).
    """
    is_centring = (crystal.rotations_fractional == np.eye(3, dtype=int)).all((1, 2))
    phases = np.asarray(hkl) @ crystal.translations[is_centring].T
    return (np.abs(phases - np.rint(phases)) < 1e-4).all(1)
