"""Decoding of pyxem's OrientationMap to a crystal map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_positive, given_expected
from pyxem_cnn.maps.building import build_crystal_map, coordinates_of_axes
from pyxem_cnn.maps.templates.decoding import (
    MIRROR,
    DecodedMatches,
    Templates,
    decode_matches,
    laue_rotations,
    reliability,
)
from pyxem_cnn.maps.templates.phases import right_phases
from pyxem_cnn.rotations import multiply

if TYPE_CHECKING:
    from pathlib import Path

    from diffsims.simulations import Simulation2D
    from orix.crystal_map import CrystalMap, Phase
    from pyxem.signals import OrientationMap

    from pyxem_cnn.phases import CrystalStructure

__all__ = ["matches_to_crystal_map", "orientation_map_to_crystal_map"]


def matches_to_crystal_map(
    matches: DecodedMatches,
    phases: Sequence[CrystalStructure | Phase],
    axes: Sequence[Any],
    certainty: np.ndarray,
    frame: str = "detector",
) -> CrystalMap:
    """Return decoded matches as crystal map.

    Parameters
    ----------
    matches
        Of all points of a scan, in C order.
    phases
        The phases that the ids refer to.
    axes
        Up to two navigation axes of HyperSpy, fastest first.
    certainty
        Reliability, shape (points,).
    frame
        "detector" or "scan".

    Returns
    -------
    crystal_map
        With ``scores``, ``reliability``, ``template_index`` and ``mirrored`` in ``prop``.
    """
    return build_crystal_map(
        matches.quaternions,
        matches.phase_ids,
        list(phases),
        coordinates=coordinates_of_axes(axes),
        prop={
            "scores": matches.scores,
            "reliability": certainty,
            "template_index": matches.template_index,
            "mirrored": matches.mirrored,
        },
        is_in_data=matches.is_in_data,
        frame=frame,
        group="Laue",
    )


def orientation_map_to_crystal_map(
    orientation_map: OrientationMap,
    *,
    simulation: Simulation2D | None = None,
    phases: Sequence[CrystalStructure | Phase | str | Path] | None = None,
    n_azimuthal: int | None = None,
    flip_y: bool = False,
) -> CrystalMap:
    """Return pyxem's template matching result as a crystal map, decoded right.

    pyxem 0.21's own ``to_crystal_map`` returns orientations turned by 180 degrees about the beam,
    wrong ones where the mirrored template matched, and no scores: the user guide's page on
    template matching shows each of it.

    Parameters
    ----------
    orientation_map
        What ``get_orientation`` of pyxem's polar signals returns, lazy or not, with up to two
        navigation axes.
    simulation
        The templates, if `orientation_map` has lost them, as after saving and loading.
    phases
        The phases of the simulation, in its order, as crystal structures, paths of .cif files or
        orix phases, to replace those in the simulation. By default, those of the simulation, with
        the point group of their space group in its own setting.
    n_azimuthal
        Number of azimuthal bins (``npt_azim``) of the polar patterns, if they come from pyxem's
        ``get_azimuthal_integral2d``. Its axis holds the lower edges of the bins, so that all
        in-plane rotations are half a bin short, which is then put right.
    flip_y
        Whether the patterns were drawn with y down, as diffsims' ``get_diffraction_pattern``
        does; mirrors all orientations.

    Returns
    -------
    crystal_map
        Orientations, lab to crystal, of shape (points, n_best), in the frame of the detector. Its
        ``prop`` holds, best first, ``scores`` (pyxem's correlations), ``template_index``,
        ``mirrored`` (whether the mirror image of the template matched) and, for several phases,
        ``phase_ids``; and ``reliability``, 100 (1 - c2/c1) with c2 the best score in the list that
        belongs to another phase or lies further than 10 degrees from the best: NaN where
        the list is too short to hold one, as for ``n_best=1``. Points with NaN or no correlation
        at all are not indexed (phase id -1).

    Raises
    ------
    TypeError
        If `orientation_map` is no OrientationMap.
    ValueError
        If the simulation is missing or does not fit, or there are more than two navigation axes.

    Warns
    -----
    UserWarning
        If the point group of a phase contradicts its cell.

    See Also
    --------
    template_matching : The whole chain from patterns to this map.

    Notes
    -----
    A match of the mirrored template (factor -1) is read with Friedel's law, which kinematic
    patterns obey. So orientations count modulo the Laue group, and a crystal without a centre of
    inversion cannot be told from its inverse, whatever the patterns hold.
    """
    axes = _navigation_axes(orientation_map)
    simulation = _simulation_of(orientation_map, simulation)
    templates = Templates.from_simulation(simulation)
    offset = 0.0
    if n_azimuthal is not None:
        offset = 180 / check_positive("n_azimuthal", n_azimuthal, integer=True)
    data = np.asarray(orientation_map.data)
    matches = decode_matches(data.reshape(-1, *data.shape[-2:]), templates, offset)
    if flip_y:
        matches.quaternions[:] = multiply(matches.quaternions, MIRROR)
    in_right_setting = right_phases(simulation.phases, phases)
    certainty = reliability(matches, [laue_rotations(phase) for phase in in_right_setting])
    return matches_to_crystal_map(matches, in_right_setting, axes, certainty)


def _navigation_axes(orientation_map: Any) -> Sequence[Any]:
    """Return the navigation axes of an OrientationMap after a check that it is one."""
    if getattr(orientation_map, "_signal_type", None) != "orientation_map":
        expected = "a pyxem OrientationMap"
        remedy = "Use what get_orientation of a PolarDiffraction2D returns."
        raise TypeError(given_expected("orientation_map", orientation_map, expected, remedy))
    if orientation_map.data.shape[-1] != 4:
        expected = "4 columns: index, correlation, rotation, factor"
        given = f"{orientation_map.data.shape[-1]} columns"
        raise ValueError(f"orientation_map: got {given}, expected {expected}.")
    axes = orientation_map.axes_manager.navigation_axes
    if len(axes) > 2:
        raise ValueError(
            f"orientation_map: got {len(axes)} navigation axes, expected up to 2, as a crystal "
            "map has. Decode parts of it: orientation_map.inav[..., i]."
        )
    return axes


def _simulation_of(orientation_map: Any, simulation: Any) -> Any:
    """Return the simulation of an OrientationMap, or say that there is none."""
    simulation = orientation_map.simulation if simulation is None else simulation
    if not hasattr(simulation, "rotations"):
        expected = "the diffsims simulation that the patterns were matched with"
        remedy = (
            "An OrientationMap that was saved and loaded has lost it. Pass simulation=, made again "
            "with the same phases and rotations."
        )
        raise ValueError(given_expected("simulation", simulation, expected, remedy))
    return simulation
