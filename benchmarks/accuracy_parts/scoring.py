"""How right a method was: errors, plain and modulo twins, scores, thicknesses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from half_turn import TURN_ABOUT_BEAM

from accuracy_parts.report import EXCESS
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.metrics import TWIN_DIFFERENCE, reliability_curve
from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import disorientation_angle, multiply
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from pyxem_cnn.simulation.rendering import render_polar

RIGHT = 5.0  # degrees
CONFIDENT = 0.9
_TWIN_GRID = PolarGrid(64, 180, 0.1, 1.6)
_BLUR = 0.01  # 1/angstrom, of the patterns that twins are told by


@dataclass(frozen=True, eq=False)
class Found:
    """What a method says of n patterns; NaN where it says nothing.

    Attributes
    ----------
    orientations
        Lab to crystal, shape (n, 4).
    score
        Shape (n,); None if the method has none that is meant as a probability.
    thickness
        In angstrom, shape (n,); None if the method has none.
    seconds
        CPU seconds for all patterns, preparations left out.
    """

    orientations: np.ndarray
    score: np.ndarray | None
    thickness: np.ndarray | None
    seconds: float


def degrees_off(spots: SpotSet, found: np.ndarray, turned: bool = False) -> np.ndarray:
    """Return disorientations in degrees modulo the Laue group; with `turned`, a half turn too."""
    angle = degrees_apart(spots.crystal, spots.orientations, found)
    if turned:
        other = multiply(spots.orientations, TURN_ABOUT_BEAM)
        angle = np.minimum(angle, degrees_apart(spots.crystal, other, found))
    return np.where(np.isnan(angle), np.inf, angle)


def degrees_apart(crystal: CrystalStructure, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return disorientations in degrees modulo the Laue group."""
    return np.rad2deg(disorientation_angle(one, other, crystal.symmetry_quaternions()))


def modulo_dynamical_twins(
    spots: SpotSet, found: np.ndarray, thickness: np.ndarray, degrees: np.ndarray
) -> np.ndarray:
    """Return disorientations with 0 where the dynamical patterns differ by less than R = 0.1.

    Patterns are those of the true thickness, with discs of 19 directions. R as
    :func:`pyxem_cnn.metrics.pattern_difference` has it.
    """
    far = np.flatnonzero((degrees > 2) & np.isfinite(degrees))
    degrees = degrees.copy()
    if far.size:
        simulator = BlochWaveSimulator(
            spots.crystal,
            accelerating_voltage=spots.voltage,
            convergence_angle=1.5,
            precession_angle=spots.precession_angle,
        )
        pair = [
            _polar_patterns(simulator, q[far], thickness[far]) for q in (spots.orientations, found)
        ]
        difference = np.abs(pair[0] - pair[1]).sum((1, 2)) / 2
        degrees[far[difference < TWIN_DIFFERENCE]] = 0
    return degrees


def _polar_patterns(
    simulator: BlochWaveSimulator, orientations: np.ndarray, thickness: np.ndarray
) -> np.ndarray:
    """Return noise-free patterns of sum 1 outside the direct beam."""
    spots = simulator.calculate(orientations, thicknesses=thickness[:, None])
    n = len(orientations)
    patterns = render_polar(
        spots.k[:, 1:],
        spots.intensity[:, 0, 1:],
        np.full(n, _BLUR),
        _TWIN_GRID,
        np.full(n, 1e-3 * simulator.convergence_angle / simulator.wavelength),
        tilts=spots.tilts,
    )
    return patterns / patterns.sum((1, 2), keepdims=True).clip(1e-20)


def judge(spots: SpotSet, thickness: np.ndarray, found: Found) -> dict[str, Any]:
    """Return the figures of one method at one dose; shares in percent, angles in degrees."""
    plain = degrees_off(spots, found.orientations)
    figures = {"n": len(plain), "median": _quantile(plain, 50), "90 %": _quantile(plain, 90)}
    variants = {
        "": plain,
        " mod 180": degrees_off(spots, found.orientations, turned=True),
        " mod twins": modulo_dynamical_twins(spots, found.orientations, thickness, plain),
    }
    for variant, degrees in variants.items():
        for limit in (1, 2, 5):
            figures[f"<{limit}{variant}"] = 100 * np.mean(degrees < limit)
    figures |= _of_scores(found.score, plain < RIGHT)
    if found.thickness is not None:
        figures["thickness"] = np.nanmedian(np.abs(found.thickness - thickness))
    figures["ms"] = 1e3 * found.seconds / len(plain)
    return figures


def _of_scores(score: np.ndarray | None, is_right: np.ndarray) -> dict[str, Any]:
    """Return how many scores are above 0.9, how many of these are right, and the ECE.

    With the excess of the scores in each bin, the ECE of several sets together can be told.
    """
    if score is None:
        return {}
    confident = score > CONFIDENT
    curve = reliability_curve(np.nan_to_num(score), is_right, 10)
    return {
        ">0.9": 100 * np.mean(confident),
        ">0.9 right": 100 * np.mean(is_right[confident]) if confident.any() else np.nan,
        "ECE": curve.expected_calibration_error,
        EXCESS: np.nan_to_num(curve.count * (curve.mean_score - curve.share_right)).tolist(),
    }


def _quantile(degrees: np.ndarray, percent: float) -> float:
    return float(np.percentile(degrees, percent, method="higher"))
