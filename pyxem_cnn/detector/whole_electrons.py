"""Electrons stay whole: counts of coarse pixels go to single bins, not to shares of several.

A pixel near the direct beam covers several polar bins. The mean over an area gives each of them a
share of an electron; the square roots of the shares add up to more than that of the whole, and
neighbouring bins are no longer independent. Networks learn counts of bins. At low doses, where a
pixel has one electron or none, that is the difference between the noise that a network knows and
another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyxem_cnn.detector.resampling import ResamplingOperator

__all__ = ["WholeElectrons"]

# Patterns with more counts on the grid keep shares: they have little noise, and take longer.
MOST_ELECTRONS = 20_000


class WholeElectrons:
    """Bins of patterns that are counted electrons, every electron in one bin.

    Where in its pixel an electron is, nobody knows: it goes to a bin that a pseudo-random number
    chooses, with the bins' shares of the pixel's area as probabilities. The numbers depend on the
    pattern's own counts: the same pattern has the same bins in every block of every scan.

    Parameters
    ----------
    operator
        For the patterns' geometry and the grid.
    """

    def __init__(self, operator: ResamplingOperator) -> None:
        area = operator.covered_area.ravel()
        share = operator.matrix.tocsc()
        share.sort_indices()
        self._first, self._bins = share.indptr.astype(np.int64), share.indices.astype(np.int32)
        columns = np.repeat(np.arange(share.shape[1]), np.diff(share.indptr))
        portion = share.data * area[self._bins]
        total = np.cumsum(portion)
        before = np.concatenate([[0.0], total])[share.indptr[columns]]
        self._cumulative = (total - before).astype(np.float32)
        self._area = area.astype(np.float32)
        with np.errstate(divide="ignore"):
            self._weight = np.where(area > 0, 1 / area, 0).astype(np.float32)

    def __call__(self, counts: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return values of a block, those of patterns with few electrons counted anew.

        Parameters
        ----------
        counts
            Raw patterns, shape (n, rows, columns).
        values
            Of the operator for these patterns, shape (n, *grid.shape); changed in place.

        Returns
        -------
        values
            The same array. Patterns with fractions, negative or not finite numbers stay as they
            are.
        """
        chosen = self._chosen(counts, values)
        if not chosen.size:
            return values
        from pyxem_cnn.detector.resampling import native
        from pyxem_cnn.detector.whole_electrons_kernel import count_whole

        flat = native(counts[chosen].reshape(len(chosen), -1))
        found = np.zeros((len(chosen), self._weight.size), dtype=np.float32)
        count_whole(flat, self._first, self._bins, self._cumulative, self._weight, found)
        values[chosen] = found.reshape(len(chosen), *values.shape[1:])
        return values

    def _chosen(self, counts: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the numbers of the patterns that are counted electrons, and not too many."""
        # The pattern is the fastest axis in memory: no copy.
        by_bin = np.moveaxis(values, 0, -1).reshape(-1, len(values))
        with np.errstate(invalid="ignore"):
            electrons = self._area @ by_bin
            few = (electrons > 0) & (electrons < MOST_ELECTRONS)  # NaN compares False
        chosen = np.flatnonzero(few)
        if not chosen.size or counts.dtype.kind in ("b", "u"):
            return chosen
        patterns = counts[chosen]
        whole = (patterns >= 0).all(axis=(1, 2))
        if counts.dtype.kind == "f":
            whole &= (patterns == np.rint(patterns)).all(axis=(1, 2))
        return chosen[whole]
