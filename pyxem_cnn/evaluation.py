"""How right a network is on held-out patterns, and how far its scores can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn.metrics import (
    ErrorSummary,
    expected_calibration_error,
    modulo_twins,
    summarize_errors,
)

if TYPE_CHECKING:
    import torch

    from pyxem_cnn.datasets import PatternSource
    from pyxem_cnn.simulation.kinematic import KinematicSimulator
    from pyxem_cnn.targets.score_calibration import ScoreCalibration
    from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget
    from pyxem_cnn.training import TrainingConfig

__all__ = ["Evaluation", "Predictions", "evaluate", "fit_calibration", "predictions"]

_BATCH = 256
# Scores above this should be right nearly always.
_CONFIDENT = 0.9
_RIGHT = 5.0  # degrees
# Seeds of the patterns that networks are measured with, and calibrated with.
_SEED, _CALIBRATION_SEED = 1_000_003, 2_000_003


class Predictions(NamedTuple):
    """What a network said about patterns, and what they are.

    Attributes
    ----------
    degrees
        Disorientation of the best orientation, infinite for the wrong phase, shape (n,).
    scores
        Its score, shape (n,).
    truth, found
        Quaternions, shape (n, 4).
    phase, found_phase
        Shape (n,).
    thickness, found_thickness
        In angstrom, NaN where not known, shape (n,).
    """

    degrees: np.ndarray
    scores: np.ndarray
    truth: np.ndarray
    found: np.ndarray
    phase: np.ndarray
    found_phase: np.ndarray
    thickness: np.ndarray
    found_thickness: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """Errors of a network on patterns of one kind.

    Attributes
    ----------
    errors
        Of the orientations.
    right_phase
        Share of patterns whose phase was found, in percent.
    thickness_error
        Median error of the thickness in angstrom among right orientations; None where the network
        or the simulation does not tell.
    calibration_error
        Expected calibration error of the scores in ten bins, 0 to 1.
    confident, confident_right
        Share of patterns with a score above 0.9, and how many of these are right within 5 degrees,
        in percent; the latter None if there are none.
    """

    errors: ErrorSummary
    right_phase: float
    thickness_error: float | None
    calibration_error: float
    confident: float
    confident_right: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as one JSON-able dictionary."""
        numbers = asdict(self)
        return numbers.pop("errors") | numbers


def evaluate(
    network: torch.nn.Module,
    target: ZoneInPlaneTarget,
    sources: dict[str, PatternSource],
    config: TrainingConfig,
    seed: int = 0,
    simulators: Sequence[KinematicSimulator] | None = None,
) -> dict[str, Evaluation]:
    """Return the errors of a network for each validation source.

    Parameters
    ----------
    network
        In evaluation mode.
    target
        Decodes its outputs.
    sources
        Named sources; ``train`` is left out.
    config
        For the number of patterns.
    seed
        Of the patterns.
    simulators
        Of each phase; if given, errors are also counted modulo pseudo-symmetric twins.
    """
    evaluations = {}
    for name, source in sources.items():
        if name != "train":
            n = config.validation_patterns
            found = predictions(network, target, source, n, _SEED + seed)
            evaluations[name] = _evaluation(found, source, simulators)
    return evaluations


def fit_calibration(
    network: torch.nn.Module,
    target: ZoneInPlaneTarget,
    sources: dict[str, PatternSource],
    config: TrainingConfig,
) -> ScoreCalibration:
    """Return the calibration of scores that suits the held-out patterns of all doses.

    Parameters
    ----------
    network, target, sources, config
        As of :func:`evaluate`; the patterns are others, in numbers as their settings are learnt.
    """
    from pyxem_cnn.targets.score_calibration import ScoreCalibration

    target.calibration = None
    held_out = [source for name, source in sources.items() if name != "train"]
    total = sum(source.weight for source in held_out)
    parts = [
        predictions(
            network,
            target,
            source,
            math.ceil(config.validation_patterns * source.weight / total),
            _CALIBRATION_SEED,
        )
        for source in held_out
    ]
    scores = np.concatenate([part.scores for part in parts])
    degrees = np.concatenate([part.degrees for part in parts])
    return ScoreCalibration.fit(scores, degrees <= _RIGHT)


def predictions(
    network: torch.nn.Module,
    target: ZoneInPlaneTarget,
    source: PatternSource,
    n: int,
    seed: int,
) -> Predictions:
    """Return what a network says about patterns of a source.

    Parameters
    ----------
    network
        In evaluation mode.
    target
        Decodes its outputs.
    source
        Of patterns without decoys.
    n
        Number of patterns, rounded up to whole batches.
    seed
        Of the patterns.
    """
    import torch

    from pyxem_cnn.datasets import Batch
    from pyxem_cnn.rotations import disorientation_angle

    device = next(network.parameters()).device
    batches, blocks = source.batches(_BATCH, seed, device), []
    for _ in range(math.ceil(n / _BATCH)):
        batch = next(batches)
        with torch.no_grad():
            outputs = network(batch.counts, batch.mask)
        batch = Batch(*(x.cpu() for x in batch))
        decoded = target.decode({key: value.cpu() for key, value in outputs.items()}, 1)
        found, phase = decoded.quaternions[:, 0], decoded.phase[:, 0]
        angle = torch.full((len(found),), math.inf)
        for i, group in enumerate(target.all_symmetry):
            own = (batch.kind == i) & (phase == i)
            symmetry = torch.as_tensor(group, dtype=torch.float32)
            angle[own] = disorientation_angle(batch.orientation[own], found[own], symmetry)
        thickness = decoded.thickness
        thickness = torch.full_like(angle, math.nan) if thickness is None else thickness[:, 0]
        row = (angle.rad2deg(), decoded.scores[:, 0], batch.orientation, found, batch.kind, phase)
        blocks.append([x.numpy() for x in (*row, batch.thickness, thickness)])
    return Predictions(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def _evaluation(
    p: Predictions, source: PatternSource, simulators: Sequence[KinematicSimulator] | None
) -> Evaluation:
    """Return the figures of predictions."""
    twins = None
    if simulators is not None:
        twins = p.degrees.copy()
        for i, simulator in enumerate(simulators):
            own = (p.phase == i) & (p.found_phase == i)
            truth, found = p.truth[own], p.found[own]
            twins[own] = modulo_twins(p.degrees[own], simulator, truth, found, source.grid)
    right = p.degrees <= _RIGHT
    off = np.abs(p.thickness - p.found_thickness)[right]
    confident = p.scores > _CONFIDENT
    # No score is no trust; rounded sums of probabilities may exceed 1.
    scores = np.clip(np.nan_to_num(p.scores), 0, 1)
    return Evaluation(
        errors=summarize_errors(p.degrees, twins),
        right_phase=100 * float(np.mean(p.phase == p.found_phase)),
        thickness_error=float(np.nanmedian(off)) if np.isfinite(off).any() else None,
        calibration_error=expected_calibration_error(scores, right),
        confident=100 * float(confident.mean()),
        confident_right=100 * float(right[confident].mean()) if confident.any() else None,
    )
