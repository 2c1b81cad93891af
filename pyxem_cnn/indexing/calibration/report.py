"""What a calibration check says: warnings, a table, and the content of its figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn.indexing.calibration.fit import (
    FEWEST_GRAINS,
    FEWEST_PATTERNS,
    FEWEST_SPOTS,
)
from pyxem_cnn.indexing.calibration.spots import expected_spots
from pyxem_cnn.plot.calibration import CalibrationView, PatternView

if TYPE_CHECKING:
    from pyxem_cnn.detector.geometry import DetectorGeometry
    from pyxem_cnn.indexing.calibration.check import CalibrationCheck
    from pyxem_cnn.indexing.calibration.fit import GeometryFit

__all__ = ["describe_check", "problems_of", "view_of"]

_N_PATTERNS, _N_RINGS = 6, 8
_RECOGNISED = 0.5  # confidence with which a model knows its phase
_WEAKEST = 0.01  # of the spots shown
_IN_TITLE = ("confidence:", "centre:", "scale:", "ellipticity:", "geometry:")
_PASS = "Pass geometry=check.corrected to the mapping, or correct the signal's axes."


def problems_of(check: CalibrationCheck) -> list[str]:
    """Return what should be corrected, one text for each problem.

    Parameters
    ----------
    check
        A finished check.
    """
    name = check.reader.model.name
    if check.fit is None and check.confidence[0] >= _RECOGNISED:
        return [
            f"The calibration could not be checked: the model {name!r} recognises the patterns, "
            f"but too few of their spots can be measured. {FEWEST_PATTERNS} patterns with "
            f"{FEWEST_SPOTS} spots that stand alone are needed: take more with n_patterns=."
        ]
    if check.fit is None:
        return [
            f"The calibration could not be checked: the model {name!r} recognises too few of the "
            f"{len(check.sample.patterns)} sampled patterns, with the given scale and with others "
            "from 24 % less to 32 % more. Look at check.plot(): is it the right phase, are the "
            "units right, is there crystal in the sample, is a beam stop masked?"
        ]
    pixel = np.sqrt(check.given.pixel_area)
    off = {
        "center": (float(np.hypot(*check.center_shift)) * pixel, "1/angstrom", 1.0),
        "scale": (abs(check.scale_ratio - 1), "%", 100.0),
        "ellipticity": (check.ellipticity - 1, "%", 100.0),
    }
    said = {"center": "beam centre", "scale": "scale", "ellipticity": "ellipticity"}
    problems = [
        f"The {said[key]} is off by {factor * value:.2g} {unit}, the model {name!r} bears "
        f"{factor * check.borne[key]:.2g} {unit}. {_PASS}"
        for key, (value, unit, factor) in off.items()
        if key in check.borne and value > check.borne[key]
    ]
    if check.beam_wander * pixel > check.borne.get("center", np.inf):
        problems.append(
            f"The direct beam wanders by {check.beam_wander:.1f} pixels over the scan, more than "
            "the model bears. Pass find_center=True or beam_shift= to the mapping."
        )
    return problems


def describe_check(check: CalibrationCheck) -> str:
    """Return a table of what was found.

    Parameters
    ----------
    check
        A finished check.
    """
    model, given, own = check.reader.model, check.given, check.corrected
    lines = [
        f"CalibrationCheck of {len(check.sample.patterns)} of {check.n_scan:,} patterns with "
        f"{model.name!r}",
        f"  confidence:  {check.confidence[0]:.2f} as given, {check.confidence[1]:.2f} corrected",
    ]
    if check.fit is None:
        lines.append("  geometry:    could not be checked, nothing is corrected")
    else:
        fit, (dx, dy) = check.fit, check.center_shift
        lines += [
            f"  centre:      x {own.center[0]:.2f}, y {own.center[1]:.2f} px, "
            f"{dx:+.2f}, {dy:+.2f} from given ({_error(max(fit.center_error))})"
            f"{_bears(check, 'center', '1/Å', 1)}",
            f"  scale:       {_numbers(own.scale)} 1/Å per px, {100 * (check.scale_ratio - 1):+.2f}"
            f" % from given ({_error(100 * fit.scale_error)}){_bears(check, 'scale', '%', 100)}",
            f"  ellipticity: {_ellipticity(check, fit)}",
            f"  fitted to:   {fit.n_spots} spots of {fit.n_patterns} patterns of {fit.n_grains} "
            f"orientation{'s' * (fit.n_grains > 1)}, median distance {fit.residual:.4f} 1/Å; "
            "standard errors in brackets",
        ]
    flips = [name for name in ("flip_x", "flip_y", "transpose") if getattr(given, name)]
    lines += [
        f"  beam:        {_wander(check.beam_wander)}",
        f"  handedness:  {check.handedness.verdict or 'unknown'} "
        f"({', '.join(flips) or 'no flips'}); {check.handedness.reason}",
        f"  run time:    about {_duration(check.seconds)} for the scan on {check.reader.device}",
        *(f"  ! {problem}" for problem in check.problems),
    ]
    return "\n".join(lines)


def view_of(check: CalibrationCheck) -> CalibrationView:
    """Return what the figure of a check shows.

    Parameters
    ----------
    check
        A finished check.
    """
    patterns = check.sample.patterns.astype(np.float64)
    mean, maximum = patterns.mean(axis=0), patterns.max(axis=0)
    geometries = (check.given,) if check.fit is None else (check.given, check.corrected)
    radii = _ring_radii(check)
    first, *rest = describe_check(check).splitlines()
    shown = [" ".join(line.split()) for line in rest if line.split()[0] in _IN_TITLE]
    return CalibrationView(
        mean=mean,
        maximum=maximum,
        rings=tuple(_rings(geometry, radii) for geometry in geometries),
        centers=tuple(geometry.center for geometry in geometries),
        radii=radii,
        profiles=tuple(_profile(mean, geometry) for geometry in geometries),
        patterns=tuple(_pattern_views(check)),
        title="\n".join([first.removeprefix("CalibrationCheck of "), *shown]),
    )


def _bears(check: CalibrationCheck, key: str, unit: str, factor: float) -> str:
    if key not in check.borne:
        return "; the model does not say what it bears"
    return f"; the model bears {factor * check.borne[key]:.2g} {unit}"


def _ellipticity(check: CalibrationCheck, fit: GeometryFit) -> str:
    own = f"{check.corrected.ellipticity:.4f} at {check.corrected.ellipse_angle:.0f}°"
    if fit.n_grains < FEWEST_GRAINS:
        return f"{own} as given; not fitted, which takes spots of {FEWEST_GRAINS} orientations"
    return (
        f"{own}, {100 * (check.ellipticity - 1):.2f} % from given "
        f"({_error(100 * fit.ellipticity_error)}){_bears(check, 'ellipticity', '%', 100)}"
    )


def _wander(pixels: float) -> str:
    if not np.isfinite(pixels):
        return "not found, the patterns have no counts"
    return f"wanders by {pixels:.2f} px over the sample"


def _error(error: float) -> str:
    return f"{error:.2f}" if np.isfinite(error) else "error unknown, one orientation"


def _numbers(scale: tuple[float, float]) -> str:
    x, y = scale
    return f"{x:.5g}" if np.isclose(x, y) else f"{x:.5g} x {y:.5g}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _ring_radii(check: CalibrationCheck) -> np.ndarray:
    """Return the radii of the strongest rings that a powder of the phase would show."""
    g = np.linalg.norm(check.simulator.g, axis=1)
    radii, member = np.unique(np.round(g, 4), return_inverse=True)
    strength = np.bincount(member.ravel(), check.simulator.intensity) / radii
    return np.sort(radii[np.argsort(-strength)[:_N_RINGS]])


def _rings(geometry: DetectorGeometry, radii: np.ndarray) -> np.ndarray:
    """Return circles about the beam in pixels, shape (n_rings, n_points, 2)."""
    angle = np.linspace(0, 2 * np.pi, 181)
    x, y = geometry.to_pixels(np.outer(radii, np.cos(angle)), np.outer(radii, np.sin(angle)))
    return np.stack([x, y], axis=-1)


def _profile(image: np.ndarray, geometry: DetectorGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Return radii and means over the azimuth, in steps of a pixel, masked pixels left out."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    radius = np.hypot(*geometry.to_reciprocal(columns, rows)).ravel()
    used = np.isfinite(image).ravel()
    if geometry.mask is not None:
        used &= ~geometry.mask.ravel()
    step = np.sqrt(geometry.pixel_area)
    ring = np.round(radius[used] / step).astype(int)
    counts, n = np.bincount(ring, image.ravel()[used]), np.bincount(ring)
    filled = n > 0
    return np.flatnonzero(filled) * step, np.maximum(counts[filled] / n[filled], 1e-9)


def _pattern_views(check: CalibrationCheck) -> list[PatternView]:
    """Return up to six patterns, from the surest ones, spread over the sample."""
    reading = check.reader(check.corrected)
    n = len(reading.confidence)
    surest = np.sort(np.argsort(-reading.confidence, kind="stable")[: max(_N_PATTERNS, n // 2)])
    chosen = surest[np.linspace(0, len(surest) - 1, min(_N_PATTERNS, len(surest))).astype(int)]
    views = []
    for i in chosen:
        k = np.zeros((0, 2))
        if np.all(np.isfinite(reading.quaternions[i])):
            k, _ = expected_spots(check.simulator, reading.quaternions[i], _WEAKEST)
        given, corrected = (
            np.stack(one.to_pixels(k[:, 0], k[:, 1]), axis=-1)
            for one in (check.given, check.corrected)
        )
        if check.fit is None:
            corrected = corrected[:0]
        where = ", ".join(str(index) for index in check.sample.positions[i])
        title = f"({where}): confidence {reading.confidence[i]:.2f}"
        views.append(PatternView(check.sample.patterns[i], given, corrected, title))
    return views
