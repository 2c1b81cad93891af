"""Regions of a map too small to be grains: dropped, or given to a neighbouring grain."""

from __future__ import annotations

import numpy as np

__all__ = ["drop_small", "merge_small"]


def drop_small(labels: np.ndarray, min_size: int) -> np.ndarray:
    """Return labels with -1 in place of regions of fewer than `min_size` points.

    Parameters
    ----------
    labels
        Region of every point from 0, -1 for none, shape (points,).
    min_size
        Points of the smallest region to keep.

    Returns
    -------
    labels
        Numbered anew without gaps, in the same order.
    """
    small = np.append(np.bincount(labels[labels >= 0]) < min_size, False)  # -1 reads the last
    return _renumbered(np.where(small[labels], -1, labels))


def merge_small(labels: np.ndarray, pairs: np.ndarray, min_size: int) -> np.ndarray:
    """Return labels with small regions given to the grain with the longest common boundary.

    Only regions of at least `min_size` points take up others. What is then still enclosed by small
    regions follows in the next round. Small regions without a grain beside them are dropped.

    Parameters
    ----------
    labels
        Region of every point from 0, -1 for none, shape (points,).
    pairs
        Neighbouring points that may belong together, such as those of one phase, shape (pairs, 2).
    min_size
        Points of the smallest region to keep.

    Returns
    -------
    labels
        Numbered anew without gaps, in the same order.
    """
    n = labels.max(initial=-1) + 1
    small = np.bincount(labels[labels >= 0], minlength=n) < min_size
    labels = labels.copy()
    pairs = pairs[(labels[pairs] >= 0).all(axis=1)]
    both_ways = np.concatenate([pairs, pairs[:, ::-1]])
    while True:
        given, taking = labels[both_ways].T
        useful = small[given] & ~small[taking]
        if not np.any(useful):
            break
        target = np.arange(n)
        region, grain = _longest(given[useful], taking[useful], n)
        target[region] = grain
        labels = np.where(labels >= 0, target[labels], -1)
    return _renumbered(np.where(np.append(small, False)[labels], -1, labels))


def _longest(given: np.ndarray, taking: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each small region once, and the grain that it shares most pairs of points with."""
    codes, counts = np.unique(given.astype(np.int64) * n + taking, return_counts=True)
    order = np.lexsort((codes, -counts, codes // n))
    region, first = np.unique(codes[order] // n, return_index=True)
    return region, codes[order][first] % n


def _renumbered(labels: np.ndarray) -> np.ndarray:
    """Return labels without gaps, -1 left as it is."""
    kept = np.unique(labels[labels >= 0])
    return np.where(labels >= 0, np.searchsorted(kept, labels), -1)
