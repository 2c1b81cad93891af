"""How far and how finely orientations are searched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyxem_cnn._checks import check_positive, given_expected

__all__ = ["RefinementSettings"]

# Of the centre, 1/angstrom, and the scale, where dynamical patterns are compared.
_GEOMETRY_ERROR = 0.005


@dataclass(frozen=True)
class RefinementSettings:
    """How far and how finely orientations are searched.

    Attributes
    ----------
    search_radius
        How far from each candidate the zone axis is looked for, degrees; so is the angle in the
        plane.
    spacing, fine_spacing
        Distance in degrees of the zone axes that are tried at first, and then around the best.
    n_starts
        How many of all that are tried are fitted at each pattern; one for each of the orientations
        that were found before in any case.
    n_steps
        Gauss-Newton steps of each fit.
    twins
        Whether pseudo-symmetric twins of the orientations are tried.
    thicknesses
        Smallest and largest thickness of the specimen, angstrom.
    n_thicknesses
        How many of them are tried at first; twice as many around the best.
    spot_sigma
        Standard deviation of the point spread, 1/angstrom; of spots, where the beam is parallel. By
        default, it is fitted to a sample of the patterns.
    center_error, scale_error
        Standard deviations of the beam's place along an axis, 1/angstrom, and of the scale, a
        share: both are fitted for each pattern, since they are never known exactly. 0 for either
        keeps them as the geometry has them. By default 0.005 and 0.005, and 0 for kinematic
        patterns, of which little but the places of spots can be relied on.
    model_error
        Part of the log-likelihood that errors of the simulation may amount to: what two
        orientations differ by less hardly tells them apart. Refined scores are calibrated for the
        default.
    n_beams, n_tilts
        Of the simulation that is made where a model is given.
    """

    search_radius: float = 1.5
    spacing: float = 0.3
    fine_spacing: float = 0.12
    n_starts: int = 4
    n_steps: int = 4
    twins: bool = True
    thicknesses: tuple[float, float] = (200.0, 1000.0)
    n_thicknesses: int = 9
    spot_sigma: float | None = None
    center_error: float | None = None
    scale_error: float | None = None
    model_error: float = 0.005
    n_beams: int = 64
    n_tilts: int = 7

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("search_radius", "spacing", "fine_spacing"):
            check_positive(name, getattr(self, name), remedy="It is in degrees.")
        for name in ("n_starts", "n_steps", "n_thicknesses", "n_beams", "n_tilts"):
            check_positive(name, getattr(self, name), integer=True)
        for name in ("center_error", "scale_error", "model_error"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name), allow_zero=True)
        if self.spot_sigma is not None:
            check_positive("spot_sigma", self.spot_sigma, remedy="It is in 1/angstrom.")
        if self.fine_spacing > self.spacing or self.spacing > self.search_radius:
            given = (self.fine_spacing, self.spacing, self.search_radius)
            name, expected = "fine_spacing, spacing, search_radius", "rising degrees"
            raise ValueError(given_expected(name, given, expected))
        object.__setattr__(self, "thicknesses", _checked_range(self.thicknesses))

    def completed(self, simulator: str) -> RefinementSettings:
        """Return settings with what is left open.

        Parameters
        ----------
        simulator
            "bloch" or "kinematic".
        """
        usual = _GEOMETRY_ERROR if simulator == "bloch" else 0.0
        names = ("center_error", "scale_error")
        return replace(self, **{n: usual for n in names if getattr(self, n) is None})


def _checked_range(thicknesses: Any) -> tuple[float, float]:
    """Return the smallest and the largest thickness."""
    expected = "the smallest and the largest thickness in angstrom"
    remedy = "For example thicknesses=(200, 1000)."
    try:
        low, high = (float(t) for t in thicknesses)
    except (TypeError, ValueError):
        raise ValueError(given_expected("thicknesses", thicknesses, expected, remedy)) from None
    if not 0 < low < high < np.inf:
        raise ValueError(given_expected("thicknesses", thicknesses, expected, remedy))
    return low, high
