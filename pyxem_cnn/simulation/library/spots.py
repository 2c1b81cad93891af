"""Spots of a batch of patterns, drawn from a library, and what turns and mirrors them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pyxem_cnn import augmentations as aug
from pyxem_cnn.rotations import about_z, multiply

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DeviceArrays", "Spots", "concatenated", "mirrored", "turned"]

_MIRROR = (1.0, -1.0)
TWO_FOLD_ABOUT_Y = (0.0, 0.0, 1.0, 0.0)


class Spots(NamedTuple):
    """Spots of n patterns, float32.

    Attributes
    ----------
    k
        Positions, shape (n, n_spots, 2), 1/angstrom, y up.
    intensity
        Intensities, shape (n, n_spots, n_tilts): of one spot in each direction of the incident
        beam, 0 for no spot. One tilt where discs have no structure.
    orientation
        Quaternions, shape (n, 4), lab to crystal.
    thickness
        In angstrom, shape (n,); NaN where the simulation knows none.
    tilts
        Displacement of the spots for each direction of the incident beam, shape (n, n_tilts, 2),
        1/angstrom; None where discs have no structure.
    excitation_error
        Distance from the Ewald sphere, shape (n, n_spots), 1/angstrom, where the intensity does
        not hold the fall-off with it; otherwise None.
    """

    k: Tensor
    intensity: Tensor
    orientation: Tensor
    thickness: Tensor
    tilts: Tensor | None = None
    excitation_error: Tensor | None = None


class DeviceArrays:
    """Arrays of a library as tensors, moved once to each device that asks for them.

    Parameters
    ----------
    arrays
        NumPy arrays by name.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = dict(arrays)
        self._tensors: dict[torch.device, dict[str, Tensor]] = {}

    def on(self, device: torch.device) -> dict[str, Tensor]:
        """Return the tensors on a device, where they stay.

        Parameters
        ----------
        device
            Of the generator that draws.
        """
        if device not in self._tensors:
            tensors = {name: torch.from_numpy(one).to(device) for name, one in self._arrays.items()}
            self._tensors[device] = tensors
        return self._tensors[device]


def turned(spots: Spots, generator: torch.Generator) -> Spots:
    """Return the patterns turned about the beam by random angles, with their orientations.

    Parameters
    ----------
    spots
        The patterns.
    generator
        Source of random numbers.
    """
    turn = aug.uniform(len(spots.k), (0, 2 * math.pi), generator)
    cos, sin = turn.cos(), turn.sin()
    # The transpose, for vectors as rows.
    matrix = torch.stack([cos, sin, -sin, cos], dim=-1).view(-1, 2, 2)
    return spots._replace(
        k=spots.k @ matrix,
        tilts=None if spots.tilts is None else spots.tilts @ matrix,
        orientation=multiply(spots.orientation, about_z(-turn)),
    )


def mirrored(spots: Spots, rotation: np.ndarray, generator: torch.Generator) -> Spots:
    """Return the patterns, half of them mirrored (ky -> -ky), with their orientations.

    If S is an improper operation of the crystal, the mirror image of the pattern of the orientation
    matrix M is the pattern of S M diag(1, -1, 1): the specimen was mirrored, and S makes it the
    same crystal again. In quaternions that is R O C2y, with the rotation R = -S.

    Parameters
    ----------
    spots
        The patterns.
    rotation
        The rotation R, shape (4,); the identity for crystals with inversion, and for all where
        Friedel's law holds.
    generator
        Source of random numbers.
    """
    chosen = aug.chance(len(spots.k), 0.5, generator)
    sign = torch.where(chosen[:, None, None], spots.k.new_tensor(_MIRROR), 1.0)
    orientation = multiply(spots.orientation, spots.orientation.new_tensor(TWO_FOLD_ABOUT_Y))
    orientation = multiply(orientation.new_tensor(rotation), orientation)
    return spots._replace(
        k=spots.k * sign,
        tilts=None if spots.tilts is None else spots.tilts * sign,
        orientation=torch.where(chosen[:, None], orientation, spots.orientation),
    )


def concatenated(first: Spots, second: Spots) -> Spots:
    """Return two batches of patterns as one, the shorter lists padded with spots of intensity 0.

    Parameters
    ----------
    first, second
        Both with tilts, equally many, or both without, and without excitation errors.
    """
    n_spots = max(first.k.shape[1], second.k.shape[1])
    first, second = (_padded(spots, n_spots) for spots in (first, second))
    parts = zip(first, second, strict=True)
    return Spots(*(None if a is None else torch.cat([a, b]) for a, b in parts))


def _padded(spots: Spots, n_spots: int) -> Spots:
    missing = n_spots - spots.k.shape[1]
    if not missing:
        return spots
    fill = (0, 0, 0, missing)
    pad = torch.nn.functional.pad
    return spots._replace(k=pad(spots.k, fill), intensity=pad(spots.intensity, fill))
