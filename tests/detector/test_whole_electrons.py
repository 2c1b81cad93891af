"""Electrons that stay whole: counts, means, and which patterns are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.detector.resampling import ResamplingOperator
from pyxem_cnn.detector.whole_electrons import MOST_ELECTRONS

GRID = PolarGrid(n_radial=10, n_azimuthal=64, k_min=0.1, k_max=0.8)


def operator_of(**options):
    geometry = DetectorGeometry(
        **{"shape": (40, 42), "center": (20.3, 19.6), "scale": 0.05, "beam_energy": 200} | options
    )
    return ResamplingOperator(geometry, GRID)


@pytest.fixture(scope="module")
def operator():
    return operator_of()


def bins(operator, patterns):
    """Return electrons of each bin, shape (n, *grid.shape)."""
    values = operator.whole_electrons(patterns, operator(patterns)[0])
    return values * operator.covered_area


def patterns_of(n=50, rate=0.05, seed=0, dtype=np.uint16):
    return np.random.default_rng(seed).poisson(rate, (n, 40, 42)).astype(dtype)


def test_bins_hold_whole_electrons(operator):
    found = bins(operator, patterns_of())
    np.testing.assert_allclose(found, np.rint(found), atol=1e-4)
    # The means over areas do not.
    shared = operator(patterns_of())[0] * operator.covered_area
    assert np.abs(shared - np.rint(shared)).max() > 0.4


def test_no_electron_is_lost_inside_the_grid(operator):
    """A pixel that lies in the grid as a whole counts once."""
    share = np.asarray(operator.matrix.T @ operator.covered_area.ravel()).ravel()
    inside = np.flatnonzero(np.abs(share - 1) < 1e-3)
    assert len(inside) > 200
    patterns = np.zeros((len(inside), 40 * 42), dtype=np.uint8)
    patterns[np.arange(len(inside)), inside] = 3
    total = bins(operator, patterns.reshape(-1, 40, 42)).sum(axis=(1, 2))
    assert (np.abs(total - 3) < 1e-3).mean() > 0.99


def test_the_mean_is_that_of_areas(operator):
    patterns = patterns_of(4000, rate=0.3)
    mean, expected = bins(operator, patterns).mean(0), operator(patterns)[0].mean(0)
    expected = expected * operator.covered_area
    wide = expected > 0.3
    assert wide.sum() > 100
    np.testing.assert_allclose(mean.sum(1), expected.sum(1), rtol=0.02)
    np.testing.assert_allclose(mean[wide], expected[wide], rtol=0.15)


def test_noise_is_that_of_counting(operator):
    """Neighbouring bins are independent, and their variance is their mean."""
    found = bins(operator, patterns_of(3000, rate=0.2, seed=3))
    variance, mean = found.var(0), found.mean(0)
    some = mean > 0.05
    assert np.median(variance[some] / mean[some]) == pytest.approx(1, abs=0.1)
    shared = operator(patterns_of(3000, rate=0.2, seed=3))[0] * operator.covered_area
    inner = shared[:, :3]
    assert np.median(inner.var(0) / inner.mean(0)) < 0.7


DTYPES = [np.uint8, np.int32, np.float16, np.float32, np.float64, np.longdouble, ">u2"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_dtype_gives_the_same(operator, dtype):
    patterns = patterns_of(8)
    np.testing.assert_array_equal(bins(operator, patterns.astype(dtype)), bins(operator, patterns))


def test_blocks_do_not_matter(operator):
    patterns = patterns_of(9)
    whole = bins(operator, patterns)
    parts = np.concatenate([bins(operator, part) for part in np.split(patterns, [1, 4])])
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("change", ["fractions", "negative", "many", "nan", "empty"])
def test_others_are_left_alone(operator, change):
    patterns = patterns_of(3, dtype=np.float64)
    if change == "fractions":
        patterns[1] *= 0.7
    elif change == "negative":
        patterns[1, 5, 5] = -1
    elif change == "many":
        patterns[1] = MOST_ELECTRONS / 400
    elif change == "nan":
        patterns[1, 19, 28] = np.nan
    else:
        patterns[1] = 0
    plain = operator(patterns)[0]
    found = operator.whole_electrons(patterns, plain.copy())
    np.testing.assert_array_equal(found[1], plain[1])
    assert not np.array_equal(found[0], plain[0])


def test_strong_pixels_share_their_electrons(operator):
    patterns = np.zeros((1, 40, 42), dtype=np.uint16)
    patterns[0, 19, 26] = 1000
    found = bins(operator, patterns)
    np.testing.assert_allclose(found, operator(patterns)[0] * operator.covered_area, atol=1.01)
    np.testing.assert_allclose(found, np.rint(found), atol=1e-2)


def test_masked_pixels_count_nothing():
    mask = np.zeros((40, 42), dtype=bool)
    mask[:, 24:] = True
    operator = operator_of(mask=mask)
    patterns = patterns_of()
    other = patterns.copy()
    other[:, mask] = 7
    np.testing.assert_array_equal(bins(operator, patterns), bins(operator, other))


def test_pickles_stay_small(operator):
    import pickle

    size = len(pickle.dumps(operator_of()))
    bins(operator, patterns_of(2))
    again = pickle.loads(pickle.dumps(operator))
    assert len(pickle.dumps(operator)) <= size * 1.01
    np.testing.assert_array_equal(bins(again, patterns_of(2)), bins(operator, patterns_of(2)))


class TestWanderingBeams:
    """The beam of each pattern is somewhere else."""

    SHIFTS = np.random.default_rng(2).uniform(-3, 3, (40, 2))

    @staticmethod
    def electrons(operator, patterns, shifts):
        """Return electrons of each bin, and the operator's means as electrons."""
        means, coverage = operator(patterns, shifts)
        area = GRID.bin_areas / operator.geometry.pixel_area * coverage
        found = operator.whole_electrons(patterns, means.copy(), coverage, shifts)
        return found * area, means * area

    def test_bins_hold_whole_electrons(self, operator):
        found, shared = self.electrons(operator, patterns_of(40), self.SHIFTS)
        assert found.sum() > 500
        # Areas are known to a subpixel, and here taken from the grid.
        np.testing.assert_allclose(found, np.rint(found), atol=0.15)
        assert np.abs(shared - np.rint(shared)).max() > 0.4
        assert found.sum() == pytest.approx(shared.sum(), rel=0.02)

    def test_like_a_geometry_with_that_centre(self, operator):
        """In the mean: each pattern has electrons of its own in its bins."""
        patterns = patterns_of(3000, rate=0.3)
        shifts = np.tile([[1.25, -2.5]], (3000, 1))
        x, y = operator.geometry.center
        other = operator_of(center=(x + 1.25, y - 2.5))
        found = self.electrons(operator, patterns, shifts)[0].mean(0)
        expected = bins(other, patterns).mean(0)
        wide = expected > 0.3
        np.testing.assert_allclose(found[wide], expected[wide], rtol=0.2)
        np.testing.assert_allclose(found.sum(1), expected.sum(1), rtol=0.03)

    def test_whole_pixels_move_everything(self, operator):
        """A pattern that moved with its beam has the same bins."""
        patterns = patterns_of(12)
        patterns[:, :3] = patterns[:, -3:] = patterns[:, :, :3] = patterns[:, :, -3:] = 0
        moved = np.roll(patterns, (2, -1), axis=(1, 2))
        still, _ = self.electrons(operator, patterns, np.zeros((12, 2)))
        found, _ = self.electrons(operator, moved, np.tile([[-1.0, 2.0]], (12, 1)))
        np.testing.assert_allclose(found.sum((1, 2)), still.sum((1, 2)), atol=2)
        assert np.corrcoef(found.ravel(), still.ravel())[0, 1] > 0.95

    def test_masked_and_missing_pixels_count_nothing(self):
        mask = np.zeros((40, 42), dtype=bool)
        mask[:, 24:27] = True
        operator, patterns = operator_of(mask=mask), patterns_of(40)
        other = patterns.copy()
        other[:, mask] = 7
        shifts = np.tile([[9.0, -8.0]], (40, 1))  # a part of the grid is off the detector
        ours, theirs = (self.electrons(operator, p, shifts)[0] for p in (patterns, other))
        np.testing.assert_array_equal(ours, theirs)
        coverage = operator(patterns, shifts)[1]
        assert (coverage == 0).any()
        assert not ours[coverage == 0].any()

    def test_blocks_do_not_matter(self, operator, monkeypatch):
        patterns = patterns_of(40)
        whole = self.electrons(operator, patterns, self.SHIFTS)[0]
        monkeypatch.setattr("pyxem_cnn.detector.whole_electrons._PIECE", 1)
        halves = [(patterns[:17], self.SHIFTS[:17]), (patterns[17:], self.SHIFTS[17:])]
        parts = [self.electrons(operator, *half)[0] for half in halves]
        np.testing.assert_array_equal(np.concatenate(parts), whole)

    def test_beams_off_the_detector_stay_unknown(self, operator):
        shifts = self.SHIFTS[:3].copy()
        shifts[1] = np.nan
        values, coverage = operator(patterns_of(3), shifts)
        found = operator.whole_electrons(patterns_of(3), values, coverage, shifts)
        assert np.isnan(found[1]).all()
        assert np.isfinite(found[[0, 2]]).all()
