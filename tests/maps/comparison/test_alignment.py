"""Grids of two maps: matched by coordinates, in any unit, and refused where they do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn.maps.comparison.alignment import share_points
from pyxem_cnn.rotations import random_quaternions
from tests._maps import grid_map


def numbered(rows, columns, **kwargs):
    """Return a map with any orientations."""
    q = random_quaternions(rows * columns, np.random.default_rng(0)).reshape(rows, columns, 4)
    return grid_map(q, **kwargs)


def test_equal_grids() -> None:
    shared = share_points({"a": numbered(4, 5), "b": numbered(4, 5)})
    assert shared.shape == (4, 5)
    for index in shared.index:
        np.testing.assert_array_equal(index, np.arange(20).reshape(4, 5))
    np.testing.assert_allclose(shared.x, 2.5 * np.arange(5))
    np.testing.assert_allclose(shared.y, 2.5 * np.arange(4))
    assert shared.scan_unit == "nm"
    assert shared.notes == ()


@pytest.mark.parametrize("swapped", [False, True])
def test_cropped_map_finds_its_place(swapped) -> None:
    whole = numbered(6, 7)
    part = whole[2:5, 3:7]
    maps = {"b": part, "a": whole} if swapped else {"a": whole, "b": part}
    shared = share_points(maps)
    index = dict(zip(maps, shared.index, strict=True))
    assert shared.shape == (3, 4)
    np.testing.assert_array_equal(index["a"], np.arange(42).reshape(6, 7)[2:5, 3:7])
    np.testing.assert_array_equal(index["b"], np.arange(12).reshape(3, 4))
    np.testing.assert_allclose(shared.x, 2.5 * np.arange(3, 7))
    np.testing.assert_allclose(shared.y, 2.5 * np.arange(2, 5))
    assert len(shared.notes) == 1
    assert "Of a, rows 2 to 4 and columns 3 to 6 are compared" in shared.notes[0]


def test_overlapping_maps_share_their_overlap() -> None:
    shared = share_points({"a": numbered(4, 4), "b": numbered(4, 4, origin=(5, -2.5))})
    assert shared.shape == (3, 2)
    np.testing.assert_array_equal(shared.index[0], np.arange(16).reshape(4, 4)[:3, 2:])
    np.testing.assert_array_equal(shared.index[1], np.arange(16).reshape(4, 4)[1:, :2])


def test_left_out_points_have_no_index() -> None:
    mask = np.ones(20, dtype=bool)
    mask[7] = False
    shared = share_points({"a": numbered(4, 5), "b": numbered(4, 5, is_in_data=mask)})
    assert shared.index[1][1, 2] == -1
    # Points in the data are counted without it.
    assert shared.index[1][1, 3] == 7
    assert shared.index[0][1, 3] == 8


@pytest.mark.parametrize(
    ("unit", "factor"), [("um", 1e-3), ("A", 10.0), ("mm", 1e-6), ("px", 1 / 2.5)]
)
def test_units_are_converted(unit, factor) -> None:
    other = numbered(3, 4, step=2.5 * factor, origin=(2.5 * factor, 0), unit=unit)
    shared = share_points({"a": numbered(4, 5), "b": other})
    assert shared.shape == (3, 4)
    np.testing.assert_array_equal(shared.index[0], np.arange(20).reshape(4, 5)[:3, 1:])
    assert any("counts scan points" in note for note in shared.notes) == (unit == "px")


def test_wrong_unit_of_a_file_is_noted() -> None:
    # .ang files say um whatever the scan was in.
    shared = share_points({"a": numbered(4, 5), "b": numbered(4, 5, unit="um")})
    assert shared.shape == (4, 5)
    assert "b says um where a says nm" in shared.notes[0]


def test_rounded_coordinates_of_a_file() -> None:
    shared = share_points({"a": numbered(4, 30, step=1 / 3), "b": numbered(4, 30, step=0.3333)})
    assert shared.shape == (4, 30)


def test_lines_of_points() -> None:
    shared = share_points({"a": numbered(1, 6), "b": numbered(1, 4, origin=(5, 0))})
    assert shared.shape == (1, 4)
    np.testing.assert_array_equal(shared.index[0], [[2, 3, 4, 5]])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"step": 3.0}, "Step of b along y: got 3.0, expected that of a, 2.5"),
        ({"origin": (1.0, 0)}, "First x of b: got 1.0"),
        ({"origin": (0, 1.25)}, "First y of b: got 1.25"),
        ({"origin": (100, 0)}, "no scan position in common"),
    ],
)
def test_grids_that_do_not_fit(changed, message) -> None:
    with pytest.raises(ValueError, match=message):
        share_points({"a": numbered(4, 5), "b": numbered(4, 5, **changed)})
