"""From the candidates of a batch of patterns to refined orientations in order of likelihood."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pyxem_cnn.indexing.refinement.candidates import SAME, Twins, first_of_each
from pyxem_cnn.indexing.refinement.local_fit import BinnedCounts, Fits, LocalFit
from pyxem_cnn.indexing.refinement.nodes import Nodes
from pyxem_cnn.indexing.refinement.photometry import ApertureMaps, Apertures
from pyxem_cnn.rotations import about_z, conjugate, multiply

if TYPE_CHECKING:
    from pyxem_cnn.detector.grids import PolarGrid
    from pyxem_cnn.indexing.refinement.settings import RefinementSettings
    from pyxem_cnn.indexing.refinement.spot_sources import SpotSource

__all__ = ["Found", "PhaseSearch"]

# Angles in the plane that are tried, as shares of the search radius.
_TURNS = np.linspace(-1, 1, 5)
# Depths of one orientation that are tried further.
_PEAKS = 2
# Given orientations, depths (as quantiles) and steps of the fits that centres are found by.
_N_LOCATED, _LOCATED_DEPTHS, _LOCATED_STEPS = 2, (0.25, 0.75), 3


class Found(NamedTuple):
    """Fitted orientations of a batch: m for each of n patterns.

    Attributes
    ----------
    quaternions
        Shape (n, m, 4), NaN where there is none.
    depths, gain
        Shape (n, m).
    origin
        Which of the given orientations each came from, -1 for none, shape (n, m).
    is_twin
        Whether it came from a twin of it, shape (n, m).
    """

    quaternions: np.ndarray
    depths: np.ndarray
    gain: np.ndarray
    origin: np.ndarray
    is_twin: np.ndarray


@dataclass(frozen=True)
class PhaseSearch:
    """Search about candidates of one phase.

    Attributes
    ----------
    fit
        Compares and moves orientations.
    nodes, fine
        Spots of zone axes, those of the second with a smaller spacing.
    settings
        How far and how finely.
    """

    fit: LocalFit
    nodes: Nodes
    fine: Nodes
    settings: RefinementSettings
    twins: Twins = field(init=False)
    apertures: Apertures = field(init=False)

    def __post_init__(self) -> None:
        """Prepare what depends on the phase and the grid only."""
        crystal = self.fit.source.crystal
        object.__setattr__(self, "twins", Twins(crystal, 2 if self.settings.twins else 0))
        _, _, offset = self.fit.source.calculate(
            np.array([[1.0, 0, 0, 0]]), np.full((1, 1), self.fit.source.depths[0])
        )
        apertures = Apertures(self.fit.grid, float(self.fit.sigma), offset)
        object.__setattr__(self, "apertures", apertures)

    @classmethod
    def of(
        cls,
        source: SpotSource,
        grid: PolarGrid,
        spot_sigma: float,
        settings: RefinementSettings,
    ) -> PhaseSearch:
        """Return the search of a phase, with libraries that are still empty.

        Parameters
        ----------
        source
            Simulates spots.
        grid
            Bins of the patterns.
        spot_sigma
            Point spread, 1/angstrom.
        settings
            How far and how finely.
        """
        return cls(
            LocalFit(source, grid, spot_sigma, (settings.center_error, settings.scale_error)),
            Nodes(source.smoother(settings.spacing), settings.spacing),
            Nodes(source.denser(), settings.fine_spacing),
            settings,
        )

    def with_sigma(self, spot_sigma: float) -> PhaseSearch:
        """Return the same with another point spread and the same libraries.

        Parameters
        ----------
        spot_sigma
            In 1/angstrom.
        """
        return PhaseSearch(
            replace(self.fit, spot_sigma=spot_sigma), self.nodes, self.fine, self.settings
        )

    def candidates(self, quaternions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return pattern (c,), orientation (c, 4) and place in its family (c,) of all candidates.

        Parameters
        ----------
        quaternions
            Found orientations, shape (n, n_best, 4), NaN for none.
        """
        n, n_best = quaternions.shape[:2]
        filled = np.where(np.isfinite(quaternions), quaternions, [1.0, 0, 0, 0])
        family = self.twins(filled)  # (n, n_best, members, 4)
        family[~np.isfinite(quaternions).all(-1)] = np.nan
        # The found ones first, then the twins of the best, and so on.
        number = np.arange(n_best * family.shape[2]).reshape(n_best, -1)
        order = np.concatenate([number[:, 0], number[:, 1:].ravel()])
        flat = family.reshape(n, -1, 4)[:, order]
        kept = first_of_each(flat, self.nodes.symmetry, SAME)
        pattern, place = np.nonzero(kept)
        return pattern, flat[pattern, place], order[place]

    def __call__(self, data: BinnedCounts, quaternions: np.ndarray) -> Found:
        """Return fitted orientations.

        Parameters
        ----------
        data
            The patterns.
        quaternions
            Found orientations, shape (n, n_best, 4), NaN for none.
        """
        pattern, candidate, number = self.candidates(quaternions)
        if not len(pattern):
            return _nothing(len(quaternions), 1)
        sector, operations = self.nodes.to_sector(candidate)
        maps = self.apertures(data.counts, data.share)
        s = self.settings
        origin, place = np.divmod(number, len(self.twins.is_twin))
        is_own = place == 0
        everything = np.arange(len(pattern))
        radius = s.search_radius
        distortion = self._distortion(data, pattern, sector, number)
        maps = maps._replace(distortion=distortion)
        which, start = self._tried(maps, pattern, everything, sector, self.nodes, radius, radius)
        chosen = _chosen(pattern[which], which, is_own[which], start.gain, 2 * s.n_starts, 3)
        which, start = which[chosen], start.at(chosen)
        which, start = self._tried(
            maps, pattern, which, start.quaternions, self.fine, 0.65 * s.spacing, radius / 3
        )
        chosen = _chosen(pattern[which], which, is_own[which], start.gain, 4 * s.n_starts, 8)
        which, start = self._deep(data, maps, pattern, which[chosen], start.quaternions[chosen])
        for n_starts, of_each, n_steps in ((2 * s.n_starts, 4, 2), (s.n_starts, 2, s.n_steps)):
            chosen = _chosen(pattern[which], which, is_own[which], start.gain, n_starts, of_each)
            which, start = which[chosen], start.at(chosen)
            start = self.fit(data, pattern[which], start, n_steps)
        back = multiply(conjugate(operations[which]), start.quaternions)
        return _by_pattern(
            len(quaternions), pattern[which], start._replace(quaternions=back),
            (origin[which], self.twins.is_twin[place[which]]),
        )  # fmt: skip

    def _distortion(
        self, data: BinnedCounts, pattern: np.ndarray, sector: np.ndarray, number: np.ndarray
    ) -> np.ndarray:
        """Return centre and stretch of every pattern, shape (patterns, 3).

        As the best of the first given orientations has them: twins share the places of their spots.
        """
        distortion = np.zeros((len(data.counts), 3))
        if not self.fit.is_free:
            return distortion
        first = np.flatnonzero(number < _N_LOCATED * len(self.twins.is_twin))
        first = first[number[first] % len(self.twins.is_twin) == 0]
        depths = np.quantile(self.nodes.source.depths, _LOCATED_DEPTHS)
        which = np.repeat(first, len(depths))
        start = Fits(
            sector[which],
            np.tile(depths, len(first)),
            np.full(len(which), -np.inf),
            np.zeros((len(which), 3)),
        )
        fits = self.fit(data, pattern[which], start, _LOCATED_STEPS)
        # The likeliest of each pattern is written last.
        order = np.argsort(fits.gain, kind="stable")
        distortion[pattern[which[order]]] = fits.distortion[order]
        return distortion

    def _deep(
        self,
        data: BinnedCounts,
        maps: ApertureMaps,
        pattern: np.ndarray,
        which: np.ndarray,
        quaternions: np.ndarray,
    ) -> tuple[np.ndarray, Fits]:
        """Return candidates and starts at the likeliest depths of orientations (m, 4)."""
        depths = np.broadcast_to(
            self.fine.source.depths, (len(which), len(self.fine.source.depths))
        )
        distortion = maps.distortion[pattern[which]]
        gain = self.fit.gain_on(data, maps.of_bins, pattern[which], quaternions, depths, distortion)
        around = np.pad(gain, ((0, 0), (1, 1)), constant_values=-np.inf)
        peaks = (gain >= around[:, :-2]) & (gain >= around[:, 2:])
        order = np.argsort(np.where(peaks, -gain, np.inf), axis=1)[:, :_PEAKS]
        row, place = np.nonzero(np.take_along_axis(peaks, order, 1))
        column = order[row, place]
        starts = quaternions[row], depths[row, column], gain[row, column], distortion[row]
        return which[row], Fits(*starts)

    def _tried(
        self,
        maps: ApertureMaps,
        pattern: np.ndarray,
        which: np.ndarray,
        about: np.ndarray,
        nodes: Nodes,
        radius: float,
        widest_turn: float,
    ) -> tuple[np.ndarray, Fits]:
        """Return the best turn and depth of every node near some orientations.

        ``pattern`` (c,) is that of each candidate, ``which`` (m,) the candidate of each orientation
        in ``about`` (m, 4). Returned are candidates (pairs,) and starts, their gain by apertures.
        """
        from pyxem_cnn.indexing.refinement._photometry_kernel import score_nodes

        of, node, turn = nodes.near(about, radius)
        spots, rows = nodes.spots(node)
        turns = np.deg2rad(widest_turn) * _TURNS
        depths = nodes.source.depths
        score = np.empty((len(of), len(turns), len(depths)))
        grid = self.fit.grid
        score_nodes(
            maps.counts, maps.background, self.apertures.caught, maps.distortion,
            pattern[which[of]], rows, turn, turns, *spots, grid.k_min, grid.radial_step, score
        )  # fmt: skip
        flat = score.reshape(len(of), -1)
        best = flat.argmax(1)
        turned, deep = np.divmod(best, len(depths))
        # Pattern turned by w: O Rz(-w).
        quaternions = multiply(nodes.quaternions[node], about_z(-(turn + turns[turned])))
        gain, distortion = flat[np.arange(len(best)), best], maps.distortion[pattern[which[of]]]
        return which[of], Fits(quaternions, depths[deep], gain, distortion)


def _chosen(
    pattern: np.ndarray,
    which: np.ndarray,
    is_own: np.ndarray,
    score: np.ndarray,
    n_starts: int,
    of_each: int,
) -> np.ndarray:
    """Return the starts to go on with: the best of each pattern, few of each candidate.

    The best start of each orientation that was found before is one of them in any case.
    """
    order = np.lexsort((-score, which))
    rank = _rank(which[order])
    order, rank = order[rank < of_each], rank[rank < of_each]
    is_first = is_own[order] & (rank == 0)
    again = np.lexsort((-score[order], ~is_first, pattern[order]))
    kept, is_first = order[again], is_first[again]
    n_first = np.bincount(pattern[kept], is_first, minlength=pattern.max() + 1)
    allowed = np.maximum(n_starts, n_first)[pattern[kept]]
    return kept[_rank(pattern[kept]) < allowed]


def _rank(groups: np.ndarray) -> np.ndarray:
    """Return the place of every entry in its group, for groups that stand together."""
    first = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    return np.arange(len(groups)) - np.repeat(first, np.diff(np.r_[first, len(groups)]))


def _by_pattern(
    n: int, pattern: np.ndarray, fits: Fits, origin: tuple[np.ndarray, np.ndarray]
) -> Found:
    """Return fits of patterns (f,) as (n, m), best first."""
    order = np.lexsort((-fits.gain, pattern))
    place = _rank(pattern[order])
    found = _nothing(n, int(place.max()) + 1)
    at = pattern[order], place
    found.quaternions[at] = fits.quaternions[order]
    found.depths[at], found.gain[at] = fits.depths[order], fits.gain[order]
    found.origin[at], found.is_twin[at] = origin[0][order], origin[1][order]
    return found


def _nothing(n: int, m: int) -> Found:
    return Found(
        np.full((n, m, 4), np.nan),
        np.full((n, m), np.nan),
        np.full((n, m), -np.inf),
        np.full((n, m), -1),
        np.zeros((n, m), dtype=bool),
    )
