"""Choosing among the orientations of each point those that agree with the neighbours'.

Most errors of a map are a choice between two orientations that are nearly as probable, and differ
by half a turn. Points of one grain make that choice one by one, and speckle; together they know
better. What is known beforehand is that a point mostly belongs to the grain of its neighbours: a
Potts model on the grid of the scan, whose states at each point are its own few candidates. It is
solved in the mean field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_positive, check_type
from pyxem_cnn.maps.building import build_crystal_map, coordinates_of_map
from pyxem_cnn.maps.candidates import Candidates, all_phase_ids, candidates_of, scores_of
from pyxem_cnn.maps.grains.neighbours import PointGrid
from pyxem_cnn.maps.misorientation import misorientation_angles, proper_group

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap
    from scipy.sparse import csr_array

__all__ = ["choose_by_neighbours"]

# Rounds of the mean field, what is left of the last one in each, and the change that ends them.
_ROUNDS, _KEPT, _SMALL_CHANGE = 100, 0.5, 1e-3
# Candidates that a network all but excludes cannot be chosen; some doubt always remains.
_LEAST_SCORE, _LEAST_DOUBT = 0.01, 0.01


def choose_by_neighbours(
    xmap: CrystalMap,
    *,
    strength: float = 1.0,
    tolerance: float = 5.0,
    connectivity: int = 4,
    group: str | None = None,
) -> CrystalMap:
    r"""Choose at every point the orientation that its pattern and its neighbours speak for.

    The probabilities :math:`b_i` of the orientations :math:`c` of a point, mapped with
    ``n_best=3`` or so, are found in the mean field:

    .. math:: b_i(c) \propto s_i(c) \exp \beta \sum_j \sum_d b_j(d)\, [c \approx d]

    with the scores :math:`s`, the strength :math:`\beta` and a sum over the neighbours j and their
    orientations d that agree with c. Nothing is interpolated or invented: orientations change
    places with others of the same point.

    Parameters
    ----------
    xmap
        A map with several orientations for each point and their ``scores``, of
        :meth:`get_orientation_map_cnn`, of one or two dimensions on a rectangular grid.
    strength
        Weight of one neighbour that is certain, as the logarithm of odds. With 1, four neighbours
        outweigh a score of 0.98 against 0.02, and no more; 0 changes nothing.
    tolerance
        Misorientation in degrees up to which neighbours agree.
    connectivity
        4: neighbours share an edge of their cells; 8: an edge or a corner, which are twice as many
        neighbours.
    group
        Orientations count modulo the rotations of the "Laue" or of the "point" group. By default
        as the map says, else "Laue".

    Returns
    -------
    crystal_map
        The same points and orientations in a new order. All properties of orientations change
        places with them; ``prop["neighbour_probability"]`` (points, n_best) is :math:`b` and
        ``prop["chosen_rank"]`` (points,) the place that the chosen orientation had before, 0 where
        it was the first. Points that are not indexed stay as they are.

    Raises
    ------
    TypeError
        If `xmap` is no crystal map.
    ValueError
        If it has one orientation or no score for each point, or an argument is out of its range.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning (2006), sections 8.3.3 and 10.1.
    """
    from orix.crystal_map import CrystalMap

    check_type("xmap", xmap, CrystalMap, "Pass the maps of a list one by one.")
    check_positive("strength", strength, allow_zero=True)
    check_positive("tolerance", tolerance, remedy="It is in degrees.")
    candidates, scores = _choosable(xmap)
    pairs = PointGrid.of(xmap).pairs(connectivity)
    agreement = _agreement(
        xmap, candidates, pairs, tolerance, group or getattr(xmap, "group", "Laue")
    )
    belief = _mean_field(scores, agreement, strength)
    # What cannot be chosen stays behind; points that are not indexed stay as they are.
    rank = np.where(candidates.phase >= 0, -belief, np.inf)
    rank[~xmap.is_indexed] = 0
    order = np.argsort(rank, axis=1, kind="stable")
    return _reordered(xmap, order, belief)


def _choosable(xmap: CrystalMap) -> tuple[Candidates, np.ndarray]:
    """Return the candidates of all points, phase -1 where there is no choice, and their scores."""
    candidates, scores = candidates_of(xmap), np.nan_to_num(scores_of(xmap))
    # A phase that is best nowhere is not in the map's list, nor is its group known.
    known = np.isin(candidates.phase, [i for i in xmap.phases.ids if i >= 0])
    choosable = known & (scores >= _LEAST_SCORE) & xmap.is_indexed[:, None]
    phase = np.where(choosable, candidates.phase, -1)
    return candidates._replace(phase=phase), np.where(choosable, scores, 0)


def _agreement(
    xmap: CrystalMap, candidates: Candidates, pairs: np.ndarray, tolerance: float, group: str
) -> csr_array:
    """Return which orientations of neighbours agree, (points * n_best, points * n_best)."""
    from scipy.sparse import coo_array

    n, n_best = candidates.phase.shape
    rows, columns = [np.empty(0, dtype=int)], [np.empty(0, dtype=int)]
    for phase_id, phase in xmap.phases:
        if phase_id < 0:
            continue
        operations = proper_group(phase, group).data
        for c in range(n_best):
            for d in range(n_best):
                both = candidates.phase[pairs[:, 0], c] == phase_id
                both &= candidates.phase[pairs[:, 1], d] == phase_id
                i, j = pairs[both].T
                p, q = candidates.quaternions[i, c], candidates.quaternions[j, d]
                near = misorientation_angles(p, q, operations) <= tolerance
                rows.append(i[near] * n_best + c)
                columns.append(j[near] * n_best + d)
    one, other = np.concatenate(rows), np.concatenate(columns)
    places = np.concatenate([one, other]), np.concatenate([other, one])
    return coo_array((np.ones(2 * len(one)), places), shape=(n * n_best,) * 2).tocsr()


def _mean_field(scores: np.ndarray, agreement: csr_array, strength: float) -> np.ndarray:
    """Return the probabilities of all candidates, shape (points, n_best)."""
    # That none of them is right has no neighbours.
    doubt = np.maximum(1 - scores.sum(axis=1), _LEAST_DOUBT)
    with np.errstate(divide="ignore"):
        own = np.log(scores)
    belief = scores / (scores.sum(axis=1) + doubt)[:, None]
    for _ in range(_ROUNDS):
        support = (agreement @ belief.ravel()).reshape(belief.shape)
        logarithm = own + strength * support
        top = np.maximum(logarithm.max(axis=1), np.log(doubt))
        weight = np.exp(logarithm - top[:, None])
        wanted = weight / (weight.sum(axis=1) + doubt * np.exp(-top))[:, None]
        change = np.abs(wanted - belief).max(initial=0)
        belief = _KEPT * belief + (1 - _KEPT) * wanted
        if change < _SMALL_CHANGE:
            break
    return belief


def _reordered(xmap: CrystalMap, order: np.ndarray, belief: np.ndarray) -> CrystalMap:
    """Return a map with the orientations (points, n_best) of another one in a new order."""
    inside, n_best = xmap.is_in_data, order.shape[1]
    # Points that are not in the data keep their order.
    whole = np.tile(np.arange(n_best), (inside.size, 1))
    whole[inside] = order
    prop = {}
    for name in xmap.prop:
        values = dict.__getitem__(xmap.prop, name)
        is_of_each = values.shape == whole.shape
        prop[name] = np.take_along_axis(values, whole, 1) if is_of_each else values
    prop["neighbour_probability"] = np.zeros(whole.shape)
    prop["neighbour_probability"][inside] = np.take_along_axis(belief, order, 1)
    prop["chosen_rank"] = whole[:, 0]
    phase = np.take_along_axis(all_phase_ids(xmap), whole, 1)
    data = np.asarray(xmap._rotations.data).reshape(*whole.shape, 4)
    quaternions = np.take_along_axis(data, whole[..., None], 1)
    ids = [i for i in xmap.phases.ids if i >= 0]
    n_phases = max(*ids, phase.max()) + 1 if ids else 0
    result = build_crystal_map(
        quaternions,
        phase,
        # Ids that the map's list lacks are those of no point's best orientation.
        [xmap.phases[i if i in ids else ids[0]] for i in range(n_phases)],
        coordinates=coordinates_of_map(xmap),
        prop=prop,
        is_in_data=np.array(inside),
        frame=getattr(xmap, "frame", "detector"),
        group=getattr(xmap, "group", "Laue"),
    )
    if hasattr(xmap, "geometry"):
        result.geometry = xmap.geometry
    return result
