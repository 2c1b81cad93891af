"""How far off orientations are: disorientation figures, plain and modulo twins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyxem_cnn.detector.polar import PolarGrid
    from pyxem_cnn.simulation.kinematic import KinematicSimulator

__all__ = ["ErrorSummary", "modulo_twins", "pattern_difference", "summarize_errors"]

# Spots and relrods of the patterns that orientations are compared by, 1/angstrom.
_SPOT_SIGMA, _RELROD_WIDTH = 0.02, 0.01
# Patterns that differ by less are twins: no indexer can tell them apart in practice.
TWIN_DIFFERENCE = 0.1


@dataclass(frozen=True)
class ErrorSummary:
    """Disorientation of predictions from the truth. Points without a prediction count as wrong.

    Attributes
    ----------
    median, percentile_90
        In degrees; infinite where so many points have no prediction.
    within_2, within_5
        Share of all points within 2 and 5 degrees, in percent.
    within_5_modulo_twins
        The same with twins counted as right, None where that was not measured.
    n
        Number of points.
    """

    median: float
    percentile_90: float
    within_2: float
    within_5: float
    within_5_modulo_twins: float | None
    n: int

    def __str__(self) -> str:
        """Return the figures in one line."""
        twins = ""
        if self.within_5_modulo_twins is not None:
            twins = f" ({self.within_5_modulo_twins:.0f} % modulo twins)"
        return (
            f"median {self.median:.2f} deg, {self.within_2:.0f} % within 2 deg, "
            f"{self.within_5:.0f} % within 5 deg{twins}, n = {self.n}"
        )


def summarize_errors(degrees: np.ndarray, twins: np.ndarray | None = None) -> ErrorSummary:
    """Summarize disorientation angles.

    Parameters
    ----------
    degrees
        Angles in degrees, any shape; NaN where there is no prediction.
    twins
        The same angles modulo pseudo-symmetric twins, see `modulo_twins`.

    Raises
    ------
    ValueError
        If there are no points.
    """
    degrees = np.asarray(degrees, dtype=np.float64).ravel()
    if degrees.size == 0:
        raise ValueError("Given: no angles. Expected: at least one point to summarize.")
    degrees = np.where(np.isnan(degrees), np.inf, degrees)
    # "higher" does not interpolate, which would turn inf - inf into NaN.
    median, percentile_90 = np.percentile(degrees, [50, 90], method="higher")
    within = [100 * float(np.mean(degrees <= limit)) for limit in (2, 5)]
    modulo = None if twins is None else 100 * float(np.mean(np.asarray(twins) <= 5))
    return ErrorSummary(float(median), float(percentile_90), *within, modulo, degrees.size)


def pattern_difference(
    simulator: KinematicSimulator, p: np.ndarray, q: np.ndarray, grid: PolarGrid
) -> np.ndarray:
    """Return how much the kinematic patterns of pairs of orientations differ.

    Parameters
    ----------
    simulator
        Of the phase.
    p, q
        Orientations of shape (n, 4), lab to crystal.
    grid
        Polar grid that the patterns are compared on.

    Returns
    -------
    difference
        R = sum |P - Q| / sum (P + Q) over the bins of patterns scaled to one sum: 0 for equal
        patterns, 1 for patterns without a common spot. Shape (n,).
    """
    a, b = (_reference_patterns(simulator, orientation, grid) for orientation in (p, q))
    return np.abs(a - b).sum(axis=(1, 2)) / 2


def _reference_patterns(
    simulator: KinematicSimulator, orientation: np.ndarray, grid: PolarGrid
) -> np.ndarray:
    """Return noise-free patterns with sum 1, shape (n, n_radial, n_azimuthal)."""
    from pyxem_cnn.simulation.rendering import render_polar

    spots = simulator.spots(orientation)
    intensity = spots.intensity / (1 + (spots.excitation_error / _RELROD_WIDTH) ** 2)
    pattern = render_polar(spots.k, intensity, np.full(len(spots), _SPOT_SIGMA), grid)
    return pattern / pattern.sum(axis=(1, 2), keepdims=True).clip(1e-20)


def modulo_twins(
    degrees: np.ndarray,
    simulator: KinematicSimulator,
    truth: np.ndarray,
    found: np.ndarray,
    grid: PolarGrid,
) -> np.ndarray:
    """Return disorientations with 0 where the wrong orientation has the right pattern.

    Near a low-index zone the patterns of two different orientations can be all but equal. Such a
    pair is a twin if its `pattern_difference` is below 0.1.

    Parameters
    ----------
    degrees
        Plain disorientations in degrees, shape (n,).
    simulator
        Of the phase.
    truth, found
        Orientations of shape (n, 4).
    grid
        Polar grid that the patterns are compared on.
    """
    degrees = np.array(degrees, dtype=np.float64)
    far = np.flatnonzero(degrees > 2)
    if far.size:
        difference = pattern_difference(simulator, truth[far], found[far], grid)
        degrees[far[difference < TWIN_DIFFERENCE]] = 0.0
    return degrees
