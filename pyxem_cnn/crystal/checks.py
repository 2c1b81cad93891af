"""Checks of a cell and of listed atoms that users give."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyxem_cnn._checks import check_shape, given_expected
from pyxem_cnn.crystal.expansion import Sites, is_element


def check_lattice(lattice: Any) -> tuple[float, ...]:
    """Return the six numbers of a cell.

    Parameters
    ----------
    lattice
        Cell lengths and angles.

    Returns
    -------
    lattice
        Six floats.

    Raises
    ------
    TypeError, ValueError
        If these are not six positive numbers, or if no cell has such angles.
    """
    expected = "six numbers a, b, c, alpha, beta, gamma in angstrom and degrees"
    try:
        values = tuple(float(x) for x in lattice)
    except (TypeError, ValueError) as error:
        raise TypeError(given_expected("lattice", lattice, expected)) from error
    if len(values) != 6 or not all(0 < x < np.inf for x in values):
        raise ValueError(given_expected("lattice", values, f"{expected}, all above zero"))
    alpha, beta, gamma = values[3:]
    # The three angles at a corner close to a solid one only under these conditions.
    is_corner = alpha + beta + gamma < 360 and 2 * max(values[3:]) < alpha + beta + gamma
    if not is_corner:
        raise ValueError(
            given_expected("lattice", values, "three angles that can meet at a corner of a cell")
        )
    return values


def check_elements(elements: Any) -> tuple[str, ...]:
    """Return chemical symbols as a tuple.

    Parameters
    ----------
    elements
        Symbols of the n atoms.

    Returns
    -------
    elements
        The symbols.

    Raises
    ------
    TypeError, ValueError
        If this is one text, or if one of them is no chemical symbol.
    """
    if isinstance(elements, str):
        raise TypeError(
            given_expected("elements", elements, "a list with one symbol per atom, as in ['Si']")
        )
    symbols = tuple(elements)
    for symbol in symbols:
        if not is_element(symbol) or symbol == "D":
            raise ValueError(
                given_expected(
                    "elements",
                    symbol,
                    "a chemical symbol such as 'Ni'",
                    "Leave out numbers and charges ('Ni1', 'Ni3+'); write 'H' for deuterium.",
                )
            )
    return symbols


def check_sites(elements: Any, positions: Any, occupancies: Any, u_iso: Any) -> Sites:
    """Return listed atoms after a check.

    Parameters
    ----------
    elements
        Chemical symbols of the n atoms.
    positions
        Fractional coordinates of shape (n, 3).
    occupancies
        None, number or shape (n,).
    u_iso
        None, number or shape (n,), in square angstrom.

    Returns
    -------
    sites
        The atoms.

    Raises
    ------
    TypeError, ValueError
        If type, shape or value are wrong.
    """
    symbols = check_elements(elements)
    n = len(symbols)
    if n == 0:
        raise ValueError(given_expected("elements", [], "at least one atom"))
    xyz = check_shape("positions", np.asarray(positions, dtype=float), (n, 3))
    shares = np.array(np.broadcast_to(1.0 if occupancies is None else occupancies, n), dtype=float)
    moves = np.array(np.broadcast_to(np.nan if u_iso is None else u_iso, n), dtype=float)
    if not np.all(np.isfinite(xyz)):
        raise ValueError(given_expected("positions", xyz.tolist(), "finite numbers"))
    if not np.all((shares > 0) & (shares <= 1)):
        raise ValueError(
            given_expected("occupancies", shares.tolist(), "numbers above 0 and up to 1")
        )
    if np.any(moves < 0) or np.any(np.isinf(moves)):
        raise ValueError(
            given_expected("u_iso", moves.tolist(), "square angstrom of 0 or more, NaN if unknown")
        )
    labels = [f"{symbol}{i + 1}" for i, symbol in enumerate(symbols)]
    return Sites(labels, list(symbols), xyz, shares, moves)
