"""The frame that a prediction keeps: the same after a text, right on pixels, axes and cells."""

from __future__ import annotations

import numpy as np
import pytest
from hyperspy.signals import Signal2D

from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import PolarGeometry
from pyxem_cnn.indexing.pattern_frame import PatternFrame


@pytest.fixture
def signal() -> Signal2D:
    """Patterns of 40 rows and 60 columns with axes in 1/nm about the beam."""
    signal = Signal2D(np.zeros((2, 40, 60)))
    for axis, center in zip(signal.axes_manager.signal_axes, (30.5, 18.0), strict=True):
        axis.scale, axis.offset = 0.5, -0.5 * center
    return signal


@pytest.fixture
def geometry() -> DetectorGeometry:
    return DetectorGeometry(
        (40, 60), (30.5, 18.0), (0.05, 0.05), 200, mask=np.eye(40, 60, dtype=bool), flip_x=True
    )


def test_text_and_back(signal: Signal2D, geometry: DetectorGeometry) -> None:
    frame = PatternFrame.from_signal(signal, geometry)
    text = frame.to_json()
    assert len(text) < 1000  # the mask is not kept
    again = PatternFrame.from_json(text)
    assert again == frame
    assert again.geometry.flip_x is True
    assert again.geometry.center == geometry.center
    assert again.geometry.beam_energy == 200


def test_pixels_and_axes(signal: Signal2D, geometry: DetectorGeometry) -> None:
    frame = PatternFrame.from_signal(signal, geometry)
    pixels = frame.to_pixels(np.array([[0, 0], [0.5, 0.25]]))
    # 0.5 1/angstrom are 10 pixels: against the columns, for the flip, and up, against the rows.
    np.testing.assert_allclose(pixels, [[30.5, 18], [20.5, 13]])
    np.testing.assert_allclose(frame.to_axes(pixels), [[0, 0], [-5, -2.5]])
    moved = frame.to_pixels(np.array([[0, 0]]), np.array([1.5, -2]))
    np.testing.assert_allclose(moved, [[32, 16]])
    corners = np.array([[-0.5, -0.5], [59.5, 39.5], [59.6, 0], [0, -0.6], [np.inf, 0]])
    assert frame.is_inside(corners).tolist() == [True, True, False, False, False]
    assert frame.largest_radius == pytest.approx(np.hypot(31, 21.5) * 0.05)


def test_other_axes(signal: Signal2D, geometry: DetectorGeometry) -> None:
    frame = PatternFrame.from_signal(signal, geometry)
    anew = frame.on_axes_of(Signal2D(np.zeros((2, 40, 60))))
    np.testing.assert_array_equal(anew.to_axes(np.array([[3.0, 4.0]])), [[3, 4]])
    assert anew.geometry.center == frame.geometry.center


def test_polar_cells_are_where_they_are_shown() -> None:
    geometry = PolarGeometry(np.linspace(0.1, 0.9, 9), np.linspace(-np.pi, np.pi, 361))
    signal = Signal2D(np.zeros((8, 360)))
    frame = PatternFrame.from_json(PatternFrame.from_signal(signal, geometry).to_json())
    assert frame.geometry is None
    np.testing.assert_array_equal(frame.to_scan(), [1, 0, 0, 0])
    # In the middle of the cell of 0.3 to 0.4 1/angstrom and 90 to 91 degrees.
    angle = np.deg2rad(90.5)
    k = 0.35 * np.array([[np.cos(angle), np.sin(angle)]])
    np.testing.assert_allclose(frame.to_pixels(k), [[270, 2]], atol=1e-9)
    outside = frame.to_pixels(np.array([[0.05, 0], [0.95, 0]]))
    assert not frame.is_inside(outside).any()
