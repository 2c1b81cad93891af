"""Figures of grains and grain boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_type
from pyxem_cnn.maps.grains.boundaries import GrainBoundaries, grain_boundaries
from pyxem_cnn.maps.grains.grain_set import Grains
from pyxem_cnn.plot._grain_colors import (
    blank,
    grains_ipf,
    indexed_phases,
    on_points,
    pale,
    points_ipf,
    told_apart,
)
from pyxem_cnn.plot._layout import FRAME, show_image, to_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from orix.crystal_map import Phase

__all__ = ["plot_grain_boundaries", "plot_grains"]

_DIRECTIONS = {"x": "x (right)", "y": "y (up)", "z": "z (towards the source)"}
# What colour bars say of the properties of grains, {} for the scan's unit.
_OF_GRAINS = {
    "points": "points in the grain",
    "area": "area ({}²)",
    "equivalent_diameter": "equivalent diameter ({})",
    "orientation_spread": "grain orientation spread (degrees)",
    "max_misorientation": "largest misorientation from the mean (degrees)",
}
_OF_POINTS = {
    "reference_misorientation": "misorientation from the grain's mean (degrees)",
    "kernel_average_misorientation": "mean misorientation to the neighbours (degrees)",
}
_SIGMA_COLOURS = {3: "red", 5: "cyan", 7: "lime", 9: "deepskyblue", 11: "saddlebrown"}


def plot_grains(
    grains: Grains,
    color_by: str = "ipf",
    *,
    direction: str = "z",
    boundaries: bool = True,
    title: str | None = None,
    **kwargs: Any,
) -> Figure:
    """Plot the grains of a map.

    Parameters
    ----------
    grains
        From :func:`pyxem_cnn.find_grains`.
    color_by
        "ipf" for the inverse pole figure colour of every grain's mean orientation, "grain" for
        colours that only tell grains apart; or a property: "points", "area",
        "equivalent_diameter", "orientation_spread", "max_misorientation" of the grains,
        "reference_misorientation" or "kernel_average_misorientation" of the points.
    direction
        For "ipf": the direction of the lab frame, "x", "y" or "z".
    boundaries
        Whether to draw the grain boundaries as thin black lines.
    title
        Title instead of the default one.
    **kwargs
        For matplotlib's ``imshow`` if a property is shown, such as ``vmax``.

    Returns
    -------
    figure
        With a colour key or bar. Points in no grain are grey, left-out ones transparent. It is not
        shown.

    Raises
    ------
    TypeError
        If `grains` are no grains.
    ValueError
        If `color_by` or `direction` is something else.
    """
    check_type("grains", grains, Grains, "Find them first: pyxem_cnn.find_grains(xmap).")
    labels = _OF_GRAINS | _OF_POINTS
    check_choice("color_by", color_by, ["ipf", "grain", *labels])
    check_choice("direction", direction, _DIRECTIONS)
    phases = indexed_phases(grains) if color_by == "ipf" else []
    figure, axes, keys = _panels(grains, len(phases))
    _show_background(axes, grains)
    if color_by in labels:
        values = getattr(grains, color_by)
        values = on_points(grains, values) if color_by in _OF_GRAINS else values
        image = to_image(grains.xmap, values)
        drawn = show_image(axes, grains.xmap, image, **({"cmap": "viridis"} | kwargs))
        label = labels[color_by].format(grains.xmap.scan_unit)
        _add_bar(axes, drawn, label)
    else:
        rgba = grains_ipf(grains, direction) if color_by == "ipf" else told_apart(grains)
        show_image(axes, grains.xmap, to_image(grains.xmap, rgba, 0.0))
    if boundaries:
        colour = "white" if color_by in labels else "black"
        _draw(axes, grain_boundaries(grains).segments, color=colour, linewidths=0.6)
    _stretch_line(axes, grains)
    _plot_keys(figure, keys, phases)
    shown = f"mean orientations along {_DIRECTIONS[direction]}" if color_by == "ipf" else ""
    _put_title(figure, grains, title or f"{len(grains)} grains", shown)
    return figure


def plot_grain_boundaries(
    boundaries: GrainBoundaries | Grains,
    over: str = "ipf",
    *,
    direction: str = "z",
    sigma: Sequence[int] = (),
    title: str | None = None,
    **kwargs: Any,
) -> Figure:
    """Plot grain boundaries as lines coloured by the misorientation angle.

    Parameters
    ----------
    boundaries
        From :func:`pyxem_cnn.grain_boundaries`, or the grains.
    over
        What to draw them over: "ipf" for pale inverse pole figure colours of every point, "grain"
        for pale colours that only tell grains apart, "none" for white.
    direction
        For "ipf": the direction of the lab frame, "x", "y" or "z".
    sigma
        Coincidence site lattices to mark by colours of their own within Brandon's criterion, for
        example ``(3,)`` for twins in cubic crystals.
    title
        Title instead of the default one.
    **kwargs
        For matplotlib's ``LineCollection``, such as ``linewidths`` or ``cmap``.

    Returns
    -------
    figure
        With a colour bar. Boundaries between two phases are black. Points in no grain are grey,
        left-out ones transparent. It is not shown.

    Raises
    ------
    TypeError
        If `boundaries` are neither.
    ValueError
        If `over`, `direction` or `sigma` is something else.
    """
    check_type("boundaries", boundaries, (GrainBoundaries, Grains), "Find the grains first.")
    if isinstance(boundaries, Grains):
        boundaries = grain_boundaries(boundaries)
    check_choice("over", over, ("ipf", "grain", "none"))
    check_choice("direction", direction, _DIRECTIONS)
    grains = boundaries.of
    phases = indexed_phases(grains) if over == "ipf" else []
    figure, axes, keys = _panels(grains, len(phases))
    _show_background(axes, grains)
    paint = {"ipf": lambda: points_ipf(grains, direction), "grain": lambda: told_apart(grains)}
    rgba = paint[over]() if over in paint else blank(grains)
    show_image(axes, grains.xmap, to_image(grains.xmap, pale(rgba), 0.0))
    _draw_by_kind(figure, axes, boundaries, sigma, kwargs)
    _stretch_line(axes, grains)
    _plot_keys(figure, keys, phases)
    shown = f"orientations along {_DIRECTIONS[direction]}" if over == "ipf" else ""
    _put_title(figure, grains, title or f"Boundaries of {len(grains)} grains", shown)
    return figure


def _draw_by_kind(
    figure: Figure,
    axes: Axes,
    boundaries: GrainBoundaries,
    sigma: Sequence[int],
    kwargs: dict[str, Any],
) -> None:
    """Draw boundaries within a phase by angle, phase boundaries and coincidences by kind."""
    from matplotlib.lines import Line2D

    plain, whole = ~boundaries.is_phase_boundary, boundaries.lengths.sum()
    kinds = [("phase boundary", "black", ~plain)]
    for number in sigma:
        near = boundaries.is_coincidence(number) & plain
        kinds.append((f"$\\Sigma${number}", _SIGMA_COLOURS[number], near))
        plain = plain & ~near
    options = {"cmap": "plasma_r", "linewidths": 1.6} | kwargs
    lines = _draw(axes, boundaries.segments[plain], array=boundaries.angles[plain], **options)
    lines.set_clim(0, max(boundaries.angles[plain].max(initial=0), boundaries.of.threshold))
    _add_bar(axes, lines, "misorientation (degrees)")
    handles = []
    for name, colour, which in kinds:
        if np.any(which):
            width = {"linewidths": options["linewidths"]}
            _draw(axes, boundaries.segments[which], color=colour, **width)
            share = 100 * boundaries.lengths[which].sum() / whole
            handles.append(Line2D([], [], color=colour, label=f"{name}, {share:.0f} % of length"))
    if handles:
        place = {"loc": "outside lower center", "ncols": len(handles)}
        figure.legend(handles=handles, fontsize="small", frameon=False, **place)


def _draw(axes: Axes, segments: np.ndarray, **kwargs: Any) -> Any:
    """Draw segments as lines with round ends, which close the corners."""
    from matplotlib.collections import LineCollection

    lines = LineCollection(list(segments), capstyle="round", **kwargs)
    return axes.add_collection(lines, autolim=False)


def _panels(grains: Grains, n_keys: int) -> tuple[Figure, Axes, list[Any]]:
    """Return a figure, its axes for the map, and places for colour keys."""
    import matplotlib.pyplot as plt

    rows, columns = grains.grid.index.shape
    dx, dy = grains.grid.step
    height = float(np.clip(4.9 * rows * dy / (columns * dx), 1.6, 8.0)) + 1.2
    figure = plt.figure(figsize=(6.6 + 2.2 * (n_keys > 0), height), layout="constrained")
    if n_keys == 0:
        return figure, figure.add_subplot(), []
    grid = figure.add_gridspec(n_keys, 2, width_ratios=[1.0, 0.28])
    return figure, figure.add_subplot(grid[:, 0]), [grid[i, 1] for i in range(n_keys)]


def _plot_keys(figure: Figure, places: list[Any], phases: list[tuple[int, Phase]]) -> None:
    """Draw the colour key of every phase."""
    import orix.plot  # noqa: F401  registers the projection "ipf"

    for place, (_, phase) in zip(places, phases, strict=True):
        laue = phase.point_group.laue
        axes = figure.add_subplot(place, projection="ipf", symmetry=laue)
        axes.plot_ipf_color_key(show_title=False)
        axes.set_title(f"{phase.name}, {laue.name.split(':')[0]}", pad=18, fontsize="small")


def _put_title(figure: Figure, grains: Grains, title: str, shown: str) -> None:
    """Say what is shown, in which frame, and what a grain is."""
    frame = getattr(grains.xmap, "frame", "lab")
    apart = f"neighbours less than {grains.threshold:g}° apart modulo the {grains.group} group"
    lines = [f"{title}: {apart}"]
    if shown:
        lines.append(f"{shown}; {frame} frame: {FRAME}")
    figure.suptitle("\n".join(lines), fontsize="small")


def _stretch_line(axes: Axes, grains: Grains) -> None:
    """Draw a line of points as a broad band, without an axis across."""
    rows, columns = grains.grid.index.shape
    if rows == 1 or columns == 1:
        axes.set_aspect("auto")
    if rows == 1:
        axes.set(yticks=[], ylabel="")
    if columns == 1:
        axes.set(xticks=[], xlabel="")


def _add_bar(axes: Axes, drawn: Any, label: str) -> None:
    """Put a colour bar as high as the map beside it."""
    place = axes.inset_axes((1.03, 0, 0.035, 1))
    axes.figure.colorbar(drawn, cax=place, label=label)


def _show_background(axes: Axes, grains: Grains) -> None:
    """Paint all points grey; what is in a grain is painted over."""
    grey = np.tile([0.75, 0.75, 0.75, 1.0], (grains.xmap.size, 1))
    show_image(axes, grains.xmap, to_image(grains.xmap, grey, 0.0))
