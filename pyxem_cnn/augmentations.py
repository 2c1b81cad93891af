"""What microscopes add to a pattern: pure functions (arrays, generator) -> arrays, polar layout.

Patterns have the shape (batch, n_radial, n_azimuthal). Random numbers come from the generator that
is passed, so that a seed repeats a training run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from pyxem_cnn.detector.polar import PolarGrid

Range = tuple[float, float]


def uniform(n: int, span: Range, generator: torch.Generator) -> Tensor:
    """Return ``n`` numbers drawn evenly from ``span``, shape (n,)."""
    return span[0] + (span[1] - span[0]) * torch.rand(n, generator=generator)


def log_uniform(n: int, span: Range, generator: torch.Generator) -> Tensor:
    """Return ``n`` numbers whose logarithm is drawn evenly from ``span``, shape (n,)."""
    return uniform(n, (math.log(span[0]), math.log(span[1])), generator).exp()


def chance(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """Return ``n`` booleans that are True with the given probability, shape (n,)."""
    return torch.rand(n, generator=generator) < probability


def distort(
    k: Tensor, center: float, scale: float, ellipticity: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Move spots by errors of the centre, the camera length and the ellipticity.

    Parameters
    ----------
    k
        Positions, shape (batch, n_spots, 2), 1/angstrom.
    center
        Largest error of the centre, 1/angstrom.
    scale, ellipticity
        Largest relative errors.
    generator
        Source of random numbers.

    Returns
    -------
    k, shift
        Moved positions and the error of the centre, shape (batch, 2): the direct beam lies there.
    """
    n = len(k)
    angle = uniform(n, (0, math.pi), generator)
    stretch = uniform(n, (-ellipticity, ellipticity), generator)
    size = 1 + uniform(n, (-scale, scale), generator)
    cos, sin = (2 * angle).cos() * stretch, (2 * angle).sin() * stretch
    matrix = torch.stack([size + cos, sin, sin, size - cos], dim=-1).view(n, 2, 2)
    shift = center * (2 * torch.rand(n, 2, generator=generator) - 1)
    return k @ matrix.transpose(1, 2) + shift[:, None], shift


def diffuse_background(n: int, grid: PolarGrid, generator: torch.Generator) -> Tensor:
    """Return smooth backgrounds in counts per area, shape (n, n_radial, n_azimuthal).

    Inelastic and thermal diffuse scattering: a mixture of an exponential, a Lorentzian and a
    constant; one in ten has an amorphous ring. Half of them are stronger on one side, or along one
    direction.

    Parameters
    ----------
    n
        Number of backgrounds.
    grid
        The polar grid.
    generator
        Source of random numbers.
    """
    k = torch.as_tensor(grid.radii, dtype=torch.float32)[None]
    length = log_uniform(n, (0.06, 0.8), generator)[:, None]
    width = log_uniform(n, (0.03, 0.5), generator)[:, None]
    share = torch.rand(n, 2, generator=generator)
    profile = share[:, :1] * torch.exp(-k / length) / length
    profile = profile + (1 - share[:, :1]) * (1 + (k / width) ** 2) ** -1.5 / width
    profile = profile + 0.3 * share[:, 1:] ** 4
    ring_radius = uniform(n, (grid.k_min, 0.6 * grid.k_max), generator)[:, None]
    ring_width = uniform(n, (0.02, 0.1), generator)[:, None]
    ring = torch.exp(-(((k - ring_radius) / ring_width) ** 2) / 2)
    strength = torch.where(chance(n, 0.1, generator), torch.rand(n, generator=generator) * 3, 0.0)
    profile = profile + strength[:, None] * profile.mean(1, keepdim=True) * ring
    profile = profile / profile.mean(1, keepdim=True)
    return profile[..., None] * _uneven(n, grid, generator)[:, None]


def _uneven(n: int, grid: PolarGrid, generator: torch.Generator) -> Tensor:
    """Return factors around the azimuth, shape (n, n_azimuthal): one-sided, elongated or even."""
    azimuth = torch.as_tensor(grid.azimuths, dtype=torch.float32)
    exponent = torch.zeros(n, grid.n_azimuthal)
    for fold in (1, 2):
        direction = uniform(n, (0, 2 * math.pi), generator)[:, None]
        strength = torch.where(chance(n, 0.5, generator), uniform(n, (0, 0.4), generator), 0.0)
        exponent = exponent + strength[:, None] * (fold * azimuth - direction).cos()
    factor = exponent.exp()
    return factor / factor.mean(dim=1, keepdim=True)


def direct_beam_tail(shift: Tensor, sigma: Tensor, strength: Tensor, grid: PolarGrid) -> Tensor:
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
        The polar grid.

    Returns
    -------
    density
        Shape (batch, n_radial, n_azimuthal).
    """
    # Only the innermost rings that some tail reaches are computed.
    reach = float((5 * sigma + shift.norm(dim=1)).max())
    rings = int((grid.radii < reach).sum())
    azimuth = torch.as_tensor(grid.azimuths, dtype=torch.float32)
    radius = torch.as_tensor(grid.radii[:rings], dtype=torch.float32)[:, None]
    x, y = radius * azimuth.cos(), radius * azimuth.sin()
    square = (x - shift[:, :1, None]) ** 2 + (y - shift[:, 1:, None]) ** 2
    variance = sigma[:, None, None] ** 2
    peak = (strength / (2 * math.pi * sigma**2))[:, None, None]
    tail = peak * torch.exp(-square / (2 * variance))
    return F.pad(tail, (0, 0, 0, grid.n_radial - rings))


def square_detector(
    n: int, half_width: Range, offset: float, grid: PolarGrid, generator: torch.Generator
) -> Tensor:
    """Return masks of square detectors, shape (n, n_radial, n_azimuthal), 1 where measured.

    Parameters
    ----------
    n
        Number of masks.
    half_width
        Range of half the detector's side, 1/angstrom.
    offset
        Largest distance of the direct beam from the detector's middle, as a share of half a side.
    grid
        The polar grid.
    generator
        Source of random numbers.
    """
    half = log_uniform(n, half_width, generator)[:, None, None]
    turn = torch.where(chance(n, 0.5, generator), uniform(n, (0, math.pi / 2), generator), 0.0)
    middle = offset * half * (2 * torch.rand(n, 2, 1, generator=generator) - 1)
    azimuth = torch.as_tensor(grid.azimuths, dtype=torch.float32) - turn[:, None]
    radius = torch.as_tensor(grid.radii, dtype=torch.float32)[:, None]
    x = radius * azimuth.cos()[:, None] - middle[:, :1]
    y = radius * azimuth.sin()[:, None] - middle[:, 1:]
    return ((x.abs() < half) & (y.abs() < half)).float()


def blocked(n: int, share: float, grid: PolarGrid, generator: torch.Generator) -> Tensor:
    """Return masks of beam stops and of larger central discs, 1 where measured.

    Parameters
    ----------
    n
        Number of masks.
    share
        How many patterns have a beam stop, and how many a larger central disc.
    grid
        The polar grid.
    generator
        Source of random numbers.

    Returns
    -------
    mask
        Shape (n, n_radial, n_azimuthal).
    """
    azimuth = torch.as_tensor(grid.azimuths, dtype=torch.float32)
    radius = torch.as_tensor(grid.radii, dtype=torch.float32)[:, None]
    direction = uniform(n, (0, 2 * math.pi), generator)[:, None]
    half = uniform(n, (0.01, 0.05), generator)[:, None, None]
    along = (radius * (azimuth - direction).cos()[:, None]) > 0
    across = (radius * (azimuth - direction).sin()[:, None]).abs() < half
    stop = along & across & chance(n, share, generator)[:, None, None]
    inner = grid.k_min * uniform(n, (1, 1.6), generator)
    disc = (radius < inner[:, None, None]) & chance(n, share, generator)[:, None, None]
    return (~(stop | disc)).float()


def count_electrons(content: Tensor, electrons: Tensor, generator: torch.Generator) -> Tensor:
    """Return Poisson counts with the wanted number of electrons in each pattern.

    Parameters
    ----------
    content
        Expected counts of each bin up to a factor, shape (batch, n_radial, n_azimuthal).
    electrons
        Expected number of counts in each pattern, shape (batch,); infinite for no noise.
    generator
        Source of random numbers.

    Returns
    -------
    counts
        The shape of ``content``.
    """
    total = content.sum(dim=(1, 2)).clamp(min=1e-20)
    noisy = electrons.isfinite()
    factor = torch.where(noisy, electrons, 1e4) / total
    expected = content * factor[:, None, None]
    return torch.where(noisy[:, None, None], torch.poisson(expected, generator=generator), expected)


def overlap(content: Tensor, share: float, largest: float, generator: torch.Generator) -> Tensor:
    """Add a weaker second grain to some patterns: that of another pattern of the batch.

    Parameters
    ----------
    content
        Patterns, shape (batch, n_radial, n_azimuthal).
    share
        How many of the patterns get one.
    largest
        Largest weight of the second grain against the first.
    generator
        Source of random numbers.
    """
    n = len(content)
    weight = torch.where(chance(n, share, generator), uniform(n, (0, largest), generator), 0.0)
    total = content.sum(dim=(1, 2), keepdim=True)
    # Vacuum stays vacuum: only the division is guarded.
    other = (content / total.clamp(min=1e-20)).roll(1, dims=0)
    return content + weight[:, None, None] * other * total
