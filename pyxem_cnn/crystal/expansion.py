"""From the atoms that somebody lists to every atom of the cell, each of them once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pyxem_cnn.crystal.symmetry import Operations

# Atoms nearer than this are one place: .cif coordinates are often rounded to 0.333 or 0.67.
SAME_PLACE = 0.05  # angstrom
IMPOSSIBLE = 0.5  # angstrom; two atoms that are there at the same time
SUSPICIOUS = 1.0  # angstrom; nearer than any bond without hydrogen
SEARCHED = 3.5  # angstrom
FULL = 1.02  # Occupancies of one place sum up to 1, give or take rounding.


class Sites(NamedTuple):
    """Atoms as they are listed, one entry per atom."""

    labels: list[str]
    elements: list[str]
    positions: np.ndarray
    """Fractional, shape (n, 3)."""
    occupancies: np.ndarray
    """Shape (n,), in (0, 1]."""
    u_iso: np.ndarray
    """Mean square displacements of shape (n,) in square angstrom, NaN where unknown."""


@dataclass
class Report:
    """What happened on the way: notes, warnings, labels of repeated atoms."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


def is_element(symbol: object) -> bool:
    """Return whether `symbol` is a chemical symbol, deuterium ("D") included.

    Parameters
    ----------
    symbol
        Anything.

    Returns
    -------
    is_element
        True for "Ni", False for "Ni2+", "NI" and 28.
    """
    import gemmi

    if not isinstance(symbol, str):
        return False
    element = gemmi.Element(symbol)
    return element.atomic_number > 0 and element.name == symbol


def expand(sites: Sites, operations: Operations, basis: np.ndarray, report: Report) -> Sites:
    """Return every atom of the cell.

    Atoms within 0.05 angstrom of a special position are put on it. Atoms of different elements
    on one place stay separate, partially occupied atoms; an atom that is listed twice, or beside
    its own symmetry equivalents, is taken once.

    Parameters
    ----------
    sites
        The listed atoms.
    operations
        Operations of the space group in the setting of the cell.
    basis
        Cartesian basis of shape (3, 3), a, b and c as columns, in angstrom.
    report
        Receives what is worth telling.

    Returns
    -------
    cell
        All atoms, in the order in which they were listed, coordinates in [0, 1).

    Raises
    ------
    ValueError
        If occupancies of a place exceed 1, or if atoms are impossibly near each other.
    """
    cell = _Cell(basis)
    repeated = report.repeated
    for i, label in enumerate(sites.labels):
        orbit = _orbit(sites.positions[i], operations, basis, label)
        if cell.has(orbit, sites, i):
            repeated.append(label)
        else:
            cell.add(orbit, i)
    if repeated:
        report.notes.append(f"{len(repeated)} repeated atoms left out ({_some(repeated)})")
    owner = np.array(cell.owner)
    atoms = Sites(
        labels=[sites.labels[i] for i in owner],
        elements=[sites.elements[i] for i in owner],
        positions=cell.positions,
        occupancies=sites.occupancies[owner],
        u_iso=sites.u_iso[owner],
    )
    _check_distances(atoms, basis, report)
    return atoms


class _Cell:
    """The atoms found so far."""

    def __init__(self, basis: np.ndarray) -> None:
        self.basis = basis
        self.positions = np.zeros((0, 3))
        self.owner: list[int] = []

    def add(self, orbit: np.ndarray, site: int) -> None:
        self.positions = np.concatenate([self.positions, orbit])
        self.owner.extend([site] * len(orbit))

    def has(self, orbit: np.ndarray, sites: Sites, site: int) -> bool:
        """Return whether atoms of the same element fill the places of `orbit` already.

        One element may be listed twice on one place with shares of it (two valences). A share
        that lies on the symmetry equivalent of another listed share is a repetition.
        """
        if not self.owner:
            return False
        near = _nearest_image(self.positions - orbit[0], self.basis) < SAME_PLACE
        same = {i for i in np.array(self.owner)[near] if sites.elements[i] == sites.elements[site]}
        if not same:
            return False
        listed = sites.positions[sorted(same)] - sites.positions[site]
        is_image = np.all(_nearest_image(listed, self.basis) > 2 * SAME_PLACE)
        total = sites.occupancies[sorted(same)].sum() + sites.occupancies[site]
        return bool(is_image or total > FULL)


def _orbit(
    position: np.ndarray, operations: Operations, basis: np.ndarray, label: str
) -> np.ndarray:
    """Return the symmetry equivalents of a position, special positions met exactly."""
    x = np.asarray(position, dtype=float)
    for _ in range(5):
        shifts = operations.rotations @ x + operations.translations - x
        shifts -= np.round(shifts)
        stays = np.linalg.norm(shifts @ basis.T, axis=1) < SAME_PLACE
        x = x + shifts[stays].mean(axis=0)
    images = wrap(operations.rotations @ x + operations.translations)
    orbit = [images[0]]
    for image in images[1:]:
        if np.all(_nearest_image(np.array(orbit) - image, basis) > SAME_PLACE):
            orbit.append(image)
    if len(orbit) * stays.sum() != len(images):
        raise ValueError(
            f"Atom {label!r} at {np.round(position, 4).tolist()} is so near a symmetry element "
            f"that its {len(images)} images cannot be merged consistently, expected a position "
            f"that is on the element or further than {SAME_PLACE} angstrom from it. Correct it."
        )
    return np.array(orbit)


def wrap(positions: np.ndarray) -> np.ndarray:
    """Return fractional coordinates in [0, 1), without -0.0 and 0.9999999."""
    wrapped = positions - np.floor(positions + 1e-7)
    return np.where(np.abs(wrapped) < 1e-7, 0.0, wrapped)


def _nearest_image(differences: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return short Cartesian distances of fractional differences, modulo lattice vectors."""
    return np.linalg.norm((differences - np.round(differences)) @ basis.T, axis=-1)


def neighbours(positions: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest neighbours of every atom within 3.5 angstrom.

    Parameters
    ----------
    positions
        Fractional coordinates of shape (n, 3) in [0, 1).
    basis
        Cartesian basis of shape (3, 3), a, b and c as columns.

    Returns
    -------
    distances
        Shape (n, 12) in angstrom, ascending, the atom itself included; inf beyond 3.5 angstrom.
    indices
        Which atom it is, shape (n, 12); n where there is none.
    """
    from scipy.spatial import cKDTree

    # |a*| is one over the spacing of the planes that bound the cell.
    reach = np.ceil(SEARCHED * np.linalg.norm(np.linalg.inv(basis), axis=1)).astype(int)
    cells = np.stack(
        np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1
    ).reshape(-1, 1, 3)
    tiled = ((cells + positions) @ basis.T).reshape(-1, 3)
    tree = cKDTree(tiled)
    distances, found = tree.query(positions @ basis.T, k=12, distance_upper_bound=SEARCHED)
    return distances, np.where(np.isfinite(distances), found % len(positions), len(positions))


def _check_distances(atoms: Sites, basis: np.ndarray, report: Report) -> None:
    """Refuse places that hold more than one atom and atoms that lie upon each other."""
    distances, indices = neighbours(atoms.positions, basis)
    _check_occupancies(atoms, distances, indices)
    occupancies = np.append(atoms.occupancies, 0.0)
    is_pair = (distances > SAME_PLACE) & (distances < SUSPICIOUS)
    # Alternatives of one another are never there at the same time.
    is_pair &= occupancies[indices] + atoms.occupancies[:, None] > FULL
    hydrogen = np.append(np.isin(atoms.elements, ["H"]), False)
    is_pair &= ~(hydrogen[indices] | hydrogen[:-1, None])
    if not is_pair.any():
        return
    i, k = np.argwhere(is_pair)[np.argmin(distances[is_pair])]
    text = (
        f"Atoms {atoms.labels[i]!r} ({atoms.elements[i]}) and {atoms.labels[indices[i, k]]!r} "
        f"({atoms.elements[indices[i, k]]}) lie {distances[i, k]:.2f} angstrom apart"
    )
    if distances[i, k] < IMPOSSIBLE:
        raise ValueError(
            f"{text}, expected at least {IMPOSSIBLE} angstrom between atoms that are there at the "
            "same time. Check coordinates, cell, space group and its setting (origin choice); "
            "give alternatives of one another occupancies that sum up to 1."
        )
    report.warnings.append(f"{text}; bonds without hydrogen are longer than {SUSPICIOUS} angstrom.")


def _check_occupancies(atoms: Sites, distances: np.ndarray, indices: np.ndarray) -> None:
    """Refuse places whose occupancies sum up to more than 1."""
    here = distances < SAME_PLACE
    totals = np.where(here, np.append(atoms.occupancies, 0.0)[indices], 0.0).sum(axis=1)
    worst = int(np.argmax(totals))
    if totals[worst] <= FULL:
        return
    names = [f"{atoms.labels[i]} ({atoms.elements[i]})" for i in indices[worst][here[worst]]]
    raise ValueError(
        f"occupancies: got {totals[worst]:.3f} in all for {' and '.join(names)}, which share the "
        f"place {np.round(atoms.positions[worst], 4).tolist()}, expected 1 or less. Correct the "
        "occupancies, or the position of one of the atoms."
    )


def _some(labels: list[str]) -> str:
    """Return a few of many labels."""
    shown = ", ".join(labels[:4])
    return shown if len(labels) <= 4 else f"{shown}, ..."
