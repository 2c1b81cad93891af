"""TorchScript: compile a network, write it with further files in the archive, and load it."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyxem_cnn._torch import ignore_torchscript_deprecation
from pyxem_cnn.model.test_tensors import ModelFileError

if TYPE_CHECKING:
    import torch

__all__ = ["load_module", "save_module", "to_torchscript", "trace"]

# Warning filters are global: one thread at a time.
_lock = threading.RLock()


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
