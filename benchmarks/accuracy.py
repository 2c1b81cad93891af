"""How right models are on dynamical patterns that they never saw, beside other methods.

    python benchmarks/accuracy.py --model si_200kV --abtem ABTEM_PYTHON --crystals Si
    python benchmarks/accuracy.py --model linio2.pt --intensities linio2.npz --csv accuracy.csv
    python benchmarks/accuracy.py --model si_200kV --own --crystals Si --precession 0 0.6

Patterns are detector images of random orientations, made of the Bloch waves of abTEM (simulated in
its own environment, or from a file) or of ours with more beams and directions than models learn
from: 128 x 128 pixels of 0.025 1/angstrom, 1.5 mrad, 200 to 1000 angstrom, so many electrons
counted outside 0.115 1/angstrom, 30 percent of them diffuse. Beam centre and camera length are off
by up to a pixel along each axis and 2 percent, of which the methods do not know. All methods see
the same patterns. Others than networks:

    --templates 2 1          pyxem's template matching, so many degrees between templates
    --bloch-templates 1      the same with Bloch-wave templates
    --py4dstem PY4DSTEM_PYTHON  py4DSTEM's disc detection and matching
    --twins                  how often noise makes the truth less likely than its nearest twin, a
                             ceiling (0.1 s for each)
    --ideal 30               the ideal observer on the first 30 patterns, a ceiling (15 s for each)
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_parts.abtem_files import read_abtem, simulate_with_abtem
from accuracy_parts.crystals import crystal_named
from accuracy_parts.figure import plot_shares
from accuracy_parts.ideal_observer import IdealObserver
from accuracy_parts.ideal_twins import nats_to_twins, right_against_twins
from accuracy_parts.images import Detector, Exposures, count, expose
from accuracy_parts.methods import Network, RefinedNetwork
from accuracy_parts.own_sets import own_set
from accuracy_parts.py4dstem import Py4DSTEM
from accuracy_parts.report import LEGEND, average_over_seeds, latest, markdown, read_csv, write_csv
from accuracy_parts.scoring import judge
from accuracy_parts.spot_sets import SpotSet
from accuracy_parts.templates import Settings, TemplateMatching, tuned

# Orientations of a set, and those that the settings of template matching are tuned on.
_N_ORIENTATIONS, _N_TUNING = 300, 40


def sets(options: argparse.Namespace) -> Iterator[SpotSet]:
    """Yield all sets of intensities that were asked for, the first n orientations of each."""
    folder = Path(options.cache)
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for path in options.intensities:
        spots = read_abtem(path).first(options.n)
        names.append(spots.name)
        # Two files of one crystal are two sets.
        number = names.count(spots.name)
        yield spots if number == 1 else replace(spots, name=f"{spots.name}, file {number}")
    n = max(options.n or 0, _N_ORIENTATIONS)
    for name in map(crystal_named, options.crystals):
        if options.abtem:
            path = simulate_with_abtem(options.abtem, name, n, folder)
            yield read_abtem(path).first(options.n)
        if options.own:
            for angle in options.precession:
                yield own_set(name, n, angle, folder).first(options.n)


def methods(spots: SpotSet, detector: Detector, options: argparse.Namespace) -> list[Any]:
    """Return the methods that can index a set."""
    usable: list[Any] = list(template_methods(spots, detector, options))
    if options.py4dstem:
        usable.append(Py4DSTEM(options.py4dstem, spots, detector))
    for i, path in enumerate(options.model):
        try:
            network = Network(path, spots, detector)
        except ValueError as reason:
            print(f"{spots.name}: {reason}")
            continue
        # Rows of one name are pooled: another file of the same name is another method.
        number = 1 + sum(Path(p).stem == network.name for p in options.model[:i])
        network.name += f", file {number}" if number > 1 else ""
        usable.append(network)
        if options.refine:
            usable.append(RefinedNetwork(network, spots, detector))
    return usable


def template_methods(
    spots: SpotSet, detector: Detector, options: argparse.Namespace
) -> Iterator[TemplateMatching]:
    """Yield template matching, tuned with the coarsest templates on patterns of its own."""
    chosen = {"kinematic": options.templates, "bloch": options.bloch_templates}
    for simulator, resolutions in chosen.items():
        if not resolutions:
            continue
        name, angle = crystal_named(spots.crystal.name), spots.precession_angle
        own = own_set(name, _N_TUNING, angle, Path(options.cache), seed=77)
        settings = tuned(own, detector, Settings(max(resolutions), simulator))
        for resolution in resolutions:
            yield TemplateMatching(replace(settings, resolution=resolution), spots, detector)


def run_set(spots: SpotSet, detector: Detector, options: argparse.Namespace) -> list[dict]:
    """Return a row for each seed, dose and method on one set."""
    chosen = methods(spots, detector, options)
    rows = []
    for seed in range(options.seeds):
        exposures = expose(spots, detector, seed)
        images = [count(exposures, electrons, seed) for electrons in options.doses]
        keys = [{"set": spots.name, "electrons": e, "seed": seed} for e in options.doses]
        for method in chosen:
            for key, counts in zip(keys, images, strict=True):
                figures = judge(spots, exposures.thickness, method(counts))
                rows.append(key | {"method": method.name} | figures)
        if (options.ideal or options.twins) and spots.precession_angle:
            print(f"{spots.name}: the ideal observer knows no precession")
            continue
        if options.twins:
            rows += twin_rows(spots, detector, exposures, keys)
        if options.ideal:
            few, shown = spots.first(options.ideal), exposures.first(options.ideal)
            observer = IdealObserver(few, detector, options.spacing)
            rows += ideal_rows(observer, shown, keys, [c[: options.ideal] for c in images])
    return rows


def twin_rows(
    spots: SpotSet, detector: Detector, exposures: Exposures, keys: list[dict]
) -> list[dict]:
    """Return the rows of orientations that are likelier than their twins."""
    nats = nats_to_twins(spots, exposures, detector)
    rows = []
    for key in keys:
        share = right_against_twins(nats, key["electrons"])
        found = {"n": len(spots), "<2": share, "<5": share}
        rows.append(key | {"method": "ideal observer, truth against twins alone"} | found)
    return rows


def ideal_rows(
    observer: IdealObserver, exposures: Exposures, keys: list[dict], images: list[np.ndarray]
) -> list[dict]:
    """Return the rows of the ideal observer, without and with the truth among its candidates."""
    spots = observer.spots
    lacking = f"{np.median(observer.misfit(exposures)):.1f} nats (10,000 electrons)"
    print(f"{spots.name}: at the truth, images of the ideal observer lack {lacking}")
    return [
        key | {"method": name} | judge(spots, exposures.thickness, found)
        for key, answer in zip(keys, observer(images, exposures), strict=True)
        for name, found in answer.items()
    ]


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", action="append", default=[], help="model file or name; may be repeated")
    add("--refine", action="store_true", help="models with refinement as well, about a second each")
    add("--intensities", action="append", default=[], help="file, such as linio2.npz, of abTEM's")
    add("--crystals", nargs="+", default=["LiNiO2", "Si", "Ti", "VO2"], help="to simulate")
    add("--abtem", help="Python of an environment with abTEM 1.0")
    add("--own", action="store_true", help="patterns of our own Bloch waves, too")
    add("--precession", type=float, nargs="+", default=[0.0, 0.6], help="of these, degrees")
    add("--n", type=int, help="orientations, the first of 300 or of a file; all by default")
    add("--seeds", type=int, default=1, help="draws of thickness, errors and noise")
    add("--doses", type=float, nargs="+", default=[1e4, 1e3, 300, 100], help="electrons")
    add("--pixels", type=int, default=128, help="along a side of the detector")
    add("--scale", type=float, default=0.025, help="1/angstrom per pixel")
    add("--templates", type=float, nargs="+", default=[], help="degrees between templates")
    add("--bloch-templates", type=float, nargs="+", default=[], help="degrees between them")
    add("--py4dstem", help="Python of an environment with py4DSTEM 0.14")
    add("--twins", action="store_true", help="how often a twin is likelier than the truth")
    add("--ideal", type=int, default=0, help="patterns that the ideal observer looks at")
    add("--spacing", type=float, default=0.33, help="of its library, degrees")
    cache = Path(tempfile.gettempdir()) / "pyxem_cnn_accuracy"
    add("--cache", default=str(cache), help=f"where intensities are kept, {cache} by default")
    add("--csv", help="file for the figures, every seed by itself")
    add("--earlier", nargs="+", default=[], help="such files, of whose rows this run replaces some")
    add("--figure", help="file for a figure of the shares within 2 and 5 degrees")
    return parser.parse_args()


def main() -> None:
    """Print a table."""
    options = parse()
    detector = Detector((options.pixels, options.pixels), options.scale)
    rows = [row for path in options.earlier for row in read_csv(path)]
    for spots in sets(options):
        rows += run_set(spots, detector, options)
    rows = latest(rows)
    if not rows:
        raise SystemExit(
            "Nothing to do. Give methods (--model) and patterns (--intensities, --abtem or --own)."
        )
    print(markdown(average_over_seeds(rows)))
    print(LEGEND)
    if options.csv:
        write_csv(rows, options.csv)
    if options.figure:
        plot_shares(average_over_seeds(rows)).savefig(options.figure, dpi=150)


if __name__ == "__main__":
    main()
