"""Figure of a calibration check: patterns with the rings and spots that are expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CalibrationView", "PatternView", "plot_calibration"]

_GIVEN, _CORRECTED = "tab:blue", "tab:red"
_PATTERN_COLUMNS = 6


@dataclass(frozen=True)
class PatternView:
    """One pattern with expected spots.

    Attributes
    ----------
    image
        Counts, shape (rows, columns).
    given, corrected
        Pixels (x, y) of expected spots with either geometry, shape (n, 2); of the corrected one
        (0, 2) where nothing is corrected.
    title
        What stands above it.
    """

    image: np.ndarray
    given: np.ndarray
    corrected: np.ndarray
    title: str


@dataclass(frozen=True)
class CalibrationView:
    """What the figure shows, in pixels and 1/angstrom.

    Of the geometries, the one as given comes first, then the corrected one, if there is one.

    Attributes
    ----------
    mean, maximum
        Of the sampled patterns, shape (rows, columns).
    rings
        For each geometry, curves of shape (n_rings, n_points, 2) in pixels (x, y).
    centers
        Beam (x, y) of each geometry in pixels.
    radii
        Of the rings in 1/angstrom, shape (n_rings,).
    profiles
        For each geometry, radii and mean counts per pixel there.
    patterns
        Single patterns.
    title
        What was found, one or several lines.
    """

    mean: np.ndarray
    maximum: np.ndarray
    rings: tuple[np.ndarray, ...]
    centers: tuple[tuple[float, float], ...]
    radii: np.ndarray
    profiles: tuple[tuple[np.ndarray, np.ndarray], ...]
    patterns: tuple[PatternView, ...]
    title: str


def plot_calibration(view: CalibrationView) -> Figure:
    """Plot a calibration check.

    Parameters
    ----------
    view
        What to show.

    Returns
    -------
    figure
        Mean and maximum pattern with the phase's rings, the mean over the azimuth, and single
        patterns with expected spots; blue with the geometry as given, red as corrected. It is not
        shown.
    """
    import matplotlib.pyplot as plt

    rows = -(-len(view.patterns) // _PATTERN_COLUMNS)
    figure = plt.figure(figsize=(13, 4.6 + 2.5 * rows), layout="constrained")
    heights = [4.6, 2.5 * rows] if rows else [4.6]
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    top, *bottom = parts.ravel()
    left, middle, right = top.subplots(1, 3, width_ratios=[1, 1, 1.15])
    _show_rings(left, view.mean, view, "mean pattern")
    _show_rings(middle, view.maximum, view, "maximum pattern")
    _show_profiles(right, view)
    for part in bottom:
        axes = part.subplots(rows, _PATTERN_COLUMNS, squeeze=False).ravel()
        for one in axes[len(view.patterns) :]:
            one.set_axis_off()
        for one, pattern in zip(axes, view.patterns, strict=False):
            _show_pattern(one, pattern)
    figure.suptitle(view.title, fontsize="medium")
    return figure


def _show_rings(axes: Axes, image: np.ndarray, view: CalibrationView, title: str) -> None:
    _show_image(axes, image)
    for curves, center, color, style in zip(
        view.rings, view.centers, (_GIVEN, _CORRECTED), ("--", "-"), strict=False
    ):
        for curve in curves:
            axes.plot(*curve.T, color=color, linestyle=style, linewidth=0.8)
        axes.plot(*center, marker="+", color=color, markersize=9)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("column (pixels)")
    axes.set_ylabel("row (pixels)")


def _show_profiles(axes: Axes, view: CalibrationView) -> None:
    for (radius, counts), color, label in zip(
        view.profiles, (_GIVEN, _CORRECTED), ("as given", "corrected"), strict=False
    ):
        axes.semilogy(radius, counts, color=color, label=label, linewidth=1)
    for radius in view.radii:
        axes.axvline(radius, color="grey", linewidth=0.7, zorder=0)
    axes.set_xlabel("reciprocal radius (1/Å)")
    axes.set_ylabel("mean counts per pixel")
    axes.set_title("mean over the azimuth; grey: the phase's rings", fontsize="medium")
    axes.legend(title="geometry", fontsize="small")


def _show_pattern(axes: Axes, pattern: PatternView) -> None:
    _show_image(axes, pattern.image)
    marker: dict[str, Any] = {"linestyle": "none", "marker": "o", "markerfacecolor": "none"}
    axes.plot(*pattern.given.T, color=_GIVEN, markersize=7, markeredgewidth=0.8, **marker)
    axes.plot(*pattern.corrected.T, color=_CORRECTED, markersize=5, markeredgewidth=0.8, **marker)
    axes.set_title(pattern.title, fontsize="small")
    axes.set_xticks([])
    axes.set_yticks([])


def _show_image(axes: Axes, image: np.ndarray) -> None:
    """Show counts with weak spots and direct beam in one picture."""
    rows, columns = image.shape
    finite = np.where(np.isfinite(image), np.clip(image, 0, None), 0)
    # The fourth root shows single counts beside a direct beam of thousands.
    axes.imshow(np.clip(finite, None, np.quantile(finite, 0.995)) ** 0.25, cmap="gray_r")
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
