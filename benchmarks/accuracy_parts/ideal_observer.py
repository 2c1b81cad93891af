"""The ideal observer: the likeliest orientation, with everything but the orientation known.

It knows the crystal, the true centre and scale of every pattern, its background, the number of its
electrons, the thicknesses that the set has and the directions of the incident beam. For each
candidate it expects an image by Bloch waves and asks how probable the counted one is, as Poisson
noise has it, outside the direct beam. Candidates come from a library and from denser orientations
around its likeliest (`ideal_search`); they are refined. At 10,000 electrons, peaks of the
likelihood are a thousandth of a degree wide, which a search may miss: so the search alone is a
lower bound. With the truth as one more candidate, and what the truth becomes by half a turn about
the zone axes near the beam, nothing right is missed: that is an upper bound, too high by whatever
wrong answers nobody looked at.
"""

from __future__ import annotations

import time

import numpy as np
from tqdm import tqdm

from accuracy_parts.ideal_likelihood import Likelihood, Likely, Scene
from accuracy_parts.ideal_search import (
    PolarLikelihood,
    library_orientations,
    polar_counts,
    scattered,
)
from accuracy_parts.ideal_twins import twins_of
from accuracy_parts.images import Detector, Exposures
from accuracy_parts.scoring import Found
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.rotations import disorientation_angle, from_rotation_vector, multiply

_CLUSTER, _RIGHT = np.deg2rad(3.0), np.deg2rad(5.0)
# Denser and denser around the likeliest of the library, in polar bins: around how many, how far
# (as a share of the library's spacing), and how many orientations around each.
_DENSER = ((24, 0.7, 12), (10, 0.25, 12), (5, 0.1, 12))
_N_CLUSTERS = 4
# On pixels: random tilts and in-plane steps of each round, degrees.
_ROUNDS = ((0.03, 0.1), (0.015, 0.05), (0.007, 0.02))
_TRIES = 6
_FIRST_TURNS = np.linspace(-0.3, 0.3, 5)


class IdealObserver:
    """Likeliest orientations of patterns.

    Parameters
    ----------
    spots
        The set, without precession.
    detector
        Where.
    spacing
        Of the library in degrees.

    Raises
    ------
    ValueError
        If the set is precessed.
    """

    name = "ideal observer"

    def __init__(self, spots: SpotSet, detector: Detector, spacing: float) -> None:
        if spots.precession_angle:
            raise ValueError(f"The ideal observer knows no precession, as of {spots.name}.")
        self.spots, self.detector, self.spacing = spots, detector, spacing
        self.symmetry = spots.crystal.symmetry_quaternions()
        self._likelihood = Likelihood(spots, detector)
        self._generator = np.random.default_rng(0)

    def __call__(self, counts: list[np.ndarray], exposures: Exposures) -> list[dict[str, Found]]:
        """Return for each dose what is found, without and with the truth among the candidates."""
        start = time.process_time()
        polar = [polar_counts(c, exposures, self.detector, self.spots.voltage) for c in counts]
        library = PolarLikelihood(self.spots, np.concatenate(polar)).search(
            library_orientations(self.spots, self.spacing), n_best=200, with_mirrored=True
        )
        n = len(self.spots)
        cells = library.orientations.reshape(len(counts), n, -1, 4)
        answers = [
            [
                self._one(i, images[i], bins[i], near[i], exposures)
                for images, bins, near in zip(counts, polar, cells, strict=True)
            ]
            for i in tqdm(range(n), desc="ideal observer", unit="pattern")
        ]
        seconds = (time.process_time() - start) / len(counts)
        names = (self.name, f"{self.name}, truth among its candidates")
        return [
            {
                name: Found(*(np.array(part) for part in zip(*one, strict=True)), seconds)
                for name, one in zip(names, zip(*dose, strict=True), strict=True)
            }
            for dose in zip(*answers, strict=True)
        ]

    def misfit(self, exposures: Exposures) -> np.ndarray:
        """Return log-likelihoods that the observer's images of the truth lack, shape (n,).

        Of 10,000 electrons as they are expected, against the image that was exposed. Far more than
        1 means that it is not ideal.
        """
        lacking = []
        for i, (expected, truth) in enumerate(
            zip(exposures.expected, self.spots.orientations, strict=True)
        ):
            scene = Scene.of(i, 1e4 * expected, self.spots, exposures, self.detector)
            share = scene.counts / scene.counts.sum()
            likely = self._likelihood(scene, truth[None], np.zeros(1))
            lacking.append(scene.counts @ np.log(share) - likely.value[0])
        return np.array(lacking)

    def _one(self, i: int, image, polar, candidates: np.ndarray, exposures: Exposures):
        """Return the answers for pattern i at one dose, without and with the truth."""
        denser = PolarLikelihood(self.spots, polar[None], self.spots.thicknesses[i], n_angles=1024)
        for n, share, tries in _DENSER:
            cells = self._apart(candidates, n)
            around = scattered(cells, share * self.spacing, tries, self._generator)
            around = np.concatenate([cells, around])
            candidates = denser.search(around, n_best=100, with_mirrored=False).orientations[0]
        scene = Scene.of(i, image, self.spots, exposures, self.detector)
        truth = self.spots.orientations[i]
        known = np.concatenate([truth[None], twins_of(self.spots.crystal, truth)])
        found = self._refined(scene, self._apart(candidates, _N_CLUSTERS))
        helped = found + self._refined(scene, known)
        return self._decide(found), self._decide(helped)

    def _apart(self, candidates: np.ndarray, n: int) -> np.ndarray:
        """Return the first n candidates that are further than 3 degrees from each other."""
        kept: list[np.ndarray] = []
        for candidate in candidates:
            far = [disorientation_angle(candidate, q, self.symmetry) > _CLUSTER for q in kept]
            if all(far):
                kept.append(candidate)
            if len(kept) == n:
                break
        return np.array(kept)

    def _refined(self, scene: Scene, starts: np.ndarray) -> Likely:
        """Return the likeliest answers near the starts, by a random search around each.

        The hopeless are given up on the way.
        """
        best = self._likelihood(scene, starts, _FIRST_TURNS)
        for tilt, step in _ROUNDS:
            n = len(best)
            vectors = np.zeros((n * _TRIES, 3))
            vectors[:, :2] = np.deg2rad(tilt) * self._generator.standard_normal((n * _TRIES, 2))
            around = multiply(
                np.repeat(best.orientations, _TRIES, 0), from_rotation_vector(vectors)
            )
            tried = self._likelihood(scene, around, np.array([-step, 0, step]))
            pick = tried.value.reshape(n, _TRIES).argmax(1) + _TRIES * np.arange(n)
            both = best + tried[pick]
            best = both[np.arange(n) + n * (tried.value[pick] > best.value)]
            # What is lost in the first rounds, far from the peaks, may still win.
            best = best[np.argsort(-best.value)[: max(2, n // 2)]]
        return best

    def _decide(self, likely: Likely):
        """Return the likeliest orientation, its posterior probability and its thickness.

        The probability is that of everything within 5 degrees, peaks taken as equally wide.
        """
        best = likely.value.argmax()
        orientation = likely.orientations[best]
        near = disorientation_angle(likely.orientations, orientation, self.symmetry) < _RIGHT
        # Two peaks at one answer, the truth's and the search's, count once.
        own, rest = likely.value[best], likely.value[~near]
        probability = 1 / (1 + np.exp(np.clip(rest - own, -700, 0)).sum())
        return orientation, probability, likely.depth[best]
