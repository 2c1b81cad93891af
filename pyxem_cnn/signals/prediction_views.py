"""What a prediction shows of itself, in pyxem's words: markers, colour maps, plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperspy.api import signals
    from hyperspy.drawing.markers import Markers
    from orix.vector import Vector3d

    from pyxem_cnn.indexing.spots import SpotSettings

__all__ = ["PredictionViews"]


class PredictionViews:
    """Methods of pyxem's OrientationMap that predictions have, lazy or not."""

    # `self` is always an OrientationPrediction, which cannot be named here: it is made of this.

    def to_markers(
        self: Any,
        n_best: int = 1,
        annotate: bool = False,
        marker_colors: Sequence[str] | None = None,
        lazy_output: bool | None = None,
        include_intensity: bool = True,
        *,
        rank: int = 0,
        signal: Any = None,
        spots: SpotSettings | None = None,
        text_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[Markers]:
        """Return the simulated spots of the predicted orientations as HyperSpy markers.

        Add them to the patterns with ``signal.add_marker(markers)``; they follow the navigator.
        The spots are kinematic, at the model's voltage, and lie where the geometry with which
        the scan was mapped puts them: beam centre and its shifts, flips, transposition, ellipticity
        and scan rotation are in them. Positions where nothing is indexed have no spots.

        Parameters
        ----------
        n_best
            Number of orientations to show at every position.
        annotate
            Whether to write the Miller indices beside the spots.
        marker_colors
            One for each rank or, with several phases, for each phase; repeated if there are
            fewer. With several phases, the ranks differ in the style of the lines, and the
            default colours are those of `to_phase_map`.
        lazy_output
            Whether spots are simulated only when the navigator gets there, the default. If False,
            all are simulated at once: do so if the markers shall be saved with the signal.
        include_intensity
            Whether the circles of strong spots are larger; their diameter grows with the root of
            the kinematic intensity.
        rank
            The first orientation to show, 0 for the best one.
        signal
            Patterns whose axes the markers are for, if they were calibrated anew since the scan
            was mapped. By default, the axes that the patterns had then.
        spots
            Which reflections are drawn.
        text_kwargs
            Passed to :class:`hyperspy.api.plot.markers.Texts`.
        **kwargs
            Passed to :class:`hyperspy.api.plot.markers.Points`.

        Returns
        -------
        markers
            For every rank and phase the points, and the texts if asked for.

        Raises
        ------
        ValueError
            If the prediction holds fewer orientations, does not fit the signal, or does not know
            the geometry and voltage it was made with.

        See Also
        --------
        plot_over_signal : Add them to a plot of the patterns.
        """
        from pyxem_cnn.signals import markers as made
        from pyxem_cnn.signals.ipf_views import phase_colors

        ranks = made.check_ranks(self, n_best, rank)
        if marker_colors is None:
            several = len(self.phases) > 1
            marker_colors = phase_colors(self) if several else made.MARKER_COLORS
        texts = dict(text_kwargs or {}) if annotate else None
        all_markers = made.spot_markers(
            self, ranks, spots, marker_colors, include_intensity, texts, signal, kwargs
        )
        return made.compute_markers(all_markers) if lazy_output is False else all_markers

    def to_ipf_markers(
        self: Any,
        offset_x: float = 0.85,
        offset_y: float = 0.85,
        scale: float = 0.2,
        color: str = "green",
        *,
        direction: str | Vector3d = "z",
    ) -> list[Markers]:
        """Return markers that show the predicted orientations in the inverse pole figure.

        All `n_best` orientations are shown as points in the fundamental sector of the phase's Laue
        group, fainter the lower their score is against that of the best one.

        Parameters
        ----------
        offset_x, offset_y
            Middle of the first phase's sector, as shares of the axes; further phases follow below.
        scale
            Size of a sector as a share of the axes.
        color
            Of the points.
        direction
            Direction of the lab to show, "x" (right), "y" (up), "z" (towards the source), or a
            vector of orix.

        Returns
        -------
        markers
            For every phase the background, the outline, its labels and the points.

        Raises
        ------
        ValueError
            If `direction` is none.
        """
        from pyxem_cnn.signals.ipf_views import ipf_markers

        return ipf_markers(self, direction, (offset_x, offset_y), scale, color)

    def to_ipf_colormap(
        self: Any,
        direction: str | Vector3d = "z",
        add_markers: bool = True,
        *,
        rank: int = 0,
    ) -> signals.Signal2D:
        """Return the inverse pole figure colours of the orientations, as a navigator.

        The colours are orix's TSL colours of each phase's Laue group; black where nothing is
        indexed, and where a pattern is rather vacuum or amorphous than a crystal.

        Parameters
        ----------
        direction
            Direction of the lab that the colours stand for, "x" (right), "y" (up), "z" (towards
            the source), or a vector of orix; in the frame of the orientations.
        add_markers
            Whether to add the colour key as markers; done for a single phase only.
        rank
            Of which orientation, 0 for the best one.

        Returns
        -------
        colormap
            RGB image of the scan, lazy if the prediction is. Pass it to
            ``signal.plot(navigator=colormap)``.

        Raises
        ------
        ValueError
            If `direction` is none, or the prediction holds fewer orientations.
        """
        from pyxem_cnn.signals.ipf_views import ipf_colormap
        from pyxem_cnn.signals.markers import check_ranks

        return ipf_colormap(self, direction, check_ranks(self, 1, rank).start, add_markers)

    def to_phase_map(self: Any, *, rank: int = 0) -> signals.Signal2D:
        """Return the phases' colours, as a navigator.

        Parameters
        ----------
        rank
            Of which orientation, 0 for the best one.

        Returns
        -------
        phase_map
            RGB image of the scan, blue for the first phase, orange for the second and so on, black
            where nothing is indexed or a pattern is rather vacuum or amorphous than a crystal; lazy
            if the prediction is.

        Raises
        ------
        ValueError
            If the prediction holds fewer orientations.
        """
        from pyxem_cnn.signals.ipf_views import phase_map
        from pyxem_cnn.signals.markers import check_ranks

        return phase_map(self, check_ranks(self, 1, rank).start)

    def plot_over_signal(
        self: Any,
        signal: Any,
        add_vector_markers: bool = True,
        add_ipf_markers: bool = True,
        add_ipf_colorkey: bool = True,
        vector_kwargs: dict[str, Any] | None = None,
        *,
        n_best: int = 1,
        rank: int = 0,
        **kwargs: Any,
    ) -> None:
        """Plot the patterns with the predicted spots over them, and a map to navigate by.

        With several ranks, the keys ``n`` and ``b`` in the window of the patterns show the
        next and the previous one alone, ``a`` shows all.

        Parameters
        ----------
        signal
            The patterns that were mapped.
        add_vector_markers
            Whether to draw the spots.
        add_ipf_markers
            Whether to draw the orientations in the inverse pole figure, in the corner.
        add_ipf_colorkey
            Whether to draw the colour key into the map.
        vector_kwargs
            Passed to `to_markers`.
        n_best
            Number of orientations whose spots are drawn, each in its colour.
        rank
            The first of them, 0 for the best one.
        **kwargs
            Passed to the signal's ``plot``. The ``navigator`` is, by default, the map of inverse
            pole figure colours along z or, with several phases, of phases. A lazy prediction
            leaves it to HyperSpy: compute it first to see the map.

        Raises
        ------
        TypeError
            If `signal` is no signal.
        ValueError
            If the prediction does not fit the signal or holds fewer orientations.
        """
        from pyxem_cnn.signals.markers import check_ranks
        from pyxem_cnn.signals.over_signal import plot_over_signal

        plot_over_signal(
            self,
            signal,
            check_ranks(self, n_best, rank),
            add_ipf_markers,
            add_ipf_colorkey,
            dict(vector_kwargs or {}) if add_vector_markers else None,
            kwargs,
        )
