"""Crystals by name, and which of a model's is one of them."""

from __future__ import annotations

from collections.abc import Sequence

from bloch_crystals import CRYSTALS

from pyxem_cnn.phases import CrystalStructure

# Cells that agree within this share are those of one phase.
_SAME_CELL = 0.02


def crystal_named(name: str) -> str:
    """Return the name in CRYSTALS, whatever its case.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = {known.lower(): known for known in CRYSTALS}.get(name.lower())
    if found is None:
        raise ValueError(f"Given: {name!r}. Expected: one of {', '.join(CRYSTALS)}.")
    return found


def is_same_phase(one: CrystalStructure, other: CrystalStructure) -> bool:
    """Return whether elements and cell are the same."""
    same_elements = set(one.elements) == set(other.elements)
    return same_elements and all(
        abs(a - b) < _SAME_CELL * b for a, b in zip(one.lattice, other.lattice, strict=True)
    )


def phase_in(crystals: Sequence[CrystalStructure], wanted: CrystalStructure) -> int | None:
    """Return which of a model's crystals is the wanted one, None for none."""
    same = [i for i, crystal in enumerate(crystals) if is_same_phase(crystal, wanted)]
    return same[0] if same else None
