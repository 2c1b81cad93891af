"""Figure of a comparison: every panel shows its values at the right points, and says what it is."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from pyxem_cnn.maps.comparison.compare import compare_crystal_maps
from pyxem_cnn.plot.comparison import _COLOURS, plot_comparison
from pyxem_cnn.plot.ipf import ipf_colors
from pyxem_cnn.rotations import from_rotation_vector, multiply, random_quaternions
from tests._maps import grain_orientations, grid_map

SHAPE = (4, 9)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture
def comparison(rng):
    """A map and another one with a wrong, a not indexed, a left-out point and one of a phase."""
    q = grain_orientations(random_quaternions(3, rng), SHAPE)
    other = q.copy()
    other[2, 4] = multiply(q[2, 4], from_rotation_vector(np.array([0.3, 0.2, 0.1])))
    ids = np.zeros(SHAPE)
    ids[0, 0], ids[1, 1] = -1, 1
    in_data = np.ones(SHAPE, dtype=bool)
    in_data[3, 8] = False
    a = grid_map(q, prop={"scores": np.arange(36.0)})
    names = ["cubic", "trigonal"]
    b = grid_map(other, names, phase_ids=ids, is_in_data=in_data.ravel())
    return compare_crystal_maps(a, b, accelerating_voltage=200, names=("net", "templates"))


def titles(figure) -> dict:
    """Return the axes of a figure by the first line of their title."""
    return {axes.get_title().splitlines()[0]: axes for axes in figure.axes if axes.get_title()}


def test_panels_and_what_they_say(comparison) -> None:
    figure = comparison.plot()
    found = titles(figure)
    for name in ("net", "templates"):
        for said in ("x (right)", "y (up)", "z (towards the source)"):
            assert f"{name}: along {said}" in found
    for title in ("Si", "LiNiO2", "net - templates", "score of net", "score of templates"):
        assert title in found
    assert "why they differ by more than 5 degrees" in found
    assert "x right, y up, z towards the source" in figure.get_suptitle()
    assert "Laue group m-3m (Si), -3m (LiNiO2)" in figure.get_suptitle()
    assert found["net: along z (towards the source)"].get_xlabel() == ""
    assert found["templates: along x (right)"].get_xlabel() == "scan x (nm)"


def test_colours_of_orientations(comparison) -> None:
    axes = titles(comparison.plot())["templates: along y (up)"]
    image = np.asarray(axes.images[0].get_array())
    assert image.shape == (*SHAPE, 4)
    aligned = comparison.maps["templates"]
    rotations = aligned.xmap.rotations
    colours = ipf_colors(rotations, aligned.xmap.phases[0], "y")
    np.testing.assert_allclose(image[2, 4, :3], colours[2 * 9 + 4], atol=1e-6)
    trigonal = ipf_colors(rotations, aligned.xmap.phases[1], "y")
    np.testing.assert_allclose(image[1, 1, :3], trigonal[10], atol=1e-6)
    np.testing.assert_array_equal(image[0, 0], [0, 0, 0, 1])  # not indexed: black
    assert image[3, 8, 3] == 0  # left out: transparent
    assert axes.images[0].get_extent() == [-1.25, 21.25, 8.75, -1.25]


def test_misorientation_and_causes(comparison) -> None:
    found = titles(comparison.plot(cap=7))
    drawn = found["net - templates"].images[0]
    assert drawn.get_clim() == (0, 7)
    values = np.ma.filled(drawn.get_array(), np.nan)
    np.testing.assert_allclose(values[2, 4], comparison.misorientation[2, 4])
    assert values[1, 1] > 7
    assert np.isnan(values[0, 0])
    axes = found["why they differ by more than 5 degrees"]
    image = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(image[2, 4], to_rgb(_COLOURS["unexplained"]))
    np.testing.assert_allclose(image[1, 1], to_rgb(_COLOURS["phase"]))
    np.testing.assert_allclose(image[2, 2], to_rgb(_COLOURS["agrees"]))
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    assert said[0] == "agrees: 88.9 %"
    assert "not indexed in templates: 2.8 %" in said


@pytest.mark.parametrize("log", [True, False])
def test_histogram_holds_every_point(comparison, log) -> None:
    axes = titles(comparison.plot(log=log))["histogram, of the points indexed in both"]
    heights = [patch.get_height() for patch in axes.patches if hasattr(patch, "get_height")]
    # All points but the one of another phase.
    np.testing.assert_allclose(sum(heights), 100 * 33 / 34)
    assert axes.get_yscale() == ("log" if log else "linear")
    one = comparison.agreement
    plain, modulo_twins = (text.get_text() for text in axes.get_legend().get_texts())
    assert plain.startswith(f"plain: median {one.median:.2f}°\n")
    assert f"{one.within_2:.1f} % within 2°, {one.within_5:.1f} % within 5°" in plain
    assert modulo_twins.startswith("modulo twins: median")


def test_scores_and_missing_scores(comparison) -> None:
    found = titles(comparison.plot())
    image = np.asarray(found["score of net"].images[0].get_array())
    np.testing.assert_allclose(image, np.arange(36).reshape(SHAPE))
    assert not found["score of templates"].images
    assert found["score of templates"].texts[0].get_text() == "the map has none"


def test_truth_has_a_row_and_curves(rng) -> None:
    q = grain_orientations(random_quaternions(3, rng), SHAPE)
    truth = grid_map(q)
    figure = compare_crystal_maps(truth, truth, truth).plot("z")
    found = titles(figure)
    assert "truth: along z (towards the source)" in found
    assert "truth: along x (right)" not in found
    labels = found["cumulative, of the points indexed in both"].get_legend().get_texts()
    assert [text.get_text() for text in labels] == ["a - b", "a - truth", "b - truth"]


def test_line_of_points_and_nothing_indexed(rng) -> None:
    q = random_quaternions(6, rng).reshape(1, 6, 4)
    plot_comparison(compare_crystal_maps(grid_map(q), grid_map(q)))
    empty = grid_map(q, phase_ids=-1)
    figure = plot_comparison(compare_crystal_maps(empty, empty))
    axes = titles(figure)["histogram, of the points indexed in both"]
    assert axes.get_legend().get_texts()[0].get_text() == "plain: no points to compare"


@pytest.mark.parametrize(
    ("arguments", "message"), [({"directions": "w"}, "letters x, y and z"), ({"cap": 0}, "cap")]
)
def test_wrong_arguments(comparison, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        comparison.plot(**arguments)


def test_maps_are_no_comparison(rng) -> None:
    with pytest.raises(TypeError, match="MapComparison"):
        plot_comparison(grid_map(random_quaternions(6, rng).reshape(2, 3, 4)))
