"""The model: a network with everything needed to read orientations from patterns with it."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_shape
from pyxem_cnn._torch import resolve_device
from pyxem_cnn.detector.grids import grid_from_dict
from pyxem_cnn.model.description import ModelDescription, summarise
from pyxem_cnn.model.eager import SAME, azimuthal_network
from pyxem_cnn.model.file import ModelFile, pack, unpack, write
from pyxem_cnn.model.networks import (
    BACKENDS,
    as_input,
    backend_of_path,
    compile_network,
    load_network,
    network_for,
)
from pyxem_cnn.model.shipped import available_models, find_model
from pyxem_cnn.model.test_tensors import ModelFileError, TensorCheck, example_inputs
from pyxem_cnn.targets import Decoded, target_from_dict

if TYPE_CHECKING:
    import torch
    from orix.crystal_map import Phase

    from pyxem_cnn.phases import CrystalStructure

__all__ = [
    "ModelDescription",
    "ModelFileError",
    "OrientationModel",
    "available_models",
    "load_model",
]


_logger = logging.getLogger(__name__)


class OrientationModel:
    """A network with its crystal, grid and target, as it stands in a model file.

    Made by :func:`load_model`, :func:`pyxem_cnn.wrap_model`, by training, or by :meth:`build` and
    :meth:`from_bytes`. It does not change any more once made, can be pickled, and can be used by
    several threads at once. Two models are equal if their files are.

    Parameters
    ----------
    data
        The content of a model file.
    source
        How messages call it.
    sha256
        Hash that the content has to have, 64 hexadecimal digits.

    Raises
    ------
    ModelFileError
        If the hash is another one, it is no complete model file, or it fails its test tensors.
    """

    def __init__(self, data: bytes, source: str = "the model", sha256: str | None = None) -> None:
        content = unpack(data, source, sha256)
        if content.metadata["task"] != "orientation":
            raise ModelFileError(
                f"{source} was made for the task {content.metadata['task']!r}, expected "
                "'orientation'."
            )
        self._data = bytes(data)
        self._content = content
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.grid = grid_from_dict(content.metadata["grid"])
        self.target = target_from_dict(content.metadata["target"], content.arrays)
        check_shape(f"test tensors of {source}", content.check.counts, ("n", *self.grid.shape))
        self.module = load_network(data, content.backend, source)
        content.check.check(self.module)
        self._eager: torch.nn.Module | None = None

    @classmethod
    def build(
        cls,
        module: torch.nn.Module,
        description: ModelDescription,
        test_inputs: tuple[np.ndarray, np.ndarray] | None = None,
        *,
        backend: str = "torchscript",
        eager: torch.nn.Module | None = None,
    ) -> OrientationModel:
        """Make a model from a network, checking that it does what its description says.

        Parameters
        ----------
        module
            Eager or scripted, ``forward(counts: Tensor, mask: Tensor) -> dict[str, Tensor]``
            with counts and mask of shape ``(n_patterns, *grid.shape)``. It is copied.
        description
            Everything else.
        test_inputs
            Counts and mask, each ``(n_patterns, *grid.shape)``, for the test tensors. Made up by
            default; real patterns make the better test.
        backend
            Form of the network in the file: "torchscript" or "export", see :meth:`with_backend`.
        eager
            The eager network where ``module`` is TorchScript, for :meth:`with_backend`.

        Returns
        -------
        model

        Raises
        ------
        ModelFileError
            If torch cannot compile the network, its signature is another one, it fails on the
            test patterns, or does not give the same outputs again.
        ValueError
            If the target cannot read the network's outputs.
        """
        counts, mask = test_inputs or example_inputs(description.grid.shape)
        for name, values in (("test counts", counts), ("test mask", mask)):
            check_shape(name, values, ("n", *description.grid.shape))
        compiled, network = compile_network(module, backend, counts, mask)
        check = TensorCheck.record(network, counts, mask)
        metadata, arrays = description.to_metadata(), description.target.arrays()
        model = cls(pack(compiled, ModelFile(metadata, arrays, check, backend)))
        model.predict(counts, mask)
        model._eager = _eager_copy(module if eager is None else eager)
        return model

    @classmethod
    def from_bytes(cls, data: bytes, sha256: str | None = None) -> OrientationModel:
        """Return the model of a file's content, as `load_model` does, warnings there included.

        Parameters
        ----------
        data
            What :meth:`to_bytes` returned.
        sha256
            Hash that the content has to have.
        """
        return cls(data, sha256=sha256)

    def to_bytes(self) -> bytes:
        """Return the content of the model's file as it is; its hash is :attr:`sha256`."""
        return self._data

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the model to a file, as a whole or not at all.

        Parameters
        ----------
        path
            Where to. The folder has to exist. The end of the name says in which form: .pt for
            TorchScript, .pt2 for torch.export, see :meth:`with_backend`; any other, as it is.
        overwrite
            Whether to replace a file that is there already.

        Returns
        -------
        path
            Where it was written.

        Raises
        ------
        ModelFileError
            If the network cannot be written in this form.
        FileExistsError
            If the file exists and ``overwrite`` is False.
        FileNotFoundError
            If the folder does not exist.
        """
        path = Path(path).expanduser()
        write(self.with_backend(backend_of_path(path, self.backend))._data, path, overwrite)
        return path

    @property
    def backend(self) -> str:
        """Form of the network: "torchscript", of .pt files, or "export", of .pt2 files."""
        return self._content.backend

    def with_backend(self, backend: str) -> OrientationModel:
        """Return the same model with its network in another form.

        Neither form can be made of the other. Both are made of the eager network: of a model that
        was built or wrapped in this process from an eager network, or of one that
        :func:`pyxem_cnn.train` trained, whose network is made again from its weights.

        Parameters
        ----------
        backend
            "torchscript", or "export": what ``torch.export`` writes, for a torch without
            TorchScript and for tools that read exported programs. An exported network computes in
            float32 everywhere.

        Returns
        -------
        model
            This one if it has this form, else another one. Its metadata are the same; outputs
            differ by no more than 1e-5 of their largest value, both in float32. Its file and so
            its hash are others.

        Raises
        ------
        ValueError
            If there is no such form.
        ModelFileError
            If there is no eager network, or torch cannot compile it.
        """
        check_choice("backend", backend, BACKENDS)
        if backend == self.backend:
            return self
        check = replace(self.test_tensors, outputs=self.outputs_of_test())
        eager = self._eager if self._eager is not None else azimuthal_network(self)
        compiled, network = compile_network(eager, backend, check.counts, check.mask)
        replace(check, tolerance=SAME).check(network)
        model = type(self)(pack(compiled, replace(self._content, backend=backend)))
        model._eager = eager
        return model

    @property
    def test_tensors(self) -> TensorCheck:
        """Inputs, with the outputs that the network has to give again."""
        return self._content.check

    def outputs_of_test(self) -> dict[str, np.ndarray]:
        """Return the outputs of the test tensors, as this machine computes them."""
        check = self.test_tensors
        return dict(TensorCheck.record(self.module, check.counts, check.mask).outputs)

    def predict(
        self,
        counts: np.ndarray | torch.Tensor,
        mask: np.ndarray | torch.Tensor,
        n_best: int = 1,
        device: str | torch.device = "cpu",
    ) -> Decoded:
        """Return the orientations of patterns on the model's grid.

        Parameters
        ----------
        counts
            Mean counts per detector pixel in each bin, 0 where masked, shape
            ``(n_patterns, *grid.shape)``.
        mask
            1 on valid bins, 0 on those left out (or the share of the bin that valid pixels
            cover), shape ``grid.shape`` or ``(n_patterns, *grid.shape)``.
        n_best
            How many orientations to return for each pattern, best first.
        device
            "cpu", "cuda", ... or "auto".

        Returns
        -------
        decoded
            On the CPU, float32.

        Raises
        ------
        ValueError
            If a shape or a value is wrong, or the device does not exist.
        ModelFileError
            If the model fails its test tensors on the device.
        """
        import torch

        check_positive("n_best", n_best, integer=True)
        check_shape("counts", counts, ("n_patterns", *self.grid.shape), "Resample them first.")
        n_patterns = len(counts)
        if tuple(mask.shape) != self.grid.shape:
            check_shape("mask", mask, (n_patterns, *self.grid.shape), "Or leave the patterns out.")
        device = resolve_device(device)
        if n_patterns == 0:
            shapes = ((0, n_best, 4), (0, n_best), (0,), (0, n_best))
            return Decoded(*(torch.empty(shape) for shape in shapes))
        module = network_for(self._data, self.sha256, self.backend, self.test_tensors, device)
        with torch.inference_mode():
            mask = as_input(mask, device).expand(n_patterns, *self.grid.shape)
            decoded = self.target.decode(module(as_input(counts, device), mask), n_best)
            return decoded.cpu()

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the model file, as a copy."""
        return copy.deepcopy(dict(self._content.metadata))

    @property
    def name(self) -> str:
        """How the model is called."""
        return self._content.metadata["name"]

    @property
    def accelerating_voltage(self) -> float:
        """Accelerating voltage in kV."""
        return self._content.metadata["accelerating_voltage"]

    @property
    def polarity(self) -> bool:
        """Whether orientations count modulo the point group (True), or the Laue group."""
        return bool(self._content.metadata.get("polarity", False))

    @cached_property
    def crystals(self) -> tuple[CrystalStructure, ...]:
        """The crystal structures of all phases that the model tells apart, one or several.

        A place in this tuple is what `Decoded.phase` means.
        """
        from pyxem_cnn.phases import CrystalStructure

        return tuple(CrystalStructure.from_dict(one) for one in self._content.metadata["phases"])

    @cached_property
    def phases(self) -> list[Phase]:
        """The crystal structures of all phases as orix phases, in the order of `crystals`."""
        return [crystal.to_phase() for crystal in self.crystals]

    @property
    def crystal(self) -> CrystalStructure:
        """The crystal structure, of a model of several phases that of the first one."""
        return self.crystals[0]

    @property
    def phase(self) -> Phase:
        """The crystal structure as orix Phase, of a model of several phases the first one."""
        return self.phases[0]

    def __repr__(self) -> str:
        """Return a table of what the model is."""
        return summarise(self)

    def __eq__(self, other: object) -> bool:
        """Return whether the files of both models are the same."""
        return isinstance(other, OrientationModel) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        """Return a hash that equal models share."""
        return hash(self.sha256)

    def __dask_tokenize__(self) -> tuple[str, str]:
        """Return what tells this model from others in a dask graph."""
        return type(self).__name__, self.sha256

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the file, from which the other side loads the model once per process."""
        from pyxem_cnn.model.handle import ModelHandle

        return ModelHandle.load, (ModelHandle(self.sha256, self._data),)


def _eager_copy(module: torch.nn.Module) -> torch.nn.Module | None:
    """Return a copy of an eager network in evaluation mode, None of what cannot be copied."""
    import torch

    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        return None
    try:
        return copy.deepcopy(module).cpu().eval().requires_grad_(False)
    except Exception as error:
        # Only other forms of the file are lost.
        _logger.info("the eager network cannot be copied: %s", error)
        return None


def load_model(path_or_name: str | os.PathLike[str], sha256: str | None = None) -> OrientationModel:
    """Return the model in a file, or one that is shipped with the package.

    Loading and using a model runs code: the network in the file is a program, in TorchScript (.pt)
    or a graph of torch's operators (.pt2). Neither has access to Python and its modules, and
    nothing is ever unpickled into Python objects: exported networks that need it are refused. But
    torch gives no promise that its interpreter contains a malicious program, which may also use up
    memory and time. So treat a model like any other program: load it from people you trust, and
    pass the hash that they publish. The hash and the description are checked before any of the
    file's code is run.

    Parameters
    ----------
    path_or_name
        Path of a file that :meth:`OrientationModel.save` wrote, or one of the names that
        :func:`available_models` returns.
    sha256
        Refuse the file if it has another hash, 64 hexadecimal digits.

    Returns
    -------
    model

    Raises
    ------
    FileNotFoundError
        If there is no such file, nor a shipped model of this name.
    ModelFileError
        A ValueError: if the file is no model, truncated, of a newer format, of another hash, or
        fails its own test tensors.
    """
    path = find_model(path_or_name)
    return OrientationModel(path.read_bytes(), str(path), sha256)
