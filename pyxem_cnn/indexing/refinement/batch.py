"""A batch of raw patterns and their orientations to refined ones, over all phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pyxem_cnn._torch import limit_threads
from pyxem_cnn.indexing.refinement.candidates import SAME, first_of_each
from pyxem_cnn.indexing.refinement.local_fit import BinnedCounts
from pyxem_cnn.indexing.refinement.probability import (
    CALIBRATIONS,
    Evidence,
    FitCalibration,
    gather_evidence,
)
from pyxem_cnn.rotations import conjugate, disorientation_angle, multiply

if TYPE_CHECKING:
    from pyxem_cnn.detector.resampling import ResamplingOperator
    from pyxem_cnn.indexing.refinement.search import Found, PhaseSearch

__all__ = ["BatchRefiner", "Refined", "empty_refined"]


class Refined(NamedTuple):
    """Refined orientations of n patterns, best first; NaN and -1 where there is none.

    Attributes
    ----------
    quaternions
        Lab to crystal, shape (n, n_best, 4).
    phase
        Number of the phase, shape (n, n_best).
    origin
        Which of the given orientations it is refined from, shape (n, n_best).
    score
        Probability that it is within 5 degrees of the truth, shape (n, n_best).
    likelihood
        Log-likelihood above a background without spots, for each electron, shape (n, n_best).
    depth
        Thickness in angstrom, or half width of the relrod in 1/angstrom, shape (n, n_best).
    moved
        Angle from the orientation that it is refined from, degrees, shape (n, n_best).
    electrons
        In the bins, shape (n,).
    """

    quaternions: np.ndarray
    phase: np.ndarray
    origin: np.ndarray
    score: np.ndarray
    likelihood: np.ndarray
    depth: np.ndarray
    moved: np.ndarray
    electrons: np.ndarray


def empty_refined(n: int, n_best: int) -> Refined:
    """Return results that say nothing, to be filled in.

    Parameters
    ----------
    n, n_best
        Numbers of patterns and of orientations of each.
    """
    numbers = [np.full((n, n_best), np.nan) for _ in range(4)]
    labels = [np.full((n, n_best), -1) for _ in range(2)]
    return Refined(np.full((n, n_best, 4), np.nan), *labels, *numbers, np.full(n, np.nan))


@dataclass(frozen=True)
class BatchRefiner:
    """Resamples patterns, searches every phase and puts all that was found in order.

    Attributes
    ----------
    operator
        From raw pixels to the bins.
    searches
        One for each phase.
    electrons_per_count
        Gain of the detector.
    rerank
        Whether orientations and their twins compete; otherwise each keeps its place.
    to_scan
        Quaternion on the lab side from the detector's to the scan's frame; None where they are one.
    polarity
        Whether orientations count modulo the point group, not the Laue group.
    calibration
        Turns scores and likelihoods into probabilities.
    """

    operator: ResamplingOperator
    searches: Sequence[PhaseSearch]
    electrons_per_count: float
    rerank: bool
    to_scan: np.ndarray | None = None
    polarity: bool = False
    calibration: FitCalibration = CALIBRATIONS["bloch"]

    def __call__(
        self,
        patterns: np.ndarray,
        quaternions: np.ndarray,
        phase: np.ndarray,
        scores: np.ndarray,
        shifts: np.ndarray | None = None,
    ) -> Refined:
        """Return refined orientations.

        Parameters
        ----------
        patterns
            Raw patterns, shape (n, rows, columns).
        quaternions
            Orientations, shape (n, n_best, 4), in the scan's frame with `to_scan`.
        phase
            Number of their phases, -1 for none, shape (n, n_best).
        scores
            How likely they are, 0 to 1, shape (n, n_best).
        shifts
            Position (x, y) of the beam less the geometry's centre in pixels, shape (n, 2).
        """
        refined = empty_refined(*phase.shape)
        with limit_threads(1):
            data = self.binned(patterns, shifts)
            refined.electrons[:] = data.counts.sum(axis=(1, 2))
            readable = np.isfinite(refined.electrons) & (refined.electrons > 0)
            chosen = np.flatnonzero(readable & (phase >= 0).any(1))
            if not len(chosen):
                return refined
            data = BinnedCounts(*(part[chosen] for part in data))
            quaternions = quaternions[chosen]
            if self.to_scan is not None:
                quaternions = multiply(quaternions, conjugate(self.to_scan))
            found, phases = self.search(data, quaternions, phase[chosen])
        evidence = self.evidence(found, phases, (quaternions, phase[chosen]), scores[chosen])
        part = self._in_order(found, phases, quaternions, evidence, refined.electrons[chosen])
        for whole, own in zip(refined[:-1], part, strict=True):
            whole[chosen, : own.shape[1]] = own[:, : whole.shape[1]]
        if self.to_scan is not None:
            refined.quaternions[:] = multiply(refined.quaternions, self.to_scan)
        return refined

    def binned(self, patterns: np.ndarray, shifts: np.ndarray | None) -> BinnedCounts:
        """Return electrons in polar bins.

        Parameters
        ----------
        patterns
            Raw patterns, shape (n, rows, columns).
        shifts
            As when called, or None.
        """
        values, coverage = self.operator(patterns, shifts)
        share = np.array(np.broadcast_to(coverage, values.shape), dtype=np.float32)
        pixel = getattr(self.operator.geometry, "pixel_area", None)
        # Polar patterns hold means over pixels of a size that nobody knows: bins of 3 x 3 pixels.
        areas = self.operator.grid.bin_areas
        area = (areas / (float(areas.mean()) / 9 if pixel is None else pixel) * share).astype("f4")
        counts = np.maximum(values * area * np.float32(self.electrons_per_count), 0)
        return BinnedCounts(counts.astype(np.float32), area, share)

    def search(
        self, data: BinnedCounts, quaternions: np.ndarray, phase: np.ndarray
    ) -> tuple[Found, np.ndarray]:
        """Return what the searches of all phases found, (n, m), and of which phase it is.

        Parameters
        ----------
        data
            The patterns.
        quaternions, phase
            As when called, in the detector's frame.
        """
        parts, labels = [], []
        for number, search in enumerate(self.searches):
            own = phase == number
            if not own.any():
                continue
            one = search(data, np.where(own[..., None], quaternions, np.nan))
            parts.append(one)
            labels.append(np.where(one.origin >= 0, number, -1))
        found = type(parts[0])(*(np.concatenate(a, axis=1) for a in zip(*parts, strict=True)))
        return found, np.concatenate(labels, axis=1)

    def evidence(
        self,
        found: Found,
        phases: np.ndarray,
        given: tuple[np.ndarray, np.ndarray],
        scores: np.ndarray,
    ) -> Evidence:
        """Return what is known of the fits.

        Parameters
        ----------
        found, phases
            As `search` returns them.
        given
            Quaternions and phases that were searched about.
        scores
            How probable these are, shape (n, n_best).
        """
        # What is right is told modulo the Laue group, as scores are.
        symmetries = [one.fit.source.crystal.symmetry_quaternions() for one in self.searches]
        fitted = found.quaternions, phases
        return gather_evidence(found.gain, fitted, given, scores, symmetries)

    def _in_order(
        self,
        found: Found,
        phases: np.ndarray,
        given: np.ndarray,
        evidence: Evidence,
        electrons: np.ndarray,
    ) -> tuple[np.ndarray, ...]:
        """Return the fields of `Refined` but the last, (n, m), in order."""
        error = self.searches[0].settings.model_error
        value = self.calibration.log_weights(evidence, error)
        probability = self.calibration(evidence, error)
        n_best = given.shape[1]
        order = _by_value(value) if self.rerank else _by_origin(value, found, n_best)
        value, probability, phases, *arrays = (
            np.take_along_axis(a, np.maximum(order, 0), 1)
            for a in (value, probability, phases, found.origin, found.gain, found.depths)
        )
        origin, gain, depth = arrays
        q = np.take_along_axis(found.quaternions, np.maximum(order, 0)[..., None], 1)
        missing = (order < 0) | ~np.isfinite(value)
        missing |= ~self._first_of_each(q, phases) if self.rerank else False
        moved = self._moved(q, given, origin, phases)
        fields = [q, phases, origin, probability, gain / electrons[:, None], depth, moved]
        return tuple(_without(field, missing, move=self.rerank) for field in fields)

    def _first_of_each(self, quaternions: np.ndarray, phases: np.ndarray) -> np.ndarray:
        """Return which orientations were not there before, shape (n, m)."""
        kept = np.zeros(phases.shape, dtype=bool)
        for number, search in enumerate(self.searches):
            own = phases == number
            if own.any():
                only = np.where(own[..., None], quaternions, np.nan)
                symmetry = search.fit.source.crystal.symmetry_quaternions(self.polarity)
                kept |= first_of_each(only, symmetry, SAME)
        return kept

    def _moved(
        self, quaternions: np.ndarray, given: np.ndarray, origin: np.ndarray, phases: np.ndarray
    ) -> np.ndarray:
        """Return the angles in degrees from the orientations that others are refined from."""
        start = np.take_along_axis(given, np.maximum(origin, 0)[..., None], 1)
        moved = np.full(origin.shape, np.nan)
        for number, search in enumerate(self.searches):
            own = (phases == number) & (origin >= 0)
            symmetry = search.fit.source.crystal.symmetry_quaternions(self.polarity)
            moved[own] = np.rad2deg(disorientation_angle(start[own], quaternions[own], symmetry))
        return moved


def _by_value(value: np.ndarray) -> np.ndarray:
    """Return indices (n, m), the most probable first."""
    return np.argsort(-value, axis=1, kind="stable")


def _by_origin(value: np.ndarray, found: Found, n_best: int) -> np.ndarray:
    """Return the index (n, n_best) of the best fit of each given orientation, -1 for none."""
    own = np.where((found.origin[:, None] == np.arange(n_best)[:, None]), value[:, None], -np.inf)
    return np.where(np.isfinite(own).any(-1), own.argmax(-1), -1)


def _without(field: np.ndarray, missing: np.ndarray, move: bool) -> np.ndarray:
    """Return a field with gaps where it is missing, moved behind the others if asked."""
    order = np.argsort(missing & move, axis=1, kind="stable")
    nothing = -1 if field.dtype.kind == "i" else np.nan
    gaps = missing[..., None] if field.ndim == 3 else missing
    index = order[..., None] if field.ndim == 3 else order
    return np.take_along_axis(np.where(gaps, nothing, field), index, 1)
