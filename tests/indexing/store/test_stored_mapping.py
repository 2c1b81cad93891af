"""A stored mapping gives the same bits as one without, whatever the scan and the scheduler."""

from __future__ import annotations

import logging
import shutil
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from pyxem.signals import ElectronDiffraction2D

import pyxem_cnn
from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.signals.orientation_prediction import LazyOrientationPrediction
from tests.indexing.conftest import CENTER, SCALE, SHAPE
from tests.indexing.store.conftest import assert_same_bits, bits, lazy_signal

# Shapes of the scan and its chunks; those of the third look like a slice of a regular scan.
SCANS = {
    "blocks": ((3, 4), (2, 3)),
    "single patterns": ((3, 4), (1, 1)),
    "sliced": ((3, 4), ((1, 2), (1, 2, 1))),
    "pattern": ((), ()),
    "line": ((12,), (5,)),
    "series": ((2, 3, 2), (1, 2, 2)),
}


@pytest.fixture(params=SCANS.values(), ids=SCANS)
def any_signal(request, scan):
    shape, chunks = request.param
    data = scan.data.reshape(-1, *SHAPE)[: int(np.prod(shape))].reshape(*shape, *SHAPE)
    return lazy_signal(data, chunks)


class TestSameBits:
    def test_of_any_navigation_and_blocks(self, mapped, any_signal, calls, path) -> None:
        expected = mapped(any_signal, store=None)
        n_blocks = len(calls)
        for _ in range(2):  # written, then only read
            result = mapped(any_signal)
            several = isinstance(result, list)
            for a, b in zip(
                *((result, expected) if several else ([result], [expected])), strict=True
            ):
                assert_same_bits(a, b)
            assert len(calls) == 2 * n_blocks
        store = pyxem_cnn.open_store(path)
        assert store.is_complete
        assert store.finished.shape == any_signal.data.shape[:-2]
        lazy = mapped(any_signal, store=None, lazy_output=True)
        np.testing.assert_array_equal(bits(store.prediction), bits(lazy))

    def test_scan_in_memory(self, mapped, scan, path) -> None:
        signal = ElectronDiffraction2D(scan.data)
        assert_same_bits(mapped(signal), mapped(signal, store=None))

    @pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
    def test_schedulers(self, mapped, signal, calls, scheduler, path) -> None:
        expected = mapped(signal, store=None)
        with dask.config.set(scheduler=scheduler, num_workers=3):
            assert_same_bits(mapped(signal), expected)
        assert len(calls) == 24

    def test_masks(self, mapped, signal, calls) -> None:
        left_out = np.zeros((3, 4), dtype=bool)
        left_out[1], left_out[0, 3] = True, True
        pixels = np.zeros(SHAPE, dtype=bool)
        pixels[:20, 5:12] = True
        masks = {"navigation_mask": left_out, "signal_mask": pixels}
        xmap = mapped(signal, **masks)
        assert_same_bits(xmap, mapped(signal, store=None, **masks))
        np.testing.assert_array_equal(xmap.is_in_data, ~left_out.ravel())

    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("beam", ["find_center", "beam_shift"])
    def test_beam(self, mapped, scan, calls, path, beam, lazy) -> None:
        signal = lazy_signal(scan.data, ((1, 2), (3, 1)))
        options = {"geometry": {"center": CENTER, "scale": SCALE}, "find_center": True}
        if beam == "beam_shift":
            shift = np.array(SHAPE[::-1]) / 2 - CENTER + np.arange(24).reshape(3, 4, 2) / 16
            options = {
                "geometry": {"center": CENTER, "scale": SCALE},
                "beam_shift": pyxem_shift(shift, lazy),
            }
        expected = mapped(signal, store=None, lazy_output=True, **options)
        found = mapped(signal, lazy_output=True, **options)
        np.testing.assert_array_equal(bits(found), bits(expected))
        assert found.beam_shifts.shape == (3, 4, 2)
        np.testing.assert_array_equal(
            np.asarray(found.beam_shifts), np.asarray(expected.beam_shifts)
        )
        calls.clear()
        mapped(signal, **options)
        assert calls == []

    def test_patterns_are_read_once_for_shifts_and_predictions(self, mapped, scan) -> None:
        read = []

        def note(block, block_id=None):
            read.append(block_id)
            return block

        chunks, sampled = 6, 5
        signal = lazy_signal(scan.data, (1, 2))
        data = signal.data.map_blocks(note, dtype=signal.data.dtype, meta=np.empty((0,) * 4, "u2"))
        shifts = da.from_array(np.zeros((3, 4, 2)) + 0.25, chunks=(1, 2, 2)) + data[..., :2, 0] * 0
        mapped(ElectronDiffraction2D(data).as_lazy(), beam_shift=lazy_shift(shifts))
        # Once for the mapping, and for the fingerprints of patterns and of shifts.
        assert len(read) <= chunks + chunks + sampled

    def test_several_models(self, mapped, signal, model, other_model, path) -> None:
        models = [model, other_model]
        assert_same_bits(mapped(signal, models), mapped(signal, models, store=None))
        assert pyxem_cnn.open_store(path).prediction.phases == [m.crystal for m in models]

    def test_bad_patterns_warn_in_every_call(self, mapped, scan) -> None:
        data = scan.data.copy()
        data[1, 2] = 0
        signal = lazy_signal(data, (1, 4))
        for _ in range(2):
            with pytest.warns(UserWarning, match=r"1 of 12 patterns .* first at \(1, 2\)"):
                mapped(signal)


def pyxem_shift(shift, lazy):
    """Return what pyxem's get_direct_beam_position gives, lazy or not."""
    from pyxem.signals import BeamShift

    return BeamShift(shift).as_lazy() if lazy else shift


def lazy_shift(shifts):
    from pyxem.signals import BeamShift

    return BeamShift(shifts).as_lazy()


class TestResult:
    def test_lazy_output_reads_from_the_store(self, mapped, signal, calls, path) -> None:
        prediction = mapped(signal, lazy_output=True)
        assert isinstance(prediction, LazyOrientationPrediction)
        assert len(calls) == 12
        part = prediction.inav[1:3, 1]
        np.testing.assert_array_equal(bits(part), bits(prediction)[1, 1:3])
        assert len(calls) == 12
        shutil.rmtree(path)
        with pytest.raises(FileNotFoundError, match="There is no store"):
            prediction.compute(show_progressbar=False)

    def test_metadata_and_axes_are_those_of_a_mapping(self, mapped, signal, path) -> None:
        signal.metadata.General.title = "needle"
        signal.axes_manager.navigation_axes[0].units = "µm"
        expected = mapped(signal, store=None, lazy_output=True)
        mapped(signal)
        found = pyxem_cnn.open_store(path).prediction
        assert found.metadata.as_dictionary() == expected.metadata.as_dictionary()
        assert found.axes_manager.as_dictionary() == expected.axes_manager.as_dictionary()
        assert repr(found) == repr(expected)

    def test_can_be_saved(self, mapped, signal, path, tmp_path) -> None:
        import hyperspy.api as hs

        prediction = mapped(signal, lazy_output=True)
        prediction.save(tmp_path / "prediction.zspy")
        loaded = hs.load(tmp_path / "prediction.zspy")
        np.testing.assert_array_equal(bits(loaded), bits(prediction))
        assert loaded.phases == prediction.phases

    def test_any_zarr_reads_it(self, mapped, scan, path) -> None:
        signal = lazy_signal(scan.data, (2, 3))
        mapped(signal)
        group = zarr.open(str(path), mode="r")
        assert group.attrs["format"] == "pyxem_cnn prediction store"
        found = group["predictions"]
        assert found.shape == (3, 4, 2, len(COLUMNS))
        lazy = mapped(signal, store=None, lazy_output=True)
        np.testing.assert_array_equal(found[:], lazy.data.compute())

    def test_nothing_but_the_store_is_left(self, mapped, signal, path) -> None:
        mapped(signal)
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        assert not list(path.rglob("*.partial"))


class TestHalfDone:
    def test_can_be_looked_at(self, half_done, mapped, path) -> None:
        store = pyxem_cnn.open_store(path)
        assert "5 of 12 patterns are finished (41 %, 5 of 12 blocks)" in repr(store)
        assert not store.is_complete
        assert store.finished.sum() == 5
        xmap = store.prediction.to_crystal_map()
        np.testing.assert_array_equal(xmap.is_in_data, store.finished.ravel())
        expected = mapped(half_done, store=None)
        np.testing.assert_array_equal(
            xmap._rotations.data[xmap.is_in_data], expected._rotations.data[xmap.is_in_data]
        )

    def test_looking_changes_nothing(self, half_done, path) -> None:
        def content():
            return {
                p: (p.stat().st_mtime_ns, p.read_bytes()) for p in path.rglob("*") if p.is_file()
            }

        before = content()
        pyxem_cnn.open_store(path).prediction.compute(show_progressbar=False)
        assert content() == before

    def test_goes_on(self, half_done, mapped, calls, caplog) -> None:
        with caplog.at_level(logging.INFO, "pyxem_cnn"):
            xmap = mapped(half_done)
        assert len(calls) == 7
        assert "going on with" in caplog.text
        assert "5 of 12 patterns" in caplog.text
        assert_same_bits(xmap, mapped(half_done, store=None))

    def test_in_other_chunks(self, half_done, mapped, calls, scan) -> None:
        for chunks in ((3, 4), (2, 3)):
            assert_same_bits(mapped(lazy_signal(scan.data, chunks)), mapped(half_done, store=None))
        assert len(calls) == 7 + 2 * 12
        mapped(ElectronDiffraction2D(scan.data))
        assert len(calls) == 7 + 2 * 12

    def test_progress_bar_counts_what_is_left(self, half_done, mapped, capsys) -> None:
        mapped(half_done, show_progressbar=True)
        said = capsys.readouterr().err
        assert "7/7" in said
        assert "/12" not in said
        mapped(half_done, show_progressbar=True)
        assert capsys.readouterr().err == ""

    def test_no_warning(self, half_done, mapped) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            mapped(half_done)
