"""Bring your own network: give a classifier or regressor the form of a model."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_type, given_expected
from pyxem_cnn.model import OrientationModel
from pyxem_cnn.model.description import ModelDescription
from pyxem_cnn.model.test_tensors import ModelFileError, example_inputs
from pyxem_cnn.model.torchscript import to_torchscript, trace
from pyxem_cnn.preprocessing import Preprocessing
from pyxem_cnn.targets.base import checked_quaternions
from pyxem_cnn.targets.classes import OUTPUTS, ClassTarget
from pyxem_cnn.targets.regression import REPRESENTATIONS, RegressionTarget

if TYPE_CHECKING:
    import torch

    from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid
    from pyxem_cnn.targets import Target

__all__ = ["wrap_model"]


def wrap_model(
    module: torch.nn.Module,
    *,
    phase: Any,
    grid: CartesianGrid | PolarGrid,
    accelerating_voltage: float,
    rotations: Any = None,
    output: str | None = None,
    regression: str | None = None,
    preprocessing: Preprocessing | dict[str, str] | None = None,
    merge_angle: float = 0.0,
    polarity: bool = False,
    name: str | None = None,
    licence: str | None = None,
) -> OrientationModel:
    """Make a model from a network of your own, a classifier or a regressor of orientations.

    Nothing is guessed: the meaning of the outputs and the preprocessing are declared here, and the
    preprocessing becomes part of the model. The network is tried on made-up patterns.

    Parameters
    ----------
    module
        TorchScript (``torch.jit.load(path)``) or an eager network, which is scripted, or traced
        if it cannot be scripted. Takes one tensor as laid out by ``preprocessing`` and returns
        one tensor with a row for each pattern. It is copied.
    phase
        CrystalStructure, path of a .cif file, or orix Phase.
    grid
        What the network reads: a CartesianGrid for images, a PolarGrid for polar patterns.
    accelerating_voltage
        In kV.
    rotations
        For a classifier: the orientation of each class, lab to crystal, as orix Rotation or
        Orientation, or as quaternions of shape (n_classes, 4), scalar first.
    output
        For a classifier: whether the network returns "logits", "probabilities" or
        "log_probabilities".
    regression
        For a regressor, in place of ``rotations``: whether it returns a "quaternion",
        "euler_bunge_degrees", "euler_bunge_radians" or a "rotation_matrix", see RegressionTarget.
    preprocessing
        What is done to the counts before the network sees them, see Preprocessing for the keys.
        By default the counts themselves as images of shape (n_patterns, 1, rows, columns).
    merge_angle
        For a classifier: classes within this angle in degrees of a likelier one are added to it.
    polarity
        Whether orientations count modulo the rotations of the point group (True), or of the Laue
        group, as patterns without polarity do.
    name
        How the model is called; the name of the crystal by default.
    licence
        Under which the model may be used.

    Returns
    -------
    model

    Raises
    ------
    TypeError
        If the module is no torch module.
    ValueError
        If the declarations contradict each other or do not fit what the network returns, such
        as another number of classes than rotations.
    ModelFileError
        A ValueError: if the network can be neither scripted nor traced, or fails on the grid.

    Examples
    --------
    A network that tells 5 orientations from images of 32 x 32 pixels apart:

    >>> import torch
    >>> import pyxem_cnn
    >>> from orix.quaternion import Rotation
    >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32, 5))
    >>> model = pyxem_cnn.wrap_model(
    ...     network,
    ...     phase="my.cif",
    ...     grid=pyxem_cnn.CartesianGrid((32, 32), scale=0.1),
    ...     accelerating_voltage=200,
    ...     rotations=Rotation.random(5),
    ...     output="logits",
    ...     preprocessing={"value": "sqrt", "normalise": "max"},
    ... )  # doctest: +SKIP
    """
    from pyxem_cnn.phases import as_crystal_structure

    check_type("polarity", polarity, bool)
    _check_one_task(rotations, output, regression, merge_angle)
    crystal = as_crystal_structure(phase)
    if not isinstance(preprocessing, Preprocessing):
        preprocessing = Preprocessing(**(preprocessing or {}))
    target: Target
    if regression is not None:
        target, key = RegressionTarget(regression), "orientation"
    else:
        symmetry = crystal.symmetry_quaternions(polarity)
        quaternions = checked_quaternions("rotations", _as_quaternions(rotations))
        target = ClassTarget(quaternions, symmetry, output=str(output), merge_angle=merge_angle)
        key = target.output
    description = ModelDescription(
        crystal=crystal,
        grid=grid,
        target=target,
        accelerating_voltage=accelerating_voltage,
        polarity=polarity,
        name=name,
        licence=licence,
        preprocessing=preprocessing.to_dict(),
    )
    network = _compiled(module, preprocessing, grid.shape)
    counts, mask = example_inputs(grid.shape)
    values = _try(network, preprocessing, counts, mask)
    if isinstance(target, ClassTarget):
        _check_probabilities(values, target)
    return OrientationModel.build(
        preprocessing.wrap(network, key),
        description,
        (counts, mask),
        eager=preprocessing.wrap(module, key),
    )


def _check_one_task(rotations: Any, output: Any, regression: Any, merge_angle: float) -> None:
    """Check that either a classifier or a regressor is declared, and declared fully."""
    if (rotations is None) == (regression is None):
        given = "neither" if rotations is None else "both"
        raise ValueError(
            f"rotations and regression: got {given}, expected one of them. Give the rotations of "
            f"the classes for a classifier, or regression={REPRESENTATIONS[0]!r} or another of "
            f"{REPRESENTATIONS} for a regressor."
        )
    if regression is not None:
        check_choice("regression", regression, REPRESENTATIONS)
        if output is not None or merge_angle != 0:
            raise ValueError(
                "output and merge_angle describe a classifier, but regression was given. Leave "
                "them out."
            )
    else:
        check_choice("output", output, OUTPUTS, "Declare what the network returns for the classes.")


def _as_quaternions(rotations: Any) -> np.ndarray:
    """Return the quaternions of an orix object or an array, shape (n, 4) for one of them, too."""
    from orix.quaternion import Quaternion

    if not isinstance(rotations, Quaternion):
        return np.asarray(rotations)
    improper = getattr(rotations, "improper", None)
    if improper is not None and np.any(improper):
        expected = "proper rotations only"
        raise ValueError(given_expected("rotations", rotations, expected, "Leave the others out."))
    return rotations.data.reshape(-1, 4)


def _compiled(
    module: torch.nn.Module, preprocessing: Preprocessing, shape: tuple[int, int]
) -> torch.jit.ScriptModule:
    """Return TorchScript of a network: scripted or, where that does not work, traced."""
    try:
        return to_torchscript(module)
    except ModelFileError as not_scripted:
        counts, mask = example_inputs(shape)
        try:
            return trace(copy.deepcopy(module).cpu().eval(), preprocessing.apply(counts, mask))
        except Exception as not_traced:
            reasons = [
                (str(error).strip() or type(error).__name__).splitlines()[0]
                for error in (not_scripted.__cause__, not_traced)
            ]
            raise ModelFileError(
                f"{type(module).__name__} can be neither scripted ({reasons[0]}) nor traced "
                f"({reasons[1]}). Make a TorchScript module of it yourself, with torch.jit.script "
                "or torch.jit.trace, and pass that."
            ) from not_traced


def _try(
    network: torch.jit.ScriptModule,
    preprocessing: Preprocessing,
    counts: np.ndarray,
    mask: np.ndarray,
) -> torch.Tensor:
    """Return what the network gives for patterns, after checking that it is one tensor."""
    import torch

    inputs = preprocessing.apply(counts, mask)
    try:
        with torch.inference_mode():
            values = network(inputs)
    except Exception as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelFileError(
            f"The network fails on inputs of shape {tuple(inputs.shape)}: {reason} "
            "Check grid and preprocessing: they give what the network reads."
        ) from error
    if not isinstance(values, torch.Tensor):
        raise ModelFileError(
            f"The network returned {type(values).__name__}, expected one tensor. Wrap it in a "
            "small module that returns just the scores of the classes, or the orientation."
        )
    return values


def _check_probabilities(values: torch.Tensor, target: ClassTarget) -> None:
    """Check that what is declared as probabilities adds up to one; logits may be anything."""
    target.decode({target.output: values}, 1)
    if target.output == "logits":
        return
    probabilities = values.exp() if target.output == "log_probabilities" else values
    total = probabilities.sum(1)
    # Written so that NaN fails.
    if not bool(((total - 1).abs() < 1e-2).all() and (probabilities >= 0).all()):
        raise ValueError(
            f"output={target.output!r} was declared, but the network's probabilities add up to "
            f"{total[0].item():.4g} for the first test pattern, expected 1. Declare 'logits' if "
            "there is no softmax at its end."
        )
