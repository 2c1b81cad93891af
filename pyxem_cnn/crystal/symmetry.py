"""Space groups: their own operations in any cell setting, as fractional and Cartesian matrices.

The tables are gemmi's. Cartesian frame of a crystal: x along a, z along c* (as orix and diffsims).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn._checks import check_type, given_expected

if TYPE_CHECKING:
    import gemmi

# Cells that miss the metric of their space group by more than this share are refused.
METRIC_TOLERANCE = 0.01


class Operations(NamedTuple):
    """The operations of a space group: x' = rotations @ x + translations, centring included."""

    rotations: np.ndarray
    """Integers of shape (m, 3, 3), fractional coordinates."""
    translations: np.ndarray
    """Floats of shape (m, 3) in [0, 1), fractional coordinates."""


def operations_from_gemmi(group: Iterable[Any]) -> Operations:
    """Return gemmi's operations as arrays.

    Parameters
    ----------
    group
        A ``gemmi.GroupOps`` or any iterable of ``gemmi.Op``.

    Returns
    -------
    operations
        The operations.
    """
    ops = list(group)
    rotations = np.array([op.rot for op in ops], dtype=int) // ops[0].DEN
    translations = np.array([op.tran for op in ops]) / ops[0].DEN % 1.0
    return Operations(rotations, translations)


def find_space_groups(space_group: int | str, lattice: Sequence[float]) -> list[gemmi.SpaceGroup]:
    """Return the tabulated settings of a space group that fit a cell, the standard one first.

    Parameters
    ----------
    space_group
        Number (1 to 230: every setting of it) or Hermann-Mauguin symbol, if need be with the
        setting: "P 1 21/n 1", "F d -3 m:2", "R -3 m:R". A symbol without it gives every
        origin choice and the hexagonal and rhombohedral axes.
    lattice
        Cell lengths and angles a, b, c, alpha, beta, gamma in angstrom and degrees.

    Returns
    -------
    settings
        At least one ``gemmi.SpaceGroup``.

    Raises
    ------
    TypeError
        If `space_group` is neither a number nor a symbol.
    ValueError
        If there is no such space group, or if none of its settings fits the cell.
    """
    check_type("space_group", space_group, (int, np.integer, str))
    named = _settings(space_group)
    settings = [s for s in named if metric_misfit(lattice, s.operations().sym_ops) < 1]
    if not settings:
        raise ValueError(
            given_expected(
                "lattice",
                tuple(float(x) for x in lattice),
                f"a cell that has the symmetry of space group {named[0].xhm()} "
                f"(number {named[0].number})",
                "Correct the cell, or name the setting that belongs to it, "
                "such as 'P 1 1 21/b' or 'R -3 m:R'.",
            )
        )
    return settings


def _settings(space_group: int | str) -> list[gemmi.SpaceGroup]:
    """Return the tabulated settings that a number or a symbol may stand for."""
    import gemmi

    is_symbol = isinstance(space_group, str)
    if is_symbol:
        first = gemmi.find_spacegroup_by_name(space_group)
    else:
        # gemmi takes 0 for P 1.
        first = gemmi.find_spacegroup_by_number(int(space_group)) if space_group else None
    if first is None:
        raise ValueError(
            given_expected(
                "space_group",
                space_group,
                "a number from 1 to 230 or a Hermann-Mauguin symbol such as 'P 63 m c'",
                "Write the setting, too, where it matters: 'P 1 21/n 1', 'F d -3 m:2'.",
            )
        )
    table = [s for s in gemmi.spacegroup_table() if s.number == first.number]
    if is_symbol:
        table = [s for s in table if s.hm == first.hm]
        if ":" in space_group:
            table = [s for s in table if s.xhm() == first.xhm()]
    return [first, *(s for s in table if s.xhm() != first.xhm())]


def basis_matrix(lattice: Sequence[float]) -> np.ndarray:
    """Return the Cartesian basis of a cell, x along a and z along c*.

    Parameters
    ----------
    lattice
        Cell lengths and angles a, b, c, alpha, beta, gamma in angstrom and degrees.

    Returns
    -------
    basis
        Array of shape (3, 3) with a, b and c as columns, in angstrom.
    """
    a, b, c = (float(x) for x in lattice[:3])
    cos_alpha, cos_beta, cos_gamma = (_cosine(x) for x in lattice[3:])
    sin_gamma = np.sqrt(1 - cos_gamma**2)
    c_y = (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    c_z = np.sqrt(1 - cos_beta**2 - c_y**2)
    return np.array(
        [[a, b * cos_gamma, c * cos_beta], [0.0, b * sin_gamma, c * c_y], [0.0, 0.0, c * c_z]]
    )


def _cosine(degrees: float) -> float:
    """Return the cosine of an angle, exact for 60, 90 and 120 degrees."""
    exact = {60.0: 0.5, 90.0: 0.0, 120.0: -0.5}
    return exact.get(float(degrees), float(np.cos(np.deg2rad(degrees))))


def metric_misfit(lattice: Sequence[float], operations: Any) -> float:
    """Return by how much a cell misses the symmetry of operations, in units of the tolerance.

    Parameters
    ----------
    lattice
        Cell lengths and angles a, b, c, alpha, beta, gamma in angstrom and degrees.
    operations
        :class:`Operations` or an iterable of ``gemmi.Op``.

    Returns
    -------
    misfit
        Zero for a perfect fit; below one the cell is accepted.
    """
    metric, mean = _metrics(lattice, operations)
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    return float(np.max(np.abs(mean - metric) / scale)) / METRIC_TOLERANCE


def symmetrized_lattice(lattice: Sequence[float], operations: Any) -> tuple[float, ...]:
    """Return the cell with exactly the symmetry of operations, next to the given cell.

    Parameters
    ----------
    lattice
        Cell lengths and angles a, b, c, alpha, beta, gamma in angstrom and degrees.
    operations
        :class:`Operations` or an iterable of ``gemmi.Op``.

    Returns
    -------
    lattice
        Six floats; the given ones where they have the symmetry already.
    """
    if metric_misfit(lattice, operations) < 1e-9:
        return tuple(float(x) for x in lattice)
    _, mean = _metrics(lattice, operations)
    lengths = np.sqrt(np.diag(mean))
    cosines = mean / np.outer(lengths, lengths)
    angles = np.rad2deg(np.arccos([cosines[1, 2], cosines[0, 2], cosines[0, 1]]))
    return (*(float(x) for x in lengths), *(float(round(x, 10)) for x in angles))


def _metrics(lattice: Sequence[float], operations: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the metric tensor of a cell and its mean over the operations."""
    if not isinstance(operations, Operations):
        operations = operations_from_gemmi(operations)
    basis = basis_matrix(lattice)
    metric = basis.T @ basis
    rotations = operations.rotations
    return metric, np.mean(rotations.transpose(0, 2, 1) @ metric @ rotations, axis=0)


def point_group(rotations: np.ndarray) -> np.ndarray:
    """Return each rotation part once, the identity first.

    Parameters
    ----------
    rotations
        Integers of shape (m, 3, 3).

    Returns
    -------
    rotations
        Integers of shape (p, 3, 3).
    """
    unique = {tuple(r.ravel()): None for r in np.asarray(rotations, dtype=int)}
    identity = tuple(np.eye(3, dtype=int).ravel())
    unique.pop(identity, None)
    return np.array([identity, *unique]).reshape(-1, 3, 3)


def with_inversion(rotations: np.ndarray) -> np.ndarray:
    """Return the Laue group of a point group: its operations and their products with -1.

    Parameters
    ----------
    rotations
        Integers of shape (p, 3, 3).

    Returns
    -------
    rotations
        Integers of shape (q, 3, 3), the identity first.
    """
    return point_group(np.concatenate([rotations, -np.asarray(rotations)]))


def cartesian(rotations: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return fractional rotation matrices in the Cartesian frame of the crystal.

    Parameters
    ----------
    rotations
        Integers of shape (p, 3, 3).
    basis
        Basis of shape (3, 3), a, b and c as columns.

    Returns
    -------
    matrices
        Orthogonal matrices of shape (p, 3, 3).
    """
    return basis @ rotations @ np.linalg.inv(basis)


def is_group(operations: Operations) -> bool:
    """Return whether the product of any two operations is one of them.

    Parameters
    ----------
    operations
        The operations.

    Returns
    -------
    is_group
        True for a closed list.
    """
    rotations, translations = operations
    known = _keys(rotations, translations)
    products = np.einsum("iab,jbc->ijac", rotations, rotations).reshape(-1, 3, 3)
    moved = np.einsum("iab,jb->ija", rotations, translations) + translations[:, None]
    return _keys(products, moved.reshape(-1, 3)) == known


def same_operations(first: Operations, second: Operations) -> bool:
    """Return whether two lists hold the same operations, in any order.

    Parameters
    ----------
    first, second
        The operations.

    Returns
    -------
    same
        True for the same set.
    """
    return _keys(*first) == _keys(*second)


def origin_shift(first: Operations, second: Operations) -> np.ndarray | None:
    """Return the origin of one description of a space group in the other.

    Parameters
    ----------
    first, second
        The operations of both.

    Returns
    -------
    shift
        Fractional p of shape (3,) on a grid of 1/24, such that x - p obeys `second` where x
        obeys `first`; None if there is none, because the two differ by more than the origin.
    """
    wanted = _keys(*first)
    if {k[:9] for k in wanted} != {k[:9] for k in _keys(*second)} or len(first[0]) != len(
        second[0]
    ):
        return None
    by_rotation: dict[tuple[int, ...], list[np.ndarray]] = {}
    for rotation, translation in zip(*first, strict=True):
        by_rotation.setdefault(tuple(rotation.ravel()), []).append(translation)
    grid = np.array(list(itertools.product(range(24), repeat=3))) / 24
    for rotation, translation in zip(*second, strict=True):
        moved = translation + grid - grid @ rotation.T
        fits = [_is_whole(moved - t) for t in by_rotation[tuple(rotation.ravel())]]
        grid = grid[np.any(fits, axis=0)]
    return grid[0] if len(grid) else None


def _is_whole(translations: np.ndarray) -> np.ndarray:
    """Return where all three components are whole numbers."""
    return np.all(np.abs(translations - np.round(translations)) < 1e-3, axis=-1)


def _keys(rotations: np.ndarray, translations: np.ndarray) -> set[tuple[int, ...]]:
    """Return operations as comparable tuples; translations are multiples of 1/24 (modulo 1)."""
    steps = np.round(np.asarray(translations) * 24).astype(int) % 24
    flat = np.concatenate([np.asarray(rotations, dtype=int).reshape(-1, 9), steps], axis=1)
    return {tuple(row) for row in flat.tolist()}
