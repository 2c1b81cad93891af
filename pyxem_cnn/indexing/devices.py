"""Where networks run: the GPUs of this process, one batch at a time on each, in sizes that fit."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyxem_cnn._torch import resolve_device
from pyxem_cnn.targets import Decoded

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    from pyxem_cnn.model import OrientationModel

__all__ = [
    "DeviceTurns",
    "batch_size_on",
    "check_device",
    "devices_here",
    "predict_in_turn",
    "spread",
]

_logger = logging.getLogger(__name__)

_CPU_BATCH, _GPU_BATCH = 128, 2048


def check_device(device: str | torch.device) -> str:
    """Return the name of a device, which exists here if the tasks run here.

    Where they run in other processes, each looks for its own devices: a login node without a GPU
    can map on nodes that have some.

    Parameters
    ----------
    device
        "auto", or any name that torch knows.

    Raises
    ------
    TypeError
        If it is neither a string nor a device.
    ValueError
        If torch does not know the name, or tasks run here and the device does not exist.
    """
    import torch

    if _tasks_run_elsewhere() and isinstance(device, str | torch.device):
        try:
            return device if device == "auto" else str(torch.device(device))
        except RuntimeError:
            pass  # resolve_device says it better
    resolve_device(device)
    return str(device)


def _tasks_run_elsewhere() -> bool:
    """Return whether dask's tasks run in other processes than this one."""
    from dask.base import get_scheduler

    try:
        get = get_scheduler()
    except RuntimeError:  # an asynchronous client, which lazy predictions may be passed to
        return True
    module = getattr(get, "__module__", None) or ""
    return module.startswith(("distributed", "dask.multiprocessing"))


def devices_here(device: str) -> tuple[str, ...]:
    """Return the devices of this process that a name stands for, one or several.

    Parameters
    ----------
    device
        "auto", "cuda" for all CUDA devices, or the name of a single device.

    Returns
    -------
    devices
        Names of devices that exist.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    import torch

    resolved = resolve_device(device)
    if resolved.type != "cuda":
        return (str(resolved),)
    return spread(resolved.index, torch.cuda.device_count(), _has_gpu_of_its_own())


def spread(index: int | None, n_gpus: int, has_own: bool) -> tuple[str, ...]:
    """Return the names of the CUDA devices that blocks are spread over.

    Parameters
    ----------
    index
        The one that was asked for; None for all.
    n_gpus
        How many this process sees.
    has_own
        Whether the first one is meant for this process, the others for processes beside it.

    Returns
    -------
    devices
        Such as ("cuda:0", "cuda:1").

    Examples
    --------
    >>> spread(None, 2, has_own=False)
    ('cuda:0', 'cuda:1')
    >>> spread(None, 2, has_own=True)
    ('cuda:0',)
    """
    if index is not None:
        return (f"cuda:{index}",)
    return tuple(f"cuda:{i}" for i in range(1 if has_own else n_gpus))


def _has_gpu_of_its_own() -> bool:
    """Return whether this is a worker of a cluster for which GPUs were chosen.

    dask-cuda lets every worker see all GPUs, its own first.
    """
    if "CUDA_VISIBLE_DEVICES" not in os.environ or "distributed" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


def batch_size_on(device: str, batch_size: int | None) -> int:
    """Return how many patterns a network sees at once: as given, or what suits the device.

    Parameters
    ----------
    device
        Name of a torch device.
    batch_size
        As given, or None.
    """
    if batch_size is not None:
        return batch_size
    return _CPU_BATCH if device == "cpu" else _GPU_BATCH


class DeviceTurns:
    """Devices of which each serves one caller at a time, so that its memory holds one batch."""

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, devices: Sequence[str]) -> Iterator[str]:
        """Wait until one of some devices is free, and hold it inside a block.

        Parameters
        ----------
        devices
            Names, the first free one is taken.

        Yields
        ------
        device
            Name of the device.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._busy.issuperset(devices))
            device = next(name for name in devices if name not in self._busy)
            self._busy.add(device)
        try:
            yield device
        finally:
            with self._changed:
                self._busy.discard(device)
                self._changed.notify_all()


_turns = DeviceTurns()
# Largest number of patterns that a device had room for, by device and model.
_rooms: dict[tuple[str, str], int] = {}


def predict_in_turn(
    model: OrientationModel,
    counts: np.ndarray,
    mask: np.ndarray,
    n_best: int,
    devices: Sequence[str],
) -> Decoded:
    """Return what a model predicts, on whichever device is free, in batches that fit into it.

    A GPU that runs out of memory gets half as many patterns, now and in all later calls in this
    process.

    Parameters
    ----------
    model
        The model.
    counts, mask
        As :meth:`OrientationModel.predict` takes them, at least one pattern.
    n_best
        Orientations for each pattern.
    devices
        Names of the devices, from :func:`devices_here`. The CPU serves any number at a time.

    Raises
    ------
    RuntimeError
        torch's own, if a device has no room for a single pattern.
    """
    if tuple(devices) == ("cpu",):
        return model.predict(counts, mask, n_best, "cpu")
    parts, start = [], 0
    while start < len(counts):
        with _turns.take(devices) as device:
            room = _rooms.get((device, model.sha256), len(counts))
            chosen = slice(start, start + room)
            some = mask if mask.ndim < counts.ndim else mask[chosen]
            part = _or_none_if_full(model.predict, counts[chosen], some, n_best, device)
            if part is None:
                _halve(model, device, len(counts[chosen]))
                continue
        parts.append(part)
        start += room
    return _joined(parts)


def _or_none_if_full(predict: Callable[..., Decoded], *arguments: Any) -> Decoded | None:
    """Return what a function returns, None if the device has too little memory for it."""
    counts = arguments[0]
    try:
        return predict(*arguments)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        if len(counts) == 1:
            error.add_note(
                "The device has no room for a single pattern. Free its memory, or map with "
                "device='cpu'."
            )
            raise
    # Only here: the error's frames held the tensors.
    return None


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error says that a GPU is full; TorchScript passes on the text only."""
    import torch

    full = isinstance(error, torch.cuda.OutOfMemoryError)
    return full or "out of memory" in str(error).lower()


def _halve(model: OrientationModel, device: str, size: int) -> None:
    """Remember that a device has no room for so many patterns, and give back what it has."""
    import torch

    _rooms[device, model.sha256] = size // 2
    if device.startswith("cuda") and torch.cuda.is_available():
        torch.cuda.empty_cache()
    _logger.warning(
        "%s has too little free memory for %d patterns of the model %r at once: it gets %d from "
        "now on. Pass batch_size=%d to start with that.",
        *(device, size, model.name, size // 2, size // 2),
    )


def _joined(parts: list[Decoded]) -> Decoded:
    """Return the predictions of several batches as one."""
    import torch

    if len(parts) == 1:
        return parts[0]
    columns = zip(*parts, strict=True)
    return Decoded(*(None if some[0] is None else torch.cat(some) for some in columns))
