"""The ideal observer: the likeliest orientation, with everything but the orientation known.

It knows the crystal, the true centre and scale of every pattern, its background and the number of
its electrons, and the thicknesses that the set has. For each candidate it expects an image by Bloch
waves and asks how probable the counted one is, as Poisson noise has it, outside the direct beam.
Candidates come from a library (`ideal_search`); the likeliest of them are refined. Peaks of the
likelihood are a few hundredths of a degree wide where there are many electrons, which a library
misses: so the search alone is a lower bound. With the truth as one more candidate, and what the
truth becomes by half a turn about the zone axes near the beam, nothing right is missed: that is an
upper bound, too high by whatever wrong answers nobody looked at.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from accuracy_parts.ideal_search import polar_counts, search
from accuracy_parts.images import Detector, Exposures
from accuracy_parts.scoring import Found
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.detector.grids import CartesianGrid
from pyxem_cnn.rotations import (
    about_z,
    disorientation_angle,
    from_rotation_vector,
    multiply,
    zone_axis,
)
from pyxem_cnn.simulation.bloch_waves.beam_selection import low_index_zones
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from pyxem_cnn.simulation.rendering import render_cartesian

_CLUSTER, _RIGHT = np.deg2rad(3.0), np.deg2rad(5.0)
_N_CLUSTERS, _N_TWINS = 8, 3
# Random tilts (degrees) and in-plane steps (degrees) of each round of refinement.
_ROUNDS = ((0.2, 0.5), (0.1, 0.25), (0.05, 0.12))
_TRIES = 8
_FIRST_TURNS = np.arange(-4, 5) * 0.4


@dataclass(frozen=True, eq=False)
class _Scene:
    """One counted image and what is known of it."""

    counts: np.ndarray  # (counted pixels,)
    is_counted: np.ndarray  # (rows, columns)
    diffuse: np.ndarray  # (counted pixels,), share of the electrons
    depths: np.ndarray  # (T,)
    shift: np.ndarray
    stretch: float


class IdealObserver:
    """Likeliest orientations of patterns.

    Parameters
    ----------
    spots
        The set.
    detector
        Where.
    spacing
        Of the library in degrees.
    """

    name = "ideal observer"

    def __init__(self, spots: SpotSet, detector: Detector, spacing: float) -> None:
        self.spots, self.detector, self.spacing = spots, detector, spacing
        self.symmetry = spots.crystal.symmetry_quaternions()
        self.simulator = BlochWaveSimulator(
            spots.crystal,
            accelerating_voltage=spots.voltage,
            precession_angle=spots.precession_angle,
        )
        self._generator = np.random.default_rng(0)

    def __call__(self, counts: list[np.ndarray], exposures: Exposures) -> list[dict[str, Found]]:
        """Return for each dose what is found, without and with the truth among the candidates."""
        start = time.process_time()
        polar = [polar_counts(c, exposures, self.detector, self.spots.voltage) for c in counts]
        candidates = search(self.spots, np.concatenate(polar), self.spacing, n_best=60)
        n = len(self.spots)
        results = []
        for dose, images in enumerate(counts):
            answers = [
                self._one(i, images[i], candidates.orientations[dose * n + i], exposures)
                for i in range(n)
            ]
            seconds = (time.process_time() - start) / len(counts)
            results.append(
                {
                    name: Found(*(np.array(part) for part in zip(*a, strict=True)), seconds)
                    for name, a in zip(
                        (self.name, f"{self.name}, truth among its candidates"),
                        zip(*answers, strict=True),
                        strict=True,
                    )
                }
            )
        return results

    def _one(self, i: int, image: np.ndarray, candidates: np.ndarray, exposures: Exposures):
        """Return orientation, probability and thickness, without and with the truth."""
        scene = self._scene(i, image, exposures)
        truth = self.spots.orientations[i]
        found = self._refined(scene, self._clusters(candidates))
        known = self._refined(scene, np.concatenate([truth[None], self._twins(truth)]))
        both = [np.concatenate(parts) for parts in zip(found, known, strict=True)]
        return self._decide(*found), self._decide(*both)

    def _twins(self, truth: np.ndarray) -> np.ndarray:
        """Return the truth turned by half a turn about the zone axes nearest to the beam."""
        zones = low_index_zones(self.spots.crystal)
        zones = zones / np.linalg.norm(zones, axis=1, keepdims=True)
        nearest = zones[np.argsort(-np.abs(zones @ zone_axis(truth)))[:_N_TWINS]]
        return multiply(np.pad(nearest, ((0, 0), (1, 0))), truth)

    def _scene(self, i: int, image: np.ndarray, exposures: Exposures) -> _Scene:
        """Return what is known of a pattern."""
        rows, columns = self.detector.shape
        scale, shift = self.detector.scale, exposures.shift[i]
        x = scale * (np.arange(columns) - (columns - 1) / 2) - shift[0]
        y = -scale * (np.arange(rows) - (rows - 1) / 2) - shift[1]
        is_counted = np.hypot(x, y[:, None]) > self.detector.counted_from
        return _Scene(
            counts=image[is_counted].astype(np.float32),
            is_counted=is_counted,
            diffuse=exposures.diffuse[i][is_counted],
            depths=self.spots.thicknesses[i],
            shift=shift,
            stretch=exposures.stretch[i],
        )

    def _clusters(self, candidates: np.ndarray) -> np.ndarray:
        """Return the likeliest candidates that are further than 3 degrees from each other."""
        kept: list[np.ndarray] = []
        for candidate in candidates:
            far = [disorientation_angle(candidate, q, self.symmetry) > _CLUSTER for q in kept]
            if all(far):
                kept.append(candidate)
            if len(kept) == _N_CLUSTERS:
                break
        return np.array(kept)

    def _evaluate(self, scene: _Scene, orientations: np.ndarray, turns: np.ndarray):
        """Return the best log-likelihood over in-plane turns (degrees) and thicknesses.

        With the orientation and the thickness that it belongs to, each of shape (n, ...).
        """
        found = self.simulator.calculate(orientations, thicknesses=scene.depths)
        n, n_levels = found.intensity.shape[:2]
        radians = np.deg2rad(turns)
        value = np.stack(
            [self._log_likelihood(scene, found, w) for w in radians], axis=1
        )  # (n, W, T)
        turn, level = np.divmod(value.reshape(n, -1).argmax(1), n_levels)
        best = value.reshape(n, -1).max(1)
        turned = multiply(orientations, about_z(-radians[turn]))
        return best, turned, scene.depths[level]

    def _log_likelihood(self, scene: _Scene, found, turn: float) -> np.ndarray:
        """Return log-likelihoods (n, T) of patterns that are turned by an angle in radians."""
        cosine, sine = np.cos(turn), np.sin(turn)
        turned = scene.stretch * np.array([[cosine, sine], [-sine, cosine]])  # rows times this
        n, n_levels, n_beams, n_tilts = found.intensity.shape
        grid = CartesianGrid(self.detector.shape, self.detector.scale)
        size = n * n_levels
        images = render_cartesian(
            np.repeat(found.k @ turned + scene.shift, n_levels, axis=0),
            found.intensity.reshape(size, n_beams, n_tilts),
            np.full(size, self.detector.blur * self.detector.scale),
            grid,
            np.full(size, self.spots.disc_radius * scene.stretch),
            tilts=np.repeat(found.tilts @ turned, n_levels, axis=0),
        )[:, scene.is_counted]
        images *= (1 - self.detector.diffuse) / images.sum(1, keepdims=True).clip(1e-20)
        return (np.log(images + scene.diffuse) @ scene.counts).reshape(n, n_levels)

    def _refined(self, scene: _Scene, starts: np.ndarray):
        """Return the likeliest answers near the starts, by a random search around each.

        Log-likelihood, orientation and thickness of each; the hopeless are given up on the way.
        """
        value, orientation, depth = self._evaluate(scene, starts, _FIRST_TURNS)
        for tilt, step in _ROUNDS:
            n = len(value)
            vectors = np.zeros((n * _TRIES, 3))
            vectors[:, :2] = np.deg2rad(tilt) * self._generator.standard_normal((n * _TRIES, 2))
            tried = multiply(np.repeat(orientation, _TRIES, 0), from_rotation_vector(vectors))
            new = self._evaluate(scene, tried, np.array([-step, 0, step]))
            pick = new[0].reshape(n, _TRIES).argmax(1) + _TRIES * np.arange(n)
            better = new[0][pick] > value
            value = np.where(better, new[0][pick], value)
            orientation = np.where(better[:, None], new[1][pick], orientation)
            depth = np.where(better, new[2][pick], depth)
            # What is lost in the first rounds, far from the peaks, may still win.
            hopeful = np.argsort(-value)[: max(2, n // 2)]
            value, orientation, depth = value[hopeful], orientation[hopeful], depth[hopeful]
        return value, orientation, depth

    def _decide(self, value, orientation, depth):
        """Return the likeliest orientation, its posterior probability and its thickness.

        The probability is that of everything within 5 degrees, peaks taken as equally wide.
        """
        best = value.argmax()
        near = disorientation_angle(orientation, orientation[best], self.symmetry) < _RIGHT
        # Two peaks at one answer, the truth's and the search's, count once.
        own, rest = value[best], value[~near]
        probability = 1 / (1 + np.exp(np.clip(rest - own, -700, 0)).sum())
        return orientation[best], probability, depth[best]
