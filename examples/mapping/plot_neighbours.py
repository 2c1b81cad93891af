"""
Let neighbours decide
=====================

*Grains are speckled with two orientations, half a turn apart: which one is right?*

One pattern may leave two orientations open; its neighbours, of the same grain, see the grain with
other noise. A scan of silicon is mapped, chosen by neighbours, and compared with the truth.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from orix.plot import IPFColorKeyTSL
from orix.quaternion import Orientation

import pyxem_cnn
from pyxem_cnn.maps.disorientation import errors_in_degrees

WORST = 20  # degrees, the end of the colour scale


def colours(crystal_map):
    """Return inverse pole figure colours along z, black where nothing is indexed."""
    group = crystal_map.phases[0].point_group
    best = crystal_map.rotations.data.reshape(crystal_map.size, -1, 4)[:, 0]
    image = IPFColorKeyTSL(group).orientation2color(Orientation(best, symmetry=group))
    image[~crystal_map.is_indexed] = 0
    return image.reshape(*crystal_map.shape, 3)


def main(output="neighbours.png"):
    """Map, choose, and draw."""
    with tempfile.TemporaryDirectory() as folder:
        scan, truth = pyxem_cnn.data.grain_scan(Path(folder) / "scan.zspy", simulator="bloch")
        before = scan.get_orientation_map_cnn("si_200kV", n_best=3)
    after = pyxem_cnn.choose_by_neighbours(before)
    figure = plt.figure(figsize=(9, 6), layout="constrained")
    grid = figure.add_gridspec(2, 3)
    titles = ("pattern by pattern", "chosen by neighbours", "true")
    for column, (one, title) in enumerate(zip((before, after, truth), titles, strict=True)):
        figure.add_subplot(grid[0, column], title=title).imshow(colours(one))
    for column, one in enumerate((before, after)):
        degrees = errors_in_degrees(one, truth)
        known = ~np.isnan(degrees)
        shares = [100 * np.mean(degrees[known] < limit) for limit in (2, 5)]
        print(f"{titles[column]}: {shares[0]:.1f} % within 2 deg, {shares[1]:.1f} % within 5 deg")
        axes = figure.add_subplot(grid[1, column], title=f"{shares[1]:.0f} % within 5°")
        shown = axes.imshow(degrees.clip(max=WORST).reshape(one.shape), vmin=0, cmap="magma_r")
    changed = after.prop["chosen_rank"] > 0
    title = f"{changed.sum()} of {changed.size} points changed"
    axes = figure.add_subplot(grid[1, 2], title=title)
    axes.imshow(changed.reshape(after.shape), cmap="gray_r")
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])
    label = f"degrees from the truth, {WORST} and more black"
    figure.colorbar(shown, ax=figure.axes, label=label, shrink=0.5, anchor=(0, 0))
    figure.savefig(output, dpi=110)
    print(f"Written: {Path(output).absolute()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
