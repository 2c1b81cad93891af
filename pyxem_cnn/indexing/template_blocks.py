"""Blocks of raw patterns to matches of templates, one after the other over a scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn.indexing import scan
from pyxem_cnn.indexing.templates import BinnedTemplates
from pyxem_cnn.maps.templates.decoding import Templates, decode_matches, reliability

if TYPE_CHECKING:
    from pyxem_cnn.detector.resampling import ResamplingOperator

__all__ = ["TemplateMatcher", "match_scan"]

# Patterns that are polar in double precision at once.
_BATCH = 256
# So many matches are looked through for another answer, which the reliability compares with.
_LOOKED_THROUGH = 64


@dataclass(frozen=True)
class TemplateMatcher:
    """Matches batches of raw patterns with pyxem.

    Attributes
    ----------
    operator
        From raw pixels to polar bins.
    binned
        The templates on the same bins.
    templates
        Their orientations and phases.
    symmetries
        Proper rotations of each phase's Laue group.
    gamma
        Exponent of the intensities.
    n_best
        Matches to return.
    """

    operator: ResamplingOperator
    binned: BinnedTemplates
    templates: Templates
    symmetries: list[np.ndarray]
    gamma: float
    n_best: int

    def __call__(
        self, patterns: np.ndarray, shifts: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return matches as pyxem writes them, and how reliable the best is.

        Parameters
        ----------
        patterns
            Raw patterns, shape (n, rows, columns).
        shifts
            Position (x, y) of the beam less the geometry's centre in pixels, shape (n, 2).

        Returns
        -------
        rows, certainty
            Index, correlation, rotation in degrees and factor, shape (n, n_best, 4), index -1
            where there is none; reliability, shape (n,).
        """
        polar, readable = self._comparable(self.operator(patterns, shifts)[0])
        rows = np.full((len(patterns), self.n_best, 4), np.nan)
        rows[..., 0] = -1
        certainty = np.full(len(patterns), np.nan)
        if readable.any():
            looked_through = max(self.n_best, _LOOKED_THROUGH)
            found = _get_orientation(
                polar[readable],
                self.binned,
                min(len(self.templates.quaternions), looked_through),
            )
            certainty[readable] = reliability(
                decode_matches(found, self.templates), self.symmetries
            )
            kept = found[:, : self.n_best]
            rows[np.flatnonzero(readable), : kept.shape[1]] = kept
        return rows, certainty

    def _comparable(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return polar patterns as pyxem takes them, of norm 1, and which of them can be read."""
        polar = np.array(counts, dtype=np.float64, order="C")
        # The direct beam, which no template has, ends half way to the first spots.
        polar[:, : max(1, self.binned.innermost // 2)] = 0
        polar = np.maximum(polar, 0) ** self.gamma
        norm = np.sqrt((polar**2).sum(axis=(1, 2)))
        readable = np.isfinite(norm) & (norm > 0)
        polar /= np.where(readable, norm, 1)[:, None, None]
        # pyxem's azimuth begins at -180 degrees.
        return np.roll(polar, polar.shape[-1] // 2, axis=-1), readable


def match_scan(
    matcher: TemplateMatcher,
    data: Any,
    left_out: np.ndarray | None,
    shifts: Any,
    show_progressbar: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Match a whole scan, of which one block is in memory at a time.

    Parameters
    ----------
    matcher
        For batches of patterns.
    data
        NumPy or dask array of shape (navigation..., rows, columns).
    left_out
        Patterns not to look at are True, shape (navigation...).
    shifts
        Beam shifts in pixels, shape (navigation..., 2), or None.
    show_progressbar
        Whether to show a bar.

    Returns
    -------
    rows, certainty
        As of the matcher, for all points in C order; NaN where left out.
    """
    from tqdm.auto import tqdm

    navigation = data.shape[:-2]
    n_points = int(np.prod(navigation))
    rows = np.full((n_points, matcher.n_best, 4), np.nan)
    certainty = np.full(n_points, np.nan)
    number = np.arange(n_points).reshape(navigation)
    with tqdm(
        total=n_points, desc="Template matching", unit=" patterns", disable=not show_progressbar
    ) as bar:
        for block, patterns in _blocks(data, left_out):
            points = number[block].reshape(-1)
            wanted = _wanted(points, left_out)
            moved = None if shifts is None else np.asarray(shifts[block]).reshape(-1, 2)
            for start in range(0, len(wanted), _BATCH):
                batch = wanted[start : start + _BATCH]
                shift = None if moved is None else moved[batch]
                found = matcher(patterns[batch], shift)
                rows[points[batch]], certainty[points[batch]] = found
                bar.update(len(batch))
            bar.update(len(points) - len(wanted))
    return rows, certainty


def _blocks(
    data: Any, left_out: np.ndarray | None
) -> Iterator[tuple[tuple[slice, ...], np.ndarray | None]]:
    """Yield slices of the navigation axes and the patterns in them, (n, rows, columns).

    Blocks are the chunks of a lazy scan, so that each is read once; blocks that are left out as a
    whole are not read.
    """
    from dask.array.core import slices_from_chunks

    array = scan.in_blocks(data)
    for block in slices_from_chunks(array.chunks[:-2]):
        if left_out is not None and left_out[block].all():
            yield block, None
        else:
            yield block, np.asarray(array[block]).reshape(-1, *data.shape[-2:])


def _wanted(points: np.ndarray, left_out: np.ndarray | None) -> np.ndarray:
    """Return which points of a block are to be matched, as indices into it."""
    if left_out is None:
        return np.arange(len(points))
    return np.flatnonzero(~left_out.reshape(-1)[points])


def _get_orientation(polar: np.ndarray, binned: BinnedTemplates, n_best: int) -> np.ndarray:
    """Return pyxem's matches (n, n_best, 4) of polar patterns (n, n_radial, n_azimuthal)."""
    import dask
    from pyxem.signals import PolarDiffraction2D

    signal = PolarDiffraction2D(polar).as_lazy()
    azimuth, radius = signal.axes_manager.signal_axes
    azimuth.scale, azimuth.offset = 2 * np.pi / azimuth.size, -np.pi
    # Nobody reads the radius, since the templates are binned; HyperSpy warns of unlike scales.
    radius.scale = azimuth.scale
    matches = signal.get_orientation(binned, frac_keep=1.0, n_best=n_best, lazy_output=True)
    # pyxem's kernel fills the cores by itself; not all of numba's threading layers let several
    # of dask's threads call it at once.
    with dask.config.set(scheduler="synchronous"):
        return np.asarray(matches.data)
