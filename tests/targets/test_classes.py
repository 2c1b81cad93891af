"""Classifiers: probabilities, clusters, reliability, and what is undefined."""

import math
import pickle

import numpy as np
import pytest
import torch
from orix.quaternion import Orientation, symmetry

from pyxem_cnn.rotations import about_z, random_quaternions
from pyxem_cnn.targets import target_from_dict
from pyxem_cnn.targets._ranking import reliability
from pyxem_cnn.targets.base import Target
from pyxem_cnn.targets.classes import ClassTarget

IDENTITY = np.array([[1.0, 0, 0, 0]])
CUBIC = symmetry.O.data


def turns(*degrees):
    return about_z(np.radians(degrees))


def probabilities(*rows):
    return {"probabilities": torch.tensor(rows)}


def test_best_first_and_nan_beyond_the_classes():
    target = ClassTarget(turns(0, 30, 60), IDENTITY, output="probabilities")
    decoded = target.decode(probabilities([0.2, 0.7, 0.1], [0.5, 0.2, 0.3]), n_best=5)
    np.testing.assert_allclose(
        decoded.scores, [[0.7, 0.2, 0.1] + [np.nan] * 2, [0.5, 0.3, 0.2] + [np.nan] * 2]
    )
    np.testing.assert_allclose(decoded.quaternions[0, :3], turns(30, 0, 60), atol=1e-6)
    np.testing.assert_allclose(decoded.quaternions[1, :3], turns(0, 60, 30), atol=1e-6)
    assert decoded.quaternions[:, 3:].isnan().all()
    np.testing.assert_allclose(decoded.reliability, [100 * (1 - 2 / 7), 40], rtol=1e-5)
    assert decoded.phase_probability.isnan().all()


@pytest.mark.parametrize("output", ["logits", "log_probabilities"])
def test_other_outputs_give_the_same_probabilities(output):
    p = torch.tensor([[0.2, 0.7, 0.1]])
    values = p.log() + (3.0 if output == "logits" else 0.0)
    decoded = ClassTarget(turns(0, 30, 60), IDENTITY, output=output).decode({output: values}, 3)
    torch.testing.assert_close(decoded.scores, p.sort(descending=True).values)


def test_a_declared_output_is_never_replaced_by_another():
    target = ClassTarget(turns(0, 30), IDENTITY, output="logits")
    with pytest.raises(ValueError, match=r"returned \['probabilities'\], expected .*'logits'"):
        target.decode(probabilities([0.5, 0.5]), 1)


def test_neighbours_do_not_count_as_rivals():
    target = ClassTarget(turns(0, 5, 60), IDENTITY, output="probabilities")
    decoded = target.decode(probabilities([0.5, 0.4, 0.1]), 1)
    assert decoded.reliability.item() == pytest.approx(80)


def test_symmetry_makes_neighbours():
    # 0 and 92 degrees about z are 2 degrees apart in a cubic crystal.
    plain = ClassTarget(turns(0, 92, 45), IDENTITY, output="probabilities")
    cubic = ClassTarget(turns(0, 92, 45), CUBIC, output="probabilities")
    p = probabilities([0.5, 0.4, 0.1])
    assert plain.decode(p, 1).reliability.item() == pytest.approx(20)
    assert cubic.decode(p, 1).reliability.item() == pytest.approx(80)


def test_merging_adds_the_probabilities_of_neighbours():
    target = ClassTarget(turns(0, 45, 2, 92), CUBIC, output="probabilities", merge_angle=3)
    decoded = target.decode(probabilities([0.3, 0.35, 0.2, 0.15]), 3)
    np.testing.assert_allclose(decoded.scores, [[0.65, 0.35, np.nan]], rtol=1e-6)
    np.testing.assert_allclose(decoded.quaternions[0, :2], turns(0, 45), atol=1e-6)
    assert decoded.quaternions[0, 2].isnan().all()
    assert decoded.reliability.item() == pytest.approx(100 * (1 - 0.35 / 0.65))


def test_neighbours_agree_with_orix():
    generator = np.random.default_rng(3)
    rotations = random_quaternions(60, generator)
    target = ClassTarget(rotations, CUBIC, output="probabilities")
    near = target._within(torch.arange(60), 40.0).numpy()
    orix = Orientation(rotations, symmetry=symmetry.O)
    angles = np.degrees(orix.get_distance_matrix(lazy=False))
    assert 0.1 < near.mean() < 0.9
    decided = abs(angles - 40) > 1e-3
    np.testing.assert_array_equal(near[decided], (angles < 40)[decided])


def test_blocks_do_not_change_the_result(monkeypatch):
    generator = np.random.default_rng(5)
    target = ClassTarget(random_quaternions(50, generator), CUBIC, output="logits", merge_angle=15)
    outputs = {"logits": torch.tensor(generator.normal(size=(7, 50)) * 3)}
    whole = target.decode(outputs, 4)
    monkeypatch.setattr("pyxem_cnn.targets.classes._MAX_PRODUCTS", 2 * 24 * 50)
    for a, b in zip(whole, target.decode(outputs, 4), strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)


def test_nan_stays_nan():
    for merge_angle in (0, 5):
        target = ClassTarget(turns(0, 30), IDENTITY, output="logits", merge_angle=merge_angle)
        decoded = target.decode({"logits": torch.tensor([[math.nan, 1.0], [2.0, 1.0]])}, 2)
        for part in (decoded.quaternions, decoded.scores, decoded.reliability):
            assert part[0].isnan().all()
            assert part[1].isfinite().all()


def test_one_class_has_no_known_rival():
    decoded = ClassTarget(IDENTITY, IDENTITY, output="probabilities").decode(
        probabilities([1.0]), 1
    )
    assert decoded.reliability.isnan().all()


def test_phase_probability_is_passed_on():
    target = ClassTarget(turns(0, 30), IDENTITY, output="probabilities")
    outputs = probabilities([0.5, 0.5]) | {"phase_probability": torch.tensor([0.25])}
    assert target.decode(outputs, 2).phase_probability.tolist() == [[0.25, 0.25]]


def test_description_makes_the_same_target():
    target = ClassTarget(turns(0, 30), CUBIC, output="probabilities", merge_angle=2.5)
    again = target_from_dict(target.to_dict(), target.arrays())
    assert isinstance(again, ClassTarget)
    assert isinstance(again, Target)
    assert again.to_dict() == target.to_dict()
    outputs = probabilities([0.3, 0.7])
    pickled = pickle.loads(pickle.dumps(again))
    for a, b in zip(target.decode(outputs, 2), pickled.decode(outputs, 2), strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)


def test_refusals():
    with pytest.raises(ValueError, match="output: got 'softmax', expected one of 'logits'"):
        ClassTarget(IDENTITY, IDENTITY, output="softmax")
    with pytest.raises(ValueError, match="merge_angle: got -1"):
        ClassTarget(IDENTITY, IDENTITY, output="logits", merge_angle=-1)
    with pytest.raises(ValueError, match=r"rotations: got .*\(4, 3\).*unit quaternions"):
        ClassTarget(np.zeros((4, 3)), IDENTITY, output="logits")
    with pytest.raises(ValueError, match="1 of the 2 rotations .* number 1"):
        ClassTarget([[1, 0, 0, 0], [1, 1, 0, 0]], IDENTITY, output="logits")
    with pytest.raises(ValueError, match="1 of the 1 symmetry operations"):
        ClassTarget(IDENTITY, [[np.nan, 0, 0, 0]], output="logits")
    with pytest.raises(ValueError, match=r"'logits': got .*\(2, 3\).*\(n_patterns, 1\)"):
        ClassTarget(IDENTITY, IDENTITY, output="logits").decode({"logits": torch.zeros(2, 3)}, 1)
    with pytest.raises(ValueError, match=r"lacks \['merge_angle', 'symmetry'\]"):
        target_from_dict({"kind": "classes", "output": "logits"}, {"rotations": IDENTITY})
    with pytest.raises(ValueError, match="kind of target: got 'fortune'"):
        target_from_dict({"kind": "fortune"}, {})


def test_reliability_of_candidates():
    q = torch.tensor(turns(0, 5, 60, 90)).float()[None].repeat(3, 1, 1)
    scores = torch.tensor([[0.5, 0.3, 0.1, 0.05], [math.nan] * 4, [0.5, 0.3, 0.0, 0.0]])
    symmetry_operations = torch.tensor(IDENTITY)
    result = reliability(q, scores, symmetry_operations)
    assert result[[0, 2]].tolist() == pytest.approx([80, 100])
    assert result[1].isnan()
    cubic = reliability(q[:1, [0, 1, 3]], scores[:1, [0, 1, 3]], torch.tensor(CUBIC))
    assert cubic.item() == 100
    assert reliability(q[:1], scores[:1], symmetry_operations, 2.0).item() == pytest.approx(40)
    assert reliability(q[:1, :1], scores[:1, :1], symmetry_operations).isnan().all()
