"""Train a network on rendered patterns of one phase and wrap it up as a model."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_share, check_type

if TYPE_CHECKING:
    import torch

    from pyxem_cnn.datasets import Conditions, PatternSource
    from pyxem_cnn.detector.polar import PolarGrid
    from pyxem_cnn.model import OrientationModel
    from pyxem_cnn.phases import CrystalStructure
    from pyxem_cnn.simulation.library.dynamical_library import DynamicalLibrary
    from pyxem_cnn.simulation.library.training_libraries import TrainingLibraries
    from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget

__all__ = ["TrainingConfig", "train"]

_logger = logging.getLogger(__name__)

# What a training has at least one of.
_COUNTS = (
    "n_patterns",
    "batch_size",
    "epoch_patterns",
    "validation_patterns",
    "width",
    "n_blocks",
    "n_bins",
)
_PREPROCESSING = {"value": "sqrt of mean counts less its ring mean", "normalise": "rms"}
_CONTRASTS = {
    "contrasts": "count / (count + f * ring mean) less its ring mean, for f of 0.5 and 4, "
    "of counts smoothed by a Gaussian as wide as a ring",
}
# Doses of the held-out patterns, electrons outside the direct beam.
VALIDATION_ELECTRONS = (1e4, 1e3, 300.0)


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how to train.

    Attributes
    ----------
    n_patterns
        Patterns to train on; each is rendered once and never seen again.
    batch_size
        Patterns of one step.
    learning_rate, weight_decay
        Of AdamW. The rate is flat for the first 40 % of the steps and then falls as a cosine.
    clip
        Largest norm of the gradient.
    averaging
        Decay of the exponential moving average of the weights, which is what is kept.
    residual_weight, thickness_weight, share_weight, class_weight
        Weights of the losses of the residual (per degree), of the thickness (per 100 angstrom), of
        shares and of classes against the cross-entropy of orientations.
    width, n_blocks, n_hidden, contrasts
        Size of the network and what it sees, see
        `pyxem_cnn.networks.azimuthal.AzimuthalConfig`.
    zone_spacing, n_bins
        Cells: distance of zone axes in degrees, number of in-plane bins.
    polarity
        Whether orientations count modulo the rotations of the point group, not of the Laue group:
        dynamical patterns of crystals without inversion tell the two apart, if hardly.
    epoch_patterns
        Patterns between two validations and checkpoints.
    validation_patterns
        Held-out patterns for each dose.
    precision
        Of matrix products: "float32", "bfloat16", or "auto", the latter where the device is fast
        at it.
    compiled
        Whether torch compiles the training step, and on a GPU the renderer, which takes a minute
        and a C++ compiler and then saves a third of the time, and half of it on a GPU.
    seed
        Of weights and patterns.
    """

    n_patterns: int = 1_000_000
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    clip: float = 2.0
    averaging: float = 0.998
    residual_weight: float = 0.25
    thickness_weight: float = 0.3
    share_weight: float = 0.1
    class_weight: float = 0.5
    width: int = 256
    n_blocks: int = 6
    n_hidden: int = 0
    contrasts: bool = True
    zone_spacing: float = 4.0
    n_bins: int = 32
    polarity: bool = False
    epoch_patterns: int = 25_600
    validation_patterns: int = 512
    precision: str = "auto"
    compiled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in _COUNTS:
            check_positive(name, getattr(self, name), integer=True)
        for name in ("seed", "n_hidden"):
            check_positive(name, getattr(self, name), integer=True, allow_zero=True)
        for name in ("learning_rate", "clip", "zone_spacing"):
            check_positive(name, getattr(self, name))
        check_positive("weight_decay", self.weight_decay, allow_zero=True)
        check_share("averaging", self.averaging)
        check_choice("precision", self.precision, ("auto", "float32", "bfloat16"))

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the losses: orientation, residual, thickness, share and class."""
        others = (self.residual_weight, self.thickness_weight, self.share_weight)
        return (1.0, *others, self.class_weight)

    @property
    def steps_per_epoch(self) -> int:
        """Steps between two validations."""
        return max(1, min(self.epoch_patterns, self.n_patterns) // self.batch_size)

    @property
    def n_epochs(self) -> int:
        """Number of validations."""
        return max(1, round(self.n_patterns / (self.steps_per_epoch * self.batch_size)))

    @property
    def n_steps(self) -> int:
        """Number of steps in all."""
        return self.steps_per_epoch * self.n_epochs

    def learning_rate_factor(self, step: int) -> float:
        """Return the factor on the learning rate at a step: short rise, flat, cosine."""
        warm_up, flat = min(200, self.n_steps // 10 + 1), 0.4 * self.n_steps
        if step < warm_up:
            return (step + 1) / warm_up
        progress = max(0.0, (step - flat) / max(1.0, self.n_steps - flat))
        return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def train(
    phase: Any = None,
    *,
    accelerating_voltage: float | None = None,
    simulator: str = "bloch",
    library: str | os.PathLike[str] | DynamicalLibrary | None = None,
    convergence_angle: float = 1.5,
    precession_angle: float | Sequence[float] = 0.0,
    thicknesses: tuple[float, float] = (200.0, 1000.0),
    kinematic_share: float = 0.1,
    n_zone_axes: int | None = None,
    simulation: Any = None,
    config: TrainingConfig | None = None,
    conditions: Conditions | None = None,
    grid: PolarGrid | None = None,
    start: OrientationModel | str | os.PathLike[str] | None = "auto",
    name: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    show_progressbar: bool = True,
) -> OrientationModel:
    """Train a model that reads orientations of one phase, or of several.

    Parameters
    ----------
    phase
        Path of a .cif file, `CrystalStructure`, orix Phase or diffpy Structure, or a list of them:
        a model of several phases tells them apart as well. May be left out where ``simulation``
        or a library is given.
    accelerating_voltage
        In kV.
    simulator
        "bloch": dynamical patterns, by Bloch waves. "kinematic": simulated in seconds, their
        intensities damped and scattered at random.
    library
        Dynamical library: a file, which is read if it exists and otherwise written, or the library
        itself; a folder, where there are several phases or precession angles. By default it is
        simulated and not kept.
    convergence_angle
        Half angle of the probe cone, mrad; 0 for a parallel beam.
    precession_angle
        In degrees. With several angles, such as (0, 0.6), one model serves all of them;
        three quarters of its patterns are of the first.
    thicknesses
        Smallest and largest thickness of the specimen, angstrom.
    kinematic_share
        Share of kinematic patterns beside dynamical ones: models then read thin specimens and
        what kinematic programs simulate, too.
    n_zone_axes
        How many directions of the fundamental sector dynamical patterns are simulated for, at each
        precession angle. By default as many as take a few minutes, at most 32,000; networks with
        more weights can learn from more. A library that is given or read keeps its own.
    simulation
        A diffsims ``Simulation2D`` of one phase whose patterns are learnt instead of our own. It
        should cover the fundamental sector with at most 1 degree between neighbours; in-plane
        rotations are added here.
    config
        How long and how to train.
    conditions
        How microscope and specimen vary over the training patterns. By default, broad ranges
        fitted to the crystal and the simulator.
    grid
        Polar grid; by default fitted to the crystal.
    start
        A model whose weights to start from, where they fit: that of a shorter training, of another
        phase, or of a smaller network, which does the same at first. "auto": the shipped model of
        silicon, if the network has the same grid and width and is no smaller; how patterns are
        looked at is much the same for all crystals, and takes fewer patterns to learn so. None:
        random weights.
    name
        Of the model; by default that of the phase.
    checkpoint
        A file that the state of training is kept in. If it exists, training goes on from there.
    show_progressbar
        Whether to show progress and the error in degrees on held-out patterns.

    Returns
    -------
    model
        Its metadata hold the errors on held-out patterns at 10,000, 1,000 and 300 electrons.

    Raises
    ------
    ValueError
        If neither phase nor simulation, or no voltage is given, the library or the checkpoint
        belongs to another training, or `start` is a larger network.
    ImportError
        If Lightning is not installed.
    """
    from pyxem_cnn._starting import start_from
    from pyxem_cnn.datasets import Conditions
    from pyxem_cnn.simulation.library.training_libraries import Simulation, training_libraries

    config = check_type("config", config or TrainingConfig(), TrainingConfig)
    check_type("conditions", conditions, (Conditions, type(None)), "Pass Conditions(...).")
    how = Simulation(
        simulator,
        library,
        convergence_angle,
        precession_angle,
        thicknesses,
        kinematic_share,
        n_zone_axes,
        n_held_out=4 * config.validation_patterns,
        show_progressbar=show_progressbar,
    )
    libraries = training_libraries(phase, accelerating_voltage, how, simulation, grid)
    grid = libraries.grid
    conditions = conditions or Conditions().fitted_to(libraries.first, grid)
    sources = _sources(libraries, conditions, config)
    learner = _Learner.for_crystals(libraries.crystals, grid, config)
    started = start_from(start, learner.network)
    description = {
        "config": asdict(config),
        "started_from": started,
        "conditions": conditions.to_dict(),
        "grid": grid.to_dict(),
        "convergence_angle": convergence_angle if libraries.first.is_dynamical else None,
        "precession_angle": how.precession_angles if libraries.first.is_dynamical else None,
        **libraries.description,
    }
    phases_and_voltage = {
        "crystal": [crystal.to_dict() for crystal in libraries.crystals],
        "accelerating_voltage": libraries.first.accelerating_voltage,
    }
    _fit(learner.module, sources, checkpoint, description | phases_and_voltage, show_progressbar)
    return _finished(learner, sources, libraries, description, name)


def _sources(
    libraries: TrainingLibraries, conditions: Conditions, config: TrainingConfig
) -> dict[str, PatternSource]:
    """Return the sources of patterns: ``train``, and one for each dose and setting to measure."""
    from pyxem_cnn.datasets import PatternSource
    from pyxem_cnn.simulation.decoys import decoy_library

    library, grid = libraries.first, libraries.grid
    generator = np.random.default_rng(config.seed)
    decoys = decoy_library(
        library.crystal, library.accelerating_voltage, generator, k_max=grid.k_max
    )
    train = PatternSource(libraries.train, grid, conditions, decoys, config.compiled)
    sources = {"train": train}
    for setting in dict.fromkeys(one.setting for one in libraries.held_out):
        held_out = [one for one in libraries.held_out if one.setting == setting]
        for electrons in VALIDATION_ELECTRONS:
            name = ", ".join(filter(None, (f"{electrons:g} electrons", setting)))
            sources[name] = PatternSource(held_out, grid, conditions.measured_at(electrons))
    return sources


@dataclass
class _Learner:
    """The network with its target, and the Lightning module that trains it."""

    network: torch.nn.Module
    target: ZoneInPlaneTarget
    module: Any

    @classmethod
    def for_crystals(
        cls, crystals: list[CrystalStructure], grid: PolarGrid, config: TrainingConfig
    ) -> _Learner:
        import torch

        from pyxem_cnn._lightning import OrientationTask
        from pyxem_cnn._torch import has_fast_bfloat16, resolve_device
        from pyxem_cnn.networks.azimuthal import AzimuthalConfig, AzimuthalNetwork
        from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget

        target = ZoneInPlaneTarget.for_crystal(
            crystals, spacing=config.zone_spacing, n_bins=config.n_bins, polarity=config.polarity
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = AzimuthalNetwork(
                AzimuthalConfig(
                    n_radial=grid.n_radial,
                    n_azimuthal=grid.n_azimuthal,
                    n_zones=tuple(target.n_zones),
                    n_bins=config.n_bins,
                    width=config.width,
                    n_blocks=config.n_blocks,
                    n_hidden=config.n_hidden,
                    contrasts=config.contrasts,
                    inner_edge=grid.inner_edge,
                )
            )
        device = resolve_device()
        low = has_fast_bfloat16(device) if config.precision == "auto" else config.precision
        network.low_precision = low in (True, "bfloat16")
        return cls(network, target, OrientationTask(network, target, config))


def _fit(
    module: Any,
    sources: dict[str, PatternSource],
    checkpoint: str | os.PathLike[str] | None,
    description: dict[str, Any],
    show_progressbar: bool,
) -> None:
    """Run Lightning's loop, from the checkpoint if there is one."""
    from pyxem_cnn._lightning import fit

    path = None if checkpoint is None else Path(checkpoint).expanduser()
    fit(module, sources, path, description, show_progressbar)


def _finished(
    learner: _Learner,
    sources: dict[str, PatternSource],
    libraries: TrainingLibraries,
    description: dict[str, Any],
    name: str | None,
) -> OrientationModel:
    """Measure the trained network on held-out patterns and make the model."""
    from pyxem_cnn._torch import resolve_device
    from pyxem_cnn.evaluation import evaluate, fit_calibration
    from pyxem_cnn.model import ModelDescription, OrientationModel
    from pyxem_cnn.simulation.kinematic import KinematicSimulator

    config, library, grid = learner.module.config, libraries.first, libraries.grid
    if library.is_dynamical:
        dynamical = [one.library for one in libraries.train if one.library.is_dynamical]
        hashes = [library.sha256() for library in dynamical]
        description = description | {"library_sha256": hashes}
    device = resolve_device()
    network = learner.network.to(device).eval().requires_grad_(False)
    network.low_precision = False
    network.keep_halves()
    fitted = replace(config, validation_patterns=8 * config.validation_patterns)
    learner.target.calibration = fit_calibration(network, learner.target, sources, fitted)
    large = replace(config, validation_patterns=4 * config.validation_patterns)
    simulators = [
        KinematicSimulator(crystal, library.accelerating_voltage, grid.k_max)
        for crystal in libraries.crystals
    ]
    metrics = evaluate(network, learner.target, sources, large, seed=1, simulators=simulators)
    network.cpu()
    batch = next(sources["train"].batches(4, seed=config.seed + 2))
    angles = description["precession_angle"]
    return OrientationModel.build(
        network,
        ModelDescription(
            crystal=libraries.crystals,
            grid=grid,
            target=learner.target,
            accelerating_voltage=library.accelerating_voltage,
            convergence_angle=description["convergence_angle"],
            precession_angle=angles[0] if angles and len(angles) == 1 else angles,
            polarity=config.polarity,
            name=name,
            licence="GPL-3.0-or-later",
            preprocessing=_PREPROCESSING | (_CONTRASTS if config.contrasts else {}),
            training=description,
            metrics={dose: errors.to_dict() for dose, errors in metrics.items()},
        ),
        (batch.counts.numpy(), batch.mask.numpy()),
    )
