"""The libraries of a training: one to learn from, and one with other zone axes to measure on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_type, given_expected
from pyxem_cnn.detector.polar import PolarGrid
from pyxem_cnn.simulation.library.dynamical_library import DynamicalLibrary
from pyxem_cnn.simulation.library.parameters import BUDGET, LibraryParameters
from pyxem_cnn.simulation.library.zone_axis_library import ZoneAxisLibrary

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["Simulation", "TrainingLibraries", "grid_for", "training_libraries"]

SIMULATORS = ("bloch", "kinematic")

# Spots reach beyond the grid: camera lengths have errors.
_MARGIN = 1.05
# The held-out library: its beams as a multiple of the other one's.
_HELD_OUT_ZONE_AXES, _HELD_OUT_TILTS, _HELD_OUT_BEAMS = 1000, 19, 1.5
_HELD_OUT_SEED = 1_000_003


class Simulation(NamedTuple):
    """How patterns are simulated; angles in mrad and degrees, thicknesses in angstrom.

    ``n_held_out`` is the number of held-out patterns: more zone axes are of no use.
    """

    simulator: str = "bloch"
    library: str | os.PathLike[str] | DynamicalLibrary | None = None
    convergence_angle: float = 1.5
    precession_angle: float = 0.0
    thicknesses: tuple[float, float] = (200.0, 1000.0)
    n_held_out: int = _HELD_OUT_ZONE_AXES
    show_progressbar: bool = False


class TrainingLibraries(NamedTuple):
    """Libraries, the grid that they reach over, and what they are, JSON-able."""

    train: ZoneAxisLibrary | DynamicalLibrary
    held_out: ZoneAxisLibrary | DynamicalLibrary
    grid: PolarGrid
    description: dict[str, Any]


def grid_for(crystal: CrystalStructure) -> PolarGrid:
    """Return the polar grid for a crystal: from below the shortest reflection outwards.

    Spots of large cells are dense and die out early; those of small ones reach further.

    Parameters
    ----------
    crystal
        The structure.
    """
    from pyxem_cnn.simulation.kinematic import reflections_within, structure_factors_squared

    hkl = reflections_within(crystal.reciprocal_basis, 0.7)
    intensity = structure_factors_squared(crystal, hkl)
    g = np.linalg.norm(hkl @ crystal.reciprocal_basis.T, axis=1)
    shortest = float(g[intensity > 1e-3 * intensity.max(initial=0)].min(initial=0.5))
    return PolarGrid(
        k_min=round(min(0.125, 0.6 * shortest), 3), k_max=round(min(1.6, 10 * shortest), 2)
    )


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
        Path of a .cif file, `CrystalStructure`, orix Phase or diffpy Structure. None where a
        simulation or a library says it.
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
    from pyxem_cnn.phases import as_crystal_structure

    check_choice("simulator", how.simulator, SIMULATORS)
    crystal = None if phase is None else as_crystal_structure(phase)
    if simulation is not None:
        return _of_simulation(simulation, crystal, grid)
    given = how.library if isinstance(how.library, DynamicalLibrary) else None
    if given is not None:
        crystal = crystal or given.crystal
        accelerating_voltage = accelerating_voltage or given.accelerating_voltage
    _check_phase_and_voltage(crystal, accelerating_voltage)
    grid = grid or grid_for(crystal)
    if how.simulator == "kinematic":
        return _kinematic(crystal, accelerating_voltage, how, grid)
    return _dynamical(crystal, float(accelerating_voltage), how, grid)


def _check_phase_and_voltage(crystal: Any, accelerating_voltage: Any) -> None:
    if crystal is None:
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
    return TrainingLibraries(train, held_out, grid or grid_for(train.crystal), description)


def _kinematic(
    crystal: CrystalStructure, voltage: float, how: Simulation, grid: PolarGrid
) -> TrainingLibraries:
    from pyxem_cnn.simulation.library import zone_axis_library as library

    if how.library is not None:
        expected = "no library with simulator='kinematic': these spots take seconds"
        raise ValueError(given_expected("library", how.library, expected, "Leave it out."))
    k_max = grid.k_max
    train = library.kinematic_library(crystal, voltage, k_max=k_max)
    held_out = library.kinematic_library(
        crystal, voltage, k_max=k_max, n_zone_axes=2000, offset=0.37
    )
    description = {"simulation": "kinematic", "n_zone_axes": len(train)}
    return TrainingLibraries(train, held_out, grid, description)


def _dynamical(
    crystal: CrystalStructure, voltage: float, how: Simulation, grid: PolarGrid
) -> TrainingLibraries:
    from pyxem_cnn.simulation.library.file import simulate_library

    wanted = LibraryParameters.within_budget(
        crystal,
        voltage,
        convergence_angle=how.convergence_angle,
        precession_angle=how.precession_angle,
        thicknesses=how.thicknesses,
        k_max=_MARGIN * grid.k_max,
    )
    train = _train_library(wanted, how)
    other = _held_out(train.parameters, how.n_held_out)
    held_out = simulate_library(
        crystal, voltage, show_progressbar=how.show_progressbar, **_options(other)
    )
    description = {
        "simulation": "Bloch waves",
        "n_zone_axes": len(train),
        "library": _described(train.parameters),
        "held_out_library": _described(held_out.parameters),
    }
    return TrainingLibraries(train, held_out, grid, description)


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
    values = {name: getattr(parameters, name) for name in parameters.__dataclass_fields__}
    del values["crystal"], values["accelerating_voltage"]
    return values


def _described(parameters: LibraryParameters) -> dict[str, Any]:
    """Return the parameters, JSON-able, without the crystal."""
    description = parameters.to_dict()
    del description["crystal"]
    return description
