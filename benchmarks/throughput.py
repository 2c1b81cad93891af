"""Patterns per CPU second from a file to a crystal map, beside pyxem's template matching.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --model linio2_300kV --size 96 --csv throughput.csv

A scan of 128 x 128 uint16 patterns is written to a temporary .zspy file. The first table has the
CPU seconds of each stage, one after the other on one core: reading alone, the polar operator, the
network, and the decoding of its cells to three orientations with scores. The second has the whole
method, `hs.load(..., lazy=True).get_orientation_map_cnn(model, n_best=3)`, on one core and on two,
with batches of several sizes. pyxem matches the same patterns in memory, so that it need not read,
with templates of the model's phase 2 degrees apart. Not counted for pyxem are the simulation of the
templates and what each call takes before the first pattern, measured with 16 patterns: the figure
is that of a long scan. For ours, everything is counted.

CPU seconds are used since machines are shared, and both sides are timed in turns, best of
`--repeats`. Without `--model`, a network for LiNiO2 with random weights is timed: neither side's
time depends on what is in a pattern.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import dask
import hyperspy.api as hs
import numpy as np
import torch
from template_matching import LINIO2

import pyxem_cnn
from pyxem_cnn._torch import limit_threads
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.detector.polar import ResamplingOperator
from pyxem_cnn.model import ModelDescription, OrientationModel
from pyxem_cnn.networks.azimuthal import AzimuthalConfig, AzimuthalNetwork
from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget

SHAPE, SCALE, VOLTAGE, N_BEST = (128, 128), 0.02, 200, 3
CHUNK = 16  # patterns along a side


@dataclass
class Row:
    """One measurement: what was timed, how, and how long it took."""

    what: str
    cores: int
    batch_size: int | None
    patterns: int
    wall: float = float("inf")
    cpu: float = float("inf")

    @contextmanager
    def timed(self):
        """Keep the time of a block if it is the shortest so far."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall = min(self.wall, time.perf_counter() - wall)
        self.cpu = min(self.cpu, time.process_time() - cpu)


def random_model():
    """Return a model of LiNiO2 with the sizes of a trained one and random weights."""
    grid, target = PolarGrid(), ZoneInPlaneTarget.for_crystal(LINIO2)
    sizes = AzimuthalConfig(grid.n_radial, grid.n_azimuthal, n_zones=tuple(target.n_zones))
    torch.manual_seed(0)
    return OrientationModel.build(
        AzimuthalNetwork(sizes).eval(),
        ModelDescription(crystal=LINIO2, grid=grid, target=target, accelerating_voltage=VOLTAGE),
    )


def make_scan(n):
    """Return a scan of n x n patterns of about 9000 electrons, 0.02 1/angstrom a pixel."""
    from pyxem.signals import ElectronDiffraction2D

    generator = np.random.default_rng(0)
    rates = 5 * generator.random((64, *SHAPE), dtype=np.float32) ** 8
    scan = ElectronDiffraction2D(
        np.resize(generator.poisson(rates).astype(np.uint16), (n, n, *SHAPE))
    )
    for axis in scan.axes_manager.signal_axes:
        axis.units, axis.scale, axis.offset = "1/Å", SCALE, -SCALE * (axis.size - 1) / 2
    return scan


def stages(path, model, batch_size, repeats):
    """Time reading, operator, network and decoding one after the other on one core."""
    data = hs.load(path, lazy=True).data
    n = int(np.prod(data.shape[:2]))
    names = ("reading alone", "polar operator", "network", "decoding")
    read, resampling, network, decoding = rows = [Row(name, 1, batch_size, n) for name in names]
    operator = ResamplingOperator(
        DetectorGeometry.from_signal(hs.load(path, lazy=True)), model.grid
    )
    for _ in range(repeats):
        with dask.config.set(scheduler="synchronous"), read.timed():
            for block in data.blocks:
                patterns = np.asarray(block).reshape(-1, *SHAPE)
        batches = [patterns[i : i + batch_size] for i in range(0, len(patterns), batch_size)]
        time_batches(model, operator, batches, n / len(patterns), (resampling, network, decoding))
    return rows


def time_batches(model, operator, batches, factor, rows):
    """Time one block as the mapping works on it; ``factor`` blocks are in the scan."""
    resampling, network, decoding = rows
    seconds = []
    decode = model.target.decode

    def timed_decode(*arguments):
        start = time.process_time()
        result = decode(*arguments)
        seconds.append(time.process_time() - start)
        return result

    with limit_threads(1):
        start = time.process_time()
        counts = [operator(batch) for batch in batches]
        resampled = time.process_time()
        model.target.decode = timed_decode
        for values, mask in counts:
            model.predict(values, mask, N_BEST)
        predicted = time.process_time()
        model.target.decode = decode
    found = (resampled - start, predicted - resampled - sum(seconds), sum(seconds))
    for row, cpu in zip((resampling, network, decoding), found, strict=True):
        row.cpu = min(row.cpu, cpu * factor)
        row.wall = row.cpu


def map_file(path, model, row):
    """Time the whole method."""
    workers = dask.config.set(scheduler="threads", num_workers=row.cores)
    with workers, row.timed():
        scan = hs.load(path, lazy=True)
        scan.get_orientation_map_cnn(
            model, n_best=N_BEST, batch_size=row.batch_size, show_progressbar=False
        )


def simulate_templates(model, resolution):
    """Return pyxem's templates of the model's phase."""
    from diffsims.generators.simulation_generator import SimulationGenerator
    from orix.sampling import get_sample_reduced_fundamental

    grid = get_sample_reduced_fundamental(resolution, point_group=model.phase.point_group)
    return SimulationGenerator(model.accelerating_voltage).calculate_diffraction2d(
        model.phase, grid, reciprocal_radius=1.25, max_excitation_error=0.05, with_direct_beam=False
    )


def match_templates(scan, simulation):
    """Match templates with pyxem's own chain."""
    polar = scan.get_azimuthal_integral2d(npt=100, npt_azim=360, inplace=False, mean=True)
    polar = polar**0.5
    polar.get_orientation(simulation, n_best=N_BEST, frac_keep=1.0)


def without_start(row, start):
    """Return what a method takes for each further pattern."""
    n = row.patterns - start.patterns
    return Row(row.what, row.cores, None, n, row.wall - start.wall, row.cpu - start.cpu)


def print_stages(rows, whole):
    """Print what each stage takes, and what the whole takes besides."""
    print(f"\nstages on one core, batches of {whole.batch_size}")
    print(f"{'':>24} {'us/pattern':>10} {'patterns/CPU s':>15} {'share':>7}")
    rest = whole.cpu - sum(row.cpu for row in rows)
    named = [(row.what, row.cpu) for row in rows]
    for name, cpu in [*named, ("everything else", rest), ("file to crystal map", whole.cpu)]:
        each = cpu / whole.patterns
        rate = f"{1 / each:,.0f}" if each > 0 else "-"
        print(f"{name:>24} {each * 1e6:10.1f} {rate:>15} {cpu / whole.cpu:7.1%}")


def print_wholes(rows, pyxem):
    """Print the whole method for cores and batch sizes, and the ratio to pyxem."""
    print(
        f"\n{'':>24} {'cores':>5} {'batch':>5} {'patterns':>8} {'wall s':>7} {'CPU s':>7}", end=""
    )
    print(f" {'per s':>7} {'per CPU s':>9} {'x pyxem':>8}")
    for row in [*rows, *([pyxem] if pyxem else [])]:
        ratio = f"{(row.patterns / row.cpu) / (pyxem.patterns / pyxem.cpu):.1f}" if pyxem else "-"
        print(
            f"{row.what:>24} {row.cores:5} {row.batch_size or '-':>5} {row.patterns:8} "
            f"{row.wall:7.2f} {row.cpu:7.2f} {row.patterns / row.wall:7.0f} "
            f"{row.patterns / row.cpu:9.0f} {ratio:>8}"
        )


def write_csv(path, rows):
    """Write all measurements."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def main():
    """Time both and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model file or name (default: LiNiO2, random weights)")
    parser.add_argument("--size", type=int, default=64, help="patterns along a side of the scan")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--repeats", type=int, default=3, help="of which the best counts")
    parser.add_argument("--resolution", type=float, default=2.0, help="of the templates, degrees")
    parser.add_argument(
        "--matched", type=int, default=16, help="side of the part pyxem gets; 0: none"
    )
    parser.add_argument("--csv", help="file to write the measurements to")
    options = parser.parse_args()
    model = pyxem_cnn.load_model(options.model) if options.model else random_model()
    n = options.size**2
    wholes = [Row("file to crystal map", c, b, n) for c in (1, 2) for b in options.batch_sizes]
    pyxem = Row("pyxem", os.cpu_count(), None, options.matched**2) if options.matched else None
    start = Row("pyxem", os.cpu_count(), None, 16)
    print(f"{model.name}, {model.grid}, {model.target}")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "scan.zspy")
        scan = make_scan(options.size)
        scan.save(path, chunks=(CHUNK, CHUNK, *SHAPE))
        if pyxem:
            simulation = simulate_templates(model, options.resolution)
            print(f"pyxem with {simulation.rotations.size} templates")
            match_templates(scan.inav[:4, :4], simulation)  # compiles
        scan.inav[:8, :8].get_orientation_map_cnn(model, show_progressbar=False)  # compiles
        for _ in range(options.repeats):
            for row in wholes:
                map_file(path, model, row)
            if pyxem:
                with start.timed():
                    match_templates(scan.inav[:4, :4], simulation)
                with pyxem.timed():
                    match_templates(scan.inav[: options.matched, : options.matched], simulation)
        parts = stages(path, model, wholes[0].batch_size, options.repeats)
    pyxem = without_start(pyxem, start) if pyxem else None
    print_stages(parts, wholes[0])
    print_wholes(wholes, pyxem)
    if options.csv:
        write_csv(options.csv, [*parts, *wholes, *([pyxem] if pyxem else [])])


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        main()
