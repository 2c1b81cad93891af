"""Comparison of two crystal maps of one scan, point by point, and of both with the truth."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice, check_positive, check_type, given_expected
from pyxem_cnn.detector.calibration import check_beam_energy
from pyxem_cnn.maps.comparison.agreement import grain_figures, grain_labels
from pyxem_cnn.maps.comparison.aligned import AlignedMap, CommonPhase, align_maps
from pyxem_cnn.maps.comparison.disagreement import find_causes, modulo_twins, pair_misorientation
from pyxem_cnn.maps.comparison.mismatch import explain_mismatch
from pyxem_cnn.maps.comparison.result import MapComparison
from pyxem_cnn.maps.files.reading import as_crystal_map

if TYPE_CHECKING:
    import os

    from orix.crystal_map import CrystalMap

    from pyxem_cnn.maps.grains.grain_set import Grains

    MapLike = CrystalMap | Any | str | os.PathLike[str]

__all__ = ["compare_crystal_maps"]

_logger = logging.getLogger(__name__)

TRUTH = "truth"
"""Name of the true map."""


def compare_crystal_maps(
    a: MapLike,
    b: MapLike,
    truth: MapLike | None = None,
    *,
    tolerance: float = 5.0,
    group: str | None = None,
    accelerating_voltage: float | None = None,
    grains: Grains | np.ndarray | str | None = None,
    names: tuple[str, str] = ("a", "b"),
) -> MapComparison:
    """Compare two crystal maps of one scan, point by point.

    Points are matched by their scan coordinates: the maps may have the same grid, or one may be a
    cropped part of the other. Phases are the same if cell and Laue group are; names do not count.
    Best orientations are compared. Both maps have to be in one lab frame: if less than half of the
    points agree, a rotation of the frame that explains it is looked for and reported.

    Parameters
    ----------
    a, b
        The maps: orix crystal maps, pyxem's results of template matching (``OrientationMap``), or
        paths for :func:`load_crystal_map`.
    truth
        The true map, if it is known.
    tolerance
        Angle in degrees up to which orientations agree.
    group
        Orientations count modulo the proper rotations of the "Laue" group, as kinematic patterns
        tell no more, or of the "point" group, where polarity matters. By default "point" if all
        maps that say so (``xmap.group``) say this, otherwise "Laue".
    accelerating_voltage
        In kV. If given, misorientations are counted modulo pseudo-symmetric twins, too:
        orientations whose kinematic patterns differ by less than R = 0.1, see
        :func:`pyxem_cnn.metrics.pattern_difference`. The phase of one map has to hold its atoms.
    grains
        For figures of every grain: the result of :func:`pyxem_cnn.find_grains`; numbers of the
        grains, -1 for none, of the shape (rows, columns) of the shared points or one for each
        point in the data of a map; the name of a property that holds them, such as "grain" of
        :func:`pyxem_cnn.data.grain_scan`; or "find" to find the grains of the truth, or of `a`
        without a truth.
    names
        What to call `a` and `b` in texts, tables and figures.

    Returns
    -------
    comparison
        Figures, arrays and causes; ``comparison.summary()`` and ``comparison.plot()`` show them.

    Raises
    ------
    TypeError
        If a map is something else.
    ValueError
        If the grids do not fit or share no point, a phase has no point group, or an argument has
        a wrong value.

    Examples
    --------
    >>> from pyxem_cnn import compare_crystal_maps
    >>> comparison = compare_crystal_maps(xmap, "astar.ang")  # doctest: +SKIP
    >>> comparison.agreement.within_5  # doctest: +SKIP
    """
    check_positive("tolerance", tolerance, remedy="It is in degrees.")
    check_choice("group", group, (None, "Laue", "point"))
    if accelerating_voltage is not None:
        check_positive("accelerating_voltage", accelerating_voltage, remedy="It is in kV.")
        check_beam_energy(accelerating_voltage, "accelerating_voltage")
    maps = _given_maps(a, b, truth, names)
    group = _group_of(maps) if group is None else group
    aligned, phases, shared = align_maps(maps)
    pair = {name: aligned[name] for name in names}
    degrees = pair_misorientation(*pair.values(), phases, group)
    without_twins, of_twins = _without_twins(
        degrees, tuple(pair.values()), phases, accelerating_voltage
    )
    rotation, of_frames = explain_mismatch(pair, phases, group, tolerance)
    errors, errors_without_twins = {}, {}
    if truth is not None:
        errors, errors_without_twins = _errors(aligned, phases, group, accelerating_voltage)
    # Grains of the truth before those of a map.
    searched = dict(sorted(aligned.items(), key=lambda item: item[0] != TRUTH))
    labels = grain_labels(grains, searched, shared.shape)
    comparison = MapComparison(
        names=names,
        group=group,
        tolerance=float(tolerance),
        accelerating_voltage=accelerating_voltage,
        maps=aligned,
        phases=tuple(phases),
        shared=shared,
        misorientation=degrees,
        misorientation_modulo_twins=without_twins,
        cause=find_causes(degrees, without_twins, pair, phases, group, tolerance),
        errors=errors,
        errors_modulo_twins=errors_without_twins,
        grain_labels=labels,
        grains=grain_figures(labels, degrees, without_twins, tolerance),
        lab_rotation=rotation,
        notes=(*shared.notes, *_notes_of_maps(maps), *of_twins, *of_frames),
    )
    _logger.info("%s", comparison)
    return comparison


def _given_maps(a: Any, b: Any, truth: Any, names: Any) -> dict[str, CrystalMap]:
    """Return the maps by name, the truth last."""
    given = dict(zip(_checked_names(names, truth is not None), (a, b), strict=True))
    if truth is not None:
        given[TRUTH] = truth
    return {name: as_crystal_map(name, obj) for name, obj in given.items()}


def _group_of(maps: dict[str, CrystalMap]) -> str:
    """Return "point" if all maps that name a group name this, otherwise "Laue"."""
    said = {_attribute(xmap, "group") for xmap in maps.values()} - {()}
    return "point" if said == {"point"} else "Laue"


def _checked_names(names: Any, has_truth: bool) -> tuple[str, str]:
    """Return the names of both maps."""
    check_type("names", names, (tuple, list))
    expected = "two different texts" + (f", not {TRUTH!r}" if has_truth else "")
    if len(names) != 2 or names[0] == names[1] or (has_truth and TRUTH in names):
        raise ValueError(given_expected("names", names, expected))
    for name in names:
        check_type("name of a map", name, str)
    return names[0], names[1]


def _notes_of_maps(maps: dict[str, CrystalMap]) -> list[str]:
    """Return what the reader said about each map, and whether their frames have one name."""
    notes = [f"{name}: {note}" for name, xmap in maps.items() for note in _attribute(xmap, "notes")]
    frames = {name: _attribute(xmap, "frame") for name, xmap in maps.items()}
    if len({frame for frame in frames.values() if frame}) > 1:
        said = ", ".join(f"{name} in the {frame}'s" for name, frame in frames.items() if frame)
        notes.append(f"The maps say that they are in different frames: {said}.")
    return notes


def _attribute(xmap: CrystalMap, name: str) -> Any:
    """Return an attribute that our maps have, and others not."""
    return xmap.__dict__.get(name, ())


def _without_twins(
    degrees: np.ndarray,
    maps: tuple[AlignedMap, AlignedMap],
    phases: list[CommonPhase],
    accelerating_voltage: float | None,
) -> tuple[np.ndarray | None, list[str]]:
    """Return misorientations modulo twins and notes, None without a voltage to simulate them."""
    if accelerating_voltage is None:
        return None, []
    return modulo_twins(degrees, maps, phases, accelerating_voltage)


def _errors(
    aligned: dict[str, AlignedMap],
    phases: list[CommonPhase],
    group: str,
    accelerating_voltage: float | None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return misorientations of each map from the truth, plain and modulo twins, by name.

    The second dictionary is empty without a voltage.
    """
    others = dict(aligned)
    truth = others.pop(TRUTH)
    plain, without_twins = {}, {}
    for name, one in others.items():
        plain[name] = pair_misorientation(one, truth, phases, group)
        degrees, _ = _without_twins(plain[name], (one, truth), phases, accelerating_voltage)
        if degrees is not None:
            without_twins[name] = degrees
    return plain, without_twins
