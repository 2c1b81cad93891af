"""How right orientations are: errors, twins, and whether scores can be believed."""

from pyxem_cnn.metrics.errors import ErrorSummary, summarize_errors
from pyxem_cnn.metrics.scores import (
    ReliabilityCurve,
    expected_calibration_error,
    reliability_curve,
)
from pyxem_cnn.metrics.twins import TWIN_DIFFERENCE, modulo_twins, pattern_difference

__all__ = [
    "TWIN_DIFFERENCE",
    "ErrorSummary",
    "ReliabilityCurve",
    "expected_calibration_error",
    "modulo_twins",
    "pattern_difference",
    "reliability_curve",
    "summarize_errors",
]
