"""Polar and square grids and the operator that resamples patterns to them, under one name."""

from __future__ import annotations

from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid, grid_from_dict
from pyxem_cnn.detector.polar_geometry import PolarGeometry
from pyxem_cnn.detector.resampling import MINIMUM_COVERAGE, ResamplingOperator

__all__ = [
    "MINIMUM_COVERAGE",
    "CartesianGrid",
    "PolarGeometry",
    "PolarGrid",
    "ResamplingOperator",
    "grid_from_dict",
]
