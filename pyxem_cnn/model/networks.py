"""The networks of model files, as TorchScript or exported: one of each per process and device."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxem_cnn._checks import check_choice
from pyxem_cnn._torch import has_fast_bfloat16, ignore_torchscript_deprecation
from pyxem_cnn.model.exported import load_program, runnable, save_program, to_exported
from pyxem_cnn.model.test_tensors import ModelFileError, TensorCheck
from pyxem_cnn.model.torchscript import load_module, save_module, to_torchscript

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = [
    "BACKENDS",
    "archive_of",
    "as_input",
    "backend_of_path",
    "compile_network",
    "load_network",
    "network_for",
]

_logger = logging.getLogger(__name__)

BACKENDS = {"torchscript": ".pt", "export": ".pt2"}
"""The two forms of a network, and how their files end."""

# Reading a network twice is a waste, and neither of torch's readers is made for threads.
_lock = threading.RLock()
_networks: OrderedDict[tuple[str, str], torch.nn.Module] = OrderedDict()
# More than the models of a map times the GPUs of a machine: these must not push each other out.
_MOST_NETWORKS = 64


def backend_of_path(path: Path, otherwise: str) -> str:
    """Return the form that the end of a file's name stands for.

    Parameters
    ----------
    path
        Of a model file.
    otherwise
        What any other end stands for.
    """
    return next((name for name, end in BACKENDS.items() if path.suffix == end), otherwise)


def compile_network(
    module: torch.nn.Module, backend: str, counts: np.ndarray, mask: np.ndarray
) -> tuple[Any, torch.nn.Module]:
    """Return a network in the form that its file holds, and something that can be called.

    Parameters
    ----------
    module
        ``forward(counts: Tensor, mask: Tensor) -> dict[str, Tensor]``; it is not altered.
    backend
        "torchscript" or "export".
    counts, mask
        Inputs to try it with.

    Returns
    -------
    compiled, module
        The same one twice for TorchScript.

    Raises
    ------
    TypeError
        If it is no module.
    ModelFileError
        If torch cannot compile it.
    """
    check_choice("backend", backend, BACKENDS)
    with _lock:
        if backend == "torchscript":
            scripted = to_torchscript(module)
            return scripted, scripted
        program = to_exported(module, counts, mask)
        return program, runnable(program)


def archive_of(compiled: Any, backend: str, extra: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a file that holds a network and further files.

    Parameters
    ----------
    compiled
        From :func:`compile_network`.
    backend
        Its form.
    extra
        Content of the further files by name.
    """
    with _lock:
        save = save_module if backend == "torchscript" else save_program
        return save(compiled, extra)


def load_network(data: bytes, backend: str, source: str, device: Any = "cpu") -> torch.nn.Module:
    """Return the network of a model file, in evaluation mode; this runs the file's code.

    Parameters
    ----------
    data
        The whole file, checked by :func:`unpack`.
    backend
        Its form.
    source
        How messages call it.
    device
        Where to put it.

    Raises
    ------
    ModelFileError
        If torch cannot read it or its signature is another one.
    """
    with _lock:
        load = load_module if backend == "torchscript" else load_program
        return load(data, source, device)


def network_for(
    data: bytes, sha256: str, backend: str, check: TensorCheck, device: torch.device
) -> torch.nn.Module:
    """Return the network of a model file, ready to predict: loaded once per process and device.

    Parameters
    ----------
    data
        The whole file.
    sha256
        Its hash, under which the network is kept.
    backend
        Its form.
    check
        The test tensors that it has to pass on this device.
    device
        Where to put it.

    Returns
    -------
    module
        To be called under ``torch.inference_mode``.

    Raises
    ------
    ModelFileError
        If it cannot be loaded or fails its test tensors on this device.
    """
    key = (sha256, str(device))
    with _lock:
        if key not in _networks:
            module = load_network(data, backend, f"model {sha256[:12]}", device)
            if backend == "torchscript":
                module = _fastest(module, check, device)
            else:
                check.check(module, str(device))
            _networks[key] = module
            while len(_networks) > _MOST_NETWORKS:
                _networks.popitem(last=False)
        _networks.move_to_end(key)
        return _networks[key]


def _fastest(
    module: torch.jit.ScriptModule, check: TensorCheck, device: torch.device
) -> torch.jit.ScriptModule:
    """Return the fastest form of a module that passes its test tensors.

    Networks that can do their products in bfloat16 do so where the device is fast at it; others
    are frozen, which crashes torch 2.13 where weights are in bfloat16.
    """
    check.check(module, str(device))
    if hasattr(module, "low_precision") and has_fast_bfloat16(device):
        module.low_precision = True
        try:
            check.check(module, str(device), low_precision=True)
        except ModelFileError as error:
            _logger.warning("The network is used in float32: %s", error)
            module.low_precision = False
        return module
    return _frozen(module, check, device)


def _frozen(
    module: torch.jit.ScriptModule, check: TensorCheck, device: torch.device
) -> torch.jit.ScriptModule:
    """Return the module frozen if that works and changes nothing, else as it is."""
    import torch

    try:
        with ignore_torchscript_deprecation():
            frozen = torch.jit.freeze(module)
        check.check(frozen, str(device))
    except (RuntimeError, ModelFileError) as error:
        _logger.info("The network is used as it is, freezing it failed: %s", error)
        return module
    return frozen


def as_input(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return an input of the network.

    Parameters
    ----------
    values
        Counts or mask.
    device
        Where the network is.

    Returns
    -------
    tensor
        Tensor of float32, on the device.
    """
    import torch

    if not isinstance(values, torch.Tensor) and not values.flags.writeable:
        # torch warns about arrays that it might write to; memory-mapped ones are read-only.
        values = values.copy()
    return torch.as_tensor(values, dtype=torch.float32, device=device)
