"""Real patterns of known orientations, by a network and by template matching, and a figure.

    python benchmarks/real_patterns.py --data DATA --folder MODELS --figure real_patterns.png

Cinchonine (continuous rotation, 200 kV; the orientation of each frame was refined by another
program from all reflections), gold (one crystal near [100], 20 kV), and an ASTAR scan of an unknown
phase. The patterns are not part of the repository: DATA has the folders cinchonine_3ded,
au100_20keV_saed and astar_blo_3x2. The models of cinchonine and gold are trained here, if they are
not in MODELS; the scan is read by models that the package comes with. All methods see the same
patterns, less their background.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from real_patterns_parts import blo, gold, methods
from real_patterns_parts.figure import View, draw
from real_patterns_parts.models import cinchonine_model, gold_model
from real_patterns_parts.patterns import Patterns, cinchonine

# Frames that are added up, and frames from one sum to the next.
_SUMS = ((1, 6), (5, 5), (10, 5))
_SHIPPED = ("si_200kV", "au_200kV", "steel_200kV")


def judge_cinchonine(options: argparse.Namespace) -> tuple[list[Any], list[View]]:
    """Print errors for sums of more and more frames; return them, and views of patterns."""
    folder = options.data / "cinchonine_3ded"
    model = cinchonine_model(options.folder, folder / "cinchonine.cif", options.patterns)
    errors = []
    for n_frames, every in _SUMS:
        patterns = cinchonine(folder, n_frames, every)
        network = methods.by_network(patterns, model)
        found = [network, methods.by_templates(patterns, model, options.resolution)]
        if options.refine:
            found.append(methods.by_refinement(patterns, model, network))
        degrees = [methods.judged(patterns, one, model.target.symmetry) for one in found]
        by_method = {one.method: off for one, off in zip(found, degrees, strict=True)}
        errors.append((patterns.name, patterns.angle, by_method))
    return errors, [_view(patterns, network, model, degrees[0], i) for i in _examples(degrees[0])]


def _examples(degrees: np.ndarray) -> tuple[int, int]:
    """Return a right answer, the median one, and the worst."""
    right = np.flatnonzero(degrees < methods.RIGHT)
    return int(right[np.argsort(degrees[right])[len(right) // 2]]), int(degrees.argmax())


def _view(
    patterns: Patterns, found: methods.Found, model: Any, degrees: np.ndarray, i: int
) -> View:
    """Return a pattern of cinchonine with its error in the title."""
    return View(
        f"{patterns.name},\n{patterns.angle[i]:.1f}°: {degrees[i]:.1f}° off",
        np.where(patterns.geometry["mask"], 0, patterns.cleaned.data[i]),
        patterns.geometry,
        model.crystal,
        model.accelerating_voltage,
        0.9,
        0.006,
        found.rotations[i, 0],
        patterns.truth[i],
    )


def judge_gold(options: argparse.Namespace) -> View:
    """Print how far off gold is seen; return a view of the straightened diffraction pattern."""
    folder = options.data / "au100_20keV_saed"
    model = gold_model(options.folder, options.patterns // 14)
    for name in ("cbed", "saed"):
        for straightened in (False, True):
            patterns = gold.gold_pattern(folder, name, straightened)
            network = methods.by_network(patterns, model)
            for one in (network, methods.by_templates(patterns, model, options.resolution)):
                tilt, turn = gold.angles(one.rotations[0, 0])
                print(
                    f"{patterns.name}, {one.method}: zone axis {tilt:.1f} deg off <100>, row of "
                    f"200 {turn:+.1f} deg off, score {one.scores[0]:.2f}"
                )
    quaternion = network.rotations[0, 0]
    title = f"{patterns.name},\nzone axis {gold.angles(quaternion).tilt:.1f}° off [100]"
    pattern, geometry = patterns.electrons[0], patterns.geometry
    return View(title, pattern, geometry, model.crystal, 20, 1.4, 0.04, quaternion)


def judge_blo(options: argparse.Namespace) -> View:
    """Print what models of other phases say; return a view of the first pattern."""
    scan = blo.open_blo(options.data / "astar_blo_3x2/test1.blo")
    found = blo.verdicts(scan, _SHIPPED)
    for one in found:
        print(one.line)
    return blo.view(scan, found[0])


def main() -> None:
    """Judge everything, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of real patterns")
    parser.add_argument("--folder", type=Path, default=Path("models"), help="where models are kept")
    parser.add_argument(
        "--patterns", type=int, default=1_070_000, help="to train on; gold a fourteenth"
    )
    parser.add_argument("--resolution", type=float, default=2.0, help="of templates, degrees")
    parser.add_argument("--refine", action="store_true", help="refine what the network reads, too")
    parser.add_argument("--figure", type=Path, default=Path("real_patterns.png"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    errors, views = judge_cinchonine(options)
    views += [judge_gold(options), judge_blo(options)]
    draw(views, errors).savefig(options.figure, dpi=100)
    print(f"figure: {options.figure}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
