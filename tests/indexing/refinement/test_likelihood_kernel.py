from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.indexing.refinement.local_fit import BinnedCounts, Fits, LocalFit
from pyxem_cnn.indexing.refinement.spot_sources import KinematicSource
from pyxem_cnn.rotations import conjugate, from_rotation_vector, multiply, random_quaternions
from pyxem_cnn.simulation.rendering import render_polar
from tests._crystals import crystal

GRID = PolarGrid(n_radial=14, n_azimuthal=96, k_min=0.15, k_max=1.2)
SIGMA = 0.03


@pytest.fixture(scope="module")
def fit():
    source = KinematicSource(crystal("trigonal"), 200, 0.0, GRID.k_max)
    return LocalFit(source, GRID, SIGMA)


def expected_counts(fit, quaternions, depth, electrons=5000.0, background=0.4):
    """Return expected counts, rendered by the public renderer, with a background that falls off."""
    k, intensity, _ = fit.source.calculate(quaternions, np.full((len(quaternions), 1), depth))
    spots = render_polar(k, intensity[:, 0, :, 0], np.full(len(k), SIGMA), GRID)
    flat = np.exp(-GRID.radii / 0.4)[:, None] * GRID.bin_areas
    parts = [a / a.sum(axis=(-2, -1), keepdims=True) for a in (spots, flat[None])]
    return (electrons * ((1 - background) * parts[0] + background * parts[1])).astype(np.float32)


def as_data(counts):
    area = np.broadcast_to(GRID.bin_areas / 0.02**2, counts.shape).astype(np.float32)
    return BinnedCounts(counts, area, np.ones_like(area))


def test_likelihood_is_that_of_a_general_optimiser(fit, rng) -> None:
    q = random_quaternions(1, rng)
    counts = rng.poisson(expected_counts(fit, q, 0.01, 2000)).astype(np.float32)
    data = as_data(counts)
    other = multiply(q, from_rotation_vector(np.array([[0.004, 0.002, 0.01]])))
    gain = fit.likelihood(data, np.zeros(1, int), other, np.array([[0.012]]))[0, 0]
    k, intensity, _ = fit.source.calculate(other, np.array([[0.012]]))
    spots = render_polar(k, intensity[:, 0, :, 0], np.full(1, SIGMA), GRID)[0].astype(float)
    spots /= spots.sum()
    n, area = counts[0].astype(float), data.area[0].astype(float)
    mean = n.sum(1) / area.sum(1)

    def loss(parameters):
        scale, *levels = np.exp(parameters)
        value = 1000 * scale * spots + (np.array(levels) * mean)[:, None] * area
        return (value - n * np.log(value)).sum()

    bounds = [(-5, 2)] + [(np.log(0.03), 1)] * GRID.n_radial
    best = minimize(loss, np.zeros(1 + GRID.n_radial) - 0.5, bounds=bounds, method="L-BFGS-B")
    flat = mean[:, None] * area
    reference = (flat - n * np.log(flat)).sum() - best.fun
    assert reference > 300
    assert gain == pytest.approx(reference, abs=0.5)


def test_gradient_and_curvature_are_those_of_the_likelihood(fit, rng) -> None:
    q, depth = random_quaternions(3, rng), np.full(3, 0.01)
    data = as_data(expected_counts(fit, q, 0.01))
    start = multiply(q, from_rotation_vector(np.tile([0.0006, -0.0004, 0.002], (3, 1))))
    which = np.arange(3)
    left, right, gain = fit._equations(
        data, which, Fits(start, depth, np.zeros(3), np.zeros((3, 3)))
    )
    assert gain == pytest.approx(fit.likelihood(data, which, start, depth[:, None])[:, 0], rel=1e-5)
    for axis, step in enumerate((2e-4, 2e-4, 1e-3)):
        sides = [
            fit.likelihood(
                data, which, multiply(start, from_rotation_vector(s * step * np.eye(3)[axis])),
                depth[:, None],
            )[:, 0]
            for s in (1, -1)
        ]  # fmt: skip
        numeric = (sides[0] - sides[1]) / (2 * step)
        scale = np.sqrt(left[:, axis, axis])
        # In standard errors of the parameter.
        assert right[:, axis] / scale == pytest.approx(numeric / scale, abs=0.35)
    deeper = fit.likelihood(data, which, start, depth[:, None] + [[5e-4, -5e-4]])
    numeric = (deeper[:, 0] - deeper[:, 1]) / 1e-3
    scale = np.sqrt(left[:, 3, 3])
    assert right[:, 3] / scale == pytest.approx(numeric / scale, abs=0.35)


def test_known_background_gives_nearly_the_same_differences(fit, rng) -> None:
    q = random_quaternions(1, rng)
    counts = expected_counts(fit, q, 0.01)
    data = as_data(counts)
    flat = np.exp(-GRID.radii / 0.4)[:, None] * GRID.bin_areas
    known = (2000 * flat / flat.sum())[None].astype(np.float32)
    depths = np.array([[0.006, 0.01, 0.02]])
    fast = fit.gain_on(data, known, np.zeros(1, int), q, depths)[0]
    slow = fit.likelihood(data, np.zeros(1, int), q, depths)[0]
    assert fast.argmax() == slow.argmax() == 1
    assert np.diff(fast) == pytest.approx(np.diff(slow), rel=0.5)


def test_masked_bins_do_not_count(fit, rng) -> None:
    q = random_quaternions(1, rng)
    counts = expected_counts(fit, q, 0.01)
    data = as_data(counts)
    masked = np.zeros(GRID.shape, dtype=bool)
    masked[:, 10:30] = True
    data = BinnedCounts(*(np.where(masked, np.float32(0), part) for part in data))
    one = fit.likelihood(data, np.zeros(1, int), q, np.array([[0.01]]))[0, 0]
    # What is drawn into masked bins changes nothing.
    data.counts[:, masked] = 1e4
    data.counts[data.area == 0] = 0
    assert fit.likelihood(data, np.zeros(1, int), q, np.array([[0.01]]))[0, 0] == one
    assert 0 < one < fit.likelihood(as_data(counts), np.zeros(1, int), q, np.array([[0.01]]))[0, 0]


def test_nothing_at_all_is_no_gain(fit) -> None:
    data = as_data(np.zeros((1, *GRID.shape), np.float32))
    q = np.array([[1.0, 0, 0, 0]])
    assert fit.likelihood(data, np.zeros(1, int), q, np.array([[0.01]]))[0, 0] == 0


def test_fit_leads_back(fit, rng) -> None:
    q = random_quaternions(4, rng)
    data = as_data(expected_counts(fit, q, 0.01))
    start = multiply(q, from_rotation_vector(np.tile(np.deg2rad([0.06, -0.05, 0.5]), (4, 1))))
    which = np.arange(4)
    fits = fit(data, which, Fits(start, np.full(4, 0.013), np.zeros(4), np.zeros((4, 3))), 8)
    turn = multiply(q * [1, -1, -1, -1], fits.quaternions)
    assert np.rad2deg(2 * np.linalg.norm(turn[:, 1:], axis=1)).max() < 0.03
    assert fits.depths == pytest.approx(0.01, rel=0.05)


@pytest.fixture
def free(fit):
    return replace(fit, geometry_error=(0.02, 0.015))


def test_gradient_of_centre_and_stretch(fit, free, rng) -> None:
    q, depth = random_quaternions(3, rng), np.full((3, 1), 0.01)
    data, which = as_data(expected_counts(fit, q, 0.01)), np.arange(3)
    here = np.tile([0.006, -0.004, 0.005], (3, 1))
    left, right, gain = free._equations(data, which, Fits(q, depth[:, 0], np.zeros(3), here))

    def probability(distortion):
        found = free.likelihood(data, which, q, depth, distortion)[:, 0]
        error = np.array([0.02, 0.02, 0.015])
        return found - np.square(distortion / error).sum(1) / 2

    assert gain == pytest.approx(probability(here), rel=1e-5)
    for axis in range(3):
        step = 1e-3 * np.eye(3)[axis]
        numeric = (probability(here + step) - probability(here - step)) / 2e-3
        scale = np.sqrt(left[:, 4 + axis, 4 + axis])
        assert right[:, 4 + axis] / scale == pytest.approx(numeric / scale, abs=0.6)


def test_centre_and_stretch_are_found(fit, free, rng) -> None:
    """And the orientation with them, which it is not where the geometry is taken for right."""
    q, depth, which = random_quaternions(4, rng), np.full(4, 0.01), np.arange(4)
    truth = np.tile([0.015, -0.012, 0.015], (4, 1))
    k, intensity, _ = fit.source.calculate(q, depth[:, None])
    k = (1 + truth[:, None, 2:]) * k + truth[:, None, :2]
    spots = render_polar(k, intensity[:, 0, :, 0], np.full(4, SIGMA), GRID)
    spots *= 4000 / spots.sum(axis=(1, 2), keepdims=True)
    data = as_data((spots + 0.5 * GRID.bin_areas).astype(np.float32))
    turned = multiply(q, from_rotation_vector(np.tile(np.deg2rad([0.06, -0.05, 0.5]), (4, 1))))
    start = Fits(turned, np.full(4, 0.013), np.zeros(4), np.zeros((4, 3)))
    fits, stiff = free(data, which, start, 10), fit(data, which, start, 10)
    assert fits.distortion == pytest.approx(truth, abs=2e-3)
    assert not stiff.distortion.any()
    off = [
        2 * np.linalg.norm(multiply(conjugate(q), x.quaternions)[:, 1:], axis=1)
        for x in (fits, stiff)
    ]
    assert np.rad2deg(off[0]).max() < 0.05
    assert np.rad2deg(np.median(off[1])) > 2 * np.rad2deg(np.median(off[0]))
