"""The test tensors of a model: inputs with the outputs that it has to give again."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["ModelFileError", "TensorCheck", "example_inputs"]

# Allowed difference from the recorded outputs, as a share of their largest absolute value. On
# other devices than the CPU, matrix products may be made of numbers with 10 bits (TF32).
TOLERANCE = 1e-3
_DEVICE_FACTOR = 20
# Share of an output's numbers that have to be within. Not all of them: where a network returns
# its best candidates, rounding may swap two that are all but equal.
_MINIMUM_SHARE = 0.95
_MINIMUM_SHARE_DEVICE = 0.5


class ModelFileError(ValueError):
    """A file, or a module to be written to one, is not a model that works."""


def example_inputs(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return made-up patterns to try a network with, half of them with a masked wedge.

    Parameters
    ----------
    shape
        Shape of the model's grid.
    seed
        Seed of the random generator.

    Returns
    -------
    counts, mask
        Each of shape (4, *shape), float32. Counts are multiples of 1/4 at least 0; the mask is 1
        on valid bins and 0 on those left out, where the counts are 0.
    """
    generator = np.random.default_rng(seed)
    # Many small values and some large ones; quarters take little room in a compressed file.
    counts = np.round(4 * generator.gamma(0.5, 2.0, size=(4, *shape))).astype(np.float32) / 4
    mask = np.ones_like(counts)
    first = shape[-1] // 3
    mask[2:, ..., first : first + max(1, shape[-1] // 8)] = 0
    return counts * mask, mask


@dataclass(frozen=True)
class TensorCheck:
    """Inputs of a model, the outputs it gave when it was made, and how close it has to come.

    Parameters
    ----------
    counts, mask
        Inputs of shape (n_patterns, *grid shape), float32.
    outputs
        Expected outputs by name, first axis n_patterns.
    tolerance
        Allowed difference, as a share of an output's largest absolute value. Whole numbers have
        to be equal.
    """

    counts: np.ndarray
    mask: np.ndarray
    outputs: Mapping[str, np.ndarray]
    tolerance: float = TOLERANCE

    @classmethod
    def record(
        cls, module: Callable[..., Any], counts: np.ndarray, mask: np.ndarray
    ) -> TensorCheck:
        """Run a module on the CPU and keep what it returns.

        Parameters
        ----------
        module
            Takes (counts, mask), returns a dictionary of tensors.
        counts, mask
            Inputs of shape (n_patterns, *grid shape).

        Returns
        -------
        check

        Raises
        ------
        ModelFileError
            If the module fails, does not return a dictionary of finite tensors with one row
            for each pattern, or returns something else for the same pattern in another batch.
        """
        outputs = _run(module, counts, mask, "cpu")
        for name, output in outputs.items():
            if output.shape[:1] != (len(counts),):
                raise ModelFileError(
                    f"The network's output {name!r} has the shape {output.shape} for {len(counts)} "
                    "patterns. Expected: one row for each pattern of the batch."
                )
            if not np.isfinite(output).all():
                raise ModelFileError(
                    f"The network's output {name!r} is not finite on the test tensors: its weights "
                    "may be NaN. Train it again, or test it by hand on a few patterns."
                )
        check = cls(np.asarray(counts, np.float32), np.asarray(mask, np.float32), outputs)
        try:
            for part in (slice(0, 1), slice(1, None)):
                check._part(part).check(module)
        except ModelFileError as error:
            raise ModelFileError(
                "The network does not give the same outputs for a pattern in another batch. "
                f"{error} It may be in training mode, draw random numbers, or was traced for one "
                "batch size: call .eval(), or script it instead of tracing."
            ) from error
        return check

    def check(
        self, module: Callable[..., Any], device: str = "cpu", low_precision: bool = False
    ) -> None:
        """Run a module and compare.

        Parameters
        ----------
        module
            Takes (counts, mask), returns a dictionary of tensors; lies on ``device``.
        device
            Where to run. Devices other than the CPU are given more room.
        low_precision
            Whether matrix products are in bfloat16, which is given the same room.

        Raises
        ------
        ModelFileError
            If an output is missing, of another shape, or too far from the expected one.
        """
        outputs = _run(module, self.counts, self.mask, device)
        if set(outputs) != set(self.outputs):
            raise ModelFileError(
                f"The model fails its test tensors: it returns {sorted(outputs)}, expected "
                f"{sorted(self.outputs)}."
            )
        exact = str(device) == "cpu" and not low_precision
        tolerance = self.tolerance * (1 if exact else _DEVICE_FACTOR)
        minimum_share = _MINIMUM_SHARE if exact else _MINIMUM_SHARE_DEVICE
        for name, expected in self.outputs.items():
            if outputs[name].shape != expected.shape:
                raise ModelFileError(
                    f"The model fails its test tensors: {name!r} has the shape "
                    f"{outputs[name].shape}, expected {expected.shape}."
                )
            share = _share_within(outputs[name], expected, tolerance)
            if share < minimum_share:
                raise ModelFileError(
                    f"The model fails its test tensors on {device}: only {100 * share:.0f} % of "
                    f"the numbers in {name!r} are as expected. The file was altered, or this "
                    "version of torch computes something else."
                )

    def to_bytes(self) -> bytes:
        """Return the tensors as the content of a compressed .npz file."""
        arrays = {f"output.{name}": values for name, values in self.outputs.items()}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, counts=self.counts, mask=self.mask, tolerance=self.tolerance, **arrays
        )
        return buffer.getvalue()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> TensorCheck:
        """Return what :meth:`to_bytes` wrote, once read.

        Parameters
        ----------
        arrays
            The arrays of the .npz file by name.

        Raises
        ------
        ModelFileError
            If one is missing.
        """
        missing = sorted({"counts", "mask", "tolerance"} - set(arrays))
        outputs = {k.removeprefix("output."): v for k, v in arrays.items() if k[:7] == "output."}
        if missing or not outputs:
            raise ModelFileError(
                f"The test tensors are incomplete: {missing or 'outputs'} missing."
            )
        return cls(arrays["counts"], arrays["mask"], outputs, float(arrays["tolerance"]))

    def _part(self, rows: slice) -> TensorCheck:
        outputs = {name: values[rows] for name, values in self.outputs.items()}
        return TensorCheck(self.counts[rows], self.mask[rows], outputs, self.tolerance)


def _run(
    module: Callable[..., Any], counts: np.ndarray, mask: np.ndarray, device: str | torch.device
) -> dict[str, np.ndarray]:
    """Return the outputs of a module as arrays."""
    import torch

    inputs = [
        torch.as_tensor(array, dtype=torch.float32, device=device) for array in (counts, mask)
    ]
    try:
        with torch.inference_mode():
            outputs = module(*inputs)
    except Exception as error:
        # TorchScript puts the reason last, under a traceback of its own.
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise ModelFileError(
            f"The network fails on test patterns of shape {tuple(counts.shape)}: {reason[0]} "
            "Check that it was made for this grid."
        ) from error
    is_dictionary = isinstance(outputs, dict) and len(outputs) > 0
    if not is_dictionary or not all(isinstance(v, torch.Tensor) for v in outputs.values()):
        raise ModelFileError(
            f"The network returned {type(outputs).__name__}, expected a dictionary of tensors."
        )
    return {name: _as_array(value) for name, value in outputs.items()}


def _as_array(value: torch.Tensor) -> np.ndarray:
    """Return a tensor as float32, or as int64 if it holds whole numbers."""
    floating = value.is_floating_point()
    return (value.float() if floating else value.long()).cpu().numpy()


def _share_within(output: np.ndarray, expected: np.ndarray, tolerance: float) -> float:
    """Return which share of the numbers is as expected; NaN never is."""
    if expected.size == 0:
        return 1.0
    allowed = tolerance * np.abs(expected).max() if expected.dtype.kind == "f" else 0
    return float(np.mean(np.abs(output - expected) <= allowed))
