"""A figure of the shares within 5 degrees, over the dose, for every method and set."""

from __future__ import annotations

from matplotlib.figure import Figure

_MARKERS = "osD^vP*X"


def plot_shares(rows: list[dict], name: str = "<5", label: str = "within 5° (%)") -> Figure:
    """Return a panel for each set, a line for each method.

    Parameters
    ----------
    rows
        One for each set, dose and method.
    name
        Which of the figures to draw.
    label
        What it is, in words.
    """
    sets = list(dict.fromkeys(row["set"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure = Figure(figsize=(3.6 * len(sets) + 0.6, 4.4), layout="constrained")
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for panel, one in zip(panels, sets, strict=True):
        for i, method in enumerate(methods):
            chosen = [r for r in rows if r["set"] == one and r["method"] == method]
            if chosen:
                panel.plot(
                    [r["electrons"] for r in chosen],
                    [r[name] for r in chosen],
                    "--" if method.startswith("ideal") else "-",
                    marker=_MARKERS[i % len(_MARKERS)],
                    color=f"C{i}",
                    label=method,
                )
        panel.set(
            xscale="log", xlabel="electrons outside the direct beam", title=one, ylim=(0, 102)
        )
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(label)
    lines = {t: h for p in panels for h, t in zip(*p.get_legend_handles_labels(), strict=True)}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=2, fontsize=8)
    return figure
