"""Neighbours decide between orientations that are nearly as probable."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from orix.quaternion import Rotation
from orix.quaternion.symmetry import get_point_group

import pyxem_cnn
from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.maps.neighbour_choice import _mean_field, choose_by_neighbours
from pyxem_cnn.rotations import about_z, multiply, random_quaternions
from tests._crystals import crystal

HALF_TURN = about_z(np.array(np.pi))


def map_of(quaternions, scores, names=("cubic",), phase_ids=0, **kwargs):
    """Return a map of candidates (rows, columns, n_best, 4) and their scores."""
    rows, columns, n_best = np.shape(scores)
    y, x = np.mgrid[:rows, :columns] * 2.0
    return build_crystal_map(
        np.reshape(quaternions, (-1, n_best, 4)),
        np.broadcast_to(phase_ids, (rows, columns, n_best)).reshape(-1, n_best).astype(int),
        [crystal(name) for name in names],
        coordinates={"x": x.ravel(), "y": y.ravel(), "scan_unit": "nm"},
        prop={"scores": np.reshape(scores, (-1, n_best))} | kwargs.pop("prop", {}),
        **kwargs,
    )


def speckled(name, rng, shape=(6, 9), wrong=0.2, scores=(0.55, 0.4)):
    """Return a map of three stripes in which some points have taken the half turn, and the truth.

    All orientations are given as some of their equivalents.
    """
    grains = random_quaternions(3, rng)
    truth = np.broadcast_to(grains[np.arange(shape[1]) // 3], (*shape, 4))
    turned = multiply(truth, HALF_TURN)
    symmetry = crystal(name).symmetry_quaternions()
    pairs = np.stack([truth, turned], axis=2)
    pairs = multiply(symmetry[rng.integers(len(symmetry), size=pairs.shape[:-1])], pairs)
    is_wrong = rng.random(shape) < wrong
    pairs[is_wrong] = pairs[is_wrong][:, ::-1]
    return (
        map_of(pairs, np.broadcast_to(scores, (*shape, 2)), (name,)),
        truth.reshape(-1, 4),
        is_wrong,
    )


def errors(xmap, truth, name):
    from pyxem_cnn.rotations import disorientation_angle

    found = xmap.rotations.data.reshape(len(truth), -1, 4)[:, 0]
    return np.rad2deg(disorientation_angle(truth, found, crystal(name).symmetry_quaternions()))


@pytest.mark.parametrize("name", ["cubic", "hexagonal", "trigonal"])
def test_speckles_go_and_boundaries_stay(name, rng):
    xmap, truth, is_wrong = speckled(name, rng)
    assert (errors(xmap, truth, name) > 10).sum() == is_wrong.sum() > 5
    chosen = choose_by_neighbours(xmap)
    assert errors(chosen, truth, name).max() < 0.01
    np.testing.assert_array_equal(chosen.prop["chosen_rank"] == 1, is_wrong.ravel())
    # Nothing is lost: the others are still there.
    np.testing.assert_allclose(
        np.sort(chosen.prop["scores"], axis=1), np.sort(xmap.prop["scores"], 1)
    )


def test_no_strength_changes_nothing(rng):
    xmap, _, _ = speckled("cubic", rng)
    same = choose_by_neighbours(xmap, strength=0)
    np.testing.assert_allclose(same.rotations.data, xmap.rotations.data, atol=1e-12)
    assert not same.prop["chosen_rank"].any()
    given = same.prop["neighbour_probability"]
    np.testing.assert_allclose(given, xmap.prop["scores"], atol=1e-3)


@pytest.mark.parametrize(("score", "stays"), [(0.99, True), (0.9, False)])
def test_a_grain_of_one_point_is_believed_if_it_is_sure(rng, score, stays):
    one, other = random_quaternions(2, rng)
    quaternions = np.tile([one, other], (5, 5, 1, 1))
    scores = np.tile([0.9, 0.05], (5, 5, 1))
    quaternions[2, 2], scores[2, 2] = [other, one], [score, 1 - score]
    chosen = choose_by_neighbours(map_of(quaternions, scores))
    assert chosen.prop["chosen_rank"].reshape(5, 5)[2, 2] == (not stays)
    assert chosen.prop["chosen_rank"].sum() == (not stays)


def test_mean_field_chooses_as_all_combinations_do(rng):
    """On a line of seven points, against the marginals of the sum over all states."""
    from scipy.sparse import coo_array

    n, n_best, strength = 7, 2, 0.8
    agree = rng.random((n - 1, n_best, n_best)) < 0.5
    scores = rng.dirichlet([1, 1, 0.3], size=n)[:, :2]
    i, c, d = np.nonzero(agree)
    one, other = i * n_best + c, (i + 1) * n_best + d
    both = np.concatenate([one, other]), np.concatenate([other, one])
    matrix = coo_array((np.ones(2 * len(one)), both), shape=(n * n_best,) * 2).tocsr()
    found = _mean_field(scores, matrix, strength)
    marginals = np.zeros((n, n_best + 1))
    doubt = np.maximum(1 - scores.sum(1), 0.01)
    for states in itertools.product(range(n_best + 1), repeat=n):
        weight = np.prod([[*scores[k], doubt[k]][s] for k, s in enumerate(states)])
        for k, (s, t) in enumerate(itertools.pairwise(states)):
            if s < n_best and t < n_best and agree[k, s, t]:
                weight *= np.exp(strength)
        for k, s in enumerate(states):
            marginals[k, s] += weight
    marginals /= marginals.sum(1, keepdims=True)
    clear = np.abs(marginals[:, 0] - marginals[:, 1]) > 0.2
    assert clear.sum() >= 3
    np.testing.assert_array_equal(found.argmax(1)[clear], marginals[:, :2].argmax(1)[clear])
    np.testing.assert_allclose(found, marginals[:, :2], atol=0.2)


def test_phases_change_with_their_orientations(rng):
    one, other = random_quaternions(2, rng)
    quaternions = np.tile([one, other], (4, 4, 1, 1))
    phase_ids = np.tile([0, 1], (4, 4, 1))
    quaternions[1, 2], phase_ids[1, 2] = [other, one], [1, 0]
    scores = np.tile([0.6, 0.4], (4, 4, 1))
    xmap = map_of(quaternions, scores, ("cubic", "hexagonal"), phase_ids)
    assert (xmap.phase_id == 1).sum() == 1
    chosen = choose_by_neighbours(xmap)
    assert (chosen.phase_id == 0).all()
    np.testing.assert_array_equal(chosen.prop["phase_ids"], np.tile([0, 1], (16, 1)))


def test_the_same_orientation_of_another_phase_does_not_agree(rng):
    """Orientations alone would make all points of one phase here."""
    one = random_quaternions(1, rng)[0]
    quaternions = np.tile([one, one], (3, 3, 1, 1))
    phase_ids = np.tile([0, 1], (3, 3, 1))
    scores = np.tile([0.9, 0.1], (3, 3, 1))
    phase_ids[1, 1] = [1, 0]
    scores[1, 1] = [0.7, 0.3]
    chosen = choose_by_neighbours(map_of(quaternions, scores, ("cubic", "hexagonal"), phase_ids))
    assert (chosen.phase_id == 0).all()


def test_points_that_are_not_indexed_take_no_part(rng):
    xmap, truth, _ = speckled("cubic", rng)
    phase_ids = np.zeros((6, 9, 2), dtype=int)
    phase_ids[3] = -1
    quaternions = xmap.rotations.data.reshape(6, 9, 2, 4)
    scores = xmap.prop["scores"].reshape(6, 9, 2)
    part = map_of(quaternions, scores, phase_ids=phase_ids)
    chosen = choose_by_neighbours(part)
    np.testing.assert_array_equal(chosen.phase_id, part.phase_id)
    outside = ~part.is_indexed
    np.testing.assert_allclose(
        chosen.rotations.data[outside], part.rotations.data[outside], atol=1e-12
    )
    assert not chosen.prop["chosen_rank"][outside].any()
    assert errors(chosen, truth, "cubic")[~outside].max() < 0.01


def test_slices_masks_and_lines(rng):
    xmap, truth, _ = speckled("cubic", rng)
    part = xmap[1:5, 2:8]
    chosen = choose_by_neighbours(part)
    assert chosen.shape == part.shape
    assert chosen.is_in_data.size == xmap.is_in_data.size
    inside = truth.reshape(6, 9, 4)[1:5, 2:8].reshape(-1, 4)
    assert errors(chosen, inside, "cubic").max() < 0.01
    line = choose_by_neighbours(xmap[2, :])
    assert line.size == 9


def test_all_that_belongs_to_orientations_goes_with_them(rng):
    xmap, _, is_wrong = speckled("trigonal", rng)
    n = xmap.size
    xmap.prop["thickness"] = np.tile([100.0, 200.0], (n, 1))
    xmap.prop["reliability"] = np.arange(n, dtype=float)
    xmap.frame, xmap.group = "scan", "point"
    chosen = choose_by_neighbours(xmap)
    first = np.where(is_wrong.ravel(), 200.0, 100.0)
    np.testing.assert_array_equal(chosen.prop["thickness"][:, 0], first)
    np.testing.assert_array_equal(chosen.prop["reliability"], np.arange(n))
    assert (chosen.frame, chosen.group) == ("scan", "point")
    # The map that was given is as it was.
    assert set(xmap.prop) == {"scores", "thickness", "reliability"}
    np.testing.assert_array_equal(xmap.prop["thickness"][:, 0], 100)


def test_a_network_s_map(rng):
    """As it comes from a signal, and as orix measures angles."""
    xmap, truth, _ = speckled("cubic", rng, scores=(0.5, 0.45))
    chosen = pyxem_cnn.choose_by_neighbours(xmap, connectivity=8)
    group = get_point_group(225).laue
    angle = (Rotation(truth) * ~Rotation(chosen.rotations.data[:, 0])).data
    equivalent = group.outer(Rotation(angle)).data
    assert np.rad2deg(2 * np.arccos(np.abs(equivalent[..., 0]).max(0).clip(max=1))).max() < 0.01


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"strength": -1}, ValueError, "strength"),
        ({"tolerance": 0}, ValueError, "tolerance.*degrees"),
        ({"connectivity": 6}, ValueError, "connectivity"),
        ({"group": "mine"}, ValueError, "Laue"),
    ],
)
def test_wrong_arguments(rng, change, error, words):
    with pytest.raises(error, match=words):
        choose_by_neighbours(speckled("cubic", rng)[0], **change)


def test_maps_without_a_choice_are_refused(rng):
    q = random_quaternions(4, rng)
    single = map_of(q.reshape(2, 2, 1, 4), np.ones((2, 2, 1)))
    with pytest.raises(ValueError, match="n_best=3"):
        choose_by_neighbours(single)
    xmap, _, _ = speckled("cubic", rng)
    del xmap.prop["scores"]
    with pytest.raises(ValueError, match="scores of shape"):
        choose_by_neighbours(xmap)
    with pytest.raises(TypeError, match="one by one"):
        choose_by_neighbours([xmap])


def test_candidates_of_a_phase_that_is_best_nowhere(rng):
    """The map's list lacks it, and so do its neighbours its symmetry: it cannot be chosen."""
    one, other = random_quaternions(2, rng)
    quaternions = np.tile([one, other], (3, 3, 1, 1))
    phase_ids = np.tile([0, 1], (3, 3, 1))
    scores = np.tile([0.4, 0.39], (3, 3, 1))
    xmap = map_of(quaternions, scores, ("cubic", "hexagonal"), phase_ids)
    assert xmap.phases.ids == [0]
    chosen = choose_by_neighbours(xmap)
    assert not chosen.prop["chosen_rank"].any()
    np.testing.assert_array_equal(chosen.prop["phase_ids"], xmap.prop["phase_ids"])
