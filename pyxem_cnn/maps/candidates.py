"""All orientations of the points of a map: the best ones, and what was found beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.rotations import normalize

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["Candidates", "all_phase_ids", "candidates_of", "scores_of"]

_REMEDY = "Map with several: get_orientation_map_cnn(..., n_best=3)."


class Candidates(NamedTuple):
    """Orientations of all points in the data, best first.

    Attributes
    ----------
    quaternions
        Lab to crystal, of unit length, shape (points, n_best, 4).
    phase
        Their phase ids, -1 where there is none, shape (points, n_best).
    """

    quaternions: np.ndarray
    phase: np.ndarray


def candidates_of(xmap: CrystalMap) -> Candidates:
    """Return the orientations of all points in the data.

    Parameters
    ----------
    xmap
        A map with several orientations for each point.

    Raises
    ------
    ValueError
        If it has one for each point.
    """
    data = xmap._rotations.data[xmap.is_in_data].reshape(xmap.size, -1, 4)
    if data.shape[1] < 2:
        given = data.shape[1]
        raise ValueError(given_expected("orientations of a point", given, "two or more", _REMEDY))
    phase = all_phase_ids(xmap)[xmap.is_in_data]
    return Candidates(normalize(np.asarray(data, dtype=np.float64)), phase)


def scores_of(xmap: CrystalMap, name: str = "scores") -> np.ndarray:
    """Return the score of each orientation of all points in the data, (points, n_best).

    Parameters
    ----------
    xmap
        A map with several orientations for each point.
    name
        Of the property.

    Raises
    ------
    ValueError
        If there is no such property, or it has another shape.
    """
    shape = xmap.size, all_phase_ids(xmap).shape[1]
    if name not in xmap.prop or np.shape(xmap.prop[name]) != shape:
        expected = f"{name} of shape {shape}"
        raise ValueError(given_expected("properties of xmap", list(xmap.prop), expected, _REMEDY))
    return np.asarray(xmap.prop[name], dtype=np.float64)


def all_phase_ids(xmap: CrystalMap) -> np.ndarray:
    """Return the phase ids of all orientations of all points, in the data or not.

    Parameters
    ----------
    xmap
        The map.

    Returns
    -------
    phase_ids
        Shape (all points, n_best); -1 everywhere at points that are not indexed.
    """
    n_best = xmap._rotations.data.reshape(xmap.is_in_data.size, -1, 4).shape[1]
    best = np.repeat(xmap._phase_id[:, None], n_best, axis=1)
    several = dict.get(xmap.prop, "phase_ids")
    return best if several is None else np.where(best >= 0, several, best).astype(int)
