"""Named samplings of all orientations and thicknesses, as published training sets used them.

Scheunert et al., "Determining the grain orientations of battery materials from electron diffraction
patterns using convolutional neural networks" (npj Computational Materials, 2026), compare three
training sets of LiNiO2. Zone-axis libraries need none of them; they serve comparisons and
networks whose classes are orientations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive
from pyxem_cnn.rotations import about_z, multiply, to_matrix, with_zone_axis
from pyxem_cnn.simulation.sampling import in_fundamental_sector

if TYPE_CHECKING:
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["OrientationSampling", "count_patterns", "sample_orientations"]

# Steps of the published samplings: degrees, and thicknesses in angstrom up to 1000.
_IN_PLANE_STEP, _EULER_STEP, _EQUISPACED_STEP = 5.0, 2.5, 2.0
_LARGEST_THICKNESS = 1000.0
_THICKNESS_STEPS = {"random": 50.0, "euler": 200.0, "equispaced": 200.0}
SAMPLINGS = tuple(_THICKNESS_STEPS)


@dataclass(frozen=True, eq=False)
class OrientationSampling:
    """Orientations, each of them one class, and thicknesses; a pattern is one of each.

    Attributes
    ----------
    name
        Name of the sampling.
    orientations
        Quaternions of shape (n_classes, 4), lab to crystal.
    thicknesses
        In angstrom, shape (n_thicknesses,).
    """

    name: str
    orientations: np.ndarray
    thicknesses: np.ndarray

    @property
    def n_classes(self) -> int:
        """Number of orientations."""
        return len(self.orientations)

    @property
    def n_patterns(self) -> int:
        """Number of orientations times number of thicknesses."""
        return self.n_classes * len(self.thicknesses)

    def patterns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what each pattern is, all thicknesses of a class in a row.

        Returns
        -------
        orientations, thicknesses, classes
            Shapes (n_patterns, 4), (n_patterns,) in angstrom, and (n_patterns,) with the row of
            ``orientations`` that a pattern belongs to.
        """
        n = len(self.thicknesses)
        classes = np.repeat(np.arange(self.n_classes), n)
        return self.orientations[classes], np.tile(self.thicknesses, self.n_classes), classes


class PatternCount(NamedTuple):
    """Size of one sampling."""

    name: str
    n_classes: int
    n_thicknesses: int
    n_patterns: int


def sample_orientations(
    phase: Any,
    name: str,
    *,
    step: float | None = None,
    thickness_step: float | None = None,
    n_zone_axes: int = 49,
    seed: int = 0,
) -> OrientationSampling:
    """Sample all orientations of a phase, modulo the rotations of its Laue group.

    Parameters
    ----------
    phase
        Path of a .cif file, `CrystalStructure`, orix Phase or diffpy Structure.
    name
        "random": zone axes at random, each in all in-plane angles. "euler": a regular grid of Bunge
        angles, which crowds orientations where Phi is near 0. "equispaced": orix'
        ``get_sample_fundamental``, even in the space of orientations.
    step
        In degrees, of the in-plane angle for "random" (5), of all angles for "euler" (2.5), and
        the distance of neighbours for "equispaced" (2).
    thickness_step
        In angstrom, up to 1000: 50 for "random", otherwise 200.
    n_zone_axes
        Number of random zone axes for "random", even on the sphere within the fundamental sector.
    seed
        Of the random zone axes.

    Returns
    -------
    sampling
        Orientations, thicknesses and class numbers.

    Raises
    ------
    ValueError
        If there is no sampling of that name, or a step is not positive.

    Examples
    --------
    >>> from pyxem_cnn import CrystalStructure, sample_orientations
    >>> silicon = CrystalStructure.from_asymmetric_unit(
    ...     (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
    ... )
    >>> sampling = sample_orientations(silicon, "euler", step=15)
    >>> sampling.n_classes, sampling.n_patterns  # 24 x 7 x 6 angles, 5 thicknesses
    (1008, 5040)
    """
    from pyxem_cnn.phases import as_crystal_structure

    check_choice("name", name, SAMPLINGS)
    check_positive("n_zone_axes", n_zone_axes, integer=True)
    crystal = as_crystal_structure(phase)
    thickness_step = _THICKNESS_STEPS[name] if thickness_step is None else thickness_step
    check_positive("thickness_step", thickness_step, remedy="It is in angstrom.")
    if step is not None:
        check_positive("step", step, remedy="It is in degrees.")
    if name == "random":
        generator = np.random.default_rng(seed)
        orientations = _random(crystal, step or _IN_PLANE_STEP, n_zone_axes, generator)
    elif name == "euler":
        orientations = _euler(crystal, step or _EULER_STEP)
    else:
        orientations = _equispaced(crystal, step or _EQUISPACED_STEP)
    thicknesses = np.arange(1, int(_LARGEST_THICKNESS / thickness_step + 1e-9) + 1)
    return OrientationSampling(name, orientations, thicknesses * thickness_step)


def count_patterns(phase: Any) -> list[PatternCount]:
    """Return how many classes and patterns the published samplings have for a phase.

    Parameters
    ----------
    phase
        Path of a .cif file, `CrystalStructure`, orix Phase or diffpy Structure.

    Returns
    -------
    counts
        One ``(name, n_classes, n_thicknesses, n_patterns)`` for each sampling.
    """
    counts = []
    for name in SAMPLINGS:
        sampling = sample_orientations(phase, name)
        numbers = sampling.n_classes, len(sampling.thicknesses), sampling.n_patterns
        counts.append(PatternCount(name, *numbers))
    return counts


def _random(
    crystal: CrystalStructure, step: float, n: int, generator: np.random.Generator
) -> np.ndarray:
    """Return zone axes at random times evenly spaced in-plane angles."""
    operations = to_matrix(crystal.symmetry_quaternions())
    axes = np.empty((0, 3))
    while len(axes) < n:
        directions = generator.standard_normal((n * len(operations), 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        inside = directions[in_fundamental_sector(directions, operations)]
        axes = np.concatenate([axes, inside])
    angles = np.deg2rad(np.arange(0, 360 - 1e-9, step))
    return multiply(with_zone_axis(axes[:n])[:, None], about_z(angles)).reshape(-1, 4)


def _euler(crystal: CrystalStructure, step: float) -> np.ndarray:
    """Return a grid of Bunge angles over the box that the axes along and across z leave.

    Groups with other axes, such as the cubic ones, have equivalent orientations within the box.
    """
    phi, phi2 = _euler_limits(to_matrix(crystal.symmetry_quaternions()))
    angles = (
        np.arange(0, 360 - 1e-9, step),
        np.arange(0, phi + 1e-9, step),
        np.arange(0, phi2 - 1e-9, step),
    )
    phi1, phi, phi2 = (np.deg2rad(a) for a in np.meshgrid(*angles, indexing="ij"))
    # Passive, as orix: the frame turns by phi1 about z, by phi about x, by phi2 about z.
    half = phi / 2
    about_x = np.stack([np.cos(half), -np.sin(half), 0 * half, 0 * half], axis=-1)
    return multiply(about_z(-phi2), multiply(about_x, about_z(-phi1))).reshape(-1, 4)


def _euler_limits(rotations: np.ndarray) -> tuple[float, float]:
    """Return the upper limits of Phi and phi2 in degrees for a group of rotations (n, 3, 3)."""
    along_z = int((rotations[:, 2, 2] > 1 - 1e-6).sum())
    flipped = bool((rotations[:, 2, 2] < -1 + 1e-6).any())
    return (90.0 if flipped else 180.0), 360.0 / along_z


def _equispaced(crystal: CrystalStructure, step: float) -> np.ndarray:
    """Return orix' even grid in the fundamental zone."""
    from orix.sampling import get_sample_fundamental

    group = crystal.to_phase().point_group.laue_proper_subgroup
    return get_sample_fundamental(step, point_group=group).data.reshape(-1, 4)
