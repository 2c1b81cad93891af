"""What live indexing says about the patterns of one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_choice
from pyxem_cnn.indexing.block import COLUMNS

if TYPE_CHECKING:
    from orix.quaternion import Rotation

__all__ = ["LiveResult"]

_IDENTITY = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class LiveResult:
    """Orientations of the patterns of one call, best first, and how long they took.

    One pattern, (rows, columns), gives arrays that start with the axis n_best; a batch, (n, rows,
    columns), gives arrays that start with (n, n_best).

    Attributes
    ----------
    first
        Number of the first of these patterns in the scan, from 0.
    latency
        Milliseconds from the call to the result, waiting for other calls included.
    rows
        All numbers, shape (..., n_best, n_columns), float32, read-only; the last axis holds the
        columns of :class:`pyxem_cnn.OrientationPrediction`. NaN where nothing was indexed, but for
        the phase.
    """

    first: int
    latency: float
    rows: np.ndarray = field(repr=False)

    def column(self, name: str) -> np.ndarray:
        """Return one column of `rows`.

        Parameters
        ----------
        name
            Such as "score" or "vacuum_probability", see :class:`pyxem_cnn.OrientationPrediction`.

        Returns
        -------
        values
            Shape (..., n_best).

        Raises
        ------
        ValueError
            If there is no such column.
        """
        check_choice("column", name, COLUMNS)
        return self.rows[..., COLUMNS.index(name)]

    @property
    def quaternions(self) -> np.ndarray:
        """Orientations, lab to crystal, scalar first, shape (..., n_best, 4); NaN where none."""
        first = COLUMNS.index("a")
        return self.rows[..., first : first + 4]

    @property
    def rotations(self) -> Rotation:
        """Orientations as orix rotations, shape (..., n_best); the identity where there is none."""
        from orix.quaternion import Rotation

        quaternions = self.quaternions.astype(np.float64)
        quaternions[~np.isfinite(quaternions).all(axis=-1)] = _IDENTITY
        return Rotation(quaternions)

    @property
    def scores(self) -> np.ndarray:
        """Probability of each orientation, 0 to 1, shape (..., n_best)."""
        return self.column("score")

    @property
    def phase(self) -> np.ndarray:
        """Place of each orientation's phase, -1 where nothing was indexed, shape (..., n_best)."""
        return self.column("phase_id").astype(int)

    @property
    def reliability(self) -> np.ndarray:
        """Of the best orientation against the next different one, 0 to 100, shape (...)."""
        return self.column("reliability")[..., 0]

    @property
    def phase_probability(self) -> np.ndarray:
        """Probability of the best orientation's phase, 0 to 1, shape (...)."""
        return self.column("phase_probability")[..., 0]

    def __repr__(self) -> str:
        """Return in one line which patterns these are, how many were indexed, and the latency."""
        best = self.phase[..., 0]
        which = f"pattern {self.first}"
        if best.ndim:
            which = f"patterns {self.first} to {self.first + best.size - 1}"
        indexed = f"{int((best >= 0).sum())} of {best.size} indexed"
        return f"LiveResult({which}, {indexed}, {self.latency:.1f} ms)"
