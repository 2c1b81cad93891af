"""The summary of a comparison of crystal maps, as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyxem_cnn.maps.comparison.agreement import Agreement
    from pyxem_cnn.maps.comparison.result import MapComparison

__all__ = ["groups_in_words", "summarize_comparison"]


def summarize_comparison(comparison: MapComparison) -> str:
    """Return what was compared, how, and what came out.

    Parameters
    ----------
    comparison
        The comparison.
    """
    parts = [_head(comparison), _figures(comparison), _causes(comparison)]
    if comparison.right is not None:
        parts.append(_right(comparison))
    if comparison.grains is not None:
        parts.append(_grains(comparison))
    if comparison.notes:
        parts.append("\n".join(["Notes:", *(_wrapped(note) for note in comparison.notes)]))
    return "\n\n".join(parts)


def groups_in_words(comparison: MapComparison) -> str:
    """Return modulo which group each phase is counted, such as "Laue group m-3m (Si)".

    Parameters
    ----------
    comparison
        The comparison.
    """
    words = []
    for phase in comparison.phases:
        group = phase.best.point_group
        group = group.laue if comparison.group == "Laue" else group
        words.append(f"{group.name.split(':')[0]} ({phase.name})")
    return f"{comparison.group} group {', '.join(words) or 'of no phase'}"


def _head(comparison: MapComparison) -> str:
    rows, columns = comparison.shape
    sizes = ", ".join(f"{name} has {one.xmap.size}" for name, one in comparison.maps.items())
    voltage = comparison.accelerating_voltage
    twins = "twins were not looked for (accelerating_voltage= does)"
    if voltage is not None:
        twins = f"twins: kinematic patterns at {voltage:g} kV that differ by less than R = 0.1"
    return (
        f"{comparison.names[0]} and {comparison.names[1]} at {rows} x {columns} shared scan "
        f"positions ({sizes} points)\n"
        f"modulo the {groups_in_words(comparison)}; {twins}"
    )


def _figures(comparison: MapComparison) -> str:
    width = max(len(what) for what in comparison.figures)
    titles = ("indexed in both", "median", "90 % below", "in 1 deg", "in 2 deg", "in 5 deg")
    rows = [titles, *(_cells(one) for one in comparison.figures.values())]
    lines = []
    for what, cells in zip(["", *comparison.figures], rows, strict=True):
        aligned = (f"{c:>{max(11, len(t) + 1)}}" for t, c in zip(titles, cells, strict=True))
        lines.append(f"{what:<{width}} {''.join(aligned)}")
    return "\n".join(lines)


def _cells(one: Agreement) -> list[str]:
    if one.n == 0:
        return ["0", *["-"] * 5]
    angles = ["phase" if np.isinf(x) else f"{x:.2f} deg" for x in (one.median, one.percentile_90)]
    shares = [f"{x:.1f} %" for x in (one.within_1, one.within_2, one.within_5)]
    return [str(one.n), *angles, *shares]


def _causes(comparison: MapComparison) -> str:
    lines = [f"Agreement within {comparison.tolerance:g} deg, and why not:"]
    return "\n".join(lines + _shares(comparison.causes, comparison.cause.size))


def _right(comparison: MapComparison) -> str:
    assert comparison.right is not None
    texts = ["both", *(f"{name} only" for name in comparison.names), "neither", "unknown"]
    counts = {text: int(np.count_nonzero(comparison.right == text)) for text in texts}
    known = sum(counts.values()) - counts.pop("unknown")
    head = (
        f"Within {comparison.tolerance:g} deg of the truth, twins not counted, "
        f"of {known} points where it is known:"
    )
    return "\n".join([head, *_shares(counts, known)])


def _shares(counts: dict[str, int], total: int) -> list[str]:
    width = max(len(text) for text in counts)
    return [
        f"  {text:<{width}} {count:>8} {100 * count / max(total, 1):6.1f} %"
        for text, count in counts.items()
    ]


def _grains(comparison: MapComparison) -> str:
    grains = comparison.grains
    assert grains is not None
    compared = grains[grains["compared"] > 0]
    agree = np.count_nonzero(compared["median"] <= comparison.tolerance)
    if not len(compared):
        return f"Grains: {len(grains)}, none of them with a point that is indexed in both"
    return (
        f"Grains: {len(grains)}; the median of {agree} is within {comparison.tolerance:g} deg; "
        f"share of points that agree: {compared['agree'].min():.0f} to "
        f"{compared['agree'].max():.0f} %, median {np.median(compared['agree']):.0f} %"
    )


def _wrapped(note: str) -> str:
    return textwrap.fill(note, 96, initial_indent="- ", subsequent_indent="  ")
