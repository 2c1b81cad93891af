"""Exported networks: what torch.export makes, written and read without unpickling anything."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyxem_cnn.model.export_check import GRAPH, check_program
from pyxem_cnn.model.test_tensors import ModelFileError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch.export import ExportedProgram

__all__ = ["FOLDER", "load_program", "runnable", "save_program", "to_exported"]

FOLDER = "pyxem_cnn"
"""Where an archive of torch.export holds what is not torch's."""
# Where nodes come from: lines and paths of the machine that exported them.
_ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")
_OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # of zip files: equal networks are equal files


def to_exported(module: torch.nn.Module, counts: np.ndarray, mask: np.ndarray) -> ExportedProgram:
    """Return what an eager network does as a graph of torch's operators, for batches of any size.

    Parameters
    ----------
    module
        Eager, ``forward(counts: Tensor, mask: Tensor) -> dict[str, Tensor]``; it is not altered.
    counts, mask
        Inputs to follow, each ``(n_patterns, *grid.shape)``.

    Returns
    -------
    program
        On the CPU, in evaluation mode.

    Raises
    ------
    TypeError
        If it is no eager module.
    ModelFileError
        If torch cannot export it.
    """
    import torch

    if not isinstance(module, torch.nn.Module) or isinstance(module, torch.jit.ScriptModule):
        raise TypeError(
            f"Got a {type(module).__name__}, expected an eager torch.nn.Module: TorchScript "
            "cannot be exported. Pass the network that it was made of."
        )
    network = copy.deepcopy(module).cpu().eval().requires_grad_(False)
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.clone()  # torch would write all that a view is a part of
    # Two patterns: torch takes a batch of one for a network of one.
    inputs = [torch.as_tensor(a, dtype=torch.float32)[[0, -1]] for a in (counts, mask)]
    any_size = {0: torch.export.Dim("n_patterns", min=1)}
    try:
        program = torch.export.export(network, tuple(inputs), dynamic_shapes=(any_size, any_size))
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(
            f"torch cannot export {type(module).__name__}: {reason} Simplify its forward(): it "
            "must not decide by the values of tensors, nor by the size of the batch."
        ) from error
    return program


def runnable(program: ExportedProgram) -> torch.nn.Module:
    """Return a module that does what a program says.

    Parameters
    ----------
    program
        The exported network.
    """
    return program.module(check_guards=False)


def save_program(program: ExportedProgram, extra: Mapping[str, bytes]) -> bytes:
    """Return the bytes of an archive of torch.export with further files in it.

    Parameters
    ----------
    program
        The exported network; what it tells of the machine that exported it is taken away.
    extra
        Content of the further files by name.

    Returns
    -------
    data

    Raises
    ------
    ModelFileError
        If the network needs more than torch's operators on tensors.
    """
    import torch

    for node in program.graph.nodes:
        for key in _ORIGINS:
            node.meta.pop(key, None)
    program.example_inputs = None  # they would be pickled
    program._guards_code = []
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    members = _members(buffer.getvalue())
    members[GRAPH] = _without_lost_symbols(members[GRAPH])
    check_program(members, "The exported network")
    return _archive(members | {f"{FOLDER}/{name}": content for name, content in extra.items()})


def load_program(data: bytes, source: str, device: Any = "cpu") -> torch.nn.Module:
    """Return the network of a model file; what would run code of the file is refused.

    Parameters
    ----------
    data
        The whole file.
    source
        How messages call it.
    device
        Where to put it.

    Returns
    -------
    module
        With the signature of a model.

    Raises
    ------
    ModelFileError
        If the file holds anything but a network, torch cannot read it, or its signature is another
        one.
    """
    import torch
    from torch.export.passes import move_to_device_pass

    members = {n: c for n, c in _members(data).items() if not n.startswith(f"{FOLDER}/")}
    check_program(members, source)
    try:
        # An archive of what was checked: another reader could find other members in the file.
        program = torch.export.load(io.BytesIO(_archive(members)))
        if torch.device(device).type != "cpu":
            program = move_to_device_pass(program, torch.device(device))
    except Exception as error:
        raise ModelFileError(
            f"torch {torch.__version__} cannot load {source}: {error}. Files of torch.export may "
            "be tied to the version that wrote them: use the .pt file of this model."
        ) from error
    names = list(program.graph_signature.user_inputs)
    if names != ["counts", "mask"] or program.call_spec.out_spec.type is not dict:
        raise ModelFileError(
            f"The network of {source} takes {names}, expected counts and mask, and a dictionary of "
            "tensors as its result. Use pyxem_cnn.wrap_model for a network of your own."
        )
    return runnable(program)


def _without_lost_symbols(graph: bytes) -> bytes:
    """Leave out the ranges of sizes that no tensor has any more, of which torch would warn."""
    program = json.loads(graph)
    used = json.dumps(program["graph_module"])
    ranges = program["range_constraints"].items()
    program["range_constraints"] = {s: limits for s, limits in ranges if f"'{s}'" in used}
    return json.dumps(program).encode()


def _members(data: bytes) -> dict[str, bytes]:
    """Return the content of an archive by name, without the leading folder."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def _archive(members: Mapping[str, bytes]) -> bytes:
    """Return an archive in which torch finds these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(f"archive/{name}", _OLDEST_DATE)
            packed = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
            archive.writestr(entry, content, packed)
    return buffer.getvalue()
