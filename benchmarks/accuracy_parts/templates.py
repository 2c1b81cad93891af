"""pyxem's template matching as a method, with kinematic or Bloch-wave templates.

Matches are decoded right, patterns are those of the networks' operator. Intensities of Bloch waves
are averaged over thicknesses. Settings are tuned on patterns of their own (`tuned`): other
orientations, other errors and other noise than those of the test.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace

import numpy as np
from bloch_crystals import THICKNESSES

from accuracy_parts.images import Detector, count, expose
from accuracy_parts.scoring import RIGHT, Found, degrees_off
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn import TemplateSettings
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.detector.resampling import ResamplingOperator
from pyxem_cnn.indexing.template_blocks import TemplateMatcher
from pyxem_cnn.indexing.templates import BinnedTemplates, simulate_templates
from pyxem_cnn.maps.templates.decoding import Templates, decode_matches
from pyxem_cnn.rotations import with_zone_axis
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from pyxem_cnn.simulation.sampling import zone_axis_grid

# The direct beam is masked up to here, 1/angstrom: disc, blur and an error of the centre.
_DIRECT_BEAM = 0.13
_TUNING_DOSES, _TUNING_SEED = (3e3, 300.0), 1000
_CHOICES = {
    "gamma": (0.2, 0.3, 0.5),
    "bins": ((64, 180), (32, 120)),
    "subtract": (False, True),
}
_EXCITATION_ERRORS = (0.03, 0.06, 0.1)


@dataclass(frozen=True)
class Settings:
    """How templates are made and patterns prepared.

    Attributes
    ----------
    resolution
        Mean distance of templates in degrees.
    simulator
        "kinematic" for diffsims, "bloch" for Bloch waves averaged over 200 to 1000 angstrom.
    gamma
        Exponent of intensities.
    bins
        Radial and azimuthal.
    subtract
        Whether the median of each ring is subtracted from patterns first.
    excitation_error
        Up to which kinematic reflections are in a template, 1/angstrom.
    """

    resolution: float = 2.0
    simulator: str = "kinematic"
    gamma: float = 0.3
    bins: tuple[int, int] = (64, 180)
    subtract: bool = False
    excitation_error: float = 0.06


class TemplateMatching:
    """pyxem's template matching.

    Parameters
    ----------
    settings
        How.
    spots
        Of what.
    detector
        Where.
    simulation
        Templates, simulated by default.
    """

    def __init__(
        self, settings: Settings, spots: SpotSet, detector: Detector, simulation=None
    ) -> None:
        what = {"kinematic": "kinematic", "bloch": "Bloch-wave"}[settings.simulator]
        self.name = f"pyxem, {what} templates, {settings.resolution:g} deg"
        self.settings = settings
        geometry = detector.geometry(spots.voltage)
        radius = detector.scale * min(detector.shape) / 2
        grid = PolarGrid(*settings.bins, 0.0, radius)
        self.simulation = simulation or _simulation(settings, spots, radius)
        templates = Templates.from_simulation(self.simulation)
        self._beam_rings = int(np.ceil(_DIRECT_BEAM / grid.radial_step))
        self._matcher = TemplateMatcher(
            operator=_Prepared(ResamplingOperator(geometry, grid), settings.subtract),
            binned=BinnedTemplates(self.simulation, grid, settings.gamma),
            templates=templates,
            symmetries=[spots.crystal.symmetry_quaternions()],
            gamma=settings.gamma,
            n_best=1,
        )
        self._matcher(np.ones((2, *detector.shape), dtype=np.uint32))  # compile

    def __call__(self, counts: np.ndarray) -> Found:
        """Return the best match of every image."""
        start = time.process_time()
        rows = [self._matcher(counts[i : i + 64])[0] for i in range(0, len(counts), 64)]
        seconds = time.process_time() - start
        matches = decode_matches(np.concatenate(rows), self._matcher.templates)
        return Found(matches.quaternions[:, 0], None, None, seconds)


class _Prepared:
    """An operator that leaves the direct beam out and subtracts what is the same all around."""

    def __init__(self, operator: ResamplingOperator, subtract: bool) -> None:
        self._operator, self._subtract = operator, subtract
        self._outside = operator.grid.radii > _DIRECT_BEAM

    def __call__(self, patterns: np.ndarray, shifts: None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return mean counts and coverage."""
        values, coverage = self._operator(patterns)
        values = values * self._outside[:, None]
        if self._subtract:
            values = np.maximum(values - np.median(values, axis=2, keepdims=True), 0)
        return values, coverage


def tuned(spots: SpotSet, detector: Detector, start: Settings) -> Settings:
    """Return the settings with most orientations within 5 degrees on a set for tuning.

    Parameters
    ----------
    spots
        For tuning: not the set of the test.
    detector
        Of the test.
    start
        Resolution and simulator.
    """
    exposures = expose(spots, detector, _TUNING_SEED)
    patterns = [count(exposures, electrons, _TUNING_SEED) for electrons in _TUNING_DOSES]
    best, best_share = start, -1.0
    for simulated in _simulated_with(start):
        simulation = None
        for values in itertools.product(*_CHOICES.values()):
            settings = replace(simulated, **dict(zip(_CHOICES, values, strict=True)))
            matching = TemplateMatching(settings, spots, detector, simulation)
            simulation = matching.simulation
            found = [matching(counts).orientations for counts in patterns]
            share = np.mean([degrees_off(spots, q) < RIGHT for q in found])
            if share > best_share:
                best, best_share = settings, share
    print(f"{spots.name}: tuned {best}, {100 * best_share:.0f} % within 5 degrees while tuning")
    return best


def _simulated_with(start: Settings) -> list[Settings]:
    """Return the settings that templates are simulated with; Bloch waves choose their own beams."""
    if start.simulator == "bloch":
        return [start]
    return [replace(start, excitation_error=value) for value in _EXCITATION_ERRORS]


def _simulation(settings: Settings, spots: SpotSet, radius: float):
    """Return templates as diffsims has them."""
    if settings.simulator == "bloch":
        return _bloch_templates(settings, spots, radius)
    kinematic = TemplateSettings(
        max_excitation_error=settings.excitation_error, precession_angle=spots.precession_angle
    )
    return simulate_templates(
        [spots.crystal], settings.resolution, spots.voltage, radius, kinematic
    )


def _bloch_templates(settings: Settings, spots: SpotSet, radius: float):
    """Return a diffsims simulation with the intensities of Bloch waves, mean over thicknesses."""
    from diffsims.crystallography._diffracting_vector import DiffractingVector
    from diffsims.generators.simulation_generator import SimulationGenerator
    from diffsims.simulations import Simulation2D
    from orix.quaternion import Rotation

    grid = zone_axis_grid(spots.crystal.laue_group_matrices(), spacing=settings.resolution)
    rotations = with_zone_axis(grid)
    simulator = BlochWaveSimulator(
        spots.crystal,
        accelerating_voltage=spots.voltage,
        convergence_angle=1.5,
        precession_angle=spots.precession_angle,
        thicknesses=THICKNESSES,
    )
    found = simulator.calculate(rotations)
    phase = spots.crystal.to_phase()
    vectors = np.empty(len(rotations), dtype=object)
    for i, (k, intensity) in enumerate(
        zip(found.k[:, 1:], found.disc_intensity.mean(1)[:, 1:], strict=True)
    ):
        kept = (intensity > 1e-6) & (np.hypot(*k.T) < radius)
        xyz = np.pad(k[kept], ((0, 0), (0, 1))).astype(np.float64)
        vectors[i] = DiffractingVector(phase, xyz=xyz, intensity=intensity[kept])
    return Simulation2D(phase, vectors, Rotation(rotations), SimulationGenerator(spots.voltage))
