"""The Lightning side of training: module, data, progress bar and checkpoints."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset
from tqdm.auto import tqdm

try:
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
except ImportError as error:
    raise ImportError(
        "Training needs Lightning, which is not installed. Install it with "
        '`python -m pip install -e ".[train]" -c constraints.txt` in the clone.'
    ) from error

from pyxem_cnn._torch import resolve_device
from pyxem_cnn.networks.azimuthal import THICKNESS_UNIT
from pyxem_cnn.targets.zone_in_plane import SoftLabels

if TYPE_CHECKING:
    from pyxem_cnn.datasets import Batch, PatternSource
    from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget
    from pyxem_cnn.training import TrainingConfig

__all__ = ["OrientationTask", "fit"]

_logger = logging.getLogger(__name__)


class OrientationTask(pl.LightningModule):
    """Losses and optimizer of an azimuthal network.

    Parameters
    ----------
    network
        The network to train.
    target
        Makes labels and decodes.
    config
        How to train.
    """

    def __init__(
        self, network: torch.nn.Module, target: ZoneInPlaneTarget, config: TrainingConfig
    ) -> None:
        super().__init__()
        self.network, self.target, self.config = network, target, config
        self.sources: dict[str, PatternSource] = {}
        self.description: dict[str, Any] = {}
        self._objective: Callable[..., Any] | None = None

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        """Return the loss of a batch."""
        n_phases = len(self.target.all_zones)
        phase = batch.kind.clamp(max=n_phases - 1)
        labels = with_second_grains(self.target.encode(batch.orientation, phase), batch.share)
        if self._objective is None:
            # Only now: whoever averages the weights copies the module before.
            compiled = self.config.compiled
            self._objective = torch.compile(self._losses) if compiled else self._losses
        losses = self._objective(batch, labels, (batch.kind < n_phases).float())
        return sum(weight * loss for weight, loss in zip(self.config.weights, losses, strict=True))

    def _losses(
        self, batch: Batch, labels: SoftLabels, is_phase: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Return the losses of orientation, residual, thickness, share and class."""
        features, rings = self.network.features(batch.counts, batch.mask)
        values = self.network.values(features, labels.cell)
        log_probability = self.network.log_probability(self.network.logits(features))
        entropy, distance = self.target.loss(log_probability, values[..., :3], labels)
        found = self.network.thickness(features, labels.cell), values[..., 3]
        thickness, share = _value_losses(found, labels, batch)
        classes = F.cross_entropy(self.network.class_logits(features, rings), batch.kind)
        n = is_phase.sum().clamp(min=1)
        means = ((loss * is_phase).sum() / n for loss in (entropy, distance, thickness, share))
        return (*means, classes)

    def validation_step(self, batch: Any, _: int) -> None:
        """Measure degrees on held-out patterns; the batch itself is empty."""
        from pyxem_cnn.evaluation import evaluate

        done = self.global_step * self.config.batch_size
        total = self.config.n_steps * self.config.batch_size
        _logger.info("after %s of %s patterns:", f"{done:,}", f"{total:,}")
        evaluations = evaluate(self.network, self.target, self.sources, self.config)
        for name, evaluation in evaluations.items():
            errors = evaluation.errors
            self.log(f"{name}: median", errors.median, batch_size=1)
            self.log(f"{name}: within 2", errors.within_2, batch_size=1)
            self.log(f"{name}: within 5", errors.within_5, batch_size=1)
            _logger.info("%s: %s", name, errors)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another training, before its weights are looked at."""
        saved = checkpoint["callbacks"].get(_Description.__qualname__, {})
        different = [
            key for key, value in self.description.items() if saved.get(key, value) != value
        ]
        if different:
            raise ValueError(
                "The checkpoint belongs to another training: it differs in "
                f"{', '.join(different)}. Pass the same arguments as then, or another file."
            )

    def configure_optimizers(self) -> dict[str, Any]:
        """Return AdamW and its schedule."""
        optimizer = torch.optim.AdamW(
            self.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.config.learning_rate_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def with_second_grains(labels: SoftLabels, share: torch.Tensor) -> SoftLabels:
    """Return labels of both grains of a pattern; the second is that of the pattern before it.

    Parameters
    ----------
    labels
        Of the patterns' first grains.
    share
        What the first grain has of the diffraction, shape (batch,).

    Returns
    -------
    labels
        Twice as many cells for each pattern. The weights lean towards the stronger grain: a map
        shows that one.
    """
    first, second = share.square(), (1 - share).square()
    weight = (first / (first + second))[:, None]
    return SoftLabels(
        torch.cat([labels.cell, labels.cell.roll(1, 0)], dim=1),
        torch.cat([weight * labels.weight, (1 - weight) * labels.weight.roll(1, 0)], dim=1),
        torch.cat([labels.residual, labels.residual.roll(1, 0)], dim=1),
    )


def _value_losses(
    found: tuple[torch.Tensor, torch.Tensor], labels: SoftLabels, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the losses of thickness and logit of the share, both of shape (batch,)."""
    n = labels.cell.shape[1] // 2

    def of_both(own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.cat([own[:, None].expand(-1, n), other[:, None].expand(-1, n)], dim=1)

    thickness = of_both(batch.thickness, batch.thickness.roll(1, 0)) / THICKNESS_UNIT
    is_known = thickness.isfinite()
    thickness = thickness.where(is_known, 0.0)
    error = F.smooth_l1_loss(found[0], thickness, reduction="none") * is_known
    share = of_both(batch.share, 1 - batch.share)
    surprise = F.binary_cross_entropy_with_logits(found[1], share, reduction="none")
    return (labels.weight * error).sum(dim=1), (labels.weight * surprise).sum(dim=1)


class _Epochs(IterableDataset):
    """Batches of one epoch after the other; each epoch has a seed of its own.

    So a resumed training sees the same patterns as one that was never interrupted. The doses begin
    high. Patterns are rendered on the device that learns from them.
    """

    def __init__(self, source: PatternSource, config: TrainingConfig) -> None:
        self.source, self.config, self.epoch = source, config, 0
        self.device = resolve_device()

    def __len__(self) -> int:
        # Data of unknown length would be fetched ahead: before a resumed training knows its epoch.
        return self.config.steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        source = self.source.under(
            self.source.conditions.eased(self.epoch / max(1, self.config.n_epochs - 1))
        )
        seed = 1000 * self.config.seed + self.epoch
        batches = source.batches(self.config.batch_size, seed, self.device)
        for _ in range(len(self)):
            yield next(batches)


class _EpochSeed(Callback):
    """Tell the data which epoch begins."""

    def __init__(self, data: _Epochs) -> None:
        self.data = data

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.data.epoch = trainer.current_epoch


class _Description(Callback):
    """Keep in the checkpoint what was trained."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    def state_dict(self) -> dict[str, Any]:
        return self.description


class _Progress(Callback):
    """One bar for the whole training, with the error in degrees on held-out patterns."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.bar: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        done = trainer.global_step * self.config.batch_size
        total = self.config.n_steps * self.config.batch_size
        self.bar = tqdm(total=total, initial=done, unit="pattern", unit_scale=True, desc="training")

    def on_train_batch_end(self, *_: Any) -> None:
        self.bar.update(self.config.batch_size)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        measured = trainer.callback_metrics
        name = next((key[: -len(": median")] for key in measured if key.endswith("median")), None)
        if self.bar is not None and name is not None:
            median, within = measured[f"{name}: median"], measured[f"{name}: within 5"]
            self.bar.set_postfix_str(f"{name}: {median:.2f}°, {within:.0f} % within 5°")

    def on_train_end(self, *_: Any) -> None:
        self.bar.close()

    def on_exception(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.close()


def fit(
    module: OrientationTask,
    sources: dict[str, PatternSource],
    checkpoint: Path | None,
    description: dict[str, Any],
    show_progressbar: bool,
) -> None:
    """Train a module; afterwards its network holds the averaged weights.

    Parameters
    ----------
    module
        What to train.
    sources
        Patterns: ``train`` and named validation sources.
    checkpoint
        File to keep the state in, and to go on from if it exists; None for no file.
    description
        What is trained, JSON-able; a checkpoint with another one is refused.
    show_progressbar
        Whether to show a bar.
    """
    config = module.config
    module.sources, module.description = sources, description
    data = _Epochs(sources["train"], config)
    averaging = EMAWeightAveraging(decay=config.averaging)
    callbacks = [_EpochSeed(data), _Description(description), averaging]
    if show_progressbar:
        callbacks.append(_Progress(config))
    if checkpoint is not None:
        # Lightning appends a suffix of its own; the user's name is kept as it is.
        keeper = ModelCheckpoint(
            dirpath=checkpoint.parent, filename=checkpoint.stem, enable_version_counter=False
        )
        keeper.FILE_EXTENSION = checkpoint.suffix
        callbacks.append(keeper)
    with _quiet():
        trainer = pl.Trainer(
            max_epochs=config.n_epochs,
            accelerator="auto",
            devices=1,
            callbacks=callbacks,
            gradient_clip_val=config.clip,
            logger=False,
            enable_checkpointing=checkpoint is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        resumed = str(checkpoint) if checkpoint is not None and checkpoint.exists() else None
        trainer.fit(
            module,
            DataLoader(data, batch_size=None),
            DataLoader([0], batch_size=None),
            ckpt_path=resumed,
        )
        # Where the checkpoint is that of a finished training, Lightning returns at once and leaves
        # the last weights in the network, not the averaged ones.
        averaging.on_train_end(trainer, module)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's advice about workers and devices, which does not apply here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The '.*dataloader' does not have many workers")
            warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
            warnings.filterwarnings("ignore", "GPU available but not used")
            warnings.filterwarnings("ignore", "Your `IterableDataset` has `__len__` defined")
            warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*is deprecated")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
