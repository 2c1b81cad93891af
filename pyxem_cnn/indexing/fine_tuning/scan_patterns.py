"""Patterns of a scan with a trusted map of it, as training takes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pyxem_cnn._checks import check_type, given_expected
from pyxem_cnn.datasets import Batch, Conditions
from pyxem_cnn.detector.resampling import ResamplingOperator
from pyxem_cnn.indexing.block import resampled
from pyxem_cnn.rotations import about_z, conjugate, multiply
from pyxem_cnn.simulation.library.dynamical_library import mirror_rotation
from pyxem_cnn.simulation.library.spots import TWO_FOLD_ABOUT_Y

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

    from pyxem_cnn.detector.geometry import DetectorGeometry
    from pyxem_cnn.detector.grids import PolarGrid
    from pyxem_cnn.model import OrientationModel

__all__ = ["ScanPatterns", "trusted_points"]


@dataclass(frozen=True)
class ScanPatterns:
    """Polar patterns of a scan with what they are; drawn turned and mirrored at random.

    Attributes
    ----------
    counts
        Mean counts per pixel, shape (n, n_radial, n_azimuthal).
    mask
        Share of each bin that is measured, the same shape or without the first axis.
    orientation
        Quaternions in the detector's frame, shape (n, 4).
    kind
        Place of the phase in the model, shape (n,).
    grid
        Of the patterns.
    mirror
        Rotation R of each phase, see
        :func:`pyxem_cnn.simulation.library.dynamical_library.mirror_rotation`; None for phases of
        which no pattern may be mirrored.
    is_training
        Whether patterns are turned and mirrored; otherwise they are as measured.
    """

    counts: torch.Tensor
    mask: torch.Tensor
    orientation: torch.Tensor
    kind: torch.Tensor
    grid: PolarGrid
    mirror: tuple[np.ndarray | None, ...]
    is_training: bool = True

    @classmethod
    def read(
        cls,
        signal: Any,
        crystal_map: CrystalMap,
        points: np.ndarray,
        model: OrientationModel,
        geometry: DetectorGeometry,
    ) -> ScanPatterns:
        """Return the patterns at some points of a scan.

        Parameters
        ----------
        signal
            The scan.
        crystal_map
            Its map, of the scan's shape.
        points
            Places of the points in C order.
        model
            Whose grid and phases are meant.
        geometry
            Of the detector.
        """
        operator = ResamplingOperator(geometry, model.grid)
        # As the model is asked later: electrons whole where they are few.
        counts, mask = resampled(operator, _patterns_at(signal, points))
        rotations = crystal_map.rotations.data.reshape(crystal_map.size, -1, 4)[:, 0]
        orientation = rotations[points]
        if getattr(crystal_map, "frame", "detector") == "scan":
            orientation = multiply(orientation, conjugate(np.asarray(geometry.rotation_to_scan())))
        return cls(
            torch.as_tensor(counts, dtype=torch.float32),
            torch.tensor(mask, dtype=torch.float32),
            torch.as_tensor(orientation, dtype=torch.float32),
            torch.as_tensor(crystal_map.phase_id[points], dtype=torch.int64),
            model.grid,
            tuple(mirror_rotation(crystal) for crystal in model.crystals),
        )

    @property
    def conditions(self) -> Conditions:
        """Return conditions that nobody draws from: the microscope did."""
        return Conditions()

    def under(self, _: Conditions) -> ScanPatterns:
        """Return the same patterns: they are as they were measured."""
        return self

    def batches(self, n: int, seed: int, device: str | torch.device = "cpu") -> Iterator[Batch]:
        """Yield batches without end, on a device."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield Batch(*(values.to(device) for values in self.batch(n, generator)))

    def batch(self, n: int, generator: torch.Generator) -> Batch:
        """Return ``n`` patterns, drawn with ``generator``; as measured, if not for training."""
        chosen = torch.randint(len(self.counts), (n,), generator=generator)
        counts, orientation = self.counts[chosen], self.orientation[chosen]
        mask = self.mask[chosen] if self.mask.ndim == 3 else self.mask.expand_as(counts)
        if self.is_training:
            turn = torch.randint(self.grid.n_azimuthal, (n,), generator=generator)
            counts, mask = (_rolled(values, turn) for values in (counts, mask))
            angle = turn * float(self.grid.azimuthal_step)
            orientation = multiply(orientation, about_z(-angle))
            counts, mask, orientation = self._mirrored(
                counts, mask, orientation, self.kind[chosen], generator
            )
        unknown = torch.full((n,), math.nan)
        return Batch(counts, mask, orientation, self.kind[chosen], unknown, torch.ones(n))

    def _mirrored(
        self,
        counts: torch.Tensor,
        mask: torch.Tensor,
        orientation: torch.Tensor,
        kind: torch.Tensor,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the patterns, half of those that may be mirrored (ky -> -ky)."""
        may = torch.tensor([one is not None for one in self.mirror])[kind]
        chosen = may & (torch.rand(len(kind), generator=generator) < 0.5)
        rotation = np.stack([(1.0, 0, 0, 0) if one is None else one for one in self.mirror])
        rotation = torch.as_tensor(rotation, dtype=orientation.dtype)[kind]
        other = multiply(orientation, orientation.new_tensor(TWO_FOLD_ABOUT_Y))
        # Bin 0 lies on +x and stays.
        backwards = -torch.arange(self.grid.n_azimuthal) % self.grid.n_azimuthal
        return (
            torch.where(chosen[:, None, None], counts[..., backwards], counts),
            torch.where(chosen[:, None, None], mask[..., backwards], mask),
            torch.where(chosen[:, None], multiply(rotation, other), orientation),
        )


def trusted_points(
    crystal_map: CrystalMap, shape: tuple[int, ...], minimum_score: float, n_phases: int
) -> np.ndarray:
    """Return the places (n,) in C order of the points of a map that may be learnt from.

    Parameters
    ----------
    crystal_map
        The map.
    shape
        Of the scan.
    minimum_score
        Points with a lower score are left out; maps without scores are trusted everywhere.
    n_phases
        Of the model: phase ids from 0.

    Raises
    ------
    TypeError, ValueError
        If the map is none, of another shape, or has too few such points.
    """
    from orix.crystal_map import CrystalMap

    check_type("crystal_map", crystal_map, CrystalMap)
    if crystal_map.size != math.prod(shape) or not crystal_map.is_in_data.all():
        remedy = "Pass the whole map of this scan, not a slice of it."
        given = f"{crystal_map.size} points"
        raise ValueError(given_expected("crystal_map", given, f"a map of shape {shape}", remedy))
    trusted = (crystal_map.phase_id >= 0) & (crystal_map.phase_id < n_phases)
    if "scores" in crystal_map.prop:
        scores = np.asarray(crystal_map.prop["scores"]).reshape(crystal_map.size, -1)[:, 0]
        trusted &= scores >= minimum_score
    points = np.flatnonzero(trusted)
    if len(points) < 2:
        remedy = "Lower minimum_score, or pass a better map."
        expected = "at least two points with a score of minimum_score or more"
        raise ValueError(given_expected("trusted points", len(points), expected, remedy))
    return points


def _patterns_at(signal: Any, points: np.ndarray) -> np.ndarray:
    """Return the patterns at places in C order, (n, rows, columns); lazy scans are read there."""
    shape = signal.data.shape
    flat = signal.data.reshape(-1, *shape[-2:])
    patterns = flat[points]
    return np.asarray(patterns.compute() if hasattr(patterns, "compute") else patterns)


def _rolled(values: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Return patterns (n, n_radial, n_azimuthal) rolled by bins (n,) along the azimuth."""
    n = values.shape[-1]
    source = (torch.arange(n) - turn[:, None]) % n
    return values.gather(2, source[:, None].expand_as(values))
