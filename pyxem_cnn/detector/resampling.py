"""One sparse, area-preserving operator from the pixels of a detector to the bins of a grid."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.detector.area_weights import AreaWeights, detector_weights, polar_weights
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid
from pyxem_cnn.detector.polar_geometry import PolarGeometry

if TYPE_CHECKING:
    from pyxem_cnn.detector.whole_electrons import WholeElectrons

__all__ = ["MINIMUM_COVERAGE", "ResamplingOperator"]

# A bin of which less than this share is covered by valid pixels counts as masked.
MINIMUM_COVERAGE = 0.5
# Beam shifts are rounded to whole pixels and this many steps of a pixel.
_STEPS = 4
# Guards the operators that are built when first needed; dask calls from several threads.
_BUILDING = threading.Lock()


class _Sparse(NamedTuple):
    """Rows of a sparse operator over a list of pixels."""

    pixels: np.ndarray
    indptr: np.ndarray
    index: np.ndarray
    weights: np.ndarray


class Moved(NamedTuple):
    """Patterns whose beam lies in the same quarter of a pixel.

    Attributes
    ----------
    key
        Which one: quarters of a pixel (x, y), from 0 to 3.
    patterns
        Their numbers, shape (n,).
    origins
        The pixel (row, column) that offsets count from, shape (n, 2).
    """

    key: tuple[int, int]
    patterns: np.ndarray
    origins: np.ndarray


class ResamplingOperator:
    """Resampling of whole blocks of raw patterns to a polar or square grid.

    Every pixel is cut into subpixels, finer where the bins are small, and the area of each goes
    to the bin that it lies in. A value is the mean number of counts per detector pixel over the
    valid pixels in the bin. Beam centre, pixel size, ellipticity, mask, flips and transposition
    are all inside.

    A bin of which valid pixels cover less than half counts as masked: its value and its
    coverage are 0. Masked pixels have no influence whatever they hold. A pixel that is in use
    and not finite makes the bins that it lies in not finite, in that pattern only: check
    ``np.isfinite(values)``.

    Parameters
    ----------
    geometry
        Of the patterns: :class:`~pyxem_cnn.detector.geometry.DetectorGeometry`, or
        :class:`~pyxem_cnn.detector.polar.PolarGeometry` for patterns that are polar already.
    grid
        Target grid.

    Raises
    ------
    TypeError
        If the geometry or the grid is of another type.
    ValueError
        If the patterns do not cover a single bin of the grid.
    """

    def __init__(
        self, geometry: DetectorGeometry | PolarGeometry, grid: PolarGrid | CartesianGrid
    ) -> None:
        if not isinstance(grid, (PolarGrid, CartesianGrid)):
            raise TypeError(
                given_expected(
                    "grid", grid, "a PolarGrid or CartesianGrid", "A model's own is model.grid."
                )
            )
        if isinstance(geometry, DetectorGeometry):
            entries = detector_weights(geometry, grid)
        elif isinstance(geometry, PolarGeometry):
            entries = polar_weights(geometry, grid)
        else:
            raise TypeError(
                given_expected(
                    "geometry",
                    geometry,
                    "a DetectorGeometry or PolarGeometry",
                    "Use DetectorGeometry.from_signal(signal).",
                )
            )
        self.geometry = geometry
        self.grid = grid
        self._sparse, coverage, covered = _mean_operator(
            entries, geometry, int(np.prod(grid.shape))
        )
        self._covered = covered.reshape(grid.shape)
        if not coverage.any():
            raise ValueError(
                f"The patterns cover no bin of {grid}: the scale, the centre or the mask of "
                f"{geometry} do not fit. Compare the reciprocal radii of the detector and the grid."
            )
        self._coverage = coverage.reshape(grid.shape)
        self._coverage.setflags(write=False)
        self._bank: dict[tuple[int, int], tuple[_Sparse, np.ndarray]] = {}

    def __repr__(self) -> str:
        """Return the sizes in one line."""
        ny, nx = self.geometry.shape
        return (
            f"ResamplingOperator({ny} x {nx} pixels -> {self.grid}, "
            f"{self._sparse.weights.size} entries)"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the bank out of a pickle: it is quickly made again and the larger part."""
        state = {**self.__dict__, "_bank": {}}
        state.pop("whole_electrons", None)
        return state

    @property
    def coverage(self) -> np.ndarray:
        """Share of each bin's area that valid pixels cover, float32 of the grid's shape."""
        return self._coverage

    @cached_property
    def whole_electrons(self) -> WholeElectrons:
        """Count electrons of few-electron patterns into single bins, made when first needed."""
        from pyxem_cnn.detector.whole_electrons import WholeElectrons

        return WholeElectrons(self)

    @property
    def covered_area(self) -> np.ndarray:
        """Area of each bin that valid pixels cover, in pixels, 0 where masked; grid's shape."""
        return self._covered

    @property
    def matrix(self) -> Any:
        """The operator as ``scipy.sparse.csr_array`` (bins, pixels), both flattened in C order."""
        from scipy import sparse

        pixels, indptr, index, weights = self._sparse
        shape = (indptr.size - 1, int(np.prod(self.geometry.shape)))
        return sparse.csr_array((weights, pixels[index], indptr), shape=shape)

    def __call__(
        self, counts: np.ndarray, shifts: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Resample a block of patterns.

        Parameters
        ----------
        counts
            Raw patterns (n, rows, columns) of any integer or float dtype. Native integers and
            floats of 8 to 64 bits are read as they are, without a float copy of the block.
        shifts
            Position (x, y) of the direct beam in each pattern less the geometry's centre, (n, 2),
            in pixels of the raw array. Rounded to quarters of a pixel: the beam is off by at
            most 1/8 pixel along each axis. NaN, or a beam outside the detector, gives a pattern
            of NaN with coverage 0.

        Returns
        -------
        values
            Mean counts per detector pixel (n, \*grid.shape), float32, 0 where masked. The pattern
            is the fastest axis in memory, as the kernels write it and our networks read it.
        coverage
            Share of the bins' area that valid pixels cover, 0 or 0.5 to 1, float32: of the
            grid's shape, or (n, \*grid.shape) with ``shifts``.

        Raises
        ------
        TypeError
            If the counts are neither integers, floats nor bool.
        ValueError
            If shapes do not fit, or shifts are given for polar patterns.
        """
        counts = _check_counts(counts, self.geometry.shape)
        n = counts.shape[0]
        values = np.zeros((int(np.prod(self.grid.shape)), n), dtype=np.float32)
        if shifts is None:
            if n:
                from pyxem_cnn.detector.kernels import resample

                resample(counts.reshape(n, -1), *self._sparse, values)
            return self._per_pattern(values), self._coverage
        shifts = _check_shifts(shifts, n, self.geometry)
        coverage = np.zeros_like(values)
        self._apply_shifted(counts, shifts, values, coverage)
        return self._per_pattern(values), self._per_pattern(coverage)

    def _per_pattern(self, values: np.ndarray) -> np.ndarray:
        """Return values (n_bins, n) as a view of shape (n, *grid.shape)."""
        return np.moveaxis(values.reshape(*self.grid.shape, values.shape[1]), -1, 0)

    def _apply_shifted(
        self, counts: np.ndarray, shifts: np.ndarray, values: np.ndarray, coverage: np.ndarray
    ) -> None:
        """Fill values and coverage, taking patterns of the same quarter pixels together."""
        from pyxem_cnn.detector.kernels import resample_shifted

        values[:] = np.nan
        for key, patterns, origins in self.moved(shifts):
            values[:, patterns] = 0
            resample_shifted(
                counts, self.valid, patterns, origins, *self.shifted_matrix(key)[0],
                np.float32(MINIMUM_COVERAGE), values, coverage,
            )  # fmt: skip

    @property
    def valid(self) -> np.ndarray:
        """Pixels that are not masked, shape (rows, columns)."""
        mask = self.geometry.mask
        return np.ones(self.geometry.shape, dtype=bool) if mask is None else ~mask

    def moved(self, shifts: np.ndarray) -> Iterator[Moved]:
        """Yield patterns of the same quarter pixels together, those whose beam is on the detector.

        Parameters
        ----------
        shifts
            As when called.
        """
        geometry = self.geometry
        ny, nx = geometry.shape
        beams = shifts + np.asarray(geometry.center)
        usable = np.all((beams >= -0.5) & (beams <= (nx - 0.5, ny - 0.5)), axis=1)
        # NaN cannot be rounded to a whole number.
        steps = np.round(np.where(usable[:, np.newaxis], shifts, 0) * _STEPS).astype(np.int64)
        whole, part = np.divmod(steps, _STEPS)
        # Offsets in the bank count from the pixel at the integer part of the centre.
        origins = whole + np.floor(geometry.center).astype(np.int64)
        origins = np.ascontiguousarray(origins[:, ::-1])
        for key in sorted({(int(x), int(y)) for x, y in part[usable]}):
            (patterns,) = np.nonzero(usable & (part == key).all(axis=1))
            yield Moved(key, patterns, origins[patterns])

    def shifted_matrix(self, key: tuple[int, int]) -> tuple[_Sparse, np.ndarray]:
        """Return the operator on a detector without end, and the areas of the bins in pixels.

        Parameters
        ----------
        key
            By how many quarters of a pixel (x, y) the beam is moved.
        """
        with _BUILDING:
            if key not in self._bank:
                self._bank[key] = _boundless_operator(self.geometry, self.grid, key)
            return self._bank[key]


def _mean_operator(
    entries: AreaWeights, geometry: DetectorGeometry | PolarGeometry, n_bins: int
) -> tuple[_Sparse, np.ndarray, np.ndarray]:
    """Return the operator that takes means over valid pixels; covered shares and areas of bins."""
    ny, nx = geometry.shape
    rows, columns = entries.rows, entries.columns
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    if geometry.mask is not None:
        inside[inside] = ~geometry.mask[rows[inside], columns[inside]]
    bins, areas = entries.bins[inside], entries.areas[inside]
    covered = np.bincount(bins, areas, minlength=n_bins)
    coverage = covered / np.where(entries.totals > 0, entries.totals, 1)
    # Sums of thousands of shares come out a little off 1 and off one half.
    kept = coverage >= MINIMUM_COVERAGE - 1e-6
    coverage = np.where(kept, np.minimum(coverage, 1), 0).astype(np.float32)
    keep = kept[bins]
    bins = bins[keep]
    weights = areas[keep] * entries.gain(rows[inside][keep], columns[inside][keep]) / covered[bins]
    pixels = (rows[inside] * nx + columns[inside])[keep]
    return _sorted_rows(bins, pixels, weights, n_bins), coverage, np.where(kept, covered, 0)


def _boundless_operator(
    geometry: DetectorGeometry, grid: PolarGrid | CartesianGrid, key: tuple[int, int]
) -> tuple[_Sparse, np.ndarray]:
    """Return the operator on a detector without end, whose pixels are (row, column) offsets.

    And the areas of the bins in pixels.
    """
    base = np.floor(geometry.center).astype(np.int64)
    part = np.asarray(key) / _STEPS
    moved = geometry.with_center((geometry.center[0] + part[0], geometry.center[1] + part[1]))
    entries = detector_weights(moved, grid, any_beam=True)
    weights = entries.areas / entries.totals[entries.bins]
    rows, columns = entries.rows - base[1], entries.columns - base[0]
    first = rows.min(), columns.min()
    width = int(np.ptp(columns)) + 1
    flat = (rows - first[0]) * width + (columns - first[1])
    sparse = _sorted_rows(entries.bins, flat, weights, int(np.prod(grid.shape)))
    offsets = np.stack(np.divmod(sparse.pixels, width), axis=1) + np.array(first)
    return sparse._replace(pixels=offsets), entries.totals


def _sorted_rows(bins: np.ndarray, pixels: np.ndarray, weights: np.ndarray, n_bins: int) -> _Sparse:
    """Sort entries by bin and pixel, and number the pixels that occur."""
    order = np.lexsort((pixels, bins))
    used, index = np.unique(pixels[order], return_inverse=True)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(bins, minlength=n_bins))])
    return _Sparse(
        used.astype(np.int64),
        indptr.astype(np.int64),
        index.astype(np.int32),
        weights[order].astype(np.float32),
    )


def _check_counts(counts: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return counts contiguous and of a dtype that the kernels read."""
    counts = np.asarray(counts)
    if counts.dtype.kind not in "buif":
        raise TypeError(
            given_expected("counts", counts, "integers or floats", "Use counts.astype(...).")
        )
    if counts.ndim != 3 or counts.shape[1:] != shape:
        raise ValueError(
            given_expected(
                "counts",
                counts,
                f"shape (n, {shape[0]}, {shape[1]})",
                "Use counts.reshape(-1, rows, columns), or make an operator for this shape.",
            )
        )
    return native(counts)


def native(counts: np.ndarray) -> np.ndarray:
    """Return numbers contiguous, in a dtype of this machine that numba reads.

    Parameters
    ----------
    counts
        Integers, floats or bool, of any shape.
    """
    dtype = counts.dtype.newbyteorder("=")
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    elif dtype.kind == "f" and dtype.itemsize not in (4, 8):
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return np.ascontiguousarray(counts, dtype=dtype)


def _check_shifts(
    shifts: np.ndarray, n: int, geometry: DetectorGeometry | PolarGeometry
) -> np.ndarray:
    if not isinstance(geometry, DetectorGeometry):
        raise ValueError(
            given_expected(
                "shifts",
                shifts,
                "None for patterns that are polar already",
                "Centre the beam before the azimuthal integration.",
            )
        )
    shifts = np.asarray(shifts, dtype=np.float64)
    if shifts.shape != (n, 2):
        raise ValueError(
            given_expected(
                "shifts",
                shifts,
                f"shape ({n}, 2), x and y in pixels of each pattern",
                "Use shifts.reshape(-1, 2).",
            )
        )
    return shifts
