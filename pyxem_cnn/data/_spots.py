"""Expected electrons on a detector, from diffsims' spots."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from orix.crystal_map import Phase

__all__ = [
    "BEAM_ENERGY",
    "LATTICE_PARAMETER",
    "Detector",
    "expected_patterns",
    "patterns_of_spots",
    "simulated_spots",
]

Spots = tuple[np.ndarray, np.ndarray]

BEAM_ENERGY = 200.0
"""Accelerating voltage in kV."""
LATTICE_PARAMETER = 5.431
"""Of silicon, angstrom."""

# Half width of the relrod, and how far from the Ewald sphere reflections still count, 1/angstrom.
_RELROD_WIDTH, _SLAB = 0.025, 0.08
_RADIUS = 1.75  # reaches the detector's corners


@dataclass(frozen=True)
class Detector:
    """A detector with its beam.

    Attributes
    ----------
    shape
        Pixels (rows, columns).
    center
        Direct beam (column, row) in pixels.
    scale
        1/angstrom per pixel.
    sigma
        Standard deviation of a spot in pixels.
    disc_radius
        Of the direct beam in 1/angstrom; 0 for a parallel beam.
    electrons
        Mean number of electrons outside the direct beam.
    beam_electrons
        Electrons in the direct beam.
    background
        Share of the electrons outside the direct beam that are diffuse.
    intensity_spread
        Standard deviation of the logarithm of a random factor on every spot, which stands for
        multiple scattering.
    """

    shape: tuple[int, int] = (128, 128)
    center: tuple[float, float] = (64.37, 62.81)
    scale: float = 0.02
    sigma: float = 1.3
    disc_radius: float = 0.0
    electrons: float = 1e4
    beam_electrons: float = 1e5
    background: float = 0.3
    intensity_spread: float = 0.3

    def spots(self, k: np.ndarray, electrons: np.ndarray) -> np.ndarray:
        """Return an image of Gaussian spots, integrated over the pixels.

        Parameters
        ----------
        k
            Positions (kx, ky) of shape (n, 2) in 1/angstrom, y up.
        electrons
            Shape (n,).

        Returns
        -------
        image
            Expected electrons of the detector's shape.
        """
        columns = self.center[0] + k[:, 0] / self.scale
        rows = self.center[1] - k[:, 1] / self.scale
        across = _gaussian_in_pixels(columns, self.shape[1], self.sigma)
        down = _gaussian_in_pixels(rows, self.shape[0], self.sigma)
        return (down * electrons[:, None]).T @ across

    @cached_property
    def direct_beam(self) -> np.ndarray:
        """Direct beam with a weak tail: what vacuum shows."""
        # A disc as points that cover it evenly (a sunflower), blurred by the width of a spot.
        i = np.arange(37) + 0.5
        angle, radius = np.pi * (3 - 5**0.5) * i, self.disc_radius * np.sqrt(i / len(i))
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        beam = self.spots(points, np.full(len(i), self.beam_electrons / len(i)))
        tail = 1 / (1 + (self.radius / 0.03) ** 2) ** 2
        return beam + 0.01 * self.beam_electrons * tail / tail.sum()

    @cached_property
    def diffuse(self) -> np.ndarray:
        """Distribution of diffusely scattered electrons, of sum 1."""
        image = np.exp(-self.radius / 0.35)
        return image / image.sum()

    @property
    def radius(self) -> np.ndarray:
        """Distance of every pixel from the direct beam in 1/angstrom."""
        rows, columns = np.indices(self.shape)
        return self.scale * np.hypot(columns - self.center[0], rows - self.center[1])


def expected_patterns(
    rotations: np.ndarray, detector: Detector, seed: int, phase: Phase | None = None
) -> np.ndarray:
    """Return the expected electrons of every orientation, from diffsims' spots.

    Parameters
    ----------
    rotations
        Quaternions of shape (n, 4), scalar first, lab to crystal; NaN for vacuum.
    detector
        The detector.
    seed
        Of the random factors on the intensities.
    phase
        What diffracts; silicon by default.

    Returns
    -------
    patterns
        Of shape (n, rows, columns), float32.
    """
    generator = np.random.default_rng([seed, 1])
    crystal = ~np.isnan(rotations[:, 0])
    spots: list[Spots | None] = [None] * len(rotations)
    for i, (k, intensity) in zip(
        np.flatnonzero(crystal), simulated_spots(rotations[crystal], phase), strict=True
    ):
        spread = detector.intensity_spread * generator.standard_normal(len(intensity))
        spots[i] = k, intensity * np.exp(spread)
    return patterns_of_spots(spots, detector)


def patterns_of_spots(spots: list[Spots | None], detector: Detector) -> np.ndarray:
    """Return the expected electrons of spots on a detector.

    Parameters
    ----------
    spots
        For every pattern, positions (kx, ky) of shape (n_spots, 2) in 1/angstrom, y up, and
        intensities of shape (n_spots,); None for vacuum.
    detector
        The detector.

    Returns
    -------
    patterns
        Of shape (n, rows, columns), float32.
    """
    patterns = np.empty((len(spots), *detector.shape), dtype=np.float32)
    coherent = (1 - detector.background) * detector.electrons
    for pattern, one in zip(patterns, spots, strict=True):
        pattern[:] = detector.direct_beam
        if one is not None:
            k, intensity = one
            pattern += detector.spots(k, coherent * intensity / intensity.sum())
            pattern += detector.background * detector.electrons * detector.diffuse
    return patterns


def simulated_spots(
    rotations: np.ndarray, phase: Phase | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return diffsims' spots for every orientation.

    Parameters
    ----------
    rotations
        Quaternions of shape (n, 4), scalar first, lab to crystal.
    phase
        What diffracts; silicon by default.

    Returns
    -------
    spots
        For every orientation, positions (kx, ky) of shape (n_spots, 2) in 1/angstrom, y up, and
        intensities of shape (n_spots,). Without the direct beam.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside diffsims and orix
        from diffsims.generators.simulation_generator import SimulationGenerator
        from orix.quaternion import Rotation

        simulation = SimulationGenerator(BEAM_ENERGY).calculate_diffraction2d(
            _silicon() if phase is None else phase,
            Rotation(rotations),
            reciprocal_radius=_RADIUS,
            with_direct_beam=False,
            max_excitation_error=_SLAB,
            shape_factor_width=_RELROD_WIDTH,
        )
        vectors = simulation.coordinates if len(rotations) > 1 else [simulation.coordinates]
        return [(v.data[:, :2], np.asarray(v.intensity, dtype=float)) for v in vectors]


def _silicon() -> Phase:
    """Return the orix phase of silicon with all eight atoms, as diffsims wants it."""
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    face_centred = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    positions = np.concatenate([face_centred, face_centred + 0.25])
    lattice = Lattice(*[LATTICE_PARAMETER] * 3, 90, 90, 90)
    structure = Structure([Atom("Si", xyz) for xyz in positions], lattice=lattice)
    return Phase("Si", space_group=227, structure=structure)


def _gaussian_in_pixels(center: np.ndarray, n: int, sigma: float) -> np.ndarray:
    """Return the share of a Gaussian in each of n pixels, shape (n_spots, n)."""
    from scipy.special import erf

    edges = (np.arange(n + 1) - 0.5 - center[:, None]) / (2**0.5 * sigma)
    return np.diff(erf(edges), axis=1) / 2
