import numpy as np
import pytest

from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.indexing.refinement._photometry_kernel import score_nodes
from pyxem_cnn.indexing.refinement.photometry import Apertures
from pyxem_cnn.simulation.rendering import render_polar

GRID = PolarGrid(n_radial=16, n_azimuthal=96, k_min=0.15, k_max=1.2)
SIGMA = 0.035


@pytest.fixture(scope="module")
def apertures():
    return Apertures(GRID, SIGMA, np.zeros((1, 2)))


def spots(k, counts):
    k = np.asarray(k, dtype=float)[None]
    return render_polar(k, np.asarray(counts, dtype=float)[None], np.full(1, SIGMA), GRID)


def test_aperture_catches_what_it_says(apertures) -> None:
    radius, azimuth = GRID.radii[8], GRID.azimuths[30]
    counts = spots([[radius * np.cos(azimuth), radius * np.sin(azimuth)]], [1000.0])
    maps = apertures(counts, np.ones_like(counts))
    assert maps.counts[0].argmax() == 8 * GRID.n_azimuthal + 30
    assert maps.counts[0, 8, 30] == pytest.approx(1000 * apertures.caught[8], rel=1e-3)


def test_aperture_is_the_sum_over_its_bins(apertures, rng) -> None:
    counts = rng.poisson(2.0, (1, *GRID.shape)).astype(np.float32)
    maps = apertures(counts, np.ones_like(counts))
    i, j = 5, 77
    weight = spots([[GRID.radii[i] * np.cos(GRID.azimuths[j]),
                     GRID.radii[i] * np.sin(GRID.azimuths[j])]], [1.0])[0]  # fmt: skip
    weight /= weight.max()
    assert maps.counts[0, i, j] == pytest.approx((weight * counts[0]).sum(), rel=1e-3)


def test_background_leaves_spots_out(apertures) -> None:
    flat = np.broadcast_to(400 * GRID.bin_areas, (1, *GRID.shape))
    counts = (flat + spots([[0.6, 0.1], [-0.3, 0.5]], [800.0, 500.0])).astype(np.float32)
    maps = apertures(counts, np.ones_like(counts))
    # The mean of a ring is far off where it has a spot.
    assert (counts.mean(-1) / flat.mean(-1)).max() > 3
    assert maps.of_bins[0] == pytest.approx(flat[0], rel=0.4)
    assert maps.of_bins[0, [0, -1]] == pytest.approx(flat[0, [0, -1]], rel=1e-3)


def test_masked_apertures_have_no_background(apertures) -> None:
    share = np.ones((1, *GRID.shape), dtype=np.float32)
    share[:, :, 20:40] = 0
    counts = (share * 5).astype(np.float32)
    maps = apertures(counts, share)
    assert np.all(maps.background[0, 8, 25:35] == 0)
    assert np.all(maps.background[0, 8, 60:90] > 0)


@pytest.mark.parametrize("distortion", [(0, 0, 0), (0.02, -0.015, 0.02)])
def test_score_finds_turn_and_depth(apertures, distortion) -> None:
    generator = np.random.default_rng(1)
    radius, azimuth = generator.uniform(0.25, 1.1, (2, 12)), generator.uniform(0, 6.2, (2, 12))
    intensity = generator.uniform(0, 1, (2, 3, 12)).astype(np.float32)
    angle = azimuth[1] + 0.04
    k = np.stack([radius[1] * np.cos(angle), radius[1] * np.sin(angle)], axis=-1)
    k = (1 + distortion[2]) * k + np.array(distortion[:2])
    counts = spots(k, 3000 * intensity[1, 2]) + (200 * GRID.bin_areas).astype(np.float32)
    maps = apertures(counts, np.ones_like(counts))
    turns = np.array([-0.12, -0.06, 0.0, 0.06, 0.12])
    out = np.zeros((2, 5, 3))
    score_nodes(
        maps.counts, maps.background, apertures.caught, np.array([distortion], dtype=float),
        np.zeros(2, int), np.arange(2), np.full(2, -0.02), turns, radius, azimuth, intensity,
        GRID.k_min, GRID.radial_step, out
    )  # fmt: skip
    assert np.unravel_index(out.argmax(), out.shape) == (1, 3, 2)
    if any(distortion):
        known = out.max()
        score_nodes(
            maps.counts, maps.background, apertures.caught, np.zeros((1, 3)), np.zeros(2, int),
            np.arange(2), np.full(2, -0.02), turns, radius, azimuth, intensity, GRID.k_min,
            GRID.radial_step, out
        )  # fmt: skip
        assert known > out.max()
