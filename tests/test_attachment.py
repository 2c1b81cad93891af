"""pyxem's signals have our methods, whichever package was imported first."""

from __future__ import annotations

import importlib
import inspect
import logging
import subprocess
import sys
import types

import numpy as np
import pytest

from pyxem_cnn.signals import _attach, methods

METHOD = "get_orientation_map_cnn"
CLASSES = [
    "Diffraction2D",
    "LazyDiffraction2D",
    "ElectronDiffraction2D",
    "LazyElectronDiffraction2D",
    "PolarDiffraction2D",
    "LazyPolarDiffraction2D",
]

ORDERS = {
    "pyxem first": "import pyxem.signals, pyxem_cnn",
    "pyxem_cnn first": "import pyxem_cnn, pyxem.signals",
    # HyperSpy imports pyxem by itself when a signal needs one of its classes.
    "through HyperSpy": (
        "import pyxem_cnn, hyperspy.api as hs, numpy, sys\n"
        "assert 'pyxem' not in sys.modules\n"
        "s = hs.signals.Signal2D(numpy.zeros((2, 2, 4, 4)))\n"
        "s.set_signal_type('electron_diffraction')\n"
        f"assert callable(s.{METHOD})\n"
        "import pyxem.signals"
    ),
}


@pytest.mark.parametrize("order", ORDERS)
def test_order_of_imports_does_not_matter(order: str) -> None:
    check = (
        f"{ORDERS[order]}\n"
        f"for name in {CLASSES}: assert callable(getattr(pyxem.signals, name).{METHOD}), name\n"
        f"assert not hasattr(pyxem.signals.DiffractionVectors, {METHOD!r})"
    )
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def pxm() -> types.ModuleType:
    """The signals of pyxem."""
    return importlib.import_module("pyxem.signals")


def signal_of(pxm: types.ModuleType, name: str):
    """Return a small signal of one of pyxem's classes."""
    signal_class = getattr(pxm, name.removeprefix("Lazy"))
    signal = signal_class(np.zeros((3, 4, 8, 8), dtype=np.uint8))
    return signal.as_lazy() if name.startswith("Lazy") else signal


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list:
    """Calls that reach the function behind the method."""
    seen: list = []
    fake = types.ModuleType("pyxem_cnn.indexing.mapping")
    fake.get_orientation_map = lambda *args, **kwargs: seen.append((args, kwargs)) or "map"
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return seen


@pytest.mark.parametrize("name", CLASSES)
def test_loaded_sliced_and_copied_signals_have_the_method(pxm, calls, name, tmp_path) -> None:
    import hyperspy.api as hs

    signal = signal_of(pxm, name)
    path = tmp_path / "scan.hspy"
    signal.save(path, show_progressbar=False) if not signal._lazy else signal.save(path)
    variants = {
        "itself": signal,
        "inav": signal.inav[:2, 1:],
        "one pattern": signal.inav[0, 0],
        "isig": signal.isig[2:6, 2:6],
        "deepcopy": signal.deepcopy(),
        "loaded": hs.load(path, lazy=signal._lazy),
    }
    for variant in variants.values():
        assert type(variant).__name__ == name
        assert getattr(variant, METHOD)("model") == "map"
        args, _ = calls.pop()
        assert args == (variant, "model")


def test_every_argument_is_passed_on(pxm, calls) -> None:
    signal = signal_of(pxm, "ElectronDiffraction2D")
    names = list(inspect.signature(methods.get_orientation_map_cnn).parameters)[2:]
    given = {name: object() for name in names}
    signal.get_orientation_map_cnn("model", **given)
    assert calls == [((signal, "model"), given)]


def test_options_are_keywords_only(pxm, calls) -> None:
    with pytest.raises(TypeError, match="positional"):
        signal_of(pxm, "ElectronDiffraction2D").get_orientation_map_cnn("model", 3)


def test_attaching_twice_changes_nothing(pxm) -> None:
    _attach.attach_signal_methods()
    assert pxm.Diffraction2D.get_orientation_map_cnn is methods.get_orientation_map_cnn


def test_missing_class_is_reported_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger=_attach.__name__):
        _attach._attach_to_module(types.ModuleType("pyxem.signals.diffraction2d"))
    assert "no class Diffraction2D" in caplog.text
    assert "Install a pyxem version" in caplog.text
