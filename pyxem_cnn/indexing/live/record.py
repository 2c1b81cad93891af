"""The growing record of live indexing: what has arrived so far, and how long it took."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

import numpy as np

from pyxem_cnn._checks import check_positive
from pyxem_cnn.indexing.block import COLUMNS, LEFT_OUT

__all__ = ["LatencySummary", "LiveRecord"]

_SMALLEST = 1024
# Calls of which the latency is kept.
_CALLS = 10_000


class LatencySummary(NamedTuple):
    """How long calls took from the arrival of their patterns to their result.

    Attributes
    ----------
    n_calls
        Number of calls, of which the last 10,000 count.
    median, percentile_95, maximum
        In milliseconds, NaN before the first call.
    """

    n_calls: int
    median: float
    percentile_95: float
    maximum: float

    def __str__(self) -> str:
        """Return the numbers with their unit."""
        return (
            f"median {self.median:.1f} ms, 95th percentile {self.percentile_95:.1f} ms, "
            f"maximum {self.maximum:.1f} ms of {self.n_calls} calls"
        )


class LiveRecord:
    """Predictions of all patterns by their number in the scan; several threads may write.

    Parameters
    ----------
    n_best
        Orientations for each pattern.
    """

    def __init__(self, n_best: int) -> None:
        self._lock = threading.Lock()
        self._rows = np.full((0, n_best, len(COLUMNS)), LEFT_OUT, dtype=np.float32)
        self._taken = np.zeros(0, dtype=bool)
        self._next = 0
        self._n_written = 0
        self._latencies: deque[float] = deque(maxlen=_CALLS)
        self._n_calls = 0

    def __len__(self) -> int:
        """Return how many patterns have a result."""
        return self._n_written

    @property
    def end(self) -> int:
        """The number after that of the last pattern."""
        return self._next

    def reserve(self, n: int, first: int | None = None) -> int:
        """Return the number of the first of n patterns, which belong to the caller from now on.

        Parameters
        ----------
        n
            How many.
        first
            Their first number, by default the one after the last pattern.

        Raises
        ------
        ValueError
            If one of the numbers is taken.
        """
        if first is not None:
            check_positive("first", first, integer=True, allow_zero=True)
        with self._lock:
            first = self._next if first is None else int(first)
            self._grow(first + n)
            taken = np.flatnonzero(self._taken[first : first + n])
            if taken.size:
                raise ValueError(
                    f"Pattern {first + taken[0]} was indexed before. Expected: every pattern once. "
                    "Leave out first= for the next free numbers, or start anew with reset()."
                )
            self._taken[first : first + n] = True
            self._next = max(self._next, first + n)
            return first

    def release(self, n: int, first: int) -> None:
        """Give numbers back for which there is no result, since something failed.

        Parameters
        ----------
        n, first
            As reserved.
        """
        with self._lock:
            self._taken[first : first + n] = False
            taken = np.flatnonzero(self._taken)
            self._next = int(taken[-1]) + 1 if taken.size else 0

    def write(self, first: int, rows: np.ndarray, latency: float) -> None:
        """Keep what was predicted.

        Parameters
        ----------
        first
            The number of the first pattern.
        rows
            Predictions (n, n_best, n_columns).
        latency
            In milliseconds.
        """
        with self._lock:
            self._rows[first : first + len(rows)] = rows
            self._n_written += len(rows)
            self._latencies.append(latency)
            self._n_calls += 1

    def read(self, first: int, n: int) -> np.ndarray:
        """Return a copy of predictions (n, n_best, n_columns), NaN for what has not arrived.

        Parameters
        ----------
        first, n
            Which.
        """
        with self._lock:
            rows = np.full((n, *self._rows.shape[1:]), LEFT_OUT, dtype=np.float32)
            known = self._rows[first : first + n]
            rows[: len(known)] = known
            return rows

    def latency(self) -> LatencySummary:
        """Return how long the last calls took."""
        with self._lock:
            values = np.array(self._latencies)
        if not values.size:
            return LatencySummary(0, np.nan, np.nan, np.nan)
        median, high = np.percentile(values, [50, 95])
        return LatencySummary(self._n_calls, float(median), float(high), float(values.max()))

    def _grow(self, n: int) -> None:
        """Make room for n patterns, at least doubling it; the lock is held."""
        if n <= len(self._taken):
            return
        more = max(n, 2 * len(self._taken), _SMALLEST) - len(self._taken)
        rows = np.full((more, *self._rows.shape[1:]), LEFT_OUT, dtype=np.float32)
        self._rows = np.concatenate([self._rows, rows])
        self._taken = np.concatenate([self._taken, np.zeros(more, dtype=bool)])
