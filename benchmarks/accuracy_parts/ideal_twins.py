"""How often noise makes the truth less likely than its nearest twin: a ceiling without a search.

Twins are what half a turn about a zone axis near the beam makes of the truth; all but the same
pattern belongs to them. Log-likelihood ratios of two known patterns are normal, with a variance of
twice their mean where the patterns are alike.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from accuracy_parts.ideal_likelihood import Likelihood, Scene
from accuracy_parts.images import Detector, Exposures
from accuracy_parts.scoring import degrees_apart
from accuracy_parts.spot_sets import SpotSet
from pyxem_cnn.crystal.zone_axes import low_index_zones
from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import multiply, zone_axis

_N_TWINS = 3
_TURNS = np.linspace(-0.3, 0.3, 5)  # degrees
_OTHER = 2.0  # degrees; twins that are nearer are the truth itself


def twins_of(crystal: CrystalStructure, truth: np.ndarray) -> np.ndarray:
    """Return an orientation turned by 180 degrees about the zone axes nearest to the beam.

    Parameters
    ----------
    crystal
        What diffracts.
    truth
        Lab to crystal, shape (4,).

    Returns
    -------
    twins
        Those that symmetry does not make equal to the truth, shape (n, 4) with n up to 3.
    """
    zones = low_index_zones(crystal)
    zones = zones / np.linalg.norm(zones, axis=1, keepdims=True)
    nearest = zones[np.argsort(-np.abs(zones @ zone_axis(truth)))[:_N_TWINS]]
    twins = multiply(np.pad(nearest, ((0, 0), (1, 0))), truth)
    return twins[degrees_apart(crystal, truth, twins) > _OTHER]


def nats_to_twins(spots: SpotSet, exposures: Exposures, detector: Detector) -> np.ndarray:
    """Return the log-likelihood, expected of one electron, that the nearest twin lacks, shape (n,).

    Infinite without a twin.
    """
    likelihood = Likelihood(spots, detector)
    nats = np.full(len(spots), np.inf)
    for i, truth in enumerate(spots.orientations):
        twins = twins_of(spots.crystal, truth)
        if len(twins):
            scene = Scene.of(i, exposures.expected[i], spots, exposures, detector)
            own = likelihood(scene, truth[None], np.zeros(1)).value[0]
            nats[i] = own - likelihood(scene, twins, _TURNS).value.max()
    return nats


def right_against_twins(nats: np.ndarray, electrons: float) -> float:
    """Return the share of orientations, in percent, that are likelier than their nearest twin."""
    return 100 * float(np.mean(ndtr(np.sqrt(np.maximum(electrons * nats, 0) / 2))))
