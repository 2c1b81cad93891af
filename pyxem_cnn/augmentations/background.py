"""What lies under the spots: diffuse scattering, amorphous rings, the tail of the direct beam."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pyxem_cnn.augmentations._coordinates import (
    Grid,
    areas,
    bell,
    check_on_grid,
    per_pattern,
    positions,
    radial_span,
    radius_and_azimuth,
)
from pyxem_cnn.augmentations.draws import Range, chance, log_uniform, shares, uniform
from pyxem_cnn.augmentations.mixing import mix_in
from pyxem_cnn.detector.grids import PolarGrid


def diffuse_background(n: int, grid: Grid, generator: torch.Generator) -> Tensor:
    """Return smooth backgrounds in counts per area, shape (n, ...).

    Inelastic and thermal diffuse scattering and the tail of the direct beam: a mixture of an
    exponential, a power of a Lorentzian and a constant; one in ten has an amorphous ring. Half of
    them are stronger on one side, or along one direction.

    Parameters
    ----------
    n
        Number of backgrounds.
    grid
        Polar or Cartesian grid.
    generator
        Source of random numbers.
    """
    radius, _ = radius_and_azimuth(grid, generator.device)
    k = radius.flatten()[None]
    k_min, k_max = radial_span(grid)
    length = log_uniform(n, (0.06, 0.8), generator)[:, None]
    width = log_uniform(n, (0.03, 0.5), generator)[:, None]
    # Far out, a power of -2 to -5 of the radius.
    power = uniform(n, (1.0, 2.5), generator)[:, None]
    share = torch.rand(n, 2, generator=generator, device=generator.device)
    profile = share[:, :1] * torch.exp(-k / length) / length
    profile = profile + (1 - share[:, :1]) * (1 + (k / width) ** 2) ** -power / width
    profile = profile + 0.3 * share[:, 1:] ** 4
    ring_radius = uniform(n, (k_min, 0.6 * k_max), generator)[:, None]
    ring_width = uniform(n, (0.02, 0.1), generator)[:, None]
    ring = bell(((k - ring_radius) / ring_width) ** 2)
    strength = torch.where(chance(n, 0.1, generator), uniform(n, (0, 1), generator) * 3, 0.0)
    profile = profile + strength[:, None] * profile.mean(1, keepdim=True) * ring
    profile = profile / profile.mean(1, keepdim=True)
    return profile.view(n, *radius.shape) * _uneven(n, grid, generator)


def _uneven(n: int, grid: Grid, generator: torch.Generator) -> Tensor:
    """Return factors around the azimuth, one-sided, elongated or even.

    Of shape (n, 1, n_azimuthal) or (n, rows, columns).
    """
    _, azimuth = radius_and_azimuth(grid, generator.device)
    exponent = torch.zeros((n, *azimuth.shape), device=azimuth.device)
    for fold in (1, 2):
        direction = per_pattern(uniform(n, (0, 2 * math.pi), generator))
        strength = torch.where(chance(n, 0.5, generator), uniform(n, (0, 0.4), generator), 0.0)
        exponent = exponent + per_pattern(strength) * (fold * azimuth - direction).cos()
    factor = exponent.exp()
    return factor / factor.mean(dim=(1, 2), keepdim=True)


def add_gaussian_background(
    content: Tensor, grid: Grid, share: Range, width: Range, generator: torch.Generator
) -> Tensor:
    """Add a Gaussian of random height and width around the direct beam.

    It stands for thermal diffuse and inelastic scattering, and for several scattering events in a
    thick specimen, in its simplest form.

    Parameters
    ----------
    content
        Counts per bin, shape (batch, ...).
    grid
        Polar or Cartesian grid.
    share
        Share of the background in all counts on the grid, below 1.
    width
        Its standard deviation, 1/angstrom, drawn evenly in the logarithm.
    generator
        Source of random numbers.

    Raises
    ------
    ValueError
        If the patterns do not lie on the grid, or a share is not from 0 to below 1.
    """
    check_on_grid("content", content, grid)
    n = len(content)
    radius, _ = radius_and_azimuth(grid, generator.device)
    sigma = per_pattern(log_uniform(n, width, generator))
    # Relative to the innermost bin: narrow Gaussians do not underflow on a grid without middle.
    square = radius.square() - radius.min().square()
    density = bell(square / sigma**2)
    addition = density * areas(grid, generator.device)
    return mix_in(content, addition, shares(n, share, generator))


def add_amorphous_rings(
    content: Tensor,
    grid: Grid,
    probability: float,
    share: Range,
    generator: torch.Generator,
    radius: Range = (0.25, 0.6),
) -> Tensor:
    """Add the rings of an amorphous film to some patterns: a support, contamination, damage.

    Two rings as of most amorphous films: the second at 1.6 to 1.8 times the radius of the
    first, broader and weaker.

    Parameters
    ----------
    content
        Counts per bin, shape (batch, ...).
    grid
        Polar or Cartesian grid.
    probability
        How many of the patterns get rings.
    share
        Share of the rings in all counts on the grid, below 1.
    generator
        Source of random numbers.
    radius
        Radius of the first ring, 1/angstrom: 0.32 for amorphous silicon, 0.48 for carbon.

    Raises
    ------
    ValueError
        If the patterns do not lie on the grid, or a share is not from 0 to below 1.
    """
    check_on_grid("content", content, grid)
    n = len(content)
    some = chance(n, probability, generator).nonzero()[:, 0]
    result = content.clone()
    if len(some):
        rings = amorphous_rings(len(some), grid, radius, generator) * areas(grid, generator.device)
        result[some] = mix_in(content[some], rings, shares(len(some), share, generator))
    return result


def amorphous_rings(n: int, grid: Grid, radius: Range, generator: torch.Generator) -> Tensor:
    """Return two rings each, shape (n, n_radial, 1) or (n, rows, columns); peak of the first 1."""
    k, _ = radius_and_azimuth(grid, generator.device)
    first = uniform(n, radius, generator)
    second = first * uniform(n, (1.6, 1.8), generator)
    width = first * uniform(n, (0.06, 0.15), generator)
    height = uniform(n, (0.15, 0.5), generator)
    rings = bell(((k - per_pattern(first)) / per_pattern(width)) ** 2)
    broader = bell(((k - per_pattern(second)) / per_pattern(1.5 * width)) ** 2)
    return rings + per_pattern(height) * broader


def direct_beam_tail(shift: Tensor, sigma: Tensor, strength: Tensor, grid: Grid) -> Tensor:
    """Return what a Gaussian direct beam leaves inside the grid, in counts per area.

    Parameters
    ----------
    shift
        Position of the direct beam, shape (batch, 2), 1/angstrom.
    sigma
        Its standard deviation, shape (batch,), 1/angstrom.
    strength
        Its integral, shape (batch,), counts.
    grid
        Polar or Cartesian grid.

    Returns
    -------
    density
        Shape (batch, ...).
    """
    x, y = positions(grid, shift.device)
    rings = len(x)
    if isinstance(grid, PolarGrid):
        # Only the innermost rings that some tail reaches are computed.
        reach = float((5 * sigma + shift.norm(dim=1)).max())
        rings = int((grid.radii < reach).sum())
    square = (x[:rings] - shift[:, :1, None]) ** 2 + (y[:rings] - shift[:, 1:, None]) ** 2
    peak = per_pattern(strength / (2 * math.pi * sigma**2))
    tail = peak * bell(square / per_pattern(sigma) ** 2)
    return F.pad(tail, (0, 0, 0, len(x) - rings))
