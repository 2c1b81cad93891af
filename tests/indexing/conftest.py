"""A model that is right by construction, and a scan whose orientations are known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.model import ModelDescription, OrientationModel
from pyxem_cnn.rotations import random_quaternions
from pyxem_cnn.simulation.kinematic import KinematicSimulator
from pyxem_cnn.targets.classes import ClassTarget
from tests._crystals import crystal

GRID = PolarGrid(n_radial=12, n_azimuthal=64, k_min=0.15, k_max=1.0)
SHAPE, CENTER, SCALE = (48, 50), (24.3, 22.8), 0.045
GEOMETRY = {"center": CENTER, "scale": SCALE, "beam_energy": 200}
SIGMA = 0.03


def spots_of(name, quaternions):
    """Return positions (n, spots, 2) and intensities with a relrod."""
    spots = KinematicSimulator(crystal(name), 200, 1.1, 0.05).spots(quaternions)
    return spots.k, spots.intensity / (1 + (spots.excitation_error / 0.015) ** 2)


def density(k, intensity, x, y):
    """Return patterns (n, *x.shape) of Gaussian spots at reciprocal positions, 1/angstrom."""
    square = (x - k[..., 0, None, None]) ** 2 + (y - k[..., 1, None, None]) ** 2
    return (intensity[..., None, None] * np.exp(-square / (2 * SIGMA**2))).sum(1)


def detector_patterns(name, quaternions, center=CENTER, total=20_000):
    """Return counts (n, rows, columns), y up, with a direct beam."""
    column, row = np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0]))
    x, y = (column - center[0]) * SCALE, -(row - center[1]) * SCALE
    images = density(*spots_of(name, quaternions), x, y)
    images *= total / images.sum((1, 2), keepdims=True)
    beam = np.exp(-(x**2 + y**2) / (2 * SIGMA**2))
    return np.rint(images + 3 * images.max((1, 2), keepdims=True) * beam)


class Templates(nn.Module):
    """Correlate the square root of patterns with templates."""

    def __init__(self, templates: Tensor) -> None:
        super().__init__()
        self.register_buffer("templates", templates)

    def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        value = (counts.clamp(min=0.0).sqrt() * mask).flatten(1)
        value = value / value.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-20)
        fit = value @ self.templates.t()
        return {"logits": 60 * fit, "phase_probability": fit.amax(dim=1).clamp(0.0, 1.0)}


def template_model(name, rotations, **options):
    x = GRID.radii[:, None] * np.cos(GRID.azimuths)
    y = GRID.radii[:, None] * np.sin(GRID.azimuths)
    templates = np.sqrt(density(*spots_of(name, rotations), x, y)).reshape(len(rotations), -1)
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    phase = crystal(name)
    target = ClassTarget(
        rotations, phase.symmetry_quaternions(options.get("polarity", False)), output="logits"
    )
    description = ModelDescription(
        crystal=phase, grid=GRID, target=target, accelerating_voltage=200, name=name, **options
    )
    return OrientationModel.build(
        Templates(torch.as_tensor(templates, dtype=torch.float32)), description
    )


class Scan(NamedTuple):
    """A scan of 3 x 4 positions: patterns (3, 4, rows, columns) and orientations (3, 4, 4)."""

    data: np.ndarray
    rotations: np.ndarray


@pytest.fixture(scope="session")
def rotations():
    return random_quaternions(16, np.random.default_rng(11))


@pytest.fixture(scope="session")
def model(rotations):
    return template_model("trigonal", rotations)


@pytest.fixture(scope="session")
def other_model(rotations):
    """A model of another phase, silicon."""
    return template_model("cubic", rotations[::-1])


@pytest.fixture(scope="session")
def scan(rotations):
    chosen = rotations[:12]
    data = detector_patterns("trigonal", chosen).reshape(3, 4, *SHAPE).astype(np.uint16)
    data.flags.writeable = False
    return Scan(data, chosen.reshape(3, 4, 4))


@pytest.fixture(scope="session")
def geometry():
    return dict(GEOMETRY)
