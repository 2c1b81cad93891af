"""Index patterns while they arrive from the microscope, a few milliseconds after each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, check_type, given_expected
from pyxem_cnn._torch import resolve_device
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import PolarGeometry, ResamplingOperator
from pyxem_cnn.indexing.block import BlockPredictor
from pyxem_cnn.indexing.live.record import LatencySummary, LiveRecord
from pyxem_cnn.indexing.live.result import LiveResult
from pyxem_cnn.indexing.mapping import as_models, check_voltage, what_numbers_mean
from pyxem_cnn.indexing.scan import rotation_to_scan, with_signal_mask

if TYPE_CHECKING:
    import torch
    from orix.crystal_map import CrystalMap

    from pyxem_cnn.model import OrientationModel

__all__ = ["LiveIndexer"]

_WARM_UP = (1, 1, 1, 8)  # batches; TorchScript compiles during the first runs


class LiveIndexer:
    """Read orientations from patterns while they arrive, for work at the microscope.

    Everything that takes long is done when it is made: loading the model, the operator from
    pixels to the model's grid, compiling. From then on a pattern takes a few milliseconds
    on one CPU core. Several threads may call one indexer at the same time. It keeps the numbers of
    all patterns, some 50 bytes for each orientation, but no patterns.

    Parameters
    ----------
    model
        The model of a phase or its name or path; with several models, their phases compete.
    geometry
        Of the patterns. Of a calibrated signal, it is ``DetectorGeometry.from_signal(signal)``.
    n_best
        Number of orientations for each pattern.
    signal_mask
        Detector pixels to leave out are True, shape (rows, columns).
    batch_size
        Number of patterns that the network sees at once. By default, as many as suit the device.
    device
        "auto" (a CUDA device if there is one), "cpu", "cuda", ...
    dtype
        Of the patterns that will arrive. Others are read, too, but the first of them has to wait
        for a function to be compiled.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the geometry's voltage differs from the model's by more than 2 %, or the mask is of
        another shape than the detector.

    See Also
    --------
    get_orientation_map_cnn : Map a scan that is complete.

    Examples
    --------
    >>> import pyxem_cnn
    >>> geometry = pyxem_cnn.DetectorGeometry(
    ...     shape=(128, 128), center=(63.5, 63.5), scale=0.02, beam_energy=200
    ... )
    >>> indexer = pyxem_cnn.LiveIndexer("si_200kV", geometry)  # doctest: +SKIP
    >>> result = indexer.index(pattern)  # doctest: +SKIP
    >>> result.rotations, result.latency  # doctest: +SKIP
    >>> indexer.crystal_map((50, 60), step=5.0, units="nm")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: OrientationModel | str | Sequence[OrientationModel | str],
        geometry: DetectorGeometry | PolarGeometry,
        *,
        n_best: int = 1,
        signal_mask: Any = None,
        batch_size: int | None = None,
        device: str | torch.device = "auto",
        dtype: Any = np.uint16,
    ) -> None:
        remedy = "Of a calibrated signal, it is DetectorGeometry.from_signal(signal)."
        check_type("geometry", geometry, (DetectorGeometry, PolarGeometry), remedy)
        check_positive("n_best", n_best, integer=True)
        self.models = as_models(model)
        self.geometry = with_signal_mask(geometry, signal_mask)
        for one in self.models:
            check_voltage(one, self.geometry)
        if batch_size is not None:
            check_positive("batch_size", batch_size, integer=True)
        self._predictor = BlockPredictor(
            models=self.models,
            operators=tuple(ResamplingOperator(self.geometry, one.grid) for one in self.models),
            n_best=int(n_best),
            batch_size=batch_size,
            device=str(resolve_device(device)),
            to_scan=rotation_to_scan(self.geometry),
        )
        self._record = LiveRecord(self.n_best)
        # One thread: patterns that were submitted are indexed in their order.
        self._queue = ThreadPoolExecutor(1, thread_name_prefix="live indexing")
        self._warm_up(np.dtype(dtype))

    @property
    def n_best(self) -> int:
        """Number of orientations for each pattern."""
        return self._predictor.n_best

    @property
    def latency(self) -> LatencySummary:
        """Median, 95th percentile and maximum of the calls' latencies, milliseconds."""
        return self._record.latency()

    def __len__(self) -> int:
        """Return how many patterns have been indexed."""
        return len(self._record)

    def __repr__(self) -> str:
        """Return models, patterns so far and latency in one line."""
        names = ", ".join(repr(one.name) for one in self.models)
        told = f"; {self.latency}" if len(self) else ""
        return f"LiveIndexer({names} on {self._predictor.device}, {len(self)} patterns{told})"

    def index(self, patterns: np.ndarray, first: int | None = None) -> LiveResult:
        """Return the orientations of one pattern or of a batch, and keep them.

        Parameters
        ----------
        patterns
            Raw counts of one pattern, shape (rows, columns), or of several, (n, rows, columns).
        first
            Number of the (first) pattern in the scan, from 0, in the order of scanning: row by
            row. By default, the one after the last pattern. Pass it if patterns may arrive out
            of order or get lost.

        Returns
        -------
        result

        Raises
        ------
        TypeError
            If the patterns are no array of integers or floats.
        ValueError
            If their shape is not that of the geometry, or a number was taken before.
        """
        start, record, patterns = time.perf_counter(), self._record, self._checked(patterns)
        first = record.reserve(_count(patterns), first)
        return self._index(record, patterns, first, start)

    def submit(self, patterns: np.ndarray, first: int | None = None) -> Future[LiveResult]:
        """Queue patterns and return at once: what acquisition calls back must not wait.

        Parameters
        ----------
        patterns, first
            As in :meth:`index`. The patterns are copied, so that a camera's buffer can be used
            again at once.

        Returns
        -------
        future
            ``future.result()`` waits for the LiveResult; ``future.add_done_callback(show)`` does
            not. What is submitted is indexed in this order, on a thread of its own.

        Raises
        ------
        TypeError, ValueError
            As in :meth:`index`, at once.
        RuntimeError
            If the indexer is closed.
        """
        start, record = time.perf_counter(), self._record
        patterns = np.array(self._checked(patterns))
        first = record.reserve(_count(patterns), first)
        try:
            return self._queue.submit(self._index, record, patterns, first, start)
        except RuntimeError as error:
            record.release(_count(patterns), first)
            error.add_note("The indexer was closed. Make a new one for further patterns.")
            raise

    def crystal_map(
        self,
        scan_shape: tuple[int, ...],
        *,
        first: int | None = None,
        minimum_score: float = 0.0,
        step: float = 1.0,
        units: str = "px",
    ) -> CrystalMap:
        """Return what has arrived so far as a crystal map of the whole scan.

        Parameters
        ----------
        scan_shape
            Scan positions (rows, columns), or (n,) of a line.
        first
            Number of the scan's first pattern; pass it where one scan follows another. By default
            0, and then no more patterns than the scan has positions may have arrived.
        minimum_score
            Positions with a lower score are not indexed.
        step
            Distance of scan positions.
        units
            Of `step`.

        Returns
        -------
        crystal_map
            As from ``get_orientation_map_cnn``. Positions whose pattern has not arrived are not in
            the data: ``is_in_data`` is False there.

        Raises
        ------
        ValueError
            If the shape is none, more patterns arrived than it holds, or a number is out of range.
        """
        from hyperspy.signals import Signal2D

        shape = _checked_scan_shape(scan_shape)
        check_positive("step", step)
        n = int(np.prod(shape))
        if first is None and self._record.end > n:
            remedy = (
                "Pass first=, the number of the scan's first pattern, for one of several scans."
            )
            expected = f"room for the {self._record.end} patterns so far"
            raise ValueError(given_expected("scan_shape", shape, expected, remedy))
        first = check_positive("first", first or 0, integer=True, allow_zero=True)
        rows = self._record.read(first, n)
        prediction = Signal2D(rows.reshape(*shape, *rows.shape[1:]))
        prediction.set_signal_type("orientation_prediction")
        for axis in prediction.axes_manager.navigation_axes:
            axis.scale, axis.units = float(step), units
        meaning = what_numbers_mean(self.models, self.geometry)
        prediction.metadata.add_dictionary({"OrientationPrediction": meaning})
        return prediction.to_crystal_map(minimum_score)

    def reset(self) -> None:
        """Forget all patterns and latencies, and count from 0 again."""
        self._record = LiveRecord(self.n_best)

    def close(self) -> None:
        """Wait for what was submitted, and accept no more of it; the record can still be read."""
        self._queue.shutdown()

    def __enter__(self) -> LiveIndexer:
        """Return the indexer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _index(
        self, record: LiveRecord, patterns: np.ndarray, first: int, start: float
    ) -> LiveResult:
        """Predict patterns whose numbers are reserved; `start` is when they arrived."""
        try:
            rows = self._predictor(patterns)
        except BaseException:
            record.release(_count(patterns), first)
            raise
        rows.flags.writeable = False
        latency = 1e3 * (time.perf_counter() - start)
        record.write(first, rows.reshape(-1, *rows.shape[-2:]), latency)
        return LiveResult(first, latency, rows)

    def _checked(self, patterns: Any) -> np.ndarray:
        """Return patterns as an array after checks of type, number of axes and shape."""
        array = np.asarray(patterns)
        if array.dtype.kind not in "buif":
            raise TypeError(given_expected("patterns", patterns, "an array of integers or floats"))
        rows, columns = self.geometry.shape
        if array.ndim not in (2, 3) or array.shape[-2:] != (rows, columns):
            expected = f"shape ({rows}, {columns}) or (n, {rows}, {columns}), as the geometry says"
            remedy = "Reshape them, or make an indexer with the geometry of this detector."
            raise ValueError(given_expected("patterns", array, expected, remedy))
        return array

    def _warm_up(self, dtype: np.dtype) -> None:
        """Index made-up patterns, so that the first real one does not wait for compilers."""
        if dtype.kind not in "buif":
            raise TypeError(given_expected("dtype", dtype, "one of integers or floats"))
        counts = np.random.default_rng(0).integers(0, 2, (max(_WARM_UP), *self.geometry.shape))
        for n in _WARM_UP:
            self._predictor(counts[:n].astype(dtype))
            self._queue.submit(self._predictor, counts[:n].astype(dtype)).result()


def _count(patterns: np.ndarray) -> int:
    """Return how many patterns there are."""
    return 1 if patterns.ndim == 2 else len(patterns)


def _checked_scan_shape(shape: Any) -> tuple[int, ...]:
    """Return the shape of a scan of one or two axes."""
    numbers = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if len(numbers) not in (1, 2):
        raise ValueError(given_expected("scan_shape", shape, "(rows, columns), or (n,) of a line"))
    return tuple(int(check_positive("scan_shape", n, integer=True)) for n in numbers)
