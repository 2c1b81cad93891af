"""Real patterns of known orientations, by a network and by template matching, and a figure.

    python benchmarks/real_patterns.py --data DATA --folder MODELS --figure real_patterns.png

Cinchonine (continuous rotation, 200 kV; the orientation of each frame was refined by another
program from all reflections) and gold (one crystal on [100], 20 kV). The patterns are not part of
the repository. The models are trained here and kept in the folder. Of cinchonine only the lattice
and the space group are told: its atoms are placed at random, and training scatters intensities so
widely that only the places of the spots count.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from half_turn import degrees_off, report

import pyxem_cnn
from pyxem_cnn.conditions import Conditions
from pyxem_cnn.rotations import zone_axis
from pyxem_cnn.simulation.library.training_libraries import grid_for
from pyxem_cnn.training import TrainingConfig

GOLD = Path(__file__).parents[1] / "examples/training/gold.cif"


def cinchonine():
    """Return the lattice of cinchonine, P 1 21 1, with atoms anywhere."""
    generator = np.random.default_rng(0)
    elements = ["C"] * 19 + ["N"] * 2 + ["O"]
    return pyxem_cnn.CrystalStructure.from_asymmetric_unit(
        (10.73, 7.28, 11.11, 90, 108.06, 90),
        "P 1 21 1",
        elements,
        generator.random((len(elements), 3)),
        name="cinchonine lattice",
    )


def trained(folder, name, crystal, voltage, n_patterns, **conditions):
    """Return the model in the folder, after training it if it is not there."""
    path = folder / f"{name}.pt"
    if path.exists():
        return pyxem_cnn.load_model(path)
    crystal = pyxem_cnn.as_crystal_structure(crystal)
    # Few spots, anywhere in strength, of crystals that reach far into the Ewald sphere's slab.
    wide = Conditions(intensity_spread=1.2, intensity_power=(0.3, 1.0), **conditions)
    model = pyxem_cnn.train(
        crystal,
        accelerating_voltage=voltage,
        simulator="kinematic",
        config=TrainingConfig(n_patterns=n_patterns, compiled=True),
        conditions=_fitted(wide, crystal, voltage),
        name=name,
    )
    model.save(path)
    return model


def _fitted(conditions, crystal, voltage):
    from pyxem_cnn.simulation.library.zone_axis_library import kinematic_library

    grid = grid_for(crystal)
    few = kinematic_library(crystal, voltage, k_max=grid.k_max, n_zone_axes=300)
    return conditions.fitted_to(few, grid)


def cinchonine_scan(data, frames):
    """Return sums of neighbouring frames as a signal, its geometry and the true orientations."""
    from pyxem.signals import ElectronDiffraction2D

    archive = np.load(data / "spots/cinchonine_3ded/frames_000_149.npz")
    n = len(archive["patterns"]) // frames
    parts = archive["patterns"][: n * frames].reshape(n, frames, 512, 512)
    summed = parts.sum(1, dtype=np.float32)
    middle = slice(frames // 2, None, frames)
    valid = archive["valid"][middle][:n]
    geometry = {
        "scale": float(archive["scale_invA_per_px"]),
        "center": tuple(archive["beam_centre_colrow"]),
        "beam_energy": float(archive["voltage_kV"]),
        # The gaps between the detector's tiles, and its dead border, never count anything.
        "mask": summed.max(axis=0) == 0,
    }
    scan = ElectronDiffraction2D(summed[valid])
    scan.subtract_diffraction_background(
        "difference of gaussians", min_sigma=1, max_sigma=8, inplace=True
    )
    scan.data = scan.data.clip(0)
    return (
        scan,
        geometry,
        archive["quaternion"][middle][:n][valid],
        archive["phi_deg"][middle][:n][valid],
    )


def judge_cinchonine(model, data, frames, resolution):
    """Print errors of both methods; return angles of rotation and errors by method."""
    scan, geometry, truth, angle = cinchonine_scan(data, frames)
    maps = {
        "network": scan.get_orientation_map_cnn(
            model, n_best=5, geometry=geometry, show_progressbar=False
        ),
        f"templates {resolution:g} deg": pyxem_cnn.template_matching(
            scan, model.crystal, resolution=resolution, geometry=geometry, show_progressbar=False
        ),
    }
    found = {}
    for name, xmap in maps.items():
        rotations = xmap.rotations.data.reshape(len(truth), -1, 4)
        plain, modulo = degrees_off(truth[:, None], rotations, model.target.symmetry)
        found[name] = plain[:, 0]
        what = f"cinchonine, {frames} frames summed, {name}"
        report(what, plain[:, 0], modulo[:, 0])
        if rotations.shape[1] > 1:
            report(f"{what}, best of {rotations.shape[1]}", plain.min(axis=1), modulo.min(axis=1))
    return angle, found


def judge_gold(model, data, resolution):
    """Print how far off [100] both methods see the crystal."""
    from pyxem.signals import ElectronDiffraction2D

    for name in ("distorted_saed_pattern", "distorted_cbed_pattern"):
        image = np.load(data / f"spots/au100_20keV_saed/{name}.npy")
        pattern = ElectronDiffraction2D(image)
        how = {
            "geometry": {"scale": 0.0084, "beam_energy": 20},
            "find_center": True,
            "show_progressbar": False,
        }
        network = pattern.get_orientation_map_cnn(model, **how)
        templates = pyxem_cnn.template_matching(
            pattern, model.crystal, resolution=resolution, **how
        )
        angles = [_off_axis(xmap.rotations.data.reshape(-1, 4)[0]) for xmap in (network, templates)]
        score = float(network.prop["scores"].ravel()[0])
        print(
            f"gold, {name}: zone axis off <100> by {angles[0]:.1f} deg for the network (score "
            f"{score:.2f}), {angles[1]:.1f} deg for templates {resolution:g} deg apart"
        )


def _off_axis(rotation):
    """Return the angle between the zone axis and the nearest <100>, degrees."""
    return np.rad2deg(np.arccos(np.abs(zone_axis(rotation)).max()))


def draw(results, path):
    """Draw errors over the angle of rotation, a panel for each number of frames."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        len(results), 1, sharex=True, sharey=True, figsize=(7, 5), layout="constrained"
    )
    for panel, (frames, (angle, found)) in zip(panels, results.items(), strict=True):
        for (name, degrees), marker in zip(found.items(), "ox", strict=True):
            panel.plot(angle, degrees, marker, label=name, ms=5, alpha=0.8)
        panel.set(title=f"{frames} frames summed", yscale="symlog", ylim=(0, 200))
        panel.axhline(5, color="0.6", lw=0.8)
        panel.set_ylabel("error (degrees)")
    panels[0].legend(loc="upper right", frameon=False, ncols=2)
    panels[-1].set_xlabel("rotation of the crystal (degrees)")
    figure.savefig(path, dpi=150)
    print(f"figure: {path}")


def main():
    """Train what is missing, judge, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of real patterns")
    parser.add_argument("--folder", type=Path, default=Path("models"), help="where models are kept")
    parser.add_argument("--patterns", type=int, default=300_000, help="to train each model on")
    parser.add_argument("--resolution", type=float, default=2.0, help="of templates, degrees")
    parser.add_argument("--figure", type=Path, default=Path("real_patterns.png"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    gold = trained(options.folder, "gold_20kV", GOLD, 20, options.patterns // 2)
    judge_gold(gold, options.data, options.resolution)
    lattice = trained(options.folder, "cinchonine_200kV", cinchonine(), 200, options.patterns)
    results = {
        frames: judge_cinchonine(lattice, options.data, frames, options.resolution)
        for frames in (1, 10)
    }
    draw(results, options.figure)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
