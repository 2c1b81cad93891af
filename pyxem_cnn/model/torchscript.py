"""TorchScript: compile a network, load it, and keep one of each per process and device."""

from __future__ import annotations

import io
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyxem_cnn._torch import ignore_torchscript_deprecation
from pyxem_cnn.model.test_tensors import ModelFileError, TensorCheck

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = ["as_input", "load_module", "module_for", "save_module", "to_torchscript", "trace"]

_logger = logging.getLogger(__name__)

# Warning filters are global and compiling twice is a waste: one thread at a time.
_lock = threading.RLock()
_modules: OrderedDict[tuple[str, str], torch.jit.ScriptModule] = OrderedDict()
# More than the models of a map times the GPUs of a machine: these must not push each other out.
_MOST_MODULES = 64


def to_torchscript(module: torch.nn.Module) -> torch.jit.ScriptModule:
    """Return a TorchScript copy of a module on the CPU in evaluation mode.

    Parameters
    ----------
    module
        An eager or a scripted module; it is not altered.

    Returns
    -------
    scripted

    Raises
    ------
    TypeError
        If it is no module.
    ModelFileError
        If TorchScript cannot compile it.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"Got a {type(module).__name__}, expected a torch.nn.Module or a TorchScript module. A "
            "state_dict holds only weights: load it into the network it belongs to first."
        )
    try:
        with _lock, ignore_torchscript_deprecation():
            data = io.BytesIO(save_module(torch.jit.script(module), {}))
            # Writing and reading makes the copy: deepcopy of TorchScript leaves non-leaf weights.
            return torch.jit.load(data, map_location="cpu").eval()
    except Exception as error:
        raise ModelFileError(
            f"TorchScript cannot compile {type(module).__name__}: {error} "
            "Simplify its forward(), or trace it with torch.jit.trace and pass the result."
        ) from error


def trace(module: torch.nn.Module, example: torch.Tensor) -> torch.jit.ScriptModule:
    """Return TorchScript of what a module does with one input.

    Parameters
    ----------
    module
        In evaluation mode, on the CPU.
    example
        The input. Where the module decides by values or by the size of the batch, torch warns.

    Returns
    -------
    traced
    """
    import torch

    with _lock, ignore_torchscript_deprecation(), torch.no_grad():
        return torch.jit.trace(module, example)


def save_module(module: torch.jit.ScriptModule, extra: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a TorchScript archive with further files in it.

    Parameters
    ----------
    module
        The network.
    extra
        Content of the further files by name.

    Returns
    -------
    data
    """
    import torch

    buffer = io.BytesIO()
    with _lock, ignore_torchscript_deprecation():
        torch.jit.save(module, buffer, _extra_files=dict(extra))
    return buffer.getvalue()


def load_module(data: bytes, source: str, device: Any = "cpu") -> torch.jit.ScriptModule:
    """Return the network of a model file, in evaluation mode; this runs the file's code.

    Parameters
    ----------
    data
        The whole file, checked by :func:`unpack`.
    source
        How messages call it.
    device
        Where to put it.

    Returns
    -------
    module

    Raises
    ------
    ModelFileError
        If torch cannot read it or its signature is another one.
    """
    import torch

    try:
        with _lock, ignore_torchscript_deprecation():
            module = torch.jit.load(io.BytesIO(data), map_location=device).eval()
        schema = module.forward.schema
    except (RuntimeError, AttributeError) as error:
        raise ModelFileError(f"torch cannot load {source}: {error}") from error
    arguments = [(argument.name, str(argument.type)) for argument in schema.arguments[1:]]
    returned = [str(value.type) for value in schema.returns]
    expected = [("counts", "Tensor"), ("mask", "Tensor")]
    if arguments != expected or returned != ["Dict[str, Tensor]"]:
        raise ModelFileError(
            f"The network of {source} has the signature {schema}, expected forward(counts: "
            "Tensor, mask: Tensor) -> Dict[str, Tensor]. Use pyxem_cnn.wrap_model for a network of "
            "your own."
        )
    return module


def module_for(
    data: bytes, sha256: str, check: TensorCheck, device: torch.device
) -> torch.jit.ScriptModule:
    """Return the network of a model file, ready to predict: loaded once per process and device.

    Parameters
    ----------
    data
        The whole file.
    sha256
        Its hash, under which the network is kept.
    check
        The test tensors that it has to pass on this device.
    device
        Where to put it.

    Returns
    -------
    module
        Frozen: the weights are constants. To be called under ``torch.inference_mode``.

    Raises
    ------
    ModelFileError
        If it cannot be loaded or fails its test tensors on this device.
    """
    key = (sha256, str(device))
    with _lock:
        if key not in _modules:
            _modules[key] = _frozen(
                load_module(data, f"model {sha256[:12]}", device), check, device
            )
            while len(_modules) > _MOST_MODULES:
                _modules.popitem(last=False)
        _modules.move_to_end(key)
        return _modules[key]


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
        check.check(module, str(device))
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
