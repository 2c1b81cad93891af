"""Argument checks with one wording: what was given, what is expected, what to do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from types import EllipsisType
from typing import Any, TypeVar

T = TypeVar("T")

_LONGEST_REPR = 80


def given_expected(what: str, given: object, expected: str, remedy: str = "") -> str:
    """Return the text of an error message.

    Parameters
    ----------
    what
        Name of the argument or thing that is wrong.
    given
        The value that was given. Arrays are described by shape and dtype.
    expected
        What is expected, without a full stop.
    remedy
        What to do about it, one or more full sentences.

    Returns
    -------
    message
        The text.

    Examples
    --------
    >>> given_expected("n_best", 0, "a whole number above zero", "Use n_best=1 for the best one.")
    'n_best: got 0, expected a whole number above zero. Use n_best=1 for the best one.'
    """
    message = f"{what}: got {describe(given)}, expected {expected}."
    return f"{message} {remedy}" if remedy else message


def describe(value: object) -> str:
    """Return `value` in a few words: arrays by shape and dtype, other things by their repr.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    text
        The description.

    Examples
    --------
    >>> import numpy as np
    >>> describe(np.zeros((3, 4)))
    'an array of shape (3, 4) and dtype float64'
    >>> describe("cuda")
    "'cuda'"
    """
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None and len(shape) > 0:
        return f"an array of shape {tuple(shape)} and dtype {dtype}"
    text = repr(value)
    if "\n" in text:
        # Tables, such as those of crystal maps, make no sentence.
        kind = type(value).__name__
        return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"
    if len(text) <= _LONGEST_REPR:
        return text
    # Both ends are kept: a path is told from others by its last part.
    head = (_LONGEST_REPR - 3) // 2
    return f"{text[:head]}...{text[head + 3 - _LONGEST_REPR :]}"


def check_type(what: str, value: T, types: type | tuple[type, ...], remedy: str = "") -> T:
    """Return `value` if it is an instance of `types`.

    True and False do not pass as numbers.

    Parameters
    ----------
    what
        Name of the argument.
    value
        The value to check.
    types
        The accepted type or types.
    remedy
        What to do about a wrong type.

    Returns
    -------
    value
        The value, unchanged.

    Raises
    ------
    TypeError
        If the type is another one.
    """
    types = types if isinstance(types, tuple) else (types,)
    is_stray_bool = isinstance(value, bool) and bool not in types and object not in types
    if isinstance(value, types) and not is_stray_bool:
        return value
    names = " or ".join("None" if t is type(None) else t.__name__ for t in types)
    given = f"{describe(value)} of type {type(value).__name__}"
    raise TypeError(given_expected(what, _Verbatim(given), names, remedy))


def check_choice(what: str, value: T, choices: Iterable[T], remedy: str = "") -> T:
    """Return `value` if it is one of `choices`.

    Parameters
    ----------
    what
        Name of the argument.
    value
        The value to check.
    choices
        The accepted values.
    remedy
        What to do about a wrong value. By default, the nearest choice is suggested.

    Returns
    -------
    value
        The value, unchanged.

    Raises
    ------
    ValueError
        If the value is none of them.
    """
    choices = list(choices)
    if value in choices:
        return value
    if not remedy:
        near = difflib.get_close_matches(str(value), [str(c) for c in choices], n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else ""
    expected = "one of " + ", ".join(repr(c) for c in choices) if choices else "nothing at all"
    raise ValueError(given_expected(what, value, expected, remedy))


def check_positive(
    what: str,
    value: Any,
    *,
    integer: bool = False,
    allow_zero: bool = False,
    remedy: str = "",
) -> Any:
    """Return `value` if it is a finite number above zero.

    Parameters
    ----------
    what
        Name of the argument.
    value
        The value to check.
    integer
        Whether only whole numbers are accepted.
    allow_zero
        Whether zero is accepted, too.
    remedy
        What to do about a wrong value.

    Returns
    -------
    value
        The value, unchanged.

    Raises
    ------
    TypeError
        If the value is not a number, or not a whole one where that is asked for.
    ValueError
        If the value is negative, zero (unless allowed), infinite or NaN.
    """
    kind = "whole number" if integer else "number"
    expected = f"a {kind} of zero or more" if allow_zero else f"a {kind} above zero"
    if not isinstance(value, Integral if integer else Real) or isinstance(value, bool):
        given = _Verbatim(f"{describe(value)} of type {type(value).__name__}")
        raise TypeError(given_expected(what, given, expected, remedy))
    number = float(value)
    if not math.isfinite(number) or number < 0 or (number == 0 and not allow_zero):
        raise ValueError(given_expected(what, value, expected, remedy))
    return value


def check_share(what: str, value: Any, remedy: str = "") -> Any:
    """Return `value` if it is a number from 0 to 1.

    Parameters
    ----------
    what
        Name of the argument.
    value
        The value to check.
    remedy
        What to do about a wrong value.

    Returns
    -------
    value
        The value, unchanged.

    Raises
    ------
    TypeError
        If the value is not a number.
    ValueError
        If the value is below 0, above 1 or NaN.
    """
    if check_positive(what, value, allow_zero=True, remedy=remedy) > 1:
        raise ValueError(given_expected(what, value, "a share from 0 to 1", remedy))
    return value


def check_shape(
    what: str,
    array: T,
    shape: Sequence[int | str | None | EllipsisType],
    remedy: str = "",
) -> T:
    """Return `array` if its shape is as described.

    Parameters
    ----------
    what
        Name of the argument.
    array
        Anything with a ``shape``: a NumPy or dask array, a tensor.
    shape
        The expected shape. A number must be met; a name or None stands for any length; a
        leading ``...`` stands for any axes before the others. A name that is used twice must
        stand for the same length.
    remedy
        What to do about a wrong shape.

    Returns
    -------
    array
        The array, unchanged.

    Raises
    ------
    TypeError
        If `array` has no shape.
    ValueError
        If the shape is another one.

    Examples
    --------
    >>> import numpy as np
    >>> check_shape("shifts", np.zeros((5, 3)), ("n", 2))
    Traceback (most recent call last):
    ...
    ValueError: shifts: got an array of shape (5, 3) and dtype float64, expected shape (n, 2).
    """
    expected = f"shape {_shape_text(shape)}"
    given = getattr(array, "shape", None)
    if given is None:
        text = _Verbatim(f"{describe(array)} of type {type(array).__name__}")
        raise TypeError(given_expected(what, text, f"an array of {expected}", remedy))
    if not _shape_fits(tuple(given), shape):
        raise ValueError(given_expected(what, array, expected, remedy))
    return array


def _shape_fits(given: tuple[int, ...], shape: Sequence[Any]) -> bool:
    """Return whether the lengths `given` fit the description `shape`."""
    if shape and shape[0] is ...:
        shape = shape[1:]
        given = given[-len(shape) :] if len(shape) < len(given) and shape else given
        if not shape:
            return True
    if len(given) != len(shape):
        return False
    named: dict[str, int] = {}
    for length, wanted in zip(given, shape, strict=True):
        if isinstance(wanted, str):
            wanted = named.setdefault(wanted, length)
        if wanted is not None and length != wanted:
            return False
    return True


def _shape_text(shape: Sequence[Any]) -> str:
    """Return the description of a shape as it is written in Python."""
    words = ["..." if s is ... else "any" if s is None else str(s) for s in shape]
    return f"({words[0]},)" if len(words) == 1 else f"({', '.join(words)})"


class _Verbatim:
    """A text that :func:`describe` shows as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text
