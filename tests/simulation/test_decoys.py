"""Decoys: other lattices, as complex as the phase, none of them the phase itself."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.simulation import decoys
from pyxem_cnn.simulation.library.zone_axis_library import kinematic_library
from tests._crystals import crystal


@pytest.fixture(scope="module")
def library():
    return decoys.decoy_library(
        crystal("cubic"), 200, np.random.default_rng(4), k_max=1.0, n_lattices=12, n_orientations=8
    )


def test_shape(library):
    assert len(library) == 96
    assert library.spots.k.shape == (96, 128, 2)
    assert library.spots.intensity.shape == library.spots.excitation_error.shape == (96, 128)
    assert library.spots.k.dtype == np.float32
    assert np.isfinite(library.spots.k).all()
    np.testing.assert_allclose(np.linalg.norm(library.orientation, axis=1), 1, atol=1e-6)
    used = library.spots.intensity > 0
    assert np.hypot(*library.spots.k[used].T).max() <= 1.05 + 1e-6
    assert library.spots.intensity.max() == 1


def test_as_many_spots_as_the_phase(library):
    phase = kinematic_library(crystal("cubic"), 200, k_max=1.0, n_zone_axes=50)
    ours, theirs = ((x.spots.intensity > 0).sum(1).mean() for x in (library, phase))
    assert 0.3 < ours / theirs < 3


def test_the_seed_repeats(library):
    again = decoys.decoy_library(
        crystal("cubic"), 200, np.random.default_rng(4), k_max=1.0, n_lattices=12, n_orientations=8
    )
    np.testing.assert_array_equal(again.spots.k, library.spots.k)
    np.testing.assert_array_equal(again.orientation, library.orientation)


def test_deformations_are_never_small():
    generator = np.random.default_rng(0)
    strains = [np.abs(np.linalg.eigvalsh(decoys._deformation(generator)) - 1) for _ in range(300)]
    assert np.max(strains, axis=1).min() > 0.06
    assert np.max(strains) < 0.9


def test_spots_lie_on_deformed_lattices_not_on_that_of_the_phase(library):
    """Radii of silicon's reflections are few; those of decoys are not among them."""
    h = np.arange(-6, 7)
    hkl = np.stack(np.meshgrid(h, h, h), -1).reshape(-1, 3)
    odd, even = (hkl % 2 == 1).all(1), (hkl % 2 == 0).all(1) & (hkl.sum(1) % 4 == 0)
    radii = np.unique(np.linalg.norm(hkl[odd | even], axis=1).round(6)) / 5.431
    used = (library.spots.intensity > 0) & (np.abs(library.spots.excitation_error) < 0.005)
    found = np.hypot(*library.spots.k[used].T)
    inner = found[found < 0.6]
    distance = np.abs(inner[:, None] - radii).min(1)
    assert len(inner) > 20
    assert (distance > 0.01).mean() > 0.4


def test_extinction_rules():
    hkl = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)
    generator = np.random.default_rng(1)
    shares = [decoys._allowed(hkl, generator).mean() for _ in range(200)]
    assert np.mean(np.array(shares) == 1) == pytest.approx(0.5, abs=0.12)
    assert min(shares) > 0.3
    # A rule that would leave next to nothing is not applied.
    assert decoys._allowed(np.ones((5, 3), dtype=int), generator).all()
