"""Joint cells of zone axis and in-plane angle: soft labels, loss and decoding.

A cell (j, b) stands for the orientation ``O_j * Rz(-w_b)``: zone axis j of an even grid in the
fundamental sector of the rotation group, turned in the plane by the angle of bin b. What is left
between cell and orientation is three degrees: two tilts t in the frame of the zone (they do not
change when the pattern turns) and an in-plane offset d: ``O = O_j * T(t) * Rz(-(w_b + d))``.
With several phases, the cells of one follow those of the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pyxem_cnn.rotations import (
    about_z,
    conjugate,
    from_rotation_vector,
    multiply,
    swing_twist,
    to_rotation_vector,
    with_zone_axis,
    zone_axis,
)
from pyxem_cnn.targets._clusters import Clusters, cluster, left_products, padded
from pyxem_cnn.targets._ranking import reliability_from_scores
from pyxem_cnn.targets.base import Decoded, checked_quaternions, output_named
from pyxem_cnn.targets.score_calibration import ScoreCalibration

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["SoftLabels", "ZoneInPlaneTarget"]

# Degrees. Widths of the soft labels; the in-plane bins are coarser than the zones.
_TILT_WIDTH = 2.0
_IN_PLANE_WIDTH = 4.0
# A head with more cells costs more than the rest of the network.
_MOST_CELLS = 50_000
# At least so many clusters are looked at, since the reliability needs a rival.
_MINIMUM_CLUSTERS = 4
# Pairs of symmetry operation and zone that soft labels are spread over.
_N_NEIGHBOURS = 12


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
        Zone axes of the cells, unit vectors of shape (n_zones, 3), Cartesian crystal frame. For
        several phases, a list of such arrays.
    symmetry
        Proper rotations of the group that orientations count modulo, shape (n_operations, 4). For
        several phases, a list of such arrays.
    n_bins
        Number of in-plane bins of 360 / n_bins degrees.
    calibration
        Turns summed probabilities into scores; by default they are scores as they are.
    """

    kind = "zone_in_plane"

    def __init__(
        self,
        zones: np.ndarray | Sequence[np.ndarray],
        symmetry: np.ndarray | Sequence[np.ndarray],
        n_bins: int = 32,
        calibration: ScoreCalibration | None = None,
    ) -> None:
        several = isinstance(zones, list | tuple)
        self.n_bins = int(n_bins)
        self.calibration = calibration
        self.all_zones = [np.asarray(z, dtype=np.float64) for z in (zones if several else [zones])]
        groups = symmetry if several else [symmetry]
        self.all_symmetry = [checked_quaternions("symmetry operations", g) for g in groups]
        self.first_zones = [0, *accumulate(self.n_zones)][:-1]
        self._zones = [torch.as_tensor(z, dtype=torch.float32) for z in self.all_zones]
        self._symmetry = _filled_up(self.all_symmetry)
        self._left_products = left_products(self._symmetry)
        every = np.concatenate([with_zone_axis(z) for z in self.all_zones])
        self._orientations = torch.as_tensor(every, dtype=torch.float32)
        phase = [torch.full((n,), i) for i, n in enumerate(self.n_zones)]
        self._phase_of_zone = torch.cat(phase)

    @classmethod
    def for_crystal(
        cls,
        crystal: CrystalStructure | Sequence[CrystalStructure],
        *,
        spacing: float = 4.0,
        n_bins: int = 32,
        polarity: bool = False,
    ) -> ZoneInPlaneTarget:
        """Return the target for a crystal, or for several.

        Parameters
        ----------
        crystal
            The structure, or a list of structures.
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

        crystals = crystal if isinstance(crystal, list | tuple) else [crystal]
        groups = [one.symmetry_quaternions(polarity) for one in crystals]
        area = sum(4 * math.pi / len(group) for group in groups)
        finest = math.degrees(math.sqrt(area / (_MOST_CELLS / n_bins)))
        spacing = max(spacing, finest)
        zones = [zone_axis_grid(to_matrix(group), spacing=spacing) for group in groups]
        return cls(zones, groups, n_bins)

    def __repr__(self) -> str:
        """Return the sizes in one line."""
        zones = " + ".join(str(n) for n in self.n_zones)
        return f"ZoneInPlaneTarget({zones} zone axes x {self.n_bins} in-plane bins)"

    @property
    def n_zones(self) -> list[int]:
        """Number of zone axes of each phase."""
        return [len(zones) for zones in self.all_zones]

    @property
    def n_cells(self) -> int:
        """Number of cells of all phases."""
        return sum(self.n_zones) * self.n_bins

    @property
    def zones(self) -> np.ndarray:
        """Zone axes of the (first) phase, shape (n_zones, 3)."""
        return self.all_zones[0]

    @property
    def symmetry(self) -> np.ndarray:
        """Proper rotations of the (first) phase's group, shape (n_operations, 4)."""
        return self.all_symmetry[0]

    def encode(self, orientation: Tensor, phase: Tensor | None = None) -> SoftLabels:
        """Return soft labels from the disorientation between orientations and cells.

        Parameters
        ----------
        orientation
            Quaternions of shape (batch, 4).
        phase
            Place of each one's phase, shape (batch,); by default the first.
        """
        if len(self.all_zones) == 1:
            return self._encode(orientation, 0)
        parts = [self._encode(orientation, i) for i in range(len(self.all_zones))]
        n = min(part.cell.shape[1] for part in parts)
        names = [field.name for field in fields(SoftLabels)]
        stacked = [torch.stack([getattr(p, name)[:, :n] for p in parts]) for name in names]
        rows = torch.arange(len(orientation))
        return SoftLabels(*(values[phase, rows] for values in stacked))

    def _encode(self, orientation: Tensor, phase: int) -> SoftLabels:
        """Return the soft labels of orientations of one phase."""
        n_operations, n_zones = len(self.all_symmetry[phase]), self.n_zones[phase]
        n_neighbours = min(_N_NEIGHBOURS, n_zones * n_operations)
        symmetry = self._symmetry[phase, :n_operations].to(orientation)
        equivalent = multiply(symmetry, orientation[:, None])  # (batch, n_operations, 4)
        closeness = zone_axis(equivalent) @ self._zones[phase].to(orientation).T
        # (batch, n_operations, n_zones)
        best = closeness.flatten(1).topk(n_neighbours, dim=1).indices
        zone = best % n_zones + self.first_zones[phase]
        operation = torch.div(best, n_zones, rounding_mode="floor")
        chosen = equivalent.gather(1, operation[..., None].expand(-1, -1, 4))
        centre = self._orientations.to(orientation)[zone]
        relative = multiply(conjugate(centre), chosen)
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

    def loss(
        self, log_probability: Tensor, residual: Tensor, labels: SoftLabels
    ) -> tuple[Tensor, Tensor]:
        """Return cross-entropy and residual loss of each pattern, both of shape (batch,).

        Parameters
        ----------
        log_probability
            Of all cells, within each phase, shape (batch, n_bins, n_zones).
        residual
            The network's residuals at ``labels.cell``, shape (batch, n, 3), degrees.
        labels
            The soft labels.
        """
        zone = torch.div(labels.cell, self.n_bins, rounding_mode="floor")
        place = (labels.cell % self.n_bins) * log_probability.shape[2] + zone
        found = log_probability.flatten(1).gather(1, place)
        entropy = -(labels.weight * found).sum(dim=1)
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
            As `pyxem_cnn.networks.azimuthal.AzimuthalNetwork` returns them: ``cell``,
            ``probability`` and ``residual``; where given, ``thickness``, ``share``, ``entropy``
            and ``class_probability``, or ``phase_probability`` alone.
        n_best
            Number of orientations for each pattern.

        Returns
        -------
        decoded
            Scores are the summed probability of the cells within 3 degrees of each other, as
            calibrated; orientations are their weighted means.
        """
        cell = outputs["cell"]
        n_candidates = cell.shape[1]
        probability = output_named(outputs, "probability", (n_candidates,))
        residual = output_named(outputs, "residual", (n_candidates, 3))
        zone = torch.div(cell, self.n_bins, rounding_mode="floor")
        n_clusters = min(n_candidates, max(n_best + 1, _MINIMUM_CLUSTERS))
        found = cluster(
            self.orientations(cell, residual),
            probability,
            self._phase_of_zone.to(cell.device)[zone],
            self._left_products.to(residual),
            n_clusters,
        )
        scores = found.scores if self.calibration is None else self.calibration(found.scores)
        return Decoded(
            padded(found.quaternions, n_best),
            padded(scores, n_best),
            reliability_from_scores(found.scores[:, 0], found.rival),
            phase=padded(found.phase, n_best),
            **self._of_candidates(outputs, found, n_best),
            **self._classes(outputs, found, n_best),
        )

    def _of_candidates(
        self, outputs: Mapping[str, Tensor], found: Clusters, n_best: int
    ) -> dict[str, Tensor]:
        """Return what the network says of each orientation: that of its best cell."""
        n_candidates, values = outputs["cell"].shape[1], {}
        for name in ("thickness", "share"):
            if name in outputs:
                each = output_named(outputs, name, (n_candidates,)).gather(1, found.seed)
                values[name] = padded(each.where(found.scores.isfinite(), math.nan), n_best)
        if "entropy" in outputs:
            values["entropy"] = output_named(outputs, "entropy", ())
        return values

    def _classes(
        self, outputs: Mapping[str, Tensor], found: Clusters, n_best: int
    ) -> dict[str, Tensor | None]:
        """Return the probabilities of each orientation's phase, of any and of no crystal."""
        n_phases = len(self.all_zones)
        if "class_probability" not in outputs:
            all_alike = output_named(outputs, "phase_probability", ())[:, None]
            probability, others = all_alike.expand(-1, n_phases), {}
        else:
            probability = output_named(outputs, "class_probability", (n_phases + 3,))
            others = {
                "vacuum_probability": probability[:, n_phases],
                "amorphous_probability": probability[:, n_phases + 1],
                "any_phase_probability": probability[:, :n_phases].sum(1) if n_phases > 1 else None,
            }
        own = probability.gather(1, found.phase).where(found.scores.isfinite(), math.nan)
        return {"phase_probability": padded(own, n_best), **others}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        calibration = None if self.calibration is None else self.calibration.to_dict()
        return {
            "kind": self.kind,
            "n_zones": self.n_zones,
            "n_operations": [len(group) for group in self.all_symmetry],
            "n_bins": self.n_bins,
            "calibration": calibration,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the zone axes and the symmetry operations, one phase after the other."""
        return {
            "zones": np.concatenate(self.all_zones),
            "symmetry": np.concatenate(self.all_symmetry),
        }

    @classmethod
    def from_dict(
        cls, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> ZoneInPlaneTarget:
        """Return the target that `to_dict` and `arrays` described."""
        calibration = description.get("calibration")
        zones, symmetry = [arrays["zones"]], [arrays["symmetry"]]
        if isinstance(description["n_zones"], list):
            zones = np.split(zones[0], np.cumsum(description["n_zones"])[:-1])
            symmetry = np.split(symmetry[0], np.cumsum(description["n_operations"])[:-1])
        return cls(
            list(zones),
            list(symmetry),
            description["n_bins"],
            None if calibration is None else ScoreCalibration.from_dict(calibration),
        )


def _filled_up(groups: Sequence[np.ndarray]) -> Tensor:
    """Return the operations of all groups, (n_groups, longest, 4): short ones with copies."""
    longest = max(len(group) for group in groups)
    whole = [np.concatenate([g, np.repeat(g[:1], longest - len(g), 0)]) for g in groups]
    return torch.as_tensor(np.stack(whole), dtype=torch.float32)
