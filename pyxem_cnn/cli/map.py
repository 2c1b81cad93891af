"""`pyxem-cnn map`: from a scan and models to a crystal map file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.text import Text

from pyxem_cnn.cli._console import Debug, Overwrite, console, messages, refuse_existing
from pyxem_cnn.cli._writing import save_figure, tell_written

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["load_scan", "map_scan", "save_figures"]

_ScanArgument = Annotated[Path, typer.Argument(help="The scan: a file that HyperSpy reads.")]
_ModelArgument = Annotated[
    list[str], typer.Argument(help="Model files or names of shipped models; phases compete.")
]
_Output = Annotated[Path, typer.Option("--output", "-o", help="Map file, .h5, .ang, .ctf or .csv.")]


def map_scan(
    scan: _ScanArgument,
    models: _ModelArgument,
    output: _Output,
    beam_energy: Annotated[float | None, typer.Option(help="Of the scan, in kV.")] = None,
    scale: Annotated[float | None, typer.Option(help="1/angstrom per pixel.")] = None,
    center: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Direct beam, column and row in pixels.", metavar="X Y"),
    ] = None,
    camera_length: Annotated[float | None, typer.Option(help="In mm.")] = None,
    flip_x: Annotated[bool, typer.Option("--flip-x", help="Patterns are mirrored.")] = False,
    flip_y: Annotated[bool, typer.Option("--flip-y", help="Patterns are upside down.")] = False,
    transpose: Annotated[bool, typer.Option("--transpose", help="Swap rows and columns.")] = False,
    find_center: Annotated[
        bool, typer.Option("--find-center", help="Find the direct beam in the patterns.")
    ] = False,
    n_best: Annotated[int, typer.Option(min=1, help="Orientations for each pattern.")] = 1,
    minimum_score: Annotated[
        float, typer.Option(min=0, max=1, help="Points with a lower score are not indexed.")
    ] = 0.0,
    on_read_error: Annotated[
        str, typer.Option(help="Damaged parts of the scan: 'raise', or 'skip' and warn.")
    ] = "raise",
    device: Annotated[
        str, typer.Option(help="auto (all GPUs, else the CPU), cpu, cuda, cuda:1, ...")
    ] = "auto",
    signal_mask: Annotated[
        Path | None, typer.Option(help="Pixels to leave out are True, .npy file.")
    ] = None,
    navigation_mask: Annotated[
        Path | None, typer.Option(help="Positions to leave out are True, .npy file.")
    ] = None,
    neighbours: Annotated[
        bool,
        typer.Option(
            "--neighbours", help="Choose between orientations of a point as its neighbours have it."
        ),
    ] = False,
    twins: Annotated[
        bool,
        typer.Option("--twins", help="List which orientations of a point are twins of its best."),
    ] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="Write IPF maps and scores beside the map.")
    ] = False,
    store: Annotated[
        Path | None,
        typer.Option(help="Keep finished blocks in this folder, .zarr, and go on if it is there."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Only go on: the store has to be there.")
    ] = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Map the orientations of a scan with one or several models."""
    geometry = {
        "beam_energy": beam_energy,
        "scale": scale,
        "center": center,
        "camera_length": camera_length,
        "flip_x": flip_x or None,
        "flip_y": flip_y or None,
        "transpose": transpose or None,
    }
    with messages(debug):
        from pyxem_cnn.indexing.store.target import check_store
        from pyxem_cnn.maps.files.export import check_map_path, save_crystal_map

        # Everything that can be refused is refused before the scan is read.
        _check_n_best(n_best, {"--neighbours": neighbours, "--twins": twins})
        written = [output, *(_figure_paths(output).values() if figures else [])]
        refuse_existing(written, overwrite)
        check_map_path(output, overwrite)
        # --overwrite is for the files that are written at the end, never for a store.
        kept = {"store": store, "resume": resume or None}
        path = check_store(**kept)
        goes_on = path is not None and path.exists()
        masks = {"signal_mask": _read_mask(signal_mask)}
        masks["navigation_mask"] = _read_mask(navigation_mask)

        from pyxem_cnn.model import load_model

        loaded = [load_model(model) for model in models]
        signal = load_scan(scan)
        _check_navigation(signal)
        start = time.perf_counter()
        xmap = signal.get_orientation_map_cnn(
            loaded,
            n_best=n_best,
            minimum_score=minimum_score,
            on_read_error=on_read_error,
            geometry={key: value for key, value in geometry.items() if value is not None},
            find_center=find_center,
            device=device,
            show_progressbar=console.is_terminal,
            **masks,
            **kept,
        )
        seconds = time.perf_counter() - start
        if neighbours:
            from pyxem_cnn.maps.neighbour_choice import choose_by_neighbours

            xmap = choose_by_neighbours(xmap)
        summary = ""
        if twins:
            from pyxem_cnn.maps.twins.list_twins import list_twins

            listed = list_twins(xmap, accelerating_voltage=loaded[0].accelerating_voltage)
            xmap, summary = listed.to_crystal_map(), f"\n{listed.summary()}\n\n"
        save_crystal_map(xmap, output, overwrite)
        _tell(xmap, seconds, goes_on)
        console.print(Text(summary), end="", soft_wrap=True)
        if figures:
            written[1:] = save_figures(xmap, _figure_paths(output))
        if store is not None:
            written.append(store)
        tell_written(written)


def load_scan(path: Path) -> Any:
    """Return a scan, lazily opened, as a signal that can be mapped.

    Parameters
    ----------
    path
        Anything that HyperSpy reads.

    Returns
    -------
    signal
        A pyxem signal; plain two-dimensional signals become ``ElectronDiffraction2D``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds several signals, or one that is not two-dimensional.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}; looked in {path.absolute().parent}.")
    import hyperspy.api as hs

    signal = hs.load(path, lazy=True)
    if isinstance(signal, list):
        titles = ", ".join(repr(one) for one in signal)
        raise ValueError(
            f"{path} holds {len(signal)} signals: {titles}. Expected: one. Save the scan alone."
        )
    if signal.axes_manager.signal_dimension != 2:
        raise ValueError(f"{path} holds {signal!r}, expected patterns of two dimensions.")
    if not hasattr(signal, "get_orientation_map_cnn"):
        signal.set_signal_type("electron_diffraction")
    return signal


def save_figures(xmap: CrystalMap, paths: dict[str, Path]) -> list[Path]:
    """Write figures of a map.

    Parameters
    ----------
    xmap
        The map.
    paths
        Where to, for "ipf" (inverse pole figure maps) and any names of properties.

    Returns
    -------
    paths
        What was written.
    """
    import matplotlib.pyplot as plt

    from pyxem_cnn.plot import plot_ipf_maps, plot_property_map

    plt.switch_backend("Agg")
    for name, path in paths.items():
        figure = plot_ipf_maps(xmap) if name == "ipf" else plot_property_map(xmap, name)
        save_figure(figure, path)
    return list(paths.values())


def _figure_paths(output: Path) -> dict[str, Path]:
    names = {"ipf": "ipf", "scores": "scores", "reliability": "reliability"}
    return {key: output.with_name(f"{output.stem}_{name}.png") for key, name in names.items()}


def _read_mask(path: Path | None) -> np.ndarray | None:
    """Return a mask from a .npy file; its shape and type are checked against the scan later."""
    if path is None:
        return None
    if not path.is_file():
        raise FileNotFoundError(f"There is no mask file {path}.")
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is no .npy file of numbers: {error}") from error


def _check_navigation(signal: Any) -> None:
    n = signal.axes_manager.navigation_dimension
    if n not in (1, 2):
        raise ValueError(
            f"The scan has {n} navigation axes, expected 1 or 2, since a file holds one map. "
            "Save the parts of the scan one by one, s.inav[...]."
        )


def _check_n_best(n_best: int, asked: dict[str, bool]) -> None:
    """Refuse options that need several orientations where there is one."""
    for option in (name for name, is_asked in asked.items() if is_asked and n_best < 2):
        raise ValueError(f"{option}: got --n-best 1, expected 2 or more orientations of a point.")


def _tell(xmap: CrystalMap, seconds: float, goes_on: bool) -> None:
    """Print what the map holds, and how fast it was mapped unless a store held a part of it."""
    n = xmap.size
    speed = f"{n / seconds:.0f} patterns/s, start-up included"
    if goes_on:
        speed = "going on with what the store held"
    lines = [f"{n} patterns in {seconds:.1f} s, {speed}"]
    for phase_id, phase in xmap.phases_in_data:
        count = int((xmap.phase_id == phase_id).sum())
        name = "not indexed" if phase_id < 0 else phase.name
        lines.append(f"{name}: {count} ({100 * count / n:.1f} %)")
    scores = np.asarray(xmap.prop["scores"]).reshape(n, -1)[:, 0]
    if np.isfinite(scores).any():
        lines.append(f"median score {np.nanmedian(scores):.2f}")
    console.print(Text("\n".join(lines)))
