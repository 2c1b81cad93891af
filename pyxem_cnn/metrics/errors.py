"""How far off orientations are: disorientation figures."""

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
    within_5_modulo_twins
        The same with twins counted as right, None where that was not measured.
    n
        Number of points.
    """

    median: float
    percentile_90: float
    within_2: float
    within_5: float
    within_5_modulo_twins: float | None
    n: int

    def __str__(self) -> str:
        """Return the figures in one line."""
        twins = ""
        if self.within_5_modulo_twins is not None:
            twins = f" ({self.within_5_modulo_twins:.0f} % modulo twins)"
        return (
            f"median {self.median:.2f} deg, {self.within_2:.0f} % within 2 deg, "
            f"{self.within_5:.0f} % within 5 deg{twins}, n = {self.n}"
        )


def summarize_errors(degrees: np.ndarray, twins: np.ndarray | None = None) -> ErrorSummary:
    """Summarize disorientation angles.

    Parameters
    ----------
    degrees
        Angles in degrees, any shape; NaN where there is no prediction.
    twins
        The same angles modulo pseudo-symmetric twins, see `modulo_twins`.

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
    modulo = None if twins is None else 100 * float(np.mean(np.asarray(twins) <= 5))
    return ErrorSummary(float(median), float(percentile_90), *within, modulo, degrees.size)
