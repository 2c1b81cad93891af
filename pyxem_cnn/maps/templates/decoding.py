"""Matches of templates to orientations: template index, in-plane angle and mirror, decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.maps.building import NOT_INDEXED
from pyxem_cnn.rotations import about_z, disorientation_angle, multiply

if TYPE_CHECKING:
    from diffsims.simulations import Simulation2D
    from orix.crystal_map import Phase

__all__ = [
    "MIRROR",
    "DecodedMatches",
    "Templates",
    "decode_matches",
    "laue_rotations",
    "reliability",
]

# Columns of pyxem's OrientationMap.
_INDEX, _CORRELATION, _ROTATION, _FACTOR = range(4)
# A turn by 180 degrees about y, on the lab side: by Friedel's law it mirrors a pattern, ky to -ky.
MIRROR = np.array([0.0, 0.0, 1.0, 0.0])
# Orientations nearer to the best one are the same answer, in degrees.
_SAME_ANSWER = 10.0


@dataclass(frozen=True)
class Templates:
    """What the numbers of an OrientationMap refer to.

    Attributes
    ----------
    quaternions
        Orientation of every template, all phases in a row, shape (n, 4).
    phase_ids
        Place of its phase among the phases, shape (n,).
    """

    quaternions: np.ndarray
    phase_ids: np.ndarray

    @classmethod
    def from_simulation(cls, simulation: Simulation2D) -> Templates:
        """Return the templates of a diffsims simulation.

        Parameters
        ----------
        simulation
            With one rotation or many, of one phase or several.
        """
        from orix.quaternion import Rotation

        rotations = simulation.rotations
        # diffsims keeps an array of rotations for several phases.
        each = [rotations] if isinstance(rotations, Rotation) else list(rotations)
        parts = [np.atleast_2d(np.asarray(one.data, dtype=np.float64)) for one in each]
        for part in parts:
            if part.ndim != 2:
                expected = "one list of templates for each phase, shape (n, 4)"
                remedy = "Simulate with rotations of one dimension: rotation.flatten()."
                raise ValueError(given_expected("simulation.rotations", part, expected, remedy))
        ids = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return cls(np.concatenate(parts), ids)


@dataclass(frozen=True)
class DecodedMatches:
    """The rows of an OrientationMap, decoded; all arrays begin with (points, n_best).

    Attributes
    ----------
    quaternions
        Orientations, lab to crystal, NaN where there is none; shape (points, n_best, 4).
    phase_ids
        -1 where there is none.
    scores
        Correlations as pyxem gives them, NaN where there is none.
    template_index
        Index into all templates, -1 where there is none.
    mirrored
        Whether the mirror image of the template matched.
    is_in_data
        False for points that were left out (index NaN), shape (points,).
    """

    quaternions: np.ndarray
    phase_ids: np.ndarray
    scores: np.ndarray
    template_index: np.ndarray
    mirrored: np.ndarray
    is_in_data: np.ndarray

    def first(self, n_best: int) -> DecodedMatches:
        """Return the first orientations only.

        Parameters
        ----------
        n_best
            How many to keep for each point.
        """
        kept = {name: values[:, :n_best] for name, values in vars(self).items() if values.ndim > 1}
        return DecodedMatches(**kept, is_in_data=self.is_in_data)


def decode_matches(
    rows: np.ndarray, templates: Templates, azimuthal_offset: float = 0.0
) -> DecodedMatches:
    """Return the orientations that rows of an OrientationMap mean.

    A pattern that is the template's turned by w counterclockwise (y up) has the orientation
    ``O_template * Rz(-w)``, and one that is the mirror image (ky to -ky) of the template's, turned
    by w, ``O_template * C2y * Rz(-w)``, since Friedel's law makes a turn about y of a mirror. pyxem
    writes the shift of its azimuthal axis, which begins at -180 degrees: w is its rotation plus
    180 degrees. Nothing of this depends on how the template itself is turned about the beam (phi1).

    Parameters
    ----------
    rows
        Columns index, correlation, rotation in degrees and factor, shape (points, n_best, 4).
    templates
        The templates that were matched.
    azimuthal_offset
        Added to every in-plane rotation, in degrees.

    Returns
    -------
    matches
        The orientations, in the frame of the patterns with y up.

    Raises
    ------
    ValueError
        If an index is beyond the templates.
    """
    rows = np.asarray(rows, dtype=np.float64)
    index = np.where(np.isfinite(rows[..., _INDEX]), rows[..., _INDEX], NOT_INDEXED).astype(int)
    if index.max(initial=NOT_INDEXED) >= len(templates.quaternions):
        raise ValueError(
            given_expected(
                "template index",
                int(index.max()),
                f"less than the {len(templates.quaternions)} templates of the simulation",
                "Pass the simulation that the patterns were matched with.",
            )
        )
    score = rows[..., _CORRELATION]
    # An empty pattern correlates with nothing: whatever index stands there means nothing.
    found = (index >= 0) & np.isfinite(score) & (score != 0)
    mirrored = found & (rows[..., _FACTOR] < 0)
    orientation = templates.quaternions[np.where(found, index, 0)]
    orientation = np.where(mirrored[..., None], multiply(orientation, MIRROR), orientation)
    angle = np.deg2rad(rows[..., _ROTATION] + 180 + azimuthal_offset)
    orientation = multiply(orientation, about_z(-np.where(found, angle, 0.0)))
    orientation[~found] = np.nan
    return DecodedMatches(
        quaternions=orientation,
        phase_ids=np.where(found, templates.phase_ids[np.where(found, index, 0)], NOT_INDEXED),
        scores=np.where(found, score, np.nan),
        template_index=np.where(found, index, NOT_INDEXED),
        mirrored=mirrored,
        is_in_data=~np.isnan(rows[:, 0, _INDEX]),
    )


def reliability(matches: DecodedMatches, symmetries: Sequence[np.ndarray]) -> np.ndarray:
    """Return how far the best orientation stands above the best one that is another answer.

    Parameters
    ----------
    matches
        With several orientations for each point, best first.
    symmetries
        Proper rotations of each phase's Laue group, shape (n_operations, 4).

    Returns
    -------
    reliability
        ``100 (1 - c2/c1)`` of shape (points,), c1 the best score and c2 the best of another phase
        or more than 10 degrees away. NaN where the list holds no such orientation.
    """
    best, others = matches.quaternions[:, :1], matches.quaternions[:, 1:]
    other = matches.phase_ids[:, 1:] != matches.phase_ids[:, :1]
    for phase_id, symmetry in enumerate(symmetries):
        points = matches.phase_ids[:, 0] == phase_id
        angle = disorientation_angle(best[points], others[points], symmetry)
        other[points] |= np.rad2deg(angle) > _SAME_ANSWER
    other &= matches.phase_ids[:, 1:] != NOT_INDEXED
    second = np.where(other, matches.scores[:, 1:], -np.inf).max(axis=1, initial=-np.inf)
    second = np.where(np.isfinite(second), second, np.nan)
    return 100 * (1 - second / matches.scores[:, 0])


def laue_rotations(phase: Phase) -> np.ndarray:
    """Return the proper rotations of a phase's Laue group, the identity alone without a group.

    Parameters
    ----------
    phase
        An orix phase.

    Returns
    -------
    quaternions
        Shape (n, 4).
    """
    if phase.point_group is None:
        return np.array([[1.0, 0.0, 0.0, 0.0]])
    return np.asarray(phase.point_group.laue.proper_subgroup.data)
