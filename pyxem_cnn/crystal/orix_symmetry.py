"""Point groups for orix that hold exactly the operators they are given.

orix 0.15 keys many things on the *name* of a group: the fundamental sector of its IPF colour keys,
its Laue group's name, its crystal system, the text in .ang and .h5 files. A group whose axes lie
elsewhere than in orix's group of the same name would silently get the wrong sector, and a name that
orix does not know makes an .h5 file that it cannot read back. So the group keeps orix's name for
the type, and what depends on the setting is computed from the operators. Files keep the name only:
orix.io.load gives orix's group of that name, in orix's setting.
"""

from __future__ import annotations

import numpy as np
from orix.crystal_map import Phase
from orix.quaternion import Rotation
from orix.quaternion import symmetry as orix_symmetry
from orix.quaternion.symmetry import Symmetry
from orix.vector import FundamentalSector, Vector3d

from pyxem_cnn import rotations
from pyxem_cnn.crystal.symmetry import basis_matrix


class OperatorSymmetry(Symmetry):
    """An orix point group in a setting of its own.

    Its name is orix's for this type of group; Laue group, proper subgroup and fundamental sector
    follow from the operators.
    """

    @property
    def laue(self) -> Symmetry:
        """Return this group plus inversion."""
        matrices = symmetry_matrices(self)
        group = point_group_from_matrices(_unique([*matrices, *(-matrices)]))
        if isinstance(group, OperatorSymmetry) and group.name == "-3":
            # Vector3d.in_fundamental_sector treats this name as three-fold along z.
            group.name = "-3:R"
        return group

    @property
    def proper_subgroup(self) -> Symmetry:
        """Return the proper rotations of this group."""
        matrices = symmetry_matrices(self)
        return point_group_from_matrices(matrices[np.linalg.det(matrices) > 0])

    @property
    def fundamental_sector(self) -> FundamentalSector:
        """Return orix's sector if it holds each direction once, else one from the operators."""
        sector = super().fundamental_sector
        matrices = symmetry_matrices(self)
        directions = _directions(400)
        images = np.einsum("gij,nj->gni", matrices, directions)
        inside = np.all(np.einsum("gni,ki->gnk", images, sector.data) > 0, axis=-1)
        if np.all(inside.sum(axis=0) == 1):
            return sector
        centre, normals = _sector(matrices)
        sector = FundamentalSector(normals)
        # orix projects directions by their distance to the centre: it must be the very same.
        sector._center = Vector3d(centre)
        return sector


def point_group_from_matrices(matrices: np.ndarray) -> Symmetry:
    """Return an orix point group with exactly these operators.

    Parameters
    ----------
    matrices
        Cartesian matrices of a point group of shape (p, 3, 3).

    Returns
    -------
    point_group
        One of orix's own groups where it holds the same operators and its Laue group is right,
        too; otherwise an :class:`OperatorSymmetry`.
    """
    named = _named_group(matrices)
    if named is not None and _named_group(symmetry_matrices(named.laue)) is not None:
        return named
    improper = np.linalg.det(matrices) < 0
    proper = np.where(improper[:, None, None], -matrices, matrices)
    group = OperatorSymmetry(rotations.from_matrix(proper))
    group.improper = improper
    group.name = named.name if named is not None else _type_name(matrices)
    return group


def has_point_group(space_group: int, matrices: np.ndarray) -> bool:
    """Return whether orix takes these operators from the number of a space group.

    Parameters
    ----------
    space_group
        Number from 1 to 230.
    matrices
        Cartesian matrices of shape (p, 3, 3).

    Returns
    -------
    has_point_group
        False for every monoclinic group and some trigonal, tetragonal and hexagonal ones.
    """
    group = orix_symmetry.get_point_group(space_group)
    return same_matrices(symmetry_matrices(group), matrices)


def symmetry_matrices(symmetry: Rotation) -> np.ndarray:
    """Return the operators of an orix point group as matrices, mirrors and inversion included.

    Parameters
    ----------
    symmetry
        An orix ``Symmetry``.

    Returns
    -------
    matrices
        Array of shape (p, 3, 3).
    """
    signs = np.where(symmetry.improper, -1.0, 1.0)
    return symmetry.to_matrix() * signs.reshape(-1, 1, 1)


def fits_lattice(phase: Phase, tolerance: float = 1e-3) -> bool:
    """Return whether every operation of a phase's point group maps its lattice onto itself.

    Parameters
    ----------
    phase
        With a point group and a cell.
    tolerance
        Largest deviation of an entry of the operations, in the basis of the cell, from a whole
        number.

    Returns
    -------
    fits
        False for monoclinic cells with b unique, as orix's groups have their axis on z.
    """
    basis = basis_matrix(phase.structure.lattice.abcABG())
    operations = np.linalg.inv(basis) @ symmetry_matrices(phase.point_group) @ basis
    return bool(np.all(np.abs(operations - np.rint(operations)) < tolerance))


def same_matrices(first: np.ndarray, second: np.ndarray, tolerance: float = 1e-4) -> bool:
    """Return whether two sets of matrices hold the same ones, in any order.

    Parameters
    ----------
    first, second
        Arrays of shape (p, 3, 3).
    tolerance
        Largest difference of an entry.

    Returns
    -------
    same
        True for the same set.
    """
    if len(first) != len(second):
        return False
    distances = np.abs(first[:, None] - second[None]).max(axis=(2, 3))
    return bool(np.all(distances.min(axis=0) < tolerance))


def _named_group(matrices: np.ndarray) -> Symmetry | None:
    """Return orix's group of these operators; of 32 and 321, the one that files call 32."""
    groups = [g for g in orix_symmetry._groups if g.size == len(matrices)]
    same = [g for g in groups if same_matrices(symmetry_matrices(g), matrices)]
    return same[-1] if same else None


def _type_name(matrices: np.ndarray) -> str:
    """Return orix's name of the type of group: determinants and traces tell all 32 apart."""
    kind = _kind(matrices)
    standard = [g for g in orix_symmetry._groups if g.name not in ("211", "121", "112")]
    standard = [g for g in standard if g.name not in ("m11", "1m1", "11m", "321", "312")]
    same = [g for g in standard if _kind(symmetry_matrices(g)) == kind]
    if same:
        return same[0].name
    # orix lists the monoclinic groups with an axis only.
    return {2: "112" if np.all(np.linalg.det(matrices) > 0) else "11m"}[len(matrices)]


def _kind(matrices: np.ndarray) -> list[tuple[int, int]]:
    """Return (determinant, trace) of all operators, sorted."""
    determinants, traces = np.linalg.det(matrices), np.trace(matrices, axis1=1, axis2=2)
    return sorted(
        (round(float(d)), round(float(t))) for d, t in zip(determinants, traces, strict=True)
    )


def _unique(matrices: list[np.ndarray]) -> np.ndarray:
    """Return each matrix once, in order."""
    return np.array(list({tuple(np.round(m, 4).ravel() + 0.0): m for m in matrices}.values()))


def _directions(n: int) -> np.ndarray:
    """Return n directions on a spiral over the sphere, none of them special, shape (n, 3)."""
    z = 1 - (2 * np.arange(n) + 1.1) / (n + 0.2)
    azimuth = np.pi * (3 - np.sqrt(5)) * np.arange(n) + 0.123
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)


def _sector(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a direction, and normals of the planes towards its images, shapes (3,) and (k, 3).

    All directions nearer to this one than to its images make the sector. It is the direction of
    the northern hemisphere furthest from its own images, which puts planes on mirrors.
    """
    polar, azimuth = np.deg2rad(np.meshgrid(np.arange(15, 76, 2.5), np.arange(0, 360, 15)))
    polar, azimuth = polar.ravel(), azimuth.ravel()
    centres = Vector3d.from_polar(azimuth, polar).data
    others = np.array([m for m in matrices if not np.allclose(m, np.eye(3), atol=1e-4)])
    gaps = centres[:, None] - np.einsum("gij,nj->ngi", others, centres)
    best = int(np.argmax(np.linalg.norm(gaps, axis=2).min(axis=1).round(6)))
    normals = gaps[best] / np.linalg.norm(gaps[best], axis=1, keepdims=True)
    # A plane counts if it alone cuts off some directions.
    outside = _directions(20000) @ normals.T < 0
    alone = outside[outside.sum(axis=1) == 1]
    return centres[best], normals[alone.any(axis=0)]
