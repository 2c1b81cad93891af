"""Devices, threads and the filter of one warning."""

from __future__ import annotations

import warnings

import pytest
import torch

from pyxem_cnn import _torch


class AddOne(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def test_auto_device_exists() -> None:
    device = _torch.resolve_device("auto")
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    torch.zeros(1, device=device)


def test_device_is_passed_through() -> None:
    assert _torch.resolve_device(torch.device("cpu")) == torch.device("cpu")


def test_unknown_and_absent_devices() -> None:
    with pytest.raises(ValueError, match="device: got 'gpu', expected 'auto'"):
        _torch.resolve_device("gpu")
    with pytest.raises(ValueError, match="CUDA devices that torch sees here. Use device='cpu'"):
        _torch.resolve_device("cuda:99")
    with pytest.raises(TypeError, match="got 0 of type int"):
        _torch.resolve_device(0)  # type: ignore[arg-type]


def test_only_the_torchscript_notice_is_silenced() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _torch.ignore_torchscript_deprecation():
            torch.jit.freeze(torch.jit.script(AddOne().eval()))
            warnings.warn("something else", DeprecationWarning, stacklevel=1)
    assert [str(w.message) for w in caught] == ["something else"]


def test_notice_is_heard_again_after_the_block() -> None:
    with _torch.ignore_torchscript_deprecation():
        pass
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("`torch.jit.script` is deprecated.", DeprecationWarning, stacklevel=1)
    assert len(caught) == 1


def test_threads_are_restored_also_after_an_error() -> None:
    before = torch.get_num_threads()
    with _torch.limit_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with pytest.raises(RuntimeError, match="size"), _torch.limit_threads(before + 1):
        torch.zeros(2) + torch.zeros(3)
    assert torch.get_num_threads() == before
    with _torch.limit_threads(None):
        assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="n_threads: got 0"), _torch.limit_threads(0):
        pass
