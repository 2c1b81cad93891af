"""Simulation of a dynamical library, chunk by chunk: each chunk has a seed of its own.

So a library does not depend on how many threads made it, nor on how often it was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._torch import limit_threads
from pyxem_cnn.rotations import about_z, multiply, normalize, with_zone_axis
from pyxem_cnn.simulation.sampling import zone_axis_grid

if TYPE_CHECKING:
    from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
    from pyxem_cnn.simulation.library.parameters import LibraryParameters

__all__ = ["CHUNK", "chunks", "library_orientations", "simulate_chunk", "simulate_chunks"]

# Zone axes that are simulated and written together.
CHUNK = 128
_GOLDEN_SECTION = (np.sqrt(5) - 1) / 2


def library_orientations(parameters: LibraryParameters) -> np.ndarray:
    """Return the orientations of a library: quasi-random zone axes, random in-plane angles.

    An even grid of the point group's sector, turned by an irrational angle that depends on the
    seed, with a jitter of a third of its spacing: several zone axes in each cell of a network,
    and none of them at its centre.

    Parameters
    ----------
    parameters
        Of the library.

    Returns
    -------
    orientations
        Quaternions of shape (n, 4), lab to crystal, in random order.
    """
    generator = np.random.default_rng([parameters.seed, 0])
    operations = parameters.crystal.point_group_matrices()
    offset = (_GOLDEN_SECTION * (parameters.seed + 1)) % 1
    axes = zone_axis_grid(operations, n=parameters.n_zone_axes, offset=offset)
    spacing = np.sqrt(4 * np.pi / len(operations) / len(axes))
    axes = axes + spacing / 3 * generator.standard_normal(axes.shape)
    orientations = with_zone_axis(generator.permutation(axes))
    turns = generator.uniform(0, 2 * np.pi, len(orientations))
    return normalize(multiply(orientations, about_z(turns)))


def chunks(n: int) -> list[slice]:
    """Return the slices of ``n`` entries that are simulated together."""
    return [slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]


def simulate_chunks(
    parameters: LibraryParameters,
    orientations: np.ndarray,
    numbers: Sequence[int],
    n_threads: int,
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield number and arrays of chunks, in their order, simulated on several threads.

    Parameters
    ----------
    parameters
        Of the library.
    orientations
        All of them, shape (n, 4).
    numbers
        The chunks that are wanted.
    n_threads
        How many chunks are simulated at a time.
    """
    simulator, b_iso = make_simulator(parameters), mean_b_iso(parameters)
    parts = chunks(len(orientations))

    def simulated(number: int) -> dict[str, np.ndarray]:
        return simulate_chunk(simulator, parameters, b_iso, orientations[parts[number]], number)

    with limit_threads(1):
        yield from _in_order(simulated, numbers, n_threads)


def _in_order(
    function: Callable[[int], Any], numbers: Sequence[int], n_threads: int
) -> Iterator[tuple[int, Any]]:
    """Yield results of a function on threads, never more than a few ahead."""
    waiting: list[tuple[int, Future[Any]]] = []
    left = iter(numbers)
    pool = ThreadPoolExecutor(n_threads)
    try:
        for number in left:
            waiting.append((number, pool.submit(function, number)))
            if len(waiting) > 2 * n_threads:
                number, future = waiting.pop(0)
                yield number, future.result()
        for number, future in waiting:
            yield number, future.result()
    finally:
        # An interrupt waits for chunks that run, not for those that do not run yet.
        pool.shutdown(cancel_futures=True)


def make_simulator(parameters: LibraryParameters) -> BlochWaveSimulator:
    """Return the simulator of a library."""
    from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator

    return BlochWaveSimulator(
        parameters.crystal,
        accelerating_voltage=parameters.accelerating_voltage,
        convergence_angle=parameters.convergence_angle,
        precession_angle=parameters.precession_angle,
        n_beams=parameters.n_beams,
        n_tilts=parameters.n_tilts,
        n_precession=parameters.n_precession,
        # Beams beyond the last ring scatter back into it.
        g_max=1.25 * parameters.k_max,
    )


def simulate_chunk(
    simulator: BlochWaveSimulator,
    parameters: LibraryParameters,
    b_iso: float,
    orientations: np.ndarray,
    number: int,
) -> dict[str, np.ndarray]:
    """Return the arrays of one chunk, see `pyxem_cnn.simulation.library.dynamical_library.ARRAYS`.

    Parameters
    ----------
    simulator
        From `make_simulator`.
    parameters
        Of the library.
    b_iso
        Mean factor B of the atoms, square angstrom, which is changed by a random share.
    orientations
        Those of the chunk, shape (n, 4).
    number
        Of the chunk; it seeds what is random.
    """
    generator = np.random.default_rng([parameters.seed, 1, number])
    n, n_spots = len(orientations), parameters.n_beams - 1
    thickness = _stratified(parameters, n, generator)
    spread = parameters.debye_waller_spread
    change = b_iso * generator.uniform(-spread, spread, n)
    spots = simulator.calculate(
        orientations, thicknesses=thickness, generator=generator, debye_waller_change=change
    )
    # Without the direct beam, which comes first.
    return {
        "orientation": orientations.astype(np.float32),
        "thickness": thickness.astype(np.float32),
        "debye_waller_change": change.astype(np.float32),
        "hkl": _padded(spots.hkl[:, 1:], n_spots, 1, np.int16),
        "k": _padded(spots.k[:, 1:], n_spots, 1, np.float32),
        "tilts": np.asarray(spots.tilts, dtype=np.float32),
        "intensity": _padded(spots.intensity[:, :, 1:], n_spots, 2, np.float16),
    }


def mean_b_iso(parameters: LibraryParameters) -> float:
    """Return the mean factor B of the atoms in square angstrom, as far as it is known."""
    from pyxem_cnn.simulation.structure_factors import isotropic_b

    return float(np.mean(isotropic_b(parameters.crystal, None)))


def _stratified(
    parameters: LibraryParameters, n: int, generator: np.random.Generator
) -> np.ndarray:
    """Return thicknesses of shape (n, n_thicknesses): one in each equal part of the range."""
    low, high = parameters.thicknesses
    steps = np.arange(parameters.n_thicknesses) + generator.random((n, parameters.n_thicknesses))
    return low + (high - low) * steps / parameters.n_thicknesses


def _padded(array: np.ndarray, length: int, axis: int, dtype: type) -> np.ndarray:
    """Return an array with zeros up to a length along one axis."""
    array = np.asarray(array)
    missing = [(0, 0)] * array.ndim
    missing[axis] = (0, length - array.shape[axis])
    return np.pad(array, missing).astype(dtype)
