"""What microscopes and specimens add to patterns: pure functions of patterns and a generator.

Patterns have the shape (batch, n_radial, n_azimuthal) on a :class:`PolarGrid`, or (batch, rows,
columns) on a :class:`CartesianGrid`; functions that take a grid take either, and write (batch,
...) for the two. Three words are used throughout: *content* is counts per bin (or pixel),
*density* counts per area, and a *mask* is 1 where the detector measures and 0 where not. Random
numbers come from the generator that is passed, so that a seed repeats a training run, and are
drawn on its device.
"""

from pyxem_cnn.augmentations.background import (
    add_amorphous_rings,
    add_gaussian_background,
    diffuse_background,
    direct_beam_tail,
)
from pyxem_cnn.augmentations.draws import Range, chance, log_uniform, uniform
from pyxem_cnn.augmentations.electrons import (
    count_electrons,
    integrate_electrons,
    saturate,
)
from pyxem_cnn.augmentations.empty import amorphous, vacuum
from pyxem_cnn.augmentations.geometry import distort, distort_patterns, warp
from pyxem_cnn.augmentations.intensity import compress_range
from pyxem_cnn.augmentations.masks import (
    beam_stop,
    blocked,
    central_disc,
    detector_gaps,
    square_detector,
)
from pyxem_cnn.augmentations.mixing import add_second, mix_in, overlap, second_weight
from pyxem_cnn.augmentations.pixels import add_hot_pixels, dead_pixels, pixels_per_bin
from pyxem_cnn.augmentations.point_spread import point_spread

__all__ = [
    "Range",
    "add_amorphous_rings",
    "add_gaussian_background",
    "add_hot_pixels",
    "add_second",
    "amorphous",
    "beam_stop",
    "blocked",
    "central_disc",
    "chance",
    "compress_range",
    "count_electrons",
    "dead_pixels",
    "detector_gaps",
    "diffuse_background",
    "direct_beam_tail",
    "distort",
    "distort_patterns",
    "integrate_electrons",
    "log_uniform",
    "mix_in",
    "overlap",
    "pixels_per_bin",
    "point_spread",
    "saturate",
    "second_weight",
    "square_detector",
    "uniform",
    "vacuum",
    "warp",
]
