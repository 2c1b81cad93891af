"""The spots that a pattern should show if its predicted orientation is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn._checks import check_positive, check_share
from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.rotations import conjugate, multiply
from pyxem_cnn.simulation.kinematic import KinematicSimulator

if TYPE_CHECKING:
    from pyxem_cnn.indexing.pattern_frame import PatternFrame
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["PredictedSpots", "SpotSettings", "Spots"]

_QUATERNION = slice(COLUMNS.index("a"), COLUMNS.index("d") + 1)


@dataclass(frozen=True)
class SpotSettings:
    """Which reflections of a predicted orientation are drawn.

    Attributes
    ----------
    reciprocal_radius
        Largest distance from the direct beam, 1/angstrom. By default, the reach of the model.
    max_excitation_error
        Largest distance of a reflection from the Ewald sphere, 1/angstrom.
    relrod_width
        Half width at half maximum of the Lorentzian by which intensities fall with that distance,
        1/angstrom.
    minimum_intensity
        Weaker spots than this share of the pattern's strongest are left out, 0 to 1.

    Raises
    ------
    ValueError
        If one of them is not above zero (`minimum_intensity`: from 0 to 1).
    """

    reciprocal_radius: float | None = None
    max_excitation_error: float = 0.05
    relrod_width: float = 0.015
    minimum_intensity: float = 0.003

    def __post_init__(self) -> None:
        """Check the numbers."""
        remedy = "It is in 1/angstrom."
        if self.reciprocal_radius is not None:
            check_positive("reciprocal_radius", self.reciprocal_radius, remedy=remedy)
        for name in ("max_excitation_error", "relrod_width"):
            check_positive(name, getattr(self, name), remedy=remedy)
        check_share("minimum_intensity", self.minimum_intensity)


class Spots(NamedTuple):
    """Spots of one orientation on one pattern.

    Attributes
    ----------
    positions
        On the signal axes of the pattern, (x, y), in their units, shape (n, 2).
    intensity
        Kinematic intensity as a share of the strongest spot, shape (n,).
    hkl
        Miller indices, integers, shape (n, 3).
    """

    positions: np.ndarray
    intensity: np.ndarray
    hkl: np.ndarray


NO_SPOTS = Spots(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3), dtype=int))


class PredictedSpots:
    """Kinematic spots of predicted orientations, on the patterns that they were read from.

    Parameters
    ----------
    phases
        The phases of the prediction.
    voltages
        Accelerating voltages of their models in kV.
    radii
        How far their models look, 1/angstrom; taken where the settings say nothing.
    frame
        Of the patterns.
    settings
        Which reflections count.
    in_scan_frame
        Whether the orientations are in the scan's frame, and have to be turned back.
    """

    def __init__(
        self,
        phases: Sequence[CrystalStructure],
        voltages: Sequence[float],
        radii: Sequence[float],
        frame: PatternFrame,
        settings: SpotSettings,
        in_scan_frame: bool = False,
    ) -> None:
        self.frame = frame
        self.settings = settings
        self._to_detector = conjugate(frame.to_scan()) if in_scan_frame else None
        self._simulators = [
            KinematicSimulator(
                phase,
                voltage,
                k_max=min(settings.reciprocal_radius or radius, frame.largest_radius),
                max_excitation_error=settings.max_excitation_error,
            )
            for phase, voltage, radius in zip(phases, voltages, radii, strict=True)
        ]

    def __call__(self, row: np.ndarray, shift: np.ndarray | None = None) -> Spots:
        """Return the spots of one orientation, none where nothing was indexed.

        Parameters
        ----------
        row
            One row of a prediction, shape (n_columns,).
        shift
            Position (x, y) of the beam less the geometry's centre, in pixels.
        """
        quaternion = row[_QUATERNION].astype(np.float64)
        lost = shift is not None and not np.all(np.isfinite(shift))
        if not row[0] >= 0 or not np.all(np.isfinite(quaternion)) or lost:
            return NO_SPOTS
        if self._to_detector is not None:
            quaternion = multiply(quaternion, self._to_detector)
        return self._spots(self._simulators[int(row[0])], quaternion, shift)

    def _spots(self, simulator: KinematicSimulator, quaternion: np.ndarray, shift: Any) -> Spots:
        """Return the spots of an orientation in the detector's frame."""
        g_lab, error = simulator.positions(quaternion[None])
        k, error = g_lab[0, :, :2], error[0]
        near = np.abs(error) <= simulator.max_excitation_error
        near &= (k**2).sum(-1) <= simulator.k_max**2
        k, error = k[near], error[near]
        pixels = self.frame.to_pixels(k, shift)
        inside = self.frame.is_inside(pixels)
        width = self.settings.relrod_width
        intensity = simulator.intensity[near] / (1 + (error / width) ** 2) * inside
        strongest = intensity.max(initial=0)
        kept = inside & (intensity >= self.settings.minimum_intensity * strongest)
        if not kept.any():
            return NO_SPOTS
        return Spots(
            self.frame.to_axes(pixels[kept]),
            intensity[kept] / strongest,
            simulator.hkl[near][kept],
        )
