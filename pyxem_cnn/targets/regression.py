"""Regression: the network returns one orientation, as numbers in a declared representation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice
from pyxem_cnn.targets.base import Decoded, output_named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["REPRESENTATIONS", "RegressionTarget"]

# What each representation takes: the shape of the network's output without the patterns.
_SHAPES = {
    "quaternion": (4,),
    "euler_bunge_degrees": (3,),
    "euler_bunge_radians": (3,),
    "rotation_matrix": (3, 3),
}
REPRESENTATIONS = tuple(_SHAPES)


class RegressionTarget:
    """Read one orientation for each pattern from the numbers a network returns.

    The network returns them under the name "orientation". A regressor says nothing about how
    sure it is, and a score of 1 would pretend that it did: scores are NaN, unless the network
    also returns a probability under the name "confidence", shape (n_patterns,). It has no second
    candidate either: the reliability is NaN always.

    Parameters
    ----------
    representation
        What the numbers mean, an orientation from lab to crystal in each case. "quaternion": (4,),
        scalar first, scaled to unit length here; "euler_bunge_degrees" or "euler_bunge_radians":
        (3,) the angles phi1, Phi, phi2 of Bunge, as in ``orix.quaternion.Rotation.to_euler``;
        "rotation_matrix": (3, 3) or (9,) row by row, the matrix M with ``v_crystal = M v_lab``, as
        in ``Rotation.to_matrix``, where the nearest proper rotation is taken.

    Raises
    ------
    ValueError
        If the representation is unknown.

    Examples
    --------
    >>> import torch
    >>> from pyxem_cnn.targets.regression import RegressionTarget
    >>> target = RegressionTarget("quaternion")
    >>> decoded = target.decode({"orientation": torch.tensor([[3.0, 0, 0, 4.0]])}, n_best=1)
    >>> decoded.quaternions.tolist(), decoded.scores.tolist()
    ([[[0.6, 0.0, 0.0, 0.8]]], [[nan]])
    """

    kind = "regression"

    def __init__(self, representation: str) -> None:
        check_choice("representation", representation, REPRESENTATIONS)
        self.representation = representation

    def __repr__(self) -> str:
        """Return the target in a few words."""
        return f"RegressionTarget({self.representation})"

    def decode(self, outputs: Mapping[str, Tensor], n_best: int) -> Decoded:
        """Return the orientation of every pattern, followed by NaN up to ``n_best``.

        Parameters
        ----------
        outputs
            What the network returned; needs ``orientation``, reads ``confidence`` and
            ``phase_probability`` (both (n_patterns,)) where given.
        n_best
            How many orientations to return for each pattern; there is but one.

        Returns
        -------
        decoded
            On the device of the outputs. Orientations are NaN where the numbers are not finite
            or stand for no rotation, such as a quaternion of zeros.

        Raises
        ------
        ValueError
            If the output is missing or of another shape.
        """
        best = self._quaternions(outputs)
        quaternions = best.new_full((len(best), n_best, 4), math.nan)
        quaternions[:, 0] = best
        scores = best.new_full((len(best), n_best), math.nan)
        scores[:, 0] = _optional(outputs, "confidence", best)
        scores = scores.where(quaternions.isfinite().all(-1), scores.new_full((), math.nan))
        phase_probability = _optional(outputs, "phase_probability", best)[:, None]
        reliability = best.new_full((len(best),), math.nan)
        return Decoded(quaternions, scores, reliability, phase_probability.expand(-1, n_best))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": self.kind, "representation": self.representation}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return an empty dictionary: the description says it all."""
        return {}

    @classmethod
    def from_dict(
        cls, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> RegressionTarget:
        """Return the target that ``to_dict`` described.

        Parameters
        ----------
        description
            With ``representation``.
        arrays
            Not used.

        Raises
        ------
        ValueError
            If an entry is missing or wrong.
        """
        if "representation" not in description:
            raise ValueError("The description of a RegressionTarget lacks 'representation'.")
        return cls(description["representation"])

    def _quaternions(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return unit quaternions (n_patterns, 4), NaN where there is no rotation."""
        values = dict(outputs)
        if self.representation == "rotation_matrix" and "orientation" in values:
            matrices = values["orientation"]
            if matrices.ndim == 2 and matrices.shape[1] == 9:
                values["orientation"] = matrices.reshape(-1, 3, 3)
        numbers = output_named(values, "orientation", _SHAPES[self.representation])
        if self.representation == "rotation_matrix":
            return _from_any_matrix(numbers)
        if self.representation == "quaternion":
            return _unit(numbers)
        if self.representation == "euler_bunge_degrees":
            numbers = numbers.deg2rad()
        return _from_euler_bunge(numbers)


def _optional(outputs: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    if name in outputs:
        return output_named(outputs, name, ())
    return like.new_full((len(like),), math.nan)


def _unit(q: Tensor) -> Tensor:
    """Return ``q`` (n, 4) scaled to unit length; 0 / 0 gives the NaN that a zero one deserves."""
    return q / q.norm(dim=-1, keepdim=True)


def _from_euler_bunge(angles: Tensor) -> Tensor:
    """Return orientations (n, 4), lab to crystal, of Bunge angles (n, 3) in radians.

    The crystal is turned by phi1 about z, Phi about x', phi2 about z''. Rowenhorst et al. (2015)
    Modelling Simul. Mater. Sci. Eng. 23 083501, equation A.5, with the sign P = 1.
    """
    import torch

    phi1, half_phi, phi2 = angles[:, 0], angles[:, 1] / 2, angles[:, 2]
    plus, minus = (phi1 + phi2) / 2, (phi1 - phi2) / 2
    c, s = half_phi.cos(), half_phi.sin()
    return torch.stack([c * plus.cos(), -s * minus.cos(), -s * minus.sin(), -c * plus.sin()], -1)


def _from_any_matrix(m: Tensor) -> Tensor:
    """Return the quaternions (n, 4) of the rotations nearest to any matrices (n, 3, 3).

    The sum of ``R(q) * m`` over its elements is a quadratic form in q: its largest eigenvector
    is the rotation nearest in the least-squares sense (Davenport's q-method).
    """
    import torch

    usable = m.isfinite().all(-1).all(-1) & (m.abs().amax((-1, -2)) > 1e-6)
    m = m.where(usable[:, None, None], torch.eye(3, dtype=m.dtype, device=m.device))
    x, y, z = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    ab, ac, ad = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    bc, bd, cd = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    rows = [
        torch.stack([x + y + z, ab, ac, ad], -1),
        torch.stack([ab, x - y - z, bc, bd], -1),
        torch.stack([ac, bc, y - x - z, cd], -1),
        torch.stack([ad, bd, cd, z - x - y], -1),
    ]
    q = torch.linalg.eigh(torch.stack(rows, -2))[1][..., -1]
    return q.where(usable[:, None], q.new_full((), math.nan))
