"""Networks as methods: each takes counted images and says orientations."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import pyxem_cnn
from accuracy_parts.crystals import phase_in
from accuracy_parts.images import Detector
from accuracy_parts.scoring import Found
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.detector.resampling import ResamplingOperator
from pyxem_cnn.indexing.block import resampled
from pyxem_cnn.targets import Decoded

_BATCH = 256
_SAME_VOLTAGE = 0.02


class Network:
    """A trained model, alone.

    Parameters
    ----------
    path
        Model file or name.
    spots
        What will be looked at.
    detector
        Where.

    Raises
    ------
    ValueError
        If the model is for another crystal or another voltage.
    """

    def __init__(self, path: str, spots: SpotSet, detector: Detector) -> None:
        self.name = Path(path).stem
        self.model = pyxem_cnn.load_model(path)
        self.phase = phase_in(self.model.crystals, spots.crystal)
        voltage = self.model.accelerating_voltage
        if self.phase is None or abs(voltage / spots.voltage - 1) > _SAME_VOLTAGE:
            raise ValueError(
                f"{self.name} knows {', '.join(c.name for c in self.model.crystals)} at "
                f"{voltage:g} kV, not {spots.crystal.name} at {spots.voltage:g} kV"
            )
        self.operator = ResamplingOperator(detector.geometry(spots.voltage), self.model.grid)
        self._is_compiled = False

    def __call__(self, counts: np.ndarray) -> Found:
        """Return the best orientation of every image; an orientation of another phase is none."""
        if not self._is_compiled:
            # TorchScript optimises the network anew for sizes of batches that it did not see.
            for _ in range(2):
                self._predict(counts)
            self._is_compiled = True
        start = time.process_time()
        parts = self._predict(counts)
        seconds = time.process_time() - start
        orientations = _first(parts, "quaternions")
        phase = _first(parts, "phase")
        if phase is not None:
            orientations[phase != self.phase] = np.nan
        return Found(orientations, _first(parts, "scores"), _first(parts, "thickness"), seconds)

    def _predict(self, counts: np.ndarray) -> list[Decoded]:
        return [
            self.model.predict(*resampled(self.operator, counts[i : i + _BATCH]))
            for i in range(0, len(counts), _BATCH)
        ]


class RefinedNetwork:
    """The same, its three best orientations refined; with pyxem's signals, as a user would.

    Parameters
    ----------
    network
        Alone.
    spots
        What will be looked at.
    detector
        Where.
    """

    def __init__(self, network: Network, spots: SpotSet, detector: Detector) -> None:
        self.name = f"{network.name}, refined"
        self.network = network
        geometry = detector.geometry(spots.voltage)
        values = {"center": geometry.center, "scale": detector.scale, "beam_energy": spots.voltage}
        self._how = {"geometry": values, "show_progressbar": False}
        # Standard deviations of what is drawn evenly: methods know how far a geometry may be off.
        self._settings = pyxem_cnn.RefinementSettings(
            center_error=detector.center_error * detector.scale / 3**0.5,
            scale_error=detector.scale_error / 3**0.5,
        )

    def __call__(self, counts: np.ndarray) -> Found:
        """Return the best orientation of every image."""
        from pyxem.signals import ElectronDiffraction2D

        model, scan = self.network.model, ElectronDiffraction2D(counts)
        start = time.process_time()
        xmap = scan.get_orientation_map_cnn(model, n_best=3, **self._how)
        refined = scan.refine_orientation_cnn(xmap, model, settings=self._settings, **self._how)
        seconds = time.process_time() - start
        orientations = refined.rotations.data.reshape(len(counts), -1, 4)[:, 0]
        orientations[refined.phase_id != self.network.phase] = np.nan
        score, thickness = (
            refined.prop[name].reshape(len(counts), -1)[:, 0]
            for name in ("refined_score", "thickness")
        )
        return Found(orientations, score, thickness, seconds)


def _first(parts: list[Decoded], name: str) -> np.ndarray | None:
    """Return what stands in the field for the best orientations; None where there is nothing."""
    values = [getattr(part, name) for part in parts]
    return None if values[0] is None else np.concatenate([value[:, 0].numpy() for value in values])
