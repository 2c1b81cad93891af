"""Which of the other orientations of each point are pseudo-symmetric twins of the best one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pyxem_cnn._checks import check_positive, check_share, check_type
from pyxem_cnn.detector.calibration import check_beam_energy
from pyxem_cnn.maps.candidates import candidates_of, scores_of
from pyxem_cnn.maps.comparison.twins import crystal_of, simulator_of
from pyxem_cnn.maps.misorientation import proper_group
from pyxem_cnn.maps.twins.relations import Related, axes_of_phase, relate, twin_differences
from pyxem_cnn.maps.twins.twin_list import RELATIONS, TwinList
from pyxem_cnn.rotations import zone_axis

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

    from pyxem_cnn.crystal.zone_axes import TwinAxes
    from pyxem_cnn.simulation.kinematic import KinematicSimulator

__all__ = ["list_twins"]

_BEST, _TWIN, _NEAR, _OTHER, _OTHER_PHASE, _NONE = range(len(RELATIONS))
# A zone axis is near if spots within this share of the detector's radius are all of its zeroth
# Laue zone.
_REACH = 0.5


class _Options(NamedTuple):
    """Arguments of `list_twins` that say what is a twin."""

    accelerating_voltage: float | None
    k_max: float
    largest_index: int
    tolerance: float


def list_twins(
    xmap: CrystalMap,
    *,
    accelerating_voltage: float | None = None,
    k_max: float = 1.6,
    largest_index: int = 3,
    tolerance: float = 3.0,
    scores: str | None = "scores",
    minimum_score: float = 0.01,
) -> TwinList:
    r"""List which orientations of each point are pseudo-symmetric twins of its best one.

    The twin of an orientation O is :math:`C_2[uvw]\,O`, the crystal after half a turn about a zone
    axis [uvw] near the beam. Both have all but the same pattern. So where the second orientation
    of a point is a twin of the first, both agree on the zone axis, and only the half turn is open;
    where it is not, quite another orientation is.

    Parameters
    ----------
    xmap
        A map with several orientations for each point, of :meth:`get_orientation_map_cnn` with
        ``n_best=3`` or so.
    accelerating_voltage
        In kV. If given, the kinematic patterns of twins are simulated, and ``difference`` says how
        much they differ. The phases have to hold their atoms: maps of this package do.
    k_max
        Radius of the detector, 1/angstrom. Patterns are compared up to there, and a zone axis is
        near the beam if the spots within half of it are all of its zeroth Laue zone: if its
        lattice vector ends at most 2 / `k_max` from the beam's line, 1.25 angstrom by default.
    largest_index
        Largest index of [uvw]. Equivalent axes may have larger ones.
    tolerance
        Angle in degrees up to which an orientation is the exact twin, or the best one itself.
    scores
        Property with the probability of each orientation: "scores", "refined_score" or
        "neighbour_probability". None for maps without one, such as those of template matching.
    minimum_score
        Orientations with a lower score than this are not listed. Not used without scores.

    Returns
    -------
    twins
        For each point and orientation its relation to the best one, the [uvw], angles and the
        difference of the patterns; ``score_with_twins`` for each point; ``twins.summary()``, and
        ``twins.to_crystal_map()``, which puts them into ``xmap.prop``.

    Raises
    ------
    TypeError
        If `xmap` is no crystal map.
    ValueError
        If it has one orientation for each point or no such scores, a phase has no cell or no point
        group, or an argument is out of its range.

    Warns
    -----
    UserWarning
        If patterns of a phase cannot be simulated.

    Notes
    -----
    Half turns that belong to the Laue group are no twins, since kinematic patterns tell no more.
    [uvw] refers to the crystal as the best orientation of the map has it, and points to the source.

    The difference R is that of the best orientation and its *exact* twin, to 0.2 degrees of the
    zone axis. Errors of half a degree, as the listed orientations have them, would make patterns
    differ more than twins do.

    Examples
    --------
    >>> import pyxem_cnn
    >>> crystal_map = s.get_orientation_map_cnn("si_200kV", n_best=3)  # doctest: +SKIP
    >>> twins = pyxem_cnn.list_twins(crystal_map, accelerating_voltage=200)  # doctest: +SKIP
    >>> print(twins.summary())  # doctest: +SKIP
    """
    from orix.crystal_map import CrystalMap

    check_type("xmap", xmap, CrystalMap, "Pass the maps of a list one by one.")
    options = _Options(accelerating_voltage, k_max, largest_index, tolerance)
    _check_numbers(options, minimum_score)
    candidates = candidates_of(xmap)
    probability = None if scores is None else scores_of(xmap, scores)
    phase = _listed(candidates.phase, probability, minimum_score)
    columns = _without_twins(phase)
    for phase_id, one in xmap.phases_in_data:
        if phase_id >= 0:
            here = np.flatnonzero(phase[:, 0] == phase_id)
            there = phase[here, 1:] == phase_id
            _search(columns, here, candidates.quaternions[here], there, one, options)
    return TwinList(
        xmap,
        **columns,
        score_with_twins=_summed(probability, columns["relation_codes"]),
        scores=scores,
        **options._asdict(),
    )


def _check_numbers(options: _Options, minimum_score: float) -> None:
    """Raise TypeError or ValueError for numbers that make no sense."""
    if options.accelerating_voltage is not None:
        check_positive("accelerating_voltage", options.accelerating_voltage, remedy="It is in kV.")
        check_beam_energy(options.accelerating_voltage, "accelerating_voltage")
    check_positive("k_max", options.k_max, remedy="It is in 1/angstrom.")
    check_positive("largest_index", options.largest_index, integer=True)
    check_positive("tolerance", options.tolerance, remedy="It is in degrees.")
    check_share("minimum_score", minimum_score)


def _listed(phase: np.ndarray, probability: np.ndarray | None, minimum: float) -> np.ndarray:
    """Return the phase ids (points, n_best), -1 of orientations that are not listed."""
    if probability is None:
        return phase
    is_listed = probability >= minimum  # never where there is no score, NaN
    is_listed[:, 0] = True
    return np.where(is_listed, phase, -1)


def _without_twins(phase: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of a list in which there are no twins yet, by name."""
    lacks = (phase < 0) | (phase[:, :1] < 0)
    codes = np.where(phase == phase[:, :1], _OTHER, _OTHER_PHASE)
    codes[:, 0] = _BEST
    nowhere = np.zeros((*phase.shape, 3), dtype=np.int8)
    angles = {name: np.full(phase.shape, np.nan) for name in ("tilt", "deviation", "difference")}
    codes = np.where(lacks, _NONE, codes).astype(np.int8)
    return {"relation_codes": codes, "axis": nowhere, "family": nowhere.copy(), **angles}


def _search(
    columns: dict[str, np.ndarray],
    here: np.ndarray,
    quaternions: np.ndarray,
    there: np.ndarray,
    phase: Phase,
    options: _Options,
) -> None:
    """Write the twins of one phase into columns.

    Of the orientations (n, n_best, 4) of the points `here`, the best ones are of the phase, and
    those of the others that are `there` (n, n_best - 1).
    """
    symmetry, best = proper_group(phase).data, quaternions[:, 0]
    simulator = _simulator(phase, options)
    crystal = crystal_of(phase) if simulator is None else simulator.crystal
    crystal = None if isinstance(crystal, str) else crystal
    axes = axes_of_phase(phase, crystal, options.largest_index)
    limits = options.tolerance, 1 / (_REACH * options.k_max)
    related = relate(best, quaternions[:, 1:], there, axes, symmetry, limits)
    _enter(columns, here, best, related, axes)
    if simulator is not None:
        columns["difference"][here, 1:] = _differences(related, best, axes, simulator)


def _enter(
    columns: dict[str, np.ndarray],
    here: np.ndarray,
    best: np.ndarray,
    related: Related,
    axes: TwinAxes,
) -> None:
    """Write what is related to the best orientations (n, 4) of the points `here` into columns."""
    point, rank = np.nonzero(related.is_near)
    columns["relation_codes"][here[point], rank + 1] = _NEAR
    point, rank = np.nonzero(related.axis >= 0)
    number, at = related.axis[point, rank], (here[point], rank + 1)
    beam, vector = zone_axis(best[point]), axes.vectors[number]
    along = (beam * vector).sum(1) / np.linalg.norm(vector, axis=1)
    columns["relation_codes"][at] = _TWIN
    columns["axis"][at] = axes.indices[number] * np.where(along < 0, -1, 1)[:, None]
    columns["family"][at] = axes.families[number]
    columns["tilt"][at] = np.rad2deg(np.arccos(np.abs(along).clip(max=1)))
    columns["deviation"][at] = related.deviation[point, rank]


def _differences(
    related: Related, best: np.ndarray, axes: TwinAxes, simulator: KinematicSimulator
) -> np.ndarray:
    """Return how much the patterns of the best orientations and their twins differ, (n, m)."""
    difference = np.full(related.axis.shape, np.nan)
    point, rank = np.nonzero(related.axis >= 0)
    number = related.axis[point, rank]
    difference[point, rank] = twin_differences(simulator, axes, best[point], number)
    return difference


def _simulator(phase: Phase, options: _Options) -> KinematicSimulator | None:
    """Return what simulates the patterns of a phase; None if not asked for, or with a warning."""
    if options.accelerating_voltage is None:
        return None
    simulator = simulator_of([phase], options.accelerating_voltage, options.k_max)
    if isinstance(simulator, str):
        text = f"Patterns of twins are not compared, their difference is NaN: {simulator}."
        warnings.warn(text, UserWarning, stacklevel=4)
        return None
    return simulator


def _summed(probability: np.ndarray | None, codes: np.ndarray) -> np.ndarray:
    """Return the probability of the best orientation and its twins, shape (points,)."""
    if probability is None:
        return np.full(len(codes), np.nan)
    is_summed = (codes == _BEST) | (codes == _TWIN)
    total = np.where(is_summed, np.nan_to_num(probability), 0).sum(axis=1)
    return np.where(codes[:, 0] == _BEST, total, np.nan)
