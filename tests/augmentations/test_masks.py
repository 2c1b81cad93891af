"""What is not measured: 0 there, 1 elsewhere, and the same in both layouts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pyxem_cnn import augmentations as aug
from pyxem_cnn.augmentations._coordinates import bin_size, positions
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid

GRID = PolarGrid(n_radial=20, n_azimuthal=64, k_min=0.1, k_max=1.1)
AREAS = torch.as_tensor(GRID.bin_areas, dtype=torch.float32)
SQUARE = CartesianGrid((160, 160), 0.015)
GRIDS = [pytest.param(GRID, id="polar"), pytest.param(SQUARE, id="cartesian")]

MASKS = {
    "square_detector": lambda grid, g: aug.square_detector(40, (0.5, 0.9), 0.3, grid, g),
    "detector_gaps": lambda grid, g: aug.detector_gaps(40, 1.0, (0.1, 0.3), (0.8, 1.5), grid, g),
    "beam_stop": lambda grid, g: aug.beam_stop(40, 1.0, (0.1, 0.2), grid, g),
    "central_disc": lambda grid, g: aug.central_disc(40, 1.0, (0.2, 0.5), 0.1, grid, g),
}


class TestKnownMasks:
    def test_square_detector(self, generator):
        mask = aug.square_detector(400, (0.5, 0.5), 0.0, GRID, generator)
        assert mask.shape == (400, *GRID.shape)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        # Four-fold, everything within half a side, nothing beyond the corners.
        torch.testing.assert_close(mask, mask.roll(GRID.n_azimuthal // 4, -1))
        assert (mask[:, GRID.radii < 0.49] == 1).all()
        assert (mask[:, GRID.radii > 0.5 * math.sqrt(2) + 0.01] == 0).all()
        # Half of them are aligned with the axes: +x ends at half a side, the diagonal later.
        ring = int(np.argmin(np.abs(GRID.radii - 0.6)))
        aligned = (mask[:, ring, 0] == 0) & (mask[:, ring, 8] == 1)
        assert aligned.float().mean() > 0.5
        area = (mask * AREAS).sum((1, 2))
        torch.testing.assert_close(
            area, torch.full((400,), 1.0 - math.pi * GRID.k_min**2), atol=0.04, rtol=0
        )

    def test_offset(self, generator):
        mask = aug.square_detector(300, (0.5, 0.5), 0.3, GRID, generator)
        assert (mask - mask.roll(GRID.n_azimuthal // 2, -1)).abs().sum((1, 2)).gt(
            0
        ).float().mean() > 0.9
        assert (mask[:, GRID.radii < 0.34] == 1).all()

    def test_blocked(self, generator):
        assert (aug.blocked(50, 0.0, GRID, generator) == 1).all()
        mask = aug.blocked(200, 1.0, GRID, generator)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        share = 1 - mask.mean((1, 2))
        assert (share > 0).float().mean() > 0.95
        assert share.max() < 0.2
        # A beam stop reaches from the middle to one side only.
        outer = mask[:, -1] == 0
        assert outer.any(1).float().mean() > 0.2
        assert outer.sum(1).max() <= 3


@pytest.mark.parametrize("name", MASKS)
def test_the_same_in_both_layouts(name):
    """The same seed draws the same detector: so no axis is flipped or transposed in one of them."""
    fine = PolarGrid(n_radial=66, n_azimuthal=240, k_min=0.1, k_max=1.1)
    polar, square = (MASKS[name](grid, torch.Generator().manual_seed(2)) for grid in (fine, SQUARE))
    x, y = (k.expand(fine.shape).numpy() for k in positions(fine))
    pixels = torch.from_numpy(SQUARE.find_bins(x, y))
    assert (pixels >= 0).all()
    seen = square.flatten(1)[:, pixels]
    assert set(polar.unique().tolist()) == {0.0, 1.0}
    assert (seen == polar).float().mean() > 0.97
    # Mirrored, they would not agree.
    assert (seen.flip(-1) == polar).float().mean() < 0.95


class TestGaps:
    @pytest.mark.parametrize("grid", GRIDS)
    def test_area(self, grid, generator):
        """Of a lattice of lines, a share 1 - (1 - width / side)^2 lies in the gaps."""
        mask = aug.detector_gaps(500, 1.0, (0.12, 0.12), (0.6, 0.6), grid, generator)
        area = torch.as_tensor(grid.bin_areas, dtype=torch.float32)
        hidden = 1 - (mask * area).sum((1, 2)) / area.sum()
        assert float(hidden.mean()) == pytest.approx(1 - 0.8**2, abs=0.02)

    def test_cross_of_an_aligned_detector(self, generator):
        """Whole rows and columns of pixels are missing, as wide as the gap."""
        mask = aug.detector_gaps(60, 1.0, (0.06, 0.06), (5.0, 5.0), SQUARE, generator)
        rows, columns = ((mask == 0).all(axis).sum(1) for axis in (2, 1))
        aligned = (rows > 0) & (columns > 0)
        assert aligned.any()
        assert (rows[aligned] - 4).abs().max() <= 1
        assert (columns[aligned] - 4).abs().max() <= 1

    def test_share(self, generator):
        mask = aug.detector_gaps(1000, 0.3, (0.2, 0.2), (0.5, 0.5), GRID, generator)
        assert float((mask == 0).any(2).any(1).float().mean()) == pytest.approx(0.3, abs=0.05)
        assert (aug.detector_gaps(9, 0.0, (0.2, 0.2), (0.5, 0.5), GRID, generator) == 1).all()

    def test_narrow_gaps_hide_no_bin(self, generator):
        """Bins of which more than half is measured count as measured, as in resampling."""
        narrow = 0.45 * float(bin_size(GRID).min())
        assert (
            aug.detector_gaps(50, 1.0, (narrow, narrow), (0.5, 0.5), GRID, generator) == 1
        ).all()


class TestBeamStop:
    def test_reaches_from_one_side_to_the_beam(self, generator):
        mask = aug.beam_stop(200, 1.0, (0.15, 0.15), SQUARE, generator)
        edge = torch.stack([mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]], dim=1)
        touched = (edge == 0).any(2).sum(1)
        assert touched.min() == 1
        assert touched.max() <= 2  # in a corner
        assert (mask[:, 79:81, 79:81] == 0).all()
        # The length of the needle times its width, and half a disc at its end.
        hidden = (mask == 0).sum((1, 2)) * SQUARE.scale**2
        assert hidden.min() > 0.15 * 1.2 * 0.95
        assert hidden.max() < 0.15 * 1.2 * math.sqrt(2) + math.pi * 0.075**2

    def test_share(self, generator):
        mask = aug.beam_stop(1000, 0.2, (0.2, 0.2), GRID, generator)
        assert float((mask == 0).any(2).any(1).float().mean()) == pytest.approx(0.2, abs=0.04)


class TestCentralDisc:
    @pytest.mark.parametrize("grid", GRIDS)
    def test_radius(self, grid, generator):
        mask = aug.central_disc(20, 1.0, (0.33, 0.33), 0.0, grid, generator)
        inside = torch.hypot(*positions(grid)) < 0.33
        assert torch.equal(mask[7] == 0, inside)

    def test_share_and_offset(self, generator):
        mask = aug.central_disc(1000, 0.4, (0.3, 0.3), 0.1, SQUARE, generator)
        some = (mask == 0).any(2).any(1)
        assert float(some.float().mean()) == pytest.approx(0.4, abs=0.05)
        x, y = positions(SQUARE)
        hidden = (1 - mask[some]).sum((1, 2))
        middle = torch.stack([((1 - mask[some]) * k).sum((1, 2)) / hidden for k in (x, y)])
        assert 0.09 < middle.abs().max() < 0.102
        assert middle.mean(1).abs().max() < 0.02


def test_blocked_on_square_pixels(generator):
    mask = aug.blocked(50, 1.0, SQUARE, generator)
    assert (mask[:, 79:81, 79:81] == 0).all()  # the disc
    assert (mask.mean((1, 2)) > 0.9).all()
