"""Whether scores can be believed: the share of right orientations beside the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.metrics import ReliabilityCurve, reliability_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_reliability_diagram"]


def plot_reliability_diagram(
    score: np.ndarray,
    is_right: np.ndarray,
    *,
    n_bins: int = 10,
    right: str = "within 5 degrees",
    title: str | None = None,
) -> Figure:
    """Plot the share of right orientations over their score, and how often scores occur.

    Parameters
    ----------
    score
        Of each point, meant as the probability that it is right, 0 to 1, any shape. Points
        without a score (NaN) are left out.
    is_right
        Whether the point is right, the same shape.
    n_bins
        Bins of the score, of equal width.
    right
        What right means, in words.
    title
        Title of the figure.

    Returns
    -------
    figure
        Above, the share that is right with its standard error, and the diagonal, on which scores
        can be taken at their word; below it, scores promise too much. Below, a histogram. It is
        not shown.

    Raises
    ------
    ValueError
        As :func:`pyxem_cnn.metrics.reliability_curve`.
    """
    import matplotlib.pyplot as plt

    curve = reliability_curve(score, is_right, n_bins)
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(4.8, 5.8), height_ratios=(3, 1), sharex=True, layout="constrained"
    )
    _draw_shares(upper, curve, right)
    width = np.diff(curve.edges)
    lower.bar(curve.edges[:-1], 100 * curve.count / curve.count.sum(), width, align="edge", ec="w")
    lower.set(xlim=(0, 1), xlabel="score", ylabel="points (%)")
    error = curve.expected_calibration_error
    said = f"{curve.count.sum()} points, expected calibration error {error:.3f}"
    upper.set_title(said, fontsize="small")
    if title is not None:
        figure.suptitle(title, fontsize="medium")
    return figure


def _draw_shares(axes: Axes, curve: ReliabilityCurve, right: str) -> None:
    """Draw a point for each bin that is not empty, and what a calibrated score would have."""
    filled = curve.count > 0
    axes.plot([0, 1], [0, 100], "--", color="0.6", label="calibrated")
    axes.errorbar(
        curve.mean_score[filled],
        100 * curve.share_right[filled],
        100 * curve.standard_error[filled],
        fmt="o-",
        capsize=3,
        label="measured, with standard error",
    )
    axes.set(ylim=(-3, 103), ylabel=f"{right} (%)")
    axes.legend(loc="upper left")
