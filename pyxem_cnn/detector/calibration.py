"""What the axes and the metadata of a signal say about scale, beam centre and beam energy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from pyxem_cnn._checks import given_expected

__all__ = [
    "electron_wavelength",
    "read_beam_energy",
    "read_camera_length",
    "read_linear_axis",
    "scale_factor",
]

_UNITS = "1/angstrom, 1/nm, mrad or a length on the detector"
_REMEDY = "Pass scale= in 1/angstrom per pixel."
_TEM = "Acquisition_instrument.TEM."
_UNCALIBRATED = {"", "<undefined>", "none", "px", "pixel", "pixels", "pix", "1", "a.u."}
# pint reads "A" as ampere and does not know the others.
_ANGSTROM = {"A", "AA", "Å", "ang", "Ang", "angstroms", "Angstrom", "Angstroms"}
_OTHER_NAMES = {"Rad": "rad", "Radians": "rad", "mRad": "mrad", "μm": "um", "µm": "um"}


def electron_wavelength(beam_energy: float) -> float:
    """Return the relativistic wavelength of electrons in angstrom.

    Parameters
    ----------
    beam_energy
        Accelerating voltage in kV.

    Returns
    -------
    wavelength

    Raises
    ------
    ValueError
        If the voltage is not a number between 1 and 10,000 kV.
    """
    from scipy.constants import c, e, h, m_e

    voltage = check_beam_energy(beam_energy) * 1e3
    momentum = np.sqrt(2 * m_e * e * voltage * (1 + e * voltage / (2 * m_e * c**2)))
    return float(h / momentum * 1e10)


def check_beam_energy(beam_energy: float, what: str = "beam_energy") -> float:
    """Return the accelerating voltage as a float, refuse what cannot be one.

    Parameters
    ----------
    beam_energy
        In kV.
    what
        Name of the argument.

    Raises
    ------
    ValueError
        If it is not a number between 1 and 10,000 kV.
    """
    value = float(beam_energy)
    if not 1 <= value <= 10_000:
        raise ValueError(
            given_expected(
                what,
                beam_energy,
                "an accelerating voltage from 1 to 10000 kV",
                f"Pass {what}= in kV, not in V.",
            )
        )
    return value


def read_beam_energy(metadata: Any) -> float | None:
    """Return the accelerating voltage in kV from HyperSpy metadata, None where there is none."""
    value = metadata.get_item(_TEM + "beam_energy")
    # Some readers write 0 for "not known".
    return None if value is None or float(value) == 0 else check_beam_energy(value)


def read_camera_length(signal: Any) -> float | None:
    """Return the camera length in mm from a signal's metadata, None where there is none.

    HyperSpy's convention is mm. pyxem writes metres and the unit beside it
    (``camera_length_units``); the reader of .blo files writes metres without saying so.

    Parameters
    ----------
    signal
        A HyperSpy signal.
    """
    value = signal.metadata.get_item(_TEM + "camera_length")
    if value is None or float(value) == 0:
        return None
    units = signal.metadata.get_item(_TEM + "camera_length_units")
    if units is None:
        is_blo = signal.original_metadata.has_item("blockfile_header.Camera_length")
        units = "m" if is_blo else "mm"
    return float(value) * _convert(str(units), "mm")


def scale_factor(
    units: Any, beam_energy: float | None = None, camera_length: float | None = None
) -> float:
    r"""Return what one unit of a detector axis is in 1/angstrom.

    Inverse lengths are converted, angles become ``angle / wavelength``, lengths on the
    detector ``length / (camera length * wavelength)``.

    Parameters
    ----------
    units
        As HyperSpy, pyxem and RosettaSciIO write them: ``"$\AA^{-1}$"``, ``"1/nm"``,
        ``"k_A^-1"``, ``"mrad"``, ``"cm"`` and so on.
    beam_energy
        Accelerating voltage in kV, needed for angles and lengths.
    camera_length
        Camera length in mm, needed for lengths.

    Returns
    -------
    factor
        In 1/angstrom per unit.

    Raises
    ------
    ValueError
        If the units are missing, in pixels or unknown, or the energy or camera length that
        they need is missing.
    """
    text = _plain(units)
    if text.lower() in _UNCALIBRATED:
        raise ValueError(
            "The signal axes are not calibrated. "
            + given_expected(
                "Units", units, _UNITS, _REMEDY + " Or set s.calibration.units and .scale."
            )
        )
    if text.startswith("q_"):
        raise ValueError(
            given_expected(
                "Units (with or without a factor of 2 pi?)", units, "k = 1/d in 1/angstrom", _REMEDY
            )
        )
    text = text.removeprefix("k_").removeprefix("2th_")
    inverse = re.fullmatch(r"1/(.+)|(.+?)(?:\^|\*\*)?-1(?:\.0)?", text)
    name = (inverse.group(1) or inverse.group(2)) if inverse else text
    name = "angstrom" if name in _ANGSTROM else _OTHER_NAMES.get(name, name)
    kind = _dimension(name)
    if inverse and kind == "length":
        return 1 / _convert(name, "angstrom")
    if not inverse and kind == "angle":
        return _convert(name, "rad") / _wavelength_for(units, beam_energy)
    if not inverse and kind == "length":
        if camera_length is None:
            raise ValueError(
                given_expected(
                    f"Camera length for signal axes in {units}",
                    None,
                    "a length in mm in the metadata or as an argument",
                    f"Pass camera_length=. {_REMEDY}",
                )
            )
        angle = _convert(name, "mm") / camera_length
        return angle / _wavelength_for(units, beam_energy)
    raise ValueError(
        given_expected("Units of the signal axes", units, _UNITS, _REMEDY),
    )


def read_linear_axis(axis: Any) -> tuple[float, float]:
    """Return scale and offset of a HyperSpy signal axis.

    A non-uniform axis (pyxem's curved Ewald sphere) is replaced by the straight line through
    it, if no pixel moves by more than half a pixel.

    Parameters
    ----------
    axis
        HyperSpy data axis.

    Returns
    -------
    scale, offset
        In the units of the axis.

    Raises
    ------
    ValueError
        If the axis is too far from a straight line.
    """
    if axis.is_uniform:
        return float(axis.scale), float(axis.offset)
    values = np.asarray(axis.axis, dtype=float)
    pixels = np.arange(values.size)
    scale, offset = np.polyfit(pixels, values, 1)
    error = np.abs(values - (offset + scale * pixels)).max() / abs(scale)
    if not error <= 0.5:
        raise ValueError(
            given_expected(
                f"Distance of the non-uniform axis {axis.name!r} from a straight line",
                round(float(error), 2),
                "at most 0.5 pixels",
                "Pass a signal with uniform axes.",
            )
        )
    return float(scale), float(offset)


def _plain(units: Any) -> str:
    """Return units without TeX and spaces."""
    text = "" if units is None else str(units).strip()
    for old, new in (
        (r"\mathrm", ""),
        (r"\AA", "Å"),
        ("\N{ANGSTROM SIGN}", "Å"),
        ("A\N{COMBINING RING ABOVE}", "Å"),
        ("⁻¹", "^-1"),
        ("\N{MINUS SIGN}", "-"),
    ):
        text = text.replace(old, new)
    return re.sub(r"[\s${}()\\]", "", text)


def _convert(units: str, to: str) -> float:
    """Return one of ``units`` in ``to``."""
    import pint

    return float(pint.get_application_registry().Quantity(1, units).to(to).magnitude)


def _dimension(units: str) -> str | None:
    """Return "length", "angle" or None for a unit's name."""
    import pint

    registry = pint.get_application_registry()
    try:
        unit = registry.Unit(units)
    except (pint.errors.PintError, ValueError, TypeError, AttributeError):
        return None
    if unit.is_compatible_with("m"):
        return "length"
    is_angle = unit.dimensionless and str(unit).endswith(("radian", "degree"))
    return "angle" if is_angle else None


def _wavelength_for(units: Any, beam_energy: float | None) -> float:
    if beam_energy is None:
        raise ValueError(
            given_expected(
                f"Beam energy for signal axes in {units}",
                None,
                "kV in the metadata or as an argument",
                f"Pass beam_energy=. {_REMEDY}",
            )
        )
    return electron_wavelength(beam_energy)
