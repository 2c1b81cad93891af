"""How right models are on dynamical patterns that they never saw.

python benchmarks/accuracy.py --model si_200kV --intensities si.npz
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from accuracy_parts.images import Detector, count, expose
from accuracy_parts.methods import Network
from accuracy_parts.scoring import judge
from accuracy_parts.spot_sets import SpotSet, read_spot_set

import pyxem_cnn

COLUMNS = (
    "median",
    "90 %",
    *(f"<{limit}{modulo}" for modulo in ("", " mod 180", " mod twins") for limit in (1, 2, 5)),
    ">0.9",
    ">0.9 right",
    "ECE",
    "thickness",
    "ms",
)


def table(rows: list[dict]) -> str:
    """Return figures as a Markdown table."""
    head = ["set", "electrons", "method", *COLUMNS]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row["set"], f"{row['electrons']:g}", row["method"]]
        for name in COLUMNS:
            value = row.get(name)
            digits = 2 if name in ("median", "ECE", "ms") else 1 if name == "90 %" else 0
            cells.append("" if value is None else f"{value:.{digits}f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run_set(spots: SpotSet, options: argparse.Namespace) -> list[dict]:
    """Return a row for each method and dose on one set."""
    detector = Detector()
    methods = [
        Network(pyxem_cnn.load_model(path), Path(path).stem, spots, detector)
        for path in options.model
    ]
    rows = []
    for seed in range(options.seeds):
        exposures = expose(spots, detector, seed)
        for electrons in options.doses:
            counts = count(exposures, electrons, seed)
            for method in methods:
                found = method(counts)
                row = {"set": spots.name, "electrons": electrons, "method": method.name}
                rows.append(row | judge(spots, exposures.thickness, found))
    return rows


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", default=[], help="model file or name")
    parser.add_argument("--intensities", action="append", default=[], help="file of abTEM's")
    parser.add_argument("--n", type=int, help="orientations, all by default")
    parser.add_argument("--seeds", type=int, default=1, help="draws of noise and errors")
    parser.add_argument("--doses", type=float, nargs="+", default=[1e4, 1e3, 300])
    options = parser.parse_args()
    start = time.perf_counter()
    rows = []
    for path in options.intensities:
        rows += run_set(read_spot_set(path, options.n), options)
    print(table(rows))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
