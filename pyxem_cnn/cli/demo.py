"""`pyxem-cnn demo`: map a simulated scan of silicon grains and measure the errors."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.text import Text

from pyxem_cnn.cli._console import Debug, Overwrite, console, messages, refuse_existing, table
from pyxem_cnn.cli.map import load_scan, save_figures

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap
    from rich.table import Table

    from pyxem_cnn.model import OrientationModel

__all__ = ["demo"]

_MODEL = "si_200kV"


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all files.")] = Path(
        "pyxem_cnn_demo"
    ),
    overwrite: Overwrite = False,
    debug: Debug = False,
    model: Annotated[str, typer.Option(hidden=True)] = _MODEL,
    size: Annotated[int, typer.Option(hidden=True, min=8)] = 60,
) -> None:
    """Map a simulated scan of silicon grains and compare with the true orientations.

    The scan is made by diffsims, not by the code that the model learnt from.
    """
    with messages(debug, logging.WARNING):
        files = _Files(output)
        refuse_existing(files.all(), overwrite)

        from pyxem_cnn.model import load_model

        loaded = load_model(model)
        output.mkdir(parents=True, exist_ok=True)
        truth = _make_scan(files.scan, size)
        xmap, seconds = _map(files.scan, loaded)
        _save(xmap, truth, files)
        _report(xmap, truth, seconds)
        console.print(Text(f"Model: {loaded.name}, {loaded.sha256[:12]}...\nFiles:"))
        for path in files.all():
            console.print(Text(f"  {path}"), soft_wrap=True)


@dataclass(frozen=True)
class _Files:
    """Where everything is written."""

    folder: Path

    @property
    def scan(self) -> Path:
        return self.folder / "scan.zspy"

    @property
    def maps(self) -> list[Path]:
        return [self.folder / "map.ang", self.folder / "map.h5"]

    @property
    def figures(self) -> dict[str, Path]:
        return {"ipf": self.folder / "ipf.png", "scores": self.folder / "scores.png"}

    @property
    def truth(self) -> Path:
        return self.folder / "ipf_truth.png"

    @property
    def errors(self) -> Path:
        return self.folder / "errors.png"

    def all(self) -> list[Path]:
        return [self.scan, *self.maps, *self.figures.values(), self.truth, self.errors]


def _make_scan(path: Path, size: int) -> CrystalMap:
    """Write the scan and return its true orientations."""
    from pyxem_cnn.data import grain_scan

    start = time.perf_counter()
    _, truth = grain_scan(path, shape=(size, size), overwrite=True)
    seconds = time.perf_counter() - start
    console.print(f"Simulated {size} x {size} patterns of silicon grains in {seconds:.0f} s")
    return truth


def _map(path: Path, model: OrientationModel) -> tuple[CrystalMap, float]:
    """Return the map of the lazily opened scan and how long it took in seconds."""
    scan = load_scan(path)
    start = time.perf_counter()
    xmap = scan.get_orientation_map_cnn(model, show_progressbar=console.is_terminal)
    return xmap, time.perf_counter() - start


def _save(xmap: CrystalMap, truth: CrystalMap, files: _Files) -> None:
    """Write maps and figures."""
    import matplotlib.pyplot as plt

    from pyxem_cnn.maps.export import save_crystal_map
    from pyxem_cnn.plot import plot_error_map, plot_ipf_maps

    for path in files.maps:
        save_crystal_map(xmap, path, overwrite=True)
    save_figures(xmap, files.figures)
    for path, figure in (
        (files.truth, plot_ipf_maps(truth, title="True orientations")),
        (files.errors, plot_error_map(xmap, truth, title="Demo scan")),
    ):
        figure.savefig(path, dpi=150)
        plt.close(figure)


def _report(xmap: CrystalMap, truth: CrystalMap, seconds: float) -> None:
    """Print errors, speed and what was not indexed."""
    console.print(_error_table(xmap, truth))
    vacuum = truth.phase_id < 0
    n_unindexed = int((xmap.phase_id < 0).sum())
    probability = xmap.prop["phase_probability"]
    lines = [
        f"{xmap.size} patterns in {seconds:.1f} s: {xmap.size / seconds:.0f} patterns/s, "
        "reading and start-up included",
        "on grain boundaries, a pattern shows both grains; in vacuum, any orientation is wrong",
        f"not indexed: {n_unindexed} points; vacuum: {int(vacuum.sum())} points",
        f"median probability of the phase: {np.nanmedian(probability[~vacuum]):.2f} on the "
        f"specimen, {np.nanmedian(probability[vacuum]):.2f} in vacuum",
    ]
    console.print(Text("\n".join(lines)))


def _error_table(xmap: CrystalMap, truth: CrystalMap) -> Table:
    """Return the errors inside grains, on boundaries, on the specimen, and of all points."""
    from pyxem_cnn.maps.disorientation import errors_in_degrees
    from pyxem_cnn.metrics import summarize_errors

    degrees = errors_in_degrees(xmap, truth)
    vacuum, boundary = truth.phase_id < 0, truth.prop["boundary"].astype(bool)
    # In vacuum it is right not to index, and wrong to index.
    degrees[vacuum] = np.where(xmap.phase_id[vacuum] < 0, 0.0, np.inf)
    parts = {
        "inside grains": ~vacuum & ~boundary,
        "on grain boundaries": boundary,
        "specimen (both)": ~vacuum,
        "all, with vacuum": np.ones_like(vacuum),
    }
    rows = []
    for name, here in parts.items():
        if here.any():
            s = summarize_errors(degrees[here])
            within = [f"{share:.1f} %" for share in (s.within_2, s.within_5)]
            rows.append([name, f"{s.n}", f"{s.median:.2f}", *within])
    title = "Disorientation from the truth, modulo the Laue group"
    return table(title, ["points", "n", "median (deg)", "within 2 deg", "within 5 deg"], rows)
