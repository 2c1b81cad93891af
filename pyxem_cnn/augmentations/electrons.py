"""From expected to recorded electrons: Poisson statistics, integrating detectors, saturation."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxem_cnn.augmentations._coordinates import per_pattern


def count_electrons(
    content: Tensor, electrons: Tensor, generator: torch.Generator, *, fast: bool = False
) -> Tensor:
    """Return what a counting detector records of patterns at a dose, in counts per bin.

    Parameters
    ----------
    content
        Expected patterns up to a factor, shape (batch, n_radial, n_azimuthal) or (batch, rows,
        columns).
    electrons
        Expected number of counts in each pattern, shape (batch,); infinite for no noise.
    generator
        Source of random numbers.
    fast
        Whether to draw with compiled code, on a CPU: the same statistics and other numbers from the
        same seed, faster the fewer electrons there are.

    Returns
    -------
    counts
        The shape of ``content``.
    """
    total = content.sum(dim=(1, 2)).clamp(min=1e-20)
    noisy = electrons.isfinite()
    factor = torch.where(noisy, electrons, 1e4) / total
    expected = content * per_pattern(factor)
    draw = _draw_compiled if fast and expected.device.type == "cpu" else torch.poisson
    return torch.where(per_pattern(noisy), draw(expected, generator=generator), expected)


def _draw_compiled(expected: Tensor, generator: torch.Generator) -> Tensor:
    """Return Poisson numbers as ``torch.poisson`` does."""
    from pyxem_cnn.augmentations._counting_kernel import draw_poisson

    seeds = torch.randint(1 << 62, (len(expected),), generator=generator)
    counts = torch.empty(expected.shape)
    rates, result = (x.flatten(1).numpy() for x in (expected.float().contiguous(), counts))
    draw_poisson(rates, seeds.numpy().astype("uint64"), result)
    return counts


def integrate_electrons(
    counts: Tensor,
    gain: float | Tensor,
    energy_spread: float | Tensor,
    read_noise: float | Tensor,
    pixels: float | Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Return what an integrating detector (CCD, CMOS with scintillator) makes of electrons.

    Every electron gives ``gain`` units on average, with a relative standard deviation of
    ``energy_spread`` since it loses more or less energy in the sensor; every pixel that is read
    adds Gaussian noise. The variance of a bin with N expected electrons in n pixels is therefore::

        gain^2 N (1 + energy_spread^2) + n read_noise^2

    Parameters
    ----------
    counts
        Electrons per bin, after :func:`count_electrons`, shape (batch, ...).
    gain
        Units of the data per electron, a number or shape (batch,).
    energy_spread
        Relative, a number or shape (batch,): about 0.3 to 0.6 for scintillators, 0 for none.
    read_noise
        Standard deviation of one pixel, in units of the data, a number or shape (batch,).
    pixels
        Pixels in a bin, see :func:`pixels_per_bin`: broadcast against ``counts``.
    generator
        Source of random numbers.

    Returns
    -------
    signal
        Units of the data per bin, shape of ``counts``. May be negative, as data are from which a
        dark image has been subtracted.
    """
    gain, energy_spread, read_noise = (
        per_pattern(x) if isinstance(x, Tensor) else x for x in (gain, energy_spread, read_noise)
    )
    variance = counts * (gain * energy_spread) ** 2 + read_noise**2 * pixels
    noise = torch.randn(counts.shape, generator=generator, device=counts.device)
    return torch.addcmul(gain * counts, variance.sqrt(), noise)


def saturate(
    content: Tensor, largest: float | Tensor, pixels: float | Tensor, *, coincidence: bool = False
) -> Tensor:
    """Return patterns as pixels record them that hold no more than a largest value.

    Parameters
    ----------
    content
        Counts, or units of an integrating detector, per bin, shape (batch, ...).
    largest
        Largest value of a pixel, a number or shape (batch,): the depth of a counter or converter,
        such as 4095 for 12 bit, or the full well.
    pixels
        Pixels in a bin, see :func:`pixels_per_bin`. A bin is treated as pixels of its mean: a spot
        narrower than the bin saturates earlier on a real detector.
    coincidence
        Whether the detector counts events and misses electrons that come together: a pixel that
        can see one electron in each of ``largest`` frames then records ``largest (1 - exp(-counts /
        largest))`` of the expected counts, instead of being cut off.
    """
    limit = (per_pattern(largest) if isinstance(largest, Tensor) else largest) * pixels
    if coincidence:
        return -torch.expm1(-content / limit) * limit
    limit = torch.as_tensor(limit, dtype=content.dtype, device=content.device)
    return torch.minimum(content, limit)
