"""`pyxem-cnn demo`: map a simulated scan of silicon grains, match templates beside, compare."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.text import Text

from pyxem_cnn.cli._console import Debug, Overwrite, console, messages, refuse_existing, table
from pyxem_cnn.cli._writing import save_figure
from pyxem_cnn.cli.map import load_scan, save_figures

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap
    from rich.table import Table

    from pyxem_cnn.maps.comparison.result import MapComparison
    from pyxem_cnn.model import OrientationModel

__all__ = ["demo"]

_MODEL = "si_200kV"
# Scores above this should be right nearly always.
_SURE = 0.9
_NETWORK, _TEMPLATES = "network", "templates"


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all files.")] = Path(
        "pyxem_cnn_demo"
    ),
    simulator: Annotated[
        str,
        typer.Option(help="Of the scan: 'bloch', dynamical; 'kinematic', made by diffsims."),
    ] = "bloch",
    resolution: Annotated[float, typer.Option(help="Of the templates, in degrees.")] = 2.0,
    overwrite: Overwrite = False,
    debug: Debug = False,
    model: Annotated[str, typer.Option(hidden=True)] = _MODEL,
    size: Annotated[int, typer.Option(hidden=True, min=8)] = 60,
) -> None:
    """Map a simulated scan of silicon grains and compare with the true orientations.

    pyxem's template matching, decoded right, gets the same scan.
    """
    with messages(debug, logging.WARNING):
        files = _Files(output)
        refuse_existing(files.all(), overwrite)

        from pyxem_cnn._checks import check_choice, check_positive
        from pyxem_cnn.model import load_model

        # What is wrong is said before anything is simulated or written.
        check_choice("simulator", simulator, ("bloch", "kinematic"))
        check_positive("resolution", resolution, remedy="It is in degrees.")

        loaded = load_model(model)
        output.mkdir(parents=True, exist_ok=True)
        truth = _make_scan(files.scan, size, simulator)
        run = _Run(files, loaded, resolution, truth)
        _save(run)
        _report(run)
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
    def templates(self) -> Path:
        return self.folder / "map_templates.h5"

    @property
    def figures(self) -> dict[str, Path]:
        return {"ipf": self.folder / "ipf.png", "scores": self.folder / "scores.png"}

    @property
    def truth(self) -> list[Path]:
        return [self.folder / "truth.h5", self.folder / "ipf_truth.png"]

    @property
    def errors(self) -> Path:
        return self.folder / "errors.png"

    @property
    def comparison(self) -> list[Path]:
        return [self.folder / "comparison.png", self.folder / "comparison.csv"]

    def all(self) -> list[Path]:
        figures = [*self.figures.values(), self.errors]
        return [self.scan, *self.maps, self.templates, *self.truth, *figures, *self.comparison]


@dataclass
class _Run:
    """Both maps of the scan, how long they took in seconds, and their comparison."""

    files: _Files
    model: OrientationModel
    resolution: float
    truth: CrystalMap
    maps: dict[str, CrystalMap] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._timed(_NETWORK, self._map)
        self._timed(_TEMPLATES, self._match)
        self.comparison = self._compare()

    def _timed(self, name: str, function) -> None:
        # Opened afresh each time, and lazily: reading counts.
        scan = load_scan(self.files.scan)
        start = time.perf_counter()
        self.maps[name] = function(scan)
        self.seconds[name] = time.perf_counter() - start

    def _map(self, scan) -> CrystalMap:
        return scan.get_orientation_map_cnn(self.model, show_progressbar=console.is_terminal)

    def _match(self, scan) -> CrystalMap:
        from pyxem_cnn.indexing.template_matching import template_matching

        return template_matching(
            scan,
            self.model.crystal,
            resolution=self.resolution,
            show_progressbar=console.is_terminal,
        )

    def _compare(self) -> MapComparison:
        from pyxem_cnn.maps.comparison.compare import compare_crystal_maps

        return compare_crystal_maps(
            *self.maps.values(),
            truth=self.truth,
            accelerating_voltage=self.model.accelerating_voltage,
            grains="grain",
            names=(_NETWORK, _TEMPLATES),
        )


def _make_scan(path: Path, size: int, simulator: str) -> CrystalMap:
    """Write the scan and return its true orientations."""
    from pyxem_cnn.data import grain_scan

    start = time.perf_counter()
    _, truth = grain_scan(path, shape=(size, size), simulator=simulator, overwrite=True)
    seconds = time.perf_counter() - start
    kind = "dynamical" if simulator == "bloch" else "kinematic"
    console.print(f"Simulated {size} x {size} {kind} patterns of silicon grains in {seconds:.0f} s")
    return truth


def _save(run: _Run) -> None:
    """Write maps and figures."""
    from pyxem_cnn.maps.files.export import save_crystal_map
    from pyxem_cnn.plot import plot_error_map, plot_ipf_maps

    files, xmap = run.files, run.maps[_NETWORK]
    for path in files.maps:
        save_crystal_map(xmap, path, overwrite=True)
    save_crystal_map(run.maps[_TEMPLATES], files.templates, overwrite=True)
    truth_map, truth_picture = files.truth
    save_crystal_map(run.truth, truth_map, overwrite=True)
    save_figures(xmap, files.figures)
    picture, numbers = files.comparison
    run.comparison.save(numbers, overwrite=True)
    for path, figure in (
        (truth_picture, plot_ipf_maps(run.truth, title="True orientations")),
        (files.errors, plot_error_map(xmap, run.truth, title="Demo scan")),
        (picture, run.comparison.plot()),
    ):
        save_figure(figure, path)


def _report(run: _Run) -> None:
    """Print errors, speed and what was not indexed."""
    truth, xmap = run.truth, run.maps[_NETWORK]
    console.print(_error_table(run.maps, truth))
    vacuum, unindexed = truth.phase_id < 0, xmap.phase_id < 0
    n_vacuum, n_specimen = int(vacuum.sum()), int((~vacuum).sum())
    lines = [
        _speed(run),
        "reading and start-up included",
        "on grain boundaries, a pattern shows both grains; in vacuum, any orientation is wrong",
        f"not indexed by the network: {int((unindexed & vacuum).sum())} of {n_vacuum} points in "
        f"vacuum, {int((unindexed & ~vacuum).sum())} of {n_specimen} on the specimen",
        _believable(xmap, truth),
    ]
    console.print(Text("\n".join(lines)))


def _believable(xmap: CrystalMap, truth: CrystalMap) -> str:
    """Return how right the points are that the network is sure of."""
    sure = (xmap.prop["scores"] > _SURE) & (xmap.phase_id >= 0)
    if not sure.any():
        return f"no point has a score above {_SURE:g}"
    right = np.mean(_degrees(xmap, truth)[sure] <= 5)
    return (
        f"{int(sure.sum())} points have a score above {_SURE:g}: {right:.1%} of them are within "
        "5 deg (grain boundaries: of the grain that is counted as the truth)"
    )


def _speed(run: _Run) -> str:
    """Return the time and speed of each."""
    size = run.truth.size
    said = [
        f"{name} {seconds:.1f} s ({size / seconds:.0f} patterns/s)"
        for name, seconds in run.seconds.items()
    ]
    ratio = run.seconds[_TEMPLATES] / run.seconds[_NETWORK]
    return (
        f"{size} patterns: {', '.join(said)}; the network is {ratio:.1f} times as fast as "
        f"templates {run.resolution:g} degrees apart"
    )


def _error_table(maps: dict[str, CrystalMap], truth: CrystalMap) -> Table:
    """Return the errors inside grains, on boundaries, on the specimen, and of all points."""
    vacuum, boundary = truth.phase_id < 0, truth.prop["boundary"].astype(bool)
    parts = {
        "inside grains": ~vacuum & ~boundary,
        "on grain boundaries": boundary,
        "specimen (both)": ~vacuum,
        "all, with vacuum": np.ones_like(vacuum),
    }
    rows = []
    for name, xmap in maps.items():
        degrees = _degrees(xmap, truth)
        rows += [
            [f"{name}, {part}", *_figures(degrees[here])]
            for part, here in parts.items()
            if here.any()
        ]
    title = "Disorientation from the truth, modulo the Laue group"
    return table(title, ["points", "n", "median (deg)", "within 2 deg", "within 5 deg"], rows)


def _degrees(xmap: CrystalMap, truth: CrystalMap) -> np.ndarray:
    """Return errors in degrees; in vacuum it is right not to index, and wrong to index."""
    from pyxem_cnn.maps.disorientation import errors_in_degrees

    degrees = errors_in_degrees(xmap, truth)
    vacuum = truth.phase_id < 0
    degrees[vacuum] = np.where(xmap.phase_id[vacuum] < 0, 0.0, np.inf)
    return degrees


def _figures(degrees: np.ndarray) -> list[str]:
    """Return the cells of one row."""
    from pyxem_cnn.metrics import summarize_errors

    s = summarize_errors(degrees)
    within = [f"{share:.1f} %" for share in (s.within_2, s.within_5)]
    return [f"{s.n}", f"{s.median:.2f}", *within]
