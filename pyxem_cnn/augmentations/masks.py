"""Where nothing is measured: the detector's edge, its gaps, beam stops and central discs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyxem_cnn.augmentations._coordinates import (
    Grid,
    bin_size,
    per_pattern,
    positions,
    radial_span,
    radius_and_azimuth,
)
from pyxem_cnn.augmentations.draws import Range, chance, log_uniform, uniform, within

_FULL_TURN = (0, 2 * math.pi)


def square_detector(
    n: int, half_width: Range, offset: float, grid: Grid, generator: torch.Generator
) -> Tensor:
    """Return masks of square detectors, shape (n, ...), 1 where measured.

    Parameters
    ----------
    n
        Number of masks.
    half_width
        Range of half the detector's side, 1/angstrom.
    offset
        Largest distance of the direct beam from the detector's middle, as a share of half a side.
    grid
        Polar or Cartesian grid.
    generator
        Source of random numbers.
    """
    half = per_pattern(log_uniform(n, half_width, generator))
    turn = _detector_turn(n, generator)
    middle = within(n, 1.0, generator)[..., None] * (offset * half)
    radius, azimuth = radius_and_azimuth(grid, generator.device)
    azimuth = azimuth - per_pattern(turn)
    x = (radius * azimuth.cos()).sub_(middle[:, :1])
    y = (radius * azimuth.sin()).sub_(middle[:, 1:])
    return torch.maximum(x.abs_(), y.abs_()).lt(half).float()


def _detector_turn(n: int, generator: torch.Generator) -> Tensor:
    """Return angles of detectors against +x: half of them are aligned, the others anyhow."""
    return torch.where(chance(n, 0.5, generator), uniform(n, (0, math.pi / 2), generator), 0.0)


def detector_gaps(
    n: int,
    share: float,
    width: Range,
    module: Range,
    grid: Grid,
    generator: torch.Generator,
) -> Tensor:
    """Return masks of the gaps between a detector's modules, 1 where measured.

    Medipix and EIGER detectors consist of square chips with a few dead or wider pixels in between:
    a cross on a detector of two by two chips, a lattice of lines on larger ones. The cross lies
    anywhere, since one steers the direct beam away from it.

    Parameters
    ----------
    n
        Number of masks.
    share
        How many patterns have gaps.
    width
        Full width of the gaps, 1/angstrom. A bin counts as not measured when more than half of it
        lies in a gap, as in the resampling of measured patterns.
    module
        Distance of the gaps, 1/angstrom, drawn evenly in the logarithm: the side of a chip.
    grid
        Polar or Cartesian grid.
    generator
        Source of random numbers.

    Returns
    -------
    mask
        Shape (n, ...).
    """
    side = log_uniform(n, module, generator)
    half = uniform(n, width, generator) / 2
    turn = _detector_turn(n, generator)
    start = torch.rand(n, 2, generator=generator, device=generator.device)
    mask = torch.ones((n, *grid.shape), device=generator.device)
    some = chance(n, share, generator).nonzero()[:, 0]
    if not len(some):
        return mask
    side, half, turn = (per_pattern(x[some]) for x in (side, half, turn))
    radius, azimuth = radius_and_azimuth(grid, generator.device)
    across = torch.stack([(azimuth - turn).cos(), (azimuth - turn).sin()]) * radius / side
    across = across - start[some].T[..., None, None]
    # Distance from the nearest gap, per axis.
    distance = (across - across.round()).abs().amin(0) * side
    mask[some] = (~_covered(distance, half, bin_size(grid, generator.device))).float()
    return mask


def beam_stop(n: int, share: float, width: Range, grid: Grid, generator: torch.Generator) -> Tensor:
    """Return masks of beam stops, needles from the detector's edge to the direct beam.

    Parameters
    ----------
    n
        Number of masks.
    share
        How many patterns have one.
    width
        Full width, 1/angstrom.
    grid
        Polar or Cartesian grid.
    generator
        Source of random numbers.

    Returns
    -------
    mask
        Shape (n, ...), 1 where measured. The needle ends in a half circle around the direct
        beam.
    """
    direction = uniform(n, _FULL_TURN, generator)
    half = uniform(n, width, generator) / 2
    mask = torch.ones((n, *grid.shape), device=generator.device)
    some = chance(n, share, generator).nonzero()[:, 0]
    if not len(some):
        return mask
    radius, azimuth = radius_and_azimuth(grid, generator.device)
    angle = azimuth - per_pattern(direction[some])
    distance = torch.where(angle.cos() > 0, (radius * angle.sin()).abs(), radius)
    size = bin_size(grid, generator.device)
    mask[some] = (~_covered(distance, per_pattern(half[some]), size)).float()
    return mask


def central_disc(
    n: int, share: float, radius: Range, offset: float, grid: Grid, generator: torch.Generator
) -> Tensor:
    """Return masks of the direct beam: blocked, saturated, or cut out before the data were saved.

    Parameters
    ----------
    n
        Number of masks.
    share
        How many patterns have one.
    radius
        Radius of the disc, 1/angstrom.
    offset
        Largest distance of its middle from the direct beam, along x and along y, 1/angstrom.
    grid
        Polar or Cartesian grid.
    generator
        Source of random numbers.

    Returns
    -------
    mask
        Shape (n, ...), 1 where measured.
    """
    size = torch.where(chance(n, share, generator), uniform(n, radius, generator), -1.0)
    middle = within(n, offset, generator)[..., None, None]
    x, y = positions(grid, generator.device)
    square = (x - middle[:, 0]) ** 2 + (y - middle[:, 1]) ** 2
    return (square >= per_pattern(size * size.abs())).float()


def blocked(n: int, share: float, grid: Grid, generator: torch.Generator) -> Tensor:
    """Return masks of beam stops and of larger central discs, 1 where measured.

    Parameters
    ----------
    n
        Number of masks.
    share
        How many patterns have a beam stop, and how many a larger central disc.
    grid
        Polar or Cartesian grid.
    generator
        Source of random numbers.

    Returns
    -------
    mask
        Shape (n, ...).
    """
    direction = uniform(n, _FULL_TURN, generator)
    half = uniform(n, (0.01, 0.05), generator)
    with_stop = chance(n, share, generator)
    # A disc on a grid without a hole for the direct beam is as large as a usual hole.
    inner = (radial_span(grid)[0] or 0.1) * uniform(n, (1, 1.6), generator)
    with_disc = chance(n, share, generator)
    mask = torch.ones((n, *grid.shape), device=generator.device)
    radius, azimuth = radius_and_azimuth(grid, generator.device)
    stops, discs = with_stop.nonzero()[:, 0], with_disc.nonzero()[:, 0]
    if len(stops):
        angle = azimuth - per_pattern(direction[stops])
        stop = (radius * angle.cos() > 0) & (
            (radius * angle.sin()).abs() < per_pattern(half[stops])
        )
        mask[stops] = (~stop).float()
    if len(discs):
        mask[discs] *= (radius >= per_pattern(inner[discs])).float()
    return mask


def _covered(distance: Tensor, half: Tensor, size: Tensor) -> Tensor:
    """Return whether more than half of a bin lies within ``half`` of a line, by its distance."""
    hidden = torch.minimum(half + size / 2 - distance, 2 * half)
    return hidden > size / 2
