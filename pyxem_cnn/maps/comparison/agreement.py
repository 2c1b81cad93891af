"""Figures of agreement: shares, medians and percentiles, of all points and of every grain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pyxem_cnn._checks import check_choice, given_expected
from pyxem_cnn.maps.comparison.aligned import AlignedMap

__all__ = ["Agreement", "grain_figures", "grain_labels"]


@dataclass(frozen=True)
class Agreement:
    """How well two maps agree where both have an orientation.

    Attributes
    ----------
    n
        Points that are indexed in both. Those of two phases count, as disagreeing.
    median, percentile_90
        Of the misorientation, in degrees; infinite where so many points differ in phase, NaN
        without points.
    within_1, within_2, within_5
        Share of the n points within 1, 2 and 5 degrees, in percent; NaN without points.
    """

    n: int
    median: float
    percentile_90: float
    within_1: float
    within_2: float
    within_5: float

    @classmethod
    def of(cls, degrees: np.ndarray) -> Agreement:
        """Return the figures of misorientations, any shape; NaN is left out, infinite counts."""
        degrees = np.asarray(degrees, dtype=float)
        degrees = degrees[~np.isnan(degrees)]
        if degrees.size == 0:
            return cls(0, *[float("nan")] * 5)
        # "higher" does not interpolate, which would turn inf - inf into NaN.
        median, percentile_90 = np.percentile(degrees, [50, 90], method="higher")
        within = [100 * float(np.mean(degrees <= limit)) for limit in (1, 2, 5)]
        return cls(int(degrees.size), float(median), float(percentile_90), *within)

    def __str__(self) -> str:
        """Return the figures in one line."""
        if self.n == 0:
            return "no points to compare"
        return (
            f"median {self.median:6.2f} deg, 90 % below {self.percentile_90:6.2f} deg; within "
            f"1 deg {self.within_1:5.1f} %, 2 deg {self.within_2:5.1f} %, "
            f"5 deg {self.within_5:5.1f} %"
        )


def grain_labels(
    grains: Any, maps: dict[str, AlignedMap], shape: tuple[int, int]
) -> np.ndarray | None:
    """Return the number of the grain at every shared point.

    Parameters
    ----------
    grains
        None; whole numbers of the shape (rows, columns) of the shared points, or one for each
        point in the data of a map, as `Grains` has them; the name of a property that holds them;
        or "find".
    maps
        The maps by name, the one that is searched first in front.
    shape
        Rows and columns of the shared points.

    Returns
    -------
    labels
        Shape (rows, columns), -1 for no grain; None if none are asked for.

    Raises
    ------
    ValueError
        If the labels fit to no map, or no map has the property.
    """
    if grains is None:
        return None
    if isinstance(grains, str):
        return _named_labels(grains, maps)
    labels = np.asarray(getattr(grains, "labels", grains))
    if labels.dtype.kind not in "iu":
        raise ValueError(given_expected("grains", labels, "whole numbers, -1 for no grain"))
    if labels.shape == shape:
        return labels.astype(int)
    for aligned in maps.values():
        if labels.size == aligned.xmap.size:
            return _on_shared_points(aligned, labels.ravel())
    sizes = ", ".join(f"{aligned.xmap.size} ({name})" for name, aligned in maps.items())
    expected = f"shape {shape}, or one number for each point in the data of a map: {sizes}"
    raise ValueError(given_expected("grains", labels, expected))


def _named_labels(grains: str, maps: dict[str, AlignedMap]) -> np.ndarray:
    """Return labels from a property of the first map that has it, or from the search of grains."""
    if grains == "find":
        from pyxem_cnn.maps.grains.find import find_grains

        aligned = next(iter(maps.values()))
        return _on_shared_points(aligned, find_grains(aligned.xmap).labels)
    known = {name: aligned for aligned in reversed(maps.values()) for name in aligned.xmap.prop}
    aligned = known[check_choice("grains", grains, [*known, "find"])]
    return _on_shared_points(aligned, np.asarray(aligned.xmap.prop[grains]))


def _on_shared_points(aligned: AlignedMap, labels: np.ndarray) -> np.ndarray:
    return np.where(aligned.index >= 0, labels[aligned.index], -1).astype(int)


def grain_figures(
    labels: np.ndarray | None,
    degrees: np.ndarray,
    without_twins: np.ndarray | None,
    tolerance: float,
) -> np.ndarray | None:
    """Return the figures of every grain.

    Parameters
    ----------
    labels
        Number of the grain, shape (rows, columns); -1 for none. None if there are no grains.
    degrees, without_twins
        Misorientations, shape (rows, columns); the second may be None.
    tolerance
        Angle in degrees up to which orientations agree.

    Returns
    -------
    figures
        A structured array with one element for each grain: ``grain``, ``points``, ``compared``
        (indexed in both), ``median`` in degrees, ``agree`` and ``agree_modulo_twins``, shares of
        the compared points within `tolerance`, in percent. NaN where nothing was compared. None
        without labels.
    """
    if labels is None:
        return None
    fields = [("grain", int), ("points", int), ("compared", int), ("median", float)]
    fields += [("agree", float), ("agree_modulo_twins", float)]
    figures = []
    for grain in np.unique(labels[labels >= 0]):
        here = labels == grain
        compared = here & ~np.isnan(degrees)
        shares = [np.nan, np.nan, np.nan]
        if compared.any():
            shares[0] = np.percentile(degrees[compared], 50, method="higher")
            shares[1] = 100 * np.mean(degrees[compared] <= tolerance)
            if without_twins is not None:
                shares[2] = 100 * np.mean(without_twins[compared] <= tolerance)
        figures.append((grain, here.sum(), compared.sum(), *shares))
    return np.array(figures, dtype=fields)
