"""The geometry of a detector: which reciprocal coordinates belong to which pixel."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pyxem_cnn._checks import given_expected
from pyxem_cnn.detector.calibration import (
    check_beam_energy,
    electron_wavelength,
    read_beam_energy,
    read_camera_length,
    read_linear_axis,
    scale_factor,
)
from pyxem_cnn.detector.checks import (
    check_angle,
    check_center,
    check_ellipticity,
    check_mask,
    check_scale,
    check_shape,
)
from pyxem_cnn.detector.direct_beam import DirectBeam, find_center, shifts_from_beam_shift
from pyxem_cnn.rotations import about_z

__all__ = [
    "DetectorGeometry",
    "DirectBeam",
    "electron_wavelength",
    "find_center",
    "shifts_from_beam_shift",
]


@dataclass(frozen=True, eq=False)
class DetectorGeometry:
    """Where the direct beam lies on a detector, how large its pixels are and how it is turned.

    Shape, centre, scale and mask (and the beam shifts that other functions take) refer to
    the raw array, just as HyperSpy shows it: x is the column, y the row. What makes an image
    of the raw array is applied to coordinates about the beam, in this order:

    1. offset from the beam: ``u = (column - x) * scale_x``, ``v = (row - y) * scale_y``;
    2. ``transpose`` swaps u and v;
    3. ``flip_x`` turns the sign of u, ``flip_y`` that of v;
    4. in the image so made the columns are +x and the rows -y: ``kx = u``, ``ky = -v``;
    5. ``ellipticity`` makes circles of the ellipses, without changing areas.

    Parameters
    ----------
    shape
        Number of (rows, columns) of the raw array.
    center
        Position (x, y) of the direct beam in pixels; the middle of the first pixel is (0, 0).
    scale
        Size of a pixel in 1/angstrom, one number or (x, y).
    beam_energy
        Accelerating voltage in kV.
    mask
        Of the detector's shape, True = leave out.
    flip_x, flip_y, transpose
        See above.
    scan_rotation
        Angle in degrees from the scan's x direction to the detector's (that of the image made
        above), counterclockwise with y up.
    ellipticity
        Long over short axis of what should be a circle.
    ellipse_angle
        Direction of the long axis in degrees, counterclockwise from +x with y up.

    Raises
    ------
    ValueError
        If a number is missing, not finite or absurd, or the mask does not fit.
    TypeError
        If the mask is not boolean.
    """

    shape: tuple[int, int]
    center: tuple[float, float]
    scale: tuple[float, float]
    beam_energy: float | None = None
    mask: np.ndarray | None = field(default=None, repr=False)
    flip_x: bool = False
    flip_y: bool = False
    transpose: bool = False
    scan_rotation: float = 0.0
    ellipticity: float = 1.0
    ellipse_angle: float = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        shape = check_shape(self.shape)
        checked = {
            "shape": shape,
            # A wrong scale makes the centre wrong, too: say the first thing first.
            "scale": check_scale(self.scale, shape),
            "center": check_center(self.center, shape),
            "mask": None if self.mask is None else check_mask(self.mask, shape),
        }
        if self.beam_energy is not None:
            checked["beam_energy"] = check_beam_energy(self.beam_energy)
        check_ellipticity(self.ellipticity)
        for name in ("scan_rotation", "ellipse_angle"):
            check_angle(name, getattr(self, name))
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_signal(
        cls,
        signal: Any,
        *,
        center: tuple[float, float] | None = None,
        scale: float | tuple[float, float] | None = None,
        beam_energy: float | None = None,
        camera_length: float | None = None,
        mask: np.ndarray | None = None,
        flip_x: bool = False,
        flip_y: bool = False,
        transpose: bool = False,
        scan_rotation: float = 0.0,
        ellipticity: float = 1.0,
        ellipse_angle: float = 0.0,
    ) -> DetectorGeometry:
        r"""Read the geometry from the axes and metadata of a HyperSpy or pyxem signal.

        The beam centre comes from the axes' offsets and the scale from their scales and units
        (1/angstrom, 1/nm, mrad, or a length on the detector together with a camera length), as
        pyxem's ``s.calibration`` sets them. An argument takes the place of what the signal
        says.

        Parameters
        ----------
        signal
            Signal with two signal dimensions, lazy or not.
        center
            Position (x, y) of the direct beam in pixels.
        scale
            Size of a pixel in 1/angstrom, one number or (x, y).
        beam_energy
            Accelerating voltage in kV; from ``Acquisition_instrument.TEM.beam_energy``.
        camera_length
            Camera length in mm; from ``Acquisition_instrument.TEM.camera_length``. Only used
            for axes in lengths.
        mask
            Of the detector's shape, True = leave out; from pyxem's ``s.calibration.mask``.
        flip_x, flip_y, transpose, scan_rotation, ellipticity, ellipse_angle
            See :class:`DetectorGeometry`; never read from a signal.

        Returns
        -------
        geometry

        Raises
        ------
        TypeError
            If the signal is not a HyperSpy signal.
        ValueError
            If the signal does not have two signal dimensions or its calibration is missing or
            absurd.

        Warns
        -----
        UserWarning
            If no centre was ever set: both offsets are exactly 0. The middle of the detector is
            taken. Also if the signal holds an affine transformation, which is not used.
        """
        columns, rows = _signal_axes(signal)
        if beam_energy is None:
            beam_energy = read_beam_energy(signal.metadata)
        if scale is None:
            camera_length = read_camera_length(signal) if camera_length is None else camera_length
            scale = _read_scale((columns, rows), beam_energy, camera_length)
        if mask is None:
            mask = signal.metadata.get_item("General.mask")
        if signal.metadata.get_item("General.affine_transformation") is not None:
            warnings.warn(
                "The affine transformation in the signal's metadata is not used. Describe an "
                "elliptical distortion with ellipticity= and ellipse_angle=.",
                UserWarning,
                stacklevel=2,
            )
        return cls(
            shape=(rows.size, columns.size),
            center=_read_center((columns, rows)) if center is None else center,
            scale=scale,
            beam_energy=beam_energy,
            mask=getattr(mask, "data", mask) if mask is not None else None,
            flip_x=flip_x,
            flip_y=flip_y,
            transpose=transpose,
            scan_rotation=scan_rotation,
            ellipticity=ellipticity,
            ellipse_angle=ellipse_angle,
        )

    @property
    def pixel_area(self) -> float:
        """Area of a pixel in 1/angstrom squared."""
        return self.scale[0] * self.scale[1]

    def with_center(self, center: tuple[float, float]) -> DetectorGeometry:
        """Return the same geometry with the direct beam at (x, y) pixels."""
        return replace(self, center=center)

    def to_reciprocal(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (kx, ky) in 1/angstrom, y up, of positions (column x, row y) in pixels."""
        return self.offset_to_reciprocal(
            np.asarray(x) - self.center[0], np.asarray(y) - self.center[1]
        )

    def offset_to_reciprocal(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (kx, ky) in 1/angstrom, y up, of offsets in pixels from the direct beam."""
        u, v = np.asarray(x) * self.scale[0], np.asarray(y) * self.scale[1]
        if self.transpose:
            u, v = v, u
        k = (-u if self.flip_x else u), (v if self.flip_y else -v)
        if self.ellipticity == 1:
            return k
        matrix = self._stretch(1 / np.sqrt(self.ellipticity))
        return (
            matrix[0, 0] * k[0] + matrix[0, 1] * k[1],
            matrix[1, 0] * k[0] + matrix[1, 1] * k[1],
        )

    def to_pixels(self, kx: np.ndarray, ky: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions (column x, row y) in pixels of (kx, ky) in 1/angstrom, y up."""
        matrix = self._stretch(np.sqrt(self.ellipticity))
        u = matrix[0, 0] * np.asarray(kx) + matrix[0, 1] * np.asarray(ky)
        v = -(matrix[1, 0] * np.asarray(kx) + matrix[1, 1] * np.asarray(ky))
        u, v = (-u if self.flip_x else u), (-v if self.flip_y else v)
        if self.transpose:
            u, v = v, u
        return u / self.scale[0] + self.center[0], v / self.scale[1] + self.center[1]

    def rotation_to_scan(self) -> np.ndarray:
        """Return the quaternion that turns orientations on the detector into those in the scan.

        It stands on the right, the lab side: ``multiply(orientation, rotation_to_scan())``.
        Seen from the scan the pattern is turned counterclockwise by ``scan_rotation``, which
        turns an orientation O into O * Rz(-scan_rotation).

        Returns
        -------
        quaternion
            Shape (4,), scalar first.
        """
        return np.asarray(about_z(np.asarray(-np.deg2rad(self.scan_rotation))), dtype=float)

    def _stretch(self, factor: float) -> np.ndarray:
        """Return the matrix that stretches along the ellipse's axis and squeezes across."""
        angle = np.deg2rad(self.ellipse_angle)
        axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return axes @ np.diag([factor, 1 / factor]) @ axes.T


def _signal_axes(signal: Any) -> tuple[Any, Any]:
    """Return the column axis and the row axis of a signal."""
    if not hasattr(signal, "axes_manager"):
        raise TypeError(
            given_expected(
                "signal",
                signal,
                "a HyperSpy or pyxem signal",
                "Wrap an array with pyxem.signals.ElectronDiffraction2D(array).",
            )
        )
    axes = signal.axes_manager.signal_axes
    if len(axes) != 2:
        raise ValueError(
            given_expected(
                "Number of signal dimensions",
                len(axes),
                "2, the columns and rows of the detector",
                "Use signal.transpose(signal_axes=2).",
            )
        )
    return axes[0], axes[1]


def _read_scale(
    axes: tuple[Any, Any], beam_energy: float | None, camera_length: float | None
) -> tuple[float, float]:
    """Return the size of a pixel (x, y) in 1/angstrom."""
    factors = [scale_factor(axis.units, beam_energy, camera_length) for axis in axes]
    x, y = (read_linear_axis(axis)[0] * f for axis, f in zip(axes, factors, strict=True))
    return x, y


def _read_center(axes: tuple[Any, Any]) -> tuple[float, float]:
    """Return the pixel (x, y) where both axes are zero, or the middle if none was set."""
    lines = [read_linear_axis(axis) for axis in axes]
    if all(offset == 0 for _, offset in lines):
        x, y = ((axis.size - 1) / 2 for axis in axes)
        warnings.warn(
            "The signal axes have offsets of exactly 0, so no beam centre was ever set: the middle "
            f"of the detector is taken, x={x}, y={y}. Pass center=(x, y) in pixels or "
            "find_center=True, or set s.calibration.center.",
            UserWarning,
            stacklevel=3,
        )
        return x, y
    x, y = (-offset / scale if scale else np.nan for scale, offset in lines)
    return x, y
