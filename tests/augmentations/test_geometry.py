"""Known spots go to known places; patterns move as scipy moves images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from pyxem_cnn import augmentations as aug
from pyxem_cnn.augmentations._coordinates import positions
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

POLAR = PolarGrid(n_radial=60, n_azimuthal=180, k_min=0.1, k_max=1.3)
SQUARE = CartesianGrid((100, 120), 0.02)
GRIDS = [pytest.param(POLAR, id="polar"), pytest.param(SQUARE, id="cartesian")]
MATRIX = torch.tensor([[1.06, 0.02], [0.02, 0.97]])


class TestDistort:
    K = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-0.4, 0.3]])

    def distorted(self, n, generator, **errors):
        errors = {"center": 0.0, "scale": 0.0, "ellipticity": 0.0} | errors
        return aug.distort(self.K.expand(n, 3, 2), **errors, generator=generator)

    def test_no_error_changes_nothing(self, generator):
        k, shift = self.distorted(5, generator)
        torch.testing.assert_close(k, self.K.expand(5, 3, 2))
        assert not shift.any()

    def test_center(self, generator):
        k, shift = self.distorted(2000, generator, center=0.02)
        torch.testing.assert_close(k, self.K + shift[:, None])
        assert shift.abs().max() <= 0.02
        assert shift.abs().max() > 0.019
        assert shift.mean(0).abs().max() < 0.002

    def test_camera_length_and_ellipticity(self, generator):
        k, shift = self.distorted(500, generator, scale=0.03, ellipticity=0.01)
        matrix = k[:, :2].transpose(1, 2)  # images of the unit vectors as columns
        torch.testing.assert_close(k[:, 2], (matrix @ self.K[2]))
        torch.testing.assert_close(matrix, matrix.transpose(1, 2))  # no rotation
        axes = torch.linalg.eigvalsh(matrix)
        size, stretch = axes.mean(1) - 1, (axes[:, 1] - axes[:, 0]) / 2
        assert 0.028 < size.abs().max() <= 0.0301
        assert 0.009 < stretch.max() <= 0.0101
        # The long axis points anywhere.
        assert (matrix[:, 0, 1] > 0).float().mean() == pytest.approx(0.5, abs=0.08)


def spot(grid, x, y, sigma=0.05):
    """Counts per bin of a Gaussian spot at (x, y) in 1/angstrom, y up."""
    kx, ky = positions(grid)
    density = torch.exp(-((kx - x) ** 2 + (ky - y) ** 2) / (2 * sigma**2)) / (
        2 * math.pi * sigma**2
    )
    return (density * torch.as_tensor(grid.bin_areas, dtype=torch.float32))[None]


def middle(content, grid):
    """Mean position of all counts."""
    kx, ky = positions(grid)
    return torch.stack([(content * k).sum() / content.sum() for k in (kx, ky)])


class TestWarp:
    @pytest.mark.parametrize("grid", GRIDS)
    def test_nothing_moves_without_an_error(self, grid):
        content = torch.rand(3, *grid.shape)
        same, mask = aug.warp(content, torch.eye(2).expand(3, 2, 2), torch.zeros(3, 2), grid)
        assert (mask == 1).all()
        torch.testing.assert_close(same, content, atol=2e-3, rtol=0)

    @pytest.mark.parametrize("grid", GRIDS)
    @pytest.mark.parametrize("place", [(0.5, 0.3), (-0.6, 0.2), (-0.4, -0.4), (0.5, 0.0)])
    def test_a_known_spot_goes_to_a_known_place(self, grid, place):
        shift = torch.tensor([0.03, -0.05])
        moved, _ = aug.warp(spot(grid, *place), MATRIX[None], shift[None], grid)
        expected = MATRIX @ torch.tensor(place) + shift
        torch.testing.assert_close(middle(moved, grid), expected, atol=1e-3, rtol=0)
        # It keeps its counts, although its area has changed.
        assert float(moved.sum()) == pytest.approx(1, abs=0.01)

    @pytest.mark.parametrize("grid", GRIDS)
    def test_camera_length(self, grid):
        """Larger: cropped, all measured. Smaller: the rim shows what was not measured."""
        content = torch.ones(2, *grid.shape)
        matrix = torch.eye(2) * torch.tensor([1.2, 0.8])[:, None, None]
        _, mask = aug.warp(content, matrix, torch.zeros(2, 2), grid)
        radius = torch.hypot(*positions(grid))
        assert mask[0, radius > 1.2 * getattr(grid, "k_min", 0) + 0.01].all()
        assert mask[1, radius < 0.7].sum() == (radius < 0.7).sum()
        edge = 0.8 * 1.3 if grid is POLAR else 0.8 * 1.2
        outside = radius > edge + 0.02 if grid is POLAR else positions(grid)[0] > edge + 0.02
        assert not mask[1, outside].any()

    def test_against_scipy(self):
        """The same transformation of pixels (row, column), linear interpolation."""
        rng = np.random.default_rng(3)
        content = rng.random(SQUARE.shape).astype(np.float32)
        shift = np.array([0.07, -0.03])
        moved, mask = aug.warp(
            torch.from_numpy(content)[None],
            MATRIX[None],
            torch.from_numpy(shift[None]).float(),
            SQUARE,
        )
        to_k = SQUARE.scale * np.array([[0, 1], [-1, 0]])  # from (row, column) to (kx, ky)
        inverse = np.linalg.inv(MATRIX.numpy().astype(float))
        pixels = np.linalg.inv(to_k) @ inverse @ to_k
        centre = (np.array(SQUARE.shape) - 1) / 2
        offset = centre - pixels @ centre - np.linalg.inv(to_k) @ inverse @ shift
        expected = affine_transform(content, pixels, offset, order=1, mode="nearest")
        expected = expected / np.linalg.det(MATRIX.numpy())
        inside = mask[0].numpy() == 1
        assert 0.8 < inside.mean() < 1
        np.testing.assert_allclose(moved[0].numpy()[inside], expected[inside], atol=1e-4)


@pytest.mark.parametrize("grid", GRIDS)
def test_distort_patterns_is_distort(grid):
    """The same generator: finished patterns move as their spots would."""
    n, place = 40, (0.45, -0.35)
    errors = {"center": 0.03, "scale": 0.05, "ellipticity": 0.04}
    seeds = [torch.Generator().manual_seed(5) for _ in range(2)]
    k, shift = aug.distort(torch.tensor([[place]]).expand(n, 1, 2), **errors, generator=seeds[0])
    content = spot(grid, *place).expand(n, *grid.shape)
    moved, mask, beam = aug.distort_patterns(content, grid, **errors, generator=seeds[1])
    assert torch.equal(shift, beam)
    assert mask.shape == moved.shape
    for i in range(n):
        torch.testing.assert_close(middle(moved[i : i + 1], grid), k[i, 0], atol=1.5e-3, rtol=0)
