"""`pyxem-cnn train`: from a .cif file to a model file."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from pyxem_cnn.cli._console import Debug, Overwrite, console, messages, refuse_existing
from pyxem_cnn.cli.info import metrics_table

__all__ = ["train"]


def train(
    cif: Annotated[
        list[Path], typer.Option(help="The .cif file of the phase; repeat it for several phases.")
    ],
    voltage: Annotated[float, typer.Option(help="Accelerating voltage in kV.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Model file; by default PHASE_VOLTAGEkV.pt."),
    ] = None,
    simulator: Annotated[
        str, typer.Option(help="'bloch': dynamical patterns; 'kinematic': a quicker start.")
    ] = "bloch",
    library: Annotated[
        Path | None,
        typer.Option(
            help="Keep the simulated library here (.h5), or take it from there; a folder for "
            "several phases or precession angles."
        ),
    ] = None,
    convergence: Annotated[
        float, typer.Option(min=0, help="Half angle of the probe cone in mrad.")
    ] = 1.5,
    precession: Annotated[
        list[float] | None,
        typer.Option(
            min=0, help="Precession angle in degrees; repeat it for a model that serves several."
        ),
    ] = None,
    thickness: Annotated[
        tuple[float, float],
        typer.Option(metavar="MIN MAX", help="Range of the specimen's thickness in angstrom."),
    ] = (200.0, 1000.0),
    kinematic_share: Annotated[
        float,
        typer.Option(min=0, max=0.99, help="Share of kinematic patterns beside dynamical ones."),
    ] = 0.1,
    zone_axes: Annotated[
        int | None,
        typer.Option(min=1, help="Directions to simulate; by default what takes a few minutes."),
    ] = None,
    patterns: Annotated[
        int | None, typer.Option(min=1, help="Patterns to train on; more take longer.")
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            help="Model file or name of a shipped model, whose weights to start from; 'auto' is "
            "that of silicon, where it fits, and 'none' are random weights."
        ),
    ] = "auto",
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest learning rate; lower where a model is the start.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Patterns of one step; more for a GPU, such as 512.")
    ] = None,
    blocks: Annotated[
        int | None, typer.Option(min=1, help="Blocks of the network; more are slower and better.")
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(min=1, help="Channels of the blocks' hidden layers; by default 512."),
    ] = None,
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Let torch compile the training step; by default where there is a compiler.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Keep the state of training here, and go on from it if it exists."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and patterns.")] = 0,
    name: Annotated[
        str | None, typer.Option(help="Name of the model; by default that of its file.")
    ] = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Train a model that reads orientations of phases from their .cif files."""
    # Where there is no bar, the log tells how far it is.
    with messages(debug, logging.WARNING if console.is_terminal else logging.INFO):
        path = output or Path(f"{'_'.join(one.stem for one in cif)}_{voltage:g}kV.pt")
        _check_writable(path, overwrite)
        for other in (checkpoint, library):
            if other is not None:
                _check_folder(other)

        from pyxem_cnn import training
        from pyxem_cnn.phases import read_cif

        crystals = [read_cif(one) for one in cif]
        for crystal in crystals:
            console.print(Text.assemble(("Read ", "bold"), crystal.summary()))
        options = {
            "n_patterns": patterns,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "n_blocks": blocks,
            "n_hidden": hidden,
        }
        options = {name: value for name, value in options.items() if value is not None}
        compiled = _has_compiler() if compiled is None else compiled
        angles = precession or [0.0]
        model = training.train(
            crystals if len(crystals) > 1 else crystals[0],
            accelerating_voltage=voltage,
            simulator=simulator,
            library=library,
            convergence_angle=convergence,
            precession_angle=angles if len(angles) > 1 else angles[0],
            thicknesses=thickness,
            kinematic_share=kinematic_share,
            n_zone_axes=zone_axes,
            config=training.TrainingConfig(seed=seed, compiled=compiled, **options),
            start=None if start == "none" else start,
            name=name or path.stem,
            checkpoint=checkpoint,
            show_progressbar=console.is_terminal,
        )
        model.save(path, overwrite=overwrite)
        console.print(metrics_table(model.metadata["metrics"]))
        console.print(Text(f"Model: {path.absolute()}\nsha256 {model.sha256}"), soft_wrap=True)


def _has_compiler() -> bool:
    """Return whether torch finds a C++ compiler."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))


def _check_writable(path: Path, overwrite: bool) -> None:
    """Raise now rather than after hours of training."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected the name of a model file.")
    refuse_existing([path], overwrite)
    _check_folder(path)


def _check_folder(path: Path) -> None:
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} for {path.name}. Make it first.")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"The folder {folder} cannot be written into: {path.name}.")
