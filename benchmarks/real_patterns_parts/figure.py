"""The figure of real_patterns.py: patterns with the spots that were found, and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyxem_cnn.simulation.kinematic import KinematicSimulator

# Reflections of this share of the strongest one are drawn.
_WEAKEST = 0.02
# The direct beam ends about here, 1/angstrom.
_BEAM = 0.12


@dataclass(frozen=True)
class View:
    """A pattern, the orientation that was found in it, and the true one.

    Attributes
    ----------
    title
        Above the panel.
    pattern
        Shape (rows, columns).
    geometry
        With center and scale, pixels and 1/angstrom per pixel.
    crystal, voltage
        What the spots are of, and kV.
    radius, excitation_error
        How far spots reach in the plane, and off the Ewald sphere, 1/angstrom.
    found, truth
        Quaternions; the truth may be unknown.
    """

    title: str
    pattern: np.ndarray
    geometry: Mapping[str, Any]
    crystal: Any
    voltage: float
    radius: float
    excitation_error: float
    found: np.ndarray
    truth: np.ndarray | None = None


def draw(views: list[View], errors: list[tuple[str, np.ndarray, dict[str, np.ndarray]]]) -> Figure:
    """Return a row of patterns above a row of errors over the angle of the goniometer.

    Parameters
    ----------
    views
        One for each panel of the upper row.
    errors
        Title, angles (n,) and errors of each method (n,), all in degrees, for each panel below.
    """
    figure = Figure(figsize=(3.2 * len(views), 6.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.2, 1))
    for axes, view in zip(upper.subplots(1, len(views)), views, strict=True):
        _draw_view(axes, view)
    panels = lower.subplots(1, len(errors), sharey=True)
    for axes, (title, angle, found) in zip(panels, errors, strict=True):
        _draw_errors(axes, title, angle, found)
    panels[0].set_ylabel("error (degrees)")
    panels[0].legend(
        *panels[-1].get_legend_handles_labels(), fontsize=8, loc="lower right", ncols=3
    )
    return figure


def _draw_view(axes: Axes, view: View) -> None:
    """Draw a pattern with circles about the spots that were found, and crosses on the true ones."""
    (x, y), scale = view.geometry["center"], view.geometry["scale"]
    rows, columns = np.indices(view.pattern.shape)
    outside = np.hypot(columns - x, rows - y) * scale > _BEAM
    top = np.percentile(view.pattern[outside], 99.8)
    axes.imshow(np.sqrt(view.pattern.clip(0, top)), cmap="gray_r", interpolation="antialiased")
    circles = {"s": 70, "facecolors": "none", "edgecolors": "C3", "linewidths": 0.9}
    for quaternion, how in ((view.found, circles), (view.truth, {"s": 9, "c": "C0"})):
        if quaternion is not None:
            k = _spots(view, quaternion)
            axes.scatter(x + k[:, 0] / scale, y - k[:, 1] / scale, **how)
    reach = view.radius / scale
    axes.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach), xticks=[], yticks=[])
    axes.set_title(view.title, fontsize=9)


def _spots(view: View, quaternion: np.ndarray) -> np.ndarray:
    """Return where spots should be, shape (n, 2), 1/angstrom."""
    simulator = KinematicSimulator(view.crystal, view.voltage, view.radius, view.excitation_error)
    spots = simulator.spots(quaternion[None], 200)
    strong = spots.intensity[0] > _WEAKEST * spots.intensity[0].max()
    return spots.k[0][strong]


def _draw_errors(axes: Axes, title: str, angle: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """Draw errors of the methods, those below a tenth of a degree on the lowest line."""
    for marker, (name, degrees) in zip("o^x", found.items(), strict=False):
        axes.plot(angle, degrees.clip(0.1), marker, ms=4, alpha=0.7, label=name)
    axes.axhline(5, color="0.6", lw=0.8)
    axes.set(yscale="log", ylim=(0.09, 250), xlabel="goniometer (degrees)")
    axes.set_title(title, fontsize=9)
