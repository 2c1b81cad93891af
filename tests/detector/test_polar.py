"""Grids, the resampling operator, and polar patterns as its source."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import (
    MINIMUM_COVERAGE,
    CartesianGrid,
    PolarGeometry,
    PolarGrid,
    ResamplingOperator,
    grid_from_dict,
)

SMALL_GRID = PolarGrid(n_radial=5, n_azimuthal=8, k_min=0.15, k_max=0.85)
# Off centre, with oblong pixels; its corners reach beyond the grid and one side does not.
SMALL = DetectorGeometry(shape=(14, 17), center=(9.3, 5.8), scale=(0.1, 0.08))


def image_of(geometry, function):
    """Return an image whose pixels hold function(kx, ky), by the definition of the lab frame."""
    rows, columns = np.mgrid[: geometry.shape[0], : geometry.shape[1]]
    kx = (columns - geometry.center[0]) * geometry.scale[0]
    ky = -(rows - geometry.center[1]) * geometry.scale[1]
    return function(kx, ky)


def brute_force(image, mask, center, scale, grid, m=40):
    """Return means, coverage and sums of a polar grid by plain loops over subpixels."""
    total, valid, everything = (np.zeros(grid.shape) for _ in range(3))
    ny, nx = image.shape
    offsets = (np.arange(m) + 0.5) / m - 0.5
    reach = 14
    for row in range(-reach, ny + reach):
        for column in range(-reach, nx + reach):
            seen = 0 <= row < ny and 0 <= column < nx and not mask[row, column]
            for dy in offsets:
                ky = -(row + dy - center[1]) * scale[1]
                kx = (column + offsets - center[0]) * scale[0]
                radius, azimuth = np.hypot(kx, ky), np.arctan2(ky, kx)
                ring = (radius - grid.k_min) / (grid.k_max - grid.k_min) * grid.n_radial
                wedge = np.round(azimuth / (2 * np.pi) * grid.n_azimuthal) % grid.n_azimuthal
                for r, w in zip(ring, wedge, strict=True):
                    if 0 <= r < grid.n_radial:
                        everything[int(r), int(w)] += 1 / m**2
                        if seen:
                            valid[int(r), int(w)] += 1 / m**2
                            total[int(r), int(w)] += image[row, column] / m**2
    return total / np.maximum(valid, 1e-12), valid / everything, total


# --- Grids


def test_polar_grid_bins():
    grid = PolarGrid(n_radial=3, n_azimuthal=4, k_min=0.1, k_max=0.7)
    np.testing.assert_allclose(grid.radial_edges, [0.1, 0.3, 0.5, 0.7])
    np.testing.assert_allclose(grid.radii, [0.2, 0.4, 0.6])
    np.testing.assert_allclose(grid.azimuths, [0, np.pi / 2, np.pi, 3 * np.pi / 2])
    assert grid.shape == (3, 4)
    np.testing.assert_allclose(grid.bin_areas.sum(), np.pi * (0.7**2 - 0.1**2))


def test_polar_grid_find_bins_is_counterclockwise_with_y_up():
    grid = PolarGrid(n_radial=1, n_azimuthal=4, k_min=0.1, k_max=0.7)
    kx = np.array([0.5, 0, -0.5, 0, 0.05, 0.8, 0.5, 0.5])
    ky = np.array([0, 0.5, 0, -0.5, 0, 0, 0.4, -0.4])
    np.testing.assert_array_equal(grid.find_bins(kx, ky), [0, 1, 2, 3, -1, -1, 0, 0])


def test_cartesian_grid_find_bins_has_y_up():
    grid = CartesianGrid(shape=(2, 4), scale=0.1)
    kx = np.array([-0.19, -0.05, 0.05, 0.19, 0.21, 0.05])
    ky = np.array([0.05, -0.05, 0.05, -0.09, 0, 0.11])
    np.testing.assert_array_equal(grid.find_bins(kx, ky), [0, 5, 2, 7, -1, -1])


@pytest.mark.parametrize("grid", [PolarGrid(7, 12, 0.2, 1.1), CartesianGrid((20, 30), 0.04)])
def test_grid_dictionary_is_json_and_comes_back(grid):
    import json

    assert grid_from_dict(json.loads(json.dumps(grid.to_dict()))) == grid


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: PolarGrid(n_radial=0), "n_radial: got 0, expected a positive whole number"),
        (lambda: PolarGrid(n_azimuthal=2.5), "n_azimuthal: got 2.5, expected a positive whole"),
        (lambda: PolarGrid(k_min=2, k_max=1), r"k_min, k_max: got \(2, 1\), expected 0 <= k_min"),
        (lambda: PolarGrid(k_max=np.nan), "k_min, k_max: .* expected 0 <= k_min < k_max"),
        (lambda: CartesianGrid(shape=(3,)), "shape: got .* expected two positive whole numbers"),
        (lambda: CartesianGrid(shape=(3, -1)), "shape: got -1, expected a positive whole number"),
        (lambda: CartesianGrid(scale=0), "scale: got 0, expected a positive number"),
        (lambda: grid_from_dict({"kind": "log"}), "kind of grid: got 'log', expected one of"),
        (lambda: grid_from_dict({}), "kind of grid: got None"),
        (lambda: grid_from_dict({"kind": "polar", "n": 3}), r"keys of a polar grid: got \['n'\]"),
    ],
)
def test_grid_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()


# --- The operator against independent sums


@pytest.fixture(scope="module")
def small_case():
    rng = np.random.default_rng(3)
    image = rng.poisson(30, SMALL.shape).astype(np.uint16)
    mask = np.zeros(SMALL.shape, dtype=bool)
    mask[3:6, 10:14] = True
    geometry = DetectorGeometry(SMALL.shape, SMALL.center, SMALL.scale, mask=mask)
    return geometry, image, brute_force(image, mask, SMALL.center, SMALL.scale, SMALL_GRID)


def test_operator_equals_brute_force(small_case):
    geometry, image, (means, coverage, _) = small_case
    values, found_coverage = ResamplingOperator(geometry, SMALL_GRID)(image[np.newaxis])
    assert values.shape == (1, 5, 8)
    assert values.dtype == found_coverage.dtype == np.float32
    certain = np.abs(coverage - MINIMUM_COVERAGE) > 0.02
    used = coverage >= MINIMUM_COVERAGE
    assert 0 < (used & certain).sum() < used.size, "the case has to have masked bins and others"
    # The subpixels of operator (8 along a bin) and reference (40 along a pixel) differ.
    np.testing.assert_allclose(
        values[0][used & certain], means[used & certain], rtol=0.02, atol=0.3
    )
    np.testing.assert_allclose(found_coverage[used & certain], coverage[used & certain], atol=0.03)
    assert np.all(values[0][~used & certain] == 0)
    assert np.all(found_coverage[~used & certain] == 0)


def test_counts_are_conserved_on_a_grid_that_covers_all(rng):
    geometry = DetectorGeometry((30, 26), (12.2, 15.9), 0.04)
    image = np.zeros((1, 30, 26))
    image[0, 8:23, 6:19] = rng.random((15, 13))
    grid = PolarGrid(n_radial=3, n_azimuthal=6, k_min=0, k_max=0.48)
    values, coverage = ResamplingOperator(geometry, grid)(image)
    assert np.all(coverage > 0.99)
    pixels = grid.bin_areas / geometry.pixel_area
    # Areas of bins are exact here and sums of subpixels in the operator.
    np.testing.assert_allclose((values[0] * pixels).sum(), image.sum(), rtol=2e-3)


@pytest.mark.parametrize("grid", [PolarGrid(), CartesianGrid((60, 60), 0.0471)])
def test_a_constant_stays_constant(grid):
    geometry = DetectorGeometry((128, 128), (63.2, 64.9), 0.025)
    values, coverage = ResamplingOperator(geometry, grid)(np.full((1, 128, 128), 7, dtype=np.uint8))
    np.testing.assert_allclose(values[0][coverage > 0], 7, rtol=1e-5)
    assert np.all(values[0][coverage == 0] == 0)


def test_coverage_of_a_disc_inside_and_outside_the_detector():
    geometry = DetectorGeometry((64, 64), (31.5, 31.5), 0.05)
    grid = PolarGrid(n_radial=20, n_azimuthal=64, k_min=0.1, k_max=3.0)
    coverage = ResamplingOperator(geometry, grid).coverage
    np.testing.assert_array_equal(coverage[grid.radial_edges[1:] < 1.6], 1)
    np.testing.assert_array_equal(coverage[grid.radial_edges[:-1] > 1.6 * np.sqrt(2)], 0)
    # In between, the corners are seen (azimuth 45 degrees) and the sides are not.
    ring = np.searchsorted(grid.radial_edges, 1.9) - 1
    assert coverage[ring, 8] == 1
    assert coverage[ring, 0] == 0


def test_smooth_pattern_is_sampled_at_the_bins():
    # A function that hardly varies over a bin: the bin holds its value at the bin's middle.
    def function(kx, ky):
        return 100 + 20 * kx + 15 * ky

    geometry = DetectorGeometry((100, 120), (61.3, 48.2), (0.02, 0.025))
    grid = PolarGrid(n_radial=10, n_azimuthal=36, k_min=0.2, k_max=0.9)
    values, coverage = ResamplingOperator(geometry, grid)(image_of(geometry, function)[np.newaxis])
    radius, azimuth = np.meshgrid(grid.radii, grid.azimuths, indexing="ij")
    expected = function(radius * np.cos(azimuth), radius * np.sin(azimuth))
    assert np.all(coverage == 1)
    np.testing.assert_allclose(values[0], expected, atol=0.4)


def test_cartesian_target_of_the_same_pixels_is_the_image():
    rng = np.random.default_rng(0)
    image = rng.poisson(20, (1, 24, 24)).astype(np.float64)
    geometry = DetectorGeometry((24, 24), (11.5, 11.5), 0.05)
    values, coverage = ResamplingOperator(geometry, CartesianGrid((24, 24), 0.05))(image)
    np.testing.assert_allclose(values, image, rtol=1e-6)
    np.testing.assert_array_equal(coverage, 1)


def test_cartesian_target_bins_two_by_two_and_crops():
    rng = np.random.default_rng(0)
    image = rng.poisson(20, (1, 24, 24)).astype(np.float64)
    geometry = DetectorGeometry((24, 24), (11.5, 9.5), 0.05)
    values, coverage = ResamplingOperator(geometry, CartesianGrid((10, 12), 0.1))(image)
    expected = image[0, :20].reshape(10, 2, 12, 2).mean((1, 3))
    np.testing.assert_allclose(values[0], expected, rtol=1e-6)
    np.testing.assert_array_equal(coverage, 1)


# --- Frames


def test_turning_the_image_is_a_circular_shift(rng):
    geometry = DetectorGeometry((40, 40), (19.5, 19.5), 0.04)
    grid = PolarGrid(n_radial=6, n_azimuthal=32, k_min=0.13, k_max=0.71)
    image = rng.random((40, 40))
    operator = ResamplingOperator(geometry, grid)
    # np.rot90 turns counterclockwise as the image is shown, rows down: +90 degrees with y up.
    values, _ = operator(np.stack([image, np.rot90(image)]))
    np.testing.assert_allclose(values[1], np.roll(values[0], 8, axis=-1), rtol=1e-5)


@pytest.mark.parametrize(
    ("turn", "mirror"),
    [
        # kx -> -kx mirrors the azimuth as pi - phi, ky -> -ky as -phi, kx <-> -ky as -pi/2 - phi.
        ({"flip_x": True}, 16),
        ({"flip_y": True}, 0),
        ({"transpose": True}, -8),
    ],
)
def test_flips_and_transpose_mirror_the_azimuth(rng, turn, mirror):
    grid = PolarGrid(n_radial=6, n_azimuthal=32, k_min=0.13, k_max=0.71)
    image = rng.random((1, 40, 40))
    plain = DetectorGeometry((40, 40), (19.5, 19.5), 0.04)
    turned = DetectorGeometry((40, 40), (19.5, 19.5), 0.04, **turn)
    expected, _ = ResamplingOperator(plain, grid)(image)
    values, _ = ResamplingOperator(turned, grid)(image)
    mirrored = expected[..., (mirror - np.arange(32)) % 32]
    np.testing.assert_allclose(values, mirrored, rtol=1e-5)


def test_flips_and_transpose_are_those_of_the_array(rng):
    # Transposing and flipping the array, with the beam where it then lies, is the same.
    image = rng.random((18, 22))
    raw = DetectorGeometry(
        (18, 22), (10.3, 7.6), (0.05, 0.06), transpose=True, flip_x=True, flip_y=True
    )
    made = image.T[::-1, ::-1]
    center = (18 - 1 - 7.6, 22 - 1 - 10.3)
    upright = DetectorGeometry((22, 18), center, (0.06, 0.05))
    grid = PolarGrid(n_radial=4, n_azimuthal=12, k_min=0.1, k_max=0.5)
    values, coverage = ResamplingOperator(raw, grid)(image[np.newaxis])
    expected, expected_coverage = ResamplingOperator(upright, grid)(made[np.newaxis])
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_allclose(coverage, expected_coverage, atol=1e-6)


def test_ellipticity_makes_a_circle_of_an_ellipse():
    angle, ratio, radius = np.deg2rad(30), 1.2, 0.6

    def ellipse(kx, ky):
        along = kx * np.cos(angle) + ky * np.sin(angle)
        across = -kx * np.sin(angle) + ky * np.cos(angle)
        size = np.hypot(along / np.sqrt(ratio), across * np.sqrt(ratio))
        return np.exp(-((size - radius) ** 2) / 2 / 0.03**2)

    plain = DetectorGeometry((128, 128), (63.5, 63.5), 0.015)
    image = image_of(plain, ellipse)[np.newaxis]
    grid = PolarGrid(n_radial=30, n_azimuthal=24, k_min=0.3, k_max=0.9)
    corrected = DetectorGeometry(
        (128, 128), (63.5, 63.5), 0.015, ellipticity=ratio, ellipse_angle=30
    )

    def spread(geometry):
        values, coverage = ResamplingOperator(geometry, grid)(image)
        assert np.all(coverage > 0.9)
        means = (values[0] * grid.radii[:, np.newaxis]).sum(0) / values[0].sum(0)
        return means.mean(), np.ptp(means)

    assert spread(plain)[1] > 0.08
    mean, width = spread(corrected)
    assert width < 0.004
    assert abs(mean - radius) < 0.004


# --- Data types, masks, bad numbers


DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4", ">i4"]


@pytest.fixture(scope="module")
def small_operator():
    return ResamplingOperator(SMALL, SMALL_GRID)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_gives_the_same(small_operator, dtype):
    counts = np.random.default_rng(1).integers(0, 100, (11, *SMALL.shape))
    expected = (small_operator.matrix @ counts.reshape(11, -1).T.astype(float)).T
    given = counts.astype(dtype)
    before = given.copy()
    values, _ = small_operator(given)
    np.testing.assert_allclose(values.reshape(11, -1), expected, rtol=1e-5)
    np.testing.assert_array_equal(given, before)
    shifted, _ = small_operator(given, np.zeros((11, 2)))
    np.testing.assert_allclose(shifted, values, rtol=1e-5)


def test_bool_counts_as_zero_and_one(small_operator, rng):
    counts = rng.random((2, *SMALL.shape)) < 0.4
    np.testing.assert_allclose(small_operator(counts)[0], small_operator(counts * 1.0)[0])


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 31, 32, 33, 49])
def test_patterns_do_not_depend_on_their_block(small_operator, rng, n):
    counts = rng.poisson(5, (n, *SMALL.shape)).astype(np.uint16)
    shifts = rng.uniform(-2, 2, (n, 2))
    values, coverage = small_operator(counts)
    assert values.shape == (n, *SMALL_GRID.shape)
    assert coverage.shape == SMALL_GRID.shape
    moved, moved_coverage = small_operator(counts, shifts)
    assert moved.shape == moved_coverage.shape == (n, *SMALL_GRID.shape)
    for i in range(n):
        one = slice(i, i + 1)
        np.testing.assert_array_equal(small_operator(counts[one])[0], values[one])
        alone, alone_coverage = small_operator(counts[one], shifts[one])
        np.testing.assert_array_equal(alone, moved[one])
        np.testing.assert_array_equal(alone_coverage, moved_coverage[one])


def test_strided_and_read_only_blocks(small_operator, rng):
    counts = rng.poisson(5, (6, 14, 34)).astype(np.uint16)
    view = counts[::2, :, ::2]
    read_only = view.copy()
    read_only.setflags(write=False)
    np.testing.assert_array_equal(small_operator(view)[0], small_operator(view.copy())[0])
    np.testing.assert_array_equal(small_operator(read_only)[0], small_operator(view.copy())[0])


@pytest.mark.parametrize("junk", [1e30, np.nan, np.inf])
def test_masked_pixels_do_not_leak(rng, junk):
    mask = rng.random(SMALL.shape) < 0.15
    geometry = DetectorGeometry(SMALL.shape, SMALL.center, SMALL.scale, mask=mask)
    operator = ResamplingOperator(geometry, SMALL_GRID)
    clean = rng.random((3, *SMALL.shape))
    dirty = clean.copy()
    dirty[:, mask] = junk
    shifts = rng.uniform(-1, 1, (3, 2))
    np.testing.assert_array_equal(operator(dirty)[0], operator(clean)[0])
    np.testing.assert_array_equal(operator(dirty, shifts)[0], operator(clean, shifts)[0])
    assert np.any(operator.coverage < ResamplingOperator(SMALL, SMALL_GRID).coverage)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("shifts", [None, np.zeros((9, 2))])
def test_bad_pixels_stay_in_their_pattern(small_operator, rng, bad, shifts):
    counts = rng.random((9, *SMALL.shape))
    counts[4, 5, 13] = bad
    values, coverage = small_operator(counts, shifts)
    is_bad = ~np.isfinite(values).all(axis=(1, 2))
    np.testing.assert_array_equal(np.nonzero(is_bad)[0], [4])
    assert np.isfinite(coverage).all()


# --- A beam that wanders


def spots(kx, ky):
    return sum(
        np.exp(-((kx - x) ** 2 + (ky - y) ** 2) / 2 / 0.08**2)
        for x, y in [(0.4, 0.1), (-0.2, 0.45), (0.1, -0.5)]
    )


def test_shifts_equal_an_operator_at_the_rounded_centre(rng):
    grid = PolarGrid(n_radial=6, n_azimuthal=16, k_min=0.12, k_max=0.9)
    mask = rng.random((32, 30)) < 0.05
    geometry = DetectorGeometry((32, 30), (15.4, 14.3), (0.05, 0.06), mask=mask, flip_y=True)
    counts = rng.poisson(9, (24, 32, 30)).astype(np.uint16)
    shifts = rng.uniform(-6, 6, (24, 2))
    values, coverage = ResamplingOperator(geometry, grid)(counts, shifts)
    for i in range(24):
        center = np.array(geometry.center) + np.round(shifts[i] * 4) / 4
        expected, expected_coverage = ResamplingOperator(geometry.with_center(center), grid)(
            counts[i : i + 1]
        )
        near = np.abs(expected_coverage - MINIMUM_COVERAGE) < 1e-3
        np.testing.assert_allclose(coverage[i][~near], expected_coverage[~near], atol=1e-5)
        np.testing.assert_allclose(values[i][~near], expected[0][~near], rtol=1e-4, atol=1e-4)


def test_error_of_rounded_shifts_is_that_of_an_eighth_of_a_pixel():
    grid = PolarGrid(n_radial=8, n_azimuthal=24, k_min=0.12, k_max=0.7)
    geometry = DetectorGeometry((64, 64), (31.2, 32.4), 0.03)
    operator = ResamplingOperator(geometry, grid)
    shifts = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1.4, 0.6, 9)), -1)
    shifts = shifts.reshape(-1, 2)
    moved = [geometry.with_center(np.array(geometry.center) + s) for s in shifts]
    counts = np.stack([image_of(g, spots) for g in moved])
    values, _ = operator(counts, shifts)
    exact = np.stack(
        [
            ResamplingOperator(g, grid)(c[np.newaxis])[0][0]
            for g, c in zip(moved, counts, strict=True)
        ]
    )
    # The steepest slope of a spot is exp(-1/2)/width.
    largest_change = np.sqrt(2) / 8 * 0.03 * np.exp(-0.5) / 0.08
    assert np.abs(values - exact).max() < 1.1 * largest_change
    ignored, _ = operator(counts)
    assert np.abs(ignored - exact).max() > 4 * largest_change


def test_unknown_or_absurd_shifts_give_a_bad_pattern(small_operator, rng):
    counts = rng.poisson(5, (4, *SMALL.shape))
    shifts = np.array([[0, 0], [np.nan, 0], [0, 30], [-1, 1.0]])
    values, coverage = small_operator(counts, shifts)
    np.testing.assert_array_equal(np.isnan(values).all(axis=(1, 2)), [False, True, True, False])
    np.testing.assert_array_equal(np.isnan(values).any(axis=(1, 2)), [False, True, True, False])
    assert np.all(coverage[1:3] == 0)
    assert np.all(coverage[[0, 3]].any(axis=(1, 2)))


# --- The operator as an object


def test_pickle(small_operator, rng):
    counts = rng.poisson(5, (3, *SMALL.shape))
    shifts = rng.uniform(-1, 1, (3, 2))
    expected = small_operator(counts, shifts)
    copy = pickle.loads(pickle.dumps(small_operator))
    np.testing.assert_array_equal(copy(counts)[0], small_operator(counts)[0])
    np.testing.assert_array_equal(copy(counts, shifts)[0], expected[0])
    assert repr(copy) == repr(small_operator)
    assert repr(copy).startswith("ResamplingOperator(14 x 17 pixels -> PolarGrid(")


def test_threads_share_an_operator(rng):
    from concurrent.futures import ThreadPoolExecutor

    operator = ResamplingOperator(SMALL, SMALL_GRID)
    counts = rng.poisson(5, (8, *SMALL.shape))
    shifts = rng.uniform(-1, 1, (8, 2))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: operator(counts, shifts)[0], range(8)))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_operator_errors(small_operator):
    with pytest.raises(TypeError, match="geometry: got 3, expected a DetectorGeometry or"):
        ResamplingOperator(3, SMALL_GRID)
    with pytest.raises(TypeError, match="grid: got 'polar', expected a PolarGrid or CartesianGrid"):
        ResamplingOperator(SMALL, "polar")
    with pytest.raises(ValueError, match="cover no bin of PolarGrid"):
        ResamplingOperator(SMALL, PolarGrid(k_min=5, k_max=6))
    with pytest.raises(TypeError, match="counts: got .* complex128, expected integers or floats"):
        small_operator(np.zeros((2, *SMALL.shape), dtype=complex))
    with pytest.raises(ValueError, match=r"counts: got .* expected shape \(n, 14, 17\)"):
        small_operator(np.zeros((2, 17, 14)))
    with pytest.raises(ValueError, match=r"counts: got .* expected shape \(n, 14, 17\)"):
        small_operator(np.zeros(SMALL.shape))
    with pytest.raises(ValueError, match=r"shifts: got .* expected shape \(2, 2\), x and y"):
        small_operator(np.zeros((2, *SMALL.shape)), shifts=np.zeros((3, 2)))


def test_import_is_cheap():
    code = (
        "import sys, pyxem_cnn.detector.polar, pyxem_cnn.detector.geometry\n"
        "heavy = {'torch', 'pyxem', 'numba', 'hyperspy', 'scipy', 'pint', 'dask'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# --- Patterns that are polar already


def full_polar_geometry(**changes):
    parameters = {
        "radial_edges": np.linspace(0, 1, 41),
        "azimuthal_edges": np.linspace(-np.pi, np.pi, 181),
    }
    return PolarGeometry(**(parameters | changes))


def test_polar_source_on_its_own_grid_only_rolls(rng):
    # Cells of the source start at -pi, bins of the grid are centred on 0.
    grid = PolarGrid(n_radial=8, n_azimuthal=12, k_min=0, k_max=1)
    step = 2 * np.pi / 12
    geometry = PolarGeometry(grid.radial_edges, -np.pi + step * (np.arange(13) - 0.5))
    counts = rng.random((3, 8, 12))
    values, coverage = ResamplingOperator(geometry, grid)(counts)
    np.testing.assert_allclose(values, np.roll(counts, -6, axis=-1), rtol=1e-5)
    np.testing.assert_allclose(coverage, 1, rtol=1e-6)


def test_polar_source_is_area_weighted():
    # One bin over two rings: the mean is weighted with their areas.
    geometry = PolarGeometry(np.array([0, 0.1, 0.3]), np.array([0, 2 * np.pi]))
    grid = PolarGrid(n_radial=1, n_azimuthal=1, k_min=0, k_max=0.2)
    values, _ = ResamplingOperator(geometry, grid)(np.array([[[5.0], [9.0]]]))
    np.testing.assert_allclose(values, (5 * 0.01 + 9 * 0.03) / 0.04, rtol=1e-6)


def test_polar_source_coverage_of_the_missing_part():
    grid = PolarGrid(n_radial=4, n_azimuthal=8, k_min=0, k_max=2)
    geometry = full_polar_geometry(azimuthal_edges=np.linspace(0, np.pi, 91))
    coverage = ResamplingOperator(geometry, grid).coverage
    expected = np.zeros((4, 8))
    expected[:2, :5] = 1
    # The bins around 0 and pi lie half in the upper half plane.
    expected[:2, [0, 4]] = 0.5
    np.testing.assert_allclose(coverage, expected, atol=1e-6)


def test_polar_source_mask_and_sums(rng):
    mask = np.zeros((40, 180), dtype=bool)
    mask[:, 20:60] = True
    counts = rng.random((2, 40, 180))
    grid = PolarGrid(n_radial=5, n_azimuthal=16, k_min=0.1, k_max=0.9)
    means = full_polar_geometry(mask=mask)
    expected, coverage = ResamplingOperator(means, grid)(counts)
    dirty = counts.copy()
    dirty[:, mask] = np.nan
    np.testing.assert_array_equal(ResamplingOperator(means, grid)(dirty)[0], expected)
    assert (coverage == 0).any()
    sums = counts * means.cell_areas / 0.02**2
    as_sums = full_polar_geometry(mask=mask, pixel_scale=0.02)
    values, _ = ResamplingOperator(as_sums, grid)(sums)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"radial_edges": [1, 0.5]}, ValueError, "radial_edges: got .* expected rising numbers"),
        ({"radial_edges": [-1, 0.5]}, ValueError, "smallest radius: got -1.0, expected 0 or more"),
        ({"azimuthal_edges": [0, 7]}, ValueError, "range of azimuths in degrees: got 401.1"),
        ({"pixel_scale": 0}, ValueError, "pixel_scale: got 0, expected a positive number"),
        ({"mask": np.zeros((2, 2), bool)}, ValueError, r"mask: got .* \(40, 180\)"),
        ({"mask": np.zeros((40, 180))}, TypeError, "mask: got .* expected dtype bool"),
    ],
)
def test_polar_geometry_errors(changes, error, match):
    with pytest.raises(error, match=match):
        full_polar_geometry(**changes)


def test_polar_source_refuses_shifts_and_square_grids():
    geometry = full_polar_geometry()
    with pytest.raises(ValueError, match="grid for patterns that are polar already: got Cart"):
        ResamplingOperator(geometry, CartesianGrid())
    operator = ResamplingOperator(geometry, PolarGrid(k_max=0.9))
    with pytest.raises(ValueError, match="shifts: got .* expected None for patterns that are"):
        operator(np.zeros((1, 40, 180)), np.zeros((1, 2)))


# --- Against pyxem


@pytest.fixture(scope="module")
def calibrated_signal():
    """A pattern that is smooth over a bin and has no symmetry, calibrated off the middle."""
    from pyxem.signals import ElectronDiffraction2D

    geometry = DetectorGeometry((96, 96), (46.3, 48.9), 0.02)

    def smooth(kx, ky):
        return 50 * np.exp(-((kx - 0.3) ** 2 + (ky - 0.25) ** 2) / 0.1) + 5 + 3 * ky

    signal = ElectronDiffraction2D(np.stack([image_of(geometry, smooth)] * 2))
    signal.calibration.units = r"$\AA^{-1}$"
    signal.calibration.scale = 0.02
    signal.calibration.center = geometry.center
    return signal


def integrate(signal, grid, **kwargs):
    """Return pyxem's azimuthal integral over the bins of a grid, azimuth from 0."""
    half = np.pi / grid.n_azimuthal
    return signal.get_azimuthal_integral2d(
        npt=grid.n_radial,
        npt_azim=grid.n_azimuthal,
        radial_range=(grid.k_min, grid.k_max),
        azimuth_range=(-half, 2 * np.pi - half),
        mean=True,
        show_progressbar=False,
        **kwargs,
    )


def test_operator_equals_pyxem_on_a_smooth_pattern(calibrated_signal):
    grid = PolarGrid(n_radial=12, n_azimuthal=40, k_min=0.1, k_max=0.85)
    expected = integrate(calibrated_signal, grid).data
    geometry = DetectorGeometry.from_signal(calibrated_signal)
    values, coverage = ResamplingOperator(geometry, grid)(calibrated_signal.data)
    assert np.all(coverage > 0.99)
    # pyxem's bins are polygons (a chord loses 0.3 % of the radius at 40 azimuths).
    np.testing.assert_allclose(values, expected, atol=0.01 * np.ptp(expected))
    # The test can tell the directions of the azimuth apart.
    assert np.abs(values - expected[..., ::-1]).max() > 0.3 * np.ptp(expected)


def test_operator_equals_pyxem_on_silicon():
    import pyxem as pxm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = pxm.data.si_grains(num_grains=2, size=2)
    signal.calibration.center = (64, 63)
    grid = PolarGrid(n_radial=15, n_azimuthal=60, k_min=0.05, k_max=0.6)
    expected = integrate(signal, grid).data.reshape(-1, *grid.shape)
    geometry = DetectorGeometry.from_signal(signal)
    values, _ = ResamplingOperator(geometry, grid)(signal.data.reshape(-1, 128, 128))
    for ours, theirs in zip(values, expected, strict=True):
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9995
        np.testing.assert_allclose(ours, theirs, atol=0.03 * theirs.max())


def test_polar_signal_from_pyxem_has_our_azimuth(calibrated_signal):
    polar = calibrated_signal.get_azimuthal_integral2d(
        npt=45, npt_azim=180, radial_range=(0, 0.9), mean=True, show_progressbar=False
    )
    source = PolarGeometry.from_signal(polar, mean=True)
    np.testing.assert_allclose(source.radial_edges, np.linspace(0, 0.9, 46), atol=1e-12)
    np.testing.assert_allclose(source.azimuthal_edges, np.linspace(-np.pi, np.pi, 181))
    grid = PolarGrid(n_radial=10, n_azimuthal=32, k_min=0.1, k_max=0.8)
    values, coverage = ResamplingOperator(source, grid)(polar.data)
    direct, _ = ResamplingOperator(DetectorGeometry.from_signal(calibrated_signal), grid)(
        calibrated_signal.data
    )
    np.testing.assert_allclose(coverage, 1, rtol=1e-6)
    np.testing.assert_allclose(values, direct, atol=0.01 * np.ptp(direct))
    sums = calibrated_signal.get_azimuthal_integral2d(
        npt=45, npt_azim=180, radial_range=(0, 0.9), show_progressbar=False
    )
    source = PolarGeometry.from_signal(sums, mean=False, pixel_scale=0.02)
    values, _ = ResamplingOperator(source, grid)(sums.data)
    np.testing.assert_allclose(values, direct, atol=0.01 * np.ptp(direct))


def test_polar_signal_errors(calibrated_signal):
    polar = calibrated_signal.get_azimuthal_integral2d(
        npt=4, npt_azim=8, radial_range=(0, 0.9), show_progressbar=False
    )
    with pytest.raises(ValueError, match="pixel_scale for mean=False .* Pass pixel_scale="):
        PolarGeometry.from_signal(polar, mean=False)
    with pytest.raises(ValueError, match=r"units of the azimuthal \(first\) axis: got"):
        PolarGeometry.from_signal(calibrated_signal, mean=True)
    with pytest.raises(ValueError, match="signal axes: got .* expected a uniform azimuthal"):
        PolarGeometry.from_signal(calibrated_signal.transpose(signal_axes=1), mean=True)
