"""The block of a .cif file that holds a structure, and single values of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.crystal.expansion import Report


def find_block(path: Path, name: str | None, report: Report) -> Any:
    """Return the block of the file that holds a structure.

    Parameters
    ----------
    path
        The .cif file.
    name
        Name of the block; None for the only one that lists atoms.
    report
        Receives what is worth telling.

    Returns
    -------
    block
        A ``gemmi.cif.Block``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, or holds no structure or several.
    """
    import gemmi

    if not path.is_file():
        raise FileNotFoundError(
            given_expected("path", str(path), "a .cif file that exists", "Check the spelling.")
        )
    try:
        # Level 0 lets repeated tags pass; the first of them counts.
        document = gemmi.cif.read_file(str(path), check_level=0)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path.name} cannot be read as .cif ({error}). Open it in a text editor, or export it "
            "anew, for instance with VESTA."
        ) from error
    blocks = [b for b in document if b.find_values("_atom_site_fract_x")]
    if name is not None:
        blocks = [b for b in document if b.name == name]
    if len(blocks) == 1:
        _note_repeated_tags(blocks[0], report)
        return blocks[0]
    names = [b.name for b in document]
    if blocks:
        raise ValueError(
            f"{path.name}: got {len(blocks)} structures, expected one. Choose one of "
            f"block={[b.name for b in blocks]}."
        )
    raise ValueError(
        f"{path.name}: got no atoms with fractional coordinates (_atom_site_fract_x) in the blocks "
        f"{names}, expected a list of atoms in one of them. A file of cell and symmetry alone, or "
        "of a macromolecule (mmCIF), will not do."
    )


def _note_repeated_tags(block: Any, report: Report) -> None:
    """Say which tags stand in the block more than once."""
    counts = Counter(item.pair[0].lower() for item in block if item.pair is not None)
    repeated = [tag for tag, n in counts.items() if n > 1]
    if repeated:
        report.notes.append(f"repeated tags, the first one counts: {', '.join(repeated)}")


def text_value(block: Any, tags: tuple[str, ...]) -> str | None:
    """Return the first of the tags that has a value.

    Parameters
    ----------
    block
        A ``gemmi.cif.Block``.
    tags
        Names of the entries.

    Returns
    -------
    text
        The value without quotes; None where all are missing, "?" or ".".
    """
    import gemmi

    values = (block.find_value(tag) for tag in tags)
    texts = (gemmi.cif.as_string(v).strip() for v in values if v and not gemmi.cif.is_null(v))
    return next((text for text in texts if text), None)


def number_value(block: Any, *tags: str) -> float | None:
    """Return the first of the tags that has a number, without its standard uncertainty.

    Parameters
    ----------
    block
        A ``gemmi.cif.Block``.
    *tags
        Names of the entries.

    Returns
    -------
    number
        The value; None where all are missing or no numbers.
    """
    import gemmi

    values = (block.find_value(tag) for tag in tags)
    numbers = (gemmi.cif.as_number(v) for v in values if v and not gemmi.cif.is_null(v))
    return next((float(n) for n in numbers if np.isfinite(n)), None)
