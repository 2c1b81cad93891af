"""Regressors: every representation against orix, and what is undefined."""

import math

import numpy as np
import pytest
import torch
from orix.quaternion import Rotation

from pyxem_cnn.rotations import angle_between, random_quaternions
from pyxem_cnn.targets import target_from_dict
from pyxem_cnn.targets.base import Target
from pyxem_cnn.targets.regression import REPRESENTATIONS, RegressionTarget

Q = random_quaternions(200, np.random.default_rng(0))


def decode(representation, values, n_best=1, **more):
    outputs = {"orientation": torch.as_tensor(values)} | more
    return RegressionTarget(representation).decode(outputs, n_best)


def largest_angle(decoded, expected):
    return angle_between(decoded.quaternions[:, 0].double().numpy(), expected).max()


@pytest.mark.parametrize(
    ("representation", "values"),
    [
        ("quaternion", -2.5 * Q),
        ("euler_bunge_radians", Rotation(Q).to_euler()),
        ("euler_bunge_degrees", Rotation(Q).to_euler(degrees=True)),
        ("rotation_matrix", Rotation(Q).to_matrix()),
        ("rotation_matrix", Rotation(Q).to_matrix().reshape(-1, 9)),
    ],
)
def test_orientations_agree_with_orix(representation, values):
    decoded = decode(representation, values)
    assert decoded.quaternions.dtype == torch.float32
    assert largest_angle(decoded, Q) < 2e-6


def test_euler_angles_outside_the_usual_range_agree_with_orix():
    angles = np.random.default_rng(1).uniform(-7, 7, size=(100, 3))
    expected = Rotation.from_euler(angles).data
    assert largest_angle(decode("euler_bunge_radians", angles), expected) < 3e-6


def test_the_matrix_nearest_to_a_distorted_one():
    generator = np.random.default_rng(2)
    matrices = Rotation(Q).to_matrix() * 1.7 + generator.normal(size=(200, 3, 3)) * 0.1
    u, _, vt = np.linalg.svd(matrices)
    sign = np.linalg.det(u @ vt)
    u[..., -1] *= sign[:, None]
    expected = Rotation.from_matrix(u @ vt).data
    assert largest_angle(decode("rotation_matrix", matrices), expected) < 1e-5


def test_half_turns():
    matrices = torch.stack([torch.diag(torch.tensor(d)) for d in ([1.0, -1, -1], [-1.0, -1, 1])])
    decoded = decode("rotation_matrix", matrices)
    np.testing.assert_allclose(
        decoded.quaternions[:, 0].abs(), [[0, 1, 0, 0], [0, 0, 0, 1]], atol=1e-6
    )


def test_one_orientation_without_a_score():
    decoded = decode("quaternion", Q[:3], n_best=3)
    assert decoded.quaternions.shape == (3, 3, 4)
    assert decoded.quaternions[:, 0].isfinite().all()
    assert decoded.quaternions[:, 1:].isnan().all()
    assert decoded.scores.shape == (3, 3)
    assert decoded.scores.isnan().all()
    assert decoded.reliability.isnan().all()
    assert decoded.phase_probability.isnan().all()


def test_confidence_becomes_the_score():
    decoded = decode(
        "quaternion",
        Q[:2],
        n_best=2,
        confidence=torch.tensor([0.9, 0.4]),
        phase_probability=torch.tensor([1.0, 0.0]),
    )
    np.testing.assert_allclose(decoded.scores, [[0.9, np.nan], [0.4, np.nan]])
    assert decoded.phase_probability.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_no_rotation_is_nan(representation):
    shape = {"quaternion": (4,), "rotation_matrix": (3, 3)}.get(representation, (3,))
    values = torch.ones(3, *shape)
    values[0] = math.nan
    values[1] = 0 if len(shape) == 2 or shape == (4,) else math.inf
    if representation == "rotation_matrix":
        values[2] = torch.eye(3)
    decoded = decode(representation, values, confidence=torch.ones(3))
    assert decoded.quaternions[:2].isnan().all()
    assert decoded.scores[:2].isnan().all()
    assert decoded.quaternions[2].isfinite().all()
    assert decoded.scores[2].item() == 1


def test_description_makes_the_same_target():
    target = RegressionTarget("rotation_matrix")
    again = target_from_dict(target.to_dict(), target.arrays())
    assert isinstance(again, RegressionTarget)
    assert isinstance(again, Target)
    assert again.to_dict() == target.to_dict()


def test_refusals():
    with pytest.raises(ValueError, match="representation: got 'euler'"):
        RegressionTarget("euler")
    with pytest.raises(ValueError, match=r"got .*\(2, 4\).*expected shape \(n_patterns, 3\)"):
        decode("euler_bunge_degrees", Q[:2])
    with pytest.raises(ValueError, match=r"\(2, 8\).*expected shape \(n_patterns, 3, 3\)"):
        decode("rotation_matrix", torch.zeros(2, 8))
    with pytest.raises(ValueError, match="expected an output named 'orientation'"):
        RegressionTarget("quaternion").decode({"pose": torch.tensor(Q)}, 1)
    with pytest.raises(ValueError, match="lacks 'representation'"):
        target_from_dict({"kind": "regression"}, {})
