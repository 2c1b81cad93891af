"""The geometry of patterns that are polar already, such as pyxem's azimuthal integrals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.detector.calibration import read_beam_energy, read_camera_length, scale_factor
from pyxem_cnn.detector.checks import check_mask

__all__ = ["PolarGeometry"]

_PASS = "Pass what s.get_azimuthal_integral2d(...) returns."


@dataclass(frozen=True, eq=False)
class PolarGeometry:
    """Edges of the cells of polar patterns (radial, azimuthal) and what their values mean.

    Parameters
    ----------
    radial_edges
        Shape (n_radial + 1,), in 1/angstrom, rising from 0 or more.
    azimuthal_edges
        Shape (n_azimuthal + 1,), in radians, counterclockwise from +x with y up, rising by at
        most a full turn.
    beam_energy
        Accelerating voltage in kV.
    mask
        Of shape (n_radial, n_azimuthal), True = leave out.
    pixel_scale
        None if values are means per detector pixel. If they are sums over the cells: the size
        of the detector's pixels in 1/angstrom.

    Raises
    ------
    ValueError
        If edges do not rise, or the mask or the pixel scale does not fit.
    TypeError
        If the mask is not boolean.
    """

    radial_edges: np.ndarray
    azimuthal_edges: np.ndarray
    beam_energy: float | None = None
    mask: np.ndarray | None = field(default=None, repr=False)
    pixel_scale: float | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        for name in ("radial_edges", "azimuthal_edges"):
            edges = np.array(getattr(self, name), dtype=np.float64)
            if edges.ndim != 1 or edges.size < 2 or not np.all(np.diff(edges) > 0):
                raise ValueError(
                    given_expected(
                        name, edges.tolist(), "rising numbers", "Check the signal axis' scale."
                    )
                )
            edges.setflags(write=False)
            object.__setattr__(self, name, edges)
        if self.radial_edges[0] < 0:
            raise ValueError(
                given_expected(
                    "smallest radius",
                    float(self.radial_edges[0]),
                    "0 or more",
                    "Check the offset of the radial axis.",
                )
            )
        turn = self.azimuthal_edges[-1] - self.azimuthal_edges[0]
        if turn > 2 * np.pi * (1 + 1e-9):
            raise ValueError(
                given_expected(
                    "range of azimuths in degrees",
                    round(float(np.rad2deg(turn)), 1),
                    "at most 360",
                    "Check the scale of the azimuthal axis, in radians.",
                )
            )
        if self.pixel_scale is not None and not self.pixel_scale > 0:
            raise ValueError(
                given_expected("pixel_scale", self.pixel_scale, "a positive number of 1/angstrom")
            )
        if self.mask is not None:
            object.__setattr__(self, "mask", check_mask(self.mask, self.shape))

    @classmethod
    def from_signal(
        cls,
        signal: Any,
        *,
        mean: bool,
        pixel_scale: float | None = None,
        beam_energy: float | None = None,
        camera_length: float | None = None,
        mask: np.ndarray | None = None,
    ) -> PolarGeometry:
        """Read the geometry from pyxem's PolarDiffraction2D.

        pyxem's ``get_azimuthal_integral2d`` counts azimuths counterclockwise from +x with y up as
        we do. Both its axes name the *lower edges* of the cells, not their middles, and the azimuth
        starts at -pi.

        Parameters
        ----------
        signal
            Signal with an azimuthal and a radial signal axis.
        mean
            Whether values are means per pixel (``get_azimuthal_integral2d(..., mean=True)``) or
            sums over the cells, pyxem's default; a signal does not tell.
        pixel_scale
            Size of the detector's pixels in 1/angstrom; needed for sums.
        beam_energy
            Accelerating voltage in kV; from the metadata.
        camera_length
            Camera length in mm, only for radii in lengths; from the metadata.
        mask
            Of the patterns' shape (n_radial, n_azimuthal), True = leave out. pyxem puts 0 where
            the detector ends or is masked and does not say so: leave these cells out here.

        Returns
        -------
        geometry

        Raises
        ------
        ValueError
            If the axes are not a radius and an azimuth in radians, or the pixel scale is missing.
        """
        azimuth, radius = _polar_axes(signal)
        if not mean and pixel_scale is None:
            raise ValueError(
                given_expected(
                    "pixel_scale for mean=False (sums over the cells)",
                    None,
                    "the size of the detector's pixels in 1/angstrom",
                    "Pass pixel_scale=, or use get_azimuthal_integral2d(..., mean=True).",
                )
            )
        if beam_energy is None:
            beam_energy = read_beam_energy(signal.metadata)
        camera_length = read_camera_length(signal) if camera_length is None else camera_length
        factor = scale_factor(radius.units, beam_energy, camera_length)
        return cls(
            radial_edges=_edges(radius) * factor,
            azimuthal_edges=_edges(azimuth),
            beam_energy=beam_energy,
            mask=mask,
            pixel_scale=None if mean else pixel_scale,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of cells (n_radial, n_azimuthal)."""
        return self.radial_edges.size - 1, self.azimuthal_edges.size - 1

    @property
    def cell_areas(self) -> np.ndarray:
        """Areas of the cells (n_radial, n_azimuthal) in 1/angstrom squared."""
        return np.outer(np.diff(self.radial_edges**2) / 2, np.diff(self.azimuthal_edges))

    def gain(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | float:
        """Return what turns the values of cells into mean counts per detector pixel."""
        if self.pixel_scale is None:
            return 1.0
        return self.pixel_scale**2 / self.cell_areas[rows, columns]


def _polar_axes(signal: Any) -> tuple[Any, Any]:
    """Return the azimuthal and the radial axis of a polar signal."""
    axes = signal.axes_manager.signal_axes
    if len(axes) != 2 or not all(axis.is_uniform for axis in axes):
        raise ValueError(
            given_expected("signal axes", axes, "a uniform azimuthal and a radial one", _PASS)
        )
    if str(axes[0].units).lower() not in ("rad", "radian", "radians"):
        raise ValueError(
            given_expected("units of the azimuthal (first) axis", axes[0].units, "Rad", _PASS)
        )
    return axes[0], axes[1]


def _edges(axis: Any) -> np.ndarray:
    """Return the edges of the cells of a pyxem polar axis, whose values are the lower edges."""
    return axis.offset + axis.scale * np.arange(axis.size + 1)
