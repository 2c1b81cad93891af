"""Train a model a little further on one's own scan, from a map of it that is trusted."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, check_share, check_type

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

    from pyxem_cnn.detector.geometry import DetectorGeometry
    from pyxem_cnn.evaluation import Evaluation
    from pyxem_cnn.indexing.fine_tuning.scan_patterns import ScanPatterns
    from pyxem_cnn.model import OrientationModel

__all__ = ["TuningConfig", "fine_tune"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TuningConfig:
    """How long and how carefully to train further.

    Attributes
    ----------
    n_patterns
        Patterns to train on, each turned and mirrored at random.
    learning_rate
        A tenth of that of a training: the model is to keep what it knows.
    batch_size
        Patterns of one step.
    most_points
        Points of the scan to read at most.
    held_out
        Share of the points, the last rows of the scan, that are measured on instead.
    seed
        Of all random choices.
    """

    n_patterns: int = 50_000
    learning_rate: float = 2e-4
    batch_size: int = 128
    most_points: int = 20_000
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("n_patterns", "batch_size", "most_points"):
            check_positive(name, getattr(self, name), integer=True)
        check_positive("learning_rate", self.learning_rate)
        check_share("held_out", check_positive("held_out", self.held_out))


def fine_tune(
    model: OrientationModel | str,
    signal: Any,
    crystal_map: CrystalMap,
    *,
    minimum_score: float = 0.5,
    geometry: DetectorGeometry | Mapping[str, Any] | None = None,
    config: TuningConfig | None = None,
    name: str | None = None,
    show_progressbar: bool = True,
) -> OrientationModel:
    """Return a model that was trained further on the patterns of a scan.

    The map says what the patterns are: that of template matching, of a refinement, or of the model
    itself where its scores are high. A model gets used to the microscope in this way; what the map
    has wrong, it learns as well.

    Parameters
    ----------
    model
        One that :func:`pyxem_cnn.train` made, or its name or path.
    signal
        The scan, lazy or not.
    crystal_map
        Its map: phase ids from 0 as in the model.
    minimum_score
        Points of the map with a lower score are not learnt. Maps without ``scores`` are trusted
        everywhere.
    geometry
        As in ``get_orientation_map_cnn``.
    config
        How long and how carefully to train.
    name
        Of the new model; by default that of the old one with "_tuned".
    show_progressbar
        Whether to show a bar.

    Returns
    -------
    model
        Its metadata hold the errors against the map on the held-out part of the scan, before and
        after.

    Raises
    ------
    TypeError, ValueError
        If the map is not one of this scan, or has too few points to learn from.
    ModelFileError
        If the model's network is not one of :func:`pyxem_cnn.train`.

    Warns
    -----
    UserWarning
        If the model did not become better on the held-out part of the scan.

    Examples
    --------
    >>> tuned = pyxem_cnn.fine_tune("si_200kV", s, xmap, minimum_score=0.9)  # doctest: +SKIP
    >>> tuned.save("si_200kV_mine.pt")  # doctest: +SKIP
    """
    from pyxem_cnn.indexing.mapping import as_models
    from pyxem_cnn.model.eager import azimuthal_network
    from pyxem_cnn.targets import target_from_dict

    config = check_type("config", config or TuningConfig(), TuningConfig)
    check_share("minimum_score", minimum_score)
    model = as_models(model)[0]
    network = azimuthal_network(model).requires_grad_(True)
    learnt, held_out = _patterns(signal, crystal_map, model, geometry, minimum_score, config)
    target = target_from_dict(model.target.to_dict(), model.target.arrays())
    before = _measured(network, target, held_out)
    _train(network, target, {"train": learnt, "held out": held_out}, config, show_progressbar)
    after = _measured(network, target, held_out)
    _tell(before, after)
    return _model(model, network, target, (before, after), config, name)


def _patterns(
    signal: Any,
    crystal_map: CrystalMap,
    model: OrientationModel,
    geometry: Any,
    minimum_score: float,
    config: TuningConfig,
) -> tuple[ScanPatterns, ScanPatterns]:
    """Return the patterns to learn from and those to measure on."""
    from pyxem_cnn.indexing.fine_tuning.scan_patterns import ScanPatterns, trusted_points
    from pyxem_cnn.indexing.scan import check_signal, resolve_geometry

    check_signal(signal)
    geometry = resolve_geometry(
        signal, dict(geometry) if isinstance(geometry, Mapping) else geometry, None, False
    )
    shape = signal.data.shape[:-2]
    points = trusted_points(crystal_map, shape, minimum_score, len(model.crystals))
    if len(points) > config.most_points:
        generator = np.random.default_rng(config.seed)
        points = np.sort(generator.choice(points, config.most_points, replace=False))
    # Neighbours show the same grain: the held-out points are not among the others, but behind.
    first = min(max(1, round(len(points) * (1 - config.held_out))), len(points) - 1)
    parts = [
        ScanPatterns.read(signal, crystal_map, part, model, geometry)
        for part in np.split(points, [first])
    ]
    return parts[0], replace(parts[1], is_training=False)


def _measured(network: Any, target: Any, held_out: ScanPatterns) -> Evaluation:
    """Return the errors against the map on the held-out part."""
    from pyxem_cnn.evaluation import evaluate
    from pyxem_cnn.training import TrainingConfig

    network.eval()
    network.low_precision = False
    config = TrainingConfig(validation_patterns=1024)
    return evaluate(network, target, {"held out": held_out}, config)["held out"]


def _train(
    network: Any,
    target: Any,
    sources: dict[str, ScanPatterns],
    config: TuningConfig,
    show_progressbar: bool,
) -> None:
    """Run Lightning's loop."""
    from pyxem_cnn._lightning import OrientationTask, fit
    from pyxem_cnn.training import TrainingConfig

    training = TrainingConfig(
        n_patterns=config.n_patterns,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        epoch_patterns=max(config.batch_size, config.n_patterns // 5),
        averaging=0.99,
        seed=config.seed,
    )
    network.train()
    fit(OrientationTask(network, target, training), sources, None, {}, show_progressbar)
    network.cpu().eval().requires_grad_(False)
    network.keep_halves()


def _tell(before: Evaluation, after: Evaluation) -> None:
    """Say what came of it."""
    _logger.info("held-out part of the scan, before: %s", before.errors)
    _logger.info("held-out part of the scan, after: %s", after.errors)
    if after.errors.within_5 < before.errors.within_5:
        warnings.warn(
            f"The tuned model agrees less with the map on the held-out part of the scan: "
            f"{after.errors.within_5:.1f} % within 5 degrees, {before.errors.within_5:.1f} % "
            "before. Keep the old one, trust fewer points (minimum_score), or lower "
            "TuningConfig.learning_rate.",
            UserWarning,
            stacklevel=3,
        )


def _model(
    model: OrientationModel,
    network: Any,
    target: Any,
    evaluations: tuple[Evaluation, Evaluation],
    config: TuningConfig,
    name: str | None,
) -> OrientationModel:
    """Return the tuned model, with everything that the old one said of itself."""
    from dataclasses import asdict

    from pyxem_cnn.model import ModelDescription, OrientationModel

    metadata = model.metadata
    own = {
        f"own scan, {when}": evaluation.to_dict()
        for when, evaluation in zip(("before", "after"), evaluations, strict=True)
    }
    description = ModelDescription(
        crystal=list(model.crystals),
        grid=model.grid,
        target=target,
        accelerating_voltage=model.accelerating_voltage,
        convergence_angle=metadata.get("convergence_angle"),
        precession_angle=metadata.get("precession_angle"),
        polarity=model.polarity,
        name=name or f"{model.name}_tuned",
        licence=metadata.get("licence"),
        preprocessing=metadata.get("preprocessing") or {},
        training={
            **metadata.get("training", {}),
            "tuned": {"from_sha256": model.sha256, **asdict(config)},
        },
        metrics={**metadata.get("metrics", {}), **own},
    )
    check = model.test_tensors
    return OrientationModel.build(network, description, (check.counts, check.mask))
