"""Fit what turns scores and likelihoods of refined orientations into probabilities.

    python benchmarks/refined_scores.py --model si_200kV --model linio2_300kV --model au_200kV
    python benchmarks/refined_scores.py --model si_200kV --model linio2_300kV --model vo2_200kV
        --simulator kinematic --of dynamical kinematic

Patterns of random orientations of each model's crystal, 100 to 20,000 electrons, of which 10 to 60
percent are diffuse, are mapped and refined. For several exponents, the other constants of
`FitCalibration` are those that make what is right the likeliest: a fitted orientation within 5
degrees of the truth, or none of them.

Dynamical patterns are of our own Bloch waves with 128 beams and 91 directions in the probe, where
refinement has 64 and 7, of any thickness from 200 to 1000 angstrom; the beam is off by up to a
pixel along each axis and the camera length by up to 2 percent. Kinematic ones have relrods of 0.008
to 0.03 1/angstrom and intensities that are off by 10 to 60 percent; the beam is off by up to 0.3
pixels and the camera length by up to 0.5 percent. Kinematic refinement has to do with both: real
patterns are dynamical.

`accuracy.py --refine` tells how good the scores are on patterns of another program.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any, NamedTuple

import numpy as np
from accuracy_parts.crystals import is_same_phase
from accuracy_parts.images import Detector, expose
from accuracy_parts.spot_sets import SpotSet
from bloch_crystals import CRYSTALS
from scipy.optimize import minimize

import pyxem_cnn
from pyxem_cnn.data import _spots
from pyxem_cnn.detector.resampling import ResamplingOperator
from pyxem_cnn.indexing.refinement.batch import BatchRefiner
from pyxem_cnn.indexing.refinement.calibration import fit_shared
from pyxem_cnn.indexing.refinement.phases import grid_for, make_sources
from pyxem_cnn.indexing.refinement.probability import CALIBRATIONS, RIGHT, Evidence, FitCalibration
from pyxem_cnn.indexing.refinement.refine import arrays_of, first_sigma
from pyxem_cnn.indexing.refinement.search import PhaseSearch
from pyxem_cnn.indexing.scan import resolve_geometry
from pyxem_cnn.metrics import expected_calibration_error
from pyxem_cnn.rotations import disorientation_angle, random_quaternions
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from pyxem_cnn.simulation.kinematic import KinematicSimulator

_BATCH = 32
_DIFFUSE, _LOG_ELECTRONS = (0.1, 0.6), (2.0, 4.3)
_RELRODS, _SPREAD = (0.008, 0.03), (0.1, 0.6)
_PIXEL = 0.02  # 1/angstrom, of kinematic patterns
_CONVERGENCE, _THICKNESS = 1.5, (200.0, 1000.0)  # mrad, angstrom
# Logarithms that constants are weakly pulled to: few patterns tell little of them.
_USUAL = np.log([1.0, 0.1, 0.3])
_EXPONENTS = (0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0)


class Patterns(NamedTuple):
    """Counted patterns, their true orientations, geometry and the errors of it to expect."""

    counts: np.ndarray
    truth: np.ndarray
    geometry: dict[str, Any]
    settings: pyxem_cnn.RefinementSettings


class Fits(NamedTuple):
    """What is known of fits, and whether they, and the network's answers, are right."""

    evidence: Evidence
    is_right: np.ndarray
    score: np.ndarray
    network_is_right: np.ndarray


def dynamical_spots(name: str, n: int, generator: np.random.Generator) -> SpotSet:
    """Return spots of random orientations and thicknesses by our own Bloch waves."""
    crystal, voltage, b_iso = CRYSTALS[name]()
    simulator = BlochWaveSimulator(
        crystal, accelerating_voltage=voltage, convergence_angle=_CONVERGENCE, n_beams=128,
        n_tilts=91, debye_waller=b_iso,
    )  # fmt: skip
    truth = random_quaternions(n, generator)
    depths = generator.uniform(*_THICKNESS, (n, 1))
    found = simulator.calculate(truth, thicknesses=depths, show_progressbar=True)
    radius = 1e-3 * _CONVERGENCE / simulator.wavelength
    return SpotSet(
        name, crystal, voltage, b_iso, truth, found.k, found.intensity, found.tilts, depths, radius
    )


def dynamical_patterns(name: str, n: int, seed: int) -> Patterns:
    """Return patterns of our own Bloch waves."""
    generator = np.random.default_rng([seed, 5])
    spots = dynamical_spots(name, n, generator)
    electrons = 10 ** generator.uniform(*_LOG_ELECTRONS, n)
    detector = Detector(diffuse=generator.uniform(*_DIFFUSE, n))
    expected = electrons[:, None, None] * expose(spots, detector, seed).expected
    middle = detector.geometry(spots.voltage).center
    return Patterns(
        generator.poisson(expected).astype(np.uint32),
        spots.orientations,
        {"center": middle, "scale": detector.scale, "beam_energy": spots.voltage},
        pyxem_cnn.RefinementSettings(
            center_error=detector.center_error * detector.scale / 3**0.5,
            scale_error=detector.scale_error / 3**0.5,
        ),
    )


def kinematic_patterns(name: str, n: int, seed: int) -> Patterns:
    """Return patterns of kinematic spots with random errors of their intensities."""
    generator = np.random.default_rng([seed, 6])
    crystal, voltage, _ = CRYSTALS[name]()
    truth = random_quaternions(n, generator)
    found = KinematicSimulator(crystal, voltage, 1.75, 0.08).spots(truth, 400)
    relrod = np.exp(generator.uniform(*np.log(_RELRODS), n))[:, None]
    intensity = found.intensity / (1 + (found.excitation_error / relrod) ** 2)
    spread = generator.uniform(*_SPREAD, n)[:, None]
    intensity *= np.exp(spread * generator.standard_normal(intensity.shape))
    middle, counts = np.array([63.5, 63.5]), np.empty((n, 128, 128), dtype=np.uint32)
    for one, k, strength in zip(counts, found.k, intensity, strict=True):
        detector = _spots.Detector(
            center=tuple(middle + generator.uniform(-0.3, 0.3, 2)),
            scale=_PIXEL * (1 + generator.uniform(-0.005, 0.005)),
            electrons=10 ** generator.uniform(*_LOG_ELECTRONS),
            background=generator.uniform(*_DIFFUSE),
        )
        there = strength > 0
        expected = _spots.patterns_of_spots([(k[there], strength[there])], detector)
        one[:] = generator.poisson(expected[0])
    geometry = {"center": tuple(middle), "scale": _PIXEL, "beam_energy": voltage}
    return Patterns(counts, truth, geometry, pyxem_cnn.RefinementSettings())


_MAKERS = {"dynamical": dynamical_patterns, "kinematic": kinematic_patterns}


def refined_fits(patterns: Patterns, model: Any, simulator: str) -> Fits:
    """Map patterns and return what refinement fits, as `refine_orientation_cnn` does."""
    from pyxem.signals import ElectronDiffraction2D

    scan = ElectronDiffraction2D(patterns.counts)
    how = {"geometry": patterns.geometry, "show_progressbar": False}
    xmap = scan.get_orientation_map_cnn(model, n_best=3, **how)
    geometry, grid = resolve_geometry(scan, patterns.geometry, None, False), grid_for(model)
    settings = patterns.settings.completed(simulator)
    (source,) = make_sources(model, simulator, grid, settings, geometry)
    given = arrays_of(xmap, [source])
    search = PhaseSearch.of(source, grid, first_sigma(geometry, settings), settings)
    refiner = BatchRefiner(ResamplingOperator(geometry, grid), [search], 1.0, True)
    everything = np.ones(len(patterns.truth), dtype=bool)
    refiner = fit_shared(refiner, patterns.counts, given, everything, None, False)
    parts = [slice(i, i + _BATCH) for i in range(0, len(everything), _BATCH)]
    return _joined([_fits_of(refiner, patterns, given, part) for part in parts])


def _fits_of(refiner: BatchRefiner, patterns: Patterns, given: Any, part: slice) -> Fits:
    q, phase, scores = (array[part] for array in given)
    found, phases = refiner.search(refiner.binned(patterns.counts[part], None), q, phase)
    symmetry = refiner.searches[0].fit.source.crystal.symmetry_quaternions()
    truth = patterns.truth[part, None]
    return Fits(
        refiner.evidence(found, phases, (q, phase), scores),
        disorientation_angle(truth, found.quaternions, symmetry) < np.deg2rad(RIGHT),
        scores[:, 0],
        disorientation_angle(truth, q, symmetry)[:, 0] < np.deg2rad(RIGHT),
    )


def _joined(parts: list[Fits]) -> Fits:
    """Return the fits of batches as one, filled up to the same number."""
    m = max(part.is_right.shape[1] for part in parts)

    def all_of(arrays: list[np.ndarray], filling: Any) -> np.ndarray:
        wide = [[(0, 0)] + [(0, m - size) for size in array.shape[1:]] for array in arrays]
        padded = zip(arrays, wide, strict=True)
        return np.concatenate([np.pad(a, pad, constant_values=filling) for a, pad in padded])

    gain, before, elsewhere, is_near = zip(*(part.evidence for part in parts), strict=True)
    return Fits(
        Evidence(
            all_of(gain, -np.inf), all_of(before, np.nan), np.concatenate(elsewhere),
            all_of(is_near, False),
        ),
        all_of([part.is_right for part in parts], False),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.network_is_right for part in parts]),
    )  # fmt: skip


def surprise(calibration: FitCalibration, fits: Fits, model_error: float) -> float:
    """Return the negative logarithm of the probability of what is right."""
    answers = calibration.answers(fits.evidence, model_error)
    right = np.where(fits.is_right, answers, 0).sum(axis=1)
    return -np.log(np.clip(np.where(right > 0, right, 1 - answers.sum(axis=1)), 1e-6, 1)).sum()


def fitted(sets: list[Fits], exponent: float, model_error: float) -> tuple[FitCalibration, float]:
    """Return the constants of largest likelihood, and what is left of the surprise."""

    def total(logarithms: np.ndarray) -> float:
        one = FitCalibration(exponent, *np.exp(logarithms))
        pull = np.square(logarithms - _USUAL).sum() / 2
        return sum(surprise(one, fits, model_error) for fits in sets) + pull

    options = {"initial_simplex": _USUAL + 0.5 * np.eye(4, 3), "xatol": 0.01, "fatol": 0.01}
    found = minimize(total, _USUAL, method="Nelder-Mead", options=options)
    return FitCalibration(exponent, *(float(f"{x:.2g}") for x in np.exp(found.x))), found.fun


def told(name: str, score: np.ndarray, is_right: np.ndarray) -> None:
    """Print how many answers are right, and how good their scores are."""
    sure = score > 0.9
    ece = expected_calibration_error(np.clip(score, 0, 1), is_right)
    print(
        f"{name}: {len(score)} patterns, {100 * is_right.mean():.0f} % right, mean score "
        f"{score.mean():.2f}, ECE {ece:.3f}; {100 * sure.mean():.0f} % above 0.9, of which "
        f"{100 * is_right[sure].mean():.1f} % right",
        flush=True,
    )


def best(calibration: FitCalibration, fits: Fits, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of the first ranks, and whether these are right."""
    first = calibration.log_weights(fits.evidence, error).argmax(axis=1)
    at = np.arange(len(first)), first
    return calibration(fits.evidence, error)[at], fits.is_right[at]


def main() -> None:
    """Fit, and print the constants for several exponents and how good those in use are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True, help="may be repeated")
    parser.add_argument("--patterns", type=int, default=200, help="of each crystal")
    parser.add_argument("--simulator", choices=tuple(CALIBRATIONS), default="bloch")
    parser.add_argument(
        "--of", nargs="+", choices=tuple(_MAKERS), help="patterns; by default the simulator's own"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    own = "dynamical" if options.simulator == "bloch" else "kinematic"
    sets = {}
    for model in map(pyxem_cnn.load_model, options.model):
        name = next(n for n, one in CRYSTALS.items() if is_same_phase(one()[0], model.crystal))
        for kind in options.of or [own]:
            patterns = _MAKERS[kind](name, options.patterns, options.seed)
            sets[f"{name}, {kind}"] = refined_fits(patterns, model, options.simulator)
    error = pyxem_cnn.RefinementSettings().model_error
    for exponent in _EXPONENTS:
        found, left = fitted(list(sets.values()), exponent, error)
        is_right = np.concatenate([best(found, fits, error)[1] for fits in sets.values()])
        print(f"{found}: {left:.1f} nats of surprise, {100 * is_right.mean():.1f} % right")
    for name, fits in sets.items():
        told(f"{name}, network", fits.score, fits.network_is_right)
        told(f"{name}, refined", *best(CALIBRATIONS[options.simulator], fits, error))


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", module="hyperspy|orix|diffsims|pyxem\\.")
        main()
