"""Patterns per CPU second, end to end, beside pyxem's template matching in the same run.

    python benchmarks/throughput.py --model si.pt

Prints the time of each stage and the ratio to pyxem. Both sides get the same 128 x 128 uint16
patterns in memory. CPU seconds are used since machines are shared.
"""

from __future__ import annotations

import argparse
import time
import warnings
from contextlib import contextmanager

import numpy as np

import pyxem_cnn
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import ResamplingOperator

SECONDS: dict[str, float] = {}


@contextmanager
def stage(name):
    """Add the CPU seconds of a block to a stage."""
    start = time.process_time()
    yield
    SECONDS[name] = SECONDS.get(name, 0.0) + time.process_time() - start


def make_scan(n):
    """Return a scan of n x n silicon patterns, 128 x 128 uint16, 0.02 1/angstrom a pixel."""
    from pyxem.signals import ElectronDiffraction2D

    generator = np.random.default_rng(0)
    rates = generator.random((64, 128, 128), dtype=np.float32) ** 8
    counts = generator.poisson(rates * 5).astype(np.uint16)
    scan = ElectronDiffraction2D(np.resize(counts, (n, n, 128, 128)))
    for axis in scan.axes_manager.signal_axes:
        axis.units, axis.scale, axis.offset = "1/Å", 0.02, -0.02 * 63.5
    return scan


def ours(scan, model):
    """Time the whole method and its stages."""
    scan.inav[:8, :8].get_orientation_map_cnn(model, show_progressbar=False)  # compile, load
    with stage("end to end"):
        scan.get_orientation_map_cnn(model, n_best=3, show_progressbar=False)
    operator = ResamplingOperator(DetectorGeometry.from_signal(scan), model.grid)
    patterns = scan.data.reshape(-1, 128, 128)
    with stage("polar operator"):
        counts, mask = operator(patterns)
    from pyxem_cnn._torch import limit_threads

    with limit_threads(1), stage("network and decoding"):
        for start in range(0, len(counts), 128):
            model.predict(counts[start : start + 128], mask, 3)


def template_matching(scan, model, resolution):
    """Time pyxem's own chain: polar transform, matching, with a grid of templates."""
    from diffsims.generators.simulation_generator import SimulationGenerator
    from orix.sampling import get_sample_reduced_fundamental

    grid = get_sample_reduced_fundamental(resolution, point_group=model.phase.point_group)
    simulation = SimulationGenerator(model.accelerating_voltage).calculate_diffraction2d(
        model.phase, grid, reciprocal_radius=1.25, max_excitation_error=0.05, with_direct_beam=False
    )
    with stage("pyxem"):
        polar = scan.get_azimuthal_integral2d(npt=100, npt_azim=360, inplace=False, mean=True)
        polar = polar**0.5
        polar.get_orientation(simulation, n_best=3, frac_keep=1.0)
    return grid.size


def main():
    """Run both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="si_200kV", help="model file or name")
    parser.add_argument("--size", type=int, default=32, help="patterns along a side of the scan")
    parser.add_argument("--resolution", type=float, default=2.0, help="of the templates, degrees")
    parser.add_argument("--no-pyxem", action="store_true", help="leave template matching out")
    options = parser.parse_args()
    model = pyxem_cnn.load_model(options.model)
    scan = make_scan(options.size)
    n = options.size**2
    ours(scan, model)
    if not options.no_pyxem:
        templates = template_matching(scan, model, options.resolution)
        print(f"pyxem with {templates} templates, {options.resolution:g} degrees")
    for name, seconds in SECONDS.items():
        print(f"{name:>22}: {n / seconds:7.0f} patterns per CPU second")
    if "pyxem" in SECONDS:
        print(f"ratio end to end: {SECONDS['pyxem'] / SECONDS['end to end']:.1f} times pyxem")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        main()
