"""Classification: one output of the network for each orientation of a list."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive
from pyxem_cnn.rotations import multiply
from pyxem_cnn.targets._ranking import MINIMUM_ANGLE, reliability_from_scores
from pyxem_cnn.targets.base import Decoded, checked_quaternions, output_named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OUTPUTS", "ClassTarget"]

OUTPUTS = ("logits", "probabilities", "log_probabilities")

# Products of quaternions held at once: 2**24 float32 are 64 MiB.
_MAX_PRODUCTS = 2**24


class ClassTarget:
    """Read orientations from a classifier whose classes are orientations.

    Parameters
    ----------
    rotations
        Orientation of each class, lab to crystal, shape (n_classes, 4).
    symmetry
        Proper rotations of the crystal's group, shape (n_operations, 4).
    output
        What the network returns under this very name, shape (n_patterns, n_classes): "logits",
        "probabilities" or "log_probabilities". Declared, never guessed from values.
    merge_angle
        Classes within this angle in degrees of a likelier class count as the same orientation:
        the likeliest class stands for all of them and their probabilities are added. With 0
        every class stands for itself.

    Raises
    ------
    ValueError
        If the rotations or the symmetry are not unit quaternions of shape (n, 4), the output is
        unknown, or the angle negative.

    Examples
    --------
    >>> import torch
    >>> from pyxem_cnn.targets.classes import ClassTarget
    >>> target = ClassTarget([[1, 0, 0, 0], [0, 1, 0, 0]], [[1, 0, 0, 0]], output="probabilities")
    >>> decoded = target.decode({"probabilities": torch.tensor([[0.2, 0.8]])}, n_best=1)
    >>> decoded.quaternions.tolist(), decoded.scores.tolist(), decoded.reliability.tolist()
    ([[[0.0, 1.0, 0.0, 0.0]]], [[0.8]], [75.0])
    """

    kind = "classes"

    def __init__(
        self,
        rotations: np.ndarray,
        symmetry: np.ndarray,
        *,
        output: str,
        merge_angle: float = 0.0,
    ) -> None:
        check_choice("output", output, OUTPUTS, "It is declared, never guessed from the values.")
        check_positive("merge_angle", merge_angle, allow_zero=True)
        self.rotations = checked_quaternions("rotations", rotations)
        self.symmetry = checked_quaternions("symmetry operations", symmetry)
        self.output = output
        self.merge_angle = float(merge_angle)
        self._tensors: dict[Any, tuple[Tensor, Tensor]] = {}

    def __repr__(self) -> str:
        """Return the target in a few words."""
        return f"ClassTarget({len(self.rotations)} orientations, {self.output})"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the tensors, which belong to devices of this process."""
        return {**self.__dict__, "_tensors": {}}

    def decode(self, outputs: Mapping[str, Tensor], n_best: int) -> Decoded:
        """Return the likeliest classes of every pattern.

        Parameters
        ----------
        outputs
            What the network returned; needs the declared output of shape
            (n_patterns, n_classes), reads ``phase_probability`` (n_patterns,) where given.
        n_best
            How many orientations to return for each pattern; NaN beyond the number of classes.

        Returns
        -------
        decoded
            On the device of the outputs. Scores are probabilities, added up within
            ``merge_angle``. Phase probabilities are NaN if the network gives none.

        Raises
        ------
        ValueError
            If the output is missing, or its number of classes is not that of the rotations.
        """
        probabilities = self._probabilities(outputs)
        rotations, _ = self._on(probabilities.device)
        n = min(n_best, len(rotations))
        if self.merge_angle == 0:
            scores, indices = probabilities.topk(n, dim=1)
        else:
            scores, indices = self._merged(probabilities, n)
        quaternions = rotations[indices]
        # A class stands behind every index; without a finite score it means nothing.
        quaternions = quaternions.where(scores.isfinite()[..., None], _nan(scores))
        return Decoded(
            _padded(quaternions, n_best),
            _padded(scores, n_best),
            self._reliability(probabilities, scores[:, 0], indices[:, 0]),
            _phase_probability(outputs, scores[:, 0])[:, None].expand(-1, n_best),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description without the arrays."""
        return {"kind": self.kind, "output": self.output, "merge_angle": self.merge_angle}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return ``rotations`` (n_classes, 4) and ``symmetry`` (n_operations, 4)."""
        return {"rotations": self.rotations, "symmetry": self.symmetry}

    @classmethod
    def from_dict(
        cls, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> ClassTarget:
        """Return the target that ``to_dict`` and ``arrays`` described.

        Parameters
        ----------
        description
            With ``output`` and ``merge_angle``.
        arrays
            With ``rotations`` and ``symmetry``.

        Raises
        ------
        ValueError
            If an array or an entry is missing or wrong.
        """
        given = {**arrays, **description}
        missing = sorted({"rotations", "symmetry", "output", "merge_angle"} - set(given))
        if missing:
            raise ValueError(f"The description of a ClassTarget lacks {missing}.")
        return cls(
            arrays["rotations"],
            arrays["symmetry"],
            output=description["output"],
            merge_angle=description["merge_angle"],
        )

    def _probabilities(self, outputs: Mapping[str, Tensor]) -> Tensor:
        values = output_named(outputs, self.output, (len(self.rotations),))
        if self.output == "logits":
            return values.softmax(1)
        return values.exp() if self.output == "log_probabilities" else values

    def _on(self, device: Any) -> tuple[Tensor, Tensor]:
        """Return the rotations (n_classes, 4) and all their equivalents (n_operations, ...)."""
        import torch

        if device not in self._tensors:
            equivalents = multiply(self.symmetry[:, np.newaxis], self.rotations)
            self._tensors[device] = (
                torch.as_tensor(self.rotations, dtype=torch.float32, device=device),
                torch.as_tensor(equivalents, dtype=torch.float32, device=device),
            )
        return self._tensors[device]

    def _blocks(self, n_patterns: int) -> Iterator[slice]:
        step = max(1, _MAX_PRODUCTS // (len(self.symmetry) * len(self.rotations)))
        return (slice(i, i + step) for i in range(0, n_patterns, step))

    def _within(self, indices: Tensor, angle: float) -> Tensor:
        """Return which classes (n_patterns, n_classes) lie within degrees of one class each."""
        rotations, equivalents = self._on(indices.device)
        # |<p, S q>| is the cosine of half the angle between p and S q: one matrix product.
        cosine = rotations[indices] @ equivalents.reshape(-1, 4).T
        cosine = cosine.abs().reshape(len(indices), *equivalents.shape[:2]).amax(1)
        near = cosine >= math.cos(math.radians(angle) / 2)
        # Rounding must not separate a class from itself.
        return near.scatter(1, indices[:, None], True)

    def _merged(self, probabilities: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Return scores and representatives (n_patterns, n) of clusters, best first."""
        scores = probabilities.new_full((len(probabilities), n), math.nan)
        indices = probabilities.new_zeros((len(probabilities), n)).long()
        for block in self._blocks(len(probabilities)):
            left = probabilities[block].clone()
            for i in range(n):
                top, indices[block, i] = left.max(1)
                near = self._within(indices[block, i], self.merge_angle) & (left >= 0)
                total = left.where(near, left.new_zeros(())).sum(1)
                # -1 marks what is used up; NaN stays NaN and compares False.
                scores[block, i] = total.where(top >= 0, _nan(total))
                left[near] = -1
        # Empty clusters go last, and a low peak may collect more than a high one.
        order = scores.nan_to_num(nan=-1.0).argsort(dim=1, descending=True, stable=True)
        return scores.gather(1, order), indices.gather(1, order)

    def _reliability(self, probabilities: Tensor, best: Tensor, indices: Tensor) -> Tensor:
        """Compare the best score with that of the best class far away from it."""
        if len(self.rotations) < 2:
            return best.new_full(best.shape, math.nan)
        rival = best.new_zeros(best.shape)
        for block in self._blocks(len(best)):
            far = ~self._within(indices[block], max(MINIMUM_ANGLE, self.merge_angle))
            others = probabilities[block].where(far, best.new_zeros(()))
            top, index = others.max(1)
            if self.merge_angle > 0:
                near = self._within(index, self.merge_angle)
                top = others.where(near, best.new_zeros(())).sum(1)
            rival[block] = top
        return reliability_from_scores(best, rival)


def _nan(like: Tensor) -> Tensor:
    return like.new_full((), math.nan)


def _padded(values: Tensor, n_best: int) -> Tensor:
    """Return ``values`` (n_patterns, n, ...) filled with NaN up to (n_patterns, n_best, ...)."""
    padded = values.new_full((len(values), n_best, *values.shape[2:]), math.nan)
    padded[:, : values.shape[1]] = values
    return padded


def _phase_probability(outputs: Mapping[str, Tensor], best: Tensor) -> Tensor:
    if "phase_probability" in outputs:
        return output_named(outputs, "phase_probability", ())
    return best.new_full(best.shape, math.nan)
