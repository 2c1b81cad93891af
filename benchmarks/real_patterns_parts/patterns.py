"""Real patterns, and what is done to them before they are indexed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter

# The detector of the cinchonine series writes 16 for one electron: frame to frame, the variance of
# a pixel is 16 times its mean.
_COUNTS_PER_ELECTRON = 16
# Side of the square whose median is the background, in pixels.
_WINDOW = 15
# Standard deviation of the blur before spots are looked for, in pixels: that of a spot.
_BLUR = 1.5
# What is fewer standard deviations of its counting noise above the background is set to 0.
_LEAST = 4.0
# Shares of their surroundings' counts below which pixels lie in a gap of the detector.
_GAP = 0.55
# Around the direct beam, up to here in 1/angstrom, there is more than its tail: left out.
_BEAM = 0.11
_SHAPE = (512, 512)


@dataclass(frozen=True)
class Patterns:
    """Patterns with their orientations.

    Attributes
    ----------
    name
        What they are.
    electrons
        As they were counted, shape (n, rows, columns).
    geometry
        Arguments of `pyxem_cnn.DetectorGeometry.from_signal`.
    truth
        Quaternions, lab to crystal, shape (n, 4), where they are known.
    angle
        Of the goniometer, degrees, shape (n,).
    window
        Side of the square whose median is the background, in pixels: several spots wide.
    """

    name: str
    electrons: np.ndarray
    geometry: dict[str, Any]
    truth: np.ndarray | None = None
    angle: np.ndarray | None = None
    window: int = _WINDOW

    @property
    def raw(self) -> Any:
        """The counts, a pyxem signal."""
        return as_signal(self.electrons)

    @cached_property
    def cleaned(self) -> Any:
        """What stands out of the background, a pyxem signal."""
        return as_signal(np.stack([spots_only(one, self.window) for one in self.electrons]))


def as_signal(patterns: np.ndarray) -> Any:
    """Return patterns as a pyxem signal."""
    from pyxem.signals import ElectronDiffraction2D

    return ElectronDiffraction2D(patterns)


def spots_only(pattern: np.ndarray, window: int) -> np.ndarray:
    """Return what stands out of the background of a pattern, 0 elsewhere.

    Parameters
    ----------
    pattern
        Electrons, shape (rows, columns).
    window
        Side of the square whose median is the background.
    """
    background = median_filter(pattern, window)
    # A median of few electrons is 0.
    background = np.maximum(background, np.minimum(gaussian_filter(pattern, 5.0), 3.0))
    noise = np.sqrt(background) / (2 * np.sqrt(np.pi) * _BLUR)
    above = gaussian_filter(pattern, _BLUR) - background
    return np.where(above > _LEAST * noise, above, 0)


def cinchonine(folder: Path, n_frames: int, every: int) -> Patterns:
    """Return sums of neighbouring frames, with the orientation of the frame in their middle.

    Parameters
    ----------
    folder
        With the frames.
    n_frames
        How many frames are added up.
    every
        Frames from one sum to the next.
    """
    archive = np.load(folder / "frames_000_149.npz")
    frames = archive["patterns"]
    first = np.arange(0, len(frames) - n_frames + 1, every)
    first = first[archive["valid"][first + n_frames // 2]]
    middle = first + n_frames // 2
    total = [frames[i : i + n_frames].sum(axis=0, dtype=np.float32) for i in first]
    geometry = {
        "scale": float(archive["scale_invA_per_px"]),
        "center": tuple(float(x) for x in archive["beam_centre_colrow"]),
        "beam_energy": float(archive["voltage_kV"]),
    }
    geometry["mask"] = _gaps(frames.sum(axis=0, dtype=np.float64)) | _beam(geometry)
    return Patterns(
        f"cinchonine, {n_frames} frame{'s' * (n_frames > 1)}",
        np.stack(total) / _COUNTS_PER_ELECTRON,
        geometry,
        archive["quaternion"][middle],
        archive["phi_deg"][middle],
    )


def _gaps(total: np.ndarray) -> np.ndarray:
    """Return where the detector hardly counts: gaps of its tiles, and its border."""
    return (total == 0) | (total < _GAP * median_filter(total, _WINDOW))


def _beam(geometry: dict[str, Any]) -> np.ndarray:
    """Return where the direct beam and what it leaves around itself are."""
    rows, columns = np.indices(_SHAPE)
    x, y = geometry["center"]
    return np.hypot(columns - x, rows - y) * geometry["scale"] < _BEAM
