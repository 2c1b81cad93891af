"""Units of scan coordinates that are lengths."""

from __future__ import annotations

__all__ = ["NANOMETRES"]

NANOMETRES = {
    **{"pm": 1e-3, "A": 0.1, "Å": 0.1, "angstrom": 0.1, "nm": 1.0},
    # The micro sign and the Greek letter look alike.
    **{"um": 1e3, "\N{MICRO SIGN}m": 1e3, "\N{GREEK SMALL LETTER MU}m": 1e3},
    **{"mm": 1e6, "m": 1e9},
}
"""How many nanometres a unit has, by the names that files and HyperSpy give to it."""
