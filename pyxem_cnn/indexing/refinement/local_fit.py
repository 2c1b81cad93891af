"""Gauss-Newton fits of orientation, depth, centre and scale to the counts of patterns."""

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
# The same for the centre, 1/angstrom, and the stretch.
_SHIFT, _STRETCH = 0.004, 0.004
_FARTHEST_SHIFT, _FARTHEST_STRETCH = 0.01, 0.01
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
    distortion
        Where the beam is along x and y, 1/angstrom, and by which share the pattern is larger than
        the geometry says, shape (n, 3).
    """

    quaternions: np.ndarray
    depths: np.ndarray
    gain: np.ndarray
    distortion: np.ndarray

    def at(self, chosen: np.ndarray) -> Fits:
        """Return some of them."""
        return Fits(*(array[chosen] for array in self))


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
    geometry_error
        Standard deviations of the centre along an axis, 1/angstrom, and of the scale, which are
        fitted for each pattern; (0, 0) for a geometry that is right.
    """

    source: SpotSource
    grid: PolarGrid
    spot_sigma: float
    geometry_error: tuple[float, float] = (0.0, 0.0)

    @property
    def is_free(self) -> bool:
        """Whether centre and scale are fitted."""
        return all(self.geometry_error)

    @property
    def sigma(self) -> np.float32:
        """Width of the Gaussians that are drawn, 1/angstrom."""
        return np.float32(np.hypot(self.spot_sigma, self.source.part_sigma))

    def likelihood(
        self,
        data: BinnedCounts,
        which: np.ndarray,
        quaternions: np.ndarray,
        depths: np.ndarray,
        distortion: np.ndarray | None = None,
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
        distortion
            As in `Fits`; none by default.
        """
        from pyxem_cnn.indexing.refinement._likelihood_kernel import fit_patterns

        k, intensity, offset = self.source.calculate(quaternions, depths)
        k = _distorted(k, distortion)
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
        distortion: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return log-likelihoods above that of a known background, shape (n, T).

        Parameters
        ----------
        data
            The patterns.
        known
            Background of each bin in counts, shape (patterns, n_radial, n_azimuthal).
        which, quaternions, depths, distortion
            As for `likelihood`.
        """
        from pyxem_cnn.indexing.refinement._likelihood_kernel import compare_patterns

        k, intensity, offset = self.source.calculate(quaternions, depths)
        k = _distorted(k, distortion)
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
        step = np.zeros((len(which), 7 if self.is_free else 4))
        for _ in range(n_steps):
            left, right, gain = self._equations(data, which, here)
            better = gain > best.gain
            best = _better(best, here._replace(gain=gain))
            damping = np.where(better, damping / 3, damping)
            # Where it went too far: a part of the step, again from the best so far.
            step = np.where(better[:, None], self._step(left, right, damping), 0.4 * step)
            here = self._moved(best, step)
        gain = self.likelihood(
            data, which, here.quaternions, here.depths[:, None], here.distortion
        )[:, 0]
        return _better(best, here._replace(gain=gain - self._surprise(here.distortion)))

    def _equations(
        self, data: BinnedCounts, which: np.ndarray, here: Fits
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return normal equations (n, N, N) and (n, N) of all starts, and log-likelihoods (n,).

        N is 7, or 4 where the geometry is not free.
        """
        from pyxem_cnn.indexing.refinement._likelihood_kernel import normal_equations

        n = len(which)
        tilts = from_rotation_vector(_TILT * np.eye(3)[[0, 0, 1]])
        tilts[0] = [1.0, 0.0, 0.0, 0.0]
        moved = multiply(here.quaternions[:, None], tilts)
        depths = np.repeat(here.depths[:, None] + [[0, self.source.depth_step]], 3, axis=0)
        k, intensity, offset = self.source.calculate(moved.reshape(-1, 4), depths)
        k = _distorted(k, here.distortion.repeat(3, axis=0)).reshape(n, 3, *k.shape[1:])
        intensity = intensity.reshape(n, 3, *intensity.shape[1:])
        # Turning an orientation about z turns the pattern the other way.
        steps = np.array([_TILT, _TILT, -_TURN, self.source.depth_step])
        if self.is_free:
            steps = np.append(steps, [_SHIFT, _SHIFT, _STRETCH])
        left, right, gain = np.zeros((n, *2 * steps.shape)), np.zeros((n, len(steps))), np.zeros(n)
        normal_equations(
            *data, which, k, intensity, offset, _TURN, steps, self.sigma, *self._bins(), left,
            right, gain
        )  # fmt: skip
        if self.is_free:
            weight = 1 / np.square(self._distortion_error)
            right[:, 4:] -= weight * here.distortion
            left[:, [4, 5, 6], [4, 5, 6]] += weight
        return left, right, gain - self._surprise(here.distortion)

    @property
    def _distortion_error(self) -> np.ndarray:
        center, scale = self.geometry_error
        return np.array([center, center, scale])

    def _surprise(self, distortion: np.ndarray) -> np.ndarray | float:
        """Return how much less likely centres and scales are beforehand, shape (n,)."""
        if not self.is_free:
            return 0.0
        return np.square(distortion / self._distortion_error).sum(-1) / 2

    def _step(self, left: np.ndarray, right: np.ndarray, damping: np.ndarray) -> np.ndarray:
        """Return steps (n, N): radians about x, y and z, depth, centre and stretch."""
        low, high = self.source.depth_limits
        farthest = np.append(_FARTHEST, _DEEPEST * (high - low))
        if self.is_free:
            shift, stretch = _FARTHEST_SHIFT, _FARTHEST_STRETCH
            farthest = np.append(farthest, [shift, shift, stretch])
        diagonal = np.einsum("nii->ni", left)
        # Scaled: radians and angstrom differ by orders of magnitude.
        scale = np.sqrt(np.maximum(diagonal, 1e-30))
        matrix = left / (scale[:, :, None] * scale[:, None, :])
        identity = np.eye(len(farthest))
        matrix += damping[:, None, None] * identity + 1e-6 * identity
        step = np.linalg.solve(matrix, (right / scale)[..., None])[..., 0] / scale
        return np.clip(np.nan_to_num(step), -farthest, farthest)

    def _moved(self, here: Fits, step: np.ndarray) -> Fits:
        turn = from_rotation_vector(step[:, :3])
        moved = here._replace(
            quaternions=normalize(multiply(here.quaternions, turn)),
            depths=np.clip(here.depths + step[:, 3], *self.source.depth_limits),
        )
        return moved._replace(distortion=here.distortion + step[:, 4:]) if self.is_free else moved

    def _bins(self) -> tuple[float, float, np.ndarray]:
        from pyxem_cnn.simulation.rendering import cumulative_normal

        return self.grid.k_min, self.grid.radial_step, cumulative_normal()


def _distorted(k: np.ndarray, distortion: np.ndarray | None) -> np.ndarray:
    """Return positions (n, S, 2) as centres and stretches (n, 3) have them."""
    if distortion is None or not distortion.any():
        return k
    moved = k * (1 + distortion[:, None, 2:]) + distortion[:, None, :2]
    return moved.astype(k.dtype)


def _better(one: Fits, other: Fits) -> Fits:
    """Return the better of two fits everywhere."""
    chosen = other.gain > one.gain
    return Fits(
        *(
            np.where(chosen.reshape(-1, *[1] * (b.ndim - 1)), b, a)
            for a, b in zip(one, other, strict=True)
        )
    )
