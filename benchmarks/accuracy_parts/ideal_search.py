"""The candidates of the ideal observer: Poisson likelihood over a dense library, in polar bins.

Log-likelihoods of all in-plane angles are one correlation over the azimuth, done by Fourier
transforms, for all patterns at once. The background's decay, which differs between patterns, is a
common one here; what is found is judged with the true one by `ideal_observer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from accuracy_parts.images import Detector, Exposures
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.detector.resampling import ResamplingOperator
from pyxem_cnn.maps.templates.decoding import MIRROR
from pyxem_cnn.rotations import about_z, multiply, with_zone_axis
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from pyxem_cnn.simulation.rendering import render_polar
from pyxem_cnn.simulation.sampling import zone_axis_grid

_GRID = PolarGrid(42, 128, 0.125, 1.55)
_HARMONICS = 48  # finer structure around a ring is left out
_THICKNESSES = (250.0, 450.0, 650.0, 850.0)
_DECAY = 0.33  # 1/angstrom
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class Candidates:
    """The likeliest orientations of N patterns, one for each zone axis of the library.

    Attributes
    ----------
    orientations
        Lab to crystal, likeliest first, shape (N, n_best, 4).
    log_likelihood
        Up to a constant of each pattern, shape (N, n_best).
    """

    orientations: np.ndarray
    log_likelihood: np.ndarray


def search(spots: SpotSet, counts: np.ndarray, spacing: float, n_best: int) -> Candidates:
    """Return the likeliest orientations of a library.

    Parameters
    ----------
    spots
        What crystal and which beam.
    counts
        Polar counts of N patterns, shape (N, n_radial, n_azimuthal), see `polar_counts`.
    spacing
        Of the library's zone axes in degrees.
    n_best
        Orientations to return.
    """
    zones = with_zone_axis(zone_axis_grid(spots.crystal.laue_group_matrices(), spacing=spacing))
    simulator = BlochWaveSimulator(
        spots.crystal,
        accelerating_voltage=spots.voltage,
        precession_angle=spots.precession_angle,
        thicknesses=_THICKNESSES,
        n_tilts=None if spots.precession_angle else 7,
    )
    if not simulator.is_centrosymmetric:
        raise ValueError("The library is mirrored: expected a crystal with an inversion centre.")
    data = _harmonics(torch.from_numpy(counts))  # (M, N, R)
    scores, turns = [], []
    for start in range(0, len(zones), _CHUNK):
        library = _harmonics(_log_patterns(simulator, zones[start : start + _CHUNK]))
        best, turn = _correlate(library, data)
        scores.append(best)
        turns.append(turn)
    return _best(torch.cat(scores), torch.cat(turns), zones, n_best)


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


def _log_patterns(simulator: BlochWaveSimulator, zones: np.ndarray) -> torch.Tensor:
    """Return logarithms of expected patterns, shape (zones * T, R, A)."""
    found = simulator.calculate(zones)
    n, n_levels, n_beams, _ = found.intensity.shape
    repeat = n * n_levels
    k = np.repeat(found.k[:, 1:], n_levels, axis=0)
    tilts = np.repeat(found.tilts, n_levels, axis=0)
    radius = 1e-3 * simulator.convergence_angle / simulator.wavelength
    patterns = render_polar(
        k,
        found.intensity[:, :, 1:].reshape(repeat, n_beams - 1, -1),
        np.full(repeat, 0.015),
        _GRID,
        np.full(repeat, radius),
        tilts=tilts,
    )
    diffuse = np.exp(-_GRID.radii / _DECAY)[:, None] * _GRID.bin_areas
    patterns *= 0.7 / patterns.sum((1, 2), keepdims=True).clip(1e-20)
    return torch.from_numpy(np.log(patterns + 0.3 * diffuse / diffuse.sum()).astype(np.float32))


def _harmonics(patterns: torch.Tensor) -> torch.Tensor:
    """Return Fourier coefficients over the azimuth, shape (harmonics, patterns, radii)."""
    return torch.fft.rfft(patterns.float(), dim=-1)[..., :_HARMONICS].permute(2, 0, 1).contiguous()


def _correlate(library: torch.Tensor, data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the best log-likelihood over angles and thicknesses, and its angle's bin.

    Both of shape (zones, 2, N): of each zone axis, as it is and mirrored.
    """
    n_azimuthal = _GRID.n_azimuthal
    best = []
    for mirrored in (False, True):
        # The transform of a pattern turned by w is that of the pattern times exp(-i m w).
        factor = library if mirrored else library.conj()
        product = factor @ data.transpose(1, 2)  # (M, zones T, N)
        curve = torch.fft.irfft(product.permute(1, 2, 0), n=n_azimuthal, dim=-1)
        value, turn = curve.amax(-1), curve.argmax(-1)
        value = value.unflatten(0, (-1, len(_THICKNESSES)))
        level = value.argmax(1, keepdim=True)
        turn = turn.unflatten(0, (-1, len(_THICKNESSES))).gather(1, level)[:, 0]
        best.append((value.amax(1), turn))
    return torch.stack([b[0] for b in best], 1), torch.stack([b[1] for b in best], 1)


def _best(score: torch.Tensor, turn: torch.Tensor, zones: np.ndarray, n_best: int) -> Candidates:
    """Return the best zone axes of every pattern with their in-plane angles."""
    n_patterns = score.shape[-1]
    score = score.reshape(-1, n_patterns)
    value, index = score.topk(min(n_best, len(score)), dim=0)  # (n_best, N)
    turn = turn.reshape(-1, n_patterns).gather(0, index).numpy()
    zone, mirrored = np.divmod(index.numpy(), 2)
    orientations = zones[zone]
    flipped = multiply(orientations, MIRROR)
    orientations = np.where(mirrored[..., None] == 1, flipped, orientations)
    orientations = multiply(orientations, about_z(-turn * _GRID.azimuthal_step))
    return Candidates(orientations.swapaxes(0, 1), value.T.numpy())
