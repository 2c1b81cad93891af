"""How far off orientations are: disorientation figures, plain and modulo twins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ErrorSummary", "summarize_errors"]


@dataclass(frozen=True)
class ErrorSummary:
    """Disorientation of predictions from the truth. Points without a prediction count as wrong.

    Attributes
    ----------
    median, percentile_90
        In degrees; infinite where so many points have no prediction.
    within_2, within_5
        Share of all points within 2 and 5 degrees, in percent.
    n
        Number of points.
    """

    median: float
    percentile_90: float
    within_2: float
    within_5: float
    n: int

    def __str__(self) -> str:
        """Return the figures in one line."""
        return (
            f"median {self.median:.2f} deg, {self.within_2:.0f} % within 2 deg, "
            f"{self.within_5:.0f} % within 5 deg (n = {self.n})"
        )


def summarize_errors(degrees: np.ndarray) -> ErrorSummary:
    """Summarize disorientation angles.

    Parameters
    ----------
    degrees
        Angles in degrees, any shape; NaN where there is no prediction.

    Raises
    ------
    ValueError
        If there are no points.
    """
    degrees = np.asarray(degrees, dtype=np.float64).ravel()
    if degrees.size == 0:
        raise ValueError("Given: no angles. Expected: at least one point to summarize.")
    degrees = np.where(np.isnan(degrees), np.inf, degrees)
    # "higher" does not interpolate, which would turn inf - inf into NaN.
    median, percentile_90 = np.percentile(degrees, [50, 90], method="higher")
    within = [100 * float(np.mean(degrees <= limit)) for limit in (2, 5)]
    return ErrorSummary(float(median), float(percentile_90), *within, degrees.size)
