"""The signal that holds what a model predicts at every scan position."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hyperspy._signals.lazy import LazySignal
from hyperspy.signals import Signal2D
from traits.api import Undefined  # type: ignore[attr-defined]

from pyxem_cnn._checks import check_choice, given_expected
from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.signals.prediction_views import PredictionViews

if TYPE_CHECKING:
    from dask.array import Array
    from numpy import ndarray
    from orix.crystal_map import CrystalMap

    from pyxem_cnn.indexing.pattern_frame import PatternFrame
    from pyxem_cnn.phases import CrystalStructure

_NODE = "OrientationPrediction"
# Entries of these are dictionaries, saved as JSON texts: RosettaSciIO 0.15 reads lists of lists and
# lists of dictionaries back in the order of their indices as text (0, 1, 10, 11, 2, ...), in .hspy
# and .zspy alike, so that atoms, symmetry operations and phase ids would change places.
_LISTS = ("phases", "models")
_SHIFTS = f"{_NODE}.beam_shifts"


class OrientationPrediction(PredictionViews, Signal2D):
    """Orientations that one or several models predict at every scan position.

    The data has the shape (navigation..., n_best, n_columns) and dtype float32: for every position
    the `n_best` best orientations, best first, one a row, with the columns in ``COLUMNS``:

    - ``phase_id``: index into `phases`, -1 where nothing was indexed;
    - ``score``: probability of this orientation, 0 to 1;
    - ``a``, ``b``, ``c``, ``d``: unit quaternion, scalar first, orix's passive rotation from the
      lab to the crystal frame;
    - ``reliability``: 0 to 100, of the best orientation against the next different one;
    - ``phase_probability``: 0 to 1, probability of this orientation's phase;
    - ``thickness``: of the specimen in angstrom, as this orientation has it;
    - ``share``: how much of the pattern this orientation explains, 0 to 1;
    - ``entropy``: of all orientations, in nats: 0 where only one is possible;
    - ``vacuum_probability``, ``amorphous_probability``: that there is no crystal.

    The last five are NaN for networks that do not tell them.

    Where nothing was indexed, or a model gives fewer than `n_best` orientations, everything but
    the phase id is NaN.

    ``metadata.OrientationPrediction`` holds the ``columns``, the ``phases`` and ``models``
    that were used, the ``frame`` of the orientations ("detector" or "scan"), the symmetry
    ``group`` ("Laue" or "point") modulo which they count, and the ``pattern_frame`` and
    ``beam_shifts`` of the patterns. Use the properties `phases`, `model_info`, `pattern_frame` and
    `beam_shifts`: in files, most of these are JSON texts.

    Parameters
    ----------
    *args, **kwargs
        Passed to :class:`hyperspy.api.signals.Signal2D`.

    See Also
    --------
    LazyOrientationPrediction : The same, not yet computed or read.
    """

    _signal_type = "orientation_prediction"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Create the signal and name its two signal axes."""
        super().__init__(*args, **kwargs)
        for axis, name in zip(self.axes_manager.signal_axes, ("column", "rank"), strict=True):
            axis.name = name if axis.name is Undefined else axis.name

    def __repr__(self) -> str:
        """Return HyperSpy's description with the number of orientations and the phases."""
        names = [phase.get("name", "?") for phase in self._list("phases")]
        phases = f", phases: {', '.join(names)}" if names else ""
        return f"{super().__repr__()[:-1]}, n_best: {self.n_best}{phases}>"

    @property
    def n_best(self) -> int:
        """Number of orientations at every position."""
        return int(self.axes_manager.signal_axes[1].size)

    @property
    def quaternions(self) -> ndarray | Array:
        """Quaternions of shape (navigation..., n_best, 4), scalar first; a dask array if lazy."""
        first = self._column_index("a")
        return self.data[..., first : first + 4]

    @property
    def scores(self) -> ndarray | Array:
        """Scores of shape (navigation..., n_best), 0 to 1; a dask array if lazy."""
        return self.column("score")

    @property
    def phases(self) -> list[CrystalStructure]:
        """The phases that the phase ids 0, 1, ... stand for."""
        from pyxem_cnn.phases import CrystalStructure

        return [CrystalStructure.from_dict(phase) for phase in self._list("phases")]

    @phases.setter
    def phases(self, phases: Iterable[CrystalStructure]) -> None:
        self._set_list("phases", (phase.to_dict() for phase in phases))

    @property
    def model_info(self) -> list[dict[str, Any]]:
        """Name, hash, voltage and reach of each phase's model, in the order of `phases`.

        It is not called ``models``, as those are HyperSpy's fitted models.
        """
        return self._list("models")

    @model_info.setter
    def model_info(self, models: Iterable[dict[str, Any]]) -> None:
        self._set_list("models", models)

    @property
    def pattern_frame(self) -> PatternFrame | None:
        """Geometry and axes of the patterns, None if they were not kept."""
        from pyxem_cnn.indexing.pattern_frame import PatternFrame

        text = self.metadata.get_item(f"{_NODE}.pattern_frame")
        return None if text is None else PatternFrame.from_json(text)

    @property
    def beam_shifts(self) -> ndarray | Array | None:
        """Beam of each pattern less the geometry's centre, (navigation..., 2) pixels, or None."""
        stored = self.metadata.get_item(_SHIFTS)
        return None if stored is None else stored.data

    @beam_shifts.setter
    def beam_shifts(self, shifts: ndarray | Array) -> None:
        from hyperspy.signals import Signal1D

        # A signal: HyperSpy saves it with the prediction, also if it is lazy.
        signal = Signal1D(shifts)
        self.metadata.set_item(_SHIFTS, signal.as_lazy() if hasattr(shifts, "dask") else signal)

    def column(self, name: str) -> ndarray | Array:
        """Return one column of the data.

        Parameters
        ----------
        name
            One of ``COLUMNS``.

        Returns
        -------
        values
            Values of shape (navigation..., n_best); a dask array if the signal is lazy.

        Raises
        ------
        ValueError
            If there is no such column, or if columns were sliced away.
        """
        return self.data[..., self._column_index(name)]

    def to_crystal_map(self, minimum_score: float = 0.0) -> CrystalMap | list[CrystalMap]:
        """Return the prediction as an orix crystal map.

        Parameters
        ----------
        minimum_score
            Points with a lower score are not indexed: their phase id is -1.

        Returns
        -------
        crystal_map
            The map, with ``scores``, ``reliability`` and the other columns in its ``prop``; a list
            of maps, in the order of the slowest axis, for three navigation axes. A lazy prediction
            is computed for it and stays lazy itself.

        Raises
        ------
        ValueError
            If `minimum_score` is not between 0 and 1.
        """
        from pyxem_cnn.indexing.crystal_map import prediction_to_crystal_map

        return prediction_to_crystal_map(self, minimum_score)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the prediction, as HyperSpy saves its signals.

        Parameters
        ----------
        *args, **kwargs
            Passed to :meth:`hyperspy.api.signals.BaseSignal.save`.
        """
        for name in _LISTS:
            if entries := self._list(name):
                # Whoever filled the metadata directly may have left dictionaries there.
                self._set_list(name, entries)
        super().save(*args, **kwargs)

    def _slicer(self, slices: Any, isNavigation: bool | None = None, out: Any = None) -> Any:
        """Slice the beam shifts with the positions that they belong to."""
        sliced = super()._slicer(slices, isNavigation, out)
        if isNavigation and self.beam_shifts is not None:
            positions = self._get_array_slices(slices, isNavigation)
            target = sliced if out is None else out
            target.beam_shifts = self.beam_shifts[
                positions[: self.axes_manager.navigation_dimension]
            ]
        return sliced

    def _list(self, name: str) -> list[dict[str, Any]]:
        """Return one of the lists in the metadata, empty if it is not there."""
        stored = self.metadata.get_item(f"{_NODE}.{name}")
        stored = [] if stored is None else stored
        return [dict(entry) if isinstance(entry, dict) else json.loads(entry) for entry in stored]

    def _set_list(self, name: str, entries: Iterable[dict[str, Any]]) -> None:
        """Store one of the lists in the metadata, in the form in which it survives a file."""
        self.metadata.set_item(f"{_NODE}.{name}", [json.dumps(entry) for entry in entries])

    def _column_index(self, name: str) -> int:
        """Return the index of a column, after a check that all columns are there."""
        check_choice("column", name, COLUMNS)
        n_columns = self.data.shape[-1]
        if n_columns != len(COLUMNS):
            raise ValueError(
                given_expected(
                    "Number of columns",
                    n_columns,
                    f"{len(COLUMNS)} ({', '.join(COLUMNS)})",
                    "Slice the prediction before the columns: `isig[:, :n]` keeps the first n "
                    "orientations.",
                )
            )
        return COLUMNS.index(name)


class LazyOrientationPrediction(LazySignal, OrientationPrediction):
    """Orientations that are predicted or read when they are needed.

    ``compute()`` turns it into an :class:`OrientationPrediction` in place, ``save()`` writes it
    chunk by chunk.

    Parameters
    ----------
    *args, **kwargs
        Passed to :class:`hyperspy.api.signals.Signal2D`.

    See Also
    --------
    OrientationPrediction : The same in memory, with the meaning of every column.
    """
