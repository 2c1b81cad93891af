"""Which simulator refines which phase of a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, given_expected
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.indexing.mapping import as_models, check_voltage
from pyxem_cnn.indexing.refinement.spot_sources import DynamicalSource, KinematicSource
from pyxem_cnn.maps.disorientation import is_same_crystal
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

    from pyxem_cnn.indexing.refinement.settings import RefinementSettings
    from pyxem_cnn.indexing.refinement.spot_sources import SpotSource
    from pyxem_cnn.model import OrientationModel

__all__ = ["as_list", "grid_for", "make_sources", "phase_numbers", "whole_property"]

# Beams that reach this far beyond the grid scatter back into it.
_BEYOND = 1.25
# Semi-angle of the probe where a model does not say, mrad: as for training.
_CONVERGENCE = 1.5


def make_sources(
    given: Any, simulator: str, grid: PolarGrid, settings: RefinementSettings, geometry: Any
) -> list[SpotSource]:
    """Return what simulates the phases, in their order.

    Parameters
    ----------
    given
        A model, its name or path, a Bloch-wave simulator, or several of them.
    simulator
        "bloch" or "kinematic".
    grid
        Bins of the patterns.
    settings
        How finely to search.
    geometry
        Of the patterns; its voltage has to fit.

    Raises
    ------
    ValueError
        If the voltage is another one, or `simulator` is unknown.
    """
    check_choice("simulator", simulator, ("bloch", "kinematic"))
    sources: list[SpotSource] = []
    for one in as_list(given):
        if isinstance(one, BlochWaveSimulator):
            check_voltage(_named(one), geometry)
            sources.append(_of_simulator(one, simulator, grid, settings))
            continue
        check_voltage(one, geometry)
        sources += [_of_model(one, crystal, simulator, grid, settings) for crystal in one.crystals]
    return sources


def as_list(given: Any) -> list[Any]:
    """Return one or several simulators and models, loading those given by name, as a list.

    Parameters
    ----------
    given
        As in `make_sources`.
    """
    several = isinstance(given, Sequence) and not isinstance(given, str)
    if several and not given:
        raise ValueError(given_expected("model", given, "at least one model or simulator"))
    listed = list(given) if several else [given]
    return [one if isinstance(one, BlochWaveSimulator) else as_models(one)[0] for one in listed]


def grid_for(given: Any) -> PolarGrid:
    """Return the bins that patterns are compared in: those of the first model, else the usual ones.

    Parameters
    ----------
    given
        As in `make_sources`.
    """
    for one in as_list(given):
        if not isinstance(one, BlochWaveSimulator):
            if isinstance(one.grid, PolarGrid):
                return one.grid
    return PolarGrid()


def phase_numbers(xmap: CrystalMap, sources: Sequence[SpotSource], n_best: int) -> np.ndarray:
    """Return which source each orientation of a map belongs to, -1 for none, (all points, n_best).

    Parameters
    ----------
    xmap
        The map.
    sources
        In the order of the models that the map was made with.
    n_best
        Orientations of each point.

    Raises
    ------
    ValueError
        If a phase of the map has no source.
    """
    ids = xmap._phase_id if "phase_ids" not in xmap.prop else whole_property(xmap, "phase_ids")
    ids = np.asarray(ids).reshape(len(ids), -1)
    ids = np.repeat(ids, n_best, axis=1) if ids.shape[1] == 1 else ids[:, :n_best]
    phases = [source.crystal.to_phase() for source in sources]
    numbers = np.full(ids.shape, -1)
    for one in np.unique(ids[ids >= 0]):
        numbers[ids == one] = _number(int(one), xmap, phases)
    if "scores" in xmap.prop:
        scores = whole_property(xmap, "scores").reshape(len(ids), -1)[:, :n_best]
        numbers[~np.isfinite(scores)] = -1
    return numbers


def _number(phase_id: int, xmap: CrystalMap, phases: list[Any]) -> int:
    """Return which of some phases has an id in a map."""
    if phase_id not in xmap.phases.ids:
        # orix drops phases that are best nowhere.
        if phase_id < len(phases):
            return phase_id
        expected = f"ids of the {len(phases)} phases that the models or simulators are of"
        raise ValueError(given_expected("phase_ids", phase_id, expected))
    phase = xmap.phases[phase_id]
    order = sorted(range(len(phases)), key=lambda i: i != phase_id)
    for i in order:
        if is_same_crystal(phase, phases[i]):
            return i
    names = [one.name for one in phases]
    expected = f"one of {names}, with about the same cell and the same symmetry"
    remedy = "Pass a model or a BlochWaveSimulator for every phase of the map."
    raise ValueError(given_expected("phase of xmap", phase.name, expected, remedy))


def whole_property(xmap: CrystalMap, name: str) -> np.ndarray:
    """Return a property of all points, those that are not in the data included.

    Parameters
    ----------
    xmap
        The map.
    name
        Of the property.
    """
    return np.asarray(dict.__getitem__(xmap.prop, name))


def _of_model(
    model: OrientationModel, crystal: Any, simulator: str, grid: PolarGrid, s: RefinementSettings
) -> SpotSource:
    angle = model.metadata.get("convergence_angle")
    angle = _CONVERGENCE if angle is None else float(angle)
    if simulator == "kinematic":
        return KinematicSource(crystal, model.accelerating_voltage, angle, grid.k_max)
    precession = model.metadata.get("precession_angle") or 0.0
    if isinstance(precession, list):
        # Of a model that serves several, the first is the usual one.
        precession = float(precession[0])
    made = BlochWaveSimulator(
        crystal,
        accelerating_voltage=model.accelerating_voltage,
        convergence_angle=angle,
        precession_angle=precession,
        n_beams=s.n_beams,
        n_tilts=1 if precession else s.n_tilts,
        g_max=_BEYOND * grid.k_max,
    )
    return DynamicalSource(made, np.linspace(*s.thicknesses, s.n_thicknesses))


def _of_simulator(
    given: BlochWaveSimulator, simulator: str, grid: PolarGrid, s: RefinementSettings
) -> SpotSource:
    if simulator == "kinematic":
        angle = given.convergence_angle
        return KinematicSource(given.crystal, given.accelerating_voltage, angle, grid.k_max)
    return DynamicalSource(given, np.linspace(*s.thicknesses, s.n_thicknesses))


def _named(simulator: BlochWaveSimulator) -> Any:
    """Return what `check_voltage` asks a model for."""
    from types import SimpleNamespace

    voltage = simulator.accelerating_voltage
    return SimpleNamespace(name=simulator.crystal.name, accelerating_voltage=voltage)
