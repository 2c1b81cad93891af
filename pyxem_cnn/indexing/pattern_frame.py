"""From the lab frame to the axes of the patterns that were mapped, as a prediction keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from pyxem_cnn.detector.calibration import read_linear_axis
from pyxem_cnn.detector.geometry import DetectorGeometry
from pyxem_cnn.detector.polar import PolarGeometry

__all__ = ["PatternFrame"]

# The mask may be as large as a pattern, and no spot depends on it.
_DETECTOR = tuple(f.name for f in fields(DetectorGeometry) if f.name != "mask")
_POLAR = ("radial_edges", "azimuthal_edges")


@dataclass(frozen=True)
class PatternFrame:
    """Where spots lie on the patterns' two signal axes.

    Attributes
    ----------
    kind
        "detector" or "polar".
    axes
        (scale, offset) of the first (columns) and the second (rows) signal axis, in their units.
    shape
        Number of (rows, columns).
    values
        Of the detector geometry, without its mask; for polar patterns, the edges of their cells,
        1/angstrom and radians.
    """

    kind: str
    axes: tuple[tuple[float, float], tuple[float, float]]
    shape: tuple[int, int]
    values: dict[str, Any] = field(repr=False)

    @classmethod
    def from_signal(cls, signal: Any, geometry: DetectorGeometry | PolarGeometry) -> PatternFrame:
        """Return the frame of a signal that is read with a geometry.

        Parameters
        ----------
        signal
            The patterns.
        geometry
            With which they are mapped.
        """
        is_polar = isinstance(geometry, PolarGeometry)
        values = {name: getattr(geometry, name) for name in (_POLAR if is_polar else _DETECTOR)}
        return cls(
            kind="polar" if is_polar else "detector",
            axes=_linear_axes(signal),
            shape=(int(geometry.shape[0]), int(geometry.shape[1])),
            values={name: _plain(value) for name, value in values.items()},
        )

    @classmethod
    def from_json(cls, text: str) -> PatternFrame:
        """Return what :meth:`to_json` wrote.

        Parameters
        ----------
        text
            From the metadata of a prediction.
        """
        values = json.loads(text)
        values["axes"] = tuple(tuple(axis) for axis in values["axes"])
        values["shape"] = tuple(values["shape"])
        return cls(**values)

    def to_json(self) -> str:
        """Return the frame as a text, the form in which it survives a file."""
        return json.dumps(asdict(self))

    def on_axes_of(self, signal: Any) -> PatternFrame:
        """Return the same pixels on the axes of another signal, such as one calibrated anew.

        Parameters
        ----------
        signal
            With as many rows and columns.
        """
        return PatternFrame(self.kind, _linear_axes(signal), self.shape, self.values)

    @cached_property
    def geometry(self) -> DetectorGeometry | None:
        """The geometry of the detector, without mask; None for polar patterns."""
        return DetectorGeometry(**self.values) if self.kind == "detector" else None

    @property
    def largest_radius(self) -> float:
        """Reciprocal radius of the farthest corner, 1/angstrom."""
        if self.geometry is None:
            return float(self.values["radial_edges"][-1])
        rows, columns = self.shape
        x, y = np.meshgrid([-0.5, columns - 0.5], [-0.5, rows - 0.5])
        return float(np.hypot(*self.geometry.to_reciprocal(x, y)).max())

    def to_scan(self) -> np.ndarray:
        """Return the quaternion from the detector's to the scan's frame, shape (4,)."""
        if self.geometry is None:
            return np.array([1.0, 0.0, 0.0, 0.0])
        return self.geometry.rotation_to_scan()

    def to_pixels(self, k: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
        """Return fractional pixels (column, row); whole numbers are the middles of pixels.

        Parameters
        ----------
        k
            Positions (kx, ky) in the detector's lab frame, shape (n, 2), 1/angstrom, y up.
        shift
            Position (x, y) of the beam less the geometry's centre, in pixels.

        Returns
        -------
        pixels
            Shape (n, 2).
        """
        if self.geometry is None:
            return self._to_cells(k)
        pixels = np.stack(self.geometry.to_pixels(k[:, 0], k[:, 1]), axis=-1)
        return pixels if shift is None else pixels + np.asarray(shift)

    def is_inside(self, pixels: np.ndarray) -> np.ndarray:
        """Return which pixels (n, 2) lie on the pattern, shape (n,)."""
        last = np.array(self.shape[::-1]) - 0.5
        return np.all((pixels >= -0.5) & (pixels <= last), axis=-1)

    def to_axes(self, pixels: np.ndarray) -> np.ndarray:
        """Return coordinates on the signal axes of pixels (n, 2), in the units of the axes."""
        scale, offset = np.transpose(self.axes)
        return pixels * scale + offset

    def _to_cells(self, k: np.ndarray) -> np.ndarray:
        """Return fractional cells (azimuthal, radial) of polar patterns."""
        radii, azimuths = (np.asarray(self.values[f"{n}_edges"]) for n in ("radial", "azimuthal"))
        angle = np.arctan2(k[:, 1], k[:, 0])
        angle = azimuths[0] + (angle - azimuths[0]) % (2 * np.pi)
        # Edges lie half a cell before the middles, and beyond the last one there is no cell.
        columns, rows = (
            np.interp(values, edges, np.arange(edges.size), right=np.inf, left=-np.inf) - 0.5
            for values, edges in ((angle, azimuths), (np.hypot(k[:, 0], k[:, 1]), radii))
        )
        return np.stack([columns, rows], axis=-1)


def _plain(value: Any) -> Any:
    """Return what JSON gives back as it is."""
    return np.asarray(value).tolist() if isinstance(value, (np.ndarray, tuple)) else value


def _linear_axes(signal: Any) -> Any:
    """Return (scale, offset) of both signal axes."""
    return tuple(read_linear_axis(axis) for axis in signal.axes_manager.signal_axes)
