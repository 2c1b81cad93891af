"""The figure of a calibration check shows what it was given, where it is."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from pyxem_cnn.plot.calibration import CalibrationView, PatternView, plot_calibration


@pytest.fixture
def view(rng: np.random.Generator) -> CalibrationView:
    """A view of a detector of 40 rows and 50 columns with two rings and three patterns."""
    angle = np.linspace(0, 2 * np.pi, 20)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    rings = np.stack([(25, 20) + 5 * circle, (25, 20) + 10 * circle])
    patterns = tuple(
        PatternView(rng.poisson(2, (40, 50)), rng.random((4, 2)), rng.random((4, 2)), f"no. {i}")
        for i in range(3)
    )
    return CalibrationView(
        mean=rng.random((40, 50)),
        maximum=rng.poisson(5, (40, 50)).astype(float),
        rings=(rings, rings + 1),
        centers=((25, 20), (26, 21)),
        radii=np.array([0.1, 0.2]),
        profiles=((np.arange(5), np.arange(1, 6)), (np.arange(5), np.arange(2, 7))),
        patterns=patterns,
        title="a title",
    )


def all_axes(figure):
    return [axes for part in figure.subfigs for axes in part.axes]


def test_everything_is_drawn_in_its_place(view: CalibrationView) -> None:
    figure = plot_calibration(view)
    mean, maximum, profile, *patterns = all_axes(figure)
    assert figure.get_suptitle() == "a title"
    for axes in (mean, maximum):
        assert axes.get_xlim() == (-0.5, 49.5)
        assert axes.get_ylim() == (39.5, -0.5)  # row 0 at the top, as HyperSpy shows it
        assert len(axes.lines) == 6
        np.testing.assert_array_equal(axes.lines[0].get_xydata(), view.rings[0][0])
        np.testing.assert_array_equal(axes.lines[2].get_xydata(), [view.centers[0]])
        np.testing.assert_array_equal(axes.lines[4].get_xydata(), view.rings[1][1])
    np.testing.assert_array_equal(profile.lines[1].get_ydata(), np.arange(2, 7))
    assert [line.get_xdata()[0] for line in profile.lines[2:]] == [0.1, 0.2]
    assert len(patterns) == 6
    for axes, pattern in zip(patterns, view.patterns, strict=False):
        assert axes.get_title() == pattern.title
        np.testing.assert_array_equal(axes.lines[0].get_xydata(), pattern.given)
        np.testing.assert_array_equal(axes.lines[1].get_xydata(), pattern.corrected)
    assert not any(axes.has_data() for axes in patterns[3:])
    colors = {axes.lines[0].get_color() for axes in (mean, maximum, patterns[0])}
    assert len(colors) == 1
    plt.close(figure)


def test_nothing_is_called_corrected_where_nothing_is(view: CalibrationView) -> None:
    figure = plot_calibration(
        replace(view, rings=view.rings[:1], centers=view.centers[:1], profiles=view.profiles[:1])
    )
    mean, _, profile, *_ = all_axes(figure)
    assert len(mean.lines) == 3
    assert [text.get_text() for text in profile.get_legend().get_texts()] == ["as given"]
    plt.close(figure)


def test_brighter_pixels_are_darker_and_bad_ones_do_no_harm(view: CalibrationView) -> None:
    image = np.zeros((40, 50))
    image[10, 10], image[20, 20], image[30, 30] = 1, 100, np.nan
    image[5, 5] = -3
    figure = plot_calibration(replace(view, mean=image, patterns=()))
    axes = figure.subfigs[0].axes[0]
    shown = axes.images[0].get_array()
    assert np.isfinite(shown).all()
    assert shown[20, 20] >= shown[10, 10] >= shown[5, 5] == shown[30, 30] == 0
    figure.canvas.draw()
    plt.close(figure)
