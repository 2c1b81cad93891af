"""Time and memory of finding grains and their boundaries in a large map.

    python benchmarks/grains.py --size 1000

The map has square-nanometre points of silicon in Voronoi cells, with 0.3 degrees of noise.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from pyxem_cnn.maps.building import build_crystal_map
from pyxem_cnn.maps.grains.boundaries import grain_boundaries
from pyxem_cnn.maps.grains.find import find_grains
from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import from_rotation_vector, multiply, random_quaternions

NOISE = np.deg2rad(0.3)


def main():
    """Print the seconds of every step and the peak of the resident memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1000, help="rows and columns of the map")
    parser.add_argument("--grains", type=int, default=3000)
    options = parser.parse_args()
    xmap = voronoi_map(options.size, options.grains)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    grains = timed("find_grains", find_grains, xmap)
    timed("all properties", lambda: (grains.table, grains.kernel_average_misorientation))
    timed("merge small ones", lambda: find_grains(xmap, min_size=50, small="merge"))
    timed("grain_boundaries", grain_boundaries, grains)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{grains}\npeak resident memory {peak:.2f} GiB, {before:.2f} GiB before")


def timed(name, function, *arguments):
    """Return what a function returns, and print how long it took."""
    start = time.perf_counter()
    result = function(*arguments)
    print(f"{name:20} {time.perf_counter() - start:6.2f} s")
    return result


def voronoi_map(size, n_grains):
    """Return a map of silicon with known grains."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    y, x = (values.ravel() for values in np.mgrid[:size, :size].astype(float))
    seeds = rng.random((n_grains, 2)) * size
    grain = cKDTree(seeds).query(np.stack([y, x], axis=1))[1]
    noise = from_rotation_vector(NOISE * rng.normal(size=(size**2, 3)))
    rotations = multiply(noise, random_quaternions(n_grains, rng)[grain])
    silicon = CrystalStructure.from_asymmetric_unit(
        (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
    )
    coordinates = {"x": x, "y": y, "scan_unit": "nm"}
    ids = np.zeros(size**2, dtype=int)
    return build_crystal_map(rotations, ids, [silicon], coordinates=coordinates)


if __name__ == "__main__":
    main()
