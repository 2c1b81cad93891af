"""A store of another task is left alone, and the message names what differs."""

from __future__ import annotations

import json
import logging
import os
import shutil

import numpy as np
import pytest

import pyxem_cnn
from pyxem_cnn.indexing.store.task import differences, told
from tests.indexing.conftest import CENTER, GEOMETRY, SCALE, SHAPE
from tests.indexing.store.conftest import assert_same_bits, lazy_signal


@pytest.fixture
def signal(scan):
    """Two blocks."""
    return lazy_signal(scan.data, (3, 2))


@pytest.fixture
def stored(mapped, signal, calls, path):
    """A finished store; checks at the end that nothing was computed and nothing changed."""
    mapped(signal)
    calls.clear()

    def content():
        return {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}

    before = content()
    yield path
    assert content() == before
    assert calls == []
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".zarr"] == [path.name]


def pixels(n):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:n] = True
    return mask


OTHER_SETTINGS = {
    "n_best": ({"n_best": 3}, ["n_best 2 instead of 3"]),
    "scale": (
        {"geometry": GEOMETRY | {"scale": 0.05}},
        ["geometry.scale [0.045, 0.045] instead of [0.05, 0.05]"],
    ),
    "flip": (
        {"geometry": GEOMETRY | {"flip_x": True}},
        ["geometry.flip_x False instead of True"],
    ),
    "several": (
        {"geometry": GEOMETRY | {"scan_rotation": 30.0, "beam_energy": 201}},
        ["geometry.beam_energy 200", "geometry.scan_rotation 0.0 instead of 30.0"],
    ),
    "signal_mask": (
        {"signal_mask": pixels(2)},
        ["geometry.mask None instead of masked 100 sha256"],
    ),
    "navigation_mask": (
        {"navigation_mask": np.eye(3, 4, dtype=bool)},
        ["navigation_mask None instead of masked 3 sha256"],
    ),
    "find_center": (
        {"find_center": True},
        ["beam from geometry instead of from find_center", "geometry.center [24.3, 22.8] instead"],
    ),
    "beam_shift": (
        {"beam_shift": np.array(SHAPE[::-1]) / 2 - CENTER},
        ["beam from geometry instead of from beam_shift sha256"],
    ),
}


class TestOtherTask:
    @pytest.mark.parametrize(("options", "words"), OTHER_SETTINGS.values(), ids=OTHER_SETTINGS)
    @pytest.mark.parametrize("resume", [None, True])
    def test_settings(self, stored, mapped, signal, options, words, resume) -> None:
        with pytest.raises(ValueError, match="made for another task") as caught:
            mapped(signal, resume=resume, **options)
        for word in [*words, str(stored), "or delete it"]:
            assert word in str(caught.value)
        # Nothing else differs.
        expected = 2 if len(words) > 1 else 1
        assert str(caught.value).count("instead of") == expected

    def test_model(self, stored, mapped, signal, model, other_model) -> None:
        for models in (other_model, [model, other_model]):
            with pytest.raises(ValueError, match="models 'trigonal'") as caught:
                mapped(signal, models)
            assert f"'trigonal' ({model.sha256[:12]}) instead of" in str(caught.value)
            assert f"'cubic' ({other_model.sha256[:12]})" in str(caught.value)

    def test_same_name_but_another_hash(self, stored, mapped, signal, rotations) -> None:
        from tests.indexing.conftest import template_model

        with pytest.raises(ValueError, match=r"'trigonal' \(\w{12}\) instead of 'trigonal' \(\w"):
            mapped(signal, template_model("trigonal", rotations[:8]))

    def test_scan(self, stored, mapped, scan) -> None:
        other = scan.data.copy()
        other[1, 1, 5, 5] += 1  # one count in one of the patterns that are compared
        for data, word in (
            (scan.data[:2], "scan.shape [3, 4, 48, 50] instead of [2, 4, 48, 50]"),
            (scan.data.astype(np.int32), "scan.dtype 'u2' instead of 'i4'"),
            (scan.data[::-1], "scan.patterns of which 8 of 12 that were compared are others"),
            (other, "scan.patterns of which 1 of 12 that were compared are others"),
        ):
            with pytest.raises(ValueError, match="another task") as caught:
                mapped(lazy_signal(data, (1, 1)))
            assert word in str(caught.value)

    def test_other_masks_of_the_same_size(self, mapped, signal, tmp_path, calls) -> None:
        a, b = np.zeros((2, 3, 4), dtype=bool)
        a[0, 0], b[2, 3] = True, True
        mapped(signal, navigation_mask=a)
        with pytest.raises(ValueError, match="masked 1 sha256 .* instead of masked 1 sha256"):
            mapped(signal, navigation_mask=b)

    def test_columns_of_another_version(self, mapped, signal, calls, monkeypatch) -> None:
        from pyxem_cnn.indexing.store import task

        mapped(signal)
        monkeypatch.setattr(task, "COLUMNS", (*task.COLUMNS, "colour"))
        with pytest.raises(ValueError, match="columns .* instead of .*colour"):
            mapped(signal)


class TestSameTask:
    def test_byte_order_is_no_difference(self, stored, mapped, scan) -> None:
        mapped(lazy_signal(scan.data.astype(">u2"), (1, 1)))

    def test_circumstances_are_told(self, stored, mapped, signal, caplog, monkeypatch) -> None:
        with caplog.at_level(logging.WARNING, "pyxem_cnn"):
            mapped(signal, batch_size=3)
        assert "was begun with batch_size None instead of 3: the last digits may" in caplog.text

    def test_differences(self) -> None:
        a = {"n": 1, "scan": {"shape": [2], "file": {"name": "a", "size": 3, "changed": 1}}}
        b = {"n": 2, "scan": {"shape": [2]}, "more": True}
        assert differences(a, a) == {}
        # A scan in memory has no file: that is no difference.
        assert differences(a, b) == {"n": (1, 2), "more": (None, True)}
        assert differences(b, a) == {"n": (2, 1), "more": (True, None)}
        assert told(differences(a, b)) == "n 1 instead of 2; more None instead of True"
        assert json.loads(json.dumps(a)) == a


class TestResume:
    def test_false_refuses_a_store(self, stored, mapped, signal) -> None:
        with pytest.raises(FileExistsError, match="exists already.*leave out resume=False"):
            mapped(signal, resume=False)

    def test_true_refuses_to_begin(self, mapped, signal, path, calls) -> None:
        with pytest.raises(FileNotFoundError, match="no store .* to go on with"):
            mapped(signal, resume=True)
        assert not path.exists()
        assert calls == []
        mapped(signal, resume=False)
        mapped(signal, resume=True)
        assert len(calls) == 2

    def test_needs_a_store(self, mapped, signal) -> None:
        with pytest.raises(ValueError, match="resume: got True without store="):
            mapped(signal, store=None, resume=True)
        with pytest.raises(TypeError, match="resume: got 'yes'"):
            mapped(signal, resume="yes")


class TestFile:
    """The scan is in a file, of which name, size and time are remembered."""

    @pytest.fixture
    def file(self, scan, tmp_path):
        signal = lazy_signal(scan.data, (1, 2))
        signal.save(tmp_path / "scan.hspy")
        return tmp_path / "scan.hspy"

    @pytest.fixture
    def from_file(self, mapped):
        import hyperspy.api as hs

        def call(path, **options):
            return mapped(hs.load(path, lazy=True), **options)

        return call

    def test_the_same(self, from_file, file, calls) -> None:
        first = from_file(file)
        n = len(calls)
        assert_same_bits(from_file(file), first)
        assert len(calls) == n

    @pytest.mark.parametrize("how", ["renamed", "touched"])
    def test_moved(self, from_file, file, calls, caplog, how) -> None:
        first = from_file(file)
        if how == "renamed":
            file = file.rename(file.with_name("renamed.hspy"))
            word = "scan.file.name 'scan.hspy' instead of 'renamed.hspy'"
        else:
            os.utime(file, (0, 86400.0))
            word = "instead of 1970-01-0"
        calls.clear()
        with pytest.raises(ValueError, match="pass resume=True") as caught:
            from_file(file)
        assert word in str(caught.value)
        with caplog.at_level(logging.WARNING, "pyxem_cnn"):
            assert_same_bits(from_file(file, resume=True), first)
        assert "was moved" in caplog.text
        assert word in caplog.text
        assert calls == []

    def test_other_size(self, from_file, file) -> None:
        from_file(file)
        with file.open("ab") as opened:
            opened.write(b"\0" * 100)
        with pytest.raises(ValueError, match=r"another task.*scan.file.size \d+ instead of \d+"):
            from_file(file, resume=True)

    def test_folders_have_no_size(self, from_file, scan, tmp_path) -> None:
        lazy_signal(scan.data, (1, 2)).save(tmp_path / "scan.zspy")
        from_file(tmp_path / "scan.zspy")
        shutil.copytree(tmp_path / "scan.zspy", tmp_path / "copy.zspy")
        os.utime(tmp_path / "copy.zspy", (0, 0))
        with pytest.raises(ValueError, match="copy.zspy.*pass resume=True"):
            from_file(tmp_path / "copy.zspy")
        from_file(tmp_path / "copy.zspy", resume=True)


class TestNoStore:
    @pytest.mark.parametrize(
        ("name", "word"), [("map.h5", "ends in .zarr"), ("no/map.zarr", "no folder")]
    )
    def test_names(self, mapped, signal, tmp_path, calls, name, word) -> None:
        with pytest.raises((ValueError, FileNotFoundError), match=word):
            mapped(signal, store=tmp_path / name)
        assert calls == []
        assert list(tmp_path.iterdir()) == []

    def test_wrong_type(self, mapped, signal) -> None:
        with pytest.raises(TypeError, match="store: got 7"):
            mapped(signal, store=7)

    def test_other_things_are_left_alone(self, mapped, signal, tmp_path, calls) -> None:
        import zarr

        (tmp_path / "empty.zarr").mkdir()
        (tmp_path / "file.zarr").write_text("precious")
        zarr.save(str(tmp_path / "array.zarr"), np.arange(3))
        zarr.open_group(str(tmp_path / "group.zarr"), mode="w")
        (tmp_path / "text.zarr").mkdir()
        (tmp_path / "text.zarr" / ".zgroup").write_text("no json")
        for path in sorted(tmp_path.iterdir()):
            for refused in (
                lambda p=path: mapped(signal, store=p),
                lambda p=path: pyxem_cnn.open_store(p),
            ):
                with pytest.raises(
                    ValueError, match="expected the folder of a store.*another name"
                ):
                    refused()
        assert (tmp_path / "file.zarr").read_text() == "precious"
        assert calls == []

    def test_later_version(self, stored, mapped, signal) -> None:
        attributes = json.loads((stored / ".zattrs").read_text())
        newer = stored.with_name("newer.zarr")
        shutil.copytree(stored, newer)
        (newer / ".zattrs").write_text(json.dumps(attributes | {"format_version": 99}))
        for refused in (lambda: mapped(signal, store=newer), lambda: pyxem_cnn.open_store(newer)):
            with pytest.raises(ValueError, match="got 99, expected .*Update pyxem_cnn"):
                refused()
        shutil.rmtree(newer)

    def test_open_store_of_nothing(self, path) -> None:
        with pytest.raises(FileNotFoundError, match="store=.*makes it"):
            pyxem_cnn.open_store(path)


def test_wrong_arguments_make_no_store(mapped, signal, path, calls) -> None:
    for options in (
        {"n_best": 0},
        {"geometry": {"center": CENTER, "scale": SCALE, "beam_energy": 80}},
    ):
        with pytest.raises(ValueError, match="n_best|80 kV"):
            mapped(signal, **options)
    assert not path.exists()
