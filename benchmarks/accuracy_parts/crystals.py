"""The crystals that models are tested on, as the Bloch-wave benchmarks have them, and titanium."""

from __future__ import annotations

from collections.abc import Sequence

import bloch_crystals

from pyxem_cnn.phases import CrystalStructure

# Cells that agree within this share are those of one phase.
_SAME_CELL = 0.02


def titanium():
    """Return alpha titanium, hexagonal close packed, 200 kV."""
    crystal = CrystalStructure.from_asymmetric_unit(
        (2.951, 2.951, 4.684, 90, 90, 120),
        "P 63/m m c",
        ["Ti"],
        [[1 / 3, 2 / 3, 0.25]],
        name="Ti",
    )
    return crystal, 200.0, bloch_crystals.b_iso(Ti=0.08)


CRYSTALS = bloch_crystals.CRYSTALS | {"Ti": titanium}


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
