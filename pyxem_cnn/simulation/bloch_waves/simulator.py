"""Dynamical diffraction: Bloch waves of many orientations, thicknesses and directions at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_shape, given_expected
from pyxem_cnn._torch import resolve_device
from pyxem_cnn.crystal.zone_axes import low_index_zones
from pyxem_cnn.detector.calibration import check_beam_energy, electron_wavelength
from pyxem_cnn.phases import as_crystal_structure
from pyxem_cnn.rotations import conjugate, rotate, zone_axis
from pyxem_cnn.simulation.bloch_waves.arguments import (
    as_quaternions,
    check_change,
    check_generator,
    check_n_beams,
    check_thicknesses,
)
from pyxem_cnn.simulation.bloch_waves.dynamical_spots import DynamicalSpots
from pyxem_cnn.simulation.bloch_waves.potential_table import PotentialTable
from pyxem_cnn.simulation.bloch_waves.probe_tilts import Probe
from pyxem_cnn.simulation.bloch_waves.structure_matrix import StructureMatrices, flux_metric
from pyxem_cnn.simulation.kinematic import reflections_within
from pyxem_cnn.simulation.structure_factors import (
    allowed_by_centring,
    inversion_centre,
    isotropic_b,
    potential_coefficients,
    structure_factors,
)

if TYPE_CHECKING:
    import torch
    from diffpy.structure import Structure
    from orix.crystal_map import Phase
    from orix.quaternion import Rotation

    from pyxem_cnn.phases import CrystalStructure
    from pyxem_cnn.simulation.bloch_waves.beam_selection import Candidates

# Bytes of structure matrices and amplitudes that are held at once.
_BLOCK_BYTES = {"cpu": 2**25, "cuda": 2**30}


class BlochWaveSimulator:
    """Dynamical diffraction of one crystal by Bloch waves.

    Parameters
    ----------
    phase
        A crystal structure, an orix phase, a diffpy structure, or the path of a .cif file.
    accelerating_voltage
        In kV.
    convergence_angle
        Semi-angle of the probe's cone, mrad; 0 for a parallel beam.
    precession_angle
        Angle between the beam in precession and its axis, degrees; 0 for none. Spots are those of a
        beam that is brought back to the axis behind the specimen.
    thicknesses
        In angstrom.
    n_beams
        How many beams take part in each orientation, direct beam included, at most.
    g_max
        Longest reciprocal vector of a beam, 1/angstrom; 2.5 by default, further than the detector
        reaches: beams outside of it change those inside.
    n_tilts
        Directions of the incident beam in the cone. By default 19, and a single one in precession,
        which averages over many anyway: discs are uniform then.
    n_precession
        Azimuths of the beam in precession for each of them. By default 72 for a single direction
        and 36 for each of several.
    debye_waller
        Displacement parameters B = 8 pi^2 <u^2> in square angstrom, for all atoms or by element.
        By default those of the structure, and 0.5 where they are unknown; 0 for atoms at rest.
    absorption
        Imaginary part of the potential as a share of the real part, as in 0.1; none by default.
    polarity
        Whether patterns of a crystal and of its inverse are told apart when orientations are
        compared. By default they are, unless the crystal has an inversion centre. Only kept here,
        for libraries: the simulation is always that of the crystal as it is.
    device
        Where to compute: "cpu", "cuda", "auto" or another torch device.
    dtype
        "float32" or "float64".

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or value.

    Warns
    -----
    UserWarning
        If all thicknesses are below 100 angstrom.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_cnn import BlochWaveSimulator, CrystalStructure
    >>> silicon = CrystalStructure.from_asymmetric_unit(
    ...     (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
    ... )
    >>> simulator = BlochWaveSimulator(silicon, accelerating_voltage=200, n_beams=32)
    >>> simulator.calculate(np.array([[1.0, 0, 0, 0]]))
    <DynamicalSpots: 1 orientations, 5 thicknesses, 32 beams, 19 directions>
    """

    def __init__(
        self,
        phase: CrystalStructure | Phase | Structure | str | Path,
        *,
        accelerating_voltage: float,
        convergence_angle: float = 1.5,
        precession_angle: float = 0.0,
        thicknesses: Sequence[float] = (200.0, 400.0, 600.0, 800.0, 1000.0),
        n_beams: int = 64,
        g_max: float | None = None,
        n_tilts: int | None = None,
        n_precession: int | None = None,
        debye_waller: float | Mapping[str, float] | None = None,
        absorption: float | None = None,
        polarity: bool | None = None,
        device: str | torch.device = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.crystal = as_crystal_structure(phase)
        self.accelerating_voltage = check_beam_energy(accelerating_voltage, "accelerating_voltage")
        self.wavelength = electron_wavelength(self.accelerating_voltage)
        self.convergence_angle, self.precession_angle, self.absorption = (
            float(check_positive(name, value, allow_zero=True))
            for name, value in (
                ("convergence_angle", convergence_angle),
                ("precession_angle", precession_angle),
                ("absorption", absorption or 0.0),
            )
        )
        self.thicknesses = check_thicknesses(thicknesses)
        self.n_beams = check_n_beams(n_beams)
        self.g_max = float(check_positive("g_max", 2.5 if g_max is None else g_max))
        self._probe = Probe.from_angles(
            self.wavelength,
            self.convergence_angle,
            self.precession_angle,
            n_tilts,
            n_precession,
        )
        self.n_tilts, self.n_precession = self._probe.n_tilts, self._probe.n_precession
        self.device = resolve_device(device)
        self.dtype = check_choice("dtype", dtype, ("float32", "float64"))
        self._origin = inversion_centre(self.crystal)
        self.polarity = self._origin is None if polarity is None else bool(polarity)
        self._b_iso = isotropic_b(self.crystal, debye_waller)
        table = PotentialTable(self.crystal.reciprocal_basis, self.g_max, self.potential)
        self._matrices = StructureMatrices(
            table, self.wavelength, self.absorption, self.device, self.dtype
        )
        self._hkl = self._reflections()

    @property
    def is_centrosymmetric(self) -> bool:
        """Return whether structure matrices are real."""
        return self._origin is not None

    def potential(self, hkl: np.ndarray) -> np.ndarray:
        """Return the Fourier coefficients U of the potential that the simulation uses.

        Parameters
        ----------
        hkl
            Miller indices, shape (n, 3).

        Returns
        -------
        coefficients
            In 1/angstrom^2, shape (n,); thermal motion is in them, absorption is not. Real, with
            phases that refer to an inversion centre, where the crystal has one.
        """
        factors = structure_factors(self.crystal, hkl, self._b_iso, self._origin)
        if self._origin is not None:
            factors = factors.real
        return potential_coefficients(self.crystal, factors, self.accelerating_voltage)

    def calculate(
        self,
        orientations: np.ndarray | Rotation,
        *,
        thicknesses: Sequence[float] | np.ndarray | None = None,
        generator: np.random.Generator | None = None,
        debye_waller_change: np.ndarray | None = None,
        show_progressbar: bool = False,
    ) -> DynamicalSpots:
        """Return the spots of orientations.

        Parameters
        ----------
        orientations
            Quaternions of shape (n, 4), scalar first, lab to crystal, or an orix rotation.
        thicknesses
            In angstrom, shape (T,), or (n, T) with others for each orientation. By default those
            of the simulator.
        generator
            Draws the directions in the probe cone afresh for every orientation. Without it they are
            the same for all: the centre and rings around it. Patterns that a network learns from
            need a generator: it would read the in-plane angle from what all of them share.
        debye_waller_change
            What is added to B of all atoms, square angstrom, shape (n,).
        show_progressbar
            Whether to show a progress bar.

        Returns
        -------
        spots
            Beams, intensities and incident directions.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value.
        """
        from tqdm.auto import tqdm

        quaternions = as_quaternions(orientations)
        n = len(quaternions)
        depths = self.thicknesses if thicknesses is None else check_thicknesses(thicknesses, n)
        change = check_change(debye_waller_change, n)
        cone, directions = self._probe.directions(n, check_generator(generator))
        spots = self._empty(n, depths, cone)
        block = self._block_length(depths.shape[-1], directions)
        with tqdm(
            total=n, desc="Bloch waves", unit="orientation", disable=not show_progressbar
        ) as bar:
            for start in range(0, n, block):
                part = slice(start, start + block)
                own_depths = depths[part] if depths.ndim == 2 else depths
                own_change = None if change is None else change[part]
                beams = self._beams(quaternions[part])
                k, intensity = self._propagate(
                    quaternions[part], beams, own_depths, directions[part], own_change
                )
                spots.hkl[part], spots.k[part], spots.intensity[part] = beams[0], k, intensity
                bar.update(len(k))
        return spots

    def calculate_beams(
        self,
        orientation: np.ndarray | Rotation,
        hkl: np.ndarray,
        *,
        directions: np.ndarray | None = None,
        thicknesses: Sequence[float] | None = None,
    ) -> np.ndarray:
        """Return the intensities of beams that the caller chooses.

        Parameters
        ----------
        orientation
            One quaternion of shape (1, 4), lab to crystal, or an orix rotation.
        hkl
            Miller indices of all beams that take part, 000 first, within `g_max`, shape (S, 3).
        directions
            Transverse part of the incident wave vectors in the lab frame, 1/angstrom, shape (J, 2).
            By default one beam along -z.
        thicknesses
            In angstrom, shape (T,). By default those of the simulator.

        Returns
        -------
        intensity
            For unit incident intensity in each direction, shape (T, S, J).

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value.
        """
        quaternion = check_shape("orientation", as_quaternions(orientation), (1, 4))
        hkl = check_shape("hkl", np.asarray(hkl, dtype=int), ("S", 3))
        g = np.linalg.norm(hkl @ self.crystal.reciprocal_basis.T, axis=1)
        if len(hkl) == 0 or g[0] > 0 or not np.all((g[1:] > 0) & (g[1:] <= self.g_max + 1e-9)):
            expected = f"000 first, then other reflections up to g_max = {self.g_max:g} 1/angstrom"
            raise ValueError(given_expected("hkl", hkl.tolist(), expected))
        directions = np.zeros((1, 2)) if directions is None else np.asarray(directions, float)
        check_shape("directions", directions, ("J", 2))
        depths = self.thicknesses if thicknesses is None else check_thicknesses(thicknesses)
        beams = hkl[None], np.ones((1, len(hkl)), dtype=bool)
        return self._propagate(quaternion, beams, depths, directions[None, :, None], None)[1][0]

    def _propagate(
        self,
        quaternions: np.ndarray,
        beams: tuple[np.ndarray, np.ndarray],
        thicknesses: np.ndarray,
        directions: np.ndarray,
        change: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return positions (n, S, 2) and intensities (n, T, S, J), mean over azimuths (n, J, P)."""
        import torch

        from pyxem_cnn.simulation.bloch_waves.propagation import propagate_directions

        hkl, is_beam = beams
        g = rotate(conjugate(quaternions)[:, None], hkl @ self.crystal.reciprocal_basis.T)
        # 0 keeps padding apart from the beams.
        metric = flux_metric(g, self.wavelength) * is_beam
        couplings = self._matrices.couplings(hkl, metric, change)
        diagonal = self._matrices.diagonal(g, metric, directions.reshape(len(g), -1, 2))
        amplitudes = propagate_directions(couplings, diagonal, thicknesses, self.wavelength)
        intensity = torch.view_as_real(amplitudes).square().sum(-1)
        # (n, T, J P, S) -> mean over the P azimuths -> (n, T, S, J)
        intensity = intensity.unflatten(2, (directions.shape[1], -1)).mean(3).transpose(2, 3)
        return g[..., :2], intensity.cpu().numpy()

    def _beams(self, quaternions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return hkl (n, S, 3) of the beams, 000 first, and which of them are no padding (n, S)."""
        import torch

        from pyxem_cnn.simulation.bloch_waves.beam_selection import select_beams

        axes = torch.as_tensor(zone_axis(quaternions), dtype=torch.float32).to(self.device)
        chosen = select_beams(self._candidates, axes, self.n_beams - 1).cpu().numpy()
        is_beam = np.pad(chosen >= 0, ((0, 0), (1, 0)), constant_values=True)
        hkl = np.zeros((*is_beam.shape, 3), dtype=np.int32)
        hkl[:, 1:] = np.where(is_beam[:, 1:, None], self._hkl[chosen], 0)
        return hkl, is_beam

    @cached_property
    def _candidates(self) -> Candidates:
        """Return the reflections that may take part."""
        import torch

        from pyxem_cnn.simulation.bloch_waves.beam_selection import (
            Candidates,
            farthest_excitation_error,
        )

        def single(array: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(array, dtype=torch.float32).to(self.device)

        return Candidates(
            single(self._hkl @ self.crystal.reciprocal_basis.T),
            single(np.abs(self.potential(self._hkl))),
            self.wavelength,
            self.convergence_angle * 1e-3 + np.deg2rad(self.precession_angle),
            single(low_index_zones(self.crystal)),
            farthest_excitation_error(self.n_beams),
        )

    def _reflections(self) -> np.ndarray:
        """Return all hkl that may take part, without 000."""
        hkl = reflections_within(self.crystal.reciprocal_basis, self.g_max)
        hkl = hkl[allowed_by_centring(self.crystal, hkl)]
        if not len(hkl):
            raise ValueError(
                given_expected(
                    "g_max", self.g_max, f"more than the shortest g of {self.crystal.name}"
                )
            )
        return hkl

    def _block_length(self, n_thicknesses: int, directions: np.ndarray) -> int:
        """Return how many orientations are computed at once."""
        size = 8 if self.dtype == "float64" else 4
        # Matrices with their indices and g^2; amplitudes and their squares.
        matrices = 4 * self.n_beams**2
        amplitudes = 4 * n_thicknesses * self.n_beams * int(np.prod(directions.shape[1:3]))
        block = _BLOCK_BYTES.get(self.device.type, _BLOCK_BYTES["cpu"])
        return int(np.clip(block // (size * (matrices + amplitudes)), 1, 4096))

    def _empty(self, n: int, depths: np.ndarray, cone: np.ndarray) -> DynamicalSpots:
        """Return spots to be filled in."""
        shape = (n, depths.shape[-1], self.n_beams, cone.shape[1])
        return DynamicalSpots(
            hkl=np.zeros((n, self.n_beams, 3), dtype=np.int32),
            k=np.zeros((n, self.n_beams, 2), dtype=self.dtype),
            intensity=np.zeros(shape, dtype=self.dtype),
            tilts=cone.astype(self.dtype),
            thicknesses=depths,
        )

    def __repr__(self) -> str:
        """Return the crystal and the main settings in one line."""
        return (
            f"<BlochWaveSimulator {self.crystal.name}: {self.accelerating_voltage:g} kV, "
            f"{self.convergence_angle:g} mrad, {self.n_beams} beams within {self.g_max:g} "
            f"1/angstrom, {self.dtype} on {self.device}>"
        )
