"""The candidates of the ideal observer: Poisson likelihood over a dense library, in polar bins.

Log-likelihoods of all in-plane angles are one correlation over the azimuth, done by Fourier
transforms, for all patterns at once. The background's decay, which differs between patterns, is a
common one here; what is found is judged with the true one by `ideal_observer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from bloch_crystals import THICKNESSES

from accuracy_parts.images import Detector, Exposures
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.detector.resampling import ResamplingOperator
from pyxem_cnn.maps.templates.decoding import MIRROR
from pyxem_cnn.rotations import about_z, from_rotation_vector, multiply, with_zone_axis
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from pyxem_cnn.simulation.rendering import render_polar
from pyxem_cnn.simulation.sampling import zone_axis_grid

_GRID = PolarGrid(42, 128, 0.125, 1.55)
_HARMONICS = 48  # finer structure around a ring is left out
_BETWEEN = np.deg2rad(22)  # the two best in-plane angles of a zone axis
_DECAY = 0.33  # 1/angstrom
# In a disc: enough for candidates, which are judged with all of a pattern's.
_N_TILTS = 13
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class Candidates:
    """The likeliest orientations of N patterns, two for each zone axis at the most.

    Attributes
    ----------
    orientations
        Lab to crystal, likeliest first, shape (N, n_best, 4).
    log_likelihood
        Up to a constant of each pattern, shape (N, n_best).
    """

    orientations: np.ndarray
    log_likelihood: np.ndarray


class PolarLikelihood:
    """Log-likelihoods of orientations of a crystal, whatever their in-plane angle.

    Parameters
    ----------
    spots
        What crystal and which beam.
    counts
        Polar counts of N patterns, shape (N, n_radial, n_azimuthal), see `polar_counts`.
    thicknesses
        In angstrom, shape (T,); each as likely as the others.
    n_angles
        In-plane angles that are looked at.
    """

    def __init__(
        self,
        spots: SpotSet,
        counts: np.ndarray,
        thicknesses: Sequence[float] = THICKNESSES,
        n_angles: int = 256,
    ) -> None:
        self.n_angles = n_angles
        self.simulator = BlochWaveSimulator(
            spots.crystal,
            accelerating_voltage=spots.voltage,
            thicknesses=thicknesses,
            n_tilts=_N_TILTS,
            debye_waller=spots.b_iso,
        )
        self._data = _harmonics(torch.from_numpy(counts))  # (M, N, R)

    def search(self, orientations: np.ndarray, n_best: int, with_mirrored: bool) -> Candidates:
        """Return the likeliest of orientations (n, 4) and of their mirror images, if asked for."""
        if with_mirrored and not self.simulator.is_centrosymmetric:
            raise ValueError("Mirror images are other patterns: expected an inversion centre.")
        mirrored = (False, True) if with_mirrored else (False,)
        values, turns = [], []
        for start in range(0, len(orientations), _CHUNK):
            library = _harmonics(self._log_patterns(orientations[start : start + _CHUNK]))
            pairs = [self._correlate(library.conj() if not m else library) for m in mirrored]
            values.append(torch.stack([value for value, _ in pairs], 1))
            turns.append(torch.stack([turn for _, turn in pairs], 1))
        # (n, mirrored, N, 2) -> (n mirrored 2, N)
        value, turn = (torch.cat(x).permute(0, 1, 3, 2).flatten(0, 2) for x in (values, turns))
        best, index = value.topk(min(n_best, len(value)), dim=0)  # (n_best, N)
        turn, index = turn.gather(0, index).numpy(), index.numpy() // 2
        zone, is_mirrored = np.divmod(index, len(mirrored))
        found = np.where(
            is_mirrored[..., None] == 1,
            multiply(orientations[zone], MIRROR),
            orientations[zone],
        )
        found = multiply(found, about_z(-turn * (2 * np.pi / self.n_angles)))
        return Candidates(found.swapaxes(0, 1), best.T.numpy())

    def _correlate(self, library: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the two best log-likelihoods over angles, and the angles, shapes (n, N, 2).

        Likelihoods are means over thicknesses. The transform of a pattern turned by w is that of
        the pattern times exp(-i m w).
        """
        product = library @ self._data.transpose(1, 2)  # (M, n T, N)
        n = self.n_angles
        curve = torch.fft.irfft(product.permute(1, 2, 0), n=n, dim=-1) * (n / _GRID.n_azimuthal)
        curve = curve.unflatten(0, (-1, len(self.simulator.thicknesses))).logsumexp(1)
        value, turn = curve.max(-1)
        apart = (torch.arange(n) - turn[..., None] + n // 2) % n - n // 2
        is_near = apart.abs() < _BETWEEN / (2 * np.pi) * n
        second = curve.masked_fill_(is_near, -torch.inf).max(-1)
        return torch.stack([value, second[0]], -1), torch.stack([turn, second[1]], -1)

    def _log_patterns(self, orientations: np.ndarray) -> torch.Tensor:
        """Return logarithms of expected patterns, shape (n T, R, A)."""
        found = self.simulator.calculate(orientations)
        n, n_levels, n_beams, _ = found.intensity.shape
        repeat = n * n_levels
        radius = 1e-3 * self.simulator.convergence_angle / self.simulator.wavelength
        patterns = render_polar(
            np.repeat(found.k[:, 1:], n_levels, axis=0),
            found.intensity[:, :, 1:].reshape(repeat, n_beams - 1, -1),
            np.full(repeat, 0.015),
            _GRID,
            np.full(repeat, radius),
            tilts=np.repeat(found.tilts, n_levels, axis=0),
        )
        diffuse = np.exp(-_GRID.radii / _DECAY)[:, None] * _GRID.bin_areas
        patterns *= 0.7 / patterns.sum((1, 2), keepdims=True).clip(1e-20)
        return torch.from_numpy(np.log(patterns + 0.3 * diffuse / diffuse.sum()).astype(np.float32))


def library_orientations(spots: SpotSet, spacing: float) -> np.ndarray:
    """Return orientations of all zone axes that symmetry and mirror images leave, shape (n, 4)."""
    return with_zone_axis(zone_axis_grid(spots.crystal.laue_group_matrices(), spacing=spacing))


def scattered(
    orientations: np.ndarray, radius: float, n: int, generator: np.random.Generator
) -> np.ndarray:
    """Return n orientations around each, tilted by up to `radius` degrees, shape (n ..., 4)."""
    size = len(orientations) * n
    angle = generator.uniform(0, 2 * np.pi, size)
    tilt = np.deg2rad(radius) * np.sqrt(generator.uniform(0, 1, size))
    vectors = np.stack([tilt * np.cos(angle), tilt * np.sin(angle), np.zeros(size)], axis=1)
    return multiply(np.repeat(orientations, n, axis=0), from_rotation_vector(vectors))


def polar_counts(
    counts: np.ndarray, exposures: Exposures, detector: Detector, voltage: float
) -> np.ndarray:
    """Return counts on the polar grid, resampled with each pattern's true centre and scale."""
    rows, columns = detector.shape
    polar = np.empty((len(counts), *_GRID.shape), dtype=np.float32)
    for i, (image, shift, stretch) in enumerate(
        zip(counts, exposures.shift / detector.scale, exposures.stretch, strict=True)
    ):
        center = ((columns - 1) / 2 + shift[0], (rows - 1) / 2 - shift[1])
        scale = detector.scale / stretch
        geometry = DetectorGeometry(detector.shape, center, (scale, scale), voltage)
        mean, _ = ResamplingOperator(geometry, _GRID)(image[None])
        polar[i] = mean[0] * _GRID.bin_areas / scale**2
    return polar


def _harmonics(patterns: torch.Tensor) -> torch.Tensor:
    """Return Fourier coefficients over the azimuth, shape (harmonics, patterns, radii)."""
    return torch.fft.rfft(patterns.float(), dim=-1)[..., :_HARMONICS].permute(2, 0, 1).contiguous()
