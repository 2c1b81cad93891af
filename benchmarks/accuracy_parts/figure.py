"""A figure of the shares within 2 and 5 degrees, over the dose, for every method and set."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_LIMITS = (2, 5)
_MARKERS = "osD^vP*X"


def plot_shares(rows: list[dict]) -> Figure:
    """Return a column of panels for each set, a line for each method.

    Parameters
    ----------
    rows
        One for each set, dose and method.
    """
    sets = list(dict.fromkeys(row["set"] for row in rows))
    styles = _styles(list(dict.fromkeys(row["method"] for row in rows)))
    figure = Figure(figsize=(3.4 * len(sets) + 3.4, 6.4), layout="constrained")
    panels = figure.subplots(len(_LIMITS), len(sets), sharex=True, sharey=True, squeeze=False)
    for one, column in zip(sets, panels.T, strict=True):
        for limit, panel in zip(_LIMITS, column, strict=True):
            _draw(panel, [row for row in rows if row["set"] == one], f"<{limit}", styles)
        column[0].set_title(one)
        column[-1].set_xlabel("electrons outside the direct beam")
    for limit, panel in zip(_LIMITS, panels[:, 0], strict=True):
        panel.set_ylabel(f"orientations within {limit}° (%)")
    lines = {
        label: handle
        for panel in panels[0]
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    ordered = [method for method in styles if method in lines]
    figure.legend(
        [lines[method] for method in ordered], ordered, loc="outside right upper", fontsize=8
    )
    return figure


def _styles(methods: list[str]) -> dict[str, dict]:
    """Return how each method is drawn: networks solid, others dashed, ceilings black."""
    styles = {}
    for method in methods:
        marker = _MARKERS[len(styles) % len(_MARKERS)]
        style = {"marker": marker, "color": f"C{len(styles) % 10}", "linestyle": "-"}
        if method.startswith("ideal"):
            helped = "truth" in method
            style |= {"color": "black", "linestyle": "-" if helped else ":", "marker": "_"}
        elif method.startswith(("pyxem", "py4DSTEM")):
            style["linestyle"] = "--"
        styles[method] = style
    return styles


def _draw(panel: Axes, rows: list[dict], name: str, styles: dict[str, dict]) -> None:
    """Draw the lines of one set."""
    for method, style in styles.items():
        chosen = sorted((row["electrons"], row[name]) for row in rows if row["method"] == method)
        if chosen:
            panel.plot(*zip(*chosen, strict=True), label=method, markersize=5, **style)
    panel.set(xscale="log", ylim=(0, 102))
    panel.grid(alpha=0.3)
