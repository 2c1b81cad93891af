"""Devices, generators, threads and the filter of one warning."""

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


def test_generator_repeats_and_leaves_the_global_one_alone() -> None:
    state = torch.get_rng_state()
    first = torch.rand(4, generator=_torch.make_generator(3))
    again = torch.rand(4, generator=_torch.make_generator(3))
    other = torch.rand(4, generator=_torch.make_generator(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_generator_without_seed_differs_each_time() -> None:
    seeds = {_torch.make_generator().initial_seed() for _ in range(3)}
    assert len(seeds) == 3


def test_generator_is_passed_through_and_bad_seeds_refused() -> None:
    generator = torch.Generator()
    assert _torch.make_generator(generator) is generator
    with pytest.raises(ValueError, match="seed: got -1"):
        _torch.make_generator(-1)
    with pytest.raises(TypeError, match="seed: got 'a'"):
        _torch.make_generator("a")  # type: ignore[arg-type]


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
