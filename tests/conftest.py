"""Fixtures that all tests share."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Before anything imports matplotlib: tests open no windows.
os.environ.setdefault("MPLBACKEND", "Agg")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import numpy as np
    import torch

TEST_DATA_VARIABLE = "PYXEM_CNN_TEST_DATA"
SEED = 20240229


def pytest_configure() -> None:
    """Make torchvision importable where it is installed: Lightning imports it then."""
    if importlib.util.find_spec("torchvision") is not None:
        from tests._torchvision import import_torchvision

        import_torchvision()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that are marked as gpu where torch sees no CUDA device."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch sees no CUDA device")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder with real patterns and maps, which are not part of the repository."""
    value = os.environ.get(TEST_DATA_VARIABLE)
    if not value:
        pytest.skip(f"{TEST_DATA_VARIABLE} names no folder with test data")
    folder = Path(value)
    if not folder.is_dir():
        # A set variable is a promise: a typing error must not look like a passed test.
        pytest.fail(f"{TEST_DATA_VARIABLE}={value!r} is not a folder")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """NumPy random generator, with the same seed in every test."""
    import numpy as np

    return np.random.default_rng(SEED)


@pytest.fixture
def generator() -> torch.Generator:
    """Torch random generator on the CPU, with the same seed in every test."""
    import torch

    return torch.Generator().manual_seed(SEED)


@pytest.fixture(scope="session")
def timm() -> ModuleType:
    """The timm package."""
    return pytest.importorskip("timm")


@pytest.fixture
def interrupts_are_seen() -> Iterator[None]:
    """Ctrl-C raises, also where the tests run in the background, with interrupts ignored."""
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
