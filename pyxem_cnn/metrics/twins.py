"""Orientations whose patterns are all but the same: twins that no indexer tells apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyxem_cnn.detector.polar import PolarGrid
    from pyxem_cnn.simulation.kinematic import KinematicSimulator

__all__ = ["TWIN_DIFFERENCE", "modulo_twins", "pattern_difference"]

# Spots and relrods of the patterns that orientations are compared by, 1/angstrom.
_SPOT_SIGMA, _RELROD_WIDTH = 0.02, 0.01
TWIN_DIFFERENCE = 0.1
"""Patterns that differ by less are twins: no indexer can tell them apart in practice."""


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
        ``R = sum |P - Q| / sum (P + Q)`` over the bins of patterns scaled to one sum: 0 for equal
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
