"""Checks of what a dynamical simulation is asked for."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from pyxem_cnn._checks import check_positive, check_shape, check_type, given_expected


def as_quaternions(orientations: Any) -> np.ndarray:
    """Return unit quaternions of an array or an orix rotation.

    Parameters
    ----------
    orientations
        Array of shape (n, 4) or orix rotation of shape (n,).

    Returns
    -------
    quaternions
        Shape (n, 4), float64.

    Raises
    ------
    TypeError, ValueError
        If the shape is another one, or if they are not of unit length.
    """
    is_orix = hasattr(orientations, "to_euler")
    quaternions = np.asarray(orientations.data if is_orix else orientations, dtype=np.float64)
    remedy = "Give one quaternion as quaternion[None], and flatten maps of them."
    check_shape("orientations", quaternions, ("n", 4), remedy)
    norm = np.linalg.norm(quaternions, axis=1, keepdims=True)
    if not np.allclose(norm, 1, atol=1e-3):
        raise ValueError(
            given_expected("orientations", quaternions, "unit quaternions", "Normalise them.")
        )
    return quaternions / norm


def check_thicknesses(thicknesses: Any, n: int | None = None) -> np.ndarray:
    """Return thicknesses after a check.

    Parameters
    ----------
    thicknesses
        In angstrom, shape (T,), or (n, T) where `n` is given.
    n
        Number of orientations.

    Returns
    -------
    thicknesses
        Float64.

    Raises
    ------
    TypeError, ValueError
        If shape or values are wrong.

    Warns
    -----
    UserWarning
        If all of them are below 100 angstrom, unless each orientation has its own.
    """
    values = np.asarray(thicknesses, dtype=np.float64)
    if values.ndim == 2 and n is not None:
        check_shape("thicknesses", values, (n, "T"), "There must be a row for each orientation.")
    else:
        check_shape("thicknesses", values, ("T",))
    expected = "thicknesses above zero, in angstrom"
    if values.size == 0 or not np.all(np.isfinite(values) & (values > 0)):
        raise ValueError(given_expected("thicknesses", values.tolist(), expected))
    if values.ndim == 1 and values.max() < 100:
        warnings.warn(
            given_expected(
                "thicknesses",
                values.tolist(),
                "angstrom, as in 500 for 50 nm",
                "Multiply by 10 if these are nanometres.",
            ),
            UserWarning,
            stacklevel=3,
        )
    return values


def check_n_beams(n_beams: Any) -> int:
    """Return the number of beams after a check.

    Parameters
    ----------
    n_beams
        With the direct beam.

    Returns
    -------
    n_beams
        At least 2.

    Raises
    ------
    TypeError, ValueError
        If it is not a whole number of 2 or more.
    """
    if check_positive("n_beams", n_beams, integer=True) < 2:
        expected = "at least 2: the direct beam and a diffracted one"
        raise ValueError(given_expected("n_beams", n_beams, expected))
    return int(n_beams)


def check_generator(generator: Any) -> np.random.Generator | None:
    """Return a generator of random numbers, or None, after a check.

    Parameters
    ----------
    generator
        Of NumPy.

    Returns
    -------
    generator
        As given.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if generator is not None:
        remedy = "Pass numpy.random.default_rng(seed)."
        check_type("generator", generator, np.random.Generator, remedy)
    return generator


def check_change(change: Any, n: int) -> np.ndarray | None:
    """Return what is added to the displacement parameters B, after a check.

    Parameters
    ----------
    change
        In square angstrom, shape (n,), or None.
    n
        Number of orientations.

    Returns
    -------
    change
        Float64 or None.

    Raises
    ------
    TypeError, ValueError
        If shape or values are wrong.
    """
    if change is None:
        return None
    values = check_shape("debye_waller_change", np.asarray(change, dtype=np.float64), (n,))
    if not np.all(np.isfinite(values)):
        raise ValueError(
            given_expected("debye_waller_change", values, "finite numbers in square angstrom")
        )
    return values
