"""The compiled Poisson generator; imported when first needed, since numba is slow to import.

Most bins of a pattern at a usual dose are empty, and a generator that looks at each by itself
spends its time on finding that out. Here electrons arrive one by one, as a Poisson process: the
waiting time to the next one, exponentially distributed, is laid out over the bins in a row, and a
bin costs a subtraction until an electron falls into it. Bins with some electrons are drawn by
inversion of the cumulative distribution, those with many by transformed rejection (PTRS;
W. Hormann, Insurance: Mathematics and Economics 12, 39, 1993). All of it is exact.
"""

from __future__ import annotations

import math

import numba
import numpy as np

__all__ = ["draw_poisson"]

# Means from which inversion, and then transformed rejection, are faster; it is valid from 10 on.
_SOME, _MANY = 1.0, 10.0
# Below a mean of 10, larger numbers do not occur in double precision.
_LARGEST = 64
_RECIPROCALS = 1 / np.arange(1, _LARGEST + 1)
_STEP, _MIX_1, _MIX_2 = (
    np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_S11, _S27, _S30, _S31 = (np.uint64(x) for x in (11, 27, 30, 31))


@numba.njit(nogil=True, cache=True)
def _uniform(state):
    """Return a number above 0 and below 1, and move the state on (SplitMix64)."""
    state[0] += _STEP
    z = state[0]
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    z = z ^ (z >> _S31)
    return ((z >> _S11) + 0.5) * 2.0**-53


@numba.njit(nogil=True, cache=True)
def _some(mean, state):
    """Return a Poisson number of a mean below 10."""
    probability = math.exp(-mean)
    level = _uniform(state) - probability
    number = 0
    while level > 0 and number < _LARGEST:
        probability *= mean * _RECIPROCALS[number]
        level -= probability
        number += 1
    return number


@numba.njit(nogil=True, cache=True)
def _many(mean, state):
    """Return a Poisson number of a mean of 10 or more."""
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    while True:
        u = _uniform(state) - 0.5
        v = _uniform(state)
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2):
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        height = math.log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b))
        if height <= k * math.log(mean) - mean - math.lgamma(k + 1):
            return k


@numba.njit(nogil=True, cache=True)
def draw_poisson(expected, seeds, counts):
    """Fill ``counts`` with Poisson numbers of means ``expected``, both (n, n_bins), float32."""
    state = np.zeros(1, dtype=np.uint64)
    for i in range(len(expected)):
        state[0] = seeds[i]
        waiting = -math.log(_uniform(state))
        for j in range(expected.shape[1]):
            mean = np.float64(expected[i, j])
            if mean >= _MANY:
                number = _many(mean, state)
            elif mean >= _SOME:
                number = _some(mean, state)
            else:
                number = 0
                waiting -= mean
                while waiting < 0:
                    number += 1
                    waiting -= math.log(_uniform(state))
            counts[i, j] = number
