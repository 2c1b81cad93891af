"""Patterns with the predicted spots over them, a map to navigate by, and keys to choose ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyxem_cnn.signals.ipf_views import laue_phases
from pyxem_cnn.signals.markers import check_signal

if TYPE_CHECKING:
    from pyxem_cnn.signals.orientation_prediction import OrientationPrediction

__all__ = ["plot_over_signal"]


def plot_over_signal(
    prediction: OrientationPrediction,
    signal: Any,
    ranks: range,
    add_ipf_markers: bool,
    add_ipf_colorkey: bool,
    vector_kwargs: dict[str, Any] | None,
    options: dict[str, Any],
) -> None:
    """Plot patterns with predicted spots over them, and a map to navigate by.

    Parameters
    ----------
    prediction
        Of the patterns.
    signal
        The patterns.
    ranks
        Which orientations to show.
    add_ipf_markers
        Whether to draw the orientations in the inverse pole figure.
    add_ipf_colorkey
        Whether to draw the colour key into the map.
    vector_kwargs
        For `to_markers`; None for no spots.
    options
        For the signal's plot.
    """
    check_signal(prediction, signal)
    several = len(prediction.phases) > 1
    # HyperSpy draws no colours along a line.
    has_map = prediction.axes_manager.navigation_dimension > 1 and not prediction._lazy
    if has_map and "navigator" not in options:
        rank = ranks.start
        colored = (
            prediction.to_phase_map(rank=rank)
            if several
            else prediction.to_ipf_colormap(rank=rank, add_markers=False)
        )
        options = {**options, "navigator": colored}
        add_ipf_colorkey = add_ipf_colorkey and not several
    else:
        add_ipf_colorkey = False
    signal.plot(**options)
    if vector_kwargs is not None:
        markers = prediction.to_markers(
            len(ranks), rank=ranks.start, signal=signal, **vector_kwargs
        )
        signal.add_marker(markers, permanent=False)
        _add_legend(signal, markers)
        _add_keys(signal, markers)
    if add_ipf_markers:
        signal.add_marker(prediction.to_ipf_markers(), permanent=False)
    if add_ipf_colorkey:
        from pyxem.signals.indexation_results import get_ipf_annotation_markers

        key = get_ipf_annotation_markers(laue_phases(prediction)[0])
        signal.add_marker(key, plot_on_signal=False, permanent=False)


def _add_legend(signal: Any, markers: list[Any]) -> None:
    """Say which colour is which rank and phase, outside of the pattern."""
    from matplotlib.lines import Line2D

    axes = signal._plot.signal_plot.ax
    points = [marker for marker in markers if not marker.name.endswith("hkl")]
    if len(points) < 2:
        return
    handles = [
        Line2D([], [], marker="o", markerfacecolor="none", linestyle=m.kwargs["linestyle"],
               color=m.kwargs["edgecolor"], label=m.name)
        for m in points
    ]  # fmt: skip
    legend = axes.legend(handles=handles, loc="lower left", fontsize="small", framealpha=0.8)
    # HyperSpy draws animated artists, its image among them, over all others.
    legend.set_animated(axes.figure.canvas.supports_blit)


def _add_keys(signal: Any, markers: list[Any]) -> None:
    """Let the keys n, b and a choose the next rank, the one before, or all of them."""
    plot = signal._plot.signal_plot
    ranks = list(dict.fromkeys(_rank_of(marker) for marker in markers))
    if len(ranks) < 2:
        return
    shown = _Shown(markers, ranks)

    def on_key(event: Any) -> None:
        if shown.press(event.key):
            plot.render_figure()

    plot.figure.canvas.mpl_connect("key_press_event", on_key)


class _Shown:
    """Which rank is shown: all at first."""

    def __init__(self, markers: list[Any], ranks: list[str]) -> None:
        self._markers, self._ranks = markers, ranks
        self._number: int | None = None

    def press(self, key: str | None) -> bool:
        """Show what a key asks for; return whether it is one of ours."""
        if key not in ("n", "b", "a"):
            return False
        step = 1 if key == "n" else -1
        start = -1 if key == "n" else 0
        self._number = (
            None
            if key == "a"
            else ((start if self._number is None else self._number) + step) % len(self._ranks)
        )
        for marker in self._markers:
            visible = self._number is None or _rank_of(marker) == self._ranks[self._number]
            if marker._collection is not None:
                marker._collection.set_visible(visible)
        return True


def _rank_of(marker: Any) -> str:
    return marker.name.split(",")[0]
