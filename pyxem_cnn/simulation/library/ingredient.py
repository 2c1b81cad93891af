"""A library as part of a mixture of phases and microscope settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyxem_cnn.simulation.library.dynamical_library import DynamicalLibrary
    from pyxem_cnn.simulation.library.zone_axis_library import ZoneAxisLibrary

__all__ = ["Ingredient"]


class Ingredient(NamedTuple):
    """Spots of one phase at one setting of the microscope.

    Attributes
    ----------
    library
        The spots.
    phase
        Place of the phase among those of the mixture.
    weight
        Share of the patterns, against the other ingredients' weights.
    setting
        What tells it from the others of its phase, in words; empty for the usual setting.
    """

    library: DynamicalLibrary | ZoneAxisLibrary
    phase: int = 0
    weight: float = 1.0
    setting: str = ""
