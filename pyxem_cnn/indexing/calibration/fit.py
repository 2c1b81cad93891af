"""Centre, scale and ellipticity of a detector from where the spots of a sample really are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn.indexing.calibration.spots import MeasuredSpots, measure_spots
from pyxem_cnn.rotations import disorientation_angle

if TYPE_CHECKING:
    from pyxem_cnn.detector.geometry import DetectorGeometry
    from pyxem_cnn.simulation.kinematic import KinematicSimulator

__all__ = [
    "FEWEST_GRAINS",
    "FEWEST_PATTERNS",
    "FEWEST_SPOTS",
    "GeometryFit",
    "Reading",
    "fit_geometry",
]

# Farthest spots used in each round, 1/angstrom: the inner ones first, which a wrong scale moves
# least.
_ROUNDS = (0.7, 1.1, np.inf, np.inf)
# Patterns that the model is less certain of are not used.
_CERTAIN = 0.3
FEWEST_SPOTS, FEWEST_PATTERNS = 4, 3
"""Patterns with fewer measured spots are not used, and fewer such patterns not fitted."""
_RESAMPLES = 200
_SAME_GRAIN = 5.0  # degrees
FEWEST_GRAINS = 3
"""Of which spots have to be for the ellipticity to be fitted."""
# Of the unknowns e, a, b, tx, ty: all, or those of a circle.
_ALL, _NO_ELLIPSE = [0, 1, 2, 3, 4], [0, 3, 4]


class Reading(NamedTuple):
    """What a model reads from patterns.

    Attributes
    ----------
    quaternions
        In the detector's frame, lab to crystal, shape (n, 4); NaN where not indexed.
    confidence
        Score times phase probability, 0 to 1, shape (n,).
    """

    quaternions: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class GeometryFit:
    """A geometry that fits the spots, and standard errors, NaN where they are unknown.

    Attributes
    ----------
    geometry
        The fitted geometry.
    center_error
        Of x and y, pixels.
    scale_error
        Relative.
    ellipticity_error
        Of the ratio of axes.
    n_patterns, n_spots, n_grains
        That were used in the last round; a grain is what is one orientation within 5 degrees.
    residual
        Median distance of measured spots from their places, 1/angstrom.
    """

    geometry: DetectorGeometry
    center_error: tuple[float, float]
    scale_error: float
    ellipticity_error: float
    n_patterns: int
    n_spots: int
    residual: float
    n_grains: int = 0


def fit_geometry(
    patterns: np.ndarray,
    geometry: DetectorGeometry,
    simulator: KinematicSimulator,
    read: Callable[[DetectorGeometry], Reading],
) -> GeometryFit | None:
    """Return the geometry with which the simulated spots lie on the measured ones.

    In turns, orientations are read with the geometry found so far, the strong spots of certain
    patterns are measured, and centre, scale and ellipticity (an affine map without turn) are
    fitted to them by robust least squares, with an angle in the plane for every pattern. The
    ellipticity stays as given where the spots are of fewer than three grains, which do not
    determine it. Standard errors come from drawing the grains anew.

    Parameters
    ----------
    patterns
        Shape (n, rows, columns).
    geometry
        To start from; its scale should be right within about 3 percent.
    simulator
        Of the phase.
    read
        What the model reads from the patterns with a geometry.

    Returns
    -------
    fit
        None if there are too few spots.
    """
    fit = None
    for k_max in _ROUNDS:
        reading = read(geometry)
        certain = np.flatnonzero(reading.confidence >= _CERTAIN)
        found = {
            i: measure_spots(patterns[i], geometry, simulator, reading.quaternions[i], k_max)
            for i in certain
        }
        found = {i: one for i, one in found.items() if len(one.measured) >= FEWEST_SPOTS}
        if len(found) < min(FEWEST_PATTERNS, len(patterns)):
            return None
        spots = list(found.values())
        grains = _grains(reading.quaternions[list(found)], simulator)
        free = _ALL if grains.max() + 1 >= FEWEST_GRAINS else _NO_ELLIPSE
        equations = _equations(spots, free)
        solution = _solve(*equations, free)
        errors = _resampled_errors(*equations, free, grains)
        corrected, stretch = _corrected(geometry, solution)
        fit = _as_fit(corrected, stretch, geometry, errors, spots)
        fit = replace(fit, n_grains=int(grains.max()) + 1)
        geometry = corrected
    return fit


def _design(spots: MeasuredSpots) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return matrix (2n, 5), the column (2n,) of the angle in the plane, and differences (2n,).

    Unknown are e, a, b, tx and ty of ``measured = (1 + [[e + a, b], [b, e - a]]) expected + t``.
    """
    x, y = spots.expected.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    along_x = np.stack([x, x, y, one, zero], axis=-1)
    along_y = np.stack([y, -y, x, zero, one], axis=-1)
    matrix = np.concatenate([along_x, along_y])
    turn = np.concatenate([-y, x])
    return matrix, turn, (spots.measured - spots.expected).T.ravel()


def _equations(spots: list[MeasuredSpots], free: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return normal equations of every pattern, (n, 5, 5) and (n, 5), without outliers' weight."""
    designs = [_design(one) for one in spots]
    weights = [np.ones(len(one.measured)) for one in spots]
    for _ in range(6):
        parts = [_reduced(*d, w) for d, w in zip(designs, weights, strict=True)]
        left, right = (np.stack(side) for side in zip(*parts, strict=True))
        solution = _solve(left, right, free)
        distances = [_distances(*d, w, solution) for d, w in zip(designs, weights, strict=True)]
        # Tukey's biweight, at 4.7 times the spread.
        spread = max(1.4826 * float(np.median(np.concatenate(distances))), 1e-6)
        weights = [np.clip(1 - (d / (4.7 * spread)) ** 2, 0, None) ** 2 for d in distances]
    return left, right


def _reduced(
    matrix: np.ndarray, turn: np.ndarray, difference: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a pattern's normal equations with its own angle in the plane eliminated."""
    w = np.tile(weight, 2)
    share = (w * turn) / max(float((w * turn * turn).sum()), 1e-12)
    matrix = matrix - np.outer(turn, share @ matrix)
    difference = difference - turn * (share @ difference)
    return matrix.T @ (w[:, None] * matrix), matrix.T @ (w * difference)


def _distances(
    matrix: np.ndarray,
    turn: np.ndarray,
    difference: np.ndarray,
    weight: np.ndarray,
    solution: np.ndarray,
) -> np.ndarray:
    """Return how far every spot of a pattern is from its fitted place."""
    w = np.tile(weight, 2)
    rest = difference - matrix @ solution
    rest = rest - turn * (w * turn @ rest) / max(float((w * turn * turn).sum()), 1e-12)
    return np.hypot(*rest.reshape(2, -1))


def _solve(left: np.ndarray, right: np.ndarray, free: list[int]) -> np.ndarray:
    """Return all unknowns (5,), those that are not free as 0."""
    solution = np.zeros(left.shape[-1])
    total = left.sum(0)[np.ix_(free, free)]
    solution[free] = np.linalg.lstsq(total, right.sum(0)[free], rcond=None)[0]
    return solution


def _grains(quaternions: np.ndarray, simulator: KinematicSimulator) -> np.ndarray:
    """Return the number of the grain of every pattern: what is nearly the same orientation."""
    symmetry = simulator.crystal.symmetry_quaternions()
    grains = np.full(len(quaternions), -1)
    while np.any(grains < 0):
        first = np.argmax(grains < 0)
        angle = disorientation_angle(quaternions[[first]], quaternions, symmetry)
        grains[(grains < 0) & (angle <= np.deg2rad(_SAME_GRAIN))] = grains.max() + 1
        grains[first] = max(grains[first], 0)
    return grains


def _resampled_errors(
    left: np.ndarray, right: np.ndarray, free: list[int], grains: np.ndarray
) -> np.ndarray:
    """Return standard errors (5,) by drawing grains anew, NaN for what they do not tell.

    The patterns of one grain err alike, so that a single grain tells nothing of errors.
    """
    n = int(grains.max()) + 1
    errors = np.full(left.shape[-1], np.nan)
    if n == 1:
        return errors
    member = np.equal.outer(np.arange(n), grains).astype(float)
    left, right = np.tensordot(member, left, 1), np.tensordot(member, right, 1)
    generator = np.random.default_rng(0)  # the same answer for the same scan
    draws = generator.integers(0, n, (_RESAMPLES, n))
    solutions = np.array([_solve(left[chosen], right[chosen], free) for chosen in draws])
    errors[free] = solutions.std(axis=0)[free] * np.sqrt(n / (n - 1))
    return errors


def _corrected(
    geometry: DetectorGeometry, solution: np.ndarray
) -> tuple[DetectorGeometry, np.ndarray]:
    """Return the geometry that takes measured to expected places, and the map that it undoes."""
    e, a, b, tx, ty = solution
    found = np.eye(2) + np.array([[e + a, b], [b, e - a]])
    x, y = geometry.to_pixels(np.array(tx), np.array(ty))
    total = geometry._stretch(np.sqrt(geometry.ellipticity)) @ found
    # Singular vectors: two symmetric maps in a row may hold a tiny turn, which is no distortion.
    axes, sizes, _ = np.linalg.svd(total)
    mean = np.sqrt(sizes[0] * sizes[1])
    angle = np.rad2deg(np.arctan2(axes[1, 0], axes[0, 0]))
    return replace(
        geometry,
        center=(float(x), float(y)),
        scale=(geometry.scale[0] / mean, geometry.scale[1] / mean),
        ellipticity=float(sizes[0] / sizes[1]),
        ellipse_angle=float((angle + 90) % 180 - 90),
    ), found


def _as_fit(
    geometry: DetectorGeometry,
    found: np.ndarray,
    before: DetectorGeometry,
    errors: np.ndarray,
    spots: list[MeasuredSpots],
) -> GeometryFit:
    """Return the fit of one round; errors of (tx, ty) become those of pixels."""
    offsets: Any = [before.to_pixels(np.array(x), np.array(y)) for x, y in np.eye(2)]
    jacobian = np.abs(np.array(offsets).T - np.array(before.center)[:, None])
    center_error = np.sqrt((jacobian**2) @ errors[3:] ** 2)
    rest = np.concatenate([one.measured - one.expected @ found.T for one in spots])
    return GeometryFit(
        geometry=geometry,
        center_error=(float(center_error[0]), float(center_error[1])),
        scale_error=float(errors[0]),
        ellipticity_error=float(2 * np.hypot(*errors[1:3]) / np.sqrt(2)),
        n_patterns=len(spots),
        n_spots=sum(len(one.measured) for one in spots),
        residual=float(np.median(np.hypot(*rest.T))),
    )
