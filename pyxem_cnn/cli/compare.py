"""`pyxem-cnn compare`: two map files point by point, and both with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from pyxem_cnn.cli._console import Debug, Overwrite, console, messages, refuse_existing
from pyxem_cnn.cli._writing import save_figure, tell_written

__all__ = ["compare"]

_Map = Annotated[Path, typer.Argument(help="Map file: .ang, .ctf or .h5.")]


def compare(
    first: _Map,
    second: _Map,
    truth: Annotated[Path | None, typer.Option(help="The true map, a file like both.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a figure, .png, and all points, .csv, here."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Up to which orientations agree, in degrees.")
    ] = 5.0,
    voltage: Annotated[
        float | None, typer.Option(help="In kV: count modulo pseudo-symmetric twins, too.")
    ] = None,
    cif: Annotated[
        list[Path] | None,
        typer.Option(help="Structures with their atoms, for twins; repeat for several phases."),
    ] = None,
    frame: Annotated[
        str, typer.Option(help="Of the second map: 'lab' (y up) or 'image' (y down).")
    ] = "lab",
    crystal_axes: Annotated[
        str, typer.Option(help="Of the second map: 'x||a, z||c*' or 'x||a*, z||c' (Oxford).")
    ] = "x||a, z||c*",
    threshold: Annotated[
        tuple[str, float] | None,
        typer.Option(metavar="NAME VALUE", help="Least value that indexed points of it have."),
    ] = None,
    origin: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="X Y", help="Scan coordinates of its first point."),
    ] = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Compare two maps of one scan: by how much they differ, and why."""
    with messages(debug):
        written = [] if output is None else _written(output)
        refuse_existing(written, overwrite)

        from pyxem_cnn.maps.comparison.compare import compare_crystal_maps
        from pyxem_cnn.maps.files.reading import load_crystal_map

        phases = list(cif) if cif else None
        foreign = {"frame": frame, "crystal_axes": crystal_axes}
        foreign |= {"threshold": threshold, "origin": origin}
        # The third map has the name "truth" for itself.
        names = (first.stem, second.stem)
        told_apart = len({*names, "truth"}) == 3
        comparison = compare_crystal_maps(
            load_crystal_map(first, phases=phases),
            load_crystal_map(second, phases=phases, **foreign),
            truth=None if truth is None else load_crystal_map(truth, phases=phases),
            tolerance=tolerance,
            accelerating_voltage=voltage,
            names=names if told_apart else ("a", "b"),
        )
        console.print(Text(comparison.summary()), soft_wrap=True)
        if written:
            save_figure(comparison.plot(), written[0])
            comparison.save(written[1], overwrite=overwrite)
            tell_written(written)


def _written(output: Path) -> list[Path]:
    """Return the paths of figure and table; what is behind another dot belongs to the name."""
    stem = output.with_suffix("") if output.suffix.lower() in (".png", ".csv") else output
    return [stem.with_name(stem.name + suffix) for suffix in (".png", ".csv")]
