"""Colour maps and inverse pole figure markers against orix and the definition."""

from __future__ import annotations

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hyperspy.signals import Signal2D
from orix.plot import IPFColorKeyTSL
from orix.quaternion import Orientation, symmetry
from orix.vector import Vector3d

from pyxem_cnn.rotations import random_quaternions
from pyxem_cnn.signals.orientation_prediction import COLUMNS, OrientationPrediction
from tests._crystals import crystal


@pytest.fixture
def prediction(rng: np.random.Generator) -> OrientationPrediction:
    """Two ranks of a trigonal (left half) and a cubic phase; one not indexed, one left out."""
    data = np.ones((4, 6, 2, len(COLUMNS)), np.float32)
    data[..., 0] = 1
    data[..., COLUMNS.index("vacuum_probability") :] = 0
    data[:, :3, :, 0] = 0
    data[..., 1] = rng.uniform(0.1, 1, (4, 6, 2))
    data[..., 2:6] = random_quaternions(48, rng).reshape(4, 6, 2, 4)
    data[0, 0, :, 1:] = np.nan
    data[0, 0, :, 0] = -1
    data[1, 1] = np.nan
    prediction = OrientationPrediction(data)
    prediction.phases = [crystal("trigonal"), crystal("cubic")]
    for axis, step in zip(prediction.axes_manager.navigation_axes, (2.0, 3.0), strict=True):
        axis.scale, axis.units = step, "nm"
    return prediction


def as_bytes(signal: Signal2D) -> np.ndarray:
    data = np.asarray(signal.data)
    return np.stack([data[name] for name in "RGB"], axis=-1).astype(int)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("direction", ["x", "y", "z"])
@pytest.mark.parametrize("rank", [0, 1])
def test_colours_are_those_of_orix(
    prediction: OrientationPrediction, lazy: bool, direction: str, rank: int
) -> None:
    expected = np.zeros((4, 6, 3))
    vector = Vector3d({"x": [1, 0, 0], "y": [0, 1, 0], "z": [0, 0, 1]}[direction])
    for half, group in ((slice(0, 3), symmetry.D3d), (slice(3, 6), symmetry.Oh)):
        quaternions = np.nan_to_num(prediction.data[:, half, rank, 2:6], nan=0.5)
        key = IPFColorKeyTSL(group, vector)
        expected[:, half] = key.orientation2color(Orientation(quaternions, symmetry=group))
    expected[0, 0] = expected[1, 1] = 0  # black
    used = prediction
    if lazy:
        used = prediction.as_lazy()
        used.data = da.from_array(prediction.data, chunks=(3, 2, 1, -1))
    colormap = used.to_ipf_colormap(direction, rank=rank)
    assert colormap._lazy == lazy
    assert colormap.axes_manager.signal_shape == (6, 4)
    assert [axis.scale for axis in colormap.axes_manager.signal_axes] == [2.0, 3.0]
    np.testing.assert_allclose(as_bytes(colormap), 255 * expected, atol=0.51)


def test_phase_map(prediction: OrientationPrediction) -> None:
    image = as_bytes(prediction.to_phase_map())
    lazy = prediction.as_lazy().to_phase_map()
    np.testing.assert_array_equal(as_bytes(lazy), image)
    assert (image[[0, 1], [0, 1]] == 0).all()
    colors = {tuple(color) for color in image.reshape(-1, 3)}
    assert len(colors) == 3
    assert len({tuple(color) for color in image[:, 3:].reshape(-1, 3)}) == 1


@pytest.mark.parametrize(("vacuum", "amorphous", "black"), [(0.4, 0.2, True), (0.3, 0.1, False)])
def test_vacuum_is_black_as_in_the_crystal_map(
    prediction: OrientationPrediction, vacuum: float, amorphous: float, black: bool
) -> None:
    prediction.data[2, 4, :, -2:] = vacuum, amorphous
    is_black = (as_bytes(prediction.to_ipf_colormap()) == 0).all(axis=-1)
    np.testing.assert_array_equal(is_black, (as_bytes(prediction.to_phase_map()) == 0).all(-1))
    assert is_black[2, 4] == black
    xmap = prediction.to_crystal_map()
    np.testing.assert_array_equal(is_black.ravel()[xmap.id], ~xmap.is_indexed)


def test_key_is_added_for_a_single_phase(prediction: OrientationPrediction) -> None:
    assert not prediction.to_ipf_colormap().metadata.has_item("Markers")
    single = prediction.inav[:3, :]
    single.phases = [crystal("trigonal")]
    assert len(single.to_ipf_colormap().metadata.Markers) == 3
    assert not single.to_ipf_colormap(add_markers=False).metadata.has_item("Markers")


@pytest.mark.parametrize("lazy", [False, True])
def test_ipf_markers_lie_inside_their_outlines(
    prediction: OrientationPrediction, lazy: bool
) -> None:
    from matplotlib.path import Path

    used = prediction.as_lazy() if lazy else prediction
    markers = used.to_ipf_markers(scale=0.3)
    assert len(markers) == 8
    for phase_id, start in enumerate((0, 4)):
        outline, points = markers[start + 1], markers[start + 3]
        vertices = np.asarray(outline.kwargs["verts"][0])
        places = points.kwargs["offsets"].T.compute()
        alphas = points.kwargs["alpha"].T.compute()
        # Outlines of curved sectors are polygons of few corners.
        tolerant = vertices.mean(0) + 1.03 * (vertices - vertices.mean(0))
        for index in np.ndindex(4, 6):
            rows = prediction.data[index]
            here = np.count_nonzero(rows[:, 0] == phase_id)
            # matplotlib wants a point where there is none.
            assert places[index].shape == (max(here, 1), 2)
            assert alphas[index].shape == (max(here, 1),)
            if not here:
                assert np.isnan(places[index]).all()
            else:
                assert Path(tolerant).contains_points(places[index]).all()
                scores = rows[::-1, 1]  # the best one is drawn last
                np.testing.assert_allclose(alphas[index], scores / scores.max(), rtol=1e-6)


@pytest.mark.parametrize("score", [np.nan, 0.0])
def test_ipf_markers_without_scores_are_not_faint(
    prediction: OrientationPrediction, score: float
) -> None:
    prediction.data[3, 5, :, 1] = score
    points = prediction.to_ipf_markers()[7]  # of the second phase
    assert points.kwargs["alpha"].T.compute()[3, 5].tolist() == [1, 1]


@pytest.mark.parametrize("lazy", [False, True])
def test_ipf_markers_are_drawn_where_a_phase_is_not(
    prediction: OrientationPrediction, lazy: bool
) -> None:
    signal = Signal2D(np.zeros((4, 6, 8, 8), np.uint8))
    markers = (prediction.as_lazy() if lazy else prediction).to_ipf_markers()
    signal.plot()
    signal.add_marker(markers, permanent=False)  # not indexed at (0, 0)
    for indices in ((5, 3), (1, 1), (0, 2)):
        signal.axes_manager.indices = indices
        found = [np.isfinite(markers[i]._collection.get_offsets()).any() for i in (3, 7)]
        assert found == [indices == (0, 2), indices == (5, 3)]
    plt.close("all")


def test_colormap_and_phase_map_can_be_looked_at(prediction: OrientationPrediction) -> None:
    prediction.phases = [crystal("cubic")]
    prediction.data[:, :3, :, 0] = prediction.data[:, 3:, :, 0] = 0
    colormap = prediction.to_ipf_colormap()
    colormap.plot()
    assert len(colormap._plot.signal_plot.ax_markers) == 3  # the colour key
    prediction.to_phase_map().plot()
    patterns = Signal2D(np.zeros((4, 6, 8, 8), np.uint8))
    patterns.plot(navigator=prediction.to_ipf_colormap())
    plt.close("all")


def test_ipf_marker_of_a_known_direction(prediction: OrientationPrediction) -> None:
    cubic = prediction.inav[3:, :]
    cubic.data[..., 0] = 0
    cubic.data[..., 2:6] = [1, 0, 0, 0]  # crystal = lab: [001] along all of x, y and z
    cubic.phases = [crystal("cubic")]
    corner = cubic.to_ipf_markers()[3].kwargs["offsets"].compute()[0, 0]
    outline = np.asarray(cubic.to_ipf_markers()[1].kwargs["verts"][0])
    np.testing.assert_allclose(corner[0], [outline[:, 0].min(), outline[:, 1].min()], atol=1e-6)
    half = np.sqrt(0.5)
    cubic.data[..., 2:6] = [np.cos(np.pi / 8), 0, 0, np.sin(np.pi / 8)]  # 45 degrees about z
    along_x = cubic.to_ipf_markers(direction="x")[3].kwargs["offsets"].compute()[0, 0]
    given = cubic.to_ipf_markers(direction=Vector3d([half, half, 0]))
    np.testing.assert_allclose(given[3].kwargs["offsets"].compute()[0, 0], corner, atol=1e-6)
    # [101] is the corner at the right of the lower edge.
    edge = outline[outline[:, 0].argmax()]
    np.testing.assert_allclose(along_x[0], [along_x[0, 0], corner[0, 1]], atol=1e-6)
    assert abs(along_x[0, 0] - edge[0]) < 0.02


def test_what_is_not_there_is_refused(prediction: OrientationPrediction) -> None:
    with pytest.raises(ValueError, match="direction: got 'w', expected 'x', 'y', 'z' or one"):
        prediction.to_ipf_colormap("w")
    with pytest.raises(ValueError, match=r"rank \+ n_best: got 3, expected at most 2"):
        prediction.to_phase_map(rank=2)
