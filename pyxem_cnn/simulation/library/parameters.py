"""What a dynamical library is simulated with, and how large it may be."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, check_share, given_expected
from pyxem_cnn.detector.calibration import check_beam_energy
from pyxem_cnn.simulation.bloch_waves.arguments import check_n_beams
from pyxem_cnn.simulation.bloch_waves.probe_tilts import AZIMUTHS, AZIMUTHS_OF_EACH

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["LibraryParameters"]

_logger = logging.getLogger(__name__)

# The work that a library may take, in seconds of one core: a few minutes on two cores.
BUDGET = 240.0
_BEAMS, _MOST_BEAMS = 64, 128
# Excitation error of beams that must not be missed, 1/angstrom.
_NEAR_THE_SPHERE = 0.01
# Seconds of one core for a zone axis with 64 beams: its beams and couplings, and each direction.
_SECONDS, _SECONDS_PER_DIRECTION = 1e-3, 1.8e-4
# Complex structure matrices take longer.
_WITHOUT_INVERSION = 1.7
_TILTS = 7
# No finer than this: rocking curves are narrower, but every thickness and tilt is another pattern.
_FINEST_SPACING = 0.33
_MOST_ZONE_AXES = 32_000
_FEWEST_ZONE_AXES = 2_000
# Thicknesses up to this number may be meant as nanometres.
_NANOMETRES = 100.0


@dataclass(frozen=True)
class LibraryParameters:
    """What a dynamical library is simulated with.

    Attributes
    ----------
    crystal
        The structure.
    accelerating_voltage
        In kV.
    convergence_angle
        Half angle of the probe cone, mrad.
    precession_angle
        In degrees.
    thicknesses
        Smallest and largest, angstrom.
    k_max
        Largest distance of a spot from the direct beam, 1/angstrom.
    n_zone_axes
        About how many directions in the fundamental sector of the point group.
    n_thicknesses
        Of each zone axis, one at random in each of so many equal parts of the range.
    n_beams
        Beams of the simulation, with the direct one.
    n_tilts
        Directions of the incident beam in the probe cone: 7 by default, and 1 with precession,
        which averages over many anyway, and for a parallel beam.
    debye_waller_spread
        Largest relative change of the Debye-Waller factors.
    seed
        Of all random choices.
    """

    crystal: CrystalStructure
    accelerating_voltage: float
    convergence_angle: float = 1.5
    precession_angle: float = 0.0
    thicknesses: tuple[float, float] = (200.0, 1000.0)
    k_max: float = 1.6
    n_zone_axes: int = _MOST_ZONE_AXES
    n_thicknesses: int = 8
    n_beams: int = _BEAMS
    n_tilts: int | None = None
    debye_waller_spread: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check_microscope(self)
        if self.n_tilts is None:
            object.__setattr__(self, "n_tilts", 1 if self.precession_angle else _TILTS)
        for name in ("k_max", "n_zone_axes", "n_thicknesses", "n_tilts"):
            check_positive(name, getattr(self, name), integer=name != "k_max")
        check_n_beams(self.n_beams)
        check_share("debye_waller_spread", self.debye_waller_spread, "0.3 is 30 %.")
        check_positive("seed", self.seed, integer=True, allow_zero=True)
        object.__setattr__(self, "thicknesses", _checked_range(self.thicknesses))
        for name in ("accelerating_voltage", "convergence_angle", "precession_angle", "k_max"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not self.convergence_angle:
            object.__setattr__(self, "n_tilts", 1)

    @classmethod
    def within_budget(
        cls, crystal: CrystalStructure, accelerating_voltage: float, **options: Any
    ) -> LibraryParameters:
        """Return parameters whose simulation takes a few minutes on two cores.

        Parameters
        ----------
        crystal
            The structure.
        accelerating_voltage
            In kV.
        **options
            Other attributes; those that are given are kept.

        Warns
        -----
        UserWarning
            If the largest thickness is 100 angstrom or less.
        """
        parameters = cls(crystal, accelerating_voltage, **options)
        if parameters.thicknesses[1] <= _NANOMETRES:
            expected = "angstrom, as in (200, 1000) for 20 to 100 nm"
            remedy = "Multiply by 10 if these are nanometres."
            told = given_expected("thicknesses", parameters.thicknesses, expected, remedy)
            warnings.warn(told, UserWarning, stacklevel=2)
        if "n_beams" not in options:
            parameters = replace(parameters, n_beams=_beams_for(crystal, parameters.k_max))
        if "n_zone_axes" in options:
            return parameters
        order = len(crystal.point_group_matrices())
        wanted = min(4 * np.pi / np.deg2rad(_FINEST_SPACING) ** 2 / order, _MOST_ZONE_AXES)
        affordable = BUDGET / parameters.cost
        n = round(min(wanted, max(affordable, min(_FEWEST_ZONE_AXES, wanted))))
        spacing = np.rad2deg(np.sqrt(4 * np.pi / order / n))
        _logger.info(
            "%s: %d zone axes, %.2f degrees apart, %d beams, %d tilts%s",
            crystal.name,
            n,
            spacing,
            parameters.n_beams,
            parameters.n_tilts,
            "" if n >= round(wanted) else f"; {wanted:.0f} would take too long",
        )
        return replace(parameters, n_zone_axes=n)

    @property
    def n_precession(self) -> int:
        """Return the number of azimuths of the beam in precession for each tilt."""
        if not self.precession_angle:
            return 1
        return AZIMUTHS if self.n_tilts == 1 else AZIMUTHS_OF_EACH

    @property
    def cost(self) -> float:
        """Return about how many seconds one zone axis takes on one core."""
        seconds = _SECONDS + _SECONDS_PER_DIRECTION * self.n_tilts * self.n_precession
        operations = self.crystal.point_group_matrices()
        has_inversion = np.isclose(operations, -np.eye(3)).all(axis=(1, 2)).any()
        factor = 1.0 if has_inversion else _WITHOUT_INVERSION
        return factor * seconds * (self.n_beams / _BEAMS) ** 2

    def differences(self, other: LibraryParameters) -> dict[str, tuple[Any, Any]]:
        """Return the attributes in which two libraries differ, by name: (own, other's).

        Parameters
        ----------
        other
            To compare with.
        """
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        numbers = {f.name: getattr(self, f.name) for f in fields(self)}
        return numbers | {
            "crystal": self.crystal.to_dict(),
            "thicknesses": list(self.thicknesses),
        }

    @classmethod
    def from_dict(cls, dictionary: dict[str, Any]) -> LibraryParameters:
        """Return the parameters that `to_dict` described.

        Parameters
        ----------
        dictionary
            From `to_dict`.
        """
        from pyxem_cnn.phases import CrystalStructure

        crystal = CrystalStructure.from_dict(dictionary["crystal"])
        return cls(**dictionary | {"crystal": crystal})


def _beams_for(crystal: CrystalStructure, k_max: float) -> int:
    """Return how many beams a crystal needs: as many as lie near the Ewald sphere, 64 to 128."""
    centrings = (crystal.rotations_fractional == np.eye(3)).all(axis=(1, 2)).sum()
    density = crystal.volume / centrings
    near = density * np.pi * k_max**2 * 2 * _NEAR_THE_SPHERE
    return int(np.clip(16 * np.ceil(near / 16), _BEAMS, _MOST_BEAMS))


def _check_microscope(parameters: LibraryParameters) -> None:
    voltage = parameters.accelerating_voltage
    check_positive("accelerating_voltage", voltage, remedy="It is in kV.")
    check_beam_energy(voltage, "accelerating_voltage")
    for name, unit in (("convergence_angle", "mrad"), ("precession_angle", "degrees")):
        value = getattr(parameters, name)
        check_positive(name, value, allow_zero=True, remedy=f"It is in {unit}.")


def _checked_range(thicknesses: Any) -> tuple[float, float]:
    """Return the smallest and the largest thickness."""
    expected = "the smallest and the largest thickness in angstrom"
    remedy = "For example thicknesses=(200, 1000)."
    try:
        low, high = (float(t) for t in thicknesses)
    except (TypeError, ValueError):
        raise ValueError(given_expected("thicknesses", thicknesses, expected, remedy)) from None
    if not 0 < low <= high < np.inf:
        raise ValueError(given_expected("thicknesses", thicknesses, expected, remedy))
    return low, high
