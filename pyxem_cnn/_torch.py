"""Torch housekeeping: devices, threads, and one known warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyxem_cnn._checks import check_positive, check_type, given_expected

if TYPE_CHECKING:
    import torch

# Recent versions of torch say so on every use. The model files stay readable until torch drops
# TorchScript, and there is nothing that a user could do about the notice.
_TORCHSCRIPT_DEPRECATION = r"`torch\.jit\.\w+` is (deprecated|not supported in Python 3\.14\+)"


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the torch device that `device` stands for.

    Parameters
    ----------
    device
        "auto" (a CUDA device if torch sees one, else the CPU), or any name that torch knows,
        such as "cpu", "cuda", "cuda:1" or "mps".

    Returns
    -------
    device
        The device; it exists on this machine.

    Raises
    ------
    TypeError
        If `device` is neither a string nor a device.
    ValueError
        If torch does not know the name, or the device does not exist here.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    import torch

    check_type("device", device, (str, torch.device))
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        expected = "'auto', 'cpu', 'cuda', 'cuda:<number>', 'mps' or another torch device"
        raise ValueError(given_expected("device", device, expected)) from error
    _check_device_exists(resolved)
    return resolved


def _check_device_exists(device: torch.device) -> None:
    """Raise ValueError if this machine, or this build of torch, has no such device."""
    import torch

    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            expected = f"one of the {count} CUDA devices that torch sees here"
            remedy = "Use device='cpu' or 'auto', or install a CUDA build of torch and a driver."
            raise ValueError(given_expected("device", str(device), expected, remedy))
    elif device.type == "mps" and not torch.backends.mps.is_available():
        expected = "a device of this machine, and torch sees no Apple GPU"
        raise ValueError(given_expected("device", str(device), expected, "Use device='cpu'."))


@contextmanager
def ignore_torchscript_deprecation() -> Iterator[None]:
    """Silence torch's notice that TorchScript is deprecated, and nothing else, inside a block.

    Warning filters belong to the whole process: two threads must not enter such blocks at the
    same time, so use it where a model is loaded or saved, not where it is evaluated.

    Yields
    ------
    None
        Nothing.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _TORCHSCRIPT_DEPRECATION, DeprecationWarning)
        yield


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether matrix products of a device are several times faster in bfloat16.

    Parameters
    ----------
    device
        A device of this machine.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Intel's tile units; without them, processors emulate bfloat16, or gain little.
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch use `n_threads` threads for one operation inside a block.

    Parameters
    ----------
    n_threads
        Number of threads; None leaves torch's setting alone.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    TypeError
        If `n_threads` is not a whole number.
    ValueError
        If `n_threads` is not above zero.
    """
    import torch

    if n_threads is None:
        yield
        return
    check_positive("n_threads", n_threads, integer=True)
    before = torch.get_num_threads()
    torch.set_num_threads(int(n_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)
