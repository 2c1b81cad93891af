"""Mapping a model over scans: every way of giving the same data gives the same map."""

from __future__ import annotations

import logging
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
from pyxem.signals import Diffraction2D, ElectronDiffraction2D, PolarDiffraction2D

import pyxem_cnn  # noqa: F401  (attaches the methods)
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.indexing.mapping import get_orientation_map
from pyxem_cnn.rotations import about_z, multiply
from pyxem_cnn.signals.orientation_prediction import LazyOrientationPrediction
from tests.indexing.conftest import CENTER, SCALE, SHAPE, density, spots_of, template_model


def signal_of(data):
    """Return an uncalibrated signal; its geometry is passed beside it."""
    if isinstance(data, da.Array):
        return ElectronDiffraction2D(data).as_lazy()
    return ElectronDiffraction2D(data)


def quaternions(xmap):
    """Return (points, 4) of the best orientations, left-out points included."""
    data = xmap._rotations.data
    return data[:, 0] if data.ndim == 3 else data


def assert_same_map(a, b, atol=1e-4):
    np.testing.assert_array_equal(a._phase_id, b._phase_id)
    np.testing.assert_array_equal(a.is_in_data, b.is_in_data)
    np.testing.assert_allclose(a._rotations.data, b._rotations.data, atol=atol)
    assert set(a.prop) == set(b.prop)
    for name in a.prop:
        np.testing.assert_allclose(a.prop[name], b.prop[name], atol=0.05, rtol=1e-3)


@pytest.fixture
def run(model, geometry):
    def call(data, models=None, **options):
        options = {"geometry": geometry, "show_progressbar": False} | options
        signal = data if hasattr(data, "axes_manager") else signal_of(data)
        return get_orientation_map(signal, models or model, **options)

    return call


@pytest.fixture(scope="module")
def reference(model, scan, geometry):
    return get_orientation_map(
        signal_of(scan.data), model, geometry=geometry, n_best=2, show_progressbar=False
    )


class TestOrientations:
    def test_are_right(self, reference, scan):
        assert reference.shape == (3, 4)
        np.testing.assert_allclose(quaternions(reference), scan.rotations.reshape(-1, 4), atol=1e-6)
        assert (reference.phase_id == 0).all()
        assert reference.phases[0].name == "LiNiO2"
        assert reference.prop["scores"].shape == (12, 2)
        assert (reference.prop["scores"][:, 0] > 0.5).all()
        assert (reference.prop["reliability"] > 50).all()

    def test_method(self, reference, model, scan, geometry):
        for kind in (Diffraction2D, ElectronDiffraction2D):
            xmap = kind(scan.data).get_orientation_map_cnn(
                model, geometry=geometry, n_best=2, show_progressbar=False
            )
            assert_same_map(xmap, reference)

    def test_the_signal_is_left_alone(self, run, scan):
        signal = signal_of(scan.data.copy())
        before = signal.metadata.as_dictionary()
        run(signal)
        np.testing.assert_array_equal(signal.data, scan.data)
        assert signal.metadata.as_dictionary() == before

    def test_several_orientations(self, run, scan, reference):
        xmap = run(scan.data, n_best=5)
        assert xmap.rotations_per_point == 5
        np.testing.assert_allclose(
            xmap._rotations.data[:, :2], reference._rotations.data, atol=1e-5
        )
        assert (np.diff(xmap.prop["scores"], axis=1) <= 0).all()

    def test_geometry_from_a_calibrated_signal(self, model, scan, reference):
        signal = ElectronDiffraction2D(scan.data)
        for axis, middle in zip(signal.axes_manager.signal_axes, CENTER, strict=True):
            axis.scale, axis.offset, axis.units = SCALE, -middle * SCALE, r"$A^{-1}$"
        signal.beam_energy = 200
        xmap = signal.get_orientation_map_cnn(model, n_best=2, show_progressbar=False)
        assert_same_map(xmap, reference)

    def test_geometry_object(self, run, scan, reference):
        detector = DetectorGeometry(SHAPE, CENTER, (SCALE, SCALE))
        assert_same_map(run(scan.data, geometry=detector, n_best=2), reference)

    def test_coordinates(self, run, scan):
        signal = signal_of(scan.data)
        x, y = signal.axes_manager.navigation_axes
        x.scale, y.scale, x.offset, y.offset = 2.0, 3.0, 7.0, -1.0
        x.units = y.units = "nm"
        xmap = run(signal)
        assert xmap.scan_unit == "nm"
        np.testing.assert_allclose(xmap.x.reshape(3, 4)[2], 7 + 2.0 * np.arange(4))
        np.testing.assert_allclose(xmap.y.reshape(3, 4)[:, 1], -1 + 3.0 * np.arange(3))


class TestLazy:
    @pytest.mark.parametrize(
        "chunks",
        [(3, 4, *SHAPE), (1, 1, *SHAPE), (2, 3, *SHAPE), (3, 4, 24, 50), (1, 2, 7, 11)],
        ids=str,
    )
    def test_chunks_change_nothing(self, run, scan, reference, chunks, caplog):
        with caplog.at_level(logging.WARNING, "pyxem_cnn"):
            xmap = run(da.from_array(scan.data, chunks=chunks), n_best=2)
        assert_same_map(xmap, reference)
        assert ("cut the detector" in caplog.text) == (chunks[2:] != SHAPE)

    @pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
    def test_schedulers(self, run, scan, reference, scheduler):
        with dask.config.set(scheduler=scheduler):
            xmap = run(da.from_array(scan.data, chunks=(1, 2, -1, -1)), n_best=2)
        assert_same_map(xmap, reference)

    def test_nothing_is_computed_before_it_is_asked_for(self, run, scan):
        def explode(block):
            raise RuntimeError("read")

        data = da.from_array(scan.data, chunks=(1, 4, -1, -1)).map_blocks(
            explode, dtype=scan.data.dtype, meta=np.empty((0,) * 4, dtype=scan.data.dtype)
        )
        prediction = run(data, lazy_output=True, navigation_mask=np.zeros((3, 4), dtype=bool))
        assert isinstance(prediction, LazyOrientationPrediction)
        assert prediction.data.shape[:-1] == (3, 4, 1)
        assert repr(prediction)
        with pytest.raises(RuntimeError, match="read"):
            prediction.compute(show_progressbar=False)

    @pytest.mark.parametrize("lazy_input", [False, True])
    def test_lazy_output(self, run, scan, reference, lazy_input):
        data = da.from_array(scan.data, chunks=(2, 2, -1, -1)) if lazy_input else scan.data
        prediction = run(data, lazy_output=True, n_best=2)
        assert isinstance(prediction.data, da.Array)
        assert prediction.data.dtype == np.float32
        assert_same_map(prediction.to_crystal_map(), reference)
        prediction.compute(show_progressbar=False)
        assert not isinstance(prediction, LazyOrientationPrediction)
        assert_same_map(prediction.to_crystal_map(), reference)

    def test_what_a_prediction_says(self, run, scan, model):
        prediction = run(scan.data, lazy_output=True)
        node = prediction.metadata.OrientationPrediction
        assert node.frame == "detector"
        assert node.group == "Laue"
        assert prediction.phases == [model.crystal]
        assert prediction.model_info[0]["sha256"] == model.sha256

    def test_large_chunks_are_cut(self, run, scan, reference, monkeypatch):
        from pyxem_cnn.indexing import chunks as blocks

        monkeypatch.setattr(blocks, "_BLOCK_BYTES", 2 * scan.data[0, 0].nbytes)
        for data in (scan.data, da.from_array(scan.data, chunks=-1)):
            prediction = run(data, lazy_output=True, n_best=2)
            assert prediction.data.npartitions >= 6
            assert_same_map(prediction.to_crystal_map(), reference)

    def test_part_of_a_prediction(self, run, scan, reference):
        prediction = run(
            da.from_array(scan.data, chunks=(1, 1, -1, -1)), lazy_output=True, n_best=2
        )
        np.testing.assert_allclose(
            prediction.inav[2, 1].data.compute()[0, 2:6], scan.rotations[1, 2], atol=1e-6
        )


class TestNavigation:
    def test_one_pattern(self, run, scan):
        xmap = run(scan.data[1, 2])
        assert xmap.size == 1
        np.testing.assert_allclose(quaternions(xmap)[0], scan.rotations[1, 2], atol=1e-6)

    def test_line(self, run, scan):
        for data in (scan.data[1], da.from_array(scan.data[1], chunks=(3, -1, -1))):
            xmap = run(data)
            assert xmap.shape == (4,)
            np.testing.assert_allclose(quaternions(xmap), scan.rotations[1], atol=1e-6)

    def test_stack_of_scans(self, run, scan):
        data = scan.data.reshape(2, 3, 2, *SHAPE)
        maps = run(data)
        assert [m.shape for m in maps] == [(3, 2), (3, 2)]
        np.testing.assert_allclose(
            np.concatenate([quaternions(m) for m in maps]), scan.rotations.reshape(-1, 4), atol=1e-6
        )

    def test_four_dimensions_are_refused(self, run, scan):
        with pytest.raises(ValueError, match="4 navigation dimensions"):
            run(scan.data.reshape(3, 2, 2, 1, *SHAPE))


class TestDtypes:
    @pytest.mark.parametrize(
        "dtype", [">u2", "<i4", ">i4", "u4", "f4", ">f4", "f8", ">f8", "f2", "i8", "u8"]
    )
    def test_counts_are_counts(self, run, scan, reference, dtype):
        data = scan.data.astype(dtype)
        atol = 0.05 if dtype == "f2" else 1e-4
        np.testing.assert_allclose(quaternions(run(data)), scan.rotations.reshape(-1, 4), atol=atol)
        if dtype != "f2":
            assert_same_map(run(da.from_array(data, chunks=(2, 4, -1, -1)), n_best=2), reference)

    def test_bytes(self, run, scan):
        data = (scan.data / scan.data.max((2, 3), keepdims=True) * 255).astype(np.uint8)
        np.testing.assert_allclose(quaternions(run(data)), scan.rotations.reshape(-1, 4), atol=1e-6)

    def test_arrays_of_any_layout(self, run, scan, reference):
        for data in (np.asfortranarray(scan.data), np.repeat(scan.data, 2, axis=1)[:, ::2]):
            assert_same_map(run(data, n_best=2), reference)

    @pytest.mark.parametrize("dtype", [complex, "U3"])
    def test_others_are_refused(self, run, dtype):
        with pytest.raises(TypeError, match="dtype of the patterns"):
            run(Diffraction2D(np.zeros((2, 2, *SHAPE), dtype=dtype)))


class TestMasks:
    def test_navigation_mask(self, run, scan, reference):
        mask = np.zeros((3, 4), dtype=bool)
        mask[1], mask[0, 3] = True, True
        data = scan.data.astype(np.float32)
        data[mask] = np.nan
        for patterns in (data, da.from_array(data, chunks=(2, 3, -1, -1))):
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # left out is not the same as not indexed
                xmap = run(patterns, navigation_mask=mask, n_best=2)
            np.testing.assert_array_equal(xmap.is_in_data, ~mask.ravel())
            assert xmap.size == 7
            np.testing.assert_allclose(
                quaternions(xmap)[~mask.ravel()], scan.rotations[~mask], atol=1e-6
            )
            assert (xmap._phase_id[mask.ravel()] == -1).all()

    def test_navigation_mask_as_signal(self, run, scan):
        signal = signal_of(scan.data)
        total = signal.sum(axis=signal.axes_manager.signal_axes)
        mask = total > np.median(total.data)
        assert hasattr(mask, "axes_manager")
        xmap = run(signal, navigation_mask=mask)
        np.testing.assert_array_equal(xmap.is_in_data, ~np.asarray(mask.data).ravel())

    def test_all_left_out(self, run, scan):
        xmap = run(scan.data, navigation_mask=np.ones((3, 4), dtype=bool))
        assert not xmap.is_in_data.any()

    def test_signal_mask(self, run, scan, reference):
        mask = np.zeros(SHAPE, dtype=bool)
        mask[:20, 5:12] = True
        data = scan.data.astype(np.float32)
        data[..., mask] = 1e9
        assert run(data)._rotations.shape == (12,)
        assert np.abs(quaternions(run(data)) - scan.rotations.reshape(-1, 4)).max() > 0.1
        xmap = run(data, signal_mask=mask)
        np.testing.assert_allclose(quaternions(xmap), scan.rotations.reshape(-1, 4), atol=1e-6)
        data[..., mask] = np.nan
        assert_same_map(run(data, signal_mask=mask), xmap)
        # A mask in the geometry adds to it.
        half = mask & (np.arange(SHAPE[1]) < 8)
        both = run(
            data,
            signal_mask=half,
            geometry={"center": CENTER, "scale": SCALE, "mask": mask & ~half},
        )
        assert_same_map(both, xmap)

    @pytest.mark.parametrize("name", ["navigation_mask", "signal_mask"])
    def test_wrong_masks(self, run, scan, name):
        shape = (3, 4) if name == "navigation_mask" else SHAPE
        with pytest.raises(TypeError, match=f"{name}.*booleans"):
            run(scan.data, **{name: np.zeros(shape)})
        with pytest.raises(ValueError, match=rf"{name}.*\({shape[0]}, {shape[1]}\)"):
            run(scan.data, **{name: np.zeros(shape[::-1], dtype=bool)})


class TestBadPatterns:
    def test_do_not_stop_the_scan(self, run, scan, reference):
        data = scan.data.astype(np.float32)
        data[0, 1], data[1, 1], data[2, 0], data[2, 3] = 0, np.nan, np.inf, -1
        for patterns in (data, da.from_array(data, chunks=(1, 2, -1, -1))):
            with pytest.warns(UserWarning, match=r"4 of 12 patterns .* first at \(0, 1\)"):
                xmap = run(patterns, n_best=2)
            bad = np.zeros((3, 4), dtype=bool)
            bad[0, 1] = bad[1, 1] = bad[2, 0] = bad[2, 3] = True
            np.testing.assert_array_equal(xmap.phase_id == -1, bad.ravel())
            assert xmap.is_in_data.all()
            assert np.isnan(xmap.prop["scores"][bad.ravel()]).all()
            np.testing.assert_allclose(
                quaternions(xmap)[~bad.ravel()], scan.rotations[~bad], atol=1e-6
            )

    def test_one_empty_pattern(self, run):
        with pytest.warns(UserWarning, match="1 of 1 patterns"):
            xmap = run(np.zeros(SHAPE))
        assert xmap._phase_id[0] == -1

    def test_good_ones_do_not_warn(self, run, scan):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(scan.data)


class TestGeometry:
    @pytest.mark.parametrize("flip", ["flip_x", "flip_y", "transpose"])
    def test_mirrored_detectors(self, run, scan, reference, flip):
        column, row = CENTER
        if flip == "flip_x":
            data, center = scan.data[..., ::-1], (SHAPE[1] - 1 - column, row)
        elif flip == "flip_y":
            data, center = scan.data[..., ::-1, :], (column, SHAPE[0] - 1 - row)
        else:
            data, center = scan.data.swapaxes(-1, -2), (row, column)
        geometry = {"center": center, "scale": SCALE}
        xmap = run(data, geometry=geometry | {flip: True}, n_best=2)
        assert_same_map(xmap, reference)
        wrong = run(data, geometry=geometry)
        off = np.abs((quaternions(wrong) * scan.rotations.reshape(-1, 4)).sum(1)) < 0.99
        # There are only 16 orientations to choose from: some right ones win even so.
        assert off.sum() >= 6

    def test_scan_rotation(self, run, scan, geometry, reference):
        turned = run(scan.data, geometry=geometry | {"scan_rotation": 30.0}, n_best=2)
        # Seen from the scan, the pattern is turned counterclockwise: O * Rz(-30 degrees).
        expected = multiply(scan.rotations.reshape(-1, 4), about_z(np.array(-np.pi / 6)))
        np.testing.assert_allclose(quaternions(turned), expected, atol=1e-6)
        detector = DetectorGeometry(SHAPE, CENTER, (SCALE, SCALE), scan_rotation=30.0)
        np.testing.assert_allclose(
            quaternions(turned),
            multiply(quaternions(reference), detector.rotation_to_scan()),
            atol=1e-6,
        )
        prediction = run(scan.data, geometry=geometry | {"scan_rotation": 30.0}, lazy_output=True)
        assert prediction.metadata.OrientationPrediction.frame == "scan"

    def test_wrong_scale_is_seen(self, run, scan):
        xmap = run(scan.data, geometry={"center": CENTER, "scale": 1.3 * SCALE})
        assert xmap.prop["phase_probability"].mean() < 0.9

    def test_voltage(self, run, scan, geometry):
        with pytest.raises(ValueError, match=r"80 kV.*200 kV"):
            run(scan.data, geometry=geometry | {"beam_energy": 80})
        run(scan.data[0], geometry=geometry | {"beam_energy": 201})
        run(scan.data[0], geometry={"center": CENTER, "scale": SCALE})

    def test_wrong_shape(self, run, scan):
        with pytest.raises(ValueError, match=r"geometry.shape.*\(40, 50\).*\(48, 50\)"):
            run(scan.data, geometry=DetectorGeometry((40, 50), CENTER, (SCALE, SCALE)))

    def test_wrong_type(self, run, scan):
        with pytest.raises(TypeError, match="geometry"):
            run(scan.data, geometry="flipped")

    def test_unknown_option(self, run, scan):
        with pytest.raises(ValueError, match="key of geometry: got '.*expected one of"):
            run(scan.data, geometry={"centre": CENTER})


@pytest.fixture(scope="module")
def moved(scan):
    """Patterns moved by whole pixels, and the position (x, y) of each beam."""
    data, position = np.zeros_like(scan.data), np.zeros((3, 4, 2))
    for n, (i, j) in enumerate(np.ndindex(3, 4)):
        dx, dy = n % 3 - 1, n % 4 - 2
        data[i, j] = np.roll(scan.data[i, j], (dy, dx), axis=(0, 1))
        position[i, j] = CENTER[0] + dx, CENTER[1] + dy
    return data, position


class TestBeam:
    def test_beam_shift(self, run, scan, moved):
        data, position = moved
        # pyxem's meaning: the shift that brings the beam to half the shape.
        shift = np.array([SHAPE[1] / 2, SHAPE[0] / 2]) - position
        from pyxem.signals import BeamShift

        for given in (shift, BeamShift(shift)):
            for patterns in (data, da.from_array(data, chunks=(1, 3, -1, -1))):
                xmap = run(patterns, beam_shift=given)
                np.testing.assert_allclose(
                    quaternions(xmap), scan.rotations.reshape(-1, 4), atol=1e-6
                )

    def test_one_shift_for_the_scan(self, run, scan, reference):
        shift = np.array([SHAPE[1] / 2, SHAPE[0] / 2]) - CENTER
        xmap = run(scan.data, beam_shift=shift, geometry={"center": (20.3, 22.8), "scale": SCALE})
        np.testing.assert_allclose(quaternions(xmap), scan.rotations.reshape(-1, 4), atol=1e-6)

    @pytest.mark.parametrize("lazy", [False, True])
    def test_find_center(self, run, scan, moved, lazy):
        data = da.from_array(moved[0], chunks=(2, 2, -1, -1)) if lazy else moved[0]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            xmap = run(data, find_center=True, geometry={"scale": SCALE, "beam_energy": 200})
        np.testing.assert_allclose(quaternions(xmap), scan.rotations.reshape(-1, 4), atol=1e-6)

    def test_one_pattern(self, run, scan):
        xmap = run(scan.data[0, 0], find_center=True, geometry={"scale": SCALE})
        np.testing.assert_allclose(quaternions(xmap)[0], scan.rotations[0, 0], atol=1e-6)

    def test_both_are_refused(self, run, scan):
        with pytest.raises(ValueError, match="both find_center"):
            run(scan.data, find_center=True, beam_shift=np.zeros(2))

    def test_wrong_shape(self, run, scan):
        with pytest.raises(ValueError, match="shape of beam_shift"):
            run(scan.data, beam_shift=np.zeros((4, 3, 2)))


class TestModels:
    def test_compete(self, run, scan, model, other_model, rotations):
        from tests.indexing.conftest import detector_patterns

        data = scan.data.copy()
        data[2] = detector_patterns("cubic", rotations[:4])
        xmap = run(data, [model, other_model], n_best=3)
        np.testing.assert_array_equal(xmap.phase_id, [0] * 8 + [1] * 4)
        assert xmap.phases.names == ["LiNiO2", "Si"]
        expected = np.concatenate([scan.rotations[:2].reshape(-1, 4), rotations[:4]])
        np.testing.assert_allclose(quaternions(xmap), expected, atol=1e-6)
        assert xmap.prop["phase_ids"].shape == (12, 3)
        np.testing.assert_array_equal(xmap.prop["phase_ids"][:, 0], xmap.phase_id)

    def test_by_path(self, run, scan, model, reference, tmp_path):
        path = model.save(tmp_path / "model.pt")
        assert_same_map(run(scan.data, path, n_best=2), reference)
        assert_same_map(run(scan.data, str(path), n_best=2), reference)

    def test_none(self, scan, geometry):
        with pytest.raises(ValueError, match="at least one model"):
            get_orientation_map(signal_of(scan.data), [], geometry=geometry)

    def test_of_both_kinds_of_polarity(self, run, scan, model, rotations):
        polar = template_model("gaas", rotations[:3], polarity=True)
        with pytest.raises(ValueError, match="polarity"):
            run(scan.data, [model, polar])
        prediction = run(scan.data, polar, lazy_output=True)
        assert prediction.metadata.OrientationPrediction.group == "point"

    @pytest.mark.parametrize("n_best", [0, -1])
    def test_n_best(self, run, scan, n_best):
        with pytest.raises(ValueError, match="n_best"):
            run(scan.data, n_best=n_best)


class TestSignals:
    def test_no_signal(self, run, model, scan):
        with pytest.raises(TypeError, match="a pyxem diffraction signal"):
            get_orientation_map(scan.data, model)

    def test_spectra(self, model, geometry):
        from hyperspy.signals import Signal1D

        with pytest.raises(ValueError, match="1 signal dimensions"):
            get_orientation_map(Signal1D(np.zeros((3, 4))), model, geometry=geometry)

    @pytest.mark.parametrize("lazy", [False, True])
    def test_polar_patterns(self, model, scan, rotations, lazy):
        """Azimuths from -pi, lower edges of the cells, as pyxem's azimuthal integrals."""
        n_radial, n_azimuthal = 60, 180
        radial, step = np.linspace(0, 1.2, n_radial + 1), 2 * np.pi / n_azimuthal
        r = (radial[:-1] + radial[1:])[:, None] / 2
        a = -np.pi + (np.arange(n_azimuthal) + 0.5) * step
        data = density(*spots_of("trigonal", rotations[:12]), r * np.cos(a), r * np.sin(a))
        signal = PolarDiffraction2D(data.reshape(3, 4, n_radial, n_azimuthal) * 100)
        azimuth, radius = signal.axes_manager.signal_axes
        azimuth.scale, azimuth.offset, azimuth.units = step, -np.pi, "Rad"
        radius.scale, radius.offset, radius.units = radial[1], 0.0, r"$A^{-1}$"
        signal = signal.as_lazy() if lazy else signal
        xmap = signal.get_orientation_map_cnn(
            model, geometry={"mean": True}, show_progressbar=False
        )
        np.testing.assert_allclose(quaternions(xmap), scan.rotations.reshape(-1, 4), atol=1e-6)
        with pytest.raises(ValueError, match="polar patterns"):
            signal.get_orientation_map_cnn(model, geometry={"mean": True}, find_center=True)


def test_torch_keeps_its_threads(run, scan):
    import torch

    before = torch.get_num_threads()
    for _ in range(3):
        run(da.from_array(scan.data, chunks=(1, 1, -1, -1)))
        prediction = run(da.from_array(scan.data, chunks=(1, 1, -1, -1)), lazy_output=True)
        prediction.compute(show_progressbar=False)
    assert torch.get_num_threads() == before
