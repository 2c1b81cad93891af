"""Every augmentation: pure, repeatable, its own for every pattern, float32, any device."""

from __future__ import annotations

import pytest
import torch

from pyxem_cnn import augmentations as aug
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

N = 6
GRIDS = {
    "polar": PolarGrid(n_radial=20, n_azimuthal=64, k_min=0.1, k_max=1.1),
    "cartesian": CartesianGrid((40, 48), 0.04),
}
PIXEL = 0.02
# What each does to patterns (content, grid, generator); every random choice is made to happen.
CALLS = {
    "add_amorphous_rings": lambda c, grid, g: aug.add_amorphous_rings(c, grid, 1, (0.1, 0.5), g),
    "add_gaussian_background": lambda c, grid, g: aug.add_gaussian_background(
        c, grid, (0.1, 0.9), (0.1, 0.5), g
    ),
    "add_hot_pixels": lambda c, grid, g: aug.add_hot_pixels(c, grid, (0.01, 0.1), (1, 9), PIXEL, g),
    "amorphous": lambda c, grid, g: aug.amorphous(N, grid, g),
    "beam_stop": lambda c, grid, g: aug.beam_stop(N, 1, (0.1, 0.3), grid, g),
    "blocked": lambda c, grid, g: aug.blocked(N, 1, grid, g),
    "central_disc": lambda c, grid, g: aug.central_disc(N, 1, (0.2, 0.6), 0.1, grid, g),
    "compress_range": lambda c, grid, g: aug.compress_range(c, g),
    "count_electrons": lambda c, grid, g: aug.count_electrons(
        c, torch.full((N,), 1e3, device=c.device), g
    ),
    "dead_pixels": lambda c, grid, g: aug.dead_pixels(N, grid, (0.01, 0.1), PIXEL, g),
    "detector_gaps": lambda c, grid, g: aug.detector_gaps(N, 1, (0.1, 0.3), (0.5, 2), grid, g),
    "diffuse_background": lambda c, grid, g: aug.diffuse_background(N, grid, g),
    "direct_beam_tail": lambda c, grid, g: aug.direct_beam_tail(
        aug.uniform(N, (0, 0.1), g)[:, None].expand(N, 2),
        aug.uniform(N, (0.1, 0.2), g),
        c.sum((1, 2)),
        grid,
    ),
    "distort": lambda c, grid, g: aug.distort(c[:, :, :2], 0.1, 0.1, 0.1, g)[0],
    "distort_patterns": lambda c, grid, g: aug.distort_patterns(c, grid, 0.1, 0.1, 0.1, g)[0],
    "integrate_electrons": lambda c, grid, g: aug.integrate_electrons(
        c, 9.0, 0.5, 2.0, aug.pixels_per_bin(grid, torch.full((N,), PIXEL, device=c.device)), g
    ),
    "overlap": lambda c, grid, g: aug.overlap(c, 1, 0.5, g),
    "add_second": lambda c, grid, g: aug.add_second(c, aug.second_weight(N, 1, 0.5, g)),
    "second_weight": lambda c, grid, g: aug.second_weight(N, 1, 0.5, g),
    "point_spread": lambda c, grid, g: aug.point_spread(c, aug.uniform(N, (0.05, 0.3), g), grid),
    "saturate": lambda c, grid, g: aug.saturate(c, aug.uniform(N, (0.1, 0.5), g), 1.0),
    "square_detector": lambda c, grid, g: aug.square_detector(N, (0.3, 0.9), 0.2, grid, g),
    "vacuum": lambda c, grid, g: aug.vacuum(N, grid, g),
    "mix_in": lambda c, grid, g: aug.mix_in(c, c.flip(1), aug.uniform(N, (0, 0.9), g)),
    "warp": lambda c, grid, g: aug.warp(
        c,
        torch.eye(2, device=c.device).expand(N, 2, 2),
        aug.uniform(2 * N, (0, 0.2), g).view(N, 2),
        grid,
    )[0],
}
DRAWS = {"Range", "chance", "log_uniform", "uniform", "pixels_per_bin"}


def content_on(grid, device="cpu"):
    """The same uneven pattern N times."""
    pattern = torch.rand(grid.shape, generator=torch.Generator().manual_seed(8)) ** 4
    return pattern.to(device).expand(N, *grid.shape)


def result_of(name, layout, seed=1, device="cpu"):
    grid = GRIDS[layout]
    generator = torch.Generator(device).manual_seed(seed)
    return CALLS[name](content_on(grid, device), grid, generator)


def test_every_public_function_is_tested_here():
    assert set(CALLS) | DRAWS == set(aug.__all__)


@pytest.mark.parametrize("layout", GRIDS)
@pytest.mark.parametrize("name", CALLS)
def test_pure_and_repeatable(name, layout):
    grid = GRIDS[layout]
    content = content_on(grid).clone()
    before, state = content.clone(), torch.get_rng_state()
    first = CALLS[name](content, grid, torch.Generator().manual_seed(1))
    assert torch.equal(content, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, result_of(name, layout))
    assert not torch.equal(first, result_of(name, layout, seed=2))
    assert first.dtype == torch.float32
    assert first.isfinite().all()
    assert len(first) == N


@pytest.mark.parametrize("layout", GRIDS)
@pytest.mark.parametrize("name", CALLS)
def test_every_pattern_gets_its_own(name, layout):
    result = result_of(name, layout)
    for i in range(N):
        for j in range(i):
            assert not torch.equal(result[i], result[j])


@pytest.mark.parametrize(
    "name",
    ["add_amorphous_rings", "add_gaussian_background", "add_hot_pixels", "warp", "point_spread"],
)
def test_patterns_on_another_grid_are_refused(name):
    content, generator = torch.rand(N, 30, 64), torch.Generator()
    with pytest.raises(ValueError, match=r"shape \(6, 30, 64\).*expected shape \(batch, 20, 64\)"):
        CALLS[name](content, GRIDS["polar"], generator)


@pytest.mark.parametrize("share", [(0.0, 1.0), (-0.1, 0.5), (0.6, 0.5)])
def test_a_share_is_below_one(share):
    content, grid, generator = torch.rand(N, 20, 64), GRIDS["polar"], torch.Generator()
    with pytest.raises(ValueError, match="share: got .*expected a range .* below 1"):
        aug.add_gaussian_background(content, grid, share, (0.1, 0.5), generator)
    with pytest.raises(ValueError, match="share: got"):
        aug.add_amorphous_rings(content, grid, 1.0, share, generator)


@pytest.mark.gpu
@pytest.mark.parametrize("layout", GRIDS)
@pytest.mark.parametrize("name", CALLS)
def test_on_a_gpu(name, layout):
    result = result_of(name, layout, device="cuda")
    assert result.device.type == "cuda"
    assert result.isfinite().all()
    assert torch.equal(result, result_of(name, layout, device="cuda"))
