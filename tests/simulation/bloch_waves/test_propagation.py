"""Propagation by series and by eigenvectors against the two-beam solution and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.special import jv

from pyxem_cnn.simulation.bloch_waves import chebyshev, propagation
from pyxem_cnn.simulation.bloch_waves.chebyshev import propagate_chebyshev
from pyxem_cnn.simulation.bloch_waves.eigen_solver import propagate, propagate_eigen
from pyxem_cnn.simulation.bloch_waves.propagation import propagate_directions

WAVELENGTH = 0.0197
METHODS = (propagate_chebyshev, propagate_eigen)
TOLERANCE = {torch.float32: 3e-4, torch.float64: 1e-11}


def random_crystals(rng, n, n_tilts, n_beams, is_complex, dtype, absorption=0.0):
    """Return Hermitian couplings and diagonals of the size of real ones."""
    couplings = rng.standard_normal((n, n_beams, n_beams))
    if is_complex:
        couplings = couplings + 1j * rng.standard_normal((n, n_beams, n_beams))
    couplings = 0.02 * (couplings + couplings.conj().transpose(0, 2, 1))
    couplings *= 1 - np.eye(n_beams)
    diagonal = rng.uniform(-4, 4, (n, n_tilts, n_beams))
    if absorption:
        couplings, diagonal = couplings * (1 + 1j * absorption), diagonal + 0.05j * absorption
    tensors = torch.as_tensor(couplings), torch.as_tensor(diagonal)
    return tuple(t.to(dtype.to_complex() if t.is_complex() else dtype) for t in tensors)


def by_scipy(couplings, diagonal, thicknesses):
    """Return amplitudes (n, T, J, S) from SciPy's matrix exponential in double precision."""
    thicknesses = np.broadcast_to(thicknesses, (len(couplings), np.shape(thicknesses)[-1]))
    waves = []
    for matrix, tilts, depths in zip(
        couplings.numpy().astype(complex),
        diagonal.numpy().astype(complex),
        thicknesses,
        strict=True,
    ):
        waves.append(
            [
                [expm(1j * np.pi * WAVELENGTH * t * (matrix + np.diag(d)))[:, 0] for d in tilts]
                for t in depths
            ]
        )
    return np.array(waves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("absorption", [0.0, 0.1])
@pytest.mark.parametrize("method", METHODS)
def test_against_scipy(method, absorption, is_complex, dtype, rng):
    crystals = random_crystals(rng, 3, 2, 9, is_complex, dtype, absorption)
    for thicknesses in (np.array([30.0, 700.0]), rng.uniform(10, 900, (3, 2))):
        found = method(*crystals, thicknesses, WAVELENGTH)
        assert found.shape == (3, 2, 2, 9)
        assert found.dtype == dtype.to_complex()
        expected = by_scipy(*crystals, thicknesses)
        assert np.abs(found.numpy() - expected).max() < TOLERANCE[dtype]


@pytest.mark.parametrize("method", METHODS)
def test_two_beams(method):
    """Howie and Whelan: I = sin^2(pi t s_eff) / (s_eff xi)^2, s_eff^2 = s^2 + xi^-2."""
    u, s = 0.05, np.array([-0.004, 0.0, 0.001, 0.01])
    thicknesses = np.array([50.0, 210.0, 999.0])
    xi = 1 / (WAVELENGTH * u)
    couplings = torch.tensor([[[0, u], [u, 0]]], dtype=torch.float64)
    diagonal = torch.zeros((1, len(s), 2), dtype=torch.float64)
    diagonal[0, :, 1] = torch.as_tensor(2 * s / WAVELENGTH)
    found = method(couplings, diagonal, thicknesses, WAVELENGTH)[0].abs().square().numpy()
    effective = np.sqrt(s**2 + xi**-2)
    expected = np.sin(np.pi * thicknesses[:, None] * effective) ** 2 / (effective * xi) ** 2
    np.testing.assert_allclose(found[..., 1], expected, atol=1e-11)
    np.testing.assert_allclose(found[..., 0], 1 - expected, atol=1e-11)


@pytest.mark.parametrize("method", METHODS)
def test_current_is_conserved(method, rng):
    crystals = random_crystals(rng, 2, 3, 20, True, torch.float64)
    waves = method(*crystals, np.array([100.0, 2000.0]), WAVELENGTH)
    np.testing.assert_allclose(waves.abs().square().sum(-1), 1, rtol=1e-11)


@pytest.mark.parametrize("method", METHODS)
def test_mean_absorption_alone(method):
    """Without other couplings, all that is left is exp(-2 pi lambda t U'_0)."""
    couplings = torch.zeros((1, 2, 2), dtype=torch.complex128)
    diagonal = torch.full((1, 1, 2), 0.004j, dtype=torch.complex128)
    waves = method(couplings, diagonal, np.array([500.0]), WAVELENGTH)
    expected = np.exp(-2 * np.pi * WAVELENGTH * 500 * 0.004)
    assert waves[0, 0, 0, 0].abs().item() ** 2 == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_padding_stays_dark(method, rng):
    couplings, diagonal = random_crystals(rng, 1, 2, 8, False, torch.float64)
    whole = method(couplings, diagonal, np.array([400.0]), WAVELENGTH)
    padded = torch.nn.functional.pad(couplings, (0, 3, 0, 3))
    waves = method(padded, torch.nn.functional.pad(diagonal, (0, 3)), np.array([400.0]), WAVELENGTH)
    np.testing.assert_allclose(waves[..., :8], whole, atol=1e-12)
    assert waves[..., 8:].abs().max() == 0


@pytest.mark.parametrize("is_complex", [False, True])
def test_parts_change_nothing(is_complex, rng, monkeypatch):
    crystals = random_crystals(rng, 7, 2, 6, is_complex, torch.float64)
    depths = rng.uniform(100, 500, (7, 3))
    whole = propagate_chebyshev(*crystals, depths, WAVELENGTH)
    monkeypatch.setattr(chebyshev, "_CACHE", 2 * 6 * 6 * 16)
    parts = propagate_chebyshev(*crystals, depths, WAVELENGTH)
    np.testing.assert_allclose(parts, whole, atol=1e-12)


def test_weights_are_bessel_functions():
    z = np.array([[1e-12, 0.3, 5.0], [41.0, 250.3, 900.0]])
    weights = chebyshev._weights(z, 1e-16)
    k = np.arange(weights.shape[-1])
    signs = np.where(k % 4 >= 2, -1, 1) * np.where(k == 0, 1, 2)
    np.testing.assert_allclose(weights, jv(k, z[..., None]) * signs, atol=2e-9)


def test_spectrum_holds_all_eigenvalues(rng):
    couplings, diagonal = random_crystals(rng, 4, 3, 12, True, torch.float64)
    centre, half = chebyshev.spectrum(couplings, diagonal)
    matrices = couplings[:, None] + torch.diag_embed(diagonal).to(couplings.dtype)
    values = torch.linalg.eigvalsh(matrices)
    assert centre - half <= values.min()
    assert values.max() <= centre + half


class TestPropagate:
    def test_refuses_what_is_not_square(self):
        with pytest.raises(ValueError, match="structure_matrix: got an array of shape"):
            propagate(torch.zeros(3, 4), torch.ones(1), WAVELENGTH)

    def test_leading_axes(self, rng):
        couplings, diagonal = random_crystals(rng, 5, 1, 6, True, torch.float64)
        matrices = couplings + torch.diag_embed(diagonal[:, 0]).to(couplings.dtype)
        depths = torch.tensor([100.0, 300.0], dtype=torch.float64)
        together = propagate(matrices, depths, WAVELENGTH)
        assert together.shape == (5, 2, 6)
        np.testing.assert_allclose(together[3], propagate(matrices[3], depths, WAVELENGTH))


class TestChoice:
    @pytest.fixture
    def called(self, monkeypatch):
        names = []

        def spy(name):
            method = getattr(propagation, name)

            def wrapped(*arguments):
                names.append(name)
                return method(*arguments)

            monkeypatch.setattr(propagation, name, wrapped)

        spy("propagate_chebyshev")
        spy("propagate_eigen")
        return names

    @pytest.mark.parametrize("is_complex", [False, True])
    def test_thin_by_series_thick_by_eigenvectors(self, called, is_complex, rng):
        crystals = random_crystals(rng, 1, 2, 6, is_complex, torch.float64)
        for thickness, method in ((100, "propagate_chebyshev"), (2e4, "propagate_eigen")):
            depths = np.array([float(thickness)])
            found = propagate_directions(*crystals, depths, WAVELENGTH)
            assert called[-1] == method
            np.testing.assert_allclose(found, by_scipy(*crystals, depths), atol=1e-9)

    def test_absorption_by_series(self, called, rng):
        crystals = random_crystals(rng, 1, 2, 6, True, torch.float64, absorption=0.1)
        propagate_directions(*crystals, np.array([2e4]), WAVELENGTH)
        assert called == ["propagate_chebyshev"]
