"""What every target gives: decoded orientations, and the protocol that a target follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from pyxem_cnn._checks import check_shape, given_expected

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Decoded", "Target", "checked_quaternions", "output_named"]


class Decoded(NamedTuple):
    """Orientations read from the outputs of a network, best first.

    What is undefined is NaN: candidates beyond what the target can give, patterns whose outputs
    are not finite, and numbers that the network says nothing about.

    Attributes
    ----------
    quaternions
        Orientations, lab to crystal, scalar first, shape (n_patterns, n_best, 4).
    scores
        Probabilities in descending order, shape (n_patterns, n_best).
    reliability
        ``100 (1 - p2 / p1)``, shape (n_patterns,): p1 is the best score, p2 that of the best
        candidate further away from it than a stated angle.
    phase_probability
        Probability that the pattern belongs to the phase of each orientation, shape
        (n_patterns, n_best).
    phase
        Place of each orientation's phase among those of the model, shape (n_patterns, n_best),
        int64, -1 for candidates that there are not; None for models of one phase.
    thickness
        Of the specimen in angstrom, as each orientation has it, shape (n_patterns, n_best); None
        where the network does not tell.
    share
        How much of the pattern's diffraction each orientation explains, 0 to 1, shape
        (n_patterns, n_best); None where the network does not tell.
    entropy
        Of the probabilities of all orientations, in nats, shape (n_patterns,); None where the
        network does not tell.
    vacuum_probability, amorphous_probability
        Probability that the pattern is that of no specimen or of no crystal, shape (n_patterns,);
        None where the network does not tell.
    any_phase_probability
        Probability that the pattern belongs to any of the model's phases, which scores take for
        granted, shape (n_patterns,); None where there is but one, or the network does not tell.
    """

    quaternions: Tensor
    scores: Tensor
    reliability: Tensor
    phase_probability: Tensor
    phase: Tensor | None = None
    thickness: Tensor | None = None
    share: Tensor | None = None
    entropy: Tensor | None = None
    vacuum_probability: Tensor | None = None
    amorphous_probability: Tensor | None = None
    any_phase_probability: Tensor | None = None

    def cpu(self) -> Decoded:
        """Return the same on the CPU."""
        return Decoded(*(part if part is None else part.cpu() for part in self))


@runtime_checkable
class Target(Protocol):
    """Translate between the outputs of a network and orientations.

    A target is described by :meth:`to_dict` and :meth:`arrays`, from which :meth:`from_dict`
    makes it again: both go into the model file.
    """

    kind: str

    def decode(self, outputs: Mapping[str, Tensor], n_best: int) -> Decoded:
        """Return the ``n_best`` orientations of every pattern.

        Parameters
        ----------
        outputs
            What the network returned, first axis n_patterns.
        n_best
            How many orientations to return for each pattern.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description that holds at least ``kind``."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that belong to the description."""
        ...

    @classmethod
    def from_dict(cls, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Target:
        """Return the target that :meth:`to_dict` and :meth:`arrays` described."""
        ...


def output_named(outputs: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    """Return one output of a network as float32 after checking its shape.

    Parameters
    ----------
    outputs
        What the network returned.
    name
        Key of the output.
    shape
        Expected shape without the leading axis n_patterns.

    Returns
    -------
    output
        Tensor of shape (n_patterns, *shape).

    Raises
    ------
    ValueError
        If the output is missing or of another shape.
    """
    if name not in outputs:
        raise ValueError(
            f"The network returned {sorted(outputs)}, expected an output named {name!r}. Return it "
            "in the dictionary of forward(), or describe the outputs with another target."
        )
    remedy = "Check that the network and its target were made for each other."
    check_shape(f"network output {name!r}", outputs[name], ("n_patterns", *shape), remedy)
    return outputs[name].float()


def checked_quaternions(name: str, quaternions: Any) -> np.ndarray:
    """Return unit quaternions of shape (n, 4) as float64 or say what is wrong with them.

    Parameters
    ----------
    name
        How the argument is called in messages.
    quaternions
        Array of shape (n, 4), n at least 1, scalar first.

    Returns
    -------
    quaternions
        New array, scaled to unit length exactly.

    Raises
    ------
    ValueError
        If the shape differs, or if a quaternion is not finite or not of unit length.
    """
    array = np.array(quaternions, dtype=np.float64)
    remedy = "Give unit quaternions, scalar first, as in orix' Rotation.data."
    check_shape(name, array, ("n", 4), remedy)
    if len(array) == 0:
        raise ValueError(given_expected(name, array, "at least one row", remedy))
    norm = np.linalg.norm(array, axis=1)
    wrong = np.flatnonzero(~(np.abs(norm - 1) < 1e-3))
    if wrong.size:
        raise ValueError(
            f"{wrong.size} of the {len(array)} {name} are not unit quaternions, the first is "
            f"number {wrong[0]}: {array[wrong[0]].tolist()}. Scale them to unit length and "
            "leave NaN out."
        )
    return array / norm[:, np.newaxis]
