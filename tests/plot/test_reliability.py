"""The reliability diagram shows the curve."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.metrics import reliability_curve
from pyxem_cnn.plot import plot_reliability_diagram

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture
def points():
    generator = np.random.default_rng(0)
    score = generator.uniform(0.2, 1, 2000)
    return score, generator.random(2000) < score**2


@pytest.fixture
def figure(points):
    figure = plot_reliability_diagram(*points, n_bins=5, title="Silicon, 300 electrons")
    yield figure
    plt.close(figure)


def test_points_are_those_of_the_curve(figure, points):
    curve = reliability_curve(*points, n_bins=5)
    line = figure.axes[0].containers[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), curve.mean_score[1:])
    np.testing.assert_allclose(line.get_ydata(), 100 * curve.share_right[1:])


def test_histogram_adds_up(figure):
    bars = figure.axes[1].patches
    assert len(bars) == 5
    assert sum(bar.get_height() for bar in bars) == pytest.approx(100)
    assert bars[0].get_height() == 0


def test_words(figure, points):
    upper, lower = figure.axes
    error = reliability_curve(*points, n_bins=5).expected_calibration_error
    assert f"{error:.3f}" in upper.get_title()
    assert "2000 points" in upper.get_title()
    assert "within 5 degrees" in upper.get_ylabel()
    assert lower.get_xlabel() == "score"
    assert "Silicon" in figure.get_suptitle()


def test_other_meaning_of_right(points):
    figure = plot_reliability_diagram(*points, right="the right phase")
    assert "the right phase" in figure.axes[0].get_ylabel()
    plt.close(figure)


def test_complains_like_the_curve():
    with pytest.raises(ValueError, match="booleans"):
        plot_reliability_diagram(np.array([0.5]), np.array([1.0]))
