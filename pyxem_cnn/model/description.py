"""What a network was made for and how: the words that go into its model file."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyxem_cnn._checks import check_positive, check_type
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid
from pyxem_cnn.model.file import FORMAT, FORMAT_VERSION
from pyxem_cnn.targets import Target

if TYPE_CHECKING:
    from pyxem_cnn.model import OrientationModel
    from pyxem_cnn.phases import CrystalStructure

__all__ = ["ModelDescription", "summarise"]

_PACKAGES = ("pyxem_cnn", "torch", "numpy", "orix", "diffsims")


@dataclass(frozen=True)
class ModelDescription:
    """What a network was made for and how, as it goes into the model file.

    Parameters
    ----------
    crystal
        The crystal structure, or a list of those that the network tells apart.
    grid
        The grid that the network reads patterns on.
    target
        What the network's outputs mean.
    accelerating_voltage
        In kV.
    convergence_angle
        Semi-angle of the probe in mrad, None if not known.
    precession_angle
        In degrees, None if not known; several where the network serves several.
    polarity
        Whether orientations count modulo the rotations of the point group (True), or of the Laue
        group.
    name
        How the model is called; the name of the crystal by default.
    licence
        Under which the model may be used.
    preprocessing
        What the network does to the counts before its first layer, in JSON-able words.
    training
        The training configuration, JSON-able.
    metrics
        Numbers measured on held-out patterns, JSON-able.
    """

    crystal: CrystalStructure | Sequence[CrystalStructure]
    grid: PolarGrid | CartesianGrid
    target: Target
    accelerating_voltage: float
    convergence_angle: float | None = None
    precession_angle: float | Sequence[float] | None = None
    polarity: bool = False
    name: str | None = None
    licence: str | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what is not checked where it was made."""
        check_type("grid", self.grid, (PolarGrid, CartesianGrid))
        check_positive("accelerating_voltage", self.accelerating_voltage, remedy="It is in kV.")
        for name in ("convergence_angle", "precession_angle"):
            for angle in _as_list(getattr(self, name)):
                check_positive(name, angle, allow_zero=True)

    @property
    def crystals(self) -> list[CrystalStructure]:
        """All crystal structures."""
        return _as_list(self.crystal)

    def to_metadata(self) -> dict[str, Any]:
        """Return the JSON-able metadata of a model file made now."""
        plain = ("convergence_angle", "precession_angle", "polarity", "licence")
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name or " + ".join(crystal.name for crystal in self.crystals),
            "task": "orientation",
            "phases": [crystal.to_dict() for crystal in self.crystals],
            "accelerating_voltage": float(self.accelerating_voltage),
            **{key: getattr(self, key) for key in plain},
            "grid": self.grid.to_dict(),
            "preprocessing": dict(self.preprocessing),
            "target": self.target.to_dict(),
            "training": dict(self.training),
            "metrics": dict(self.metrics),
            "versions": _installed_versions(),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }


def summarise(model: OrientationModel) -> str:
    """Return what a model is in a few lines, its repr.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    text
    """
    from pyxem_cnn.phases import CrystalStructure

    metadata = model.metadata
    beam = [f"{model.accelerating_voltage:g} kV"]
    for key, unit in (("convergence_angle", "mrad"), ("precession_angle", "degrees")):
        if metadata.get(key) is not None:
            values = " or ".join(f"{value:g}" for value in _as_list(metadata[key]))
            beam.append(f"{key.split('_')[0]} {values} {unit}")
    n_parameters = sum(p.numel() for p in model.module.parameters())
    lines = {
        "phase": "; ".join(
            f"{crystal.name} ({crystal.space_group_symbol}, no. {crystal.space_group})"
            for crystal in map(CrystalStructure.from_dict, metadata["phases"])
        ),
        "group": "point group" if model.polarity else "Laue group",
        "beam": ", ".join(beam),
        "grid": repr(model.grid),
        "target": repr(model.target),
        "network": f"{n_parameters:,} parameters",
        "created": metadata.get("created") or "not known",
        "licence": metadata.get("licence") or "not stated",
        "sha256": model.sha256,
    }
    body = "\n".join(f"  {key + ':':<9}{value}" for key, value in lines.items())
    return f"OrientationModel {model.name!r}\n{body}"


def _as_list(value: Any) -> list[Any]:
    """Return one value, several or None as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _installed_versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
