"""Joint cells of zone axis and in-plane angle: soft labels, loss and decoding.

A cell (j, b) stands for the orientation ``O_j * Rz(-w_b)``: zone axis j of an even grid in the
fundamental sector of the rotation group, turned in the plane by the angle of bin b. What is left
between cell and orientation is three degrees: two tilts t in the frame of the zone (they do not
change when the pattern turns) and an in-plane offset d: ``O = O_j * T(t) * Rz(-(w_b + d))``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pyxem_cnn.rotations import (
    about_z,
    angle_between,
    from_rotation_vector,
    multiply,
    normalize,
    swing_twist,
    to_rotation_vector,
    with_zone_axis,
    zone_axis,
)
from pyxem_cnn.targets._ranking import MINIMUM_ANGLE, reliability_from_scores
from pyxem_cnn.targets.base import Decoded, checked_quaternions, output_named

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["SoftLabels", "ZoneInPlaneTarget"]

# Degrees. Widths of the soft labels; the in-plane bins are coarser than the zones.
_TILT_WIDTH = 2.0
_IN_PLANE_WIDTH = 4.0
# Candidates nearer to each other than this are one answer.
_CLUSTER_ANGLE = 3.0
# A head with more cells costs more than the rest of the network.
_MOST_CELLS = 50_000
# At least so many clusters are looked at, since the reliability needs a rival.
_MINIMUM_CLUSTERS = 4


@dataclass(frozen=True)
class SoftLabels:
    """The cells around orientations.

    Attributes
    ----------
    cell
        Cell numbers zone * n_bins + bin, shape (batch, n).
    weight
        Weights that add up to 1 for each orientation, the same shape.
    residual
        Two tilts and the in-plane offset in degrees, shape (batch, n, 3).
    """

    cell: Tensor
    weight: Tensor
    residual: Tensor


class ZoneInPlaneTarget:
    """Zone axis times in-plane bin, with residuals.

    Parameters
    ----------
    zones
        Zone axes of the cells, unit vectors of shape (n_zones, 3), Cartesian crystal frame.
    symmetry
        Proper rotations of the group that orientations count modulo, shape (n_operations, 4).
    n_bins
        Number of in-plane bins of 360 / n_bins degrees.
    """

    kind = "zone_in_plane"

    def __init__(self, zones: np.ndarray, symmetry: np.ndarray, n_bins: int = 32) -> None:
        self.zones = np.asarray(zones, dtype=np.float64)
        self.symmetry = checked_quaternions("symmetry operations", symmetry)
        self.n_bins = int(n_bins)
        self._zones = torch.as_tensor(self.zones, dtype=torch.float32)
        self._symmetry = torch.as_tensor(self.symmetry, dtype=torch.float32)
        self._orientations = torch.as_tensor(with_zone_axis(self.zones), dtype=torch.float32)

    @classmethod
    def for_crystal(
        cls,
        crystal: CrystalStructure,
        *,
        spacing: float = 4.0,
        n_bins: int = 32,
        polarity: bool = False,
    ) -> ZoneInPlaneTarget:
        """Return the target for a crystal.

        Parameters
        ----------
        crystal
            The structure.
        spacing
            Distance of neighbouring zone axes in degrees; larger where the group is so small that
            there would be more than 50,000 cells.
        n_bins
            Number of in-plane bins.
        polarity
            Whether orientations count modulo the rotations of the point group, not the Laue group.
        """
        from pyxem_cnn.rotations import to_matrix
        from pyxem_cnn.simulation.sampling import zone_axis_grid

        symmetry = crystal.symmetry_quaternions(polarity)
        finest = math.degrees(math.sqrt(4 * math.pi / len(symmetry) / (_MOST_CELLS / n_bins)))
        zones = zone_axis_grid(to_matrix(symmetry), spacing=max(spacing, finest))
        return cls(zones, symmetry, n_bins)

    def __repr__(self) -> str:
        """Return the sizes in one line."""
        return f"ZoneInPlaneTarget({self.n_zones} zone axes x {self.n_bins} in-plane bins)"

    @property
    def n_zones(self) -> int:
        """Number of zone axes."""
        return len(self.zones)

    def encode(self, orientation: Tensor, n_neighbours: int = 12) -> SoftLabels:
        """Return soft labels from the disorientation between orientations and cells.

        Parameters
        ----------
        orientation
            Quaternions of shape (batch, 4).
        n_neighbours
            How many pairs (symmetry operation, zone) are looked at.
        """
        n_neighbours = min(n_neighbours, self.n_zones * len(self.symmetry))
        symmetry, zones = self._symmetry.to(orientation), self._zones.to(orientation)
        equivalent = multiply(symmetry, orientation[:, None])  # (batch, n_operations, 4)
        closeness = zone_axis(equivalent) @ zones.T  # (batch, n_operations, n_zones)
        best = closeness.flatten(1).topk(n_neighbours, dim=1).indices
        zone = best % self.n_zones
        operation = torch.div(best, self.n_zones, rounding_mode="floor")
        chosen = equivalent.gather(1, operation[..., None].expand(-1, -1, 4))
        centre = self._orientations.to(orientation)[zone]
        relative = multiply(centre * centre.new_tensor([1.0, -1.0, -1.0, -1.0]), chosen)
        swing, twist = swing_twist(relative)
        tilt = to_rotation_vector(swing)[..., :2].rad2deg()  # (batch, n_neighbours, 2)
        return self._soften(zone, tilt, (-twist).rad2deg())

    def _soften(self, zone: Tensor, tilt: Tensor, in_plane: Tensor) -> SoftLabels:
        """Spread orientations over the two nearest bins and weigh all cells by their distance."""
        step = 360 / self.n_bins
        lower = torch.floor(in_plane / step)
        bins = torch.stack([lower, lower + 1], dim=-1)  # (batch, n_neighbours, 2)
        offset = in_plane[..., None] - bins * step
        tilt = tilt[..., None, :].expand(*offset.shape, 2)
        residual = torch.cat([tilt, offset[..., None]], dim=-1).flatten(1, 2)
        cell = zone[..., None] * self.n_bins + bins.long().remainder(self.n_bins)
        exponent = (residual[..., :2] / _TILT_WIDTH).square().sum(-1)
        exponent = exponent + (residual[..., 2] / _IN_PLANE_WIDTH).square()
        return SoftLabels(cell.flatten(1), (-exponent / 2).softmax(dim=1), residual)

    def loss(self, logits: Tensor, residual: Tensor, labels: SoftLabels) -> tuple[Tensor, Tensor]:
        """Return cross-entropy and residual loss of each pattern, both of shape (batch,).

        Parameters
        ----------
        logits
            Scores of all cells, shape (batch, n_zones * n_bins).
        residual
            The network's residuals at ``labels.cell``, shape (batch, n, 3), degrees.
        labels
            The soft labels.
        """
        log_probability = logits.gather(1, labels.cell) - logits.logsumexp(dim=1, keepdim=True)
        entropy = -(labels.weight * log_probability).sum(dim=1)
        distance = F.smooth_l1_loss(residual, labels.residual, reduction="none").mean(dim=-1)
        return entropy, (labels.weight * distance).sum(dim=1)

    def orientations(self, cell: Tensor, residual: Tensor) -> Tensor:
        """Return the orientations (..., 4) of cells (...) and residuals (..., 3) in degrees."""
        zone = torch.div(cell, self.n_bins, rounding_mode="floor")
        tilt = F.pad(residual[..., :2], (0, 1)).deg2rad()
        in_plane = ((cell % self.n_bins) * (360 / self.n_bins) + residual[..., 2]).deg2rad()
        centre = self._orientations.to(cell.device)[zone]
        return multiply(multiply(centre, from_rotation_vector(tilt)), about_z(-in_plane))

    def decode(self, outputs: Mapping[str, Tensor], n_best: int = 1) -> Decoded:
        """Gather the network's candidates into distinct orientations.

        Parameters
        ----------
        outputs
            ``cell``, ``probability``, ``residual`` and ``phase_probability`` as
            `pyxem_cnn.networks.azimuthal.AzimuthalNetwork` returns them.
        n_best
            Number of orientations for each pattern.

        Returns
        -------
        decoded
            Scores are the summed probability of the cells within 3 degrees of each other;
            orientations are their weighted means.
        """
        cell = outputs["cell"]
        n_candidates = cell.shape[1]
        probability = output_named(outputs, "probability", (n_candidates,))
        residual = output_named(outputs, "residual", (n_candidates, 3))
        candidates = self.orientations(cell, residual)
        n_clusters = min(n_candidates, max(n_best + 1, _MINIMUM_CLUSTERS))
        quaternions, scores, rival = self._cluster(candidates, probability, n_clusters)
        return Decoded(
            _padded(quaternions, n_best),
            _padded(scores, n_best),
            reliability_from_scores(scores[:, 0], rival),
            outputs["phase_probability"].float(),
        )

    def _cluster(
        self, candidates: Tensor, probability: Tensor, n_clusters: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return means (batch, n, 4), summed scores (batch, n) and the best distant rival.

        Best first; NaN where there are no more candidates, or where scores are not finite.
        """
        symmetry = self._symmetry.to(candidates)
        left = probability.nan_to_num(nan=0.0)
        means, scores = [], []
        for _ in range(n_clusters):
            seed = left.argmax(dim=1)[:, None, None].expand(-1, 1, 4)
            nearest, angle = _nearest_equivalent(candidates.gather(1, seed), candidates, symmetry)
            weight = left.where(angle < math.radians(_CLUSTER_ANGLE), 0)
            means.append(normalize((weight[..., None] * nearest).sum(1) + 1e-12))
            scores.append(weight.sum(1))
            left = left - weight
        score, mean = torch.stack(scores, 1), torch.stack(means, 1)
        # Several cells may add up to more than the single best one, which came first.
        order = score.argsort(dim=1, descending=True, stable=True)
        score = score.gather(1, order)
        mean = mean.gather(1, order[..., None].expand(-1, -1, 4))
        distance = _nearest_equivalent(mean[:, :1], mean, symmetry)[1]
        rival = score.where(distance > math.radians(MINIMUM_ANGLE), 0).amax(dim=1)
        found = probability[:, :1].isfinite() & (score > 0)
        return mean.where(found[..., None], math.nan), score.where(found, math.nan), rival

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": self.kind, "n_zones": self.n_zones, "n_bins": self.n_bins}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the zone axes and the symmetry operations."""
        return {"zones": self.zones, "symmetry": self.symmetry}

    @classmethod
    def from_dict(
        cls, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> ZoneInPlaneTarget:
        """Return the target that `to_dict` and `arrays` described."""
        return cls(arrays["zones"], arrays["symmetry"], description["n_bins"])


def _nearest_equivalent(
    reference: Tensor, orientation: Tensor, symmetry: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the equivalents of orientations (batch, n, 4) nearest to references (batch, 1, 4).

    Returns
    -------
    nearest, angle
        Shapes (batch, n, 4), with the sign that makes the dot product positive, and (batch, n) in
        radians.
    """
    # The overlap |<r, S o>| is the cosine of half the angle: one product finds the nearest S.
    turned = multiply(
        symmetry[:, None] * symmetry.new_tensor([1.0, -1.0, -1.0, -1.0]), reference[:, None]
    )
    overlap = orientation @ turned.squeeze(2).transpose(1, 2)  # (batch, n, n_operations)
    operation = overlap.abs().argmax(dim=-1)
    nearest = multiply(symmetry[operation], orientation)
    sign = overlap.gather(-1, operation[..., None]).sign()
    nearest = nearest * torch.where(sign == 0, 1.0, sign)
    return nearest, angle_between(reference, nearest)


def _padded(values: Tensor, n_best: int) -> Tensor:
    """Return the first ``n_best`` entries of axis 1, NaN beyond what there is."""
    values = values[:, :n_best]
    missing = n_best - values.shape[1]
    if missing <= 0:
        return values
    fill = values.new_full((values.shape[0], missing, *values.shape[2:]), math.nan)
    return torch.cat([values, fill], dim=1)
