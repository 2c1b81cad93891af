"""What simulates the spots of orientations for the refinement: Bloch waves or kinematics."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from pyxem_cnn.detector.calibration import electron_wavelength
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from pyxem_cnn.simulation.disc_parts import uniform_parts, width_between
from pyxem_cnn.simulation.kinematic import KinematicSimulator

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["DynamicalSource", "KinematicSource", "SimulatedSpots", "SpotSource"]

# Half widths at half maximum of the relrod, 1/angstrom, which stand in for thicknesses.
_RELRODS = (0.006, 0.009, 0.013, 0.019, 0.028)
_KINEMATIC_SPOTS = 96
# Farthest excitation error of kinematic spots, 1/angstrom, and the part of it in which they fade.
_SLAB, _TAPER = 0.08, 0.2


class SimulatedSpots(NamedTuple):
    """Spots of n orientations without the direct beam.

    Attributes
    ----------
    k
        Positions, shape (n, S, 2), 1/angstrom, y up.
    intensity
        Of each part of a spot, shape (n, T, S, J), in any unit.
    offset
        Displacement of the parts, shape (J, 2), 1/angstrom.
    """

    k: np.ndarray
    intensity: np.ndarray
    offset: np.ndarray


class SpotSource(Protocol):
    """Simulates the spots of orientations of one phase.

    Attributes
    ----------
    crystal
        The structure.
    accelerating_voltage
        In kV.
    depths
        What the search tries: thicknesses in angstrom, or half widths of the relrod in 1/angstrom.
    depth_step, depth_limits
        A small change of the depth for its derivative, and the smallest and largest one.
    knows_thickness
        Whether depths are thicknesses.
    """

    crystal: CrystalStructure
    accelerating_voltage: float
    depths: np.ndarray
    depth_step: float
    depth_limits: tuple[float, float]
    knows_thickness: bool

    def calculate(self, quaternions: np.ndarray, depths: np.ndarray) -> SimulatedSpots:
        """Return the spots of orientations (n, 4), each at its own depths (n, T)."""

    def smoother(self, spacing: float) -> SpotSource:
        """Return one for zone axes so many degrees apart: intensities change less between them."""

    def denser(self) -> SpotSource:
        """Return one that tries twice as many depths."""

    @property
    def part_sigma(self) -> float:
        """Return the width of the Gaussian that stands for each part, 1/angstrom."""

    @property
    def disc_radius(self) -> float:
        """Return the radius of the discs, 1/angstrom, 0 for none."""


class DynamicalSource:
    """Spots by Bloch waves.

    Parameters
    ----------
    simulator
        Of the phase. Its thicknesses, number of beams and directions are used.
    depths
        Thicknesses to try, angstrom, shape (T,), in rising order.
    """

    knows_thickness = True

    def __init__(self, simulator: BlochWaveSimulator, depths: np.ndarray) -> None:
        self.simulator = simulator
        self.crystal = simulator.crystal
        self.accelerating_voltage = simulator.accelerating_voltage
        self.depths = np.asarray(depths, dtype=np.float64)
        self.depth_step = 5.0
        self.depth_limits = float(self.depths[0]), float(self.depths[-1])

    def calculate(self, quaternions: np.ndarray, depths: np.ndarray) -> SimulatedSpots:
        """Return the spots of orientations.

        Parameters
        ----------
        quaternions
            Lab to crystal, shape (n, 4).
        depths
            Thicknesses of each, shape (n, T), angstrom.
        """
        spots = self.simulator.calculate(quaternions, thicknesses=depths)
        # Without the first beam, the direct one.
        return SimulatedSpots(
            _single(spots.k[:, 1:]), _single(spots.intensity[:, :, 1:]), self._offset
        )

    def smoother(self, spacing: float) -> DynamicalSource:
        """Return one whose beam converges enough to reach half way to the next zone axis.

        Parameters
        ----------
        spacing
            Of zone axes, degrees.
        """
        one = self.simulator
        if one.precession_angle:
            return self
        wider = BlochWaveSimulator(
            one.crystal,
            accelerating_voltage=one.accelerating_voltage,
            convergence_angle=max(one.convergence_angle, 1e3 * np.deg2rad(spacing) / 2),
            n_beams=one.n_beams,
            g_max=one.g_max,
            n_tilts=max(one.n_tilts, 7),
            debye_waller=_displacements(one),
            absorption=one.absorption,
            device=one.device,
            dtype=one.dtype,
        )
        return DynamicalSource(wider, self.depths)

    def between(self, low: float, high: float) -> DynamicalSource:
        """Return one that tries thicknesses of a part of the range, as densely.

        Parameters
        ----------
        low, high
            Smallest and largest one, angstrom.
        """
        low, high = max(low, self.depth_limits[0]), min(high, self.depth_limits[1])
        n = max(3, 1 + int(np.ceil((high - low) / np.diff(self.depths).min())))
        return DynamicalSource(self.simulator, np.linspace(low, high, n))

    def denser(self) -> DynamicalSource:
        """Return one that tries twice as many thicknesses."""
        return DynamicalSource(self.simulator, _denser(self.depths))

    @cached_property
    def _offset(self) -> np.ndarray:
        probe = self.simulator._probe
        return _single(probe.directions(1)[0][0])

    @property
    def disc_radius(self) -> float:
        """Return the radius of the discs, 1/angstrom, 0 for none."""
        return float(np.sin(1e-3 * self.simulator.convergence_angle) / self.simulator.wavelength)

    @property
    def part_sigma(self) -> float:
        """Return the width of the Gaussian that stands for each direction, 1/angstrom."""
        return _part_sigma(self.disc_radius, self._offset)


class KinematicSource:
    """Spots by kinematic diffraction, with a Lorentzian relrod whose width is fitted.

    Parameters
    ----------
    crystal
        The structure.
    accelerating_voltage
        In kV.
    convergence_angle
        Half angle of the probe cone, mrad.
    k_max
        Farthest spots, 1/angstrom.
    """

    knows_thickness = False

    def __init__(
        self,
        crystal: CrystalStructure,
        accelerating_voltage: float,
        convergence_angle: float,
        k_max: float,
    ) -> None:
        self.crystal = crystal
        self.accelerating_voltage = accelerating_voltage
        self.simulator = KinematicSimulator(crystal, accelerating_voltage, k_max, _SLAB)
        self.depths = np.array(_RELRODS)
        self.depth_step = 5e-4
        self.depth_limits = 0.004, 0.04
        wavelength = electron_wavelength(accelerating_voltage)
        self.disc_radius = float(np.sin(1e-3 * convergence_angle) / wavelength)
        parts = uniform_parts(np.array([self.disc_radius]))[0]
        self._offset = _single(parts if self.disc_radius else np.zeros((1, 2)))

    def calculate(self, quaternions: np.ndarray, depths: np.ndarray) -> SimulatedSpots:
        """Return the spots of orientations.

        Parameters
        ----------
        quaternions
            Lab to crystal, shape (n, 4).
        depths
            Half widths of the relrod for each, shape (n, T), 1/angstrom.
        """
        spots = self.simulator.spots(quaternions, _KINEMATIC_SPOTS)
        ratio = spots.excitation_error[:, None, :] / depths[:, :, None]
        # Without a step where spots leave the slab around the Ewald sphere.
        taper = np.clip((1 - np.abs(spots.excitation_error) / _SLAB) / _TAPER, 0, 1)
        intensity = (spots.intensity * taper)[:, None, :] / (1 + ratio**2)
        parts = np.repeat(intensity[..., None], len(self._offset), axis=-1)
        return SimulatedSpots(_single(spots.k), _single(parts), self._offset)

    def smoother(self, spacing: float) -> KinematicSource:
        """Return the same: a relrod is smooth.

        Parameters
        ----------
        spacing
            Of zone axes, degrees.
        """
        return self

    def denser(self) -> KinematicSource:
        """Return the same."""
        return self

    @property
    def part_sigma(self) -> float:
        """Return the width of the Gaussian that stands for each part, 1/angstrom."""
        return _part_sigma(self.disc_radius, self._offset)


def _displacements(simulator: BlochWaveSimulator) -> dict[str, float]:
    """Return the mean factor B of each element that a simulator uses, square angstrom."""
    elements = np.asarray(simulator.crystal.elements)
    return {
        e: float(simulator._b_iso[elements == e].mean()) for e in dict.fromkeys(elements.tolist())
    }


def _denser(depths: np.ndarray) -> np.ndarray:
    """Return depths with one more between any two."""
    return np.interp(np.arange(2 * len(depths) - 1) / 2, np.arange(len(depths)), depths)


def _part_sigma(disc_radius: float, offset: np.ndarray) -> float:
    """Return the width that fills the gaps between the points that stand for a disc."""
    if not disc_radius:
        return 0.0
    return float(width_between(offset[None].astype(np.float64), np.array([disc_radius]))[0])


def _single(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float32)
