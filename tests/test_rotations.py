"""Quaternion algebra against orix, NumPy against torch, and the frames against real spots."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from orix.quaternion import Orientation, Rotation, symmetry
from orix.vector import Vector3d

from pyxem_cnn import rotations as rot
from tests._crystals import NAMES, crystal

SEEDS = st.integers(0, 2**32 - 1)
N = 20

GROUPS = {"1": "C1", "2": "C2", "32": "D3", "432": "O", "622": "D6", "222": "D2", "23": "T"}


def draw(seed, n=N):
    return rot.random_quaternions(n, np.random.default_rng(seed))


def same_rotation(p, q, atol=1e-12):
    """Assert that quaternions are equal up to sign."""
    np.testing.assert_allclose(np.abs((p * q).sum(-1)), 1, atol=atol)


class TestAgainstOrix:
    @given(SEEDS, SEEDS)
    @settings(max_examples=20, deadline=None)
    def test_product_and_inverse(self, first, second):
        p, q = draw(first), draw(second)
        np.testing.assert_allclose(rot.multiply(p, q), (Rotation(p) * Rotation(q)).data, atol=1e-12)
        np.testing.assert_allclose(rot.conjugate(p), (~Rotation(p)).data, atol=1e-12)

    @given(SEEDS)
    @settings(max_examples=20, deadline=None)
    def test_rotate_and_matrix(self, seed):
        q = draw(seed)
        v = np.random.default_rng(seed + 1).normal(size=(N, 3))
        np.testing.assert_allclose(rot.rotate(q, v), (Rotation(q) * Vector3d(v)).data, atol=1e-12)
        np.testing.assert_allclose(rot.to_matrix(q), Rotation(q).to_matrix(), atol=1e-12)
        turned = np.einsum("nij,nj->ni", rot.to_matrix(q), v)
        np.testing.assert_allclose(rot.rotate(q, v), turned, atol=1e-12)

    @pytest.mark.parametrize("name", GROUPS)
    def test_disorientation(self, name, rng):
        group = getattr(symmetry, GROUPS[name])
        p, q = rot.random_quaternions(2 * N, rng).reshape(2, N, 4)
        ours = rot.disorientation_angle(p, q, group.data)
        theirs = Orientation(p, symmetry=group).angle_with(Orientation(q, symmetry=group))
        np.testing.assert_allclose(ours, theirs, atol=1e-6)

    def test_disorientation_about_a_two_fold_axis_on_y(self, rng):
        # orix puts the axis of its group 2 on z; monoclinic crystals have it on b.
        operations = crystal("monoclinic").symmetry_quaternions()
        np.testing.assert_allclose(np.abs(operations), [[1, 0, 0, 0], [0, 0, 1, 0]], atol=1e-12)
        group = symmetry.Symmetry(operations)
        p, q = rot.random_quaternions(2 * N, rng).reshape(2, N, 4)
        theirs = [
            min(np.degrees(2 * np.arccos(min(1, abs(d)))) for d in dots)
            for dots in np.einsum("nk,nsk->ns", p, (group.outer(Rotation(q))).data.swapaxes(0, 1))
        ]
        np.testing.assert_allclose(
            np.rad2deg(rot.disorientation_angle(p, q, operations)), theirs, atol=1e-4
        )

    @pytest.mark.parametrize("name", GROUPS)
    def test_equivalent_orientations_are_the_same(self, name, rng):
        operations = getattr(symmetry, GROUPS[name]).data
        q = rot.random_quaternions(N, rng)
        equivalent = rot.multiply(operations[:, None], q)
        assert rot.disorientation_angle(q, equivalent, operations).max() < 1e-7

    def test_right_symmetry_is_not_taken_for_left_symmetry(self, rng):
        q = rot.random_quaternions(N, rng)
        right = rot.multiply(q, symmetry.O.data[3])
        assert rot.disorientation_angle(q, right, symmetry.O.data).min() > 1e-3

    def test_rotation_vector(self, rng):
        q = rot.random_quaternions(N, rng)
        vector = rot.to_rotation_vector(q)
        angle, axis = Rotation(q).angle, Rotation(q).axis.data
        shorter = np.where(angle > np.pi, angle - 2 * np.pi, angle)
        np.testing.assert_allclose(vector, axis * shorter[:, None], atol=1e-6)
        same_rotation(rot.from_rotation_vector(vector), q)


class TestNumpyEqualsTorch:
    FUNCTIONS = [
        ("multiply", 2),
        ("conjugate", 1),
        ("normalize", 1),
        ("to_matrix", 1),
        ("to_rotation_vector", 1),
        ("angle_between", 2),
        ("swing_twist", 1),
        ("zone_axis", 1),
    ]

    @pytest.mark.parametrize(("name", "n"), FUNCTIONS)
    @pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4)])
    def test_functions(self, name, n, shape, rng):
        arguments = [rot.normalize(rng.normal(size=shape)) for _ in range(n)]
        expected = getattr(rot, name)(*arguments)
        result = getattr(rot, name)(*(torch.from_numpy(a) for a in arguments))
        expected, result = (x if isinstance(x, tuple) else (x,) for x in (expected, result))
        for array, tensor in zip(expected, result, strict=True):
            assert isinstance(tensor, torch.Tensor)
            assert tuple(tensor.shape) == np.shape(array)
            np.testing.assert_allclose(tensor.numpy(), array, atol=1e-12)

    def test_vectors_angles_and_groups(self, rng):
        v, angle = rng.normal(size=(6, 3)), rng.normal(size=(6,))
        p, q = rot.random_quaternions(12, rng).reshape(2, 6, 4)
        t = torch.from_numpy
        for array, tensor in (
            (rot.rotate(p, v), rot.rotate(t(p), t(v))),
            (rot.about_z(angle), rot.about_z(t(angle))),
            (rot.from_rotation_vector(v), rot.from_rotation_vector(t(v))),
            (
                rot.disorientation_angle(p, q, symmetry.D3.data),
                rot.disorientation_angle(t(p), t(q), t(symmetry.D3.data)),
            ),
        ):
            np.testing.assert_allclose(tensor.numpy(), array, atol=1e-12)

    def test_leading_axes_broadcast(self, rng):
        p, q = rot.random_quaternions(3, rng)[:, None], rot.random_quaternions(4, rng)
        product = rot.multiply(p, q)
        assert product.shape == (3, 4, 4)
        np.testing.assert_allclose(product[2, 1], rot.multiply(p[2, 0], q[1]))
        assert rot.rotate(q[0], rng.normal(size=(5, 3))).shape == (5, 3)
        assert rot.rotate(q, np.array([0.0, 0.0, 1.0])).shape == (4, 3)

    def test_gradients_at_no_rotation_are_finite(self):
        vector = torch.zeros(1, 3, requires_grad=True)
        rot.from_rotation_vector(vector).sum().backward()
        assert vector.grad.isfinite().all()


class TestMatrices:
    def test_round_trip(self, rng):
        q = rot.random_quaternions(N, rng)
        back = rot.from_matrix(rot.to_matrix(q))
        same_rotation(back, q)
        assert (back[:, 0] >= 0).all()

    def test_half_turns(self):
        back = rot.from_matrix(np.array([np.diag([1, -1, -1]), np.diag([-1, -1, 1])]))
        same_rotation(back, np.array([[0, 1, 0, 0], [0, 0, 0, 1]]))

    @pytest.mark.parametrize(
        "matrix", [-np.eye(3), np.eye(3) * 1.01, np.diag([1, 1, -1]), np.full((3, 3), np.nan)]
    )
    def test_others_are_refused(self, matrix):
        with pytest.raises(ValueError, match="proper rotations"):
            rot.from_matrix(matrix)


class TestZoneAxisAndTurns:
    @given(SEEDS)
    @settings(max_examples=20, deadline=None)
    def test_swing_twist(self, seed):
        q = draw(seed)
        swing, twist = rot.swing_twist(q)
        np.testing.assert_allclose(swing[:, 3], 0, atol=1e-12)
        assert (np.abs(twist) <= np.pi).all()
        same_rotation(rot.multiply(swing, rot.about_z(twist)), q)
        # A turn on the lab side is all in the twist: the swing stays.
        turned_swing, turned = rot.swing_twist(rot.multiply(q, rot.about_z(np.array(0.3))))
        same_rotation(turned_swing, swing)
        np.testing.assert_allclose(np.cos(turned - twist - 0.3), 1, atol=1e-12)

    def test_zone_axis_is_the_third_column(self, rng):
        q = rot.random_quaternions(N, rng)
        np.testing.assert_allclose(rot.zone_axis(q), Rotation(q).to_matrix()[:, :, 2], atol=1e-12)
        np.testing.assert_allclose(
            rot.zone_axis(q), (Rotation(q) * Vector3d.zvector()).data, atol=1e-12
        )

    def test_with_zone_axis(self, rng):
        v = rng.normal(size=(50, 3))
        v = np.concatenate([v, [[0, 0, 2.0], [0, 0, -3.0], [1e-5, 0, -1], [0, 1e-9, -1]]])
        unit = v / np.linalg.norm(v, axis=1, keepdims=True)
        q = rot.with_zone_axis(v)
        np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1)
        np.testing.assert_allclose(rot.zone_axis(q), unit, atol=1e-8)
        # The shortest turn: no further than the angle between z and the zone axis.
        angle = rot.angle_between(q, np.array([1.0, 0, 0, 0]))
        np.testing.assert_allclose(angle, np.arccos(unit[:, 2].clip(-1, 1)), atol=1e-6)

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("degrees", [37.0, -120.0])
    def test_turning_a_pattern_turns_the_orientation(self, name, degrees, rng):
        """Spots turned counterclockwise by w, y up, are those of O * Rz(-w)."""
        phase, q = crystal(name), rot.random_quaternions(1, rng)[0]
        w = np.deg2rad(degrees)
        # M^T g by hand: the lab positions of reciprocal vectors.
        hkl = rng.integers(-5, 6, size=(30, 3))
        g = hkl @ phase.reciprocal_basis.T
        spots = g @ Rotation(q).to_matrix()[0]
        turn = np.array([[np.cos(w), -np.sin(w), 0], [np.sin(w), np.cos(w), 0], [0, 0, 1]])
        turned = rot.multiply(q, rot.about_z(np.array(-w)))
        np.testing.assert_allclose(g @ Rotation(turned).to_matrix()[0], spots @ turn.T, atol=1e-12)
        np.testing.assert_allclose(rot.rotate(rot.conjugate(turned), g), spots @ turn.T, atol=1e-12)
        np.testing.assert_allclose(rot.zone_axis(turned), rot.zone_axis(q), atol=1e-12)


class TestRandomQuaternions:
    def test_are_uniform(self):
        q = rot.random_quaternions(20_000, np.random.default_rng(0))
        np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1)
        # Uniform on the sphere of quaternions: covariance 1/4, no preferred direction.
        np.testing.assert_allclose(q.T @ q / len(q), np.eye(4) / 4, atol=0.01)
        np.testing.assert_allclose(q.mean(0), 0, atol=0.02)

    def test_repeat_with_the_seed(self):
        np.testing.assert_array_equal(draw(3), draw(3))
        assert not np.allclose(draw(3), draw(4))
