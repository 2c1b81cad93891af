"""Look before you run: how a scan is calibrated for a model, and how long mapping will take."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, given_expected
from pyxem_cnn._torch import resolve_device
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.indexing.calibration.fit import GeometryFit, fit_geometry
from pyxem_cnn.indexing.calibration.model import (
    Handedness,
    SampleReader,
    beam_wander,
    estimate_seconds,
    find_start,
    mean_confidence,
    tell_handedness,
)
from pyxem_cnn.indexing.calibration.sample import PatternSample, read_sample
from pyxem_cnn.indexing.mapping import as_models, check_voltage
from pyxem_cnn.indexing.scan import check_signal, resolve_geometry
from pyxem_cnn.simulation.kinematic import KinematicSimulator

if TYPE_CHECKING:
    import torch
    from hyperspy.signal import BaseSignal
    from matplotlib.figure import Figure

    from pyxem_cnn.model import OrientationModel

__all__ = ["CalibrationCheck", "check_calibration"]

# What training allows for, by the names that the model's conditions have for it.
_BORNE = {"center": "center_error", "scale": "scale_error", "ellipticity": "ellipticity"}
_MAX_EXCITATION_ERROR = 0.05
# A correction that makes the model less sure than this share of before is none.
_NO_WORSE = 0.9


def check_calibration(
    signal: BaseSignal,
    model: OrientationModel | str,
    *,
    geometry: DetectorGeometry | dict[str, Any] | None = None,
    signal_mask: np.ndarray | BaseSignal | None = None,
    n_patterns: int = 64,
    device: str | torch.device = "auto",
) -> CalibrationCheck:
    """Check on a few patterns whether a scan is calibrated as the model needs it.

    The model reads a sample of the scan. If it recognises little, other scales (24 % less to 32 %
    more) and the brightest spot as beam centre are tried. Then the strong spots of the
    recognised patterns are measured, and centre, scale and ellipticity are fitted to them.

    Of a scan in memory, `n_patterns` patterns are used; of a lazy one, at most 16 chunks are
    read (at most 64 MiB of each), from which `n_patterns` are taken.

    Parameters
    ----------
    signal
        The scan, lazy or not.
    model
        Of its phase; the name or path of a model, too. Of a model of several phases, the one that
        the sample shows most of is measured.
    geometry
        As for the mapping. By default, it is read from the signal's axes and metadata.
    signal_mask
        Detector pixels to leave out are True.
    n_patterns
        Number of patterns to look at.
    device
        "auto", "cpu", "cuda", ...

    Returns
    -------
    check
        What was found. ``check.corrected`` can be passed on as ``geometry=`` of the mapping,
        ``check.plot()`` shows it.

    Raises
    ------
    TypeError
        If the signal is none.
    ValueError
        If the signal is not calibrated at all, was taken at another voltage, holds polar patterns,
        or if several models are given.

    Warns
    -----
    UserWarning
        If the calibration is further off than the model bears, or the model recognises nothing.

    Examples
    --------
    >>> import pyxem_cnn
    >>> check = pyxem_cnn.check_calibration(signal, model)  # doctest: +SKIP
    >>> xmap = signal.get_orientation_map_cnn(
    ...     model, geometry=check.corrected
    ... )  # doctest: +SKIP
    """
    check_signal(signal)
    check_positive("n_patterns", n_patterns, integer=True)
    models = as_models(model)
    if len(models) > 1:
        names = [one.name for one in models]
        remedy = "Check the phases one by one."
        raise ValueError(given_expected("model", names, "one model", remedy))
    given = resolve_geometry(signal, geometry, signal_mask, False)
    if not isinstance(given, DetectorGeometry):
        raise ValueError(
            "signal: got polar patterns, expected patterns on the detector: their centre and scale "
            "can no longer be corrected. Check the scan that they were made of."
        )
    check_voltage(models[0], given)
    sample = read_sample(signal.data, n_patterns)
    check = _check(sample, models[0], given, resolve_device(device), signal.data)
    for text in check.problems:
        warnings.warn(text, UserWarning, stacklevel=2)
    return check


def _check(
    sample: PatternSample, model: OrientationModel, given: DetectorGeometry, device: Any, data: Any
) -> CalibrationCheck:
    """Return the check of a sample of some data."""
    reader = SampleReader(sample.patterns, model, str(device))
    start = find_start(reader, given)
    reader = reader.of_likeliest_phase(given if start is None else start)
    simulator = KinematicSimulator(
        model.crystals[reader.phase],
        model.accelerating_voltage,
        k_max=model.grid.largest_radius,
        max_excitation_error=_MAX_EXCITATION_ERROR,
    )
    fit = None if start is None else fit_geometry(sample.patterns, start, simulator, reader)
    corrected = given if fit is None else fit.geometry
    confidence = mean_confidence(reader, given), mean_confidence(reader, corrected)
    if confidence[1] < _NO_WORSE * confidence[0]:
        fit, corrected, confidence = None, given, (confidence[0], confidence[0])
    return CalibrationCheck(
        given=given,
        corrected=corrected,
        fit=fit,
        confidence=confidence,
        handedness=tell_handedness(reader, corrected),
        borne=_borne(model),
        beam_wander=beam_wander(sample.patterns),
        seconds=estimate_seconds(sample, reader, corrected, data),
        n_scan=int(np.prod(data.shape[:-2])),
        sample=sample,
        reader=reader,
        simulator=simulator,
    )


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationCheck:
    """How well a scan is calibrated for a model, and what corrects it.

    Attributes
    ----------
    given
        The geometry as it was given or read from the signal.
    corrected
        The geometry that fits the measured spots, to be passed on as ``geometry=``; the given one
        if nothing was found.
    fit
        Standard errors, number of patterns and spots; None if the model recognised too little.
    confidence
        Mean of score times phase probability over the better half of the sample, 0 to 1, with
        the given and with the corrected geometry.
    handedness
        What can be told about a mirrored readout.
    borne
        Errors that the model was trained to bear: ``center`` in 1/angstrom, ``scale`` and
        ``ellipticity`` relative; empty if its file does not say.
    beam_wander
        Spread of the direct beam's position over the sample, pixels; NaN if none was found.
    seconds
        Estimated time of mapping the whole scan on this machine.
    n_scan
        Number of patterns of the scan.
    sample, reader, simulator
        The patterns that were looked at, what reads them (its ``phase`` is the one that was
        measured), and the phase's reflections.
    """

    given: DetectorGeometry
    corrected: DetectorGeometry
    fit: GeometryFit | None
    confidence: tuple[float, float]
    handedness: Handedness
    borne: dict[str, float]
    beam_wander: float
    seconds: float
    n_scan: int
    sample: PatternSample = field(repr=False)
    reader: SampleReader = field(repr=False)
    simulator: KinematicSimulator = field(repr=False)

    @property
    def center_shift(self) -> tuple[float, float]:
        """Corrected less given position (x, y) of the beam in pixels."""
        x, y = np.subtract(self.corrected.center, self.given.center)
        return float(x), float(y)

    @property
    def scale_ratio(self) -> float:
        """Corrected over given scale; the given camera length is too long by this factor."""
        return float(np.sqrt(self.corrected.pixel_area / self.given.pixel_area))

    @property
    def ellipticity(self) -> float:
        """Ratio of axes that is left of a circle with the given geometry."""
        sizes = np.linalg.svd(
            np.linalg.solve(
                self.given._stretch(np.sqrt(self.given.ellipticity)),
                self.corrected._stretch(np.sqrt(self.corrected.ellipticity)),
            )
        )[1]
        return float(sizes[0] / sizes[1])

    @property
    def problems(self) -> list[str]:
        """What should be corrected before the scan is mapped, one sentence or two for each."""
        from pyxem_cnn.indexing.calibration.report import problems_of

        return problems_of(self)

    def __repr__(self) -> str:
        """Return what was found, one line for each quantity."""
        from pyxem_cnn.indexing.calibration.report import describe_check

        return describe_check(self)

    def plot(self) -> Figure:
        """Plot mean, maximum and six patterns with the rings and spots that the model expects.

        Returns
        -------
        figure
            Blue with the geometry as given, red as corrected. It is not shown.
        """
        from pyxem_cnn.indexing.calibration.report import view_of
        from pyxem_cnn.plot.calibration import plot_calibration

        return plot_calibration(view_of(self))


def _borne(model: OrientationModel) -> dict[str, float]:
    """Return the errors that a model was trained with."""
    conditions = model.metadata.get("training", {}).get("conditions") or {}
    return {key: float(conditions[name]) for key, name in _BORNE.items() if name in conditions}
