"""Where the beam points inside its convergence cone, and on the circle of its precession."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyxem_cnn._checks import check_positive

# Directions of the incident beam that a disc of 1.5 mrad needs at 100 nm, and azimuths in
# precession, of a single direction and of each of several (docs/user/convergence.md).
_TILTS = 19
AZIMUTHS, AZIMUTHS_OF_EACH = 72, 36


@dataclass(frozen=True)
class Probe:
    """A convergent beam that may be in precession, sampled by directions.

    Attributes
    ----------
    wavelength
        In angstrom.
    convergence_angle
        Half the opening angle of the cone, mrad.
    precession_angle
        In degrees.
    n_tilts
        Directions in the cone.
    n_precession
        Azimuths on the circle for each of them.
    """

    wavelength: float
    convergence_angle: float
    precession_angle: float
    n_tilts: int
    n_precession: int

    @classmethod
    def from_angles(
        cls,
        wavelength: float,
        convergence_angle: float,
        precession_angle: float,
        n_tilts: int | None = None,
        n_precession: int | None = None,
    ) -> Probe:
        """Return a probe with as many directions as it needs.

        Parameters
        ----------
        wavelength
            In angstrom.
        convergence_angle
            Half the opening angle of the cone, mrad.
        precession_angle
            In degrees.
        n_tilts
            Directions in the cone; 19 by default, and 1 for a parallel beam or in precession.
        n_precession
            Azimuths for each of them; by default 72 for a single one, 36 for each of several.

        Returns
        -------
        probe
            The probe.

        Raises
        ------
        TypeError, ValueError
            If a number is not a whole number above zero.
        """
        if n_tilts is None:
            n_tilts = 1 if precession_angle else _TILTS
        check_positive("n_tilts", n_tilts, integer=True)
        n_tilts = n_tilts if convergence_angle else 1
        if n_precession is None:
            several = AZIMUTHS if n_tilts == 1 else AZIMUTHS_OF_EACH
            n_precession = several if precession_angle else 1
        check_positive("n_precession", n_precession, integer=True)
        return cls(wavelength, convergence_angle, precession_angle, int(n_tilts), int(n_precession))

    def directions(
        self, n: int, generator: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the directions of the incident beam for n orientations.

        Parameters
        ----------
        n
            Number of orientations.
        generator
            Draws them afresh for each; without it they are the same for all.

        Returns
        -------
        cone, incident
            Transverse parts of the wave vectors in 1/angstrom: within the de-scanned disc, shape
            (n, J, 2), and of the incident beam, shape (n, J, P, 2).
        """
        if self.n_tilts == 1:
            points = np.zeros((n, 1, 2))
        elif generator is None:
            points = np.broadcast_to(even_tilts(self.n_tilts), (n, self.n_tilts, 2))
        else:
            points = random_tilts(n, self.n_tilts, generator)
        cone = points * np.sin(self.convergence_angle * 1e-3) / self.wavelength
        if not self.precession_angle:
            return cone, cone[:, :, None]
        azimuths = precession_azimuths(n, self.n_tilts, self.n_precession, generator)
        circle = np.stack([np.cos(azimuths), np.sin(azimuths)], axis=-1)
        radius = np.sin(np.deg2rad(self.precession_angle)) / self.wavelength
        return cone, cone[:, :, None] + radius * circle


def even_tilts(n_tilts: int) -> np.ndarray:
    """Return the same points in the unit disc every time: rings around its centre.

    All points stand for equal areas. Rings hold 6, 12, 18 ... points and the outermost what is
    left, so that 7, 19 and 37 points have the symmetry of a hexagon.

    Parameters
    ----------
    n_tilts
        Number of points.

    Returns
    -------
    points
        Shape (n_tilts, 2).
    """
    # A centre and an odd number of others would be lopsided.
    inside = 0 if n_tilts in (2, 4, 6) else 1
    points, ring = [np.zeros((inside, 2))], 6
    while inside < n_tilts:
        n = min(ring, n_tilts - inside)
        if 0 < n_tilts - inside - n < 3:
            n = n_tilts - inside  # one or two points alone would be lopsided
        radius = np.sqrt((inside + n / 2) / n_tilts)
        angle = 2 * np.pi * np.arange(n) / n
        points.append(radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
        inside, ring = inside + n, ring + 6
    return np.concatenate(points)


def random_tilts(n: int, n_tilts: int, generator: np.random.Generator) -> np.ndarray:
    """Return points in the unit disc, turned afresh for every entry.

    Each entry has the even points, turned by an angle of its own. These are mirror images of
    themselves, so that no asymmetry is common to all entries; and means over a disc are as good as
    with even points, other than with points at random places.

    Parameters
    ----------
    n
        Number of entries.
    n_tilts
        Number of points of each.
    generator
        Source of randomness.

    Returns
    -------
    points
        Shape (n, n_tilts, 2).
    """
    turn = generator.uniform(0, 2 * np.pi, n)
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.stack([cos, sin, -sin, cos], axis=-1).reshape(n, 2, 2)
    return even_tilts(n_tilts) @ matrix


def precession_azimuths(
    n: int, n_tilts: int, n_precession: int, generator: np.random.Generator | None = None
) -> np.ndarray:
    """Return azimuths of the beam in precession for each tilt in the cone.

    Every tilt has `n_precession` even azimuths; those of the tilts interlace, so that the mean over
    the disc samples the circle at ``n_tilts * n_precession`` azimuths.

    Parameters
    ----------
    n
        Number of entries.
    n_tilts
        Tilts in the cone of each.
    n_precession
        Azimuths of each tilt.
    generator
        Source of randomness: turns the circle of each entry and deals the azimuths to the tilts in
        random order.

    Returns
    -------
    azimuths
        In radians, shape (n, n_tilts, n_precession).
    """
    share = np.broadcast_to(np.arange(n_tilts) / n_tilts, (n, n_tilts))
    if generator is not None:
        share = generator.permuted(share, axis=1) + generator.uniform(0, 1, (n, 1))
    steps = share[..., None] + np.arange(n_precession)
    return 2 * np.pi * steps / n_precession
