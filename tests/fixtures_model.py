"""A model that is right by construction, its own kinematics, and crystal maps for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.phases import CrystalStructure

SILICON = CrystalStructure.from_asymmetric_unit(
    (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
)
# Two-fold axis along b, where orix has it along c.
ZIRCONIA = CrystalStructure.from_asymmetric_unit(
    (5.1, 5.2, 5.3, 90, 99, 90),
    "P 1 21/c 1",
    ["Zr", "O", "O"],
    [[0.27, 0.04, 0.2], [0.07, 0.33, 0.34], [0.45, 0.76, 0.48]],
    name="ZrO2",
)
DEMO_SIZE = 12


def matrix_of(q: np.ndarray) -> np.ndarray:
    """Return the matrix from the lab to the crystal of one quaternion, by SciPy."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(np.roll(q, -1)).as_matrix()


def kinematic_spots(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (kx, ky), y up, and rough intensities of silicon at 200 kV, in NumPy alone."""
    h = np.arange(-9, 10)
    hkl = np.stack(np.meshgrid(h, h, h), axis=-1).reshape(-1, 3)
    odd, even = np.all(hkl % 2 == 1, axis=1), np.all(hkl % 2 == 0, axis=1)
    hkl = hkl[(odd | (even & (hkl.sum(1) % 4 == 0))) & np.any(hkl != 0, axis=1)]
    g = hkl / 5.431 @ matrix_of(q)  # M^T g for every row
    # Distance from a sphere of radius 1/lambda around +z/lambda.
    radius = 1 / 0.02508
    error = radius - np.linalg.norm(g - [0, 0, radius], axis=1)
    near = (np.abs(error) < 0.08) & (np.linalg.norm(g, axis=1) < 1.6)
    g, error = g[near], error[near]
    strength = np.exp(-3 * np.linalg.norm(g, axis=1)) / (1 + (error / 0.025) ** 2)
    return g[:, :2], strength


def template_model(rotations: np.ndarray, name: str = "templates"):
    """Return a model that correlates patterns with those of rotations (n, 4)."""
    import torch

    from pyxem_cnn.detector.grids import PolarGrid
    from pyxem_cnn.model.wrapping import wrap_model

    grid = PolarGrid()
    kx = grid.radii[:, None] * np.cos(grid.azimuths)
    ky = grid.radii[:, None] * np.sin(grid.azimuths)
    templates = np.zeros((len(rotations), *grid.shape))
    for template, rotation in zip(templates, rotations, strict=True):
        for (x, y), strength in zip(*kinematic_spots(rotation), strict=True):
            template += strength * np.exp(-((kx - x) ** 2 + (ky - y) ** 2) / (2 * 0.03**2))
    templates = np.sqrt(templates)
    templates /= np.linalg.norm(templates, axis=(1, 2), keepdims=True)
    network = torch.nn.Linear(templates[0].size, len(rotations), bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.as_tensor(templates.reshape(len(rotations), -1)))
    return wrap_model(
        network,
        phase=SILICON,
        grid=grid,
        accelerating_voltage=200,
        rotations=rotations,
        output="logits",
        preprocessing={"value": "sqrt", "normalise": "rms", "layout": "flat"},
        name=name,
    )


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a model that knows the orientations of the small demo scan, and others."""
    from pyxem_cnn.data._microstructure import microstructure
    from pyxem_cnn.rotations import random_quaternions

    true = microstructure((DEMO_SIZE, DEMO_SIZE), 2, seed=0).rotations[:-1]
    others = random_quaternions(100, np.random.default_rng(5))
    model = template_model(np.concatenate([others, true]))
    return model.save(tmp_path_factory.mktemp("models") / "templates.pt")


def crystal_map(
    shape: tuple[int, ...],
    phases: list[CrystalStructure],
    rng: np.random.Generator,
    n_best: int = 1,
    special: bool = True,
):
    """Return a random crystal map; point 1 is not indexed and point 2 left out, if special."""
    from pyxem_cnn.signals.orientation_prediction import OrientationPrediction

    data = rng.random((*shape, n_best, len(COLUMNS)))
    data[..., COLUMNS.index("thickness") :] = np.nan
    q = rng.normal(size=(*shape, n_best, 4))
    data[..., 2:6] = q / np.linalg.norm(q, axis=-1, keepdims=True)
    data[..., 0] = np.resize(np.arange(len(phases)), shape)[..., None]
    points = data.reshape(-1, n_best, len(COLUMNS))
    if special:
        points[1, :, 0], points[1, :, 1:] = -1, np.nan
        points[2] = np.nan
    prediction = OrientationPrediction(
        data, metadata={"OrientationPrediction": {"phases": [p.to_dict() for p in phases]}}
    )
    for axis in prediction.axes_manager.navigation_axes:
        axis.scale, axis.units = 2.5, "nm"
    return prediction.to_crystal_map()
