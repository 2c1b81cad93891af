"""A table of the potential's Fourier coefficients, and structure matrices gathered from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.simulation.kinematic import reflections_within

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


class PotentialTable:
    """Fourier coefficients U(g - h) of all differences of beams within a radius.

    The table is a flat array over h, k and l. The place of an index is linear in it, so that the
    place of a difference is the difference of places.

    Parameters
    ----------
    reciprocal_basis
        Columns a*, b*, c* in 1/angstrom, shape (3, 3).
    g_max
        Largest length of a beam, 1/angstrom; differences reach twice as far.
    coefficients
        Function from Miller indices (n, 3) to U in 1/angstrom^2, shape (n,). Real numbers give
        real matrices.
    """

    def __init__(
        self,
        reciprocal_basis: np.ndarray,
        g_max: float,
        coefficients: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        differences = reflections_within(reciprocal_basis, 2 * g_max)
        differences = np.concatenate([np.zeros((1, 3), dtype=int), differences])
        limits = np.abs(differences).max(0)
        lengths = 2 * limits + 1
        self._strides = np.array([lengths[1] * lengths[2], lengths[2], 1])
        self._centre = int(limits @ self._strides)
        places = differences @ self._strides + self._centre
        found = coefficients(differences)
        self.values = np.zeros(lengths.prod(), dtype=found.dtype)
        self.values[places] = found
        self.g_squared = np.zeros(lengths.prod())
        self.g_squared[places] = ((differences @ reciprocal_basis.T) ** 2).sum(1)

    @property
    def mean(self) -> complex:
        """Return U(0), the mean, in 1/angstrom^2."""
        return self.values[self._centre].item()

    def places(self, hkl: np.ndarray) -> np.ndarray:
        """Return the places (...) of Miller indices (..., 3), relative to that of 000."""
        return np.asarray(hkl) @ self._strides

    def couplings(
        self,
        values: torch.Tensor,
        places: torch.Tensor,
        factors: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return matrices of ``values`` at the differences of beams, without a diagonal.

        Parameters
        ----------
        values
            The table, or another one over the same places, as a tensor.
        places
            Relative places of the beams, shape (n, S), integers.
        factors
            What rows and columns are multiplied with, shape (n, S): 0 for padding.

        Returns
        -------
        couplings
            Entry (n, g, h) is the value at g - h; 0 on the diagonal. Shape (n, S, S).
        """
        import torch

        index = (places[:, :, None] - places[:, None, :]) + self._centre
        # index_select on the flat index is several times faster than indexing with brackets.
        found = torch.index_select(values, 0, index.reshape(-1)).reshape(index.shape)
        if factors is not None:
            found *= factors[:, :, None]
            found *= factors[:, None, :]
        torch.diagonal(found, dim1=1, dim2=2).zero_()
        return found
