"""Electrons stay whole: counts of coarse pixels go to single bins, not to shares of several.

A pixel near the direct beam covers several polar bins. The mean over an area gives each of them a
share of an electron; the square roots of the shares add up to more than that of the whole, and
neighbouring bins are no longer independent. Networks learn counts of bins. At low doses, where a
pixel has one electron or none, that is the difference between the noise that a network knows and
another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pyxem_cnn.detector.resampling import Moved, ResamplingOperator

__all__ = ["WholeElectrons"]

# Patterns with more counts on the grid keep shares: they have little noise, and take longer.
MOST_ELECTRONS = 20_000
# Pixels that are looked at at a time.
_PIECE = 1 << 21


class _Pixels(NamedTuple):
    """Which bins each pixel lies in, and by what share of its area.

    Attributes
    ----------
    first, bins, cumulative
        As the kernel takes them.
    area
        Of each bin in pixels, shape (n_bins,).
    offsets
        Pixels as (row, column) from where a beam is, shape (n_pixels, 2); None for those of the
        detector.
    """

    first: np.ndarray
    bins: np.ndarray
    cumulative: np.ndarray
    area: np.ndarray
    offsets: np.ndarray | None = None


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
        self._operator = operator
        self._pixels = _pixels(operator.matrix, operator.covered_area.ravel())
        self._moved: dict[tuple[int, int], _Pixels] = {}

    def __call__(
        self,
        counts: np.ndarray,
        values: np.ndarray,
        coverage: np.ndarray | None = None,
        shifts: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return values of a block, those of patterns with few electrons counted anew.

        Parameters
        ----------
        counts
            Raw patterns, shape (n, rows, columns).
        values
            Of the operator for these patterns, shape (n, *grid.shape); changed in place.
        coverage, shifts
            Where the beam wanders: the operator's coverage, of the shape of the values, and what
            it was called with, shape (n, 2).

        Returns
        -------
        values
            The same array. Patterns with fractions, negative or not finite numbers stay as they
            are.
        """
        if shifts is None:
            self._count(self._pixels, counts, values, np.arange(len(counts)))
            return values
        for moved in self._operator.moved(np.asarray(shifts, dtype=np.float64)):
            self._count(self._of_beam(moved.key), counts, values, moved.patterns, coverage, moved)
        return values

    def _count(
        self,
        pixels: _Pixels,
        counts: np.ndarray,
        values: np.ndarray,
        patterns: np.ndarray,
        coverage: np.ndarray | None = None,
        moved: Moved | None = None,
    ) -> None:
        """Count the electrons of some of the patterns into bins."""
        covered = None if coverage is None else coverage[patterns]
        own = values if len(patterns) == len(values) else values[patterns]
        electrons = _electrons(own, pixels.area, covered)
        few = np.flatnonzero((electrons > 0) & (electrons < MOST_ELECTRONS))  # NaN compares False
        few = few[_is_counted(counts, patterns[few])]
        n = max(1, _PIECE // max(1, len(pixels.first)))
        for piece in (few[i : i + n] for i in range(0, len(few), n)):
            chosen = patterns[piece]
            if moved is None:
                flat = counts[chosen].reshape(len(piece), -1)
            else:
                flat = self._around(counts, chosen, moved.origins[piece], pixels)
            found = _counted(pixels, flat).reshape(len(piece), *values.shape[1:])
            if covered is not None:
                share = covered[piece]
                found = np.where(share > 0, found / np.where(share > 0, share, 1), 0)
            values[chosen] = found

    def _around(
        self, counts: np.ndarray, patterns: np.ndarray, origins: np.ndarray, pixels: _Pixels
    ) -> np.ndarray:
        """Return the counts of pixels around the beams, 0 where there are none, (n, n_pixels)."""
        place = pixels.offsets + origins[:, None]  # (n, n_pixels, 2)
        size = np.array(counts.shape[1:])
        inside = ((place >= 0) & (place < size)).all(-1)
        row, column = np.moveaxis(place.clip(0, size - 1), -1, 0)
        inside &= self._operator.valid[row, column]
        return np.where(inside, counts[patterns[:, None], row, column], 0).astype(counts.dtype)

    def _of_beam(self, key: tuple[int, int]) -> _Pixels:
        """Return the pixels about a beam that lies in some quarter of a pixel."""
        if key not in self._moved:
            from scipy import sparse

            matrix, area = self._operator.shifted_matrix(key)
            shape = (matrix.indptr.size - 1, len(matrix.pixels))
            rows = sparse.csr_array((matrix.weights, matrix.index, matrix.indptr), shape=shape)
            self._moved[key] = _pixels(rows, area)._replace(offsets=matrix.pixels)
        return self._moved[key]


def _pixels(matrix: Any, area: np.ndarray) -> _Pixels:
    """Return the pixels of an operator (bins, pixels) that takes means over areas (bins,)."""
    share = matrix.tocsc()
    share.sort_indices()
    first, bins = share.indptr.astype(np.int64), share.indices.astype(np.int32)
    columns = np.repeat(np.arange(share.shape[1]), np.diff(first))
    total = np.cumsum(share.data * area[bins])
    before = np.concatenate([[0.0], total])[first[columns]]
    return _Pixels(first, bins, (total - before).astype(np.float32), area.astype(np.float32))


def _counted(pixels: _Pixels, counts: np.ndarray) -> np.ndarray:
    """Return counts (n, n_pixels) as means over bins that are covered as a whole, (n, n_bins)."""
    from pyxem_cnn.detector.resampling import native
    from pyxem_cnn.detector.whole_electrons_kernel import count_whole

    with np.errstate(divide="ignore"):
        weight = np.where(pixels.area > 0, 1 / pixels.area, 0).astype(np.float32)
    found = np.zeros((len(counts), weight.size), dtype=np.float32)
    count_whole(native(counts), pixels.first, pixels.bins, pixels.cumulative, weight, found)
    return found


def _electrons(values: np.ndarray, area: np.ndarray, coverage: np.ndarray | None) -> np.ndarray:
    """Return how many electrons patterns of means have on the grid, shape (n,)."""
    with np.errstate(invalid="ignore"):
        if coverage is not None:
            values = values * coverage
        # The pattern is the fastest axis in memory: no copy.
        return area @ np.moveaxis(values, 0, -1).reshape(-1, len(values))


def _is_counted(counts: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Return which of some patterns hold whole numbers of electrons, shape (n,)."""
    if counts.dtype.kind in ("b", "u"):
        return np.ones(len(patterns), dtype=bool)
    chosen = counts[patterns]
    whole = (chosen >= 0).all(axis=(1, 2))
    if counts.dtype.kind == "f":
        whole &= (chosen == np.rint(chosen)).all(axis=(1, 2))
    return whole
