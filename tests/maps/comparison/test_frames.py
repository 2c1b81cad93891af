"""Lab frames: named ones turn as they say, and the rotation between two maps is found."""

from __future__ import annotations

import numpy as np
import pytest
from orix.quaternion import Rotation

from pyxem_cnn.maps.comparison.frames import FRAMES, find_lab_rotation, frame_quaternion
from pyxem_cnn.rotations import (
    angle_between,
    from_rotation_vector,
    multiply,
    random_quaternions,
    rotate,
)
from tests._crystals import NAMES, crystal


def test_image_frame_is_x_right_y_down_z_away() -> None:
    image = np.array(FRAMES["image"])
    for lab, expected in (((1, 0, 0), (1, 0, 0)), ((0, 1, 0), (0, -1, 0)), ((0, 0, 1), (0, 0, -1))):
        np.testing.assert_allclose(rotate(image, np.array(lab, dtype=float)), expected)


@pytest.mark.parametrize("form", [Rotation, list, tuple, np.asarray])
def test_forms_of_a_frame(form) -> None:
    np.testing.assert_allclose(frame_quaternion(form([1.0, 1, 0, 0])), np.sqrt([0.5, 0.5, 0, 0]))


def test_frames_that_are_none() -> None:
    with pytest.raises(ValueError, match="'lab', 'image'"):
        frame_quaternion("edax")
    with pytest.raises(ValueError, match="one rotation"):
        frame_quaternion(np.ones((2, 4)))
    with pytest.raises(ValueError, match="one rotation"):
        frame_quaternion(np.zeros(4))
    with pytest.raises(TypeError, match="frame"):
        frame_quaternion(7)


def grains(name, rng, n_grains=5, points=20):
    """Return orientations of grains and others that are equivalent but for a degree."""
    q = np.repeat(random_quaternions(n_grains, rng), points, axis=0)
    symmetry = crystal(name).symmetry_quaternions()
    noise = from_rotation_vector(rng.normal(scale=np.deg2rad(0.4), size=(len(q), 3)))
    equivalent = symmetry[rng.integers(0, len(symmetry), len(q))]
    return q, multiply(equivalent, multiply(noise, q)), symmetry


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("vector", [(180, 0, 0), (0, 0, 90), (20, -35, 51)])
def test_rotation_between_maps_is_found(name, vector, rng) -> None:
    q, other, symmetry = grains(name, rng)
    turn = from_rotation_vector(np.deg2rad(np.array(vector, dtype=float)))
    # p = q' turn, up to noise and symmetry
    found = find_lab_rotation(multiply(other, turn), q, symmetry)
    assert np.rad2deg(angle_between(found.quaternion, turn)) < 0.3
    np.testing.assert_allclose(found.degrees, np.linalg.norm(vector), atol=0.3)
    expected = np.array(vector) / np.linalg.norm(vector)
    np.testing.assert_allclose(found.axis, expected, atol=0.02)
    assert found.after == 100
    assert "of the lab" in str(found)


def test_rotation_is_found_although_a_third_of_the_points_is_wrong(rng) -> None:
    q, other, symmetry = grains("trigonal", rng)
    turn = np.array(FRAMES["image"])
    other = multiply(other, turn)
    wrong = rng.random(len(q)) < 0.33
    other[wrong] = random_quaternions(int(wrong.sum()), rng)
    found = find_lab_rotation(other, q, symmetry)
    assert np.rad2deg(angle_between(found.quaternion, turn)) < 0.5


def test_no_rotation_where_there_is_none(rng) -> None:
    q, _, symmetry = grains("cubic", rng)
    assert find_lab_rotation(q, random_quaternions(len(q), rng), symmetry) is None
    assert find_lab_rotation(q[:0], q[:0], symmetry) is None


def test_maps_that_agree_need_no_rotation(rng) -> None:
    q, other, symmetry = grains("cubic", rng)
    assert find_lab_rotation(q, other, symmetry) is None


def test_single_crystal_tells_nothing(rng) -> None:
    q, other, symmetry = grains("cubic", rng, n_grains=1)
    turned = multiply(other, from_rotation_vector(np.deg2rad([20.0, 10, 5])))
    assert find_lab_rotation(q, turned, symmetry) is None
