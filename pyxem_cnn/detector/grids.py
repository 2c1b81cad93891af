"""The grids a network reads patterns on: polar (radius x azimuth) and centred square."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from pyxem_cnn._checks import given_expected

__all__ = ["CartesianGrid", "PolarGrid", "grid_from_dict"]

_FROM_TO_DICT = "Pass a dictionary that the grid's to_dict() made."


@dataclass(frozen=True)
class PolarGrid:
    r"""Bins of equal width in reciprocal radius and in azimuth.

    Arrays on this grid have the shape (..., n_radial, n_azimuthal). Azimuth bin ``i`` is
    centred on ``2 pi i / n_azimuthal``, counterclockwise from +x (the detector's columns)
    with y up, so that a pattern turned by one bin is the array rolled by one along its last
    axis.

    Parameters
    ----------
    n_radial, n_azimuthal
        Number of bins.
    k_min, k_max
        Inner edge of the first and outer edge of the last radial bin in 1/angstrom. A
        ``k_min`` above zero leaves the direct beam out.

    Raises
    ------
    ValueError
        If a number of bins is not a positive whole number, or not ``0 <= k_min < k_max``.

    Examples
    --------
    >>> from pyxem_cnn.detector.polar import PolarGrid
    >>> grid = PolarGrid(n_radial=3, n_azimuthal=4, k_min=0.1, k_max=0.7)
    >>> grid.shape
    (3, 4)
    >>> grid.radii.round(3).tolist()
    [0.2, 0.4, 0.6]
    """

    n_radial: int = 42
    n_azimuthal: int = 128
    k_min: float = 0.125
    k_max: float = 1.6

    kind: ClassVar[str] = "polar"

    def __post_init__(self) -> None:
        """Check the parameters."""
        _set_whole(self, "n_radial", self.n_radial)
        _set_whole(self, "n_azimuthal", self.n_azimuthal)
        k_min, k_max = float(self.k_min), float(self.k_max)
        if not (np.isfinite(k_max) and 0 <= k_min < k_max):
            raise ValueError(
                given_expected(
                    "k_min, k_max", (self.k_min, self.k_max), "0 <= k_min < k_max in 1/angstrom"
                )
            )
        object.__setattr__(self, "k_min", k_min)
        object.__setattr__(self, "k_max", k_max)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of bins (n_radial, n_azimuthal)."""
        return self.n_radial, self.n_azimuthal

    @property
    def radial_step(self) -> float:
        """Width of a radial bin in 1/angstrom."""
        return (self.k_max - self.k_min) / self.n_radial

    @property
    def inner_edge(self) -> float:
        """Radius at which the first ring begins, in widths of a ring."""
        return self.k_min / self.radial_step

    @property
    def azimuthal_step(self) -> float:
        """Width of an azimuthal bin in radians."""
        return 2 * np.pi / self.n_azimuthal

    @property
    def radial_edges(self) -> np.ndarray:
        """Edges of the radial bins, shape (n_radial + 1,), in 1/angstrom."""
        return np.linspace(self.k_min, self.k_max, self.n_radial + 1)

    @property
    def radii(self) -> np.ndarray:
        """Middles of the radial bins, shape (n_radial,), in 1/angstrom."""
        edges = self.radial_edges
        return (edges[:-1] + edges[1:]) / 2

    @property
    def azimuths(self) -> np.ndarray:
        """Middles of the azimuthal bins, shape (n_azimuthal,), in radians from 0."""
        return np.arange(self.n_azimuthal) * self.azimuthal_step

    @property
    def bin_areas(self) -> np.ndarray:
        """Areas of the bins, shape (n_radial, n_azimuthal), in 1/angstrom squared."""
        rings = np.diff(self.radial_edges**2) * self.azimuthal_step / 2
        return np.repeat(rings[:, np.newaxis], self.n_azimuthal, axis=1)

    @property
    def largest_radius(self) -> float:
        """Reciprocal radius in 1/angstrom beyond which there are no bins."""
        return self.k_max

    def bin_size(self, radius: np.ndarray) -> np.ndarray:
        """Return the shorter side, in 1/angstrom, of the bins at reciprocal radii in 1/angstrom."""
        arc = np.clip(radius, self.radii[0], self.radii[-1]) * self.azimuthal_step
        return np.minimum(arc, self.radial_step)

    def find_bins(self, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
        """Return the flat index of the bin that holds each point, -1 outside the grid.

        Parameters
        ----------
        kx, ky
            Reciprocal coordinates of one shape, 1/angstrom, y up.

        Returns
        -------
        bins
            Indices into the grid flattened in C order, same shape, int64.
        """
        radius = np.hypot(kx, ky)
        ring = np.floor((radius - self.k_min) / self.radial_step).astype(np.int64)
        # Bins are centred on their azimuth, hence rounding and not flooring.
        wedge = np.floor(np.arctan2(ky, kx) / self.azimuthal_step + 0.5).astype(np.int64)
        inside = (radius >= self.k_min) & (ring < self.n_radial)
        return np.where(inside, ring * self.n_azimuthal + wedge % self.n_azimuthal, -1)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary, the inverse of :func:`grid_from_dict`."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class CartesianGrid:
    """Square pixels with the direct beam in the middle, for networks that read plain images.

    The beam lies at column ``(n_columns - 1) / 2`` and row ``(n_rows - 1) / 2``: between
    pixels for an even number, on a pixel for an odd one. Rows run downward, thus y up is
    decreasing row.

    Parameters
    ----------
    shape
        Number of (rows, columns).
    scale
        Side of a pixel in 1/angstrom.

    Raises
    ------
    ValueError
        If the shape is not two positive whole numbers or the scale not positive.
    """

    shape: tuple[int, int] = (128, 128)
    scale: float = 0.025

    kind: ClassVar[str] = "cartesian"

    def __post_init__(self) -> None:
        """Check the parameters."""
        if np.size(self.shape) != 2:
            raise ValueError(
                given_expected("shape", self.shape, "two positive whole numbers (rows, columns)")
            )
        object.__setattr__(self, "shape", tuple(_whole("shape", n) for n in self.shape))
        scale = float(self.scale)
        if not (np.isfinite(scale) and scale > 0):
            raise ValueError(
                given_expected("scale", self.scale, "a positive number of 1/angstrom per pixel")
            )
        object.__setattr__(self, "scale", scale)

    @property
    def bin_areas(self) -> np.ndarray:
        """Areas of the pixels, of the grid's shape, in 1/angstrom squared."""
        return np.full(self.shape, self.scale**2)

    @property
    def largest_radius(self) -> float:
        """Reciprocal radius of the corners in 1/angstrom."""
        return float(np.hypot(*self.shape)) * self.scale / 2

    @property
    def radial_step(self) -> float:
        """Largest difference of radius within a pixel in 1/angstrom: its diagonal."""
        return self.scale * np.sqrt(2)

    def bin_size(self, radius: np.ndarray) -> np.ndarray:
        """Return the side of the pixels in 1/angstrom, in the shape of ``radius``."""
        return np.full(np.shape(radius), self.scale)

    def find_bins(self, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
        """Return the flat index of the pixel that holds each point, -1 outside the grid.

        Parameters
        ----------
        kx, ky
            Reciprocal coordinates of one shape, 1/angstrom, y up.

        Returns
        -------
        bins
            Indices into the grid flattened in C order, same shape, int64.
        """
        n_rows, n_columns = self.shape
        column = np.floor(np.asarray(kx) / self.scale + n_columns / 2).astype(np.int64)
        row = np.floor(-np.asarray(ky) / self.scale + n_rows / 2).astype(np.int64)
        inside = (row >= 0) & (row < n_rows) & (column >= 0) & (column < n_columns)
        return np.where(inside, row * n_columns + column, -1)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary, the inverse of :func:`grid_from_dict`."""
        return {"kind": self.kind, "shape": list(self.shape), "scale": self.scale}


def grid_from_dict(dictionary: Mapping[str, Any]) -> PolarGrid | CartesianGrid:
    """Return the grid that ``to_dict`` wrote.

    Parameters
    ----------
    dictionary
        With the key ``kind`` ("polar" or "cartesian") and the grid's own parameters.

    Returns
    -------
    grid

    Raises
    ------
    ValueError
        If the kind is unknown, or a parameter is unknown or missing.
    """
    parameters = dict(dictionary)
    kind = parameters.pop("kind", None)
    grids: dict[str, Any] = {grid.kind: grid for grid in (PolarGrid, CartesianGrid)}
    if kind not in grids:
        raise ValueError(
            given_expected("kind of grid", kind, f"one of {sorted(grids)}", _FROM_TO_DICT)
        )
    expected = set(grids[kind]().to_dict()) - {"kind"}
    if set(parameters) != expected:
        raise ValueError(
            given_expected(
                f"keys of a {kind} grid", sorted(parameters), f"{sorted(expected)}", _FROM_TO_DICT
            )
        )
    if kind == CartesianGrid.kind:
        parameters["shape"] = tuple(parameters["shape"])
    return grids[kind](**parameters)


def _whole(name: str, value: Any) -> int:
    """Return a positive whole number as int or say what is wrong with it."""
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(given_expected(name, value, "a positive whole number"))
    return int(value)


def _set_whole(instance: PolarGrid, name: str, value: Any) -> None:
    """Store a checked whole number on a frozen dataclass."""
    object.__setattr__(instance, name, _whole(name, value))
