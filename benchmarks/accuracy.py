"""How right models are on dynamical patterns that they never saw, beside other methods.

    python benchmarks/accuracy.py --model si_200kV --abtem ABTEM_PYTHON --crystals Si
    python benchmarks/accuracy.py --model linio2.pt --intensities linio2.npz --csv accuracy.csv
    python benchmarks/accuracy.py --model si_200kV --own --crystals Si --precession 0 0.6

Patterns are detector images of random orientations, made of the Bloch waves of abTEM (simulated in
its own environment, or from a file) or of ours with more beams and directions than models learn
from: 128 x 128 pixels of 0.025 1/angstrom, 1.5 mrad, 200 to 1000 angstrom, so many electrons
counted outside 0.115 1/angstrom, 30 percent of them diffuse. Beam centre and camera length are off
by up to a pixel along each axis and 2 percent, of which the methods do not know. All methods see
the same patterns.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accuracy_parts.abtem_files import read_abtem, simulate_with_abtem
from accuracy_parts.crystals import crystal_named
from accuracy_parts.images import Detector, count, expose
from accuracy_parts.methods import Network
from accuracy_parts.own_sets import own_set
from accuracy_parts.report import LEGEND, average_over_seeds, markdown, write_csv
from accuracy_parts.scoring import judge
from accuracy_parts.spot_sets import SpotSet


def sets(options: argparse.Namespace) -> Iterator[SpotSet]:
    """Yield all sets of intensities that were asked for."""
    folder = Path(options.cache)
    folder.mkdir(parents=True, exist_ok=True)
    for path in options.intensities:
        yield read_abtem(path).first(options.n)
    for name in map(crystal_named, options.crystals):
        if options.abtem:
            yield read_abtem(simulate_with_abtem(options.abtem, name, options.n or 300, folder))
        if options.own:
            for angle in options.precession:
                yield own_set(name, options.n or 300, angle, folder)


def methods(spots: SpotSet, detector: Detector, options: argparse.Namespace) -> list[Any]:
    """Return the methods that can index a set."""
    usable = []
    for path in options.model:
        try:
            usable.append(Network(path, spots, detector))
        except ValueError as reason:
            print(f"{spots.name}: {reason}")
    return usable


def run_set(spots: SpotSet, detector: Detector, options: argparse.Namespace) -> list[dict]:
    """Return a row for each seed, dose and method on one set."""
    chosen = methods(spots, detector, options)
    rows = []
    for seed in range(options.seeds if chosen else 0):
        exposures = expose(spots, detector, seed)
        for electrons in options.doses:
            counts = count(exposures, electrons, seed)
            for method in chosen:
                figures = judge(spots, exposures.thickness, method(counts))
                keys = {"set": spots.name, "electrons": electrons, "method": method.name}
                rows.append(keys | {"seed": seed} | figures)
    return rows


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", action="append", default=[], help="model file or name; may be repeated")
    add("--intensities", action="append", default=[], help="file, such as linio2.npz, of abTEM's")
    add("--crystals", nargs="+", default=["LiNiO2", "Si", "Ti", "VO2"], help="to simulate")
    add("--abtem", help="Python of an environment with abTEM 1.0")
    add("--own", action="store_true", help="patterns of our own Bloch waves, too")
    add("--precession", type=float, nargs="+", default=[0.0, 0.6], help="of these, degrees")
    add("--n", type=int, help="orientations; all that a file has, and 300 otherwise")
    add("--seeds", type=int, default=1, help="draws of thickness, errors and noise")
    add("--doses", type=float, nargs="+", default=[1e4, 1e3, 300, 100], help="electrons")
    add("--pixels", type=int, default=128, help="along a side of the detector")
    add("--scale", type=float, default=0.025, help="1/angstrom per pixel")
    cache = Path(tempfile.gettempdir()) / "pyxem_cnn_accuracy"
    add("--cache", default=str(cache), help=f"where intensities are kept, {cache} by default")
    add("--csv", help="file for the figures, every seed by itself")
    return parser.parse_args()


def main() -> None:
    """Print a table."""
    options = parse()
    detector = Detector((options.pixels, options.pixels), options.scale)
    rows = [row for spots in sets(options) for row in run_set(spots, detector, options)]
    if not rows:
        raise SystemExit(
            "Nothing to do. Give methods (--model) and patterns (--intensities, --abtem or --own)."
        )
    print(markdown(average_over_seeds(rows)))
    print(LEGEND)
    if options.csv:
        write_csv(rows, options.csv)


if __name__ == "__main__":
    main()
