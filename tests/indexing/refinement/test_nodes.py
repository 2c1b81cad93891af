import pickle

import numpy as np
import pytest

from pyxem_cnn.indexing.refinement.nodes import Nodes
from pyxem_cnn.indexing.refinement.spot_sources import KinematicSource
from pyxem_cnn.rotations import (
    about_z,
    angle_between,
    disorientation_angle,
    multiply,
    random_quaternions,
    zone_axis,
)
from tests._crystals import crystal


@pytest.fixture
def nodes():
    return Nodes(KinematicSource(crystal("trigonal"), 200, 0.0, 1.2), 1.0)


def test_sector_holds_the_same_orientations(nodes, rng) -> None:
    q = random_quaternions(50, rng)
    equivalent, operations = nodes.to_sector(q)
    assert np.allclose(multiply(operations, q), equivalent)
    assert disorientation_angle(q, equivalent, nodes.symmetry) == pytest.approx(0, abs=1e-6)
    # All equivalents end at one place.
    again, _ = nodes.to_sector(multiply(nodes.symmetry[2], q))
    assert np.allclose(zone_axis(again), zone_axis(equivalent))


def test_near_nodes_are_those_within_the_radius(nodes, rng) -> None:
    q = random_quaternions(3, rng)
    which, node, turn = nodes.near(q, 2.0)
    angle = np.rad2deg(np.arccos(np.clip(zone_axis(q) @ zone_axis(nodes.quaternions).T, -1, 1)))
    assert sorted(zip(which, node, strict=True)) == sorted(
        (int(i), int(j)) for i, j in np.argwhere(angle <= 2.0)
    )
    # Turned, a node's pattern is that of an orientation as near as its zone axis.
    turned = multiply(nodes.quaternions[node], about_z(-turn))
    error = np.rad2deg(angle_between(turned, q[which]))
    assert error == pytest.approx(angle[which, node], abs=1e-3)


def test_only_what_is_asked_for_is_simulated_once(nodes) -> None:
    calls = []
    calculate = nodes.source.calculate

    def counted(quaternions, depths):
        calls.append(len(quaternions))
        return calculate(quaternions, depths)

    nodes.source.calculate = counted
    spots, rows = nodes.spots(np.array([5, 9, 5]))
    assert sum(calls) == 2
    assert rows[0] == rows[2] != rows[1]
    _, again = nodes.spots(np.array([9, 5, 700]))
    assert sum(calls) == 3
    assert list(again[:2]) == [rows[1], rows[0]]
    own = calculate(nodes.quaternions[[9]], nodes.source.depths[None])
    assert np.allclose(spots.radius[rows[1]], np.hypot(*own.k[0].T))
    assert np.allclose(spots.intensity[rows[1]], own.intensity[0].sum(-1))


def test_full_libraries_begin_anew(nodes, monkeypatch) -> None:
    monkeypatch.setattr("pyxem_cnn.indexing.refinement.nodes._MOST", 600)
    first, rows = nodes.spots(np.arange(300))
    kept = first.radius[rows[0]].copy()
    second, other = nodes.spots(np.arange(300, 900))
    assert len(np.unique(other)) == 600
    # Those who still hold the old arrays may go on with them.
    assert np.array_equal(first.radius[rows[0]], kept)
    third, again = nodes.spots(np.arange(1))
    assert np.allclose(third.radius[again[0]], kept)
    assert second is not first


def test_pickle_leaves_the_spots_behind(nodes) -> None:
    nodes.spots(np.arange(4))
    other = pickle.loads(pickle.dumps(nodes))
    assert other.spacing == nodes.spacing
    spots, rows = other.spots(np.array([3]))
    mine, own = nodes.spots(np.array([3]))
    assert np.array_equal(spots.radius[rows[0]], mine.radius[own[0]])
