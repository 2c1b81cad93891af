"""A figure of the shares within 2 and 5 degrees, over the dose, for every method and set."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_LIMITS = (2, 5)
_MARKERS = "osD^vP*X"
_MATCHING = ("pyxem", "py4DSTEM")
_IDEAL = "ideal observer"
_TWINS = f"{_IDEAL}, truth against twins alone"
_BAND = f"{_IDEAL}, own search to truth known"


def plot_shares(rows: list[dict]) -> Figure:
    """Return a column of panels for each set, a line for each method.

    Networks are solid, matching is dashed, the ideal observer is a grey band from its own search to
    that with the truth among its candidates.

    Parameters
    ----------
    rows
        One for each set, dose and method.
    """
    sets = list(dict.fromkeys(row["set"] for row in rows))
    styles = _styles(list(dict.fromkeys(row["method"] for row in rows)))
    figure = Figure(figsize=(3.4 * len(sets) + 1, 7.2), layout="constrained")
    panels = figure.subplots(len(_LIMITS), len(sets), sharex=True, sharey=True, squeeze=False)
    for one, column in zip(sets, panels.T, strict=True):
        own = [row for row in rows if row["set"] == one]
        for limit, panel in zip(_LIMITS, column, strict=True):
            _draw(panel, own, f"<{limit}", styles)
        column[0].set_title(f"{one} ({min(row['n'] for row in own):.0f} patterns or more)")
        column[-1].set_xlabel("electrons outside the direct beam")
    for limit, panel in zip(_LIMITS, panels[:, 0], strict=True):
        panel.set_ylabel(f"orientations within {limit}° (%)")
    _add_legend(figure, panels[0], [*styles, _TWINS, _BAND])
    return figure


def _styles(methods: list[str]) -> dict[str, dict]:
    """Return how each method is drawn, the ideal observer left out."""
    drawn = [method for method in methods if not method.startswith(_IDEAL)]
    return {
        method: {
            "marker": _MARKERS[i % len(_MARKERS)],
            "color": f"C{i % 10}",
            "linestyle": "--" if method.startswith(_MATCHING) else "-",
            "linewidth": 1.2 if method.startswith(_MATCHING) else 2.2,
        }
        for i, method in enumerate(drawn)
    }


def _draw(panel: Axes, rows: list[dict], name: str, styles: dict[str, dict]) -> None:
    """Draw the lines of one set."""
    for method, style in styles.items():
        doses, shares = _curve(rows, method, name)
        if doses:
            panel.plot(doses, shares, label=method, markersize=5, **style)
    doses, found = _curve(rows, _IDEAL, name)
    if doses:
        _, helped = _curve(rows, f"{_IDEAL}, truth among its candidates", name)
        panel.fill_between(doses, found, helped, color="0.8", alpha=0.6, label=_BAND, zorder=0)
    doses, shares = _curve(rows, _TWINS, name)
    if doses:
        panel.plot(doses, shares, "k:", label=_TWINS)
    panel.set(xscale="log", ylim=(0, 102))
    panel.set_xticks(ticks := sorted({row["electrons"] for row in rows}))
    panel.set_xticklabels([f"{tick:,.0f}" for tick in ticks])
    panel.minorticks_off()
    panel.grid(alpha=0.3)


def _curve(rows: list[dict], method: str, name: str) -> tuple[list[float], list[float]]:
    """Return doses in ascending order and the shares of a method."""
    points = sorted((row["electrons"], row[name]) for row in rows if row["method"] == method)
    return [dose for dose, _ in points], [share for _, share in points]


def _add_legend(figure: Figure, panels, order: list[str]) -> None:
    """Name every line once, below the panels."""
    lines = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    named = [label for label in order if label in lines]
    figure.legend(
        [lines[label] for label in named], named, loc="outside lower center", ncols=2, fontsize=9
    )
