"""Refine a whole scan, of which few blocks are in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn.indexing.refinement.batch import Refined, empty_refined
from pyxem_cnn.indexing.scan import in_blocks

if TYPE_CHECKING:
    from pyxem_cnn.indexing.refinement.batch import BatchRefiner

__all__ = ["MapArrays", "refine_scan"]

# Patterns that are refined together.
_BATCH = 32


class MapArrays(NamedTuple):
    """Orientations of all points of a scan in C order.

    Attributes
    ----------
    quaternions
        Lab to crystal, shape (points, n_best, 4).
    phase
        Number of the phase, -1 for none, shape (points, n_best).
    scores
        0 to 1, shape (points, n_best).
    """

    quaternions: np.ndarray
    phase: np.ndarray
    scores: np.ndarray


def refine_scan(
    refiner: BatchRefiner,
    data: Any,
    given: MapArrays,
    wanted: np.ndarray,
    shifts: Any,
    show_progressbar: bool,
) -> Refined:
    """Return refined orientations of all points, NaN and -1 where none were wanted.

    Parameters
    ----------
    refiner
        For batches of patterns.
    data
        NumPy or dask array of shape (navigation..., rows, columns).
    given
        Orientations to refine.
    wanted
        Points to refine, booleans of shape (points,).
    shifts
        Position of the beam less the geometry's centre in pixels, (navigation..., 2), or None.
    show_progressbar
        Whether to show a bar.
    """
    from dask.system import CPU_COUNT
    from tqdm.auto import tqdm

    refined = empty_refined(*given.phase.shape)
    with (
        tqdm(
            total=int(wanted.sum()), desc="Refining", unit=" patterns", disable=not show_progressbar
        ) as bar,
        ThreadPoolExecutor(CPU_COUNT) as pool,
    ):
        for points, patterns, moved in _blocks(data, wanted, shifts):
            parts = [slice(i, i + _BATCH) for i in range(0, len(points), _BATCH)]

            def one(
                part: slice,
                points: np.ndarray = points,
                patterns: np.ndarray = patterns,
                moved: np.ndarray | None = moved,
            ) -> tuple[np.ndarray, Refined]:
                at = points[part]
                own = [array[at] for array in given]
                return at, refiner(patterns[part], *own, None if moved is None else moved[part])

            for at, result in pool.map(one, parts):
                for whole, part in zip(refined, result, strict=True):
                    whole[at] = part
                bar.update(len(at))
    return refined


def _blocks(
    data: Any, wanted: np.ndarray, shifts: Any
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Yield numbers of points, their patterns (n, rows, columns) and shifts, block by block.

    Blocks are the chunks of a lazy scan, so that each is read once; those of which nothing is
    wanted are not read.
    """
    from dask.array.core import slices_from_chunks

    navigation = data.shape[:-2]
    number = np.arange(len(wanted)).reshape(navigation)
    array = in_blocks(data)
    for block in slices_from_chunks(array.chunks[:-2]):
        points = number[block].reshape(-1)
        chosen = np.flatnonzero(wanted[points])
        if not len(chosen):
            continue
        patterns = np.asarray(array[block]).reshape(-1, *data.shape[-2:])[chosen]
        moved = None if shifts is None else np.asarray(shifts[block]).reshape(-1, 2)[chosen]
        yield points[chosen], patterns, moved
