"""Zone-axis libraries: spot lists for directions in the fundamental sector, in memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn.rotations import normalize, with_zone_axis
from pyxem_cnn.simulation.kinematic import KinematicSimulator, SpotList
from pyxem_cnn.simulation.sampling import zone_axis_grid

if TYPE_CHECKING:
    import torch

    from pyxem_cnn.phases import CrystalStructure
    from pyxem_cnn.simulation.library.spots import DeviceArrays, Spots

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class ZoneAxisLibrary:
    """Spots of one crystal for many orientations; every in-plane angle follows by turning them.

    Attributes
    ----------
    crystal
        The structure.
    accelerating_voltage
        In kV.
    orientation
        Quaternions of the entries, lab to crystal, shape (n, 4).
    spots
        The spot lists, in the order of ``orientation``, float32.
    with_shape_factor
        True where ``spots.intensity`` already holds the fall-off with excitation error; otherwise
        it is |F|^2 and the renderer applies a relrod of random width.
    mirror
        True where a mirrored pattern (ky -> -ky) is the pattern of another orientation of the same
        crystal: kinematic intensities obey Friedel's law, so ``O`` becomes ``O * C2y``.
    """

    crystal: CrystalStructure
    accelerating_voltage: float
    orientation: np.ndarray
    spots: SpotList
    with_shape_factor: bool = False
    mirror: bool = True

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.orientation)

    def __repr__(self) -> str:
        """Return phase and sizes in one line."""
        return (
            f"<ZoneAxisLibrary {self.crystal.name}, {self.accelerating_voltage:g} kV: "
            f"{len(self)} zone axes, {self.spots.k.shape[1]} spots>"
        )

    @property
    def is_dynamical(self) -> bool:
        """Return False: the intensities hold no multiple scattering that one could rely on."""
        return False

    @property
    def largest_excitation_error(self) -> float:
        """Return half the thickness of the slab that the spots lie in, 1/angstrom."""
        return float(np.abs(self.spots.excitation_error).max(initial=0.0))

    @property
    def shortest_reflection(self) -> float:
        """Return the distance of the nearest spot of any strength from the direct beam, 1/A."""
        k = self.spots.k[self.spots.intensity > 1e-3]
        return float(np.sqrt((k**2).sum(-1)).min(initial=1.0))

    def draw(self, n: int, generator: torch.Generator) -> Spots:
        """Draw entries, turned about the beam and mirrored at random.

        Parameters
        ----------
        n
            How many.
        generator
            Source of random numbers; the spots are on its device.
        """
        import torch

        from pyxem_cnn.simulation.library.spots import Spots, mirrored, turned

        device = generator.device
        arrays = self._arrays.on(device)
        index = torch.randint(len(self), (n,), generator=generator, device=device)
        spots = Spots(
            arrays["k"][index],
            arrays["intensity"][index][..., None],
            arrays["orientation"][index],
            torch.full((n,), torch.nan, device=device),
            excitation_error=None if self.with_shape_factor else arrays["excitation_error"][index],
        )
        if self.mirror:
            spots = mirrored(spots, np.array([1.0, 0.0, 0.0, 0.0]), generator)
        return turned(spots, generator)

    @cached_property
    def _arrays(self) -> DeviceArrays:
        from pyxem_cnn.simulation.library.spots import DeviceArrays

        return DeviceArrays(vars(self.spots) | {"orientation": self.orientation})


def single_precision(spots: SpotList) -> SpotList:
    """Return the list in float32, strongest reflection of the library scaled to 1."""
    largest = spots.intensity.max(initial=1e-30)
    return SpotList(
        spots.k.astype(np.float32),
        (spots.intensity / largest).astype(np.float32),
        spots.excitation_error.astype(np.float32),
    )


def kinematic_library(
    crystal: CrystalStructure,
    accelerating_voltage: float,
    *,
    k_max: float = 1.6,
    max_excitation_error: float | None = None,
    n_zone_axes: int | None = None,
    n_spots: int = 128,
    offset: float = 0.0,
) -> ZoneAxisLibrary:
    """Simulate kinematic spots on an even grid of the Laue group's fundamental sector.

    Parameters
    ----------
    crystal
        The structure.
    accelerating_voltage
        In kV.
    k_max
        Largest distance of a spot from the direct beam, 1/angstrom.
    max_excitation_error
        Half the thickness of the slab around the Ewald sphere, 1/angstrom. By default 0.1, or less
        where the cell is so large that the slab holds more than ``n_spots`` reflections.
    n_zone_axes
        About how many; by default a spacing of 0.4 degrees, at most 30,000.
    n_spots
        Longest spot list.
    offset
        Turns the grid, in turns: libraries with other offsets hold other zone axes.
    """
    simulator = KinematicSimulator(
        crystal, accelerating_voltage, k_max * 1.05, max_excitation_error or 0.1
    )
    if max_excitation_error is None:
        simulator = _fit_slab(simulator, n_spots)
    operations = crystal.laue_group_matrices()
    if n_zone_axes is None:
        n_zone_axes = min(30_000, round(4 * np.pi / np.deg2rad(0.4) ** 2 / len(operations)))
    orientation = with_zone_axis(zone_axis_grid(operations, n=n_zone_axes, offset=offset))
    _logger.info("simulating %d zone axes of %s", len(orientation), crystal.name)
    spots = single_precision(simulator.spots(orientation, n_spots))
    return ZoneAxisLibrary(crystal, accelerating_voltage, orientation.astype(np.float32), spots)


def _fit_slab(simulator: KinematicSimulator, n_spots: int) -> KinematicSimulator:
    """Return a simulator whose slab around the sphere holds about ``n_spots`` reflections."""
    g_max = np.linalg.norm(simulator.g, axis=1).max(initial=1e-30)
    # Reflections fill the sphere of radius g_max evenly; the slab is a cylinder 2 s high.
    density = len(simulator.g) / (4 / 3 * np.pi * g_max**3)
    expected = density * np.pi * simulator.k_max**2 * 2 * simulator.max_excitation_error
    if expected <= n_spots:
        return simulator
    error = simulator.max_excitation_error * n_spots / expected
    return KinematicSimulator(
        simulator.crystal, simulator.accelerating_voltage, simulator.k_max, error
    )


def library_from_simulation(
    simulation: Any, crystal: CrystalStructure | None = None, n_spots: int = 128
) -> ZoneAxisLibrary:
    """Turn a diffsims ``Simulation2D`` of one phase into a library.

    Parameters
    ----------
    simulation
        Result of ``SimulationGenerator.calculate_diffraction2d`` for one phase and several
        rotations.
    crystal
        The structure; by default that of the simulation's phase.
    n_spots
        Longest spot list; the strongest spots are kept.

    Raises
    ------
    ValueError
        If the simulation has several phases or fewer than 100 rotations.
    """
    from pyxem_cnn.phases import as_crystal_structure

    rotations = simulation.rotations
    if simulation.has_multiple_phases or rotations.size < 100:
        several = simulation.has_multiple_phases
        given = "several phases" if several else f"{rotations.size} rotations"
        raise ValueError(
            f"Given: a Simulation2D with {given}. Expected: one phase and at least 100 rotations "
            "that cover the fundamental sector. Use simulation.iphase[...] or a finer sampling, "
            "such as orix.sampling.get_sample_reduced_fundamental(resolution=1, point_group=...)."
        )
    crystal = crystal or as_crystal_structure(simulation.phases)
    lists = [_diffsims_spots(vectors, n_spots) for vectors in simulation.coordinates]
    spots = SpotList(*(np.stack(parts) for parts in zip(*lists, strict=True)))
    return ZoneAxisLibrary(
        crystal,
        float(simulation.simulation_generator.accelerating_voltage),
        normalize(rotations.data.reshape(-1, 4)).astype(np.float32),
        single_precision(spots),
        with_shape_factor=True,
    )


def _diffsims_spots(vectors: Any, n_spots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (n_spots, 2), (n_spots,), (n_spots,) of one pattern, without the direct beam."""
    k = np.asarray(vectors.data, dtype=np.float64).reshape(-1, 3)
    intensity = np.asarray(vectors.intensity, dtype=np.float64).reshape(-1)
    outside = np.hypot(k[:, 0], k[:, 1]) > 1e-6
    k, intensity = k[outside], intensity[outside]
    best = np.argsort(-intensity)[:n_spots]
    padded_k, padded = np.zeros((n_spots, 2)), np.zeros(n_spots)
    padded_k[: len(best)] = k[best, :2]
    padded[: len(best)] = intensity[best]
    return padded_k, padded, np.zeros(n_spots)


def split(library: ZoneAxisLibrary, every: int) -> tuple[ZoneAxisLibrary, ZoneAxisLibrary]:
    """Return a library without every n-th entry, and one of these entries only."""
    held_out = np.arange(len(library)) % every == 0
    return tuple(
        replace(
            library,
            orientation=library.orientation[chosen],
            spots=SpotList(
                library.spots.k[chosen],
                library.spots.intensity[chosen],
                library.spots.excitation_error[chosen],
            ),
        )
        for chosen in (~held_out, held_out)
    )
