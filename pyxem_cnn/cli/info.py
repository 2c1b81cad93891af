"""`pyxem-cnn info`: what a model is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from pyxem_cnn.cli._console import Debug, console, messages, table

if TYPE_CHECKING:
    from pyxem_cnn.model import OrientationModel

__all__ = ["info", "metrics_table"]


def info(
    model: Annotated[str, typer.Argument(help="Model file, or name of a shipped model.")],
    debug: Debug = False,
) -> None:
    """Show what a model is: phase, beam, grid, errors, training, hash."""
    with messages(debug):
        from pyxem_cnn.model import load_model

        loaded = load_model(model)
        console.print(_description(loaded))
        if loaded.metadata.get("metrics"):
            console.print(metrics_table(loaded.metadata["metrics"]))


def metrics_table(metrics: dict[str, Any]) -> Table:
    """Return the errors on held-out patterns as a table.

    Parameters
    ----------
    metrics
        As in a model's metadata: a dictionary for every dose.
    """
    rows = [
        [
            dose,
            f"{one['median']:.2f}",
            f"{one['within_2']:.1f} %",
            f"{one['within_5']:.1f} %",
            _percent(one.get("within_5_modulo_twins")),
            *_score_columns(one),
            f"{one['n']}",
        ]
        for dose, one in metrics.items()
        if isinstance(one, dict) and {"median", "within_2", "within_5", "n"} <= set(one)
    ]
    title = "Errors on held-out simulated patterns"
    columns = ["dose", "median (deg)", "within 2 deg", "within 5 deg", "modulo twins"]
    columns += ["score > 0.9 (of these right)", "thickness (A)", "patterns"]
    return table(title, columns, rows)


def _score_columns(one: dict[str, Any]) -> tuple[str, str]:
    """Return how many scores are above 0.9 and right, and the error of the thickness."""
    confident, thickness = one.get("confident"), one.get("thickness_error")
    right = _percent(one.get("confident_right"))
    scores = "-" if confident is None else f"{confident:.0f} % ({right})"
    return scores, "-" if thickness is None else f"{thickness:.0f}"


def _percent(value: float | None) -> str:
    """Return a share, or a dash where it was not measured."""
    return "-" if value is None else f"{value:.1f} %"


def _description(model: OrientationModel) -> Table:
    """Return everything but the metrics, a line each."""
    metadata = model.metadata
    lines = {
        "model": model.name,
        **_phases(model),
        "voltage": f"{model.accelerating_voltage:g} kV",
        "convergence": _number(metadata.get("convergence_angle"), "mrad"),
        "precession": _number(metadata.get("precession_angle"), "degrees"),
        "orientations": f"modulo the {'point' if model.polarity else 'Laue'} group",
        "grid": repr(model.grid),
        "target": repr(model.target),
        "network": f"{sum(p.numel() for p in model.module.parameters()):,} parameters",
        "preprocessing": _pairs(metadata.get("preprocessing")),
        "training": _pairs(_flat(metadata.get("training") or {})),
        "created": f"{metadata.get('created') or 'not known'}, with "
        + (_pairs(metadata.get("versions"), " ")),
        "licence": metadata.get("licence") or "not stated",
        "sha256": model.sha256,
    }
    drawn = Table(show_header=False, box=None, pad_edge=False)
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for key, value in lines.items():
        drawn.add_row(key, Text(value))
    return drawn


def _phases(model: OrientationModel) -> dict[str, str]:
    """Return phase, space group and lattice, numbered where there are several phases."""
    lines = {}
    for number, crystal in enumerate(model.crystals, start=1):
        which = f" {number}" if len(model.crystals) > 1 else ""
        a, b, c, *angles = crystal.lattice
        degrees = ", ".join(f"{angle:g}" for angle in angles)
        group = f"{crystal.space_group_symbol} (no. {crystal.space_group})"
        lines[f"phase{which}"] = f"{crystal.name}, {crystal.formula}"
        lines[f"space group{which}"] = group
        lines[f"lattice{which}"] = f"a = {a:g}, b = {b:g}, c = {c:g} angstrom; {degrees} degrees"
    return lines


def _flat(training: dict[str, Any]) -> dict[str, Any]:
    """Return the plain entries of the training, and those of its configuration."""
    plain = {k: v for k, v in training.items() if not isinstance(v, dict | list)}
    return plain | dict(training.get("config") or {})


def _pairs(values: Any, equals: str = " = ") -> str:
    return ", ".join(f"{k}{equals}{v}" for k, v in (values or {}).items()) or "not stated"


def _number(value: float | list[float] | None, unit: str) -> str:
    if value is None:
        return "not stated"
    values = value if isinstance(value, list) else [value]
    return f"{' or '.join(f'{one:g}' for one in values)} {unit}"
