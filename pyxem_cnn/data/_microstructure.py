"""Where grains and subgrains lie in a scan, and how they are oriented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

__all__ = ["Microstructure", "microstructure"]

# Share of the columns that is vacuum, and of a boundary pattern that is the neighbour's.
_VACUUM, _NEIGHBOUR_SHARE = 0.06, 0.35
# Rotation of subgrains (standard deviation), bending over a grain, and its steps; degrees.
_SUBGRAIN, _BEND, _BEND_STEPS = 0.4, 1.0, 5


@dataclass(frozen=True, eq=False)
class Microstructure:
    """Grains of a scan of shape (rows, columns).

    Attributes
    ----------
    rotations
        All different orientations as quaternions of shape (n + 1, 4), scalar first, lab to
        crystal; NaN in the last row, which stands for vacuum.
    orientation
        Index into `rotations` at every scan position.
    grain
        Number of the grain, -1 in vacuum.
    neighbour
        Index of the orientation across the boundary.
    neighbour_share
        Share of the pattern that it has, 0 away from boundaries.
    brightness
        Factor on the scattered electrons, as from a varying thickness.
    """

    rotations: np.ndarray
    orientation: np.ndarray
    grain: np.ndarray
    neighbour: np.ndarray
    neighbour_share: np.ndarray
    brightness: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Scan positions (rows, columns)."""
        return self.grain.shape


def microstructure(shape: tuple[int, int], n_grains: int, seed: int) -> Microstructure:
    """Return random grains.

    Parameters
    ----------
    shape
        Scan positions (rows, columns).
    n_grains
        Number of grains. Those that larger ones swallow get no position.
    seed
        Of everything random.

    Returns
    -------
    structure
        Grains, with about one in sixteen columns at the left as vacuum.
    """
    generator = np.random.default_rng(seed)
    rows, columns = np.indices(shape).astype(float)
    points = np.stack([rows, columns], axis=-1)
    centres = generator.uniform(0, shape, (n_grains, 2))
    # Weighted (power) diagram: large weights make large grains.
    typical = rows.size / n_grains
    grain = _nearest(points, centres, generator.uniform(0, 0.5 * typical, n_grains))
    # Three seeds of subgrains near the middle of each grain, and a level of bending.
    seeds = centres[:, None] + generator.normal(0, 0.4 * typical**0.5, (n_grains, 3, 2))
    subgrain = np.argmin(np.square(points[..., None, :] - seeds[grain]).sum(-1), axis=-1)
    level = _bending_level(points - centres[grain], grain, n_grains, typical, generator)
    cells = np.stack([grain, subgrain, level], axis=-1)

    edge = _VACUUM * shape[1] * (1 + 0.3 * np.sin(rows / shape[0] * 5))
    vacuum = columns < np.maximum(edge, 1)
    kinds, orientation = np.unique(cells[~vacuum], axis=0, return_inverse=True)
    index = np.full(shape, len(kinds))
    index[~vacuum] = orientation.ravel()
    grain = np.where(vacuum, -1, grain)
    neighbour, is_boundary = _boundaries(grain, index)
    rotations = _rotations(kinds, n_grains, generator)
    thickness = generator.uniform(0.7, 1.3, n_grains)
    return Microstructure(
        rotations=np.concatenate([rotations, np.full((1, 4), np.nan)]),
        orientation=index,
        grain=grain,
        neighbour=neighbour,
        neighbour_share=np.where(is_boundary, _NEIGHBOUR_SHARE, 0.0),
        brightness=np.where(vacuum, 1.0, thickness[grain]),
    )


def _nearest(points: np.ndarray, centres: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the index of the nearest centre, squared distances less the weights."""
    square = np.square(points[..., None, :] - centres).sum(-1)
    return np.argmin(square - weights, axis=-1)


def _bending_level(
    offset: np.ndarray,
    grain: np.ndarray,
    n_grains: int,
    typical: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return how far a position lies along the direction in which its grain bends, in steps.

    Every third grain is bent, in steps, so that the number of orientations stays small.
    """
    angle = generator.uniform(0, 2 * np.pi, n_grains)
    direction = np.stack([np.sin(angle), np.cos(angle)], axis=-1)[grain]
    along = (offset * direction).sum(-1) / typical**0.5
    level = np.clip(np.round(along * _BEND_STEPS), -_BEND_STEPS, _BEND_STEPS).astype(int)
    return np.where(grain % 3 == 0, level, 0)


def _boundaries(grain: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the orientation in the next column or row, and where it is another grain's."""
    neighbour, is_boundary = index.copy(), np.zeros(grain.shape, dtype=bool)
    for axis in (0, 1):
        after, grain_after = np.roll(index, -1, axis), np.roll(grain, -1, axis)
        differs = (grain_after != grain) & (grain_after >= 0) & (grain >= 0)
        # What is rolled in from the other side of the scan is no neighbour.
        differs[(slice(None),) * axis + (-1,)] = False
        neighbour = np.where(differs, after, neighbour)
        is_boundary |= differs
    return neighbour, is_boundary


def _rotations(kinds: np.ndarray, n_grains: int, generator: np.random.Generator) -> np.ndarray:
    """Return quaternions (n, 4), scalar first, for rows (grain, subgrain, level)."""
    whole = Rotation.random(n_grains, random_state=np.random.RandomState(generator.integers(2**31)))
    small = np.deg2rad(_SUBGRAIN) * generator.normal(size=(n_grains, 3, 3)) / 3**0.5
    axis = generator.normal(size=(n_grains, 3))
    axis *= np.deg2rad(_BEND) / 2 / np.linalg.norm(axis, axis=1, keepdims=True)
    grain, subgrain, level = kinds.T
    turn = small[grain, subgrain] + axis[grain] * (level / _BEND_STEPS)[:, None]
    xyzw = (whole[grain] * Rotation.from_rotvec(turn)).as_quat()
    return xyzw[:, [3, 0, 1, 2]]
