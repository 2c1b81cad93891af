"""Error messages say what was given, what is expected and what to do."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from pyxem_cnn import _checks


def test_message_names_given_expected_and_remedy() -> None:
    message = _checks.given_expected("center", (3,), "two numbers (x, y)", "Pass both.")
    assert message == "center: got (3,), expected two numbers (x, y). Pass both."
    assert _checks.given_expected("n", 0, "one").endswith("expected one.")


def test_long_values_are_cut_and_arrays_described_by_shape() -> None:
    assert len(_checks.describe("x" * 500)) <= 80
    assert _checks.describe(da.zeros((2, 3), dtype="u2")) == (
        "an array of shape (2, 3) and dtype uint16"
    )
    assert "3.5" in _checks.describe(np.float64(3.5))


def test_things_whose_repr_is_a_table_are_described_by_their_kind() -> None:
    class Orientations:
        def __repr__(self) -> str:
            return "Orientations (2,)\n[[1 0 0 0]\n [1 0 0 0]]"

    assert _checks.describe(Orientations()) == "an Orientations"
    assert _checks.describe("two\nlines") == r"'two\nlines'"


def test_check_type() -> None:
    assert _checks.check_type("n", 3, (int, float)) == 3
    assert _checks.check_type("n", None, (int, type(None))) is None
    assert _checks.check_type("flag", True, bool) is True
    with pytest.raises(TypeError, match="n: got 'a' of type str, expected int or None. Count."):
        _checks.check_type("n", "a", (int, type(None)), "Count.")
    with pytest.raises(TypeError, match="got True of type bool, expected int"):
        _checks.check_type("n", True, int)


def test_check_choice_suggests_the_nearest() -> None:
    assert _checks.check_choice("group", "Laue", ["Laue", "point"]) == "Laue"
    with pytest.raises(
        ValueError, match=r"group: got 'Laeu', expected one of 'Laue', 'point'. Did"
    ):
        _checks.check_choice("group", "Laeu", ["Laue", "point"])
    with pytest.raises(ValueError, match=r"expected one of 1, 2\.$"):
        _checks.check_choice("n", 7, [1, 2])


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, np.float32(-2)])
def test_check_positive_refuses_values(value: float) -> None:
    with pytest.raises(ValueError, match="scale: got .* expected a number above zero"):
        _checks.check_positive("scale", value)


@pytest.mark.parametrize("value", ["1", None, True, 1j])
def test_check_positive_refuses_types(value: object) -> None:
    with pytest.raises(TypeError, match="scale: got .* of type"):
        _checks.check_positive("scale", value)


def test_check_positive_whole_numbers_and_zero() -> None:
    assert _checks.check_positive("n", np.int64(4), integer=True) == 4
    assert _checks.check_positive("n", 0, allow_zero=True) == 0
    with pytest.raises(TypeError, match="whole number"):
        _checks.check_positive("n", 4.0, integer=True)
    with pytest.raises(ValueError, match="zero or more"):
        _checks.check_positive("n", -1, allow_zero=True)


@pytest.mark.parametrize(
    ("given", "expected", "fits"),
    [
        ((2, 3), (2, 3), True),
        ((2, 3), (3, 2), False),
        ((2, 3), (2, None), True),
        ((2, 3), (2, 3, 1), False),
        ((5, 4), (..., 4), True),
        ((4,), (..., 4), True),
        ((6, 5, 4), (..., 4), True),
        ((6, 5, 3), (..., 4), False),
        ((), (..., 4), False),
        ((7, 7), ("n", "n"), True),
        ((7, 8), ("n", "n"), False),
        ((7, 8), (...,), True),
    ],
)
def test_check_shape(given: tuple, expected: tuple, fits: bool) -> None:
    array = np.zeros(given)
    if fits:
        assert _checks.check_shape("array", array, expected) is array
    else:
        with pytest.raises(ValueError, match="array: got .*expected shape"):
            _checks.check_shape("array", array, expected)


def test_check_shape_wording() -> None:
    with pytest.raises(ValueError, match=r"expected shape \(n,\)"):
        _checks.check_shape("array", np.zeros((2, 2)), ("n",))
    with pytest.raises(TypeError, match=r"expected an array of shape \(any, 3\)"):
        _checks.check_shape("array", [[1, 2, 3]], (None, 3))
