"""Draw the figures of docs/user/augmentations.md: python docs/_scripts/plot_augmentations.py.

Each figure shows one kind of augmentation: before and after on square pixels, as the microscope
shows them, and after on the polar grid, as our network reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from pyxem_cnn import CartesianGrid, CrystalStructure, PolarGrid
from pyxem_cnn import augmentations as aug
from pyxem_cnn.rotations import multiply, with_zone_axis
from pyxem_cnn.simulation.kinematic import KinematicSimulator
from pyxem_cnn.simulation.rendering import render_polar

FOLDER = Path(__file__).parents[1] / "_static"
SQUARE = CartesianGrid((128, 128), 0.02)
POLAR = PolarGrid(k_min=0.125, k_max=1.25, n_radial=42, n_azimuthal=128)
PIXEL = 0.02  # side of a detector pixel, 1/angstrom
SIGMA = 0.02  # of spots, 1/angstrom
DOSE = 3e5

Grid = CartesianGrid | PolarGrid
Spots = tuple[np.ndarray, np.ndarray]
# (pattern, grid, generator) -> pattern, or pattern and mask; ``spots`` belong to the pattern
Change = Callable[..., Tensor | tuple[Tensor, Tensor]]


def silicon_spots(zone: tuple[float, float, float], turn: float) -> Spots:
    """Return positions and intensities of silicon's spots near a zone axis."""
    silicon = CrystalStructure.from_asymmetric_unit(
        (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
    )
    simulator = KinematicSimulator(silicon, 200, k_max=1.8)
    axis = np.array([zone]) / np.linalg.norm(zone)
    half = np.deg2rad(turn) / 2
    orientation = multiply(with_zone_axis(axis), np.array([[np.cos(half), 0, 0, np.sin(half)]]))
    spots = simulator.spots(orientation)
    intensity = spots.intensity / (1 + (spots.excitation_error / 0.012) ** 2)
    # Square roots: as multiple scattering makes intensities more even.
    intensity = np.sqrt(intensity[0])
    return spots.k[0], intensity / intensity.sum()


def rendered(spots: Spots, grid: Grid) -> Tensor:
    """Return electrons per bin of spots and, in the middle, the direct beam."""
    k, intensity = (torch.as_tensor(x, dtype=torch.float32) for x in spots)
    area = torch.as_tensor(grid.bin_areas, dtype=torch.float32)
    beam = aug.direct_beam_tail(torch.zeros(1, 2), torch.tensor([SIGMA]), torch.ones(1), grid)
    if isinstance(grid, PolarGrid):
        content = torch.from_numpy(
            render_polar(k[None].numpy(), intensity[None].numpy(), np.array([SIGMA]), grid)
        )
    else:
        each = aug.direct_beam_tail(k, torch.full_like(intensity, SIGMA), intensity, grid)
        content = each.sum(0, keepdim=True) * area
    return DOSE * (content + beam * area)


FIRST, SECOND = silicon_spots((1.03, 1, 0.03), 25), silicon_spots((1, 1, 1.04), -50)


def fixed(value: float) -> tuple[float, float]:
    """Return a range without width."""
    return value, value


def second_grain(pattern: Tensor, grid: Grid, generator: torch.Generator) -> Tensor:
    """Return the first pattern with half as much of another grain."""
    both = torch.cat([pattern, rendered(SECOND, grid)])
    return aug.overlap(both, 1.0, 0.9, generator)[:1]


def matrix_and_shift(center: float, scale: float, ellipticity: float) -> tuple[Tensor, Tensor]:
    """Return the transformation of an error of the geometry, as (1, 2, 2) and (1, 2)."""
    matrix = torch.eye(2) + torch.diag(torch.tensor([scale + ellipticity, scale - ellipticity]))
    return matrix[None], torch.tensor([[center, center / 2]])


def warped(*error: float) -> Change:
    """Return the change of an error of the geometry."""
    return lambda p, grid, g: aug.warp(p, *matrix_and_shift(*error), grid)


def counted(electrons: float) -> Change:
    """Return the change of a dose."""
    return lambda p, grid, g: aug.count_electrons(p, torch.tensor([electrons]), g)


def integrating(pattern: Tensor, grid: Grid, generator: torch.Generator) -> Tensor:
    """Return what a scintillator and a camera make of 20,000 electrons."""
    pixels = aug.pixels_per_bin(grid, PIXEL)
    counts = aug.count_electrons(pattern, torch.tensor([2e4]), generator)
    return aug.integrate_electrons(counts, 20, 0.5, 12, pixels, generator)


def in_use(pattern: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
    """Return a pattern with unknown dead pixels, all of it measured."""
    return pattern * alive, torch.ones_like(pattern)


def masked(make: Callable) -> Change:
    """Return the change of a mask."""
    return lambda p, grid, g: (p, make(grid, g))


def with_background(pattern: Tensor, grid: Grid) -> Tensor:
    """Return a pattern on a Gaussian background."""
    generator = torch.Generator().manual_seed(0)
    return aug.add_gaussian_background(pattern, grid, fixed(0.6), fixed(0.35), generator)


def compressed(ratio: float) -> Change:
    """Return the change of a dynamic range; squared, since the figures show square roots."""
    return lambda p, grid, g: (
        aug.compress_range(p / area_of(grid), g, fixed(ratio)) ** 2 * area_of(grid)
    )


def vacuum(pattern: Tensor, grid: Grid, generator: torch.Generator) -> Tensor:
    """Return vacuum; on the polar grid without the direct beam, a few electrons are left."""
    content = aug.vacuum(1, grid, generator, stray=fixed(0.01))
    return counted(100.0 if isinstance(grid, PolarGrid) else 1e4)(content, grid, generator)


def area_of(grid: Grid) -> Tensor:
    """Return the areas of the bins."""
    return torch.as_tensor(grid.bin_areas, dtype=torch.float32)


GEOMETRY = {
    "warp: camera length + 12 %": (0.0, 0.12, 0.0),
    "warp: camera length - 15 %": (0.0, -0.15, 0.0),
    "warp: centre": (0.12, 0.0, 0.0),
    "warp: ellipticity 8 %": (0.0, 0.0, 0.08),
}

FIGURES: dict[str, dict[str, Change]] = {
    "specimen": {
        "add_gaussian_background": lambda p, grid, g: aug.add_gaussian_background(
            p, grid, fixed(0.75), fixed(0.35), g
        ),
        "diffuse_background": lambda p, grid, g: aug.mix_in(
            p, aug.diffuse_background(1, grid, g) * area_of(grid), torch.tensor([0.8])
        ),
        "add_amorphous_rings": lambda p, grid, g: aug.add_amorphous_rings(
            p, grid, 1.0, fixed(0.7), g, radius=fixed(0.48)
        ),
        "overlap": second_grain,
    },
    "geometry": {name: warped(*error) for name, error in GEOMETRY.items()},
    "detector": {
        "point_spread": lambda p, grid, g: aug.point_spread(p, torch.tensor([0.035]), grid),
        "count_electrons: 3000": counted(3e3),
        "integrate_electrons": integrating,
        "saturate": lambda p, grid, g: aug.saturate(p, 400.0, aug.pixels_per_bin(grid, PIXEL)),
        "add_hot_pixels": lambda p, grid, g: aug.add_hot_pixels(
            p, grid, fixed(3e-3), (1e3, 1e4), PIXEL, g
        ),
        "dead_pixels": lambda p, grid, g: in_use(
            p, aug.dead_pixels(1, grid, fixed(0.05), PIXEL, g)
        ),
    },
    "masks": {
        "square_detector": masked(lambda grid, g: aug.square_detector(1, fixed(0.9), 0.2, grid, g)),
        "detector_gaps": masked(
            lambda grid, g: aug.detector_gaps(1, 1, fixed(0.08), fixed(1.3), grid, g)
        ),
        "beam_stop": masked(lambda grid, g: aug.beam_stop(1, 1, fixed(0.16), grid, g)),
        "central_disc": masked(lambda grid, g: aug.central_disc(1, 1, fixed(0.25), 0, grid, g)),
    },
    "empty": {
        "vacuum": vacuum,
        "amorphous": lambda p, grid, g: counted(3e4)(
            aug.amorphous(1, grid, g, fixed(0.48), fixed(0.5)), grid, g
        ),
        "compress_range: 10³": compressed(1e3),
        "compress_range: 10⁷": compressed(1e7),
    },
}
NO_CRYSTAL = {"vacuum", "amorphous"}
ON_BACKGROUND = {"saturate", "add_hot_pixels", "dead_pixels", *FIGURES["empty"]}
SAME_SCALE = {"point_spread", "saturate", "add_hot_pixels", "dead_pixels"}
SEEDS = {"overlap": 8}


def show(axis: plt.Axes, result: Tensor | tuple, grid: Grid, top: float | None = None) -> float:
    """Show the square root of a density, grey where not measured; return the top of the scale."""
    pattern, mask = result if isinstance(result, tuple) else (result, torch.ones_like(result))
    density = (pattern / area_of(grid))[0].clamp(min=0).sqrt().numpy()
    density = np.ma.masked_array(density, mask[0].numpy() == 0)
    top = top or np.percentile(density.compressed(), 99.7) or 1.0
    colours = plt.get_cmap("magma").with_extremes(bad="0.7")
    look = {"cmap": colours, "vmin": 0, "vmax": top, "interpolation": "nearest"}
    if isinstance(grid, PolarGrid):
        extent = (0, 360, grid.k_min, grid.k_max)
        axis.imshow(density, origin="lower", extent=extent, aspect="auto", **look)
        axis.set_xticks([0, 180, 360])
        axis.set_yticks([0.5, 1.0])
    else:
        half = grid.shape[0] * grid.scale / 2
        axis.imshow(density, extent=(-half, half, -half, half), **look)
        axis.set(xticks=[], yticks=[], xlim=(-half, half), ylim=(-half, half))
    return top


def before(title: str, grid: Grid) -> Tensor:
    """Return the pattern that an augmentation starts from."""
    pattern = rendered(FIRST, grid)
    return with_background(pattern, grid) if title in ON_BACKGROUND else pattern


def draw_column(column: np.ndarray, title: str, change: Change) -> None:
    """Draw one augmentation: before, after, after in the polar layout."""
    column[0].set_title(title, fontsize=8.5, family="monospace")
    if title in NO_CRYSTAL:
        column[0].set(xticks=[], yticks=[], aspect="equal", box_aspect=1)
        column[0].text(0.5, 0.5, "no crystal", ha="center", va="center")
    else:
        show(column[0], before(title, SQUARE), SQUARE)
    for axis, grid in zip(column[1:], (SQUARE, POLAR), strict=True):
        pattern = before(title, grid)
        # The same seed in both layouts draws the same numbers.
        generator = torch.Generator().manual_seed(SEEDS.get(title, 4))
        top = show(axis, pattern, grid) if title in SAME_SCALE else None
        show(axis, change(pattern, grid, generator), grid, top)
    if title in GEOMETRY:
        k = FIRST[0][FIRST[1] > 0.005]
        column[1].scatter(*k.T, s=22, facecolors="none", edgecolors="w", linewidths=0.4)
    column[2].set_xlabel("azimuth (°)", fontsize=8)
    column[2].tick_params(labelsize=7)


def draw(name: str, changes: dict[str, Change]) -> Path:
    """Draw one figure and return its path."""
    n = len(changes)
    figure, axes = plt.subplots(
        3, n, figsize=(2.1 * n, 5.7), height_ratios=(1, 1, 0.75), layout="constrained"
    )
    for column, (title, change) in zip(axes.T, changes.items(), strict=True):
        draw_column(column, title, change)
    for axis, label in zip(axes[:, 0], ("before", "after", "after, polar\n$k$ (1/Å)"), strict=True):
        axis.set_ylabel(label, fontsize=9)
    path = FOLDER / f"augmentations_{name}.png"
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


if __name__ == "__main__":
    for figure_name, group in FIGURES.items():
        draw(figure_name, group)
