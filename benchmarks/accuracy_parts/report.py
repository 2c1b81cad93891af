"""Figures of the methods as a Markdown table and as a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

KEYS = ("set", "electrons", "method")
_LIMITS = tuple(
    f"<{limit}{modulo}" for modulo in ("", " mod 180", " mod twins") for limit in (1, 2, 5)
)
FIGURES = ("n", "median", "90 %", *_LIMITS, ">0.9", ">0.9 right", "ECE", "thickness", "ms")
_DIGITS = {"median": 2, "90 %": 1, "ECE": 3, "ms": 2}

LEGEND = """\
Angles in degrees, modulo the Laue group; shares of all patterns in percent. mod 180: modulo half a
turn about the beam. mod twins: modulo orientations whose dynamical patterns differ by R < 0.1.
>0.9: share of scores above 0.9, and of these, the share within 5 degrees. ECE: expected calibration
error of the scores, 10 bins. thickness: median error, angstrom. ms: CPU time for a pattern."""


def latest(rows: list[dict]) -> list[dict]:
    """Return the last row of each set, dose, method and seed."""
    return list({tuple(row[key] for key in (*KEYS, "seed")): row for row in rows}.values())


def average_over_seeds(rows: list[dict]) -> list[dict]:
    """Return one row for each set, dose and method, figures averaged.

    Where runs had different numbers of patterns, the ones with most count.
    """
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        group = groups.setdefault(tuple(row[key] for key in KEYS), [])
        if group and row["n"] > group[0]["n"]:
            group.clear()
        if not group or row["n"] == group[0]["n"]:
            group.append(row)
    return [
        group[0]
        | {name: sum(r[name] for r in group) / len(group) for name in FIGURES if name in group[0]}
        for group in groups.values()
    ]


def markdown(rows: list[dict]) -> str:
    """Return a table; what a method does not say is left empty."""
    head = [*KEYS, *FIGURES]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row["set"], f"{row['electrons']:g}", row["method"]]
        cells += [_number(name, row.get(name)) for name in FIGURES]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_csv(rows: list[dict], path: str | Path) -> None:
    """Write all rows, every seed by itself."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*KEYS, "seed", *FIGURES], restval="")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: str | Path) -> list[dict]:
    """Return the rows that `write_csv` wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {
                name: value if name in ("set", "method") else float(value)
                for name, value in row.items()
                if value
            }
            for row in csv.DictReader(file)
        ]


def _number(name: str, value: float | None) -> str:
    return "" if value is None else f"{value:.{_DIGITS.get(name, 0)}f}"
