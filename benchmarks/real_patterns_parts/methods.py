"""A network, its refinement and template matching, on the same patterns."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from half_turn import degrees_off, report

import pyxem_cnn
from real_patterns_parts.patterns import Patterns

# Excitation errors up to 0.02 found fewer of 15 sums of cinchonine's frames: 11 in place of 13.
TEMPLATES = pyxem_cnn.TemplateSettings(
    gamma=0.3, max_excitation_error=0.04, n_azimuthal=240, reciprocal_radius=1.0
)
N_BEST = 5
RIGHT, SURE = 5.0, 0.9


@dataclass(frozen=True)
class Found:
    """Orientations that a method found.

    Attributes
    ----------
    method
        What it is.
    xmap
        The crystal map.
    rotations
        Best first, shape (n, n_best, 4).
    scores
        Of the best ones, shape (n,).
    seconds
        CPU time.
    """

    method: str
    xmap: Any
    rotations: np.ndarray
    scores: np.ndarray
    seconds: float


def by_network(patterns: Patterns, model: Any) -> Found:
    """Return what the network reads from patterns without their background."""
    signal, start = patterns.cleaned, time.process_time()
    xmap = signal.get_orientation_map_cnn(
        model, n_best=N_BEST, geometry=patterns.geometry, show_progressbar=False
    )
    return _found("network", xmap, "scores", start)


def by_refinement(patterns: Patterns, model: Any, network: Found) -> Found:
    """Return the network's orientations, refined on the counts and put in a new order."""
    signal, start = patterns.raw, time.process_time()
    xmap = signal.refine_orientation_cnn(
        network.xmap,
        model,
        simulator="kinematic",
        geometry=patterns.geometry,
        show_progressbar=False,
    )
    return _found("network, refined", xmap, "refined_score", start)


def by_templates(patterns: Patterns, model: Any, resolution: float) -> Found:
    """Return the best of kinematic templates for patterns without their background."""
    signal, start = patterns.cleaned, time.process_time()
    xmap = pyxem_cnn.template_matching(
        signal,
        model.crystal,
        resolution=resolution,
        geometry=patterns.geometry,
        settings=TEMPLATES,
        show_progressbar=False,
    )
    return _found(f"templates, {resolution:g}°", xmap, "scores", start)


def _found(method: str, xmap: Any, score: str, start: float) -> Found:
    seconds = time.process_time() - start
    rotations = xmap.rotations.data.reshape(xmap.size, -1, 4)
    scores = np.asarray(xmap.prop[score]).reshape(xmap.size, -1)[:, 0]
    return Found(method, xmap, rotations, scores, seconds)


def judged(patterns: Patterns, found: Found, symmetry: np.ndarray) -> np.ndarray:
    """Print errors of the best orientations, and return them in degrees, shape (n,)."""
    plain, modulo = degrees_off(patterns.truth[:, None], found.rotations, symmetry)
    what = f"{patterns.name}, {found.method}"
    report(what, plain[:, 0], modulo[:, 0])
    if plain.shape[1] > 1:
        report(f"{what}, best of {plain.shape[1]}", plain.min(axis=1), modulo.min(axis=1))
    print(f"    scores {found.scores.mean():.2f} on average, {_sure(found, plain[:, 0])}")
    print(f"    {found.seconds / len(plain):.3f} CPU s a pattern")
    return plain[:, 0]


def _sure(found: Found, degrees: np.ndarray) -> str:
    """Return how many scores are high, and how many of those are right."""
    sure = found.scores > SURE
    if not sure.any():
        return f"none above {SURE}"
    right = np.count_nonzero(degrees[sure] < RIGHT)
    return f"{np.count_nonzero(sure)} above {SURE}, {right} of these right"
