"""Markers of predicted spots lie on the spots of diffsims' patterns, whatever the detector."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hyperspy.signals import Signal2D

from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import PolarGeometry
from pyxem_cnn.indexing.pattern_frame import PatternFrame
from pyxem_cnn.indexing.spots import SpotSettings
from pyxem_cnn.rotations import multiply, random_quaternions
from pyxem_cnn.signals._ragged import RaggedBlocks
from pyxem_cnn.signals.orientation_prediction import COLUMNS, OrientationPrediction
from tests._crystals import crystal, diffsims_phase

VOLTAGE, RADIUS = 200.0, 1.4
SHAPE, CENTER, SCALE = (150, 170), (93.4, 68.7), 0.02
SETTINGS = SpotSettings(max_excitation_error=0.03, relrod_width=0.015, minimum_intensity=0.01)


def diffsims_pattern(name: str, quaternion: np.ndarray) -> np.ndarray:
    """Return what diffsims draws: +ky downward, the beam at CENTER."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffsims.generators.simulation_generator import SimulationGenerator
        from orix.quaternion import Rotation

        simulation = SimulationGenerator(
            VOLTAGE, shape_factor_model="lorentzian"
        ).calculate_diffraction2d(
            diffsims_phase(name),
            Rotation(quaternion),
            reciprocal_radius=RADIUS,
            with_direct_beam=False,
            max_excitation_error=0.03,
        )
        return simulation.get_diffraction_pattern(
            shape=SHAPE,
            sigma=1.2,
            direct_beam_position=CENTER,
            calibration=SCALE,
            fast=False,
            clip_threshold=1e-9,
        )


def patterns_signal(data: np.ndarray, scale: float = 1.0) -> Signal2D:
    """Return patterns with calibrated axes about the beam, in 1/nm if scale is 10."""
    signal = Signal2D(data)
    for axis, center in zip(signal.axes_manager.signal_axes, CENTER, strict=True):
        axis.scale, axis.offset = SCALE * scale, -center * SCALE * scale
    return signal


def make_prediction(
    names: list[str],
    rows: np.ndarray,
    signal: Signal2D,
    geometry: DetectorGeometry | PolarGeometry,
    frame: str = "detector",
) -> OrientationPrediction:
    """Return a prediction as mapping makes it, of rows (navigation..., n_best, 5): phase, q."""
    data = np.ones((*rows.shape[:-1], len(COLUMNS)), dtype=np.float32)
    data[..., 0], data[..., 2:6] = rows[..., 0], rows[..., 1:]
    data[rows[..., 0] < 0, 1:] = np.nan
    prediction = OrientationPrediction(data)
    prediction.phases = [crystal(name) for name in names]
    prediction.model_info = [
        {"name": n, "sha256": "", "accelerating_voltage": VOLTAGE, "reciprocal_radius": RADIUS}
        for n in names
    ]
    prediction.metadata.set_item(
        "OrientationPrediction.pattern_frame", PatternFrame.from_signal(signal, geometry).to_json()
    )
    prediction.metadata.set_item("OrientationPrediction.frame", frame)
    return prediction


def rows_of(quaternions: np.ndarray, phase_id: float = 0) -> np.ndarray:
    return np.concatenate([np.full((*quaternions.shape[:-1], 1), phase_id), quaternions], axis=-1)


def assert_on_spots(image: np.ndarray, xy: np.ndarray) -> None:
    """Every pixel position (x, y) is the middle of a blob, and every strong blob is met."""
    from scipy import ndimage

    image = image.astype(float)
    rows, columns = np.indices(image.shape)
    last = np.array(image.shape[::-1]) - 4
    whole = np.all((xy > 3) & (xy < last), axis=1)  # not cut by the border
    assert whole.sum() > 3
    for x, y in xy[whole]:
        near = np.hypot(columns - x, rows - y) < 3
        weight = image * near
        assert weight.max() > 0.002 * image.max()
        middle = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
        assert np.hypot(middle[0] - x, middle[1] - y) < 0.6
    peaks = (image == ndimage.maximum_filter(image, 7)) & (image > 0.05 * image.max())
    for row, column in np.argwhere(peaks):
        assert np.hypot(xy[:, 0] - column, xy[:, 1] - row).min() < 1.5


def offsets(markers: Any, *index: int) -> np.ndarray:
    values = markers[0].kwargs["offsets"]
    return np.asarray(values[index].compute() if isinstance(values, da.Array) else values)


# What a detector does to an image with y up, and how the geometry describes it.
READOUTS = {
    "y up": (lambda image: image, {}),
    "flip_y": (lambda image: image[::-1], {"flip_y": True}),
    "flip_x": (lambda image: image[:, ::-1], {"flip_x": True}),
    "transposed": (lambda image: image.T, {"transpose": True}),
    "all": (lambda image: image[::-1, ::-1].T, {"flip_x": True, "flip_y": True, "transpose": True}),
}


@pytest.mark.parametrize("name", ["cubic", "hexagonal", "trigonal", "monoclinic"])
@pytest.mark.parametrize("readout", READOUTS)
def test_markers_lie_on_the_spots_of_diffsims(
    name: str, readout: str, rng: np.random.Generator
) -> None:
    quaternion = random_quaternions(1, rng)
    change, options = READOUTS[readout]
    image = change(diffsims_pattern(name, quaternion[0])[::-1])  # y up, and then read out
    # Where the beam went is found on an image of it, not by a formula.
    beam = np.zeros(SHAPE)
    beam[round(CENTER[1]), round(CENTER[0])] = 1
    row, column = np.argwhere(change(beam[::-1]))[0]
    shift = np.array(CENTER) - np.round(CENTER)
    part = np.zeros(2)
    for axis, amount in zip("xy", shift, strict=True):
        sign = {"x": 1, "y": -1}[axis] * (-1 if options.get(f"flip_{axis}") else 1)
        swapped = ("yx" if options.get("transpose") else "xy").index(axis)
        part[swapped] = sign * amount
    center = (column + part[0], row + part[1])
    signal = Signal2D(image[None, None])
    geometry = DetectorGeometry(image.shape, center, (SCALE, SCALE), VOLTAGE, **options)
    prediction = make_prediction([name], rows_of(quaternion)[None, None], signal, geometry)
    assert_on_spots(image, offsets(prediction.to_markers(spots=SETTINGS), 0, 0))


def test_coordinates_are_those_of_the_axes(rng: np.random.Generator) -> None:
    quaternion = random_quaternions(1, rng)
    image = diffsims_pattern("trigonal", quaternion[0])
    signal = patterns_signal(image[None], scale=10)  # axes in 1/nm
    geometry = DetectorGeometry(SHAPE, CENTER, (SCALE, SCALE), VOLTAGE, flip_y=True)
    prediction = make_prediction(["trigonal"], rows_of(quaternion)[None], signal, geometry)
    xy = offsets(prediction.to_markers(spots=SETTINGS), 0)
    assert_on_spots(image, xy / (10 * SCALE) + CENTER)
    recalibrated = patterns_signal(image[None], scale=1)
    anew = offsets(prediction.to_markers(spots=SETTINGS, signal=recalibrated), 0)
    np.testing.assert_allclose(10 * anew, xy, atol=1e-9)


def test_scan_frame_is_turned_back(rng: np.random.Generator) -> None:
    quaternion = random_quaternions(1, rng)
    image = diffsims_pattern("trigonal", quaternion[0])
    geometry = DetectorGeometry(
        SHAPE, CENTER, (SCALE, SCALE), VOLTAGE, flip_y=True, scan_rotation=37.0
    )
    turned = multiply(quaternion, geometry.rotation_to_scan())
    signal = Signal2D(image[None])
    prediction = make_prediction(["trigonal"], rows_of(turned)[None], signal, geometry, "scan")
    assert_on_spots(image, offsets(prediction.to_markers(spots=SETTINGS), 0))


def test_ellipse_stretches_the_spots(rng: np.random.Generator) -> None:
    from scipy import ndimage

    quaternion = random_quaternions(1, rng)
    image = diffsims_pattern("cubic", quaternion[0])[::-1]
    center = (CENTER[0], SHAPE[0] - 1 - CENTER[1])
    angle, ratio = np.deg2rad(30), 1.06
    # The stretch of an image with y up about the beam; affine_transform wants its inverse in
    # (row, column), and rows run down.
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = axes @ np.diag([ratio**0.5, ratio**-0.5]) @ axes.T
    to_rows = np.array([[0, -1], [1, 0]])
    inverse = to_rows @ np.linalg.inv(stretch) @ to_rows.T
    beam = np.array(center[::-1])
    image = ndimage.affine_transform(image, inverse, beam - inverse @ beam, order=1)
    geometry = DetectorGeometry(
        SHAPE, center, (SCALE, SCALE), VOLTAGE, ellipticity=ratio, ellipse_angle=30
    )
    rows = rows_of(quaternion)[None]
    prediction = make_prediction(["cubic"], rows, Signal2D(image[None]), geometry)
    assert_on_spots(image, offsets(prediction.to_markers(spots=SETTINGS), 0))


@pytest.mark.parametrize("lazy", [False, True])
def test_beam_shifts_move_the_spots_and_are_sliced_with_them(
    lazy: bool, rng: np.random.Generator
) -> None:
    rows = rows_of(random_quaternions(12, rng)).reshape(3, 4, 1, 5)
    signal = Signal2D(np.zeros((3, 4, *SHAPE)))
    geometry = DetectorGeometry(SHAPE, CENTER, (SCALE, SCALE), VOLTAGE)
    prediction = make_prediction(["cubic"], rows, signal, geometry)
    assert prediction.beam_shifts is None
    shifts = rng.uniform(-1, 1, (3, 4, 2))
    # Spots near the border would come and go.
    radius = SpotSettings(reciprocal_radius=1.0)
    plain = offsets(prediction.to_markers(spots=radius), 2, 1)
    prediction.beam_shifts = da.from_array(shifts, chunks=(2, 4, 2)) if lazy else shifts
    moved = offsets(prediction.to_markers(spots=radius), 2, 1)
    np.testing.assert_allclose(moved, plain + shifts[1, 2])
    part = prediction.inav[1:, 1]
    np.testing.assert_allclose(np.asarray(part.beam_shifts), shifts[1, 1:])
    np.testing.assert_allclose(offsets(part.to_markers(spots=radius), 1), moved)
    lost = prediction.deepcopy()
    lost.beam_shifts = np.full_like(shifts, np.nan)
    assert offsets(lost.to_markers(), 2, 1).shape == (0, 2)


def test_polar_patterns_have_markers_too(rng: np.random.Generator) -> None:
    radial, azimuthal = np.linspace(0, 1.5, 61), np.linspace(-np.pi, np.pi, 361)
    quaternion = random_quaternions(1, rng)
    signal = Signal2D(np.zeros((1, 60, 360)))
    angle, radius = signal.axes_manager.signal_axes
    angle.scale, angle.offset = np.deg2rad(1), -np.pi
    radius.scale = 0.025
    rows = rows_of(quaternion)[None]
    polar = make_prediction(["trigonal"], rows, signal, PolarGeometry(radial, azimuthal))
    found = offsets(polar.to_markers(), 0)
    geometry = DetectorGeometry((201, 201), (100, 100), (0.02, 0.02), VOLTAGE)
    flat = make_prediction(["trigonal"], rows, Signal2D(np.zeros((1, 201, 201))), geometry)
    x, y = (offsets(flat.to_markers(), 0) - 100).T * [[0.02], [-0.02]]
    # The axes name lower edges, while an image shows a cell about its name.
    expected = np.stack([np.arctan2(y, x) - np.deg2rad(0.5), np.hypot(x, y) - 0.0125], axis=-1)
    key = [tuple(row) for row in np.round(np.concatenate([expected]), 6)]
    assert sorted(key) == sorted(tuple(row) for row in np.round(found, 6))


@pytest.fixture
def two_phases(rng: np.random.Generator) -> OrientationPrediction:
    """A scan of 6 x 7 positions and two phases; one not indexed, one left out."""
    rows = rows_of(random_quaternions(84, rng)).reshape(6, 7, 2, 5)
    rows[:, :3, 0, 0] = rows[:, 3:, 1, 0] = 1
    rows[2, 2, :, 0] = -1
    prediction = make_prediction(
        ["cubic", "hexagonal"],
        rows,
        Signal2D(np.zeros((6, 7, *SHAPE), np.uint8)),
        DetectorGeometry(SHAPE, CENTER, (SCALE, SCALE), VOLTAGE),
    )
    prediction.data[4, 5] = np.nan
    return prediction


def test_phases_and_ranks_have_markers_of_their_own(two_phases: OrientationPrediction) -> None:
    markers = two_phases.to_markers(n_best=2)
    assert [m.name for m in markers] == ["rank 0, Si", "rank 0, Mg", "rank 1, Si", "rank 1, Mg"]
    edges = [m.kwargs["edgecolor"] for m in markers]
    assert edges[0] == edges[2] != edges[1] == edges[3]
    assert markers[0].kwargs["linestyle"] != markers[2].kwargs["linestyle"]
    counts = np.array(
        [[[len(o) for o in row] for row in m.kwargs["offsets"].T.compute()] for m in markers]
    )
    assert counts.shape == (4, 6, 7)
    has = counts > 0
    assert not has[:, 2, 2].any()  # not indexed
    assert not has[:, 4, 5].any()  # left out
    assert has[0, :, 3:].sum() == 23  # silicon, without the one left out
    assert not has[0, :, :3].any()
    assert has[1, :, :3].sum() == has[2, :, :3].sum() == 17
    assert not has[1, :, 3:].any()


def test_rank_chooses_the_first(two_phases: OrientationPrediction) -> None:
    both = two_phases.to_markers(n_best=2)
    (si, mg) = two_phases.to_markers(rank=1)
    assert (si.name, mg.name) == ("rank 1, Si", "rank 1, Mg")
    for own, other in ((si, both[2]), (mg, both[3])):
        np.testing.assert_array_equal(offsets([own], 1, 0), offsets([other], 1, 0))
    with pytest.raises(ValueError, match=r"rank \+ n_best: got 3, expected at most 2.*Map with"):
        two_phases.to_markers(n_best=2, rank=1)


@pytest.mark.filterwarnings("ignore:The NestedDirectoryStore:FutureWarning")
def test_lazy_in_memory_and_loaded_agree(two_phases: OrientationPrediction, tmp_path) -> None:
    import hyperspy.api as hs

    eager = two_phases.to_markers(annotate=True, lazy_output=False)
    assert all(isinstance(m.kwargs["offsets"], np.ndarray) for m in eager)
    assert not any(m.dask_kwargs for m in eager)
    lazy = two_phases.as_lazy()
    lazy.data = lazy.data.rechunk((4, 7, 2, -1))
    lazy.beam_shifts = da.zeros((6, 7, 2))
    lazy.save(tmp_path / "prediction.zspy")
    loaded = hs.load(tmp_path / "prediction.zspy", lazy=True)
    for other in (lazy, loaded):
        for one, two in zip(eager, other.to_markers(annotate=True), strict=True):
            for key in set(one.kwargs) & {"offsets", "sizes", "texts"}:
                values = two.kwargs[key]
                if isinstance(values, tuple):
                    continue  # the size of texts
                values = values.compute()
                assert values.shape == one.kwargs[key].shape == (7, 6)
                for index in np.ndindex(7, 6):
                    np.testing.assert_array_equal(values[index], one.kwargs[key][index])


def test_a_lazy_block_is_computed_once(two_phases: OrientationPrediction) -> None:
    calls = []

    def count(block: np.ndarray) -> np.ndarray:
        calls.append(block.shape)
        return block

    lazy = two_phases.as_lazy()
    lazy.data = da.from_array(two_phases.data, chunks=(3, 7, 2, -1)).map_blocks(
        count, dtype=np.float32, meta=np.empty((0, 0, 0, 0), np.float32)
    )
    for marker in lazy.to_markers(n_best=2, annotate=True):
        for value in marker.kwargs.values():
            if isinstance(value, da.Array):
                value[5:7, :3].compute()
    assert calls == [(3, 7, 2, len(COLUMNS))]  # the first three rows of the scan


def test_blocks_survive_a_pickle(two_phases: OrientationPrediction) -> None:
    blocks = RaggedBlocks(two_phases.data, None, _first_phase)
    again = pickle.loads(pickle.dumps(blocks))
    assert again.array(_same).compute()[3, 2] == two_phases.data[2, 3, 0, 0]


def _first_phase(rows: np.ndarray, _: Any) -> float:
    return rows[0, 0]


def _same(value: float) -> float:
    return value


def test_labels_are_miller_indices_of_their_spots(rng: np.random.Generator) -> None:
    from orix.quaternion import Rotation
    from orix.vector import Miller

    quaternion = random_quaternions(1, rng)
    geometry = DetectorGeometry(SHAPE, CENTER, (SCALE, SCALE), VOLTAGE)
    signal = patterns_signal(np.zeros((1, *SHAPE)))
    prediction = make_prediction(["trigonal"], rows_of(quaternion)[None], signal, geometry)
    points, texts = prediction.to_markers(annotate=True, lazy_output=False)
    hkl = np.array([text.split() for text in texts.kwargs["texts"][0]], dtype=int)
    g = Miller(hkl=hkl, phase=diffsims_phase("trigonal"))
    expected = (~Rotation(quaternion) * g).data
    xy = points.kwargs["offsets"][0] * [1, -1]
    np.testing.assert_allclose(xy, expected[:, :2], atol=1e-5)
    assert len(hkl) == len(points.kwargs["sizes"][0]) > 5


@pytest.mark.filterwarnings("ignore::UserWarning:hyperspy")
@pytest.mark.parametrize("navigation", [(), (5,), (3, 4), (2, 3, 4)])
def test_markers_follow_the_navigator(
    navigation: tuple[int, ...], rng: np.random.Generator
) -> None:
    n = int(np.prod(navigation))
    rows = rows_of(random_quaternions(n, rng)).reshape(*navigation, 1, 5)
    signal = patterns_signal(np.ones((*navigation, *SHAPE), np.uint8))
    geometry = DetectorGeometry(SHAPE, CENTER, (SCALE, SCALE), VOLTAGE)
    prediction = make_prediction(["cubic"], rows, signal, geometry)
    prediction.plot_over_signal(signal)
    (points,) = [m for m in signal._plot.signal_plot.ax_markers if m.name == "rank 0, Si"]
    last = tuple(size - 1 for size in signal.axes_manager.navigation_shape)
    signal.axes_manager.indices = last
    drawn = np.asarray(points._collection.get_offsets())
    expected = offsets(prediction.to_markers(), *last)
    np.testing.assert_allclose(drawn, expected)
    assert len(drawn) > 3
    plt.close("all")


@pytest.mark.filterwarnings("ignore::UserWarning:hyperspy")
def test_keys_step_through_the_ranks(two_phases: OrientationPrediction) -> None:
    from matplotlib.backend_bases import KeyEvent

    signal = Signal2D(np.zeros((6, 7, *SHAPE), np.uint8))
    two_phases.plot_over_signal(signal, n_best=2, add_ipf_markers=False)
    plot = signal._plot.signal_plot
    texts = [text.get_text() for text in plot.ax.get_legend().get_texts()]
    assert texts == ["rank 0, Si", "rank 0, Mg", "rank 1, Si", "rank 1, Mg"]

    def visible_after(key: str) -> list[bool]:
        event = KeyEvent("key_press_event", plot.figure.canvas, key)
        plot.figure.canvas.callbacks.process("key_press_event", event)
        return [marker._collection.get_visible() for marker in plot.ax_markers]

    assert visible_after("n") == [True, True, False, False]
    assert visible_after("n") == [False, False, True, True]
    assert visible_after("x") == [False, False, True, True]
    assert visible_after("b") == [True, True, False, False]
    assert visible_after("a") == [True] * 4
    # Where nothing is indexed, nothing is drawn, and nothing fails.
    signal.axes_manager.indices = (2, 2)
    assert [len(m._collection.get_offsets()) for m in plot.ax_markers] == [0] * 4
    plt.close("all")


def test_wrong_signals_and_predictions_are_refused(two_phases: OrientationPrediction) -> None:
    with pytest.raises(ValueError, match=r"navigation shape: got \(6, 6\), expected \(7, 6\)"):
        two_phases.to_markers(signal=Signal2D(np.zeros((6, 6, *SHAPE))))
    with pytest.raises(ValueError, match=r"signal shape: got \(5, 5\), expected \(170, 150\)"):
        two_phases.plot_over_signal(Signal2D(np.zeros((6, 7, 5, 5))))
    with pytest.raises(TypeError, match="signal: got None|signal: got 3"):
        two_phases.plot_over_signal(3)
    del two_phases.metadata.OrientationPrediction.pattern_frame
    with pytest.raises(ValueError, match="does not hold the geometry.*Map the scan again"):
        two_phases.to_markers()


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="relrod_width: got 0, expected a number above zero"):
        SpotSettings(relrod_width=0)
    with pytest.raises(ValueError, match="reciprocal_radius: got -1"):
        SpotSettings(reciprocal_radius=-1)
    with pytest.raises(ValueError, match="minimum_intensity: got 2, expected a share from 0 to 1"):
        SpotSettings(minimum_intensity=2)
