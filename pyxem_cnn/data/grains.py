"""A scan of silicon grains with known orientations, dynamical or made by diffsims."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_type, given_expected
from pyxem_cnn.data._dynamical import dynamical_spots, probe_radius, silicon
from pyxem_cnn.data._microstructure import Microstructure, microstructure
from pyxem_cnn.data._spots import BEAM_ENERGY, Detector, expected_patterns, patterns_of_spots

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap
    from pyxem.signals import LazyElectronDiffraction2D

__all__ = ["grain_scan"]

# Scan rows in one chunk of the file.
_CHUNK_ROWS = 10
# Of a grain of mean brightness, angstrom.
_MEAN_THICKNESS = 500.0


def grain_scan(
    path: str | os.PathLike[str],
    shape: tuple[int, int] = (60, 60),
    seed: int = 0,
    *,
    n_grains: int | None = None,
    electrons: float = 1e4,
    step: float = 5.0,
    simulator: str = "kinematic",
    overwrite: bool = False,
) -> tuple[LazyElectronDiffraction2D, CrystalMap]:
    """Write a simulated scan of silicon grains to a file and open it lazily.

    The orientations are drawn here, and so is the truth. Where the patterns come from is a choice:

    - "bloch": Bloch waves, for grains of 350 to 650 angstrom in a probe of 1.5 mrad. They are of
      the same solver that models are trained with, but with 128 beams and 19 directions in the
      probe where training takes fewer, other orientations and thicknesses, and images where
      training renders polar patterns.
    - "kinematic": the reflections of diffsims' ``SimulationGenerator``, with their positions and
      kinematic intensities, which are varied at random by 30 percent; nothing of this is shared
      with training.

    Either way spots are Gaussians, or discs of Gaussians, integrated over the pixels, and NumPy
    counts the electrons.

    The grains are cells of a Voronoi diagram, of different size, each of two or three subgrains
    a few tenths of a degree apart, some bent by up to a degree. One line of positions along every
    grain boundary shows both grains. A strip at the left is vacuum. Patterns have 128 x 128 pixels
    of 0.02 1/angstrom, at 200 kV, with the direct beam off the middle by fractions of a pixel,
    which the signal axes say.

    Parameters
    ----------
    path
        Where to write the scan, ending in .zspy (a folder) or .hspy.
    shape
        Scan positions (rows, columns).
    seed
        Of everything that is random.
    n_grains
        Number of grains; by default one for every 160 positions.
    electrons
        Mean number of electrons in a pattern outside the direct beam.
    step
        Distance of scan positions in nm.
    simulator
        "bloch" or "kinematic".
    overwrite
        Whether to replace a file that is there already.

    Returns
    -------
    scan
        The lazily opened scan, counts of dtype uint16 of shape (rows, columns, 128, 128).
    truth
        The true orientations, lab to crystal. ``prop["grain"]`` numbers the grains, -1 in vacuum,
        and ``prop["boundary"]`` is True where the pattern also shows the neighbouring grain; the
        truth is then the grain with the greater share. ``prop["thickness"]`` is that of the
        crystal in angstrom, NaN where it plays no part. Vacuum has the phase id -1.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    FileNotFoundError
        If its folder does not exist.
    ValueError
        If the file ends in something else, or a number is out of range.

    Examples
    --------
    >>> from pyxem_cnn.data import grain_scan
    >>> scan, truth = grain_scan("grains.zspy", shape=(30, 30))  # doctest: +SKIP
    """
    path = _checked_path(path, overwrite)
    rows, columns = _checked_shape(shape)
    check_positive("electrons", electrons)
    check_positive("step", step, remedy="It is in nm.")
    if n_grains is None:
        n_grains = max(2, rows * columns // 160)
    check_positive("n_grains", n_grains, integer=True)
    check_choice("simulator", simulator, ("bloch", "kinematic"))
    structure = microstructure((rows, columns), n_grains, seed)
    disc_radius = probe_radius() if simulator == "bloch" else 0.0
    detector = Detector(electrons=float(electrons), disc_radius=disc_radius)
    if simulator == "bloch":
        patterns = _dynamical_patterns(structure, detector, seed)
    else:
        patterns = expected_patterns(structure.rotations, detector, seed)
    _write(structure, detector, patterns, seed, step, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's and NumPy's deprecations
        import hyperspy.api as hs

        scan = hs.load(path, lazy=True)
    truth = _truth(structure, scan)
    truth.prop["thickness"] = _thickness(structure, simulator).ravel()
    return scan, truth


def _checked_path(path: Any, overwrite: bool) -> Path:
    path = Path(check_type("path", path, (str, os.PathLike))).expanduser()
    if path.suffix not in (".zspy", ".hspy"):
        raise ValueError(given_expected("path", str(path), "a name ending in .zspy or .hspy"))
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.absolute().parent} to write into.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Pass overwrite=True to replace it.")
    return path


def _checked_shape(shape: Any) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(given_expected("shape", shape, "(rows, columns)"))
    for size in shape:
        check_positive("shape", size, integer=True)
    if min(shape) < 4:
        raise ValueError(given_expected("shape", shape, "at least 4 rows and columns"))
    return int(shape[0]), int(shape[1])


def _thickness(structure: Microstructure, simulator: str) -> np.ndarray:
    """Return the thickness at every position in angstrom, NaN in vacuum and for kinematics."""
    known = (structure.grain >= 0) & (simulator == "bloch")
    return np.where(known, _MEAN_THICKNESS * structure.brightness, np.nan)


def _dynamical_patterns(structure: Microstructure, detector: Detector, seed: int) -> np.ndarray:
    """Return the expected electrons of every orientation, shape (n + 1, rows, columns)."""
    # An orientation belongs to one grain, and a grain has one thickness.
    thickness = np.empty(len(structure.rotations))
    thickness[structure.orientation] = _thickness(structure, "bloch")
    spots = dynamical_spots(structure.rotations[:-1], thickness[:-1], seed)
    return patterns_of_spots([*spots, None], detector)


def _write(
    structure: Microstructure,
    detector: Detector,
    patterns: np.ndarray,
    seed: int,
    step: float,
    path: Path,
) -> None:
    """Write counted patterns to a file, block of rows by block of rows."""
    import dask.array as da

    blocks = [
        da.from_delayed(
            _delayed_rows(structure, detector, patterns, slice(first, first + _CHUNK_ROWS), seed),
            shape=(
                min(_CHUNK_ROWS, structure.shape[0] - first),
                structure.shape[1],
                *detector.shape,
            ),
            dtype=np.uint16,
        )
        for first in range(0, structure.shape[0], _CHUNK_ROWS)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's and NumPy's deprecations
        from pyxem.signals import LazyElectronDiffraction2D

        scan = LazyElectronDiffraction2D(da.concatenate(blocks))
        _calibrate(scan, detector, step)
        scan.metadata.General.title = f"simulated silicon grains, seed {seed}"
        scan.save(path, overwrite=True, show_progressbar=False)


def _delayed_rows(*arguments: Any) -> Any:
    import dask

    return dask.delayed(_counted_rows, pure=False)(*arguments)


def _counted_rows(
    structure: Microstructure,
    detector: Detector,
    patterns: np.ndarray,
    rows: slice,
    seed: int,
) -> np.ndarray:
    """Return counts of some scan rows, shape (rows, columns, detector rows, detector columns)."""
    orientation = structure.orientation[rows]
    counts = np.empty((*orientation.shape, *detector.shape), dtype=np.uint16)
    for row, column in np.ndindex(orientation.shape):
        position = (rows.start + row, column)
        # A generator for every position: the same counts whatever the chunks.
        generator = np.random.default_rng([seed, *position])
        share = structure.neighbour_share[position]
        expected = patterns[structure.orientation[position]]
        if share:
            neighbour = patterns[structure.neighbour[position]]
            expected = (1 - share) * expected + share * neighbour
        brightness = structure.brightness[position]
        expected = detector.direct_beam + brightness * (expected - detector.direct_beam)
        counts[row, column] = generator.poisson(expected).clip(max=np.iinfo(np.uint16).max)
    return counts


def _calibrate(scan: Any, detector: Detector, step: float) -> None:
    """Set axes and beam energy: the beam lies at the origin of the signal axes."""
    for axis, name in zip(scan.axes_manager.navigation_axes, ("x", "y"), strict=True):
        axis.name, axis.units, axis.scale = name, "nm", step
    for axis, name, center in zip(
        scan.axes_manager.signal_axes, ("kx", "ky"), detector.center, strict=True
    ):
        axis.name, axis.units = name, r"$\AA^{-1}$"
        axis.scale, axis.offset = detector.scale, -center * detector.scale
    scan.metadata.set_item("Acquisition_instrument.TEM.beam_energy", BEAM_ENERGY)


def _truth(structure: Microstructure, scan: Any) -> CrystalMap:
    """Return the true orientations as a crystal map with the scan's coordinates."""
    from pyxem_cnn.maps.building import build_crystal_map, coordinates_of_axes

    truth = build_crystal_map(
        structure.rotations[structure.orientation].reshape(-1, 4),
        np.where(structure.grain < 0, -1, 0).ravel(),
        [silicon()],
        coordinates=coordinates_of_axes(scan.axes_manager.navigation_axes),
    )
    truth.prop["grain"] = structure.grain.ravel()
    truth.prop["boundary"] = (structure.neighbour_share > 0).ravel()
    return truth
