"""What a model says about a sample: where to start, mirrored or not, how long the scan takes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn.detector.geometry import DetectorGeometry, find_center
from pyxem_cnn.detector.polar import ResamplingOperator
from pyxem_cnn.indexing.block import COLUMNS, BlockPredictor
from pyxem_cnn.indexing.calibration.fit import Reading
from pyxem_cnn.indexing.scan import in_blocks

if TYPE_CHECKING:
    from pyxem_cnn.indexing.calibration.sample import PatternSample
    from pyxem_cnn.model import OrientationModel

__all__ = [
    "Handedness",
    "SampleReader",
    "beam_wander",
    "estimate_seconds",
    "find_start",
    "mean_confidence",
    "tell_handedness",
]

# A model that is this sure needs no other scales; below the second number it knows nothing.
_RECOGNISED, _UNKNOWN = 0.5, 0.05
# Models bear some 2 percent. The nearest scales are tried first.
_FACTORS = 1.04 ** np.array(sorted(range(-7, 8), key=abs))
_SIGMAS = 3.0
# How often every thread predicts the sample to measure the speed.
_ROUNDS = 4


class SampleReader:
    """Read a sample with a model and any geometry.

    Parameters
    ----------
    patterns
        Shape (n, rows, columns).
    model
        The model.
    device
        Name of a torch device.
    phase
        Place among the model's phases of the one whose orientations count.
    """

    def __init__(
        self, patterns: np.ndarray, model: OrientationModel, device: str, phase: int = 0
    ) -> None:
        self.patterns, self.model, self.device = patterns, model, device
        self.phase = phase

    def __call__(self, geometry: DetectorGeometry) -> Reading:
        """Return orientations in the detector's frame, and how sure the model is of them.

        Patterns of other phases of the model have a confidence, but no orientation.

        Parameters
        ----------
        geometry
            Of the detector.
        """
        rows = self.predictor(geometry)(self.patterns)[:, 0]
        first = COLUMNS.index("a")
        quaternions = rows[:, first : first + 4].astype(np.float64)
        quaternions[rows[:, COLUMNS.index("phase_id")] != self.phase] = np.nan
        return Reading(quaternions, _confidence(rows))

    def of_likeliest_phase(self, geometry: DetectorGeometry) -> SampleReader:
        """Return a reader of that phase of the model of which the sample shows the most.

        Parameters
        ----------
        geometry
            Of the detector.
        """
        n_phases = len(self.model.crystals)
        if n_phases == 1:
            return self
        rows = self.predictor(geometry)(self.patterns)[:, 0]
        ids, confidence = rows[:, COLUMNS.index("phase_id")], _confidence(rows)
        shown = [confidence[ids == phase].sum() for phase in range(n_phases)]
        return SampleReader(self.patterns, self.model, self.device, int(np.argmax(shown)))

    def predictor(self, geometry: DetectorGeometry) -> BlockPredictor:
        """Return what maps blocks of patterns with a geometry.

        Parameters
        ----------
        geometry
            Of the detector.
        """
        return BlockPredictor(
            models=(self.model,),
            operators=(ResamplingOperator(geometry, self.model.grid),),
            n_best=1,
            device=self.device,
        )


def _confidence(rows: np.ndarray) -> np.ndarray:
    """Return score times phase probability (n,) of predictions (n, n_columns), 0 where none."""
    score, probability = (rows[:, COLUMNS.index(c)] for c in ("score", "phase_probability"))
    # A model may say nothing about its phase.
    return np.nan_to_num(score * np.where(np.isnan(probability), 1, probability), nan=0.0)


def mean_confidence(read: SampleReader, geometry: DetectorGeometry) -> float:
    """Return the mean confidence over the better half of a sample: vacuum does not count.

    Parameters
    ----------
    read
        The sample and the model.
    geometry
        To read it with.
    """
    confidence = np.sort(read(geometry).confidence)[::-1]
    return float(confidence[: -(-len(confidence) // 2)].mean())


def find_start(read: SampleReader, geometry: DetectorGeometry) -> DetectorGeometry | None:
    """Return a geometry with which the model recognises its phase.

    Parameters
    ----------
    read
        The sample and the model.
    geometry
        As given.

    Returns
    -------
    geometry
        The given one if that will do; else the nearest of several scales that will, with the given
        centre or the brightest spot, or the best of them. None if the model recognises nothing.
    """
    if mean_confidence(read, geometry) >= _RECOGNISED:
        return geometry
    candidates = [geometry]
    try:
        candidates.append(geometry.with_center(find_center(read.patterns).center))
    except ValueError:  # no direct beam, or none that is bright
        pass
    best, confidence = None, _UNKNOWN
    for factor in _FACTORS:
        for one in candidates:
            if not _is_possible(one, factor):
                continue
            tried = replace(one, scale=(one.scale[0] * factor, one.scale[1] * factor))
            found = _confidence_or_zero(read, tried)
            best, confidence = (tried, found) if found >= confidence else (best, confidence)
        if confidence >= _RECOGNISED:
            break
    return best


def _is_possible(geometry: DetectorGeometry, factor: float) -> bool:
    """Return whether a detector may have such a scale."""
    try:
        replace(geometry, scale=(geometry.scale[0] * factor, geometry.scale[1] * factor))
    except ValueError:
        return False
    return True


def _confidence_or_zero(read: SampleReader, geometry: DetectorGeometry) -> float:
    try:
        return mean_confidence(read, geometry)
    except ValueError:  # the patterns cover no bin of the model's grid
        return 0.0


class Handedness(NamedTuple):
    """What can be told about a mirrored readout.

    Attributes
    ----------
    verdict
        "as given", "mirrored", or None where it cannot be told.
    reason
        Why, in a sentence.
    confidences
        Mean confidence as given and mirrored.
    """

    verdict: str | None
    reason: str
    confidences: tuple[float, float]


def tell_handedness(read: SampleReader, geometry: DetectorGeometry) -> Handedness:
    """Compare patterns as they are read out with their mirror images.

    The mirror image of a crystal is the same crystal, turned, if its point group holds any
    reflection, inversion or rotoinversion; by Friedel's law, kinematic patterns show every crystal
    with a centre of inversion. Only a model that tells polarity, of a chiral crystal, can
    tell the two apart.

    Parameters
    ----------
    read
        The sample and the model.
    geometry
        The geometry to question.
    """
    mirrored = replace(geometry, flip_x=not geometry.flip_x, ellipse_angle=-geometry.ellipse_angle)
    own, other = read(geometry).confidence, read(mirrored).confidence
    confidences = (float(own.mean()), float(other.mean()))
    crystal = read.model.crystals[read.phase]
    is_chiral = bool(np.all(np.linalg.det(crystal.point_group_matrices()) > 0))
    if not read.model.polarity:
        reason = (
            "cannot be told: the model was trained on patterns that obey Friedel's law, and their "
            "mirror images are patterns of the same crystal"
        )
        return Handedness(None, reason, confidences)
    if not is_chiral:
        reason = (
            "cannot be told: the crystal is not chiral, so that its mirror image is the same "
            "crystal in another orientation"
        )
        return Handedness(None, reason, confidences)
    return Handedness(*_judge(own, other), confidences)


def _judge(own: np.ndarray, other: np.ndarray) -> tuple[str | None, str]:
    """Return verdict and reason from paired confidences (n,) as given and mirrored."""
    difference = np.asarray(own, dtype=float) - other
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    sigmas = float(difference.mean() / max(error, 1e-12))
    told = f"the mean confidence differs by {sigmas:+.1f} standard errors"
    if abs(sigmas) < _SIGMAS:
        return None, f"cannot be told: {told}, less than {_SIGMAS:g}"
    verdict = "as given" if sigmas > 0 else "mirrored"
    return verdict, f"{told}; this holds if the model has the specimen's enantiomorph"


def beam_wander(patterns: np.ndarray) -> float:
    """Return the spread of the direct beam's position in pixels, NaN if there is none.

    Parameters
    ----------
    patterns
        Shape (n, rows, columns).
    """
    try:
        shifts = find_center(patterns).shifts
    except ValueError:
        return float("nan")
    shifts = shifts[np.isfinite(shifts).all(axis=-1)]
    if not len(shifts):
        return float("nan")
    # Of the normal distribution, the median of the distance is 1.18 times its spread.
    return float(np.median(np.hypot(*(shifts - np.median(shifts, axis=0)).T)) / 1.18)


def estimate_seconds(
    sample: PatternSample, read: SampleReader, geometry: DetectorGeometry, data: Any
) -> float:
    """Return the estimated time of mapping all of some data.

    The sample is predicted by as many threads at once as dask uses, so that the cores' real share
    counts; a GPU serves one block after the other. Reading was timed on one thread.

    Parameters
    ----------
    sample
        Of the data.
    read
        The same sample and the model.
    geometry
        To read with.
    data
        All patterns, shape (navigation..., rows, columns).
    """
    from dask.system import CPU_COUNT

    blocks = in_blocks(data)
    threads = min(CPU_COUNT, int(np.prod([len(sizes) for sizes in blocks.chunks[:-2]])))
    workers = threads if read.device == "cpu" else 1
    predictor = read.predictor(geometry)
    predictor(read.patterns[:1])  # compiles
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(predictor, [read.patterns] * (_ROUNDS * workers)))
    predicting = (time.perf_counter() - start) / (_ROUNDS * workers * len(read.patterns))
    reading = sample.seconds / sample.n_read
    return int(np.prod(data.shape[:-2])) * (reading / threads + predicting)
