"""A real ASTAR scan of an unknown phase: what models of other phases say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pyxem_cnn
from pyxem_cnn.detector.direct_beam import find_center
from pyxem_cnn.rotations import disorientation_angle
from real_patterns_parts.figure import View


class Verdict(NamedTuple):
    """What a model says of a scan."""

    model: Any
    xmap: Any
    line: str


def open_blo(path: Path) -> Any:
    """Return the scan, lazy."""
    import hyperspy.api as hs

    return hs.load(path, lazy=True)


def verdicts(scan: Any, models: list[Any]) -> list[Verdict]:
    """Return the maps of models, and what they are sure of.

    Parameters
    ----------
    scan
        Patterns of one grain.
    models
        Of phases that it probably is not.
    """
    return [_verdict(scan, pyxem_cnn.load_model(model)) for model in models]


def view(scan: Any, verdict: Verdict) -> View:
    """Return the first pattern with the spots of an orientation."""
    geometry = pyxem_cnn.DetectorGeometry.from_signal(scan)
    pattern = scan.inav[0, 0].data.compute()
    return View(
        f"ASTAR .blo of an unknown phase,\nread by {verdict.model.name}",
        pattern,
        {"center": find_center(pattern).center, "scale": geometry.scale[0]},
        verdict.model.crystal,
        verdict.model.accelerating_voltage,
        1.6,
        0.03,
        verdict.xmap.rotations.data.reshape(verdict.xmap.size, -1, 4)[0, 0],
    )


def _verdict(scan: Any, model: Any) -> Verdict:
    how = {"find_center": True, "show_progressbar": False}
    xmap = scan.get_orientation_map_cnn(model, **how)
    matched = pyxem_cnn.template_matching(scan, model.crystal, **how)
    parts = [f"scores {_span(xmap.prop['scores'])}"]
    parts.append(f"probability of the phase {_span(xmap.prop['phase_probability'])}")
    parts.append(f"points up to {_spread(xmap, model):.1f} deg apart")
    parts.append(f"templates: cosines {_span(matched.prop['scores'])}")
    parts.append(f"up to {_spread(matched, model):.1f} deg apart")
    return Verdict(model, xmap, f"astar .blo, {model.name}: {', '.join(parts)}")


def _span(values: np.ndarray) -> str:
    values = np.asarray(values).reshape(len(values), -1)[:, 0]
    return f"{values.min():.2f} to {values.max():.2f}"


def _spread(xmap: Any, model: Any) -> float:
    """Return the largest angle between the orientations of two points, degrees."""
    rotations = xmap.rotations.data.reshape(xmap.size, -1, 4)[:, 0]
    angle = disorientation_angle(rotations[:, None], rotations[None], model.target.symmetry)
    return float(np.rad2deg(angle.max()))
