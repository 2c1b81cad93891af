"""Colours and marks of predicted orientations: IPF colour map, phase map, points in the IPF."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.indexing.crystal_map import is_empty
from pyxem_cnn.signals._ragged import RaggedBlocks

if TYPE_CHECKING:
    from orix.crystal_map import Phase
    from orix.vector import Vector3d

    from pyxem_cnn.signals.orientation_prediction import OrientationPrediction

__all__ = ["ipf_colormap", "ipf_markers", "laue_phases", "phase_colors", "phase_map"]

_QUATERNION = slice(COLUMNS.index("a"), COLUMNS.index("d") + 1)
_SCORE = COLUMNS.index("score")
_RGB8 = np.dtype([(name, np.uint8) for name in "RGB"])
_NAMED = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}


def as_direction(direction: Any) -> Vector3d:
    """Return a direction of the lab as one of orix's vectors.

    Parameters
    ----------
    direction
        "x", "y", "z" or a vector of orix.

    Raises
    ------
    ValueError
        If it is something else, or several vectors.
    """
    from orix.vector import Vector3d

    if isinstance(direction, str) and direction in _NAMED:
        direction = Vector3d(_NAMED[direction])
    if not isinstance(direction, Vector3d) or direction.size != 1:
        expected = "'x', 'y', 'z' or one orix.vector.Vector3d of the lab frame"
        raise ValueError(given_expected("direction", direction, expected))
    return direction


def laue_phases(prediction: OrientationPrediction) -> list[Phase]:
    """Return the phases with their Laue groups, modulo which colours are the same.

    Parameters
    ----------
    prediction
        With its phases.
    """
    from orix.crystal_map import Phase

    phases = [structure.to_phase() for structure in prediction.phases]
    return [Phase(name=phase.name, point_group=phase.point_group.laue) for phase in phases]


def phase_colors(prediction: OrientationPrediction) -> list[str]:
    """Return a colour for each phase, matplotlib's in their order as orix gives them to phases.

    Parameters
    ----------
    prediction
        With its phases.
    """
    from matplotlib.colors import TABLEAU_COLORS

    colors = [str(color) for color in TABLEAU_COLORS.values()]
    return [colors[i % len(colors)] for i in range(len(prediction.phases))]


def ipf_colormap(
    prediction: OrientationPrediction, direction: Any, rank: int, add_markers: bool
) -> Any:
    """Return the IPF colours as RGB signal; documented at `to_ipf_colormap`."""
    phases = laue_phases(prediction)
    groups = [phase.point_group for phase in phases]
    color = partial(_ipf_colors, groups, as_direction(direction), rank)
    signal = _rgb_signal(prediction, color, "IPF colours")
    if add_markers and len(phases) == 1:
        from pyxem.signals.indexation_results import get_ipf_annotation_markers

        key = get_ipf_annotation_markers(phases[0])
        # The map is the signal of this signal, which has no navigator.
        signal.add_marker(key, permanent=True, plot_marker=False, plot_signal=False)
    return signal


def phase_map(prediction: OrientationPrediction, rank: int) -> Any:
    """Return the phases' colours as RGB signal; documented at `to_phase_map`."""
    from matplotlib.colors import to_rgb

    colors = np.array([to_rgb(color) for color in phase_colors(prediction)])
    return _rgb_signal(prediction, partial(_phase_colors, colors, rank), "phases")


def ipf_markers(
    prediction: OrientationPrediction,
    direction: Any,
    offset: tuple[float, float],
    scale: float,
    color: str,
) -> list[Any]:
    """Return markers in an inverse pole figure; documented at `to_ipf_markers`."""
    import hyperspy.api as hs
    from pyxem.signals.indexation_results import get_ipf_outline

    vector = as_direction(direction)
    markers: list[Any] = []
    for phase_id, phase in enumerate(laue_phases(prediction)):
        place = np.array([offset[0], offset[1] - 1.5 * scale * phase_id])
        outline, texts, high, low = get_ipf_outline(
            phase, offset_x=place[0], offset_y=place[1], scale=scale
        )
        background = hs.plot.markers.Squares(
            offsets=[place],
            widths=(1.5 * scale,),
            units="width",
            offset_transform="axes",
            facecolor="white",
            edgecolor="black",
        )
        find = partial(_points_in_ipf, phase_id, phase.point_group, vector)
        blocks = RaggedBlocks(prediction.data, None, find)
        points = hs.plot.markers.Points(
            blocks.array(partial(_placed, (high, low), place, scale)),
            sizes=4,
            offset_transform="axes",
            facecolor=color,
            alpha=blocks.array(_alphas),
            name=f"IPF, {phase.name}",
        )
        markers += [background, outline, texts, points]
    return markers


def _points_in_ipf(
    phase_id: int, group: Any, direction: Vector3d, rows: np.ndarray, _: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return stereographic positions (n, 2) and relative scores (n,), the best one last.

    Where the phase has no orientation, one position of NaN. Relative scores are 1 where networks
    tell none.
    """
    from orix.projections import StereographicProjection
    from orix.quaternion import Rotation

    mine = rows[(rows[:, 0] == phase_id) & np.isfinite(rows[:, _QUATERNION]).all(axis=1)][::-1]
    if not len(mine):
        # One point that is nowhere: matplotlib refuses an empty array of alphas.
        return np.full((1, 2), np.nan), np.zeros(1)
    vectors = Rotation(mine[:, _QUATERNION]) * direction
    xy = StereographicProjection().vector2xy(vectors.in_fundamental_sector(group))
    scores, best = mine[:, _SCORE].astype(float), np.nanmax(rows[:, _SCORE], initial=0.0)
    known = np.isfinite(scores) & (best > 0)
    relative = np.divide(scores, best, out=np.ones(len(scores)), where=known)
    return np.stack(xy, axis=-1), np.clip(relative, 0, 1)


def _placed(limits: Any, place: np.ndarray, scale: float, found: Any) -> np.ndarray:
    """Return positions as shares of the axes, as pyxem places the outline."""
    high, low = limits
    return (found[0] - (high + low) / 2) / (high.max() - low.min()) * scale + place


def _alphas(found: Any) -> np.ndarray:
    return found[1]


def _ipf_colors(groups: list[Any], direction: Any, rank: int, rows: np.ndarray) -> np.ndarray:
    """Return colours (..., 3) of rows (..., n_best, n_columns), black where nothing is indexed."""
    from orix.plot import IPFColorKeyTSL
    from orix.quaternion import Orientation

    rows = rows[..., rank, :]
    colors = np.zeros((*rows.shape[:-1], 3))
    for phase_id, group in enumerate(groups):
        here = (rows[..., 0] == phase_id) & np.isfinite(rows[..., _QUATERNION]).all(axis=-1)
        here &= ~is_empty(rows)
        if here.any():
            orientations = Orientation(rows[here][:, _QUATERNION], symmetry=group)
            colors[here] = IPFColorKeyTSL(group, direction).orientation2color(orientations)
    return colors


def _phase_colors(colors: np.ndarray, rank: int, rows: np.ndarray) -> np.ndarray:
    """Return colours (..., 3) of rows (..., n_best, n_columns), black where nothing is indexed."""
    phase_ids = rows[..., rank, 0]
    indexed = (phase_ids >= 0) & ~is_empty(rows[..., rank, :])
    safe = np.where(indexed, phase_ids, 0).astype(int)
    return np.where(indexed[..., None], colors[safe], 0)


def _rgb_signal(
    prediction: OrientationPrediction, color: Callable[[np.ndarray], np.ndarray], title: str
) -> Any:
    """Return colours of all positions as a signal of the scan's shape; lazy if they are."""
    from hyperspy.signals import BaseSignal, Signal1D, Signal2D

    data, n = prediction.data, prediction.axes_manager.navigation_dimension
    function = partial(_rgb, color)
    if prediction._lazy:
        data = data.rechunk({n: -1, n + 1: -1})
        data = data.map_blocks(
            function, dtype=_RGB8, drop_axis=[n, n + 1], meta=np.empty((0,) * n, dtype=_RGB8)
        )
    else:
        data = function(data)
    signal = (BaseSignal, Signal1D, Signal2D)[min(n, 2)](data)
    signal = signal.as_lazy() if prediction._lazy else signal
    axes = (*signal.axes_manager.signal_axes, *signal.axes_manager.navigation_axes)
    for own, other in zip(axes, prediction.axes_manager.navigation_axes, strict=bool(n)):
        own.name, own.units = other.name, other.units
        own.scale, own.offset = other.scale, other.offset
    signal.metadata.General.title = title
    return signal


def _rgb(color: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return colours of rows (..., n_best, n_columns) in HyperSpy's type, shape (...)."""
    values = np.rint(255 * np.clip(color(rows), 0, 1)).astype(np.uint8)
    return values.view(_RGB8)[..., 0]
