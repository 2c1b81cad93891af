"""Figures of maps: colours at the right place, the frame said, nothing shown unasked."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from orix.quaternion import Rotation

from pyxem_cnn.plot import (
    plot_error_map,
    plot_ipf_maps,
    plot_property_map,
)
from pyxem_cnn.rotations import about_z, from_matrix, multiply
from tests.fixtures_model import SILICON, ZIRCONIA, crystal_map

RED, GREEN, BLUE = np.eye(3)  # [001], [101], [111] in TSL's key


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def frame(y, z) -> np.ndarray:
    """Return the quaternion of the crystal with these directions along lab +y and +z."""
    y, z = (np.array(v) / np.linalg.norm(v) for v in (y, z))
    return from_matrix(np.stack([np.cross(y, z), y, z], axis=1))


def with_rotations(xmap, quaternions):
    """Return the map with other orientations at all of its points."""
    xmap._rotations = Rotation(quaternions)
    return xmap


def image_of(figure, panel: int) -> np.ndarray:
    """Return the topmost image of a panel."""
    return np.asarray(figure.axes[panel].images[-1].get_array())


def test_colours_along_y_and_z_at_every_point(rng) -> None:
    xmap = crystal_map((2, 3), [SILICON], rng, special=False)
    quaternions = [
        frame([1, 0, 0], [0, 0, 1]),
        frame([1, 0, 1], [1, 1, -1]),
        frame([1, -1, 0], [1, 1, 1]),
        frame([1, 1, 1], [1, -1, 0]),
        frame([1, 1, 0], [0, 0, 1]),
        frame([0, 1, 0], [1, 0, 1]),
    ]
    figure = plot_ipf_maps(with_rotations(xmap, quaternions), "yz")
    along_y, along_z = (image_of(figure, panel)[..., :3] for panel in (0, 1))
    expected_y = [[RED, GREEN, GREEN], [BLUE, GREEN, RED]]
    expected_z = [[RED, BLUE, BLUE], [GREEN, RED, GREEN]]
    np.testing.assert_allclose(along_y, expected_y, atol=0.02)
    np.testing.assert_allclose(along_z, expected_z, atol=0.02)


def test_x_panel_and_turns_about_the_beam(rng) -> None:
    xmap = crystal_map((1, 2), [SILICON], rng, special=False)
    first = frame([0, 1, 0], [0, 0, 1])  # [100] along x
    turned = multiply(first, about_z(np.deg2rad(45.0)))  # a <110> along x
    figure = plot_ipf_maps(with_rotations(xmap, [first, turned]), "xz")
    np.testing.assert_allclose(image_of(figure, 0)[0, :, :3], [RED, GREEN], atol=0.02)
    np.testing.assert_allclose(image_of(figure, 1)[0, :, :3], [RED, RED], atol=0.02)


@pytest.mark.parametrize(("colour", "value"), [("black", 0), ("white", 1)])
def test_points_without_orientation(rng, colour, value) -> None:
    figure = plot_ipf_maps(crystal_map((3, 4), [SILICON], rng, n_best=2), not_indexed=colour)
    image = image_of(figure, 0)
    np.testing.assert_array_equal(image[0, 1], [value, value, value, 1])
    assert image[0, 2, 3] == 0  # left out: transparent
    assert image[0, 0, 3] == image[2, 3, 3] == 1


def test_best_of_several_orientations(rng) -> None:
    xmap = crystal_map((2, 3), [SILICON], rng, n_best=3, special=False)
    several = image_of(plot_ipf_maps(xmap), 2)
    one = with_rotations(xmap, xmap.rotations.data[:, 0])
    np.testing.assert_allclose(several, image_of(plot_ipf_maps(one), 2))


def test_title_says_frame_and_group(rng) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng)
    figure = plot_ipf_maps(xmap, title="scan 7", frame="scan")
    title = figure.get_suptitle()
    assert "scan 7" in title
    assert "scan frame: x right, y up, z towards the source" in title
    assert "m-3m" in title
    assert "lab frame" in plot_ipf_maps(xmap).get_suptitle()
    assert [a.get_title() for a in figure.axes[:3]] == [
        "along x (right)",
        "along y (up)",
        "along z (towards the source)",
    ]


def test_axes_are_in_the_unit_of_the_scan(rng) -> None:
    figure = plot_ipf_maps(crystal_map((3, 4), [SILICON], rng))
    axes = figure.axes[0]
    assert axes.get_xlabel() == "scan x (nm)"
    assert axes.images[0].get_extent() == [-1.25, 8.75, 6.25, -1.25]


def test_slice_shows_its_own_points(rng) -> None:
    xmap = crystal_map((5, 6), [SILICON], rng, special=False)
    whole = image_of(plot_ipf_maps(xmap), 2)
    part = plot_ipf_maps(xmap[1:4, 2:5])
    np.testing.assert_allclose(image_of(part, 2), whole[1:4, 2:5])
    assert part.axes[0].images[0].get_extent() == [3.75, 11.25, 8.75, 1.25]


@pytest.mark.parametrize("shape", [(7,), (1, 4), (4, 1), ()])
def test_lines_and_points(rng, shape) -> None:
    xmap = crystal_map(shape, [SILICON], rng, special=False)
    expected = {1: (1, *shape), 0: (1, 1)}.get(len(shape), shape)
    assert image_of(plot_ipf_maps(xmap, "z"), 0).shape == (*expected, 4)


def test_two_phases_one_with_axes_of_its_own(rng) -> None:
    xmap = crystal_map((3, 4), [SILICON, ZIRCONIA], rng)
    figure = plot_ipf_maps(xmap, "z")
    assert [axes.name for axes in figure.axes] == ["rectilinear", "ipf", "ipf"]
    assert ["Si, m-3m", "ZrO2, 2/m"] == [axes.get_title() for axes in figure.axes[1:]]


def test_monoclinic_colours_obey_the_axis_along_b(rng) -> None:
    xmap = crystal_map((1, 3), [ZIRCONIA], rng, special=False)
    first = xmap.rotations.data[0]
    about_b = multiply(np.array([0.0, 0, 1, 0]), first)
    about_c = multiply(np.array([0.0, 0, 0, 1]), first)
    image = image_of(plot_ipf_maps(with_rotations(xmap, [first, about_b, about_c]), "z"), 0)
    np.testing.assert_allclose(image[0, 0], image[0, 1], atol=1e-6)
    assert np.abs(image[0, 0] - image[0, 2]).max() > 0.01


def test_nothing_indexed(rng) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng)
    xmap.phase_id = -1
    assert "nothing indexed" in plot_ipf_maps(xmap).get_suptitle()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"directions": "xw"}, "letters x, y and z"),
        ({"directions": ""}, "letters x, y and z"),
        ({"not_indexed": "red"}, "'black' or 'white'"),
    ],
)
def test_wrong_arguments_of_ipf_maps(rng, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        plot_ipf_maps(crystal_map((3, 4), [SILICON], rng), **arguments)


def test_list_of_maps_is_refused(rng) -> None:
    with pytest.raises(TypeError, match="one by one"):
        plot_ipf_maps([crystal_map((3, 4), [SILICON], rng)])


def test_property_map_shows_the_best(rng) -> None:
    xmap = crystal_map((3, 4), [SILICON], rng, n_best=2)
    image = image_of(plot_property_map(xmap), 0)
    np.testing.assert_allclose(image.ravel()[xmap.is_in_data], xmap.prop["scores"][:, 0])
    assert np.isnan(np.ma.filled(image[0, 2], np.nan))
    drawn = plot_property_map(xmap, "reliability").axes[0].images[-1]
    assert drawn.get_clim() == (0, 100)
    drawn = plot_property_map(xmap, "reliability", vmax=10, cmap="gray").axes[0].images[-1]
    assert drawn.get_clim() == (0, 10)


def test_unknown_property_is_refused(rng) -> None:
    with pytest.raises(ValueError, match="Did you mean 'scores'"):
        plot_property_map(crystal_map((3, 4), [SILICON], rng), "score")


def test_error_map_and_histogram(rng) -> None:
    truth = crystal_map((2, 5), [SILICON], rng, special=False)
    angles = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1, 2, 3, 7, 20])
    turned = multiply(truth.rotations.data, about_z(np.deg2rad(angles)))
    xmap = with_rotations(crystal_map((2, 5), [SILICON], rng, special=False), turned)
    figure = plot_error_map(xmap, truth, cap=5)
    np.testing.assert_allclose(image_of(figure, 0).ravel(), angles, atol=1e-4)
    assert figure.axes[0].images[0].get_clim() == (0, 5)
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    np.testing.assert_allclose(sum(heights), 100)
    np.testing.assert_allclose(heights[-1], 20)  # beyond the cap
    assert "m-3m" in figure.get_suptitle()


def test_error_map_needs_a_truth(rng) -> None:
    truth = crystal_map((3, 4), [SILICON], rng, special=False)
    truth.phase_id = -1
    xmap = crystal_map((3, 4), [SILICON], rng)
    with pytest.raises(ValueError, match="no point with an orientation"):
        plot_error_map(xmap, truth)
    with pytest.raises(ValueError, match="cap"):
        plot_error_map(xmap, truth, cap=0)
