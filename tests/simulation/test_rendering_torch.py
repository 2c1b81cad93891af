"""The renderer for GPUs against the compiled one, on whatever device there is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.simulation import _rendering_torch
from pyxem_cnn.simulation.rendering import render_polar

GRID = PolarGrid(n_radial=14, n_azimuthal=48, k_min=0.2, k_max=1.6)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def spots(rng, n=5, n_spots=9, n_parts=None):
    k = rng.uniform(-1.2, 1.2, size=(n, n_spots, 2))
    shape = (n, n_spots) if n_parts is None else (n, n_spots, n_parts)
    return k, rng.uniform(size=shape), rng.uniform(0.01, 0.05, size=n)


def discs(rng, kind, n=5):
    """Return keyword arguments for one kind of spots."""
    if kind == "gaussian":
        return {}
    radius = np.where(np.arange(n) % 2, rng.uniform(0.03, 0.08, size=n), 0)
    if kind == "uniform disc":
        return {"disc_radius": radius, "ring_turn": rng.uniform(size=n)}
    return {"disc_radius": radius, "tilts": rng.uniform(-0.05, 0.05, size=(n, 7, 2))}


def tensors(arrays, device="cpu"):
    return [torch.as_tensor(a, dtype=torch.float32, device=device) for a in arrays]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("piece", [1, 1 << 27])
def test_same_as_the_compiled_one(rng, device, piece, monkeypatch):
    """Whether patterns are rendered one by one or all at once."""
    monkeypatch.setattr(_rendering_torch, "_PIECE", piece)
    k, intensity, sigma = spots(rng, n_parts=7)
    tilts = rng.uniform(-0.05, 0.05, size=(5, 7, 2))
    expected = render_polar(k, intensity, sigma, GRID, tilts=tilts, disc_radius=np.zeros(5))
    found = _rendering_torch.render_on_rings(
        *tensors((k, intensity, tilts, sigma), device), GRID.shape, GRID.k_min, GRID.radial_step
    )
    assert found.device.type == device
    np.testing.assert_allclose(found.cpu(), expected, atol=5e-5 * expected.max())


@pytest.mark.parametrize("device", DEVICES)
def test_fused_operations_are_the_same(rng, device, monkeypatch):
    """As torch traces them; its compilers for processors are not everywhere."""
    calls = []

    def counted(graph, inputs):
        return lambda *args: calls.append(len(args)) or graph.forward(*args)

    fused = torch.compile(_rendering_torch._render, backend=counted, dynamic=True)
    monkeypatch.setattr(_rendering_torch, "_fused", lambda: fused)
    for n_spots in (9, 12):
        k, intensity, sigma = spots(rng, n_spots=n_spots, n_parts=7)
        tilts = rng.uniform(-0.05, 0.05, size=(5, 7, 2))
        arguments = tensors((k, intensity, tilts, sigma), device)
        sizes = (GRID.shape, GRID.k_min, GRID.radial_step)
        expected = _rendering_torch.render_on_rings(*arguments, *sizes)
        assert len(calls) == (n_spots == 12)
        found = _rendering_torch.render_on_rings(*arguments, *sizes, compiled=True)
        torch.testing.assert_close(found, expected)
    assert len(calls) == 2


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["gaussian", "uniform disc", "tilts"])
def test_tensors_give_tensors(rng, kind, device):
    arrays = spots(rng, n_parts=7 if kind == "tilts" else None)
    keywords = discs(rng, kind)
    expected = render_polar(*arrays, GRID, **keywords)
    given = dict(zip(keywords, tensors(keywords.values(), device), strict=True))
    found = render_polar(*tensors(arrays, device), GRID, **given)
    assert found.device.type == device
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.cpu(), expected, atol=5e-5 * expected.max())


@pytest.mark.parametrize("azimuth", [0.0, 0.03, math.pi, -math.pi + 0.02, 2.0])
def test_spots_that_straddle_the_first_bin(azimuth):
    """No electron is lost or doubled where the azimuth begins anew."""
    k = torch.tensor([[[0.8 * math.cos(azimuth), 0.8 * math.sin(azimuth)]]])
    found = _rendering_torch.render_on_rings(
        k, torch.ones(1, 1, 1), torch.zeros(1, 1, 2), torch.tensor([0.05]),
        GRID.shape, GRID.k_min, GRID.radial_step,
    )[0]  # fmt: skip
    assert found.sum().item() == pytest.approx(1, abs=1e-5)
    assert found.min() >= 0
    peak = int(found.sum(dim=0).argmax())
    distance = (GRID.azimuths[peak] - azimuth + math.pi) % (2 * math.pi) - math.pi
    assert abs(distance) <= GRID.azimuthal_step / 2 + 1e-6


def test_no_spots_give_nothing():
    found = render_polar(torch.zeros(2, 3, 2), torch.zeros(2, 3), torch.ones(2), GRID)
    assert found.shape == (2, *GRID.shape)
    assert not found.any()
