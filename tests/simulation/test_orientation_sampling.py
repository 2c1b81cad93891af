"""Named samplings: the published steps, evenness, coverage, and orix as the judge."""

from __future__ import annotations

import numpy as np
import pytest
from orix.quaternion import Rotation
from orix.sampling import get_sample_fundamental

from pyxem_cnn.rotations import disorientation_angle, random_quaternions, to_matrix, zone_axis
from pyxem_cnn.simulation.orientation_sampling import (
    SAMPLINGS,
    count_patterns,
    sample_orientations,
)
from pyxem_cnn.simulation.sampling import in_fundamental_sector
from tests._crystals import NAMES, crystal

COARSE = {
    "random": {"step": 10, "n_zone_axes": 700},
    "euler": {"step": 9},
    "equispaced": {"step": 8},
}


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("phase", NAMES)
def test_every_orientation_is_near_a_class(name, phase, rng):
    symmetry = crystal(phase).symmetry_quaternions()
    options = dict(COARSE[name])
    if name == "random":
        # As many per solid angle in every group.
        options["n_zone_axes"] = 24 * 120 // len(symmetry)
    classes = sample_orientations(crystal(phase), name, **options).orientations
    probes = random_quaternions(25, rng)
    nearest = [np.rad2deg(disorientation_angle(p, classes, symmetry).min()) for p in probes]
    assert np.max(nearest) < 15
    assert np.median(nearest) < 7


@pytest.mark.parametrize("phase", NAMES)
def test_euler_angles_are_those_of_orix(phase):
    sampling = sample_orientations(crystal(phase), "euler", step=10)
    # By orix the angles come back; phi1 and phi2 mix where Phi is 0.
    found = np.rad2deg(Rotation(sampling.orientations).to_euler())
    found = found[(found[:, 1] > 1) & (found[:, 1] < 179)]
    distance = np.abs(found / 10 - np.round(found / 10))
    assert distance.max() < 1e-4
    found = np.round(found).astype(int) % 360
    limits = {
        "cubic": (90, 90),
        "hexagonal": (90, 60),
        "trigonal": (90, 120),
        "monoclinic": (90, 360),
    }
    assert (found[:, 1].max(), found[:, 2].max() + 10) == limits[phase]
    assert found[:, 0].max() == 350
    assert len(np.unique(found, axis=0)) == len(found)


def test_euler_box_of_a_group_without_a_flip():
    from pyxem_cnn.phases import CrystalStructure

    triclinic = CrystalStructure.from_asymmetric_unit(
        (4, 5, 6, 80, 85, 95), 1, ["Si"], [[0, 0, 0]], name="P1"
    )
    sampling = sample_orientations(triclinic, "euler", step=30)
    assert sampling.n_classes == 12 * 7 * 12


@pytest.mark.parametrize("phase", NAMES)
def test_equispaced_is_orix(phase):
    group = {"cubic": 221, "hexagonal": 194, "trigonal": 166}.get(phase)
    sampling = sample_orientations(crystal(phase), "equispaced", step=10)
    if group is None:
        # orix' own 2/m has its axis along z, the crystal's is b.
        symmetry = crystal(phase).symmetry_quaternions()
        angle = np.arccos(np.abs(sampling.orientations[:, 0]).clip(-1, 1))
        others = np.abs(sampling.orientations @ symmetry.T)
        assert (np.arccos(others.max(1).clip(-1, 1)) >= angle - 1e-6).all()
    else:
        expected = get_sample_fundamental(10, space_group=group).data
        np.testing.assert_allclose(np.sort(sampling.orientations, 0), np.sort(expected, 0))


def test_random_zone_axes_lie_in_the_sector_and_turn():
    phase = crystal("trigonal")
    sampling = sample_orientations(phase, "random", n_zone_axes=300)
    axes = zone_axis(sampling.orientations).reshape(300, 72, 3)
    np.testing.assert_allclose(axes, axes[:, :1].repeat(72, 1), atol=1e-12)
    assert in_fundamental_sector(axes[:, 0], to_matrix(phase.symmetry_quaternions())).all()
    # Even on the sphere: |z| is uniform in 0..1 for a sector between planes through z and z = 0.
    assert np.abs(axes[:, 0, 2]).mean() == pytest.approx(0.5, abs=0.06)
    turns = Rotation(sampling.orientations[:2]).to_matrix()
    assert np.rad2deg(np.arccos((np.trace(turns[0] @ turns[1].T) - 1) / 2)) == pytest.approx(5)


def test_seeds():
    a, b, c = (
        sample_orientations(crystal("cubic"), "random", seed=s).orientations for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)


def test_thicknesses_and_classes():
    sampling = sample_orientations(crystal("cubic"), "random", step=90, n_zone_axes=3)
    np.testing.assert_allclose(sampling.thicknesses, np.arange(50, 1001, 50))
    orientations, thicknesses, classes = sampling.patterns()
    assert (
        len(orientations) == len(thicknesses) == len(classes) == sampling.n_patterns == 3 * 4 * 20
    )
    assert (np.bincount(classes) == 20).all()
    for n in (0, 19, 20, 239):
        np.testing.assert_array_equal(orientations[n], sampling.orientations[classes[n]])
        assert thicknesses[n] == 50 * (n % 20 + 1)
    euler = sample_orientations(crystal("cubic"), "euler", step=45)
    np.testing.assert_allclose(euler.thicknesses, [200, 400, 600, 800, 1000])


@pytest.mark.slow
def test_counts_of_the_published_samplings():
    """The figures of docs/user/sampling.md, for LiNiO2."""
    counts = {c.name: tuple(c[1:]) for c in count_patterns(crystal("trigonal"))}
    assert counts == {
        "random": (49 * 72, 20, 70_560),
        "euler": (144 * 37 * 48, 5, 1_278_720),
        "equispaced": (401_359, 5, 2_006_795),
    }


def test_refusals():
    with pytest.raises(ValueError, match=r"equi.*Did you mean 'equispaced'"):
        sample_orientations(crystal("cubic"), "equispace")
    with pytest.raises(ValueError, match="degrees"):
        sample_orientations(crystal("cubic"), "euler", step=-1)
    with pytest.raises(ValueError, match="angstrom"):
        sample_orientations(crystal("cubic"), "euler", thickness_step=0)
