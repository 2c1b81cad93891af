"""Detector images of spots: discs, diffuse electrons, a beam and a scale that are a little off."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.grids import CartesianGrid
from pyxem_cnn.simulation.rendering import render_cartesian

# Decay of the diffuse electrons, 1/angstrom; drawn for each pattern.
_DECAY = (0.2, 0.5)
_BATCH = 32


@dataclass(frozen=True)
class Detector:
    """A detector and how wrong its calibration is.

    Attributes
    ----------
    shape
        Rows and columns of pixels.
    scale
        What the indexers are told, 1/angstrom per pixel.
    blur
        Standard deviation of the point spread in pixels.
    diffuse
        Share of the counted electrons that are diffuse.
    counted_from
        Reciprocal radius from which on electrons are counted, 1/angstrom.
    center_error
        Largest error of the centre along each axis, pixels.
    scale_error
        Largest error of the camera length, as a share.
    """

    shape: tuple[int, int] = (128, 128)
    scale: float = 0.025
    blur: float = 0.6
    diffuse: float = 0.3
    counted_from: float = 0.115
    center_error: float = 1.0
    scale_error: float = 0.02

    def geometry(self, voltage: float) -> DetectorGeometry:
        """Return what the indexers are told: the beam in the middle, the nominal scale."""
        rows, columns = self.shape
        middle = ((columns - 1) / 2, (rows - 1) / 2)
        return DetectorGeometry(self.shape, middle, (self.scale, self.scale), voltage)


@dataclass(frozen=True, eq=False)
class Exposures:
    """Expected patterns for one electron counted outside the direct beam, and what made them.

    Attributes
    ----------
    expected
        Shape (n, rows, columns), float32.
    electrons_in_spots
        Factor from intensities to expected electrons, shape (n,).
    diffuse
        The diffuse part of `expected`, the same shape.
    level
        Index of the thickness, shape (n,).
    thickness
        In angstrom, shape (n,).
    shift
        True position (x, y) of the beam less the nominal one, y up, 1/angstrom, shape (n, 2).
    stretch
        True over nominal reciprocal lengths on the detector, shape (n,).
    """

    expected: np.ndarray
    electrons_in_spots: np.ndarray
    diffuse: np.ndarray
    level: np.ndarray
    thickness: np.ndarray
    shift: np.ndarray
    stretch: np.ndarray

    def first(self, n: int) -> Exposures:
        """Return the first n patterns."""
        return Exposures(*(getattr(self, field.name)[:n] for field in fields(self)))


def expose(spots: SpotSet, detector: Detector, seed: int) -> Exposures:
    """Draw thickness, errors and background of every pattern, and return what is expected."""
    generator = np.random.default_rng([seed, 0])
    n = len(spots)
    level = generator.integers(spots.thicknesses.shape[1], size=n)
    shift = detector.center_error * detector.scale * generator.uniform(-1, 1, (n, 2))
    stretch = 1 + detector.scale_error * generator.uniform(-1, 1, n)
    decay = generator.uniform(*_DECAY, n)
    coherent = discs(spots, spots.intensity[np.arange(n), level], detector, shift, stretch)
    radius = radii(detector, shift)
    counted = radius > detector.counted_from
    diffuse = np.exp(-radius / decay[:, None, None])
    diffuse *= (detector.diffuse / (diffuse * counted).sum((1, 2)))[:, None, None]
    factor = (1 - detector.diffuse) / (coherent * counted).sum((1, 2))
    return Exposures(
        expected=(coherent * factor[:, None, None] + diffuse).astype(np.float32),
        electrons_in_spots=factor,
        diffuse=diffuse.astype(np.float32),
        level=level,
        thickness=spots.thicknesses[np.arange(n), level],
        shift=shift,
        stretch=stretch,
    )


def count(exposures: Exposures, electrons: float, seed: int) -> np.ndarray:
    """Return counted electrons, shape (n, rows, columns), uint32."""
    generator = np.random.default_rng([seed, 1, round(electrons)])
    return generator.poisson(electrons * exposures.expected.astype(np.float64)).astype(np.uint32)


def discs(
    spots: SpotSet,
    intensity: np.ndarray,
    detector: Detector,
    shift: np.ndarray,
    stretch: np.ndarray,
) -> np.ndarray:
    """Return images of intensities (n, S, J), shape (n, rows, columns)."""
    n = len(intensity)
    grid = CartesianGrid(detector.shape, detector.scale)
    blur = np.full(n, detector.blur * detector.scale)
    radius = spots.disc_radius * stretch
    k = spots.k * stretch[:, None, None] + shift[:, None]
    tilts = spots.tilts * stretch[:, None, None]
    images = np.empty((n, *detector.shape), dtype=np.float32)
    for start in range(0, n, _BATCH):
        part = slice(start, start + _BATCH)
        images[part] = render_cartesian(
            k[part], intensity[part], blur[part], grid, radius[part], tilts=tilts[part]
        )
    return images


def radii(detector: Detector, shift: np.ndarray) -> np.ndarray:
    """Return the distance of every pixel from each true beam, shape (n, rows, columns)."""
    rows, columns = detector.shape
    x = detector.scale * (np.arange(columns) - (columns - 1) / 2)
    y = -detector.scale * (np.arange(rows) - (rows - 1) / 2)
    return np.hypot(x - shift[:, 0, None, None], y[:, None] - shift[:, 1, None, None])
