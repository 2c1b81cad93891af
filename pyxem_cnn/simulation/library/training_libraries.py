"""The libraries of a training: one to learn from, and one with other zone axes to measure on."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn._checks import (
    check_choice,
    check_positive,
    check_share,
    check_type,
    given_expected,
)
from pyxem_cnn.detector.polar import PolarGrid
from pyxem_cnn.simulation.library.dynamical_library import DynamicalLibrary
from pyxem_cnn.simulation.library.ingredient import Ingredient
from pyxem_cnn.simulation.library.parameters import BUDGET, LibraryParameters
from pyxem_cnn.simulation.library.zone_axis_library import ZoneAxisLibrary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxem_cnn.phases import CrystalStructure

__all__ = ["Simulation", "TrainingLibraries", "grid_for", "training_libraries"]

SIMULATORS = ("bloch", "kinematic")

# Spots reach beyond the grid: camera lengths have errors.
_MARGIN = 1.05
# The held-out library: its beams as a multiple of the other one's.
_HELD_OUT_ZONE_AXES, _HELD_OUT_TILTS, _HELD_OUT_BEAMS = 1000, 19, 1.5
_HELD_OUT_SEED = 1_000_003
# Share of the patterns that are of the first of several precession angles.
_USUAL_SHARE = 3 / 4


class Simulation(NamedTuple):
    """How patterns are simulated; angles in mrad and degrees, thicknesses in angstrom.

    ``kinematic_share`` is that of kinematic patterns beside dynamical ones. ``n_zone_axes`` is the
    number of a dynamical library; None for what takes a few minutes. ``n_held_out`` is the number
    of held-out patterns: more zone axes are of no use.
    """

    simulator: str = "bloch"
    library: str | os.PathLike[str] | DynamicalLibrary | None = None
    convergence_angle: float = 1.5
    precession_angle: float | Sequence[float] = 0.0
    thicknesses: tuple[float, float] = (200.0, 1000.0)
    kinematic_share: float = 0.0
    n_zone_axes: int | None = None
    n_held_out: int = _HELD_OUT_ZONE_AXES
    show_progressbar: bool = False

    @property
    def precession_angles(self) -> tuple[float, ...]:
        """Return all precession angles in degrees."""
        angles = self.precession_angle
        return tuple(angles) if np.ndim(angles) else (angles,)


class TrainingLibraries(NamedTuple):
    """Libraries, the grid that they reach over, and what they are, JSON-able.

    The libraries of all phases and settings, in the same order in both lists.
    """

    train: list[Ingredient]
    held_out: list[Ingredient]
    grid: PolarGrid
    description: dict[str, Any]

    @property
    def first(self) -> ZoneAxisLibrary | DynamicalLibrary:
        """Return the library of the first phase at the usual setting."""
        return self.train[0].library

    @property
    def crystals(self) -> list[CrystalStructure]:
        """Return the structures of all phases."""
        by_phase = {one.phase: one.library.crystal for one in self.train}
        return [by_phase[phase] for phase in sorted(by_phase)]


def grid_for(*crystals: CrystalStructure) -> PolarGrid:
    """Return the polar grid for crystals: from below the shortest reflection outwards.

    Spots of large cells are dense and die out early; those of small ones reach further.

    Parameters
    ----------
    *crystals
        The structures.
    """
    shortest = [_shortest_reflection(crystal) for crystal in crystals]
    return PolarGrid(
        k_min=round(min(0.125, 0.6 * min(shortest)), 3),
        k_max=round(min(1.6, 10 * max(shortest)), 2),
    )


def _shortest_reflection(crystal: CrystalStructure) -> float:
    """Return the distance of the first reflection of any strength, 1/angstrom."""
    from pyxem_cnn.simulation.kinematic import reflections_within, structure_factors_squared

    hkl = reflections_within(crystal.reciprocal_basis, 0.7)
    intensity = structure_factors_squared(crystal, hkl)
    g = np.linalg.norm(hkl @ crystal.reciprocal_basis.T, axis=1)
    return float(g[intensity > 1e-3 * intensity.max(initial=0)].min(initial=0.5))


def training_libraries(
    phase: Any,
    accelerating_voltage: float | None,
    how: Simulation,
    simulation: Any = None,
    grid: PolarGrid | None = None,
) -> TrainingLibraries:
    """Return the libraries for training and validation, with different zone axes.

    Parameters
    ----------
    phase
        Path of a .cif file, `CrystalStructure`, orix Phase or diffpy Structure, or a list of
        them. None where a simulation or a library says it.
    accelerating_voltage
        In kV; None where a simulation or a library says it.
    how
        Simulator, library and microscope.
    simulation
        A diffsims ``Simulation2D`` in place of our own simulators.
    grid
        Polar grid of the patterns; by default fitted to the crystal.

    Returns
    -------
    libraries
        With the description of their simulation.

    Raises
    ------
    TypeError, ValueError
        If phase, voltage or simulator are missing or wrong, or the library is another one.
    """
    check_choice("simulator", how.simulator, SIMULATORS)
    crystals = _crystals(phase)
    if simulation is not None:
        return _of_simulation(simulation, crystals[0] if crystals else None, grid)
    given = how.library if isinstance(how.library, DynamicalLibrary) else None
    if given is not None:
        crystals = crystals or [given.crystal]
        accelerating_voltage = accelerating_voltage or given.accelerating_voltage
    _check_phase_and_voltage(crystals, accelerating_voltage)
    grid = grid or grid_for(*crystals)
    if how.simulator == "kinematic":
        return _kinematic(crystals, accelerating_voltage, how, grid)
    return _dynamical(crystals, float(accelerating_voltage), how, grid)


def _crystals(phase: Any) -> list[CrystalStructure]:
    """Return the structures of one phase or of a list of phases."""
    from pyxem_cnn.phases import as_crystal_structure

    if phase is None:
        return []
    phases = phase if isinstance(phase, list | tuple) else [phase]
    if not phases:
        raise ValueError(given_expected("phase", phase, "at least one phase"))
    return [as_crystal_structure(one) for one in phases]


def _check_phase_and_voltage(crystals: Any, accelerating_voltage: Any) -> None:
    if not crystals:
        expected = "a .cif path, CrystalStructure, orix Phase or diffpy Structure"
        raise ValueError(given_expected("phase", None, expected, "Or pass simulation=."))
    if accelerating_voltage is None:
        remedy = "Pass accelerating_voltage=, for example 200."
        raise ValueError(given_expected("accelerating_voltage", None, "a voltage in kV", remedy))
    check_positive("accelerating_voltage", accelerating_voltage, remedy="It is in kV.")


def _of_simulation(
    simulation: Any, crystal: CrystalStructure | None, grid: PolarGrid | None
) -> TrainingLibraries:
    from pyxem_cnn.simulation.library.zone_axis_library import library_from_simulation, split

    train, held_out = split(library_from_simulation(simulation, crystal), every=10)
    description = {"simulation": "diffsims Simulation2D", "n_zone_axes": len(train)}
    grid = grid or grid_for(train.crystal)
    return TrainingLibraries([Ingredient(train)], [Ingredient(held_out)], grid, description)


def _kinematic(
    crystals: list[CrystalStructure], voltage: float, how: Simulation, grid: PolarGrid
) -> TrainingLibraries:
    if how.library is not None:
        expected = "no library with simulator='kinematic': these spots take seconds"
        raise ValueError(given_expected("library", how.library, expected, "Leave it out."))
    train, held_out = _kinematic_pairs(crystals, voltage, grid)
    n_zone_axes = sum(len(one.library) for one in train)
    description = {"simulation": "kinematic", "n_zone_axes": n_zone_axes}
    return TrainingLibraries(train, held_out, grid, description)


def _kinematic_pairs(
    crystals: list[CrystalStructure],
    voltage: float,
    grid: PolarGrid,
    weight: float = 1.0,
    setting: str = "",
) -> tuple[list[Ingredient], list[Ingredient]]:
    """Return kinematic libraries of all phases, to learn from and to measure on."""
    from pyxem_cnn.simulation.library.zone_axis_library import kinematic_library

    k_max, train, held_out = grid.k_max, [], []
    for phase, crystal in enumerate(crystals):
        own = kinematic_library(crystal, voltage, k_max=k_max)
        other = kinematic_library(crystal, voltage, k_max=k_max, n_zone_axes=2000, offset=0.37)
        train.append(Ingredient(own, phase, weight, setting))
        held_out.append(Ingredient(other, phase, weight, setting))
    return train, held_out


def _dynamical(
    crystals: list[CrystalStructure], voltage: float, how: Simulation, grid: PolarGrid
) -> TrainingLibraries:
    angles = how.precession_angles
    if not angles:
        raise ValueError(given_expected("precession_angle", angles, "at least one angle"))
    for angle in angles:
        check_positive("precession_angle", angle, allow_zero=True, remedy="It is in degrees.")
    if check_share("kinematic_share", how.kinematic_share) == 1:
        remedy = "For kinematic patterns alone, pass simulator='kinematic'."
        raise ValueError(given_expected("kinematic_share", 1, "a share below 1", remedy))
    many = len(crystals) * len(angles) > 1
    train, held_out = [], []
    for phase, crystal in enumerate(crystals):
        for i, angle in enumerate(angles):
            one = how._replace(precession_angle=angle)
            if many:
                name = f"{crystal.name}_{voltage:g}kV_{angle:g}deg.h5".replace(" ", "_")
                one = one._replace(library=_in_folder(how.library, name))
            weight = _share_of_setting(i, len(angles))
            setting = f"{angle:g} deg precession" if i else ""
            for ingredients, library in zip(
                (train, held_out), _pair(crystal, voltage, one, grid), strict=True
            ):
                ingredients.append(Ingredient(library, phase, weight, setting))
    description = _description(train, held_out)
    if how.kinematic_share:
        # Each phase has a weight of 1 so far.
        weight = how.kinematic_share / (1 - how.kinematic_share)
        more = _kinematic_pairs(crystals, voltage, grid, weight, "kinematic")
        train, held_out = train + more[0], held_out + more[1]
    description["kinematic_share"] = how.kinematic_share
    return TrainingLibraries(train, held_out, grid, description)


def _share_of_setting(i: int, n: int) -> float:
    """Return the share of patterns of a setting: the first, usual one, has three quarters."""
    if n == 1:
        return 1.0
    return _USUAL_SHARE if i == 0 else (1 - _USUAL_SHARE) / (n - 1)


def _in_folder(folder: Any, name: str) -> Path | None:
    """Return the file of one of several libraries."""
    if folder is None:
        return None
    expected = "a folder, for the libraries of several phases or precession angles"
    if isinstance(folder, DynamicalLibrary) or Path(folder).expanduser().is_file():
        raise ValueError(given_expected("library", folder, expected))
    path = Path(folder).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path / name


def _pair(
    crystal: CrystalStructure, voltage: float, how: Simulation, grid: PolarGrid
) -> tuple[DynamicalLibrary, DynamicalLibrary]:
    """Return the libraries of one phase and setting, to learn from and to measure on."""
    from pyxem_cnn.simulation.library.file import simulate_library

    number = {} if how.n_zone_axes is None else {"n_zone_axes": how.n_zone_axes}
    wanted = LibraryParameters.within_budget(
        crystal,
        voltage,
        convergence_angle=how.convergence_angle,
        precession_angle=how.precession_angle,
        thicknesses=how.thicknesses,
        k_max=_MARGIN * grid.k_max,
        **number,
    )
    train = _train_library(wanted, how)
    other = _held_out(train.parameters, how.n_held_out)
    held_out = simulate_library(
        crystal, voltage, show_progressbar=how.show_progressbar, **_options(other)
    )
    return train, held_out


def _description(train: list[Ingredient], held_out: list[Ingredient]) -> dict[str, Any]:
    """Return what was simulated, JSON-able."""
    described = [
        [_described(one.library.parameters) for one in libraries] for libraries in (train, held_out)
    ]
    if len(train) == 1:
        described = [libraries[0] for libraries in described]
    return {
        "simulation": "Bloch waves",
        "n_zone_axes": sum(len(one.library) for one in train),
        "library": described[0],
        "held_out_library": described[1],
    }


def _held_out(parameters: LibraryParameters, n_patterns: int) -> LibraryParameters:
    """Return the parameters of a library that shares no numerical choice with another one."""
    other = replace(
        parameters,
        seed=parameters.seed + _HELD_OUT_SEED,
        n_beams=round(_HELD_OUT_BEAMS * parameters.n_beams),
        n_tilts=_HELD_OUT_TILTS if parameters.n_tilts > 1 else 1,
    )
    # In half the time of the other library, at most.
    affordable = round(BUDGET / 2 / other.cost)
    return replace(other, n_zone_axes=min(_HELD_OUT_ZONE_AXES, n_patterns, affordable))


def _train_library(wanted: LibraryParameters, how: Simulation) -> DynamicalLibrary:
    """Return the library that is given, read or simulated."""
    from pyxem_cnn.simulation.library.file import load_library, simulate_library

    library = how.library
    if library is not None and not isinstance(library, DynamicalLibrary):
        remedy = "Pass the name of a file, or what simulate_library or load_library returned."
        path = Path(check_type("library", library, (str, os.PathLike), remedy)).expanduser()
        library = load_library(path) if path.exists() else None
    if library is not None:
        _check_fits(library.parameters, wanted)
        return library
    return simulate_library(
        wanted.crystal,
        wanted.accelerating_voltage,
        how.library,
        show_progressbar=how.show_progressbar,
        **_options(wanted),
    )


def _check_fits(found: LibraryParameters, wanted: LibraryParameters) -> None:
    """Raise unless a library is of the phase and the microscope that are asked for.

    How many zone axes, beams and tilts it has is up to who made it.
    """
    different = found.differences(wanted)
    microscope = ("crystal", "accelerating_voltage", "convergence_angle", "precession_angle")
    told = [name for name in (*microscope, "thicknesses") if name in different]
    if found.k_max < 0.99 * wanted.k_max / _MARGIN:
        told.append("k_max")
    if told:
        pairs = (f"{name} {different[name][0]!r}, asked {different[name][1]!r}" for name in told)
        raise ValueError(
            f"The library is not the one that is asked for: {'; '.join(pairs)}. Pass the same "
            "arguments as when it was simulated, or another library."
        )


def _options(parameters: LibraryParameters) -> dict[str, Any]:
    """Return the parameters without phase and voltage."""
    values = {f.name: getattr(parameters, f.name) for f in fields(parameters)}
    del values["crystal"], values["accelerating_voltage"]
    return values


def _described(parameters: LibraryParameters) -> dict[str, Any]:
    """Return the parameters, JSON-able, without the crystal."""
    description = parameters.to_dict()
    del description["crystal"]
    return description
