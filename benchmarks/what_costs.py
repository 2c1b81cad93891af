"""Which conditions of a measurement cost a model right orientations: each is taken away in turn.

    python benchmarks/what_costs.py --model linio2_300kV

Patterns of our own Bloch waves on the model's polar grid, of zone axes, beams and directions that
it never learnt: on a detector that sees all of the grid, discs, and otherwise all that training
patterns have (backgrounds, errors of centre and scale, faults, a thickness of 200 to 1000
angstrom). Every row has other conditions; within a row, all else varies.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

import pyxem_cnn
from pyxem_cnn.conditions import Conditions
from pyxem_cnn.datasets import PatternSource
from pyxem_cnn.evaluation import predictions

_WHOLE = {"unmasked": 1.0, "discs": 1.0}
_NO_BACKGROUND = {"background": (0.0, 0.0)}
_NO_NOISE = {"noise_free": 1.0}
_TRUE_GEOMETRY = {"center_error": 0.0, "scale_error": 0.0, "ellipticity": 0.0}
_TRUE_INTENSITIES = {
    "debye_waller": (0.0, 0.0),
    "intensity_power": (1.0, 1.0),
    "intensity_spread": 0.0,
    "position_spread": 0.0,
}
_CHANGES = {
    "all as in training, but the whole detector": {},
    "true centre and scale": _TRUE_GEOMETRY,
    "undisturbed intensities": _TRUE_INTENSITIES,
    "no background": _NO_BACKGROUND,
    "no noise": _NO_NOISE,
    "neither": _NO_BACKGROUND | _NO_NOISE,
    "neither, true centre and scale": _NO_BACKGROUND | _NO_NOISE | _TRUE_GEOMETRY,
    "a detector of any size": {"unmasked": 0.0},
}


def source_for(model: pyxem_cnn.OrientationModel, n_zone_axes: int, seed: int) -> PatternSource:
    """Return patterns of a model's phase under its training conditions."""
    library = pyxem_cnn.simulate_library(
        model.crystals[0],
        model.accelerating_voltage,
        convergence_angle=model.metadata["convergence_angle"],
        n_zone_axes=n_zone_axes,
        n_beams=96,
        seed=seed,
        k_max=1.1 * model.grid.k_max,
    )
    conditions = Conditions().fitted_to(library, model.grid)
    return PatternSource(library, model.grid, conditions)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="linio2_300kV", help="model file or name")
    parser.add_argument("--n", type=int, default=4096, help="patterns for each figure")
    parser.add_argument("--doses", type=float, nargs="+", default=[1e4, 1e3], help="electrons")
    parser.add_argument("--seed", type=int, default=9, help="of library and patterns")
    options = parser.parse_args()
    model = pyxem_cnn.load_model(options.model)
    source = source_for(model, options.n, options.seed)
    doses = " / ".join(f"{dose:g}" for dose in options.doses)
    print(f"{model.name}: within 2 (5) degrees, percent, at {doses} electrons")
    for name, change in _CHANGES.items():
        figures = []
        for dose in options.doses:
            conditions = replace(source.conditions.measured_at(dose), **(_WHOLE | change))
            found = predictions(
                model.module, model.target, source.under(conditions), options.n, options.seed
            )
            within = [100 * float(np.mean(found.degrees < limit)) for limit in (2, 5)]
            figures.append(f"{within[0]:.1f} ({within[1]:.1f})")
        print(f"| {name} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
