"""One block of raw patterns to one block of predictions: what dask maps over a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn._torch import limit_threads
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.indexing.devices import batch_size_on, devices_here, predict_in_turn
from pyxem_cnn.model.handle import ModelHandle
from pyxem_cnn.rotations import multiply

if TYPE_CHECKING:
    from pyxem_cnn.detector.resampling import ResamplingOperator
    from pyxem_cnn.model import OrientationModel
    from pyxem_cnn.targets import Decoded

__all__ = ["COLUMNS", "LEFT_OUT", "NOT_INDEXED", "BlockPredictor"]

COLUMNS = (
    *("phase_id", "score", "a", "b", "c", "d", "reliability", "phase_probability"),
    *("thickness", "share", "entropy", "vacuum_probability", "amorphous_probability"),
)
"""What stands in the last axis of a prediction, in order."""

NOT_INDEXED = -1.0
LEFT_OUT = np.nan  # phase id of masked scan positions

_PHASE, _SCORE, _QUATERNION, _RELIABILITY, _PROBABILITY = 0, 1, slice(2, 6), 6, 7
# What not every network tells: fields of Decoded that are columns by the same name.
_OPTIONAL = {name: COLUMNS.index(name) for name in COLUMNS[8:]}


class _Part(NamedTuple):
    """What one model says of a batch."""

    rows: np.ndarray  # (n, n_best, n_columns)
    any_phase: np.ndarray  # (n,), probability that it is one of the model's phases, or NaN


@dataclass(frozen=True)
class BlockPredictor:
    """Resample, predict and, for several models, let the phases compete.

    Can be pickled: models travel as bytes and are loaded once for each process, when a block is
    there to be predicted.

    Attributes
    ----------
    models
        Each of one or several phases; the phase ids run over all phases of all models.
    operators
        One for each model, from raw pixels to the model's grid.
    n_best
        Orientations for each pattern.
    batch_size
        Patterns that a network sees at once, None for what suits the device.
    device
        "auto", or the name of a torch device, in whichever process the block is.
    to_scan
        Quaternion on the lab side that turns orientations into the scan's frame; None for the
        detector's frame.
    """

    models: tuple[OrientationModel | ModelHandle, ...]
    operators: tuple[ResamplingOperator, ...]
    n_best: int
    batch_size: int | None = None
    device: str = "auto"
    to_scan: tuple[float, ...] | None = None

    def __call__(
        self,
        patterns: np.ndarray,
        left_out: np.ndarray | None = None,
        shifts: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the predictions of a block.

        Parameters
        ----------
        patterns
            Raw patterns, shape (..., rows, columns).
        left_out
            Patterns not to look at are True, shape (...).
        shifts
            Position (x, y) of the beam less the geometry's centre in pixels, shape (..., 2).

        Returns
        -------
        predictions
            Shape (..., n_best, n_columns), float32; the last axis holds `COLUMNS`.
        """
        navigation = patterns.shape[:-2]
        n = int(np.prod(navigation))
        flat = patterns.reshape(n, *patterns.shape[-2:])
        result = np.full((n, self.n_best, len(COLUMNS)), np.nan, dtype=np.float32)
        wanted = np.arange(n) if left_out is None else np.flatnonzero(~left_out.reshape(n))
        result[wanted, :, _PHASE] = NOT_INDEXED
        moved = None if shifts is None else np.asarray(shifts).reshape(n, 2)
        device = devices_here(self.device)[0]
        batch_size = batch_size_on(device, self.batch_size)
        # Threads of dask already fill the cores.
        with limit_threads(1 if device == "cpu" else None):
            for start in range(0, len(wanted), batch_size):
                chosen = wanted[start : start + batch_size]
                batch = flat if len(chosen) == n else flat[chosen]
                result[chosen] = self._predict(batch, None if moved is None else moved[chosen])
        return result.reshape(*navigation, self.n_best, len(COLUMNS))

    def _predict(self, patterns: np.ndarray, shifts: np.ndarray | None) -> np.ndarray:
        """Return (n, n_best, n_columns) of a batch."""
        parts, first_phase = [], 0
        for source, operator in zip(self.models, self.operators, strict=True):
            model = source.load() if isinstance(source, ModelHandle) else source
            parts.append(self._one_model(first_phase, model, operator, patterns, shifts))
            first_phase += len(model.crystals)
        rows = parts[0].rows if len(parts) == 1 else _compete(parts, self.n_best)
        if self.to_scan is not None:
            turn = np.asarray(self.to_scan, dtype=np.float32)
            rows[..., _QUATERNION] = multiply(rows[..., _QUATERNION], turn)
        return rows

    def _one_model(
        self,
        first_phase: int,
        model: OrientationModel,
        operator: ResamplingOperator,
        patterns: np.ndarray,
        shifts: np.ndarray | None,
    ) -> _Part:
        """Return what one model says; patterns that it cannot read are not indexed."""
        counts, mask = resampled(operator, patterns, shifts)
        rows = np.full((len(counts), self.n_best, len(COLUMNS)), np.nan, dtype=np.float32)
        rows[..., _PHASE] = NOT_INDEXED
        any_phase = np.full(len(counts), np.nan, dtype=np.float32)
        readable = _readable(counts)
        if not readable.any():
            return _Part(rows, any_phase)
        if not readable.all():
            counts, mask = counts[readable], (mask[readable] if mask.ndim == 3 else mask)
        devices = devices_here(self.device)
        decoded = predict_in_turn(model, counts, mask, self.n_best, devices)
        rows[readable] = _rows(decoded, first_phase)
        several = decoded.any_phase_probability
        any_phase[readable] = decoded.phase_probability[:, 0] if several is None else several
        return _Part(rows, any_phase)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the models' bytes: who only passes them on, such as a scheduler, loads nothing."""
        handles = tuple(ModelHandle.of(one) for one in self.models)
        return {**self.__dict__, "models": handles}


def _rows(decoded: Decoded, first_phase: int) -> np.ndarray:
    """Return decoded orientations as rows (n, n_best, n_columns), NaN where there is none."""
    rows = np.full((*decoded.scores.shape, len(COLUMNS)), np.nan, dtype=np.float32)
    rows[..., _SCORE] = decoded.scores
    rows[..., _QUATERNION] = decoded.quaternions
    rows[..., _RELIABILITY] = decoded.reliability[:, None]
    rows[..., _PROBABILITY] = decoded.phase_probability
    for name, column in _OPTIONAL.items():
        values = getattr(decoded, name)
        if values is not None:
            rows[..., column] = values if values.ndim == 2 else values[:, None]
    found = np.isfinite(rows[..., _QUATERNION]).all(axis=-1)
    rows[~found] = np.nan
    phase = 0 if decoded.phase is None else decoded.phase.numpy()
    rows[..., _PHASE] = np.where(found, first_phase + phase, NOT_INDEXED)
    return rows


def resampled(
    operator: ResamplingOperator, patterns: np.ndarray, shifts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return patterns on a network's grid, electrons whole where they are few, and the mask.

    Parameters
    ----------
    operator
        For the patterns.
    patterns
        Raw patterns, shape (n, rows, columns).
    shifts
        As the operator takes them.
    """
    values, mask = operator(patterns, shifts)
    if isinstance(operator.geometry, DetectorGeometry):
        values = operator.whole_electrons(patterns, values, mask, shifts)
    return values, mask


def _readable(counts: np.ndarray) -> np.ndarray:
    """Return which patterns (n, ...) are finite and hold any counts at all, shape (n,)."""
    # Extremes tell both: NaN survives either of them.
    flat = counts.reshape(len(counts), -1)
    largest = flat.max(axis=1)
    return np.isfinite(largest) & np.isfinite(flat.min(axis=1)) & (largest > 0)


def _compete(parts: list[_Part], n_best: int) -> np.ndarray:
    """Merge what several models say into rows (n, n_best, n_columns).

    The first row is the best orientation of the model whose best orientation has the likeliest
    phase; the others follow by the probability that both phase and orientation are right.
    """
    rows = np.concatenate([part.rows for part in parts], axis=1)
    missing = rows[..., _PHASE] == NOT_INDEXED
    score = np.nan_to_num(rows[..., _SCORE], nan=0.0)
    # A score takes for granted that the pattern is of one of its model's phases, and says already
    # of which: the probability of the rank's own phase would count that twice.
    any_phase = np.repeat(np.stack([part.any_phase for part in parts], axis=1), n_best, axis=1)
    # For a model that says nothing about its phases, the score has to stand in.
    joint = score * np.where(np.isnan(any_phase), score, any_phase)
    probability = rows[..., _PROBABILITY]
    probability = np.where(np.isnan(probability), score, probability)
    first_of_model = np.arange(rows.shape[1]) % n_best == 0
    # Between equal probabilities, such as unknown ones, the score decides, not the order of models.
    decisive = probability.astype(np.float64) + 1e-9 * joint
    winner = np.where(first_of_model & ~missing, decisive, -1).argmax(axis=1)
    joint[np.arange(len(rows)), winner] = 2
    order = np.argsort(np.where(missing, 2, -joint), axis=1, kind="stable")[:, :n_best]
    return np.take_along_axis(rows, order[..., None], axis=1)
