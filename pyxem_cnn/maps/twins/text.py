"""The summary of a list of twins, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.metrics import TWIN_DIFFERENCE

if TYPE_CHECKING:
    from pyxem_cnn.maps.twins.twin_list import TwinList

__all__ = ["summarize_twins"]

# Families of axes with a line of their own.
_MOST_AXES = 8


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
        f"indices up to {twins.largest_index}, modulo the Laue group\n{patterns}"
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
    head = f"{'half turn about':<21}{'twins':>8}{'tilt, median':>15}"
    if twins.accelerating_voltage is not None:
        head += f"{'R, median':>12}{f'R < {TWIN_DIFFERENCE:g}':>12}"
    lines, phase = [head], twins.xmap.phase_id[point]
    for phase_id in np.unique(phase):
        own = phase == phase_id
        families, inverse, counts = np.unique(
            twins.family[point[own], rank[own]], axis=0, return_inverse=True, return_counts=True
        )
        order = np.argsort(-counts, kind="stable")
        place = np.argsort(order)[inverse.ravel()].clip(max=_MOST_AXES)
        names = [f"<{' '.join(map(str, families[i]))}>" for i in order[:_MOST_AXES]]
        names += [f"{len(order) - _MOST_AXES} more"] * (len(order) > _MOST_AXES)
        for number, name in enumerate(names):
            here = point[own][place == number], rank[own][place == number]
            lines.append(_line(f"{twins.xmap.phases[int(phase_id)].name} {name}", twins, here))
    return "\n".join(lines)


def _line(name: str, twins: TwinList, here: tuple[np.ndarray, np.ndarray]) -> str:
    """Return a line of the table, of the orientations at some points and ranks."""
    line = f"{name:<21}{len(here[0]):>8}{np.median(twins.tilt[here]):>11.1f} deg"
    if twins.accelerating_voltage is None:
        return line
    difference = twins.difference[here]
    if np.isnan(difference).all():
        return f"{line}{'-':>12}{'-':>12}"
    share = 100 * np.mean(difference < TWIN_DIFFERENCE)
    return f"{line}{np.median(difference):>12.3f}{share:>10.0f} %"


def _scores(twins: TwinList) -> str:
    if not np.isfinite(twins.score_with_twins).any():
        return ""
    best = np.asarray(twins.xmap.prop[twins.scores])[twins.xmap.is_indexed, 0]
    return (
        f"mean {twins.scores} of the best orientations {np.nanmean(best):.3f}, with their twins "
        f"{np.nanmean(twins.score_with_twins):.3f}"
    )
