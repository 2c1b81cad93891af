"""Library files: complete, resumed after a kill, refused where they are not what is asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest

import pyxem_cnn
from pyxem_cnn.simulation.library import simulate as library_simulation
from pyxem_cnn.simulation.library.dynamical_library import ARRAYS
from pyxem_cnn.simulation.library.file import load_library, simulate_library
from tests._crystals import crystal

SMALL = {
    "n_zone_axes": 90,
    "n_beams": 12,
    "n_tilts": 3,
    "n_thicknesses": 2,
    "k_max": 0.9,
    "show_progressbar": False,
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(library_simulation, "CHUNK", 10)


def simulated(path=None, name="trigonal", **options):
    return simulate_library(crystal(name), 300, path, **SMALL | options)


def assert_same(first, second):
    assert not first.parameters.differences(second.parameters)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert first.sha256() == second.sha256()


@pytest.fixture(scope="module")
def uninterrupted():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library_simulation, "CHUNK", 10)
        return simulated()


class TestFiles:
    def test_hold_the_library(self, uninterrupted, tmp_path):
        path = tmp_path / "linio2.h5"
        assert_same(simulated(path), uninterrupted)
        assert [p.name for p in tmp_path.iterdir()] == ["linio2.h5"]
        assert_same(load_library(path), uninterrupted)
        assert load_library(str(path)).crystal == crystal("trigonal")

    def test_explain_themselves(self, tmp_path):
        simulated(tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5") as file:
            assert file.attrs["format"] == "pyxem_cnn dynamical library"
            assert file.attrs["seed"] == 0
            assert set(json.loads(file.attrs["versions"])) >= {"pyxem_cnn", "torch", "numpy"}
            parameters = json.loads(file["parameters"][()])
            assert parameters["accelerating_voltage"] == 300
            assert parameters["crystal"]["space_group"] == 166
            for name, (dtype, axes, unit) in ARRAYS.items():
                assert file[name].dtype == dtype
                assert file[name].attrs["unit"] == unit
                assert list(file[name].attrs["axes"]) == ["entry", *axes]
                assert file[name].ndim == 1 + len(axes)

    def test_are_not_simulated_twice(self, tmp_path, monkeypatch):
        path = tmp_path / "a.h5"
        first = simulated(path)

        def never(*_, **__):
            raise AssertionError("simulated again")

        monkeypatch.setattr(library_simulation, "simulate_chunk", never)
        assert_same(simulated(path), first)

    def test_large_cells_fit_into_one(self, tmp_path):
        """HDF5 attributes may not be longer than 64 kB."""
        from pyxem_cnn.phases import CrystalStructure

        positions = np.stack(np.mgrid[:10, :10, :10], axis=-1).reshape(-1, 3) / 10 + 0.0123
        large = CrystalStructure.from_asymmetric_unit(
            (30, 31, 32, 90, 95, 90), 1, ["Si"] * 1000, positions, name="large"
        )
        options = SMALL | {"n_zone_axes": 4, "k_max": 0.3}
        library = simulate_library(large, 300, tmp_path / "a.h5", **options)
        assert load_library(tmp_path / "a.h5").crystal == large == library.crystal


class TestThreads:
    def test_do_not_change_the_result(self, uninterrupted):
        assert_same(simulated(n_threads=3), uninterrupted)

    def test_seed_does(self, uninterrupted):
        assert simulated(seed=1).sha256() != uninterrupted.sha256()

    def test_never_run_far_ahead(self):
        begun = []

        def slow(number):
            begun.append(number)
            return number

        results = library_simulation._in_order(slow, range(100), 2)
        assert [next(results)[0] for _ in range(3)] == [0, 1, 2]
        time.sleep(0.05)
        assert len(begun) <= 8
        results.close()
        assert threading.active_count() < 20


class TestInterrupts:
    @pytest.mark.parametrize("chunk", [0, 4, 8])
    def test_by_the_keyboard(self, uninterrupted, tmp_path, monkeypatch, chunk):
        path = tmp_path / "a.h5"
        original = library_simulation.simulate_chunk
        calls = []

        def interrupted(*args):
            if args[-1] == chunk:
                raise KeyboardInterrupt
            return original(*args)

        with monkeypatch.context() as patch:
            patch.setattr(library_simulation, "simulate_chunk", interrupted)
            with pytest.raises(KeyboardInterrupt):
                simulated(path)
        assert [p.name for p in tmp_path.iterdir()] == ["a.h5.part"]
        with pytest.raises(FileNotFoundError, match="not completed"):
            load_library(path)

        def counted(*args):
            calls.append(args[-1])
            return original(*args)

        monkeypatch.setattr(library_simulation, "simulate_chunk", counted)
        assert_same(simulated(path), uninterrupted)
        assert sorted(calls) == list(range(chunk, 10))
        assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]

    @pytest.mark.slow
    def test_by_a_kill(self, uninterrupted, tmp_path):
        """SIGKILL at whatever it is doing, more than once."""
        path = tmp_path / "a.h5"
        script = (
            "from pyxem_cnn.simulation.library import simulate as s\n"
            "from pyxem_cnn.simulation.library.file import simulate_library\n"
            "from tests._crystals import crystal\n"
            "import time\n"
            "s.CHUNK = 10\n"
            "whole = s.simulate_chunk\n"
            "s.simulate_chunk = lambda *a: (time.sleep(0.4), whole(*a))[1]\n"
            f"simulate_library(crystal('trigonal'), 300, {str(path)!r}, n_threads=1, **{SMALL!r})\n"
        )
        root = os.path.dirname(os.path.dirname(pyxem_cnn.__file__))
        done = 0
        for _ in range(2):
            process = subprocess.Popen([sys.executable, "-c", script], cwd=root)
            deadline = time.time() + 120
            while time.time() < deadline and process.poll() is None:
                if self.chunks_done(path) >= done + 2:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.02)
            assert process.wait() == -signal.SIGKILL
            done = self.chunks_done(path)
            assert 2 <= done < 10
        assert_same(simulated(path), uninterrupted)

    @staticmethod
    def chunks_done(path):
        """Read the flags from the file as bytes, since it is locked."""
        part = path.with_name(path.name + ".part")
        if not part.exists():
            return 0
        with h5py.File(part, "r", locking=False) as file:
            offset, size = file["done"].id.get_offset(), len(file["done"])
        with open(part, "rb") as file:
            file.seek(offset)
            return sum(file.read(size))

    def test_what_was_not_marked_is_simulated_again(self, uninterrupted, tmp_path, monkeypatch):
        """A chunk torn by a power cut: its numbers are there in part."""
        path = tmp_path / "a.h5"
        simulated(path)
        part = path.rename(tmp_path / "a.h5.part")
        with h5py.File(part, "r+") as file:
            file["intensity"][35:] = 7
            file["done"][3] = file["done"][4] = False
            for n in range(5, 10):
                file["done"][n] = False
        assert_same(simulated(path), uninterrupted)

    def test_other_versions_are_told(self, tmp_path, caplog):
        path = tmp_path / "a.h5"
        simulated(path)
        part = path.rename(tmp_path / "a.h5.part")
        with h5py.File(part, "r+") as file:
            file["done"][1] = False
            file.attrs["versions"] = json.dumps({"pyxem_cnn": "0.0.1"})
        simulated(path)
        assert "other versions" in caplog.text


class TestRefusals:
    def test_another_library(self, tmp_path):
        path = tmp_path / "a.h5"
        simulated(path)
        before = path.read_bytes()
        with pytest.raises(ValueError, match=r"n_beams 12 instead of 14; seed 0 instead of 2"):
            simulated(path, n_beams=14, seed=2)
        with pytest.raises(ValueError, match=r"crystal .*LiNiO2.* instead of .*GaAs"):
            simulated(path, name="gaas")
        assert path.read_bytes() == before

    def test_another_unfinished_library(self, tmp_path, monkeypatch):
        path = tmp_path / "a.h5"

        def interrupted(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(library_simulation, "simulate_chunk", interrupted)
            with pytest.raises(KeyboardInterrupt):
                simulated(path)
        with pytest.raises(ValueError, match=r"\.part.*convergence_angle 1\.5 instead of 2\.0"):
            simulated(path, convergence_angle=2)

    def test_no_library(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="simulate_library"):
            load_library(tmp_path / "none.h5")
        (tmp_path / "text.h5").write_text("no")
        with pytest.raises(ValueError, match=r"text\.h5.*expected pyxem_cnn dynamical library"):
            load_library(tmp_path / "text.h5")
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["data"] = np.arange(3)
        with pytest.raises(ValueError, match="Pass another path"):
            load_library(tmp_path / "other.h5")

    def test_a_newer_format(self, tmp_path):
        simulated(tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            file.attrs["format_version"] = 99
        with pytest.raises(ValueError, match=r"99.*Update pyxem_cnn"):
            load_library(tmp_path / "a.h5")

    def test_an_incomplete_file(self, tmp_path):
        simulated(tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            file["done"][2] = False
        with pytest.raises(ValueError, match="9 of 10 chunks"):
            load_library(tmp_path / "a.h5")

    def test_a_file_that_is_being_written(self, tmp_path):
        path = tmp_path / "a.h5"
        simulated(path)
        part = path.rename(tmp_path / "a.h5.part")
        script = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print(1); sys.stdin.read()"
        command = [sys.executable, "-u", "-c", script, str(part)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, **pipes) as other:
            other.stdout.readline()
            with pytest.raises(OSError, match="being written by another process"):
                simulated(path)
            other.stdin.close()

    def test_no_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no folder .*missing.* for the library a\.h5"):
            simulated(tmp_path / "missing" / "a.h5")

    def test_unknown_parameters(self):
        with pytest.raises(TypeError, match="n_beems"):
            simulated(n_beems=3)


def test_progress(capsys):
    simulated(show_progressbar=True)
    assert "simulating LiNiO2" in capsys.readouterr().err
