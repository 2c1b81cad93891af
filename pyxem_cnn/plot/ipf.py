"""Inverse pole figure maps: which crystal direction lies along x, y and z of the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.maps.misorientation import best_quaternions
from pyxem_cnn.plot._layout import FRAME, check_map, show_image, to_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap, Phase
    from orix.quaternion import Rotation

__all__ = ["ipf_colors", "plot_ipf_maps"]

_LAB = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}
_SAID = {"x": "x (right)", "y": "y (up)", "z": "z (towards the source)"}
_NOT_INDEXED = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0)}


def plot_ipf_maps(
    xmap: CrystalMap,
    directions: str = "xyz",
    *,
    frame: str = "lab",
    not_indexed: str = "black",
    title: str | None = None,
) -> Figure:
    """Plot inverse pole figure maps with their colour keys.

    The colour of a point says which crystal direction lies along the named direction of the lab
    frame, in orix's TSL colours of the phase's Laue group. The lab frame is that of the detector:
    x along increasing columns, y *up* (against increasing rows), z towards the source. The axes
    of the images are the scan's, with y down as scanned.

    Parameters
    ----------
    xmap
        The map, of one or two dimensions and one or several phases. The best orientation of
        every point is shown.
    directions
        Lab directions to show, out of "x", "y" and "z".
    frame
        How the title calls the frame of the orientations, for example "scan" if they were turned
        into it.
    not_indexed
        Colour of points that are not indexed, "black" or "white". Left-out points are transparent.
    title
        Title instead of the default one, to which the frame and group are added all the same.

    Returns
    -------
    figure
        One panel for each direction and one colour key for each phase. It is not shown.

    Raises
    ------
    ValueError
        If a direction or colour is unknown, or all points are left out.
    """
    import matplotlib.pyplot as plt

    check_map("xmap", xmap)
    if not directions or set(directions) - set(_LAB):
        expected = "one or several of the letters x, y and z"
        raise ValueError(given_expected("directions", directions, expected))
    if not_indexed not in _NOT_INDEXED:
        raise ValueError(given_expected("not_indexed", not_indexed, "'black' or 'white'"))
    if xmap.size == 0:
        raise ValueError("xmap has no points: all are left out. Plot a map with some points in it.")
    phases = [(i, phase) for i, phase in xmap.phases_in_data if i >= 0]
    panels = {
        direction: to_image(xmap, _rgba(xmap, phases, direction, _NOT_INDEXED[not_indexed]), 0.0)
        for direction in directions
    }
    n = len(directions)
    figure = plt.figure(figsize=(3.6 * n + 2.6, 4.4), layout="constrained")
    grid = figure.add_gridspec(max(1, len(phases)), n + 1, width_ratios=[1.0] * n + [0.75])
    for column, (direction, image) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[:, column])
        show_image(axes, xmap, image)
        axes.set_title(f"along {_SAID[direction]}")
        if column:
            axes.set_ylabel("")
    for row, (_, phase) in enumerate(phases):
        _plot_key(figure, grid[row, n], phase)
    figure.suptitle(_title(title, frame, phases), fontsize="medium")
    return figure


def ipf_colors(rotations: Rotation, phase: Phase, direction: str) -> np.ndarray:
    """Return the colours of orientations of one phase.

    Parameters
    ----------
    rotations
        Rotations of orix of shape (n,), lab to crystal.
    phase
        The phase, with a point group.
    direction
        "x", "y" or "z" of the lab frame.

    Returns
    -------
    rgb
        Of shape (n, 3), from 0 to 1.
    """
    from orix.plot import IPFColorKeyTSL
    from orix.quaternion import Orientation
    from orix.vector import Vector3d

    key = IPFColorKeyTSL(phase.point_group, direction=Vector3d(_LAB[direction]))
    orientations = Orientation(rotations)
    orientations.symmetry = phase.point_group
    return np.clip(key.orientation2color(orientations), 0, 1)


def _rgba(
    xmap: CrystalMap, phases: list[tuple[int, Phase]], direction: str, not_indexed: Any
) -> np.ndarray:
    """Return colours of all points in the data, shape (points, 4)."""
    from orix.quaternion import Rotation

    rgba = np.ones((xmap.size, 4))
    rgba[:, :3] = not_indexed
    quaternions = best_quaternions(xmap)
    for phase_id, phase in phases:
        here = xmap.phase_id == phase_id
        rgba[here, :3] = ipf_colors(Rotation(quaternions[here]), phase, direction)
    return rgba


def _plot_key(figure: Figure, place: Any, phase: Phase) -> None:
    """Draw the colour key of a phase."""
    import orix.plot  # noqa: F401  registers the projection "ipf"

    axes = figure.add_subplot(place, projection="ipf", symmetry=phase.point_group.laue)
    axes.plot_ipf_color_key(show_title=False)
    axes.set_title(f"{phase.name}, {_laue_name(phase)}", pad=22, fontsize="medium")


def _title(title: str | None, frame: str, phases: list[tuple[int, Phase]]) -> str:
    """Return what is shown, in which frame and modulo which group."""
    names = ", ".join(phase.name for _, phase in phases) or "nothing indexed"
    groups = ", ".join(dict.fromkeys(_laue_name(phase) for _, phase in phases))
    colours = f"; colours modulo the Laue group {groups}" if groups else ""
    return f"{title or f'IPF maps, {names}'}\n{frame} frame: {FRAME}{colours}"


def _laue_name(phase: Phase) -> str:
    """Return the name of the Laue group, without orix's or our remarks on its setting."""
    return phase.point_group.laue.name.split(":")[0]
