"""The methods that are compared: each takes counted images and says orientations."""

from __future__ import annotations

import time

import numpy as np
from accuracy_parts.images import Detector
from accuracy_parts.scoring import Found
from accuracy_parts.spot_sets import SpotSet

from pyxem_cnn.detector.resampling import ResamplingOperator
from pyxem_cnn.model import OrientationModel

_BATCH = 256


class Network:
    """A trained model, alone."""

    def __init__(self, model: OrientationModel, name: str, spots: SpotSet, detector: Detector):
        self.name, self.model = name, model
        self.operator = ResamplingOperator(detector.geometry(spots.voltage), model.grid)
        # Kernels and the network are compiled during their first calls, which do not count.
        for _ in range(2):
            self(np.ones((_BATCH, *detector.shape), dtype=np.uint32))

    def __call__(self, counts: np.ndarray) -> Found:
        """Return the best orientation of every image."""
        start = time.process_time()
        parts = [
            self.model.predict(*self.operator(counts[i : i + _BATCH]))
            for i in range(0, len(counts), _BATCH)
        ]
        seconds = time.process_time() - start
        thickness = [part.thickness for part in parts]
        return Found(
            orientations=np.concatenate([part.quaternions[:, 0].numpy() for part in parts]),
            score=np.concatenate([part.scores[:, 0].numpy() for part in parts]),
            thickness=None
            if thickness[0] is None
            else np.concatenate([t[:, 0].numpy() for t in thickness]),
            seconds=seconds,
        )
