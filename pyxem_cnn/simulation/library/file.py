"""Library files: one HDF5 file that explains itself, written chunk by chunk.

While it is written, the file is called ``NAME.part``. Its arrays have their places from the
beginning, so that a process may be killed at any time: chunks that were not marked as done are
simulated again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm.auto import tqdm

from pyxem_cnn._checks import check_positive, given_expected
from pyxem_cnn._version import __version__
from pyxem_cnn.simulation.library.dynamical_library import ARRAYS, DynamicalLibrary
from pyxem_cnn.simulation.library.parameters import LibraryParameters
from pyxem_cnn.simulation.library.simulate import chunks, library_orientations, simulate_chunks

__all__ = ["load_library", "simulate_library"]

_logger = logging.getLogger(__name__)

_FORMAT = "pyxem_cnn dynamical library"
_FORMAT_VERSION = 1
_ABOUT = (
    "Dynamical electron diffraction spots (Bloch waves) of one crystal for zone axes in the "
    "fundamental sector of its point group. The text 'parameters' is JSON: crystal, microscope "
    "(kV, mrad, degrees), thickness range (angstrom), sizes and seed. Each dataset has its axes "
    "and its unit as attributes. Lab frame: x along detector columns, y up, z towards the source."
)


def simulate_library(
    phase: Any,
    accelerating_voltage: float,
    path: str | os.PathLike[str] | None = None,
    *,
    n_threads: int | None = None,
    show_progressbar: bool = True,
    **parameters: Any,
) -> DynamicalLibrary:
    """Simulate the dynamical spots of a phase for zone axes all over the fundamental sector.

    Parameters
    ----------
    phase
        Path of a .cif file, `CrystalStructure`, orix Phase or diffpy Structure.
    accelerating_voltage
        In kV.
    path
        Library file (.h5). If it exists, it is read, and must hold what is asked for. If the
        simulation is interrupted, the same call goes on where it stopped. None for no file.
    n_threads
        Chunks that are simulated at a time; by default as many as there are cores, at most 8.
    show_progressbar
        Whether to show progress.
    **parameters
        Other attributes of :class:`~pyxem_cnn.LibraryParameters`:
        ``convergence_angle`` in mrad (1.5), ``precession_angle`` in degrees (0), ``thicknesses``
        in angstrom ((200, 1000)), ``k_max`` in 1/angstrom (1.6), ``n_zone_axes`` (as many as can be
        simulated in a few minutes on two cores), ``n_thicknesses`` (8), ``n_beams`` (64, more for
        large cells), ``n_tilts`` (7, and 1 with precession), ``debye_waller_spread`` (0.3),
        ``seed`` (0).

    Returns
    -------
    library
        The library, in memory.

    Raises
    ------
    ValueError
        If a parameter is wrong, or the file holds another library.
    OSError
        If the file cannot be read or written, or another process is writing it.
    """
    from pyxem_cnn.phases import as_crystal_structure

    crystal = as_crystal_structure(phase)
    wanted = LibraryParameters.within_budget(crystal, accelerating_voltage, **parameters)
    n_threads = n_threads or min(8, os.cpu_count() or 1)
    check_positive("n_threads", n_threads, integer=True)
    if path is None:
        return _in_memory(wanted, n_threads, show_progressbar)
    path = Path(path).expanduser()
    if path.exists():
        library = load_library(path)
        _refuse_other(path, library.parameters, wanted)
        return library
    _check_folder(path)
    _write(path, wanted, n_threads, show_progressbar)
    return load_library(path)


def load_library(path: str | os.PathLike[str]) -> DynamicalLibrary:
    """Read a library file.

    Parameters
    ----------
    path
        The file, from :func:`simulate_library`.

    Returns
    -------
    library
        The library, in memory.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no library file, or one that is not complete.
    """
    path = Path(path).expanduser()
    if not path.exists():
        part = _part_of(path)
        remedy = (
            f"{part.name} was not completed: call simulate_library with the same arguments."
            if part.exists()
            else "Make it with pyxem_cnn.simulate_library(phase, kV, path)."
        )
        raise FileNotFoundError(f"There is no library file {path}. {remedy}")
    with _opened(path, "r") as file:
        parameters = _read_parameters(path, file)
        if not file["done"][:].all():
            raise ValueError(f"{path} is not complete: {_done(file)}. Simulate it again.")
        arrays = {name: file[name][:] for name in ARRAYS}
    return DynamicalLibrary(parameters, **arrays)


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        told = f"There is no folder {path.parent} for the library {path.name}. "
        raise FileNotFoundError(f"{told}Make it, or pass another path.")


def _shapes(parameters: LibraryParameters, n: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array."""
    lengths = {
        "quaternion": 4,
        "thickness": parameters.n_thicknesses,
        "spot": parameters.n_beams - 1,
        "index": 3,
        "xy": 2,
        "tilt": parameters.n_tilts,
    }
    return {name: (n, *(lengths[a] for a in axes)) for name, (_, axes, _) in ARRAYS.items()}


def _in_memory(
    parameters: LibraryParameters, n_threads: int, show_progressbar: bool
) -> DynamicalLibrary:
    orientations = library_orientations(parameters)
    shapes = _shapes(parameters, len(orientations))
    arrays = {name: np.zeros(shapes[name], dtype) for name, (dtype, _, _) in ARRAYS.items()}
    done = np.zeros(len(chunks(len(orientations))), dtype=bool)
    _fill(arrays, done, parameters, orientations, n_threads, show_progressbar)
    return DynamicalLibrary(parameters, **arrays)


def _write(
    path: Path, parameters: LibraryParameters, n_threads: int, show_progressbar: bool
) -> None:
    """Simulate into a file, or go on with one that was not completed."""
    part, orientations = _part_of(path), library_orientations(parameters)
    if not part.exists():
        _create(part, parameters, len(orientations))
    with _opened(part, "r+") as file:
        _refuse_other(part, _read_parameters(part, file), parameters)
        if file["done"][:].any():
            _logger.info("going on with %s: %s", part, _done(file))
            if json.loads(file.attrs["versions"]) != _versions():
                _logger.warning("%s was begun with other versions of the packages", part)
        _fill(file, file["done"], parameters, orientations, n_threads, show_progressbar, file.flush)
    os.replace(part, path)


def _fill(
    arrays: Mapping[str, Any],
    done: Any,
    parameters: LibraryParameters,
    orientations: np.ndarray,
    n_threads: int,
    show_progressbar: bool,
    flush: Any = lambda: None,
) -> None:
    """Simulate the chunks that are not done into arrays or datasets."""
    parts = chunks(len(orientations))
    missing = np.flatnonzero(~np.asarray(done[:], dtype=bool))
    n_done = len(orientations) - sum(parts[i].stop - parts[i].start for i in missing)
    name = f"simulating {parameters.crystal.name}"
    with tqdm(
        total=len(orientations),
        initial=n_done,
        unit="zone axis",
        desc=name,
        disable=not show_progressbar,
    ) as bar:
        for number, chunk in simulate_chunks(parameters, orientations, missing.tolist(), n_threads):
            for key, values in chunk.items():
                arrays[key][parts[number]] = values
            # What is marked must have been written.
            flush()
            done[number] = True
            flush()
            bar.update(len(values))


def _create(part: Path, parameters: LibraryParameters, n: int) -> None:
    """Write a file without content; a kill half way leaves nothing behind under its name."""
    new = part.with_name(f"{part.name}.{os.getpid()}")
    shapes = _shapes(parameters, n)
    # All of the file's own bookkeeping is written now: later, only numbers change.
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    try:
        with h5py.File(new, "w") as file:
            file.attrs.update(
                format=_FORMAT,
                format_version=_FORMAT_VERSION,
                about=_ABOUT,
                seed=parameters.seed,
                versions=json.dumps(_versions()),
            )
            # Not an attribute: those may not be longer than 64 kB, and large cells are.
            file["parameters"] = json.dumps(parameters.to_dict())
            for name, (dtype, axes, unit) in ARRAYS.items():
                space = h5py.h5s.create_simple(shapes[name])
                kind = h5py.h5t.py_create(np.dtype(dtype))
                h5py.h5d.create(file.id, name.encode(), kind, space, early)
                file[name].attrs.update(axes=["entry", *axes], unit=unit)
            file.create_dataset("done", data=np.zeros(len(chunks(n)), dtype=bool))
            file["done"].attrs.update(axes=["chunk"], unit="")
        os.replace(new, part)
    finally:
        new.unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"pyxem_cnn": __version__} | {n: version(n) for n in ("numpy", "torch", "diffsims")}


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[h5py.File]:
    """Open an HDF5 file, with messages that a user understands."""
    try:
        file = h5py.File(path, mode)
    except BlockingIOError as error:
        raise OSError(f"{path} is being written by another process. Wait until it ends.") from error
    except OSError as error:
        remedy = "Delete it, or pass another path."
        raise ValueError(given_expected("library", str(path), _FORMAT, remedy)) from error
    with file:
        yield file


def _read_parameters(path: Path, file: h5py.File) -> LibraryParameters:
    """Return the parameters of an open file, or refuse it."""
    if file.attrs.get("format") != _FORMAT:
        expected = f"a file of format {_FORMAT!r}"
        raise ValueError(given_expected("library", str(path), expected, "Pass another path."))
    version = int(file.attrs["format_version"])
    if version > _FORMAT_VERSION:
        expected = f"format version {_FORMAT_VERSION} or older"
        raise ValueError(given_expected(str(path), version, expected, "Update pyxem_cnn."))
    return LibraryParameters.from_dict(json.loads(file["parameters"][()]))


def _refuse_other(path: Path, found: LibraryParameters, wanted: LibraryParameters) -> None:
    """Raise if a file holds another library than the wanted one."""
    different = found.differences(wanted)
    if different:
        told = "; ".join(f"{name} {a!r} instead of {b!r}" for name, (a, b) in different.items())
        raise ValueError(
            f"The library {path} is another one than the one that is asked for. It has {told}. "
            "Pass the same parameters, or another path, or delete the file."
        )


def _done(file: h5py.File) -> str:
    done = file["done"][:]
    return f"{int(done.sum())} of {len(done)} chunks are done"


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
