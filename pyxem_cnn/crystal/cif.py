"""What a .cif file says about a crystal, read with gemmi and checked against itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyxem_cnn.crystal import symmetry
from pyxem_cnn.crystal.cif_block import find_block, number_value, text_value
from pyxem_cnn.crystal.cif_symmetry import read_space_group
from pyxem_cnn.crystal.expansion import Report, Sites, is_element

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
# Labels of the American Mineralogist database that do not start with a chemical symbol.
_MINERALOGISTS_LABELS = {"Wat": "O"}


class CifContent(NamedTuple):
    """What one block of a .cif file holds, before symmetry is applied to the atoms."""

    lattice: tuple[float, ...]
    space_group: Any
    """``gemmi.SpaceGroup`` of the file, perhaps in another setting than `operations`."""
    symbol: str
    operations: symmetry.Operations
    sites: Sites
    formula: dict[str, float]
    """Empty where the file gives none."""
    formula_units: float | None


def read_content(
    path: Path, block_name: str | None, space_group: int | str | None, report: Report
) -> CifContent:
    """Return what a .cif file says.

    Parameters
    ----------
    path
        The file.
    block_name
        Which ``data_`` block to read; None for the only one that holds a structure.
    space_group
        Number or symbol to use in place of what the file says.
    report
        Receives what is worth telling.

    Returns
    -------
    content
        The cell, the operations and the listed atoms.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, is incomplete or contradicts itself.
    """
    block = find_block(path, block_name, report)
    lattice = _lattice(block, path)
    formula = _formula(block)
    group, symbol, operations = read_space_group(block, lattice, space_group, path, report)
    return CifContent(
        lattice=lattice,
        space_group=group,
        symbol=symbol,
        operations=operations,
        sites=_sites(block, path, formula, report),
        formula=formula,
        formula_units=number_value(block, "_cell_formula_units_Z"),
    )


def check_formula(
    content: CifContent, elements: Sequence[str], occupancies: np.ndarray, report: Report
) -> None:
    """Compare the atoms of the cell with Z times the formula, and report where they differ.

    Without Z, the number of formula units is taken from the atoms. Hydrogen that the file's
    formula holds and its atom list does not is a note: X-rays hardly see it.

    Parameters
    ----------
    content
        What the file says.
    elements
        Chemical symbols of all n atoms of the cell.
    occupancies
        Their occupancies, shape (n,).
    report
        Receives the result.
    """
    found: Counter[str] = Counter()
    for element, occupancy in zip(elements, occupancies, strict=True):
        found[element] += float(occupancy)
    formula = dict(content.formula)
    if not formula:
        report.notes.append("no formula in the file to check the number of atoms against")
        return
    if "H" in formula and "H" not in found:
        report.notes.append("hydrogen is in the formula, but not among the atoms")
        del formula["H"]
    units = content.formula_units
    if units is None:
        units = max(1.0, round(sum(found.values()) / max(sum(formula.values()), 1e-9)))
    expected = {element: units * n for element, n in formula.items()}
    if _agree(found, expected):
        report.notes.append(f"atoms agree with Z = {units:g} times {_formula_text(formula)}")
        return
    report.warnings.append(
        f"The cell holds {_formula_text(found)}, expected Z x formula = {units:g} x "
        f"({_formula_text(formula)}) = {_formula_text(expected)}. Check the atoms, their "
        "occupancies and the space group; a wrong Z or formula in the file does no harm."
    )


def element_of_label(label: str, formula: dict[str, float]) -> str | None:
    """Return the element that a .cif label or type symbol stands for.

    Parameters
    ----------
    label
        Such as "Ni1", "O2-", "FeA", "NI(1)" or "O-H".
    formula
        Elements of the file's formula, which decide between "Ca" and "C" for "CA"; may be empty.

    Returns
    -------
    element
        Chemical symbol; None where the label does not say.
    """
    head = re.match(r"[A-Za-z]*", label.strip()).group()
    if head in _MINERALOGISTS_LABELS:
        return _MINERALOGISTS_LABELS[head]
    # "Label" is not lanthanum: behind a symbol there may be capitals or one small letter.
    fits = [
        head[:n].capitalize()
        for n in (2, 1)
        if len(head) >= n and re.fullmatch(r"[A-Z]*|[a-z]", head[n:])
    ]
    if re.match(r"[A-Z][A-Z]", head) and len(head) > 2:
        fits.reverse()
    known = [e for e in fits if is_element(e)]
    in_formula = [e for e in known if e in formula]
    chosen = (in_formula or known or [None])[0]
    return "H" if chosen == "D" else chosen


def _lattice(block: Any, path: Path) -> tuple[float, ...]:
    """Return lengths and angles; a missing angle is 90 degrees, as the .cif dictionary says."""
    values = [number_value(block, f"_cell_{name}") for name in _CELL]
    values[3:] = [90.0 if v is None else v for v in values[3:]]
    bad = [f"_cell_{n}" for n, v in zip(_CELL, values, strict=True) if v is None or v <= 0]
    if bad:
        raise ValueError(
            f"{path.name}: got no positive number for {', '.join(bad)}, expected the cell in "
            "angstrom and degrees. Add it to the file."
        )
    return tuple(values)  # type: ignore[arg-type]


def _sites(block: Any, path: Path, formula: dict[str, float], report: Report) -> Sites:
    """Return the listed atoms."""
    import gemmi

    structure = gemmi.make_small_structure_from_block(block)
    listed = [s for s in structure.sites if s.occ > 0]
    _note_empty_sites(structure.sites, report)
    elements, mapped = [], {}
    for site in listed:
        name = site.type_symbol or site.label
        element = element_of_label(name, formula) or element_of_label(site.label, formula)
        if element is None or not np.all(np.isfinite(site.fract.tolist())):
            raise ValueError(
                f"{path.name}: got atom {site.label!r} of type {name!r} at {site.fract.tolist()}, "
                "expected a chemical symbol such as 'Ni', 'Ni1' or 'Ni3+' and three coordinates. "
                "Correct _atom_site_type_symbol or the coordinates in the file."
            )
        elements.append(element)
        if name != element:
            mapped[name] = element
    if mapped:
        told = ", ".join(f"{k} -> {v}" for k, v in mapped.items())
        report.notes.append(f"labels read as elements: {told}")
    return Sites(
        labels=[s.label for s in listed],
        elements=elements,
        positions=np.array([s.fract.tolist() for s in listed], dtype=float).reshape(-1, 3),
        occupancies=np.array([s.occ for s in listed], dtype=float),
        u_iso=np.array([_u_iso(s, structure.cell) for s in listed]),
    )


def _note_empty_sites(sites: Any, report: Report) -> None:
    """Say which atoms have the occupancy 0."""
    empty = [s.label for s in sites if s.occ <= 0]
    if empty:
        report.notes.append(f"atoms of occupancy 0 left out: {', '.join(empty)}")


def _u_iso(site: Any, cell: Any) -> float:
    """Return U_iso (or B_iso / 8 pi^2, both by gemmi), else a third of the trace of U_ij, else NaN.

    Zero is what programs write for "not refined": no atom is at rest.
    """
    if site.u_iso > 0:
        return float(site.u_iso)
    if not site.aniso.nonzero():
        return float("nan")
    # U_ij refers to a*, b*, c*: U_cart = N U N^T with N = A diag(|a*|, |b*|, |c*|).
    reciprocal = cell.reciprocal().parameters[:3]
    n = np.array(cell.orth.mat.tolist()) * np.array(reciprocal)
    trace = np.trace(n @ np.array(site.aniso.as_mat33().tolist()) @ n.T)
    return float(trace / 3) if trace > 0 else float("nan")


def _formula(block: Any) -> dict[str, float]:
    """Return the sum formula, elements by number."""
    text = text_value(block, ("_chemical_formula_sum",)) or ""
    formula: dict[str, float] = {}
    for symbol, number in re.findall(r"([A-Z][a-z]?)\s*(\d*\.?\d*)", text):
        symbol = "H" if symbol == "D" else symbol
        if is_element(symbol):
            formula[symbol] = formula.get(symbol, 0.0) + float(number or 1)
    return formula


def _agree(found: dict[str, float], expected: dict[str, float]) -> bool:
    """Return whether two formulas agree within rounding of occupancies."""
    return all(
        abs(found.get(e, 0.0) - expected.get(e, 0.0)) < 0.05 + 0.02 * expected.get(e, 0.0)
        for e in {*found, *expected}
    )


def _formula_text(formula: dict[str, float]) -> str:
    """Return a formula as text, elements in alphabetical order."""
    return " ".join(f"{e}{round(n, 2):g}" for e, n in sorted(formula.items()))
