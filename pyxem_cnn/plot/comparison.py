"""Figure of a comparison of crystal maps: both maps, where and why they differ, by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, check_type, given_expected
from pyxem_cnn.maps.comparison.agreement import Agreement
from pyxem_cnn.maps.comparison.aligned import LEFT_OUT
from pyxem_cnn.maps.comparison.result import MapComparison
from pyxem_cnn.maps.comparison.text import groups_in_words
from pyxem_cnn.plot._layout import FRAME
from pyxem_cnn.plot.ipf import ipf_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pyxem_cnn.maps.comparison.aligned import AlignedMap

__all__ = ["plot_comparison"]

_SAID = {"x": "x (right)", "y": "y (up)", "z": "z (towards the source)"}
# Colour-blind safe (Okabe and Ito); what agrees is pale, what is unexplained stands out.
_COLOURS = {
    "agrees": "#e8e8e8",
    "twin": "#56b4e9",
    "neighbour grain": "#009e73",
    "unexplained": "#d62728",
    "phase": "#cc79a7",
    "not indexed in both": "#555555",
    "left out": "#ffffff",
}
_NOT_INDEXED = ("#000000", "#8c6d31")


def plot_comparison(
    comparison: MapComparison, directions: str = "xyz", *, cap: float = 10.0, log: bool = True
) -> Figure:
    """Plot two compared maps, where and why they differ, and by how much.

    The upper rows are the inverse pole figure maps of both maps, and of the truth if there is one,
    at the scan positions that they share. The colour of a point says which crystal direction lies
    along x, y or z of the lab frame (x right, y up, z towards the source). Below are the
    misorientation and the cause of each disagreement, the scores of both maps, and the histogram
    of the misorientation.

    Parameters
    ----------
    comparison
        From :func:`pyxem_cnn.compare_crystal_maps`.
    directions
        Lab directions to show, out of "x", "y" and "z".
    cap
        Where the colours of the misorientation map end, in degrees.
    log
        Whether the histogram counts on a logarithmic scale.

    Returns
    -------
    figure
        It is not shown.

    Raises
    ------
    ValueError
        If a direction is unknown, or `cap` is not above zero.
    """
    import matplotlib.pyplot as plt

    check_type("comparison", comparison, MapComparison)
    check_positive("cap", cap, remedy="It is in degrees.")
    if not directions or set(directions) - set(_SAID):
        expected = "one or several of the letters x, y and z"
        raise ValueError(given_expected("directions", directions, expected))
    n_maps = len(comparison.maps)
    panel = _panel_height(comparison.shape)
    figure = plt.figure(figsize=(13, n_maps * panel + 2 * panel + 2.6), layout="constrained")
    upper, lower = figure.subfigures(
        2, 1, height_ratios=[n_maps * panel + 0.6, 2 * panel + 2.0], hspace=0.02
    )
    _plot_maps(upper, comparison, directions)
    panels = lower.subplots(2, 3, width_ratios=[1, 1, 1.1])
    _plot_misorientation(panels[0, 0], comparison, cap)
    _plot_causes(panels[0, 1], comparison)
    _plot_histogram(panels[0, 2], comparison, log)
    for axes, name in zip(panels[1], comparison.names, strict=False):
        _plot_scores(axes, comparison, name)
    _plot_near(panels[1, 2], comparison)
    figure.suptitle(_title(comparison), fontsize="medium")
    return figure


def _panel_height(shape: tuple[int, int]) -> float:
    """Return the height of a map in inches: flat scans take less room."""
    rows, columns = shape
    return float(np.clip(3.1 * rows / columns, 0.9, 3.1))


def _title(comparison: MapComparison) -> str:
    a, b = comparison.names
    return (
        f"{a} and {b}; orientations in the lab frame: {FRAME}\n"
        f"misorientations modulo the {groups_in_words(comparison)}"
    )


def _plot_maps(figure: Any, comparison: MapComparison, directions: str) -> None:
    """Draw a row of inverse pole figure maps for each map, and the colour keys at the right."""
    n = len(directions)
    grid = figure.add_gridspec(len(comparison.maps), n + 1, width_ratios=[1.0] * n + [0.18 * n])
    for row, (name, aligned) in enumerate(comparison.maps.items()):
        for column, direction in enumerate(directions):
            axes = figure.add_subplot(grid[row, column])
            image = _ipf_image(aligned, comparison, direction)
            _show(axes, comparison, image, labels=row == len(comparison.maps) - 1)
            axes.set_title(f"{name}: along {_SAID[direction]}", fontsize="medium")
            if column:
                axes.set_ylabel("")
    keys = grid[:, n].subgridspec(max(1, len(comparison.phases)), 1)
    for row, phase in enumerate(comparison.phases):
        _plot_key(figure, keys[row, 0], phase.best)


def _plot_key(figure: Any, place: Any, phase: Any) -> None:
    """Draw the colour key of a phase."""
    import orix.plot  # noqa: F401  registers the projection "ipf"

    axes = figure.add_subplot(place, projection="ipf", symmetry=phase.point_group.laue)
    axes.plot_ipf_color_key(show_title=False)
    group = phase.point_group.laue.name.split(":")[0]
    axes.set_title(f"{phase.name}\nLaue group {group}", pad=18, fontsize="medium")


def _ipf_image(aligned: AlignedMap, comparison: MapComparison, direction: str) -> np.ndarray:
    """Return colours (rows, columns, 4): black where not indexed, transparent where left out."""
    from orix.quaternion import Rotation

    image = np.zeros((*comparison.shape, 4))
    image[aligned.phase != LEFT_OUT, 3] = 1
    for number, phase in enumerate(comparison.phases):
        here = aligned.phase == number
        if here.any():
            rotations = Rotation(aligned.quaternions[here])
            image[here, :3] = ipf_colors(rotations, phase.best, direction)
    return image


def _show(
    axes: Axes, comparison: MapComparison, image: np.ndarray, labels: bool = True, **kwargs: Any
) -> Any:
    """Show an image of the shared positions with coordinates in the scan's unit."""
    shared = comparison.shared
    spans = []
    for values in (shared.x, shared.y):
        step = values[1] - values[0] if len(values) > 1 else 1.0
        spans.append((values[0] - step / 2, values[-1] + step / 2))
    (left, right), (top, bottom) = spans
    extent = (left, right, bottom, top)
    drawn = axes.imshow(image, extent=extent, interpolation="nearest", **kwargs)
    unit = "scan points" if shared.scan_unit == "px" else shared.scan_unit
    if labels:
        axes.set_xlabel(f"scan x ({unit})")
    axes.set_ylabel(f"scan y ({unit})")
    return drawn


def _plot_misorientation(axes: Axes, comparison: MapComparison, cap: float) -> None:
    import matplotlib.pyplot as plt

    a, b = comparison.names
    colours = plt.get_cmap("viridis").with_extremes(over="crimson", bad="white")
    # Infinite values would not count as above the range.
    degrees = comparison.misorientation
    image = np.where(np.isinf(degrees), 1e3 * cap, degrees)
    drawn = _show(axes, comparison, image, cmap=colours, vmin=0, vmax=cap)
    axes.figure.colorbar(drawn, ax=axes, extend="max", label="misorientation (degrees)")
    axes.set_title(
        f"{a} - {b}\nred: larger, or another phase; white: not comparable", fontsize="small"
    )


def _plot_causes(axes: Axes, comparison: MapComparison) -> None:
    """Draw the cause of every disagreement, with the share of each in the legend."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    names = (f"not indexed in {name}" for name in comparison.names)
    colours = _COLOURS | dict(zip(names, _NOT_INDEXED, strict=True))
    image = np.ones((*comparison.shape, 3))
    patches = []
    for cause, count in comparison.causes.items():
        image[comparison.cause == cause] = to_rgb(colours[cause])
        share = 100 * count / comparison.cause.size
        label = f"{cause}: {share:.1f} %"
        patches.append(Patch(facecolor=colours[cause], edgecolor="0.4", label=label))
    _show(axes, comparison, image)
    axes.set_title(
        f"why they differ by more than {comparison.tolerance:g} degrees", fontsize="small"
    )
    axes.legend(
        handles=patches,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=2,
        fontsize="small",
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
    )


def _plot_histogram(axes: Axes, comparison: MapComparison, log: bool) -> None:
    """Draw the histogram of the misorientation over its whole range."""
    plain, without_twins = comparison.misorientation, comparison.misorientation_modulo_twins
    known = plain[np.isfinite(plain)]
    top = max(5.0, 5 * np.ceil(known.max(initial=0) / 5))
    edges = np.linspace(0, top, 61)
    share = 100 / max(comparison.agreement.n, 1)
    label = _line("plain", comparison.agreement)
    axes.hist(known, edges, weights=np.full(known.size, share), color="0.6", label=label)
    if without_twins is not None:
        rest = without_twins[np.isfinite(without_twins)]
        axes.hist(
            rest,
            edges,
            weights=np.full(rest.size, share),
            histtype="step",
            color="C0",
            linewidth=1.6,
            label=_line("modulo twins", Agreement.of(without_twins)),
        )
    axes.legend(fontsize="small")
    if log and known.size:
        axes.set_ylim(0.5 * share, 150)  # from half a point
        axes.set_yscale("log")
    axes.set_xlim(0, top)
    axes.set_xlabel("misorientation (degrees)")
    axes.set_ylabel("points indexed in both (%)")
    axes.set_title("histogram, of the points indexed in both", fontsize="small")


def _line(what: str, one: Agreement) -> str:
    """Return figures in two lines, for a legend."""
    if one.n == 0:
        return f"{what}: no points to compare"
    median = "another phase" if np.isinf(one.median) else f"{one.median:.2f}°"
    shares = f"{one.within_2:.1f} % within 2°, {one.within_5:.1f} % within 5°"
    return f"{what}: median {median}\n{shares}"


def _plot_scores(axes: Axes, comparison: MapComparison, name: str) -> None:
    """Draw the score of one map."""
    kind, values = comparison.maps[name].scores()
    axes.set_title(f"score of {name}", fontsize="small")
    if not kind:
        axes.text(0.5, 0.5, "the map has none", ha="center", va="center", color="0.4")
        axes.set_axis_off()
        return
    drawn = _show(axes, comparison, values, cmap="gray")
    axes.figure.colorbar(drawn, ax=axes, label=f"{kind} of {name}")


def _plot_near(axes: Axes, comparison: MapComparison) -> None:
    """Draw the cumulative share of points over the misorientation, near zero."""
    for what, degrees, style in _curves(comparison):
        degrees = np.sort(degrees[~np.isnan(degrees)])
        if degrees.size:
            share = 100 * np.arange(1, degrees.size + 1) / degrees.size
            colour, line = style
            axes.step(degrees, share, where="post", color=colour, linestyle=line, label=what)
    axes.set_xlim(0, 2 * comparison.tolerance)
    axes.set_ylim(0, 100)
    axes.axvline(comparison.tolerance, color="0.7", linewidth=0.8, zorder=0)
    axes.set_xlabel("misorientation (degrees)")
    axes.set_ylabel("points below (%)")
    axes.set_title("cumulative, of the points indexed in both", fontsize="small")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", loc="lower right")


def _curves(comparison: MapComparison) -> list[tuple[str, np.ndarray, tuple[str, str]]]:
    """Return name, angles and (colour, line style) of all cumulative curves."""
    a, b = comparison.names
    compared = {f"{a} - {b}": (comparison.misorientation, comparison.misorientation_modulo_twins)}
    for name, degrees in comparison.errors.items():
        compared[f"{name} - truth"] = (degrees, comparison.errors_modulo_twins.get(name))
    curves = []
    for (what, (plain, without_twins)), colour in zip(
        compared.items(), ("0.3", "C0", "C1"), strict=False
    ):
        curves.append((what, plain, (colour, "-")))
        if without_twins is not None:
            curves.append((f"{what}, modulo twins", without_twins, (colour, "--")))
    return curves
