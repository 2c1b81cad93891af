"""Gauss-Newton fits of tilts, angle in the plane and depth to the counts of patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pyxem_cnn.rotations import from_rotation_vector, multiply, normalize

if TYPE_CHECKING:
    from pyxem_cnn.detector.grids import PolarGrid
    from pyxem_cnn.indexing.refinement.spot_sources import SpotSource

__all__ = ["BinnedCounts", "Fits", "LocalFit"]

# Tilts and turn for derivatives, radians, and the farthest that one step goes.
_TILT, _TURN = np.deg2rad(0.03), np.deg2rad(0.3)
_FARTHEST = np.deg2rad([0.12, 0.12, 0.6])
# Part of the range of depths that one step crosses at most.
_DEEPEST = 0.08
_DAMPING = 0.03


class BinnedCounts(NamedTuple):
    """Counts of n patterns in polar bins.

    Attributes
    ----------
    counts
        Electrons, shape (n, n_radial, n_azimuthal), float32; 0 where masked.
    area
        Covered area of each bin in pixels, same shape.
    share
        Covered share of each bin, same shape.
    """

    counts: np.ndarray
    area: np.ndarray
    share: np.ndarray


class Fits(NamedTuple):
    """Fitted orientations, each of one pattern.

    Attributes
    ----------
    quaternions
        Shape (n, 4).
    depths
        Shape (n,).
    gain
        Log-likelihood above that of a background without spots, shape (n,).
    """

    quaternions: np.ndarray
    depths: np.ndarray
    gain: np.ndarray


@dataclass(frozen=True)
class LocalFit:
    """Compares simulated patterns with counts, and moves orientations where they fit better.

    Attributes
    ----------
    source
        Simulates spots.
    grid
        Bins of the counts.
    spot_sigma
        Point spread, 1/angstrom.
    """

    source: SpotSource
    grid: PolarGrid
    spot_sigma: float

    @property
    def sigma(self) -> np.float32:
        """Width of the Gaussians that are drawn, 1/angstrom."""
        return np.float32(np.hypot(self.spot_sigma, self.source.part_sigma))

    def likelihood(
        self, data: BinnedCounts, which: np.ndarray, quaternions: np.ndarray, depths: np.ndarray
    ) -> np.ndarray:
        """Return log-likelihoods above that of a background without spots, shape (n, T).

        Parameters
        ----------
        data
            The patterns.
        which
            Which of them each orientation is compared with, shape (n,).
        quaternions
            Shape (n, 4).
        depths
            Shape (n, T).
        """
        from pyxem_cnn.indexing.refinement._likelihood_kernel import fit_patterns

        k, intensity, offset = self.source.calculate(quaternions, depths)
        out = np.zeros((*depths.shape, 2))
        fit_patterns(*data, which, k, intensity, offset, self.sigma, *self._bins(), out)
        return out[..., 1]

    def gain_on(
        self,
        data: BinnedCounts,
        known: np.ndarray,
        which: np.ndarray,
        quaternions: np.ndarray,
        depths: np.ndarray,
    ) -> np.ndarray:
        """Return log-likelihoods above that of a known background, shape (n, T).

        Parameters
        ----------
        data
            The patterns.
        known
            Background of each bin in counts, shape (patterns, n_radial, n_azimuthal).
        which, quaternions, depths
            As for `likelihood`.
        """
        from pyxem_cnn.indexing.refinement._likelihood_kernel import compare_patterns

        k, intensity, offset = self.source.calculate(quaternions, depths)
        out = np.zeros(depths.shape)
        compare_patterns(
            data.counts, known, data.share, which, k, intensity, offset, self.sigma, *self._bins(),
            out
        )  # fmt: skip
        return out

    def __call__(self, data: BinnedCounts, which: np.ndarray, start: Fits, n_steps: int) -> Fits:
        """Return where fits lead from some orientations and depths.

        Parameters
        ----------
        data
            The patterns.
        which
            Which of them each start is of, shape (n,).
        start
            Orientations and depths.
        n_steps
            How often all is simulated anew.
        """
        best = start._replace(gain=np.full(len(which), -np.inf))
        here, damping = best, np.full(len(which), _DAMPING)
        step = np.zeros((len(which), 4))
        for _ in range(n_steps):
            left, right, gain = self._equations(data, which, here)
            better = gain > best.gain
            best = _better(best, here._replace(gain=gain))
            damping = np.where(better, damping / 3, damping)
            # Where it went too far: a part of the step, again from the best so far.
            step = np.where(better[:, None], self._step(left, right, damping), 0.4 * step)
            here = self._moved(best, step)
        gain = self.likelihood(data, which, here.quaternions, here.depths[:, None])[:, 0]
        return _better(best, here._replace(gain=gain))

    def _equations(
        self, data: BinnedCounts, which: np.ndarray, here: Fits
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return normal equations (n, 4, 4) and (n, 4) of all starts, and log-likelihoods (n,)."""
        from pyxem_cnn.indexing.refinement._likelihood_kernel import normal_equations

        n = len(which)
        tilts = from_rotation_vector(_TILT * np.eye(3)[[0, 0, 1]])
        tilts[0] = [1.0, 0.0, 0.0, 0.0]
        moved = multiply(here.quaternions[:, None], tilts)
        depths = np.repeat(here.depths[:, None] + [[0, self.source.depth_step]], 3, axis=0)
        k, intensity, offset = self.source.calculate(moved.reshape(-1, 4), depths)
        k = k.reshape(n, 3, *k.shape[1:])
        intensity = intensity.reshape(n, 3, *intensity.shape[1:])
        # Turning an orientation about z turns the pattern the other way.
        steps = np.array([_TILT, _TILT, -_TURN, self.source.depth_step])
        left, right, gain = np.zeros((n, 4, 4)), np.zeros((n, 4)), np.zeros(n)
        normal_equations(
            *data, which, k, intensity, offset, _TURN, steps, self.sigma, *self._bins(), left,
            right, gain
        )  # fmt: skip
        return left, right, gain

    def _step(self, left: np.ndarray, right: np.ndarray, damping: np.ndarray) -> np.ndarray:
        """Return steps (n, 4): radians about x, y and z, and depth."""
        low, high = self.source.depth_limits
        farthest = np.append(_FARTHEST, _DEEPEST * (high - low))
        diagonal = np.einsum("nii->ni", left)
        # Scaled: radians and angstrom differ by orders of magnitude.
        scale = np.sqrt(np.maximum(diagonal, 1e-30))
        matrix = left / (scale[:, :, None] * scale[:, None, :])
        matrix += damping[:, None, None] * np.eye(4) + 1e-6 * np.eye(4)
        step = np.linalg.solve(matrix, (right / scale)[..., None])[..., 0] / scale
        return np.clip(np.nan_to_num(step), -farthest, farthest)

    def _moved(self, here: Fits, step: np.ndarray) -> Fits:
        turn = from_rotation_vector(step[:, :3])
        return here._replace(
            quaternions=normalize(multiply(here.quaternions, turn)),
            depths=np.clip(here.depths + step[:, 3], *self.source.depth_limits),
        )

    def _bins(self) -> tuple[float, float, np.ndarray]:
        from pyxem_cnn.simulation.rendering import cumulative_normal

        return self.grid.k_min, self.grid.radial_step, cumulative_normal()


def _better(one: Fits, other: Fits) -> Fits:
    """Return the better of two fits everywhere."""
    chosen = other.gain > one.gain
    return Fits(
        np.where(chosen[:, None], other.quaternions, one.quaternions),
        np.where(chosen, other.depths, one.depths),
        np.where(chosen, other.gain, one.gain),
    )
