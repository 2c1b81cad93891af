"""The methods that pyxem's two-dimensional diffraction signals receive."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch
    from hyperspy.signal import BaseSignal
    from orix.crystal_map import CrystalMap

    from pyxem_cnn.detector.geometry import DetectorGeometry
    from pyxem_cnn.indexing.refinement.settings import RefinementSettings
    from pyxem_cnn.model import OrientationModel
    from pyxem_cnn.signals.orientation_prediction import LazyOrientationPrediction
    from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator

# Every function named here becomes a method: see pyxem_cnn/signals/_attach.py.
__all__ = ["get_orientation_map_cnn", "refine_orientation_cnn"]


def get_orientation_map_cnn(
    self: BaseSignal,
    model: OrientationModel | str | Sequence[OrientationModel | str],
    *,
    n_best: int = 1,
    minimum_score: float = 0.0,
    navigation_mask: np.ndarray | BaseSignal | None = None,
    signal_mask: np.ndarray | BaseSignal | None = None,
    geometry: DetectorGeometry | dict[str, Any] | None = None,
    find_center: bool = False,
    beam_shift: np.ndarray | BaseSignal | None = None,
    device: str | torch.device = "auto",
    batch_size: int | None = None,
    on_read_error: Literal["raise", "skip"] = "raise",
    lazy_output: bool = False,
    store: str | os.PathLike[str] | None = None,
    resume: bool | None = None,
    show_progressbar: bool | None = None,
) -> CrystalMap | list[CrystalMap] | LazyOrientationPrediction:
    """Return the crystal orientation of every pattern, as a neural network sees it.

    Parameters
    ----------
    self
        The scan, or a single pattern.
    model
        The model of a phase, from :func:`pyxem_cnn.load_model`, :func:`pyxem_cnn.train` or
        :func:`pyxem_cnn.wrap_model`, or the name or path of a model file. With several models,
        their phases compete at every position.
    n_best
        Number of orientations to return at every position, best first.
    minimum_score
        Positions with a lower score are not indexed: their phase id is -1. With scores as the
        shipped models have them, 0.5 leaves out what is rather wrong than right.
    navigation_mask
        Scan positions to leave out are True. Shape: that of the scan, (ny, nx).
    signal_mask
        Detector pixels to leave out (beam stop, dead pixels, shadows) are True. Shape: that of
        the detector, (rows, columns).
    geometry
        The detector geometry. By default, it is read from the signal's axes and metadata. A
        dictionary overrides single values of it, as keyword arguments of
        :meth:`pyxem_cnn.DetectorGeometry.from_signal`, for example
        ``{"beam_energy": 200, "flip_y": True}`` (kV).
    find_center
        Whether to find the direct beam in the patterns, instead of taking the origin of the
        signal axes for its position.
    beam_shift
        What pyxem's ``get_direct_beam_position`` returns, or an array of shape (ny, nx, 2) of the
        same meaning: the shift (x, y) in detector pixels that brings the direct beam of each
        pattern to half the detector's shape.
    device
        "auto" (CUDA devices if there are any), "cpu", "cuda" (all that there are), "cuda:1", ...
    batch_size
        Number of patterns that the network sees at once. By default, as many as suit the device.
        A GPU that runs out of memory gets fewer by itself.
    on_read_error
        What to do if a chunk of a lazy scan cannot be read, since its file is damaged for
        example: "raise" stops with the error; "skip" logs it, goes on, and does not index the
        chunk's patterns. A warning at the end tells where they are.
    lazy_output
        Whether to return a lazy prediction, of which nothing is computed yet, instead of a map.
        With `store`, everything is computed into the store, from which the prediction reads.
    store
        Folder, ending in .zarr, where every block of predictions is written as soon as it is
        finished. After an interruption of any kind, the same call goes on and computes only what
        is missing; :func:`pyxem_cnn.open_store` shows what is there. A store of another model,
        scan or setting is refused, and nothing is ever overwritten.
    resume
        None goes on with the store if it is there and begins it if not; False refuses one that
        is there; True refuses to begin one, and takes a scan whose file was renamed, copied or
        written anew since for the same if its patterns are.
    show_progressbar
        Whether to show a progress bar, with `store` of what is left to do. By default, as
        HyperSpy's preferences say.

    Returns
    -------
    crystal_map
        The orientations. ``prop`` holds ``scores`` of shape (points, n_best) and
        ``reliability``, 0 to 100. Positions that were left out are not in the data; positions
        without an orientation have the phase id -1. ``frame`` says whether the rotations are in
        the "detector" or, with a `scan_rotation`, in the "scan" frame. With three navigation
        axes, a list of maps in the order of the slowest axis. With `lazy_output`, a
        :class:`pyxem_cnn.LazyOrientationPrediction`.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a mask or `beam_shift` does not fit the signal, if the signal's axes are in no unit of
        the diffraction pattern, or if the beam energy differs from the model's by more than 2 %.
        Also if `store` is of another task: the message names all that differs.
    FileExistsError, FileNotFoundError
        If `store` is there, or is not, against `resume`.

    See Also
    --------
    pyxem_cnn.LazyOrientationPrediction : What `lazy_output` returns.
    pyxem_cnn.open_store : What is in a `store`, finished or not.

    Notes
    -----
    Pyxem's signals have this method as soon as ``import pyxem_cnn`` has run, whether pyxem was
    imported before or after.

    Examples
    --------
    >>> import pyxem_cnn
    >>> model = pyxem_cnn.load_model("si_200kV")  # doctest: +SKIP
    >>> crystal_map = signal.get_orientation_map_cnn(model, n_best=3)  # doctest: +SKIP
    """
    from pyxem_cnn.indexing.mapping import get_orientation_map

    return get_orientation_map(
        self,
        model,
        n_best=n_best,
        minimum_score=minimum_score,
        navigation_mask=navigation_mask,
        signal_mask=signal_mask,
        geometry=geometry,
        find_center=find_center,
        beam_shift=beam_shift,
        device=device,
        batch_size=batch_size,
        on_read_error=on_read_error,
        lazy_output=lazy_output,
        store=store,
        resume=resume,
        show_progressbar=show_progressbar,
    )


def refine_orientation_cnn(
    self: BaseSignal,
    xmap: CrystalMap,
    model: OrientationModel | BlochWaveSimulator | str | Sequence[Any],
    *,
    simulator: Literal["bloch", "kinematic"] = "bloch",
    rerank: bool = True,
    refine_calibration: bool = False,
    electrons_per_count: float = 1.0,
    navigation_mask: np.ndarray | BaseSignal | None = None,
    signal_mask: np.ndarray | BaseSignal | None = None,
    geometry: DetectorGeometry | dict[str, Any] | None = None,
    find_center: bool = False,
    beam_shift: np.ndarray | BaseSignal | None = None,
    settings: RefinementSettings | None = None,
    show_progressbar: bool | None = None,
) -> CrystalMap:
    """Return orientations refined by simulated patterns, point by point.

    About each of a point's orientations and its pseudo-symmetric twins, patterns are simulated and
    compared with the counts, which are taken as Poisson distributed about spots and a background of
    each ring. Tilts, angle in the plane and thickness are fitted; the likelihood says which
    orientation is the best.

    Parameters
    ----------
    self
        The scan, or a single pattern, with up to two navigation axes, lazy or not.
    xmap
        Its map, of :meth:`get_orientation_map_cnn` or others, of the whole scan or a slice of that;
        several orientations for each point (``n_best=3``) are better than one.
    model
        The model, or models in their order, with which it was mapped, or one
        :class:`pyxem_cnn.BlochWaveSimulator` for each phase.
    simulator
        "bloch" for dynamical patterns, by Bloch waves, or "kinematic".
    rerank
        Whether the orientations of a point and their twins compete. Otherwise each keeps its place
        and is moved only.
    refine_calibration
        Whether centre, scale and ellipticity are fitted to a sample of confident patterns first,
        and the range of thicknesses is narrowed to those found there.
    electrons_per_count
        Of the detector: likelihoods need electrons.
    navigation_mask, signal_mask, geometry, find_center, beam_shift
        As when the scan was mapped, see :meth:`get_orientation_map_cnn`. Points that are left out
        keep their orientations.
    settings
        How far and how finely to search.
    show_progressbar
        Whether to show a progress bar. By default, as HyperSpy's preferences say.

    Returns
    -------
    crystal_map
        As `xmap`, with new rotations. ``prop`` has, of shape (points, n_best), ``refined_score``,
        the probability to be within 5 degrees of the right orientation; ``log_likelihood`` for each
        electron, above that of a background without spots; ``thickness`` in angstrom, NaN for
        kinematic patterns; ``moved``, the angle in degrees from the orientation that it was refined
        from; ``origin``, the rank of that; ``scores``, its score. ``electrons`` (points,) are those
        outside the direct beam. The attribute ``geometry`` is the one used, fitted or not.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the map is not of the scan, its frame is not known, a phase has no model, a mask does not
        fit, or the calibration cannot be fitted.

    See Also
    --------
    get_orientation_map_cnn : Makes the map.

    Examples
    --------
    >>> import pyxem_cnn
    >>> model = pyxem_cnn.load_model("si_200kV")  # doctest: +SKIP
    >>> xmap = signal.get_orientation_map_cnn(model, n_best=3)  # doctest: +SKIP
    >>> refined = signal.refine_orientation_cnn(xmap, model)  # doctest: +SKIP
    """
    from pyxem_cnn.indexing.refinement.refine import refine_orientation

    return refine_orientation(
        self,
        xmap,
        model,
        simulator=simulator,
        rerank=rerank,
        refine_calibration=refine_calibration,
        electrons_per_count=electrons_per_count,
        navigation_mask=navigation_mask,
        signal_mask=signal_mask,
        geometry=geometry,
        find_center=find_center,
        beam_shift=beam_shift,
        settings=settings,
        show_progressbar=show_progressbar,
    )
