"""The models of real_patterns.py: trained once, then kept in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyxem_cnn
from pyxem_cnn.conditions import Conditions
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.training import TrainingConfig

GOLD = Path(__file__).parents[2] / "examples/training/gold.cif"

# Sharp spots: the beam is parallel, and the background is subtracted before. Strengths are
# scattered widely, since kinematic ones are an approximation. The detector has gaps.
_CINCHONINE = Conditions(
    electrons=(2e3, 2e5),
    noise_free=0.3,
    spot_sigma=(0.006, 0.015),
    discs=0.0,
    relrod_width=(0.001, 0.012),
    debye_waller=(0.0, 1.0),
    intensity_power=(0.4, 1.0),
    intensity_spread=0.8,
    position_spread=0.002,
    center_error=0.006,
    scale_error=0.015,
    background=(0.0, 0.6),
    half_width=(0.9, 1.3),
    unmasked=0.2,
    gaps=0.3,
    gap_width=(0.02, 0.04),
    pixel=(0.004, 0.01),
    overlap=0.05,
)
# A thin film: thick relrods. At 20 kV electrons scatter several times even there, so that strengths
# say next to nothing. Spots or discs, and a lens that distorts.
_GOLD = Conditions(
    electrons=(1e3, 1e6),
    noise_free=0.3,
    spot_sigma=(0.008, 0.03),
    disc_radius=(0.03, 0.12),
    discs=0.4,
    relrod_width=(0.01, 0.04),
    intensity_power=(0.2, 0.8),
    intensity_spread=1.2,
    center_error=0.01,
    scale_error=0.03,
    ellipticity=0.02,
    background=(0.0, 0.5),
    half_width=(1.4, 2.2),
    beam_offset=0.2,
    overlap=0.05,
)


def cinchonine_model(folder: Path, cif: Path, n_patterns: int) -> Any:
    """Return the model of cinchonine, 200 kV, kinematic."""
    return _kept(
        folder / "cinchonine_200kV.pt",
        cif,
        200,
        simulator="kinematic",
        conditions=_CINCHONINE,
        config=TrainingConfig(n_patterns=n_patterns, width=192, zone_spacing=5.0, compiled=True),
        grid=PolarGrid(60, 160, 0.07, 0.97),
    )


def gold_model(folder: Path, n_patterns: int) -> Any:
    """Return the model of gold, 20 kV, kinematic."""
    return _kept(
        folder / "gold_20kV.pt",
        GOLD,
        20,
        simulator="kinematic",
        conditions=_GOLD,
        config=TrainingConfig(n_patterns=n_patterns, width=128),
        grid=PolarGrid(k_min=0.2, k_max=1.6),
    )


def _kept(path: Path, phase: Path, voltage: float, **how: Any) -> Any:
    """Return the model in a file, after training it if there is no such file."""
    if path.exists():
        return pyxem_cnn.load_model(path)
    checkpoint = path.with_suffix(".ckpt")
    model = pyxem_cnn.train(
        phase, accelerating_voltage=voltage, name=path.stem, checkpoint=checkpoint, **how
    )
    model.save(path)
    return model
