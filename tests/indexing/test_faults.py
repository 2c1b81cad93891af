"""Scans with damaged files, odd patterns and odd arrays: told, skipped, or harmless."""

from __future__ import annotations

import logging
import threading
import warnings

import dask
import dask.array as da
import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import torch
import zarr
from pyxem.signals import ElectronDiffraction2D

import pyxem_cnn  # noqa: F401  (attaches the methods)
from pyxem_cnn.indexing import chunks
from pyxem_cnn.indexing.scan import warn_of_unindexed
from pyxem_cnn.indexing.unreadable import skip_unreadable
from tests.indexing.conftest import CENTER, SHAPE

CHUNK_ERRORS = (RuntimeError, ValueError, OSError)


@pytest.fixture
def run(model, geometry):
    def call(data, models=None, **options):
        options = {"geometry": geometry, "show_progressbar": False} | options
        signal = data
        if not hasattr(data, "axes_manager"):
            signal = ElectronDiffraction2D(data)
            signal = signal.as_lazy() if isinstance(data, da.Array) else signal
        return signal.get_orientation_map_cnn(models or model, **options)

    return call


@pytest.fixture(scope="module")
def right(scan):
    return scan.rotations.reshape(-1, 4)


def assert_mapped_but(xmap, bad, right):
    """Check that all patterns but the bad ones, (3, 4), are indexed right."""
    bad = np.asarray(bad).ravel()
    np.testing.assert_array_equal(xmap.phase_id == -1, bad)
    assert xmap.is_in_data.all()
    np.testing.assert_allclose(xmap.rotations.data[~bad], right[~bad], atol=1e-6)
    assert np.isnan(xmap.prop["scores"][bad]).all()


def marked(*slices):
    """Return a mask of the scan that is True at some slices."""
    mask = np.zeros((3, 4), dtype=bool)
    for rows, columns in slices:
        mask[rows, columns] = True
    return mask


@pytest.fixture
def stored(scan, tmp_path):
    """Store the scan with zarr; call the result with chunks to damage."""

    def store(chunks=(1, 2, *SHAPE), damage=(), remove=()):
        folder = tmp_path / "scan.zarr"
        array = zarr.open(
            str(folder), "w", shape=scan.data.shape, chunks=chunks, dtype=scan.data.dtype
        )
        array[:] = scan.data
        for name in damage:
            file = folder / name
            file.write_bytes(file.read_bytes()[:-7])
        for name in remove:
            (folder / name).unlink()
        return da.from_zarr(str(folder))

    return store


DAMAGED = {"damage": ("1.1.0.0",)}  # positions [1:2, 2:4]
BAD = marked((1, slice(2, 4)))


class TestDamagedChunk:
    def test_is_an_error_by_default(self, run, stored):
        with pytest.raises(CHUNK_ERRORS) as caught:
            run(stored(**DAMAGED))
        assert "on_read_error='skip'" in caught.value.__notes__[-1]

    def test_is_skipped(self, run, stored, right, caplog):
        where = r"2 of 12 patterns are not indexed, .* could not be read, .* lie in \[1:2, 2:4\]\."
        with (
            caplog.at_level(logging.WARNING, "pyxem_cnn"),
            pytest.warns(UserWarning, match=where),
        ):
            xmap = run(stored(**DAMAGED), on_read_error="skip")
        assert_mapped_but(xmap, BAD, right)
        (record,) = caplog.records
        assert "the patterns at [1:2, 2:4] cannot be read and are left out: " in record.message

    def test_nothing_is_skipped_without_need(self, run, stored, right):
        data = stored()
        expected = run(data, n_best=2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            xmap = run(data, n_best=2, on_read_error="skip")
        np.testing.assert_array_equal(xmap._rotations.data, expected._rotations.data)
        np.testing.assert_array_equal(xmap.prop["scores"], expected.prop["scores"])

    def test_that_cuts_the_detector(self, run, stored, right):
        """A quarter of the patterns is damaged: they are lost, and no others."""
        data = stored(chunks=(3, 2, 24, 25), damage=("0.0.1.0",))
        with pytest.warns(UserWarning, match=r"6 of 12 .* \[0:3, 0:2\]"):
            xmap = run(data, on_read_error="skip")
        assert_mapped_but(xmap, marked((slice(3), slice(2))), right)

    def test_that_is_divided(self, run, stored, right, scan, monkeypatch):
        """No block lies in two chunks, so that no good pattern is lost with a bad one."""
        monkeypatch.setattr(chunks, "_BLOCK_BYTES", 2 * scan.data[0, 0].nbytes)
        data = stored(chunks=(1, 3, *SHAPE), damage=("0.0.0.0",))
        with pytest.warns(UserWarning, match=r"3 of 12 .* \[0:1, 0:3\]"):
            xmap = run(data, on_read_error="skip")
        assert_mapped_but(xmap, marked((0, slice(3))), right)

    def test_while_the_beam_is_sought(self, run, stored, right, geometry):
        geometry = {name: value for name, value in geometry.items() if name != "center"}
        options = {"geometry": geometry, "find_center": True}
        with pytest.raises(CHUNK_ERRORS):
            run(stored(**DAMAGED), **options)
        with pytest.warns(UserWarning, match=r"\[1:2, 2:4\]"):
            xmap = run(stored(**DAMAGED), on_read_error="skip", **options)
        assert_mapped_but(xmap, BAD, right)

    def test_with_a_store(self, run, stored, right, tmp_path):
        """What was mapped before the damage was met is kept."""
        options = {"store": tmp_path / "map.zarr"}
        data = stored(**DAMAGED)
        # One block after the other: the damaged one, the fourth of six, is neither first nor last.
        with dask.config.set(scheduler="synchronous"), pytest.raises(CHUNK_ERRORS):
            run(data, **options)
        kept = pyxem_cnn.open_store(options["store"]).finished
        assert kept.any()
        assert not kept[BAD].any()
        with pytest.warns(UserWarning, match=r"\[1:2, 2:4\]"):
            xmap = run(data, on_read_error="skip", **options)
        assert_mapped_but(xmap, BAD, right)

    def test_masked_patterns_are_not_read_errors(self, run, stored, right):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            xmap = run(stored(**DAMAGED), on_read_error="skip", navigation_mask=BAD)
        np.testing.assert_array_equal(xmap.is_in_data, ~BAD.ravel())

    def test_anything_that_fails_before_the_patterns_are_there(self, run, stored, right):
        def divide(block, block_info=None):
            if block_info[0]["chunk-location"][:2] == (2, 0):
                raise ZeroDivisionError
            return block

        data = stored().map_blocks(divide, dtype="u2")
        with pytest.warns(UserWarning, match=r"\[2:3, 0:2\]"):
            xmap = run(data, on_read_error="skip")
        assert_mapped_but(xmap, marked((2, slice(2))), right)

    def test_lack_of_memory_is_no_damage(self, stored):
        def fill(block):
            raise MemoryError

        data = skip_unreadable(stored().map_blocks(fill, dtype="u2", meta=np.empty((0,) * 4)))
        with pytest.raises(MemoryError):
            data.compute()

    def test_wrong_word(self, run, scan):
        with pytest.raises(ValueError, match="on_read_error: got 'ignore', expected one of"):
            run(scan.data, on_read_error="ignore")

    def test_arrays_in_memory_stay_as_they_are(self, run, scan, right):
        assert_mapped_but(run(scan.data, on_read_error="skip"), marked(), right)


class TestMissingChunk:
    @pytest.mark.parametrize("on_read_error", ["raise", "skip"])
    def test_is_read_as_zeros(self, run, stored, right, on_read_error):
        """zarr does so: there is no error to raise, but a warning that tells where."""
        data = stored(remove=("0.1.0.0", "2.1.0.0"))
        with pytest.warns(UserWarning, match=r"4 of 12 .* \[0:1, 2:4\], \[2:3, 2:4\]"):
            xmap = run(data, on_read_error=on_read_error)
        assert_mapped_but(xmap, marked((0, slice(2, 4)), (2, slice(2, 4))), right)


class TestHdf5:
    @pytest.fixture
    def path(self, scan, tmp_path):
        signal = ElectronDiffraction2D(scan.data)
        signal.save(tmp_path / "scan.hspy", chunks=(1, 2, *SHAPE))
        return tmp_path / "scan.hspy"

    def test_damaged_chunk(self, run, path, right):
        with h5py.File(path) as file:
            info = file["Experiments/__unnamed__/data"].id.get_chunk_info_by_coord((1, 2, 0, 0))
        with open(path, "r+b") as file:
            file.seek(info.byte_offset)
            file.write(b"\xff" * info.size)
        signal = hs.load(path, lazy=True)
        with pytest.raises(OSError, match="inflate|filter"):
            run(signal)
        with pytest.warns(UserWarning, match=r"2 of 12 .* \[1:2, 2:4\]"):
            xmap = run(signal, on_read_error="skip")
        assert_mapped_but(xmap, BAD, right)

    def test_truncated_file_cannot_be_opened(self, path):
        """The end of an HDF5 file is known from its beginning."""
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(OSError, match="truncated file"):
            hs.load(path, lazy=True)


class TestTruncatedBlockfile:
    @pytest.fixture
    def path(self, scan, tmp_path):
        data = scan.data[..., :48] / scan.data.max((2, 3), keepdims=True)
        signal = ElectronDiffraction2D(np.round(255 * data).astype(np.uint8))
        for axis in signal.axes_manager._axes:
            axis.units = "nm" if axis.navigate else "cm"
        path = tmp_path / "scan.blo"
        signal.save(path)
        path.write_bytes(path.read_bytes()[: -2 * (48 * 48 + 6)])  # the last two frames
        return path

    def test_lazy(self, run, path):
        """RosettaSciIO maps the whole file into memory for every chunk, or none of it."""
        signal = hs.load(path, lazy=True)
        with pytest.raises(ValueError, match="file size"):
            run(signal)
        with pytest.warns(UserWarning, match="12 of 12 .* could not be read"):
            run(signal, on_read_error="skip")

    def test_eager(self, run, path, right):
        with pytest.warns(UserWarning, match="zero padding"):
            signal = hs.load(path)
        with pytest.warns(UserWarning, match=r"2 of 12 .* \[2:3, 2:4\]"):
            xmap = run(signal)
        assert_mapped_but(xmap, marked((2, slice(2, 4))), right)


class TestRegions:
    def test_of_one_pattern_and_a_line(self):
        with pytest.warns(UserWarning, match=r"1 of 1 .* first at \(\): .* lie in \[0:1\]\."):
            warn_of_unindexed(np.array(True))
        with pytest.warns(UserWarning, match=r"first at \(2,\): .* lie in \[4:6\], \[2:3\]\."):
            warn_of_unindexed(np.isin(np.arange(9), (2, 4, 5)))

    def test_many(self):
        bad = np.zeros((20, 20), dtype=bool)
        bad[::3, ::4] = True
        bad[5:10, 9:12] = True
        with pytest.warns(UserWarning, match=r"lie in \[5:10, 8:13\], .* and \d+ smaller regions"):
            warn_of_unindexed(bad)


class TestOddPatterns:
    def test_that_say_nothing(self, run, scan, right):
        """Constant patterns are not of the phase; those without counts are no patterns."""
        data = scan.data.astype(np.float32)
        data[0, 0], data[0, 1], data[0, 2], data[0, 3] = 0, -3, np.nan, np.inf
        data[1, 0] = 1000
        lazy = da.from_array(data, chunks=(1, 1, -1, -1))
        for patterns in (data, lazy):
            with pytest.warns(UserWarning, match=r"4 of 12 .* \[0:1, 0:4\]"):
                xmap = run(patterns)
            q = xmap.rotations.data
            np.testing.assert_allclose(q[5:], right[5:], atol=1e-6)
            np.testing.assert_array_equal(xmap.phase_id, [-1] * 4 + [0] * 8)
            assert xmap.prop["phase_probability"][4] < xmap.prop["phase_probability"][5:].min()
            assert np.isclose(np.linalg.norm(q[4]), 1)

    @pytest.mark.parametrize("clip", [0.5, 0.2])
    def test_saturated(self, run, scan, right, clip):
        """Spots of equal height, as a saturated detector shows them, keep their places."""
        highest = clip * scan.data.max((2, 3), keepdims=True)
        data = np.minimum(scan.data, highest).astype(np.uint16)
        assert_mapped_but(run(data), marked(), right)

    def test_dark_level_below_zero(self, run, scan, right):
        """Noise around zero, as after a dark reference was subtracted."""
        rng = np.random.default_rng(0)
        data = scan.data + rng.normal(0, 0.5, scan.data.shape)
        assert (data < 0).any()
        assert_mapped_but(run(data.astype(np.float32)), marked(), right)

    def test_hot_pixel_under_the_mask(self, run, scan, right):
        data = scan.data.astype(np.float64)
        mask = np.zeros(SHAPE, dtype=bool)
        mask[3, 40] = True
        data[..., 3, 40] = np.inf
        assert_mapped_but(run(data, signal_mask=mask), marked(), right)


class TestOddArrays:
    @pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0,)])
    def test_no_patterns(self, run, shape):
        with pytest.raises(ValueError, match="empty scan"):
            run(np.zeros((*shape, *SHAPE), dtype=np.uint16))

    def test_booleans(self, run, scan):
        """Counts of 0 and 1: a detector that counts single electrons."""
        data = scan.data > 0.05 * scan.data.max((2, 3), keepdims=True)
        expected = run(data.astype(np.uint8))
        for patterns in (data, da.from_array(data, chunks=(2, 2, -1, -1))):
            np.testing.assert_allclose(
                run(patterns).rotations.data, expected.rotations.data, atol=1e-6
            )

    @pytest.mark.parametrize("dtype", ["f8", "f4", "u1", ">u2", "i4", ">f4"])
    def test_lazy_arrays_in_fortran_order(self, run, scan, right, dtype):
        data = scan.data
        if dtype == "u1":
            data = 255 * (data / data.max((2, 3), keepdims=True))
        data = np.asfortranarray(data.astype(dtype))
        for stored in ((1, 1, -1, -1), (2, 3, 20, 17)):
            for on_read_error in ("raise", "skip"):
                xmap = run(da.from_array(data, chunks=stored), on_read_error=on_read_error)
                assert_mapped_but(xmap, marked(), right)

    def test_a_chunk_for_each_pattern(self, run, scan, right, monkeypatch):
        """Many small chunks make blocks of several, damaged ones among them or not."""
        monkeypatch.setattr(chunks, "_MANY_CHUNKS", 11)
        monkeypatch.setattr(chunks, "_FEW_PATTERNS", 8)
        data = da.from_array(scan.data, chunks=(1, 1, -1, -1))
        assert chunks.in_blocks(data).chunks[:2] == ((2, 1), (4,))
        assert chunks.in_blocks(data[:2]).numblocks[:2] == (2, 4)  # these are few
        assert_mapped_but(run(data), marked(), right)

        def fail(block, block_info=None):
            if block_info[0]["chunk-location"][:2] == (1, 2):
                raise OSError
            return block

        with pytest.warns(UserWarning, match=r"1 of 12 .* \[1:2, 2:3\]"):
            xmap = run(data.map_blocks(fail, dtype="u2"), on_read_error="skip")
        assert_mapped_but(xmap, marked((1, 2)), right)

    @pytest.mark.parametrize(
        ("shape", "stored", "expected"),
        [
            ((40, 100), (1, 1), (1, 64)),
            ((40, 100), (2, 1), (2, 32)),
            ((2000, 20), (1, 20), (3, 20)),
            ((9, 20, 30), (1, 1, 2), (1, 2, 30)),
            ((200, 200), (6, 6), (6, 6)),
            ((20, 20), (1, 1), (1, 1)),
        ],
        ids=str,
    )
    def test_how_small_chunks_are_joined(self, shape, stored, expected):
        data = da.zeros((*shape, 16, 16), chunks=(*stored, -1, -1), dtype="u1")
        assert chunks.in_blocks(data).chunksize == (*expected, 16, 16)

    def test_chunks_that_lie(self, run, scan, right):
        """A chunk of another shape than announced counts as one that cannot be read."""
        data = da.from_array(scan.data, chunks=(1, 2, -1, -1))

        def crop(block, block_info=None):
            is_last = block_info[0]["chunk-location"][:2] == (2, 1)
            return block[:, :1] if is_last else block

        lying = data.map_blocks(crop, dtype=data.dtype)
        with pytest.warns(UserWarning, match=r"2 of 12 .* \[2:3, 2:4\]"):
            xmap = run(lying, on_read_error="skip")
        assert_mapped_but(xmap, marked((2, slice(2, 4))), right)


def test_threads_share_models(run, scan, model, other_model):
    """Maps that are made at once, of one model and of two, do not disturb each other."""
    data = da.from_array(scan.data, chunks=(1, 1, -1, -1))
    before = torch.get_num_threads()
    jobs = [model, [model, other_model]] * 2
    expected = [run(data, models=job) for job in jobs[:2]] * 2
    found = [None] * len(jobs)

    def work(i):
        found[i] = run(data, models=jobs[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for xmap, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(xmap.rotations.data, wanted.rotations.data)
        np.testing.assert_array_equal(xmap.prop["scores"], wanted.prop["scores"])
    assert torch.get_num_threads() == before


def test_centre_of_a_scan_with_lost_patterns(scan):
    from pyxem_cnn.detector.geometry import find_center

    data = scan.data.astype(np.float32)
    expected = find_center(data)
    data[0, 0], data[2, 1, :3] = np.nan, np.nan
    found = find_center(data)
    np.testing.assert_allclose(found.center, expected.center, atol=0.05)
    np.testing.assert_allclose(found.center, CENTER, atol=0.3)
    assert np.isnan(found.shifts[0, 0]).all()
