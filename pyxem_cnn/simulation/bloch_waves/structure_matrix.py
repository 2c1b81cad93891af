"""The structure matrices of Bloch waves: couplings of beams, diagonals for tilted beams."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from pyxem_cnn.simulation.bloch_waves.potential_table import PotentialTable


def excitation_diagonal(g: np.ndarray, directions: np.ndarray, wavelength: float) -> np.ndarray:
    """Return ``K^2 - |k + g|^2``, which is 2 K s_g near the Ewald sphere.

    Parameters
    ----------
    g
        Reciprocal vectors in the lab frame, z towards the source, shape (n, S, 3), 1/angstrom.
    directions
        Transverse part of the incident wave vectors, shape (n, J, 2), 1/angstrom. The wave vector
        is k = (k_x, k_y, -k_z) with the length K = 1 / wavelength: electrons travel along -z.
    wavelength
        In angstrom.

    Returns
    -------
    diagonal
        In 1/angstrom^2, shape (n, J, S), positive for g inside the sphere.
    """
    k_z = np.sqrt(1 / wavelength**2 - (directions**2).sum(-1))
    transverse = directions @ g[..., :2].transpose(0, 2, 1)
    along = k_z[..., None] * g[:, None, :, 2]
    return 2 * (along - transverse) - (g**2).sum(-1)[:, None]


def flux_metric(g: np.ndarray, wavelength: float) -> np.ndarray:
    """Return D_g = (1 - lambda g_z)^(-1/2).

    A wave k + g crosses the exit surface with the velocity K - g_z. The equation of each wave is
    divided by it, and stays Hermitian for amplitudes that are normalised to flux:
    A_gh -> D_g A_gh D_h. Their squares are the shares of the incident current that a detector
    counts, and without absorption their sum is 1.

    Parameters
    ----------
    g
        Reciprocal vectors in the lab frame, z towards the source, shape (..., 3), 1/angstrom.
    wavelength
        In angstrom.

    Returns
    -------
    metric
        Shape (...).
    """
    return (1 - wavelength * g[..., 2]) ** -0.5


class StructureMatrices:
    """Structure matrices of one crystal as tensors: couplings once, a diagonal for each direction.

    Parameters
    ----------
    table
        Fourier coefficients of the potential.
    wavelength
        In angstrom.
    absorption
        Imaginary part of the potential as a share of the real part.
    device
        Of the tensors.
    dtype
        "float32" or "float64".
    """

    def __init__(
        self,
        table: PotentialTable,
        wavelength: float,
        absorption: float,
        device: torch.device,
        dtype: str,
    ) -> None:
        self.table = table
        self.wavelength = wavelength
        self.absorption = absorption
        self.device = device
        self.dtype = dtype

    def couplings(
        self, hkl: np.ndarray, metric: np.ndarray, change: np.ndarray | None = None
    ) -> torch.Tensor:
        """Return the matrices without their diagonals.

        Parameters
        ----------
        hkl
            Miller indices of the beams, shape (n, S, 3).
        metric
            What rows and columns are multiplied with, 0 for padding, shape (n, S).
        change
            What is added to B of all atoms, square angstrom, shape (n,).

        Returns
        -------
        couplings
            In 1/angstrom^2, shape (n, S, S); complex without inversion centre or with absorption.
        """
        import torch

        values, g_squared = self._tensors
        places = torch.as_tensor(self.table.places(hkl)).to(self.device)
        factors = torch.as_tensor(metric).to(g_squared.dtype).to(self.device)
        couplings = self.table.couplings(values, places, factors)
        if change is not None:
            squares = self.table.couplings(g_squared, places)
            b = torch.as_tensor(change).to(g_squared.dtype).to(self.device)
            couplings *= torch.exp_(squares.mul_(-b[:, None, None] / 4))
        return couplings

    def diagonal(self, g: np.ndarray, metric: np.ndarray, directions: np.ndarray) -> torch.Tensor:
        """Return the diagonals for each incident direction.

        Parameters
        ----------
        g
            Reciprocal vectors in the lab frame, shape (n, S, 3), 1/angstrom.
        metric
            As for the couplings, shape (n, S).
        directions
            Transverse part of the incident wave vectors, shape (n, J, 2), 1/angstrom.

        Returns
        -------
        diagonal
            In 1/angstrom^2, shape (n, J, S); complex with absorption.
        """
        import torch

        diagonal = excitation_diagonal(g, directions, self.wavelength)
        if self.absorption:
            diagonal = diagonal + 1j * self.absorption * self.table.mean.real
        diagonal *= metric[:, None] ** 2
        real = getattr(torch, self.dtype)
        dtype = real.to_complex() if self.absorption else real
        return torch.as_tensor(diagonal).to(dtype).to(self.device)

    @cached_property
    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the table of U, with absorption, and that of g^2."""
        import torch

        real = getattr(torch, self.dtype)
        values = self.table.values * (1 + 1j * self.absorption if self.absorption else 1)
        dtype = real.to_complex() if np.iscomplexobj(values) else real
        return (
            torch.as_tensor(values).to(dtype).to(self.device),
            torch.as_tensor(self.table.g_squared).to(real).to(self.device),
        )
