"""py4DSTEM's disc detection and matching as a method, in its own environment."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np

from accuracy_parts.images import Detector
from accuracy_parts.scoring import Found
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.rotations import from_matrix

_PEER = Path(__file__).parents[1] / "accuracy_peer_py4dstem.py"
_DIRECT_BEAM = 0.13  # 1/angstrom, as for template matching


@dataclass(frozen=True)
class Py4DSTEM:
    """py4DSTEM's automated crystal orientation mapping.

    Attributes
    ----------
    python
        Of the environment that has it.
    spots
        Of what.
    detector
        Where.
    step
        Between zone axes in degrees.
    weakest, relative
        Weakest disc in electrons, and as a share of the strongest.
    kernel_size
        How far discs may be from where they should be, 1/angstrom.
    """

    python: str
    spots: SpotSet
    detector: Detector
    step: float = 2.0
    weakest: float = 2.0
    relative: float = 0.003
    kernel_size: float = 0.08

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"py4DSTEM, {self.step:g} deg"

    def __call__(self, counts: np.ndarray) -> Found:
        """Return the best match of every image."""
        with tempfile.TemporaryDirectory() as folder:
            task, result = f"{folder}/task.npz", f"{folder}/result.npz"
            np.savez(task, images=counts, **self._task())
            subprocess.run([self.python, str(_PEER), task, result], check=True)
            with np.load(result) as file:
                matrices, seconds = file["matrices"], float(file["seconds"])
        orientations = np.full((len(matrices), 4), np.nan)
        known = np.isfinite(matrices).all((1, 2))
        orientations[known] = from_matrix(matrices[known])
        return Found(orientations, None, None, seconds)

    def _task(self) -> dict:
        crystal, scale = self.spots.crystal, self.detector.scale
        rows, columns = np.indices(self.detector.shape)
        middle = (np.array(self.detector.shape) - 1) / 2
        radius = scale * np.hypot(columns - middle[1], rows - middle[0])
        return {
            "positions": crystal.positions,
            "numbers": [gemmi.Element(e).atomic_number for e in crystal.elements],
            "lattice": crystal.lattice,
            "laue_group": crystal.to_phase().point_group.laue.name,
            "voltage": self.spots.voltage,
            "precession": self.spots.precession_angle,
            "scale": scale,
            "k_max": scale * min(self.detector.shape) / 2,
            "disc_pixels": self.spots.disc_radius / scale,
            "direct_beam": radius < _DIRECT_BEAM,
            "step": self.step,
            "weakest": self.weakest,
            "relative": self.relative,
            "kernel_size": self.kernel_size,
        }
