"""Phases of a template library, with point groups in the setting of their cells."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyxem_cnn._checks import given_expected
from pyxem_cnn.phases import CrystalStructure, as_crystal_structure

if TYPE_CHECKING:
    from orix.crystal_map import Phase

__all__ = ["right_phases"]


def right_phases(simulated: Any, replacements: Sequence[Any] | None = None) -> list[Phase]:
    """Return the phases of a simulation with point groups that fit their cells.

    Parameters
    ----------
    simulated
        The phase or phases of a diffsims simulation.
    replacements
        Phases to take instead, in the same order: crystal structures, paths or orix phases.

    Returns
    -------
    phases
        Phases of orix, with the names that the simulation gives them unless replaced.

    Raises
    ------
    ValueError
        If there are not as many replacements as phases.

    Warns
    -----
    UserWarning
        If a point group contradicts the cell and the right one cannot be found.
    """
    from orix.crystal_map import Phase

    originals = [simulated] if isinstance(simulated, Phase) else list(simulated)
    if replacements is None:
        return [_right_phase(phase) for phase in originals]
    single = isinstance(replacements, str | CrystalStructure | Phase)
    given = [replacements] if single else list(replacements)
    if len(given) != len(originals):
        expected = f"{len(originals)}, as in the simulation"
        raise ValueError(given_expected("Number of phases", len(given), expected))
    return [p if isinstance(p, Phase) else as_crystal_structure(p).to_phase() for p in given]


def _right_phase(phase: Phase) -> Phase:
    """Return a phase with the point group of its space group in the setting of its cell."""
    from pyxem_cnn.crystal.orix_symmetry import fits_lattice

    if phase.space_group is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                right = as_crystal_structure(phase).to_phase()
        except (TypeError, ValueError):
            pass  # no atoms, or atoms that do not fit: the group by name has to do
        else:
            right.color = phase.color
            return right
    if phase.point_group is not None and not fits_lattice(phase):
        warnings.warn(
            f"The point group {phase.point_group.name} of the phase {phase.name!r} contradicts its "
            "cell: orix has the axes of this group elsewhere. Colours, misorientations and the "
            "sector of the templates are then wrong. Pass phases=['phase.cif'], and make the "
            "templates with pyxem_cnn.template_matching.",
            UserWarning,
            stacklevel=4,
        )
    return phase
