"""The result of a comparison of crystal maps: arrays, figures, and ways to see and keep them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn.maps import _tables
from pyxem_cnn.maps.comparison.agreement import Agreement
from pyxem_cnn.maps.comparison.text import summarize_comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyxem_cnn.maps.comparison.aligned import AlignedMap, CommonPhase
    from pyxem_cnn.maps.comparison.alignment import SharedPoints
    from pyxem_cnn.maps.comparison.frames import LabRotation

__all__ = ["MapComparison"]


@dataclass(frozen=True, eq=False, repr=False)
class MapComparison:
    """Two crystal maps compared, from :func:`pyxem_cnn.compare_crystal_maps`.

    Arrays have the shape (rows, columns) of the scan positions that all maps cover; a line of
    points has one row. Rows count down as scanned.

    Attributes
    ----------
    names
        Of the two maps.
    group
        Orientations count modulo the proper rotations of the "Laue" or the "point" group.
    tolerance
        Angle in degrees up to which orientations agree.
    accelerating_voltage
        In kV, of the patterns that twins were told by; None if they were not looked for.
    maps
        The maps on the shared positions, by name, "truth" among them if it was given.
    phases
        The phases that any of the maps has.
    shared
        The shared positions, with their scan coordinates.
    misorientation
        In degrees; infinite where the maps have different phases, NaN where one of them has no
        orientation.
    misorientation_modulo_twins
        The same with 0 for pseudo-symmetric twins; None if they were not looked for.
    cause
        Why the maps disagree, one of the texts in
        :data:`pyxem_cnn.maps.comparison.disagreement.CAUSES`; "agrees" within the tolerance.
    errors, errors_modulo_twins
        Misorientation of each map from the truth, by name; empty without a truth.
    grain_labels
        Number of the grain at every position, -1 for none; None if no grains were given.
    grains
        Figures of every grain, a structured array; None if no grains were given.
    lab_rotation
        The rotation of the second map's lab frame that makes the maps agree, if they do not and
        there is one; otherwise None.
    notes
        What was assumed, and what could not be done.
    """

    names: tuple[str, str]
    group: str
    tolerance: float
    accelerating_voltage: float | None
    maps: dict[str, AlignedMap]
    phases: tuple[CommonPhase, ...]
    shared: SharedPoints
    misorientation: np.ndarray
    misorientation_modulo_twins: np.ndarray | None
    cause: np.ndarray
    errors: dict[str, np.ndarray]
    errors_modulo_twins: dict[str, np.ndarray]
    grain_labels: np.ndarray | None
    grains: np.ndarray | None
    lab_rotation: LabRotation | None
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the shared positions."""
        return self.shared.shape

    @cached_property
    def agreement(self) -> Agreement:
        """Figures of `misorientation`, of the points that are indexed in both maps."""
        return Agreement.of(self.misorientation)

    @cached_property
    def agreement_modulo_twins(self) -> Agreement | None:
        """Figures of `misorientation_modulo_twins`, None if twins were not looked for."""
        degrees = self.misorientation_modulo_twins
        return None if degrees is None else Agreement.of(degrees)

    @cached_property
    def figures(self) -> dict[str, Agreement]:
        """All figures by what was compared, "a - b", "a - truth", plain and modulo twins."""
        a, b = self.names
        compared = {f"{a} - {b}": (self.misorientation, self.misorientation_modulo_twins)}
        for name, degrees in self.errors.items():
            compared[f"{name} - truth"] = (degrees, self.errors_modulo_twins.get(name))
        figures = {}
        for what, (plain, without_twins) in compared.items():
            figures[what] = Agreement.of(plain)
            if without_twins is not None:
                figures[f"{what}, modulo twins"] = Agreement.of(without_twins)
        return figures

    @cached_property
    def causes(self) -> dict[str, int]:
        """Number of positions for each cause, the commonest first."""
        causes, counts = np.unique(self.cause, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {str(causes[i]): int(counts[i]) for i in order}

    @cached_property
    def right(self) -> np.ndarray | None:
        """Which map is right: "both", "a only", "b only" or "neither", with the maps' names.

        Right is within the tolerance of the truth, twins not counted. "unknown" where the truth
        has no orientation, or a map does not have the point. None without a truth.
        """
        if not self.errors:
            return None
        a, b = (self.errors[name] <= self.tolerance for name in self.names)
        left_out = np.any([self.maps[name].index < 0 for name in self.names], axis=0)
        conditions = [(self.maps["truth"].phase < 0) | left_out, a & b, a, b]
        texts = ["unknown", "both", *(f"{name} only" for name in self.names)]
        return np.select(conditions, texts, "neither")

    @cached_property
    def table(self) -> dict[str, np.ndarray]:
        """One array for each column, with one element for each position, row by row."""
        y, x = np.meshgrid(self.shared.y, self.shared.x, indexing="ij")
        row, column = np.indices(self.shape)
        columns = {"row": row, "column": column, "x": x, "y": y}
        for name, aligned in self.maps.items():
            texts = np.array([*(phase.name for phase in self.phases), "left out", "not indexed"])
            columns[f"phase_{name}"] = texts[aligned.phase]
        for name in self.names:
            kind, values = self.maps[name].scores()
            if kind:
                columns[f"{kind}_{name}"] = values
        columns["misorientation"] = self.misorientation
        if self.misorientation_modulo_twins is not None:
            columns["misorientation_modulo_twins"] = self.misorientation_modulo_twins
        columns["cause"] = self.cause
        for name, degrees in self.errors.items():
            columns[f"error_{name}"] = degrees
        for name, degrees in self.errors_modulo_twins.items():
            columns[f"error_{name}_modulo_twins"] = degrees
        if self.right is not None:
            columns["right"] = self.right
        if self.grain_labels is not None:
            columns["grain"] = self.grain_labels
        return {name: np.asarray(values).ravel() for name, values in columns.items()}

    def to_dataframe(self) -> Any:
        """Return the table as a pandas DataFrame, one line for each position.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return _tables.to_dataframe(self.table)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write all positions and figures to one .csv file.

        The summary stands above the table, in lines that begin with ``#``; the line that begins
        with ``# figures:`` holds all figures as JSON. pandas reads the table with
        ``pandas.read_csv(path, comment="#")``.

        Parameters
        ----------
        path
            Where to, ending in .csv. The folder has to exist.
        overwrite
            Whether to replace a file that is there already.

        Returns
        -------
        path
            Where it was written.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is False.
        FileNotFoundError
            If the folder does not exist.
        ValueError
            If the path ends in something else.
        """
        lines = [*self.summary().splitlines(), f"figures: {json.dumps(self._figures_for_json())}"]
        return _tables.write_csv(path, self.table, lines, overwrite)

    def _figures_for_json(self) -> dict[str, Any]:
        """Return all figures as numbers and texts; what is infinite or NaN as None."""
        grains = []
        if self.grains is not None:
            fields = self.grains.dtype.names or ()
            grains = [dict(zip(fields, grain.tolist(), strict=True)) for grain in self.grains]
        figures = {
            "group": self.group,
            "tolerance_degrees": self.tolerance,
            "accelerating_voltage_kv": self.accelerating_voltage,
            "agreement": {what: asdict(one) for what, one in self.figures.items()},
            "causes": self.causes,
            "right": None if self.right is None else _counts(self.right),
            "grains": grains,
        }
        return _finite(figures)

    def plot(self, directions: str = "xyz", **kwargs: Any) -> Figure:
        """Plot both maps, where and why they differ, and by how much.

        Parameters
        ----------
        directions
            Lab directions of the inverse pole figure maps, out of "x", "y" and "z".
        **kwargs
            For :func:`pyxem_cnn.plot.plot_comparison`.

        Returns
        -------
        figure
            It is not shown.
        """
        from pyxem_cnn.plot.comparison import plot_comparison

        return plot_comparison(self, directions, **kwargs)

    def summary(self) -> str:
        """Return what was compared, how, and what came out, in some lines of text."""
        return summarize_comparison(self)

    def __repr__(self) -> str:
        """Return the figures in two lines."""
        a, b = self.names
        rows, columns = self.shape
        twins = ""
        if self.agreement_modulo_twins is not None:
            twins = f" ({self.agreement_modulo_twins.within_5:.1f} % modulo twins)"
        return (
            f"<MapComparison of {a} and {b}: {self.agreement.n} of {rows * columns} points indexed "
            f"in both, median {self.agreement.median:.2f} deg, {self.agreement.within_5:.1f} % "
            f"within 5 deg{twins}, modulo the {self.group} group>"
        )


def _counts(texts: np.ndarray) -> dict[str, int]:
    values, counts = np.unique(texts, return_counts=True)
    return {str(v): int(n) for v, n in zip(values, counts, strict=True)}


def _finite(value: Any) -> Any:
    """Return figures with None for infinite and NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
