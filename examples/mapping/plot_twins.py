"""
List twins apart
================

*The second orientation of a point: the first after half a turn, or quite another one?*

A scan of silicon is mapped with three orientations for each point, the pseudo-symmetric twins among
them are listed, and all are compared with the truth.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from orix.quaternion import Rotation

import pyxem_cnn
from pyxem_cnn.maps.misorientation import misorientation_angles, proper_group
from pyxem_cnn.metrics import TWIN_DIFFERENCE
from pyxem_cnn.plot.ipf import ipf_colors

RIGHT = 5  # degrees
# The first of each is that of points that are not indexed.
KINDS = {"-": "black", "none": "0.85", "twin, R < 0.1": "C1", "twin, R > 0.1": "C8", "other": "C0"}
ANSWERS = {"-": "black", "first": "0.85", "second": "gold", "neither": "C3"}


def show(axes, numbers, shape, colours, title):
    """Draw a map of numbered kinds, with the colours' names below."""
    key = {"cmap": ListedColormap(colours.values()), "vmin": 0, "vmax": len(colours) - 1}
    axes.imshow(numbers.reshape(shape), **key)
    axes.set(title=title, xticks=[], yticks=[])
    for name, colour in list(colours.items())[1:]:
        axes.plot([], [], "s", color=colour, label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncol=2, frameon=False)


def main(output="twins.png"):
    """Map, list, compare with the truth, and draw."""
    with tempfile.TemporaryDirectory() as folder:
        scan, truth = pyxem_cnn.data.grain_scan(Path(folder) / "scan.zspy", simulator="bloch")
        xmap = scan.get_orientation_map_cnn("si_200kV", n_best=3)
    twins = pyxem_cnn.list_twins(xmap, accelerating_voltage=200, k_max=1.28)
    print(twins.summary())
    is_twin, is_alike = twins.is_twin[:, 1], twins.difference[:, 1] < TWIN_DIFFERENCE
    kind = np.select([twins.relation[:, 1] == "none", is_twin & is_alike, is_twin], [1, 2, 3], 4)
    symmetry, found = proper_group(xmap.phases[0]).data, xmap.rotations.data
    true = truth.rotations.data
    first, second = (misorientation_angles(true, found[:, i], symmetry) < RIGHT for i in (0, 1))
    answer = np.select([first, second & (kind > 1)], [1, 2], 3)
    kind[~xmap.is_indexed] = answer[~xmap.is_indexed | ~truth.is_indexed] = 0

    figure, axes = plt.subplots(2, 2, figsize=(9, 9.4), layout="constrained")
    colours = ipf_colors(Rotation(found[:, 0]), xmap.phases[0], "z")
    colours[~xmap.is_indexed] = 0
    axes[0, 0].imshow(colours.reshape(*xmap.shape, 3))
    axes[0, 0].set(title="first orientation, along z", xticks=[], yticks=[])
    show(axes[0, 1], kind, xmap.shape, KINDS, "the second orientation is")
    show(axes[1, 0], answer, xmap.shape, ANSWERS, f"within {RIGHT}° of the truth is")
    for place, name in list(enumerate(KINDS))[1:]:
        of_kind = answer[(kind == place) & (answer > 0)]
        share = np.bincount(of_kind, minlength=4)[1:] / max(1, len(of_kind))
        print(f"{name}: {len(of_kind)} points; first, second, neither right: {share.round(3)}")
        axes[1, 1].barh(
            [name] * 3, share, left=share.cumsum() - share, color=[*ANSWERS.values()][1:]
        )
    axes[1, 1].invert_yaxis()
    axes[1, 1].set(xlim=(0, 1), xlabel="share of the points", title="by kind of the second one")
    figure.savefig(output, dpi=110)
    print(f"Written: {Path(output).absolute()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
