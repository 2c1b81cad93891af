"""What is simulated for a model: its microscope."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.indexing.refinement.phases import _of_model
from pyxem_cnn.indexing.refinement.settings import RefinementSettings
from tests._crystals import crystal


@pytest.mark.parametrize(
    ("precession", "expected"), [(None, 0.0), (0.5, 0.5), ([0, 0.6], 0.0), ([0.4, 0.6], 0.4)]
)
def test_precession_is_the_first_of_the_models(precession, expected) -> None:
    metadata = {"convergence_angle": 1.2, "precession_angle": precession}
    model = SimpleNamespace(metadata=metadata, accelerating_voltage=200.0)
    settings = RefinementSettings()
    source = _of_model(model, crystal("cubic"), "bloch", PolarGrid(), settings)
    assert source.simulator.precession_angle == expected
    assert source.simulator.convergence_angle == 1.2
    assert source.simulator.n_tilts == (1 if expected else settings.n_tilts)
