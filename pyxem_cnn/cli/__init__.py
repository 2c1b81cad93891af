"""The command line, `pyxem-cnn`."""

from __future__ import annotations

import typer

from pyxem_cnn.cli.compare import compare
from pyxem_cnn.cli.demo import demo
from pyxem_cnn.cli.info import info
from pyxem_cnn.cli.map import map_scan
from pyxem_cnn.cli.train import train

__all__ = ["app"]

app = typer.Typer(
    name="pyxem-cnn",
    help="Crystal orientation maps from 4D-STEM scans with neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command("map")(map_scan)
app.command()(compare)
app.command()(info)
app.command()(train)
