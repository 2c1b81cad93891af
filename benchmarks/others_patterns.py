"""Map patterns that were not made by this package: pyxem's simulated scans and real ones.

Real patterns are not part of the repository; give their folder with --data. For example:

    python benchmarks/others_patterns.py --si si_200kV --steel steel_200kV --data DATA

Real patterns of known orientations: see real_patterns.py.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from half_turn import degrees_off, report

import pyxem_cnn


def grain_numbers(n_grains, size, seed=2):
    """Return pyxem's own map of grain numbers for its simulated scans."""
    from skimage.segmentation import expand_labels

    generator = np.random.default_rng(seed)
    x, y = generator.integers(0, size, size=n_grains), generator.integers(0, size, size=n_grains)
    seeds = np.zeros((size, size), dtype=int)
    for i in range(n_grains):
        seeds[x[i], y[i]] = i + 1
    return expand_labels(seeds, distance=size) - 1


def si_grains(model, n_scans=20):
    """pyxem.data.si_grains: 4 grains a scan, truth known; patterns are flipped so that y is up."""
    from pyxem.data import si_grains as make

    plain, modulo = [], []
    for seed in range(n_scans):
        np.random.seed(seed)  # noqa: NPY002 - pyxem draws from NumPy's global generator
        scan, truth = make(return_rotations=True)
        # The beam is at (64, 64) before pyxem flips the rows, hence at row 63 after it.
        xmap = scan.get_orientation_map_cnn(
            model, geometry={"center": (64, 63)}, show_progressbar=False
        )
        grains = grain_numbers(4, 6)
        found = xmap.rotations.data.reshape(6, 6, 4)
        a, b = degrees_off(truth.data[grains], found, model.target.symmetry)
        plain += [a[grains == i].mean() for i in np.unique(grains)]
        modulo += [b[grains == i].mean() for i in np.unique(grains)]
    report(f"si_grains, {n_scans} scans, by grain", plain, modulo)


def fe_multi_phase(model, n_scans=10):
    """pyxem.data.fe_multi_phase_grains: bcc and fcc iron; not flipped, so y is down."""
    from orix.quaternion import Rotation
    from pyxem.data import fe_multi_phase_grains as make

    right, plain, modulo = [], [], []
    for seed in range(n_scans):
        np.random.seed(seed)  # noqa: NPY002
        truth = np.concatenate([Rotation.random(2).data, Rotation.random(2).data])
        np.random.seed(seed)  # noqa: NPY002
        scan = make(num_grains=2)
        grains = grain_numbers(4, 20)
        xmap = scan.get_orientation_map_cnn(
            model, geometry={"center": (64, 64), "flip_y": True}, show_progressbar=False
        )
        phase = xmap.phase_id.reshape(grains.shape)
        found = xmap.rotations.data.reshape(*grains.shape, 4)
        for i in np.unique(grains):
            here = grains == i
            right.append(np.mean(phase[here] == i // 2))
            a, b = degrees_off(truth[i], found[here], model.target.symmetry)
            plain.append(a.mean())
            modulo.append(b.mean())
    print(f"fe_multi_phase_grains, {n_scans} scans: phase right in {100 * np.mean(right):.0f} %")
    report("fe_multi_phase_grains, by grain", plain, modulo)


def real_grain_map(model, data, size=45):
    """Fill a real map of ferrite (bcc) and austenite (fcc) with patterns made by diffsims."""
    from orix import io
    from pyxem.signals import ElectronDiffraction2D

    from pyxem_cnn.data._spots import Detector, expected_patterns

    steel = io.load(data / "orientation_maps/sdss_ferrite_austenite.ang")[:size, :size]
    rotations = steel.rotations.data.reshape(-1, 4)
    # The file's phase 1 is austenite, 2 is ferrite; ours are bcc 0, fcc 1.
    phase = np.where(steel.phase_id == 2, 0, 1)
    detector = Detector()
    patterns = np.empty((len(rotations), *detector.shape), dtype=np.float32)
    for i, one in enumerate(model.phases):
        here = phase == i
        patterns[here] = expected_patterns(rotations[here], detector, seed=i, phase=one)
    counts = np.random.default_rng(0).poisson(patterns).astype(np.uint16)
    scan = ElectronDiffraction2D(counts.reshape(size, size, *detector.shape))
    xmap = scan.get_orientation_map_cnn(
        model,
        geometry={"center": detector.center, "scale": detector.scale, "beam_energy": 200},
        show_progressbar=False,
    )
    right = xmap.phase_id == phase
    plain, modulo = degrees_off(rotations, xmap.rotations.data, model.target.symmetry)
    print(f"steel map, {size} x {size} points: phase right in {100 * right.mean():.1f} %")
    for i, name in enumerate(("ferrite", "austenite")):
        report(f"steel map, {name}", plain[phase == i], modulo[phase == i])


def real_blo(model, data):
    """Open a real ASTAR scan of an unknown phase lazily and map it."""
    import hyperspy.api as hs

    scan = hs.load(data / "spots/astar_blo_3x2/test1.blo", lazy=True)
    xmap = scan.get_orientation_map_cnn(model, find_center=True, show_progressbar=False)
    scores = " ".join(f"{value:.2f}" for value in xmap.prop["scores"])
    print(f"astar .blo ({scan}): {xmap.size} points mapped, scores {scores}")


def main():
    """Run what models were given for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--si", help="model of silicon, 200 kV")
    parser.add_argument("--steel", help="model of ferrite and austenite, in this order, 200 kV")
    parser.add_argument("--data", type=Path, help="folder of real patterns")
    options = parser.parse_args()
    models = {k: pyxem_cnn.load_model(v) for k, v in vars(options).items() if v and k != "data"}
    if "si" in models:
        si_grains(models["si"])
    if "steel" in models:
        fe_multi_phase(models["steel"])
    if options.data is None:
        print("no --data: real grain maps and patterns are left out")
        return
    if "steel" in models:
        real_grain_map(models["steel"], options.data)
    if "si" in models:
        real_blo(models["si"], options.data)


if __name__ == "__main__":
    with warnings.catch_warnings():
        # Deprecations inside hyperspy and orix, of no concern here.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", module="hyperspy|orix|diffsims|pyxem\\.")
        main()
