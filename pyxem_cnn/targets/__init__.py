"""Targets: what the outputs of a network mean, and how orientations are read from them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from pyxem_cnn._checks import check_choice
from pyxem_cnn.targets.base import Decoded, Target

__all__ = ["Decoded", "Target", "target_from_dict"]

# Imported when asked for: one kind of model does not pay for the others.
_KINDS = {
    "classes": ("pyxem_cnn.targets.classes", "ClassTarget"),
    "regression": ("pyxem_cnn.targets.regression", "RegressionTarget"),
    "zone_in_plane": ("pyxem_cnn.targets.zone_in_plane", "ZoneInPlaneTarget"),
}


def target_from_dict(description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Target:
    """Return the target that its ``to_dict()`` and ``arrays()`` described.

    Parameters
    ----------
    description
        With the key ``kind``: "classes", "regression" or "zone_in_plane".
    arrays
        The arrays that belong to it.

    Returns
    -------
    target

    Raises
    ------
    ValueError
        If the kind is unknown, or if the description or the arrays do not fit the kind.
    """
    kind = description.get("kind")
    check_choice("kind of target", kind, _KINDS, "Pass what a target's to_dict() made.")
    module, name = _KINDS[kind]
    return getattr(import_module(module), name).from_dict(description, arrays)
