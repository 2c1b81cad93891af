"""Where the spots that an orientation lets one expect lie in a measured pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pyxem_cnn.detector.geometry import DetectorGeometry
    from pyxem_cnn.simulation.kinematic import KinematicSimulator

__all__ = ["MeasuredSpots", "expected_spots", "measure_spots"]

# Half width at half maximum of the relrod, and what share of the strongest spot is worth measuring.
_RELROD, _WORTH = 0.015, 0.03
# Radius of the window around a spot: a share of the distance to the next one, at most so many
# 1/angstrom and at least so many pixels.
_SHARE, _LARGEST_WINDOW, _SMALLEST_WINDOW = 0.45, 0.1, 2.0
# How far a spot has to stand out of the noise of its surroundings.
_SIGNIFICANT = 5.0


class MeasuredSpots(NamedTuple):
    """Spots of one pattern in reciprocal coordinates, (kx, ky), 1/angstrom, y up.

    Attributes
    ----------
    expected
        Where the orientation puts them, shape (n, 2).
    measured
        Where they are with the geometry, shape (n, 2).
    """

    expected: np.ndarray
    measured: np.ndarray


def expected_spots(
    simulator: KinematicSimulator, quaternion: np.ndarray, minimum_intensity: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (n, 2) in 1/angstrom and intensities (n,) against the strongest.

    Parameters
    ----------
    simulator
        Of the phase.
    quaternion
        Lab to crystal, shape (4,).
    minimum_intensity
        Weaker spots than this share of the strongest are left out.
    """
    g_lab, error = simulator.positions(quaternion[None])
    k = g_lab[0, :, :2]
    intensity = simulator.intensity / (1 + (error[0] / _RELROD) ** 2)
    near = np.abs(error[0]) < simulator.max_excitation_error
    near &= (k**2).sum(-1) <= simulator.k_max**2
    intensity = np.where(near, intensity, 0)
    intensity = intensity / max(intensity.max(initial=0), 1e-30)
    kept = near & (intensity >= minimum_intensity)
    return k[kept], intensity[kept]


def measure_spots(
    pattern: np.ndarray,
    geometry: DetectorGeometry,
    simulator: KinematicSimulator,
    quaternion: np.ndarray,
    k_max: float = np.inf,
) -> MeasuredSpots:
    """Measure the strong spots of a pattern.

    Parameters
    ----------
    pattern
        Shape (rows, columns).
    geometry
        Where to look.
    simulator
        Of the phase.
    quaternion
        Its orientation in the detector's frame, lab to crystal, shape (4,).
    k_max
        How far to look, 1/angstrom.

    Returns
    -------
    spots
        Those that stand out of the noise. Spots near masked pixels are left out.
    """
    if not np.all(np.isfinite(quaternion)):
        return MeasuredSpots(np.zeros((0, 2)), np.zeros((0, 2)))
    k, intensity = expected_spots(simulator, quaternion, _WORTH / 10)
    windows = _window_radii(k)
    worth = (intensity >= _WORTH) & ((k**2).sum(-1) <= k_max**2)
    k, windows = k[worth], windows[worth] / np.sqrt(geometry.pixel_area)
    pixels = np.stack(geometry.to_pixels(k[:, 0], k[:, 1]), axis=-1)
    found = [
        _centre_of_mass(pattern, geometry.mask, xy, max(radius, _SMALLEST_WINDOW))
        for xy, radius in zip(pixels, windows, strict=True)
    ]
    places = np.array(found).reshape(-1, 2)
    seen = np.isfinite(places[:, 0])
    measured = np.stack(geometry.to_reciprocal(places[seen, 0], places[seen, 1]), axis=-1)
    return MeasuredSpots(k[seen], measured)


def _window_radii(k: np.ndarray) -> np.ndarray:
    """Return radii (n,), 1/angstrom, of windows that hold no other spot nor the direct beam."""
    from scipy.spatial import cKDTree

    if not len(k):
        return np.zeros(0)
    distance, _ = cKDTree(np.concatenate([k, np.zeros((1, 2))])).query(k, k=2)
    return np.minimum(_SHARE * distance[:, 1], _LARGEST_WINDOW)


def _centre_of_mass(
    pattern: np.ndarray, mask: np.ndarray | None, xy: np.ndarray, radius: float
) -> tuple[float, float]:
    """Return the position (x, y) of a spot in pixels, NaN if there is none in the window."""
    nothing = (np.nan, np.nan)
    place, last = xy, np.array(pattern.shape[::-1]) - 0.5
    for _ in range(3):
        # The window has to lie on the detector, its surroundings need not.
        if np.any(place - radius < -0.5) or np.any(place + radius > last):
            return nothing
        reach = 1.5 * radius
        rows, columns = (
            slice(max(0, int(np.floor(c - reach))), int(np.ceil(c + reach)) + 1)
            for c in place[::-1]
        )
        if mask is not None and mask[rows, columns].any():
            return nothing
        window = pattern[rows, columns].astype(np.float64)
        y, x = np.mgrid[: window.shape[0], : window.shape[1]]
        x, y = x + columns.start, y + rows.start
        distance = np.hypot(x - place[0], y - place[1])
        inside, around = distance <= radius, (distance > radius) & (distance <= 1.5 * radius)
        background, noise = _background(window, x - place[0], y - place[1], around)
        net = (window - background)[inside]
        total = float(net.sum())
        if not np.isfinite(total) or total < _SIGNIFICANT * noise * np.sqrt(inside.sum()):
            return nothing
        weight = np.clip(net, 0, None)
        place = np.array([(weight * x[inside]).sum(), (weight * y[inside]).sum()]) / weight.sum()
        if np.hypot(*(place - xy)) > radius:
            return nothing
    return float(place[0]), float(place[1])


def _background(
    window: np.ndarray, x: np.ndarray, y: np.ndarray, around: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the plane through the surroundings of a spot, and their noise.

    A plane, since a background that falls off would draw all spots towards the beam.
    """
    design = np.stack([np.ones(window.size), x.ravel(), y.ravel()], axis=-1)
    chosen = around.ravel()
    values = window.ravel()
    for _ in range(2):
        used = design[chosen]
        plane = design @ np.linalg.solve(used.T @ used, used.T @ values[chosen])
        spread = float((values - plane)[chosen].std())
        # A neighbouring spot may reach into the surroundings.
        kept = chosen & (np.abs(values - plane) <= 3 * spread)
        chosen = kept if kept.sum() > 5 else chosen
    return plane.reshape(window.shape), max(spread, 1e-12)
