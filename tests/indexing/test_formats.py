"""Scans from files of every common format: the lazy map is the eager one, and it is right.

What the readers give stands in docs/user/large_scans.md; the tests here are what was seen.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import Diffraction2D, ElectronDiffraction2D

import pyxem_cnn  # noqa: F401  (attaches the methods)
from pyxem_cnn.detector.geometry import electron_wavelength
from pyxem_cnn.indexing import chunks as blocks
from tests.indexing.conftest import CENTER, SCALE

SIZE = 48
CAMERA_LENGTH = 150.0  # mm
CENTER_GIVEN = {"center": CENTER}
ALL_GIVEN = {"center": CENTER, "scale": SCALE, "beam_energy": 200}


@pytest.fixture(scope="module")
def patterns(scan):
    """Square patterns of 8 bits, which every format can hold."""
    data = scan.data[..., :SIZE].astype(np.float64)
    return np.round(255 * data / data.max(axis=(2, 3), keepdims=True)).astype(np.uint8)


def calibrated(patterns, kind=ElectronDiffraction2D):
    """Return a signal of which everything is known."""
    signal = kind(patterns)
    for axis, middle in zip(signal.axes_manager.signal_axes, CENTER, strict=True):
        axis.scale, axis.offset, axis.units = SCALE, -middle * SCALE, r"$\AA^{-1}$"
    for axis in signal.axes_manager.navigation_axes:
        axis.scale, axis.units = 2.0, "nm"
    signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200.0)
    return signal


def write_hyperspy(path, patterns):
    calibrated(patterns).save(path, chunks=(2, 2, SIZE, SIZE))
    return path


def write_blo(path, patterns):
    """NanoMegas: lengths on the detector, with the camera length in tenths of a millimetre."""
    signal = calibrated(patterns)
    centimetres = SCALE * electron_wavelength(200) * CAMERA_LENGTH / 10
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.offset, axis.units = centimetres, 0.0, "cm"
    header = {"Beam_energy": 200_000, "Camera_length": int(10 * CAMERA_LENGTH), "Note": ""}
    signal.original_metadata.add_dictionary({"blockfile_header": header})
    signal.save(path)
    return path


def write_tvips(path, patterns):
    """A stack of frames; the header has the pixels' width on the camera, in nm."""
    signal = Diffraction2D(patterns.reshape(-1, SIZE, SIZE).astype(np.uint16))
    signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200)
    for axis in signal.axes_manager._axes:
        axis.scale, axis.units = 15_500.0, "nm"
    path = path.with_name("scan_000.tvips")
    signal.save(path, mode=2)
    return path


def write_mib(path, patterns):
    """Merlin: a header of text before every frame, whose rows RosettaSciIO flips."""
    frames = patterns.reshape(-1, SIZE, SIZE).astype(">u2")[:, ::-1]
    with open(path, "wb") as file:
        for number, frame in enumerate(frames):
            seconds = 1e-3 * number + 1e-2 * (number // patterns.shape[1])  # flies back
            fields = [
                *("MQ1", f"{number + 1:06d}", "00384", "01", f"{SIZE:04d}", f"{SIZE:04d}"),
                *("U16", "   1x1", "01", f"2026-01-01 00:00:{seconds:012.9f}", "0.001", "0"),
                *("MQ1A", f"2026-01-01T00:00:{seconds:012.9f}Z", "1000000ns", "12", ""),
            ]
            file.write(",".join(fields).encode().ljust(384, b"\0") + frame.tobytes())
    return path


def write_npy(path, patterns):
    np.save(path, patterns)
    return path


def write_zarr(path, patterns):
    da.from_array(patterns, chunks=(2, 3, SIZE, SIZE)).to_zarr(str(path))
    return path


def load(path, lazy, **options):
    return hs.load(path, lazy=lazy, **options)


def load_npy(path, lazy):
    """A memory map is never read as a whole, lazy or not."""
    data = np.load(path, mmap_mode="r")
    return as_signal(da.from_array(data, chunks=(2, 2, -1, -1)) if lazy else data)


def load_zarr(path, lazy):
    data = da.from_zarr(str(path))
    return as_signal(data if lazy else data.compute())


def as_signal(data):
    signal = ElectronDiffraction2D(data)
    return signal.as_lazy() if isinstance(data, da.Array) else signal


class Format(NamedTuple):
    """How a format is written and read, and what its reader does not know.

    Attributes
    ----------
    extension
        Of the file.
    write, load
        Make the file of patterns, open it.
    options
        What the reader has to be told.
    geometry
        What the mapping has to be told.
    message
        What it says without that.
    """

    extension: str
    write: Callable[..., Any]
    load: Callable[..., Any] = load
    options: dict[str, Any] = {}
    geometry: dict[str, Any] = {}
    message: str = ""


ABSURD = r"scale: got .* which makes the detector .* 1/angstrom wide.* or pass scale="
UNCALIBRATED = "not calibrated.*Pass scale= in 1/angstrom per pixel"
FORMATS = [
    Format("hspy", write_hyperspy),
    Format("zspy", write_hyperspy),
    Format("blo", write_blo, geometry=CENTER_GIVEN),
    Format("tvips", write_tvips, load, {"scan_shape": (3, 4)}, ALL_GIVEN, ABSURD),
    Format("mib", write_mib, load, {"navigation_shape": (4, 3)}, ALL_GIVEN, UNCALIBRATED),
    Format("npy", write_npy, load_npy, {}, ALL_GIVEN, UNCALIBRATED),
    Format("zarr", write_zarr, load_zarr, {}, ALL_GIVEN, UNCALIBRATED),
]


@pytest.fixture(scope="module", params=FORMATS, ids=[one.extension for one in FORMATS])
def opened(request, patterns, tmp_path_factory):
    """A format and its scan, eager and lazy."""
    one = request.param
    path = tmp_path_factory.mktemp(one.extension) / f"scan.{one.extension}"
    path = one.write(path, patterns)
    with warnings.catch_warnings():
        # What the readers themselves find deprecated.
        warnings.simplefilter("ignore")
        return one, [one.load(path, lazy, **one.options) for lazy in (False, True)]


def run(signal, model, **options):
    return signal.get_orientation_map_cnn(model, show_progressbar=False, **options)


class TestFormats:
    def test_patterns(self, opened, patterns):
        for signal in opened[1]:
            np.testing.assert_array_equal(np.asarray(signal.data), patterns)
            assert isinstance(signal, Diffraction2D)

    def test_lazy_and_eager_maps_are_right(self, opened, model, scan):
        one, signals = opened
        for signal in signals:
            xmap = run(signal, model, geometry=dict(one.geometry))
            assert xmap.shape == (3, 4)
            q = xmap.rotations.data
            np.testing.assert_allclose(q, scan.rotations.reshape(-1, 4), atol=1e-6)
            assert (xmap.prop["phase_probability"] > 0.8).all()

    @pytest.mark.filterwarnings("ignore:The signal axes have offsets of exactly 0")
    def test_what_is_missing_is_said(self, opened, model):
        one, signals = opened
        if one.message:
            with pytest.raises(ValueError, match=one.message):
                run(signals[1], model)
        elif one.geometry:
            with pytest.warns(UserWarning, match="(?i)centre"):
                run(signals[1], model)
        else:
            run(signals[1], model)

    def test_blocks_are_small_and_hold_whole_patterns(self, opened, model, monkeypatch, caplog):
        one, signals = opened
        monkeypatch.setattr(blocks, "_BLOCK_BYTES", 4 * signals[0].data[0, 0].nbytes)
        with caplog.at_level(logging.WARNING, "pyxem_cnn"):
            cut = blocks.in_blocks(signals[1].data)
        assert not caplog.records  # no chunk cuts the detector
        assert cut.chunksize[2:] == (SIZE, SIZE)
        assert np.prod(cut.chunksize[:2]) <= 4
        maps = [run(signal, model, geometry=dict(one.geometry)) for signal in signals]
        np.testing.assert_array_equal(maps[0].rotations.data, maps[1].rotations.data)


def test_scan_shape_of_merlin_files(patterns, tmp_path):
    """Without a .hdr file, the reader takes it from the times of the frames."""
    path = write_mib(tmp_path / "scan.mib", patterns)
    assert hs.load(path, lazy=True).data.shape == patterns.shape


def test_merlin_file_cut_off(model, scan, patterns, tmp_path):
    """The reader leaves out the line that is not complete."""
    path = write_mib(tmp_path / "scan.mib", patterns)
    path.write_bytes(path.read_bytes()[:-5000])
    signal = hs.load(path, lazy=True, navigation_shape=(4, 3))
    assert signal.data.shape == (2, 4, SIZE, SIZE)
    xmap = run(signal, model, geometry=dict(ALL_GIVEN))
    np.testing.assert_allclose(xmap.rotations.data, scan.rotations.reshape(-1, 4)[:8], atol=1e-6)


def test_scan_of_frames(model, scan, patterns, tmp_path):
    """A .tvips file without its scan shape is a line of patterns, mapped as one."""
    path = write_tvips(tmp_path / "scan.tvips", patterns)
    signal = hs.load(path, lazy=True)
    assert signal.data.shape == (12, SIZE, SIZE)
    xmap = run(signal, model, geometry=dict(ALL_GIVEN))
    np.testing.assert_allclose(xmap.rotations.data, scan.rotations.reshape(-1, 4), atol=1e-6)
