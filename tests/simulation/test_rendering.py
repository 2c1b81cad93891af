"""The renderers against brute-force integrals over the bins."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid
from pyxem_cnn.simulation.rendering import render_cartesian, render_polar

GRID = PolarGrid(n_radial=14, n_azimuthal=48, k_min=0.2, k_max=1.6)


def one(kx, ky, sigma, intensity=1.0, grid=GRID, **discs):
    discs = {key: np.array([value]) for key, value in discs.items()}
    return render_polar(
        np.array([[[kx, ky]]]), np.array([[intensity]]), np.array([sigma]), grid, **discs
    )[0]


def brute_force(density, grid=GRID, n=24):
    """Integrate a density(kx, ky) over the bins with n x n samples in each."""
    r = grid.k_min + (np.arange(grid.n_radial * n) + 0.5) * grid.radial_step / n
    a = (np.arange(grid.n_azimuthal * n) + 0.5) * grid.azimuthal_step / n - grid.azimuthal_step / 2
    r, a = np.meshgrid(r, a, indexing="ij")
    value = density(r * np.cos(a), r * np.sin(a)) * r
    value = value * grid.radial_step * grid.azimuthal_step / n**2
    return value.reshape(grid.n_radial, n, grid.n_azimuthal, n).sum(axis=(1, 3))


def gaussian(kx, ky, sigma):
    return lambda x, y: (
        np.exp(-((x - kx) ** 2 + (y - ky) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    )


def moments(content, grid=GRID):
    """Return total, centroid and the two mean square distances from it, from bin contents."""
    x = grid.radii[:, None] * np.cos(grid.azimuths)
    y = grid.radii[:, None] * np.sin(grid.azimuths)
    total = content.sum(dtype=np.float64)
    mean = np.array([(content * x).sum(), (content * y).sum()]) / total
    spread = [(content * (x - mean[0]) ** 2).sum(), (content * (y - mean[1]) ** 2).sum()]
    return total, mean, np.array(spread) / total


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("azimuth", [0.0, 0.07, 2.0, -3.14])
def test_gaussian_against_brute_force(sigma, azimuth):
    k = 0.83 * np.cos(azimuth), 0.83 * np.sin(azimuth)
    expected = brute_force(gaussian(*k, sigma))
    found = one(*k, sigma)
    # A round spot is a product in polar coordinates only to first order in sigma / k: 0.6 sigma / k
    # is the sum of all differences, as measured from 0.01 to 0.2; more would be a mistake.
    assert np.abs(found - expected).sum() < 0.62 * sigma / 0.83
    assert found.sum() == pytest.approx(1, abs=1e-5)


def test_many_spots_add_up(rng):
    k = rng.uniform(-0.9, 0.9, size=(1, 6, 2))
    k = k[:, np.hypot(k[0, :, 0], k[0, :, 1]) > 0.45]
    weight = rng.uniform(1, 9, size=k.shape[:2])
    expected = sum(
        w * brute_force(gaussian(*xy, 0.03)) for xy, w in zip(k[0], weight[0], strict=True)
    )
    found = render_polar(k, weight, np.array([0.03]), GRID)[0]
    assert np.abs(found - expected).sum() < 0.03 * expected.sum()
    assert found.sum() == pytest.approx(weight.sum(), rel=1e-5)


def test_very_narrow_spot_lies_in_its_bin():
    for ring, wedge in ((0, 0), (3, 47), (13, 24), (7, 11)):
        r, a = GRID.radii[ring], GRID.azimuths[wedge]
        content = one(r * np.cos(a), r * np.sin(a), 1e-4, 5.0)
        assert content[ring, wedge] == pytest.approx(5, rel=1e-5)
        assert content.sum() == pytest.approx(5, rel=1e-5)


def test_edges_of_the_grid_cut_spots():
    expected = brute_force(gaussian(GRID.k_min, 0, 0.01))
    assert one(GRID.k_min, 0, 0.01).sum() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(one(GRID.k_min, 0, 0.01), expected, atol=0.03)
    assert one(0, GRID.k_max, 0.01).sum() == pytest.approx(0.5, abs=1e-3)
    assert one(0, GRID.k_max + 0.1, 0.01).sum() == 0
    assert one(0.1, 0, 0.01).sum() == 0


def test_azimuth_is_counterclockwise_with_y_up():
    content = one(0, 0.9, 0.01)
    assert np.unravel_index(content.argmax(), content.shape)[1] == GRID.n_azimuthal // 4


@pytest.mark.parametrize("radius", [None, 0.07])
def test_turning_by_one_bin_rolls_by_one(radius, rng):
    k = rng.uniform(-1, 1, size=(3, 8, 2))
    weight = rng.uniform(size=(3, 8))
    sigma = np.full(3, 0.02)
    step = GRID.azimuthal_step
    turn = np.array([[np.cos(step), -np.sin(step)], [np.sin(step), np.cos(step)]])
    discs = [(), ()]
    if radius is not None:
        ring = rng.uniform(size=3)
        discs = [(np.full(3, radius), ring), (np.full(3, radius), ring + step)]
    before = render_polar(k, weight, sigma, GRID, *discs[0])
    after = render_polar(k @ turn.T, weight, sigma, GRID, *discs[1])
    np.testing.assert_allclose(after, np.roll(before, 1, axis=-1), atol=2e-5)


class TestDiscs:
    FINE = PolarGrid(n_radial=280, n_azimuthal=1024, k_min=0.2, k_max=1.6)

    @pytest.mark.parametrize("turn", [0.0, 0.4])
    def test_total_centroid_and_second_moment(self, turn):
        radius = 0.12
        content = one(0.6, 0.5, 9.0, 3.0, self.FINE, disc_radius=radius, ring_turn=turn)
        total, mean, spread = moments(content, self.FINE)
        assert total == pytest.approx(3, rel=1e-4)
        np.testing.assert_allclose(mean, [0.6, 0.5], atol=2e-3)
        # A uniform disc: radius^2 / 4 along every axis.
        np.testing.assert_allclose(spread, radius**2 / 4, rtol=0.03)

    def test_against_a_uniform_disc(self):
        radius = 0.2

        def disc(x, y):
            return (np.hypot(x - 0.6, y - 0.5) < radius) / (np.pi * radius**2)

        expected = brute_force(disc)
        found = one(0.6, 0.5, 9.0, disc_radius=radius)
        # Seven Gaussians, not a disc: a sixth of the electrons may lie elsewhere, not a third.
        assert np.abs(found - expected).sum() / 2 < 0.17

    def test_zero_radius_is_a_gaussian(self):
        np.testing.assert_array_equal(
            one(0.5, 0.3, 0.03, disc_radius=0.0, ring_turn=0.2), one(0.5, 0.3, 0.03)
        )

    def test_each_pattern_has_its_own(self):
        k = np.tile([[[0.6, 0.5]]], (2, 1, 1))
        both = render_polar(
            k, np.ones((2, 1)), np.full(2, 0.02), GRID, np.array([0.0, 0.1]), np.zeros(2)
        )
        np.testing.assert_array_equal(both[0], one(0.6, 0.5, 0.02))
        np.testing.assert_array_equal(both[1], one(0.6, 0.5, 0.02, disc_radius=0.1, ring_turn=0.0))


def test_padding_and_empty_lists():
    k = np.zeros((2, 4, 2))
    content = render_polar(k, np.zeros((2, 4)), np.full(2, 0.03), GRID)
    assert content.shape == (2, *GRID.shape)
    assert content.dtype == np.float32
    assert not content.any()
    assert render_polar(k[:0], np.zeros((0, 4)), np.zeros(0), GRID).shape == (0, *GRID.shape)
    assert render_polar(k[:, :0], np.zeros((2, 0)), np.ones(2), GRID).sum() == 0


def test_arguments_are_left_alone(rng):
    k, weight = rng.uniform(-1, 1, (2, 5, 2)).astype(np.float32), np.ones((2, 5), np.float32)
    before = k.copy()
    render_polar(k, weight, np.full(2, 0.05, np.float32), GRID)
    np.testing.assert_array_equal(k, before)
    assert (weight == 1).all()


def disc_points(n, radius, turn=0.0):
    """Return points that cover a disc evenly (a sunflower), shape (n, 2)."""
    i = np.arange(n) + 0.5
    r, a = radius * np.sqrt(i / n), i * np.pi * (3 - np.sqrt(5)) + turn
    return np.stack([r * np.cos(a), r * np.sin(a)], axis=-1)


class TestDiscsWithStructure:
    FINE = PolarGrid(n_radial=280, n_azimuthal=1024, k_min=0.2, k_max=1.6)
    RADIUS = 0.12

    def render(self, intensity, tilts, sigma=0.0, radius=RADIUS):
        return render_polar(
            np.array([[[0.6, 0.5]]]),
            np.asarray(intensity)[None, None],
            np.array([sigma]),
            self.FINE,
            disc_radius=None if radius is None else np.array([radius]),
            tilts=tilts[None],
        )[0]

    @pytest.mark.parametrize("n", [7, 19, 61])
    @pytest.mark.parametrize("radius", [RADIUS, None])
    def test_even_points_make_an_even_disc(self, n, radius):
        points = disc_points(n, self.RADIUS)
        total, mean, spread = moments(
            self.render(np.full(n, 3 / n), points, radius=radius), self.FINE
        )
        assert total == pytest.approx(3, rel=1e-4)
        np.testing.assert_allclose(mean, points.mean(axis=0) + [0.6, 0.5], atol=2e-3)
        # The points have the disc's own second moment, and each is widened by its square.
        expected = self.RADIUS**2 * (1 / 4 + np.pi / (12 * n))
        np.testing.assert_allclose(spread.mean(), expected, rtol=0.03)

    def test_points_that_lie_too_far_inside_are_widened_more(self):
        points = disc_points(19, 0.8 * self.RADIUS)
        _, _, spread = moments(self.render(np.ones(19), points), self.FINE)
        np.testing.assert_allclose(spread.mean(), self.RADIUS**2 / 4, rtol=0.03)

    def test_the_bright_side_is_on_the_side_of_its_tilt(self):
        points = disc_points(19, self.RADIUS)
        right = (points[:, 0] > 0.3 * self.RADIUS).astype(float)
        _, mean, _ = moments(self.render(right, points), self.FINE)
        expected = points[right > 0].mean(axis=0) + [0.6, 0.5]
        np.testing.assert_allclose(mean, expected, atol=2e-3)

    def test_structure_against_brute_force(self):
        # A linear slope across the disc, as of a rocking curve's flank.
        points = disc_points(91, self.RADIUS)
        slope = 1 + 6 * points[:, 0]

        def density(x, y):
            x, y = x - 0.6, y - 0.5
            return (1 + 6 * x) * (np.hypot(x, y) < self.RADIUS) / (np.pi * self.RADIUS**2)

        coarse = PolarGrid(n_radial=14, n_azimuthal=48, k_min=0.2, k_max=1.6)
        found = render_polar(
            np.array([[[0.6, 0.5]]]),
            slope[None, None] / 91,
            np.zeros(1),
            coarse,
            disc_radius=np.array([self.RADIUS]),
            tilts=points[None],
        )[0]
        assert np.abs(found - brute_force(density, coarse)).sum() < 0.08

    def test_point_spread_is_added(self):
        points = disc_points(19, self.RADIUS)
        _, _, sharp = moments(self.render(np.ones(19), points), self.FINE)
        _, _, blurred = moments(self.render(np.ones(19), points, sigma=0.03), self.FINE)
        np.testing.assert_allclose(blurred - sharp, 0.03**2, rtol=0.05)

    def test_single_tilt_is_one_gaussian(self):
        np.testing.assert_allclose(
            self.render([2.0], np.zeros((1, 2)), sigma=0.02, radius=None),
            one(0.6, 0.5, 0.02, 2.0, self.FINE),
        )

    def test_shapes_are_checked(self):
        with pytest.raises(ValueError, match="intensity: got .*expected shape"):
            self.render(np.ones(6), disc_points(7, 0.1))
        with pytest.raises(ValueError, match="intensity"):
            render_polar(np.zeros((1, 2, 2)), np.zeros((1, 3)), np.ones(1), GRID)


class TestCartesian:
    GRID = CartesianGrid(shape=(40, 60), scale=0.05)

    def pixels(self, n=16):
        """Return kx and ky of n x n samples in every pixel."""
        rows, columns = self.GRID.shape
        x = ((np.arange(columns * n) + 0.5) / n - columns / 2) * self.GRID.scale
        y = (rows / 2 - (np.arange(rows * n) + 0.5) / n) * self.GRID.scale
        return np.meshgrid(x, y)

    def brute_force(self, density, n=16):
        rows, columns = self.GRID.shape
        value = density(*self.pixels(n)) * (self.GRID.scale / n) ** 2
        return value.reshape(rows, n, columns, n).sum(axis=(1, 3))

    @pytest.mark.parametrize(("kx", "ky"), [(0.31, 0.52), (-1.2, -0.7), (1.49, 0.0), (0.0, 0.99)])
    @pytest.mark.parametrize("sigma", [0.03, 0.08])
    def test_gaussian_against_brute_force(self, kx, ky, sigma):
        found = render_cartesian(
            np.array([[[kx, ky]]]), np.ones((1, 1)), np.array([sigma]), self.GRID
        )[0]
        np.testing.assert_allclose(found, self.brute_force(gaussian(kx, ky, sigma)), atol=2e-4)

    def test_pixels_are_those_of_the_grid(self, rng):
        k = rng.uniform(-1, 1, size=(1, 9, 2))
        content = render_cartesian(k, np.ones((1, 9)), np.array([1e-4]), self.GRID)[0]
        bins = self.GRID.find_bins(k[0, :, 0], k[0, :, 1])
        expected = np.bincount(bins, minlength=content.size).reshape(content.shape)
        np.testing.assert_allclose(content, expected, atol=1e-5)

    @pytest.mark.parametrize("discs", [{}, {"disc_radius": np.full(1, 0.1)}])
    def test_same_integral_and_centroid_as_polar(self, discs, rng):
        k = np.array([[[0.5, 0.4]]])
        fine = PolarGrid(n_radial=280, n_azimuthal=1024, k_min=0.2, k_max=1.6)
        polar = moments(render_polar(k, np.ones((1, 1)), np.full(1, 0.03), fine, **discs)[0], fine)
        image = render_cartesian(k, np.ones((1, 1)), np.full(1, 0.03), self.GRID, **discs)[0]
        x, y = self.pixels(1)
        assert image.sum() == pytest.approx(polar[0], rel=1e-4)
        mean = [(image * x).sum(), (image * y).sum()]
        np.testing.assert_allclose(mean, polar[1], atol=2e-3)

    def test_empty(self):
        content = render_cartesian(np.zeros((2, 0, 2)), np.zeros((2, 0)), np.ones(2), self.GRID)
        assert content.shape == (2, 40, 60)
        assert not content.any()
