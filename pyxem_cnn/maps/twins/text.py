"""The summary of a list of twins, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.metrics import TWIN_DIFFERENCE

if TYPE_CHECKING:
    from pyxem_cnn.maps.twins.twin_list import TwinList

__all__ = ["summarize_twins"]


def summarize_twins(twins: TwinList) -> str:
    """Return what the other orientations are, and the twins by phase and axis.

    Parameters
    ----------
    twins
        The list.
    """
    parts = [_head(twins), _relations(twins), _axes(twins), _scores(twins)]
    return "\n\n".join(part for part in parts if part)


def _head(twins: TwinList) -> str:
    patterns = "patterns were not simulated (accelerating_voltage= does)"
    if twins.accelerating_voltage is not None:
        voltage, k_max = twins.accelerating_voltage, twins.k_max
        patterns = f"R: kinematic patterns at {voltage:g} kV, up to {k_max:g} 1/angstrom"
    indexed = np.count_nonzero(twins.xmap.is_indexed)
    return (
        f"{indexed} of {len(twins.axis)} points are indexed, with up to {twins.axis.shape[1]} "
        "orientations each\n"
        f"twins: within {twins.tolerance:g} deg of half a turn about a zone axis near the beam, "
        f"modulo the Laue group\n{patterns}"
    )


def _relations(twins: TwinList) -> str:
    """Return a table: what the second orientations are, the third ones, ..."""
    counts = [twins.counts(rank) for rank in range(1, twins.axis.shape[1])]
    indexed = max(1, np.count_nonzero(twins.xmap.is_indexed))
    lines = ["of the indexed points" + "".join(f"{name:>13}" for name in counts[0])]
    for number, one in enumerate(counts, start=2):
        shares = "".join(f"{100 * count / indexed:>11.1f} %" for count in one.values())
        lines.append(f"orientation {number:<9}{shares}")
    return "\n".join(lines)


def _axes(twins: TwinList) -> str:
    """Return a table of the axes of each phase, the commonest first."""
    point, rank = np.nonzero(twins.is_twin)
    if not len(point):
        return ""
    simulated = twins.accelerating_voltage is not None
    head = f"{'half turn about':<21}{'twins':>8}{'tilt, median':>15}"
    lines = [head + (f"{'R, median':>12}{f'R < {TWIN_DIFFERENCE:g}':>12}" if simulated else "")]
    phase = twins.xmap.phase_id[point]
    columns = np.column_stack([phase, twins.family[point, rank]])
    keys, inverse, counts = np.unique(columns, axis=0, return_inverse=True, return_counts=True)
    for i in np.lexsort((-counts, keys[:, 0])):
        here = inverse.ravel() == i
        tilt, difference = (v[point[here], rank[here]] for v in (twins.tilt, twins.difference))
        name = f"{twins.xmap.phases[int(keys[i, 0])].name} <{' '.join(map(str, keys[i, 1:]))}>"
        line = f"{name:<21}{counts[i]:>8}{np.median(tilt):>11.1f} deg"
        if simulated:
            share = 100 * np.mean(difference < TWIN_DIFFERENCE)
            known = not np.isnan(difference).any()
            line += f"{np.median(difference):>12.3f}{share:>10.0f} %" if known else f"{'-':>12}"
        lines.append(line)
    return "\n".join(lines)


def _scores(twins: TwinList) -> str:
    if not np.isfinite(twins.score_with_twins).any():
        return ""
    best = np.asarray(twins.xmap.prop[twins.scores])[twins.xmap.is_indexed, 0]
    return (
        f"mean {twins.scores} of the best orientations {np.nanmean(best):.3f}, with their twins "
        f"{np.nanmean(twins.score_with_twins):.3f}"
    )
