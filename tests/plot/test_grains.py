"""Figures of grains and boundaries show what is in them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba

from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.maps.grains.boundaries import grain_boundaries
from pyxem_cnn.maps.grains.find import find_grains
from pyxem_cnn.plot.grains import plot_grain_boundaries, plot_grains
from pyxem_cnn.plot.ipf import ipf_colors
from pyxem_cnn.rotations import from_rotation_vector, multiply, random_quaternions
from tests._crystals import crystal

LABELS = np.kron([[0, 1, 1], [2, 2, 1]], np.ones((3, 3), dtype=int))


@pytest.fixture(autouse=True)
def _close_figures():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture
def grains(rng):
    """Two grains of silicon, one of magnesium; one point not indexed, one left out."""
    turns = from_rotation_vector(0.01 * rng.normal(size=(LABELS.size, 3)))
    q = multiply(turns, random_quaternions(3, np.random.default_rng(1))[LABELS.ravel()])
    ids = np.where(LABELS.ravel() == 2, 1, 0)
    ids[10] = -1
    y, x = np.mgrid[: LABELS.shape[0], : LABELS.shape[1]]
    xmap = build_crystal_map(
        q,
        ids,
        [crystal("cubic"), crystal("hexagonal")],
        coordinates={"x": 2.0 * x.ravel(), "y": 2.0 * y.ravel(), "scan_unit": "nm"},
        is_in_data=np.arange(LABELS.size) != 20,
    )
    return find_grains(xmap)


def top_image(figure):
    """Return the image on top of the background, as an array of the map's points."""
    return np.ma.filled(figure.axes[0].images[-1].get_array(), np.nan)


def lines(figure):
    return [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]


def points(grains, image):
    return image.reshape(LABELS.size, *image.shape[2:])[grains.xmap.is_in_data]


def test_ipf_colours_are_those_of_the_mean(grains) -> None:
    figure = plot_grains(grains, direction="x")
    rgba = points(grains, top_image(figure))
    phases = [grains.xmap.phases[int(i)] for i in grains.phase_id]
    for grain, phase in enumerate(phases):
        expected = ipf_colors(grains.mean_rotations[grain], phase, "x")
        found = rgba[grains.labels == grain, :3]
        np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-6)
    assert rgba[10, 3] == 0  # not indexed: the grey below shows
    background = figure.axes[0].images[0].get_array()
    assert background.reshape(-1, 4)[20, 3] == 0  # left out
    assert [axes.get_title() for axes in figure.axes[1:]] == ["Si, m-3m", "Mg, 6/mmm"]
    assert "y up" in figure.get_suptitle()
    assert "along x (right)" in figure.get_suptitle()
    assert "less than 5° apart modulo the Laue group" in figure.get_suptitle()


def test_every_grain_has_its_own_colour(grains) -> None:
    rgba = points(grains, top_image(plot_grains(grains, "grain")))
    inside = grains.labels >= 0
    assert len(np.unique(rgba[inside], axis=0)) == len(grains)
    for grain in range(len(grains)):
        assert len(np.unique(rgba[grains.labels == grain], axis=0)) == 1


@pytest.mark.parametrize("name", ["equivalent_diameter", "orientation_spread", "points"])
def test_properties_of_grains(grains, name) -> None:
    figure = plot_grains(grains, name, vmax=50)
    found = points(grains, top_image(figure))
    inside = grains.labels >= 0
    np.testing.assert_allclose(found[inside], getattr(grains, name)[grains.labels[inside]])
    assert np.isnan(found[~inside]).all()
    assert figure.axes[0].images[-1].get_clim()[1] == 50


@pytest.mark.parametrize("name", ["reference_misorientation", "kernel_average_misorientation"])
def test_properties_of_points(grains, name) -> None:
    found = points(grains, top_image(plot_grains(grains, name)))
    np.testing.assert_allclose(found, getattr(grains, name))


def test_units_are_said(grains) -> None:
    figure = plot_grains(grains, "equivalent_diameter")
    bar = figure.axes[0].child_axes[0]
    assert bar.get_ylabel() == "equivalent diameter (nm)"
    assert figure.axes[0].get_xlabel() == "scan x (nm)"


def test_boundaries_can_be_left_out(grains) -> None:
    assert len(lines(plot_grains(grains))[0].get_segments()) == len(grain_boundaries(grains))
    assert lines(plot_grains(grains, boundaries=False)) == []


@pytest.mark.parametrize("over", ["ipf", "grain", "none"])
def test_boundary_lines(grains, over) -> None:
    boundaries = grain_boundaries(grains)
    figure = plot_grain_boundaries(boundaries, over, linewidths=2.5)
    plain, between = lines(figure)
    phase_boundary = boundaries.is_phase_boundary
    np.testing.assert_allclose(plain.get_segments(), boundaries.segments[~phase_boundary])
    np.testing.assert_allclose(plain.get_array(), boundaries.angles[~phase_boundary])
    np.testing.assert_allclose(between.get_segments(), boundaries.segments[phase_boundary])
    np.testing.assert_allclose(between.get_color(), [to_rgba("black")])
    assert {line.get_linewidths()[0] for line in (plain, between)} == {2.5}
    assert plain.get_clim()[0] == 0
    (legend,) = figure.legends
    share = 100 * boundaries.lengths[phase_boundary].sum() / boundaries.lengths.sum()
    assert legend.texts[0].get_text() == f"phase boundary, {share:.0f} % of length"
    assert figure.axes[0].child_axes[0].get_ylabel() == "misorientation (degrees)"


def test_lines_lie_on_the_edges_of_the_pixels(grains) -> None:
    figure = plot_grain_boundaries(grains)
    left, right, bottom, top = figure.axes[0].images[-1].get_extent()
    ends = np.concatenate([line.get_segments() for line in lines(figure)]).reshape(-1, 2)
    np.testing.assert_allclose((ends - [left, top]) / 2 % 1, 0, atol=1e-9)
    assert ends[:, 0].min() >= left
    assert ends[:, 1].max() <= bottom
    assert right == 17


def test_twins_are_marked(rng) -> None:
    first = random_quaternions(1, rng)[0]
    twin = multiply(from_rotation_vector(np.deg2rad(60) / np.sqrt(3) * np.ones(3)), first)
    other = multiply(from_rotation_vector(np.deg2rad([0, 0, 20.0])), first)
    q = np.stack([first, first, twin, first, other])
    xmap = build_crystal_map(q, np.zeros(5, dtype=int), [crystal("cubic")])
    figure = plot_grain_boundaries(find_grains(xmap), sigma=(3, 9))
    plain, marked = lines(figure)
    assert len(plain.get_segments()) == 1
    assert len(marked.get_segments()) == 2
    assert [text.get_text() for text in figure.legends[0].texts] == ["$\\Sigma$3, 67 % of length"]


@pytest.mark.parametrize("shape", [(1, 18), (18, 1)])
def test_lines_of_points(rng, shape) -> None:
    labels = np.sort(LABELS.ravel()[:18]).reshape(shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    coordinates = {"x": x.ravel() * 1.0, "y": y.ravel() * 1.0}
    q = random_quaternions(3, rng)[labels.ravel()]
    xmap = build_crystal_map(q, 0 * labels.ravel(), [crystal("cubic")], coordinates=coordinates)
    axes = plot_grains(find_grains(xmap)).axes[0]
    assert axes.get_aspect() == "auto"
    across = axes.get_yticks() if shape[0] == 1 else axes.get_xticks()
    assert len(across) == 0


def test_nothing_in_any_grain() -> None:
    xmap = build_crystal_map(np.full((3, 4), np.nan), np.full(3, -1), [crystal("cubic")])
    assert "0 grains" in plot_grains(find_grains(xmap)).get_suptitle()
    figure = plot_grain_boundaries(find_grains(xmap), sigma=(3,))
    assert figure.legends == []


@pytest.mark.parametrize(
    ("function", "arguments", "match"),
    [
        (plot_grains, {"color_by": "size"}, "expected one of 'ipf', 'grain', 'points'"),
        (plot_grains, {"direction": "n"}, "'x', 'y', 'z'"),
        (plot_grain_boundaries, {"over": "grains"}, "Did you mean 'grain'"),
        (plot_grain_boundaries, {"direction": "w"}, "direction"),
        (plot_grain_boundaries, {"sigma": (4,)}, "sigma: got 4"),
    ],
)
def test_wrong_arguments(grains, function, arguments, match) -> None:
    with pytest.raises(ValueError, match=match):
        function(grains, **arguments)


def test_maps_are_refused(grains) -> None:
    with pytest.raises(TypeError, match=r"pyxem_cnn\.find_grains\(xmap\)"):
        plot_grains(grains.xmap)
    with pytest.raises(TypeError, match="Find the grains first"):
        plot_grain_boundaries(grains.xmap)
