"""Figures of the methods as a Markdown table and as a CSV file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

KEYS = ("set", "electrons", "method")
_LIMITS = tuple(
    f"<{limit}{modulo}" for modulo in ("", " mod 180", " mod twins") for limit in (1, 2, 5)
)
_MEANS = ("n", "median", "90 %", *_LIMITS, ">0.9", "ECE", "thickness", "ms")
POOLED = "ECE, all seeds"
EXCESS = "scores less right"
"""Sum of scores less number of right ones, for each bin of the ECE."""
_OF_SCORES = (">0.9", ">0.9 right", "ECE", POOLED)
FIGURES = ("n", "median", "90 %", *_LIMITS, *_OF_SCORES, "thickness", "ms")
_DIGITS = {"median": 2, "90 %": 1, "ECE": 3, POOLED: 3, "ms": 2}

LEGEND = """\
Angles in degrees, modulo the Laue group; shares of all patterns in percent. mod 180: modulo half a
turn about the beam. mod twins: modulo orientations whose dynamical patterns differ by R < 0.1.
>0.9: share of scores above 0.9, and of these, the share within 5 degrees. ECE: expected calibration
error of the scores, 10 bins: the mean of those of single seeds, and that of the patterns of all
seeds together, which chance makes less too large. thickness: median error, angstrom. ms: CPU time
for a pattern."""


def latest(rows: list[dict]) -> list[dict]:
    """Return the last row of each set, dose, method and seed."""
    return list({tuple(row[key] for key in (*KEYS, "seed")): row for row in rows}.values())


def average_over_seeds(rows: list[dict]) -> list[dict]:
    """Return one row for each set, dose and method, figures averaged, scores of seeds pooled.

    Where runs had different numbers of patterns, the ones with most count.
    """
    return [
        group[0]
        | {name: sum(r[name] for r in group) / len(group) for name in _MEANS if name in group[0]}
        | _pooled(group)
        for group in _groups(rows)
    ]


def _groups(rows: list[dict]) -> list[list[dict]]:
    """Return the rows of the seeds of each set, dose and method."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        group = groups.setdefault(tuple(row[key] for key in KEYS), [])
        if group and row["n"] > group[0]["n"]:
            group.clear()
        if not group or row["n"] == group[0]["n"]:
            group.append(row)
    return list(groups.values())


def _pooled(group: list[dict]) -> dict[str, float]:
    """Return what the scores of all seeds of a set, dose and method say together."""
    figures = {}
    if all(EXCESS in row for row in group):
        of_bins = map(sum, zip(*(row[EXCESS] for row in group), strict=True))
        figures[POOLED] = sum(map(abs, of_bins)) / sum(row["n"] for row in group)
    elif len(group) == 1 and "ECE" in group[0]:
        figures[POOLED] = group[0]["ECE"]
    if all(">0.9 right" in row for row in group):
        # Of no scores above 0.9, none is right, and that does not count.
        confident = sum(row[">0.9"] for row in group)
        right = sum(row[">0.9"] * row[">0.9 right"] for row in group if row[">0.9"])
        figures[">0.9 right"] = right / confident if confident else math.nan
    return figures


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
    """Write all rows, every seed by itself; what all seeds say together is in each of theirs."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        columns = [*KEYS, "seed", *FIGURES, EXCESS]
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        pooled = {tuple(group[0][key] for key in KEYS): _pooled(group) for group in _groups(rows)}
        for row in rows:
            whole = pooled[tuple(row[key] for key in KEYS)].get(POOLED, "")
            writer.writerow(row | {POOLED: whole, EXCESS: _joined(row.get(EXCESS, []))})


def read_csv(path: str | Path) -> list[dict]:
    """Return the rows that `write_csv` wrote; what it found of all seeds is found anew."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {name: _read(name, value) for name, value in row.items() if value and name != POOLED}
            for row in csv.DictReader(file)
        ]


def _joined(numbers: list[float]) -> str:
    return " ".join(f"{number:.4f}" for number in numbers)


def _read(name: str, value: str) -> str | float | list[float]:
    if name == EXCESS:
        return [float(number) for number in value.split()]
    return value if name in ("set", "method") else float(value)


def _number(name: str, value: float | None) -> str:
    return "" if value is None else f"{value:.{_DIGITS.get(name, 0)}f}"
