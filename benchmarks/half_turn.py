"""Errors beside errors modulo a half turn about the beam, which flat patterns do not tell apart."""

from __future__ import annotations

import numpy as np

from pyxem_cnn.metrics import summarize_errors
from pyxem_cnn.rotations import disorientation_angle, multiply

TURN_ABOUT_BEAM = np.array([0.0, 0.0, 0.0, 1.0])


def degrees_off(truth, found, symmetry):
    """Return disorientations in degrees, and the same modulo a half turn about the beam."""
    plain = disorientation_angle(truth, found, symmetry)
    turned = disorientation_angle(multiply(truth, TURN_ABOUT_BEAM), found, symmetry)
    return np.rad2deg(plain), np.rad2deg(np.minimum(plain, turned))


def report(what, plain, modulo):
    """Print two error summaries."""
    print(f"{what}: {summarize_errors(np.asarray(plain))}")
    print(
        f"{' ' * len(what)}  modulo a half turn about the beam: "
        f"{summarize_errors(np.asarray(modulo))}"
    )
