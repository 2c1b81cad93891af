"""A crystal: every atom of its cell, and its space group's own operations."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn import rotations
from pyxem_cnn._checks import check_shape, given_expected
from pyxem_cnn.crystal import expansion, symmetry
from pyxem_cnn.crystal.checks import check_elements, check_lattice, check_sites

if TYPE_CHECKING:
    from diffpy.structure import Structure
    from orix.crystal_map import Phase

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class CrystalStructure:
    """A crystal: its cell, all atoms in it, and its symmetry operations.

    Use :func:`read_cif`, :func:`as_crystal_structure` or :meth:`from_asymmetric_unit` to make one.
    Cartesian frame: x along a, z along c*, as in orix and diffsims.

    Parameters
    ----------
    name
        Name of the phase.
    lattice
        Cell lengths and angles a, b, c, alpha, beta, gamma in angstrom and degrees.
    elements
        Chemical symbols of the n atoms of the full cell.
    positions
        Fractional coordinates of shape (n, 3) in [0, 1).
    occupancies
        Share of the cells that hold the atom, shape (n,).
    u_iso
        Mean square displacements in square angstrom, shape (n,), NaN where unknown.
    space_group
        Number from 1 to 230.
    space_group_symbol
        Hermann-Mauguin symbol with the setting.
    rotations_fractional, translations
        The operations of the space group in this cell, centring included: integers of shape
        (m, 3, 3) and floats of shape (m, 3).
    notes
        What happened when the structure was read, for :meth:`summary`.

    Examples
    --------
    >>> from pyxem_cnn import CrystalStructure
    >>> silicon = CrystalStructure.from_asymmetric_unit(
    ...     (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
    ... )
    >>> silicon
    <CrystalStructure Si: Si8, F d -3 m:1 (227), a = 5.431, b = 5.431, c = 5.431, 90, 90, 90>
    >>> silicon.symmetry_quaternions().shape
    (24, 4)
    """

    name: str
    lattice: tuple[float, ...]
    elements: tuple[str, ...]
    positions: np.ndarray
    occupancies: np.ndarray
    u_iso: np.ndarray
    space_group: int
    space_group_symbol: str
    rotations_fractional: np.ndarray
    translations: np.ndarray
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the arguments and freeze the arrays."""
        object.__setattr__(self, "lattice", check_lattice(self.lattice))
        object.__setattr__(self, "elements", check_elements(self.elements))
        object.__setattr__(self, "notes", tuple(self.notes))
        n = len(self.elements)
        shapes: dict[str, tuple[Any, ...]] = {
            "positions": (n, 3),
            "occupancies": (n,),
            "u_iso": (n,),
            "rotations_fractional": ("m", 3, 3),
            "translations": (len(self.rotations_fractional), 3),
        }
        for key, shape in shapes.items():
            dtype = int if key == "rotations_fractional" else float
            array = np.array(getattr(self, key), dtype=dtype)
            check_shape(key, array, shape)
            array.flags.writeable = False
            object.__setattr__(self, key, array)

    @classmethod
    def from_asymmetric_unit(
        cls,
        lattice: Sequence[float],
        space_group: int | str,
        elements: Sequence[str],
        positions: Any,
        *,
        occupancies: Any = None,
        u_iso: Any = None,
        name: str = "",
    ) -> CrystalStructure:
        """Return the crystal that the space group makes of a few atoms.

        Parameters
        ----------
        lattice
            Cell lengths and angles a, b, c, alpha, beta, gamma in angstrom and degrees.
        space_group
            Number, or Hermann-Mauguin symbol with the setting: "P 1 21/n 1", "F d -3 m:2". A
            number stands for the standard setting and for origin choice 1, as in orix and diffpy.
        elements
            Chemical symbols of the n atoms.
        positions
            Fractional coordinates of shape (n, 3).
        occupancies
            Number or shape (n,) in (0, 1]; 1 by default.
        u_iso
            Mean square displacements in square angstrom, number or shape (n,); unknown (NaN) by
            default.
        name
            Name of the phase; by default its formula.

        Returns
        -------
        crystal
            The crystal with every atom of its cell.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value, if the cell does not have the
            symmetry of the space group, or if atoms lie upon each other.

        Warns
        -----
        UserWarning
            If the origin choice is left open, or if atoms are suspiciously near each other.
        """
        lattice = check_lattice(lattice)
        sites = check_sites(elements, positions, occupancies, u_iso)
        group = symmetry.find_space_groups(space_group, lattice)[0]
        report = expansion.Report()
        if group.ext == "1" and ":" not in str(space_group):
            report.warnings.append(
                f"space_group: got {space_group!r}, which has two origin choices; choice 1 is "
                f"taken, as in orix and diffpy. Write '{group.hm}:1' or '{group.hm}:2'."
            )
        operations = symmetry.operations_from_gemmi(group.operations())
        crystal = build(name, lattice, (group.number, group.xhm()), operations, sites, report)
        return tell(crystal, report)

    @cached_property
    def basis(self) -> np.ndarray:
        """Return a, b and c as columns, shape (3, 3), in angstrom."""
        return symmetry.basis_matrix(self.lattice)

    @cached_property
    def reciprocal_basis(self) -> np.ndarray:
        """Return a*, b* and c* as columns, shape (3, 3), in 1/angstrom: g = basis @ hkl."""
        return np.linalg.inv(self.basis).T

    @property
    def volume(self) -> float:
        """Return the volume of the cell in cubic angstrom."""
        return float(np.linalg.det(self.basis))

    @property
    def formula(self) -> str:
        """Return the content of the cell, weighted with the occupancies."""
        counts: Counter[str] = Counter()
        for element, occupancy in zip(self.elements, self.occupancies, strict=True):
            counts[element] += float(occupancy)
        return " ".join(f"{e}{round(n, 2):g}" for e, n in sorted(counts.items()))

    def point_group_matrices(self) -> np.ndarray:
        """Return the point group, mirrors and inversion included.

        Returns
        -------
        matrices
            Cartesian matrices of shape (p, 3, 3), the identity first.
        """
        return symmetry.cartesian(symmetry.point_group(self.rotations_fractional), self.basis)

    def laue_group_matrices(self) -> np.ndarray:
        """Return the point group with inversion added.

        Returns
        -------
        matrices
            Cartesian matrices of shape (q, 3, 3), the identity first.
        """
        group = symmetry.point_group(self.rotations_fractional)
        return symmetry.cartesian(symmetry.with_inversion(group), self.basis)

    def symmetry_quaternions(self, polarity: bool = False) -> np.ndarray:
        """Return the rotations that make two orientations count as one.

        Parameters
        ----------
        polarity
            Whether patterns tell the two ends of a polar axis apart. By default they do not
            (Friedel's law), and the rotations are those of the Laue group; otherwise those of
            the point group.

        Returns
        -------
        quaternions
            Shape (q, 4), the identity first. ``S * O`` is the same orientation as ``O``.
        """
        matrices = self.point_group_matrices() if polarity else self.laue_group_matrices()
        return rotations.from_matrix(matrices[np.linalg.det(matrices) > 0])

    def to_diffpy(self) -> Structure:
        """Return all atoms as a diffpy structure, unknown displacements as 0.

        Returns
        -------
        structure
            Structure in diffpy's own orientation of the cell (z along c, y in the plane of b and
            c). orix turns it to x along a and z along c* when it makes a phase of it, and diffsims
            takes that back where it computes structure factors: it relies on the two together.
        """
        from diffpy.structure import Atom, Lattice, Structure

        atoms = [
            Atom(element, xyz=xyz, occupancy=occupancy, Uisoequiv=np.nan_to_num(u_iso))
            for element, xyz, occupancy, u_iso in zip(
                self.elements, self.positions, self.occupancies, self.u_iso, strict=True
            )
        ]
        return Structure(atoms, lattice=Lattice(*self.lattice), title=self.name)

    def to_phase(self) -> Phase:
        """Return an orix phase whose point group holds exactly our operators.

        orix derives the point group from the number of the space group, some in another setting.
        The phase keeps its space group only where both are ours; otherwise it has a point group
        alone. After saving to .ang or .h5, orix knows the name of the point group only.

        Returns
        -------
        phase
            Phase with all atoms of the cell.
        """
        from orix.crystal_map import Phase

        from pyxem_cnn.crystal.orix_symmetry import has_point_group, point_group_from_matrices

        matrices = self.point_group_matrices()
        phase = Phase(name=self.name, structure=self.to_diffpy())
        standard = symmetry.find_space_groups(self.space_group, self.lattice)[0]
        ours = symmetry.Operations(self.rotations_fractional, self.translations)
        tabulated = symmetry.operations_from_gemmi(standard.operations())
        is_standard = symmetry.same_operations(ours, tabulated)
        if is_standard and has_point_group(self.space_group, matrices):
            phase.space_group = self.space_group
        else:
            phase.point_group = point_group_from_matrices(matrices)
        return phase

    def to_dict(self) -> dict[str, Any]:
        """Return the crystal as numbers, texts and lists, for JSON.

        Returns
        -------
        dictionary
            What :meth:`from_dict` takes; unknown displacements are None.
        """
        dictionary = {f.name: getattr(self, f.name) for f in fields(self)}
        for key, value in dictionary.items():
            if isinstance(value, np.ndarray):
                dictionary[key] = value.tolist()
            elif isinstance(value, tuple):
                dictionary[key] = list(value)
        dictionary["u_iso"] = [None if np.isnan(u) else u for u in dictionary["u_iso"]]
        return dictionary

    @classmethod
    def from_dict(cls, dictionary: dict[str, Any]) -> CrystalStructure:
        """Return the crystal of a dictionary.

        Parameters
        ----------
        dictionary
            From :meth:`to_dict`.

        Returns
        -------
        crystal
            The crystal.

        Raises
        ------
        ValueError
            If an entry is missing or wrong.
        """
        known = {f.name for f in fields(cls)}
        missing = sorted(known - {"notes"} - set(dictionary))
        if missing:
            raise ValueError(
                f"dictionary: got no entry {', '.join(missing)}, expected all of "
                f"{', '.join(sorted(known))}. Use what CrystalStructure.to_dict gave."
            )
        values = {k: v for k, v in dictionary.items() if k in known}
        values["u_iso"] = [np.nan if u is None else u for u in values["u_iso"]]
        return cls(**values)

    def summary(self) -> str:
        """Return what was read, in a few lines.

        Returns
        -------
        text
            Cell, space group, atoms, smallest distance and what happened on reading.
        """
        distances, _ = expansion.neighbours(self.positions, self.basis)
        distances = distances[distances > expansion.SAME_PLACE]
        shortest = float(distances.min(initial=np.inf))
        known = int(np.isfinite(self.u_iso).sum())
        lines = [
            repr(self)[1:-1].removeprefix("CrystalStructure "),
            f"{len(self.elements)} atoms in {self.volume:.2f} cubic angstrom, "
            f"{int(np.sum(self.occupancies < 1))} of them partially occupied, "
            f"displacements known for {known}",
            f"shortest distance {shortest:.3f} angstrom"
            if np.isfinite(shortest)
            else f"no two atoms nearer than {expansion.SEARCHED} angstrom",
            f"{len(self.translations)} symmetry operations, "
            f"{len(self.symmetry_quaternions())} rotations in the Laue group",
        ]
        return "\n".join([*lines, *(f"- {note}" for note in self.notes)])

    def __eq__(self, other: object) -> bool:
        """Return whether two crystals are the same, however they were read."""
        if not isinstance(other, CrystalStructure):
            return NotImplemented
        return replace(self, notes=()).to_dict() == replace(other, notes=()).to_dict()

    def __hash__(self) -> int:
        """Return a hash that agrees with equality."""
        return hash((self.name, self.lattice, self.elements, self.space_group_symbol))

    def __repr__(self) -> str:
        """Return the name, content, space group and cell in one line."""
        a, b, c, *angles = self.lattice
        told = ", ".join(f"{angle:g}" for angle in angles)
        return (
            f"<CrystalStructure {self.name}: {self.formula}, {self.space_group_symbol} "
            f"({self.space_group}), a = {a:g}, b = {b:g}, c = {c:g}, {told}>"
        )


def build(
    name: str,
    lattice: Sequence[float],
    space_group: tuple[int, str],
    operations: symmetry.Operations,
    sites: expansion.Sites,
    report: expansion.Report,
) -> CrystalStructure:
    """Return the crystal that operations make of listed atoms.

    Parameters
    ----------
    name
        Name of the phase; its formula if empty.
    lattice
        Cell lengths and angles a, b, c, alpha, beta, gamma in angstrom and degrees.
    space_group
        Number and symbol.
    operations
        The operations of the space group in this cell.
    sites
        The listed atoms.
    report
        Receives what is worth telling.

    Returns
    -------
    crystal
        The crystal, without notes.

    Raises
    ------
    ValueError
        If the cell does not have the symmetry, or if atoms lie upon each other.
    """
    if symmetry.metric_misfit(lattice, operations) >= 1:
        raise ValueError(
            given_expected(
                "lattice",
                tuple(lattice),
                f"a cell that has the symmetry of space group {space_group[1]}",
                "Correct the cell, or give the space group in the setting of this cell.",
            )
        )
    fitted = symmetry.symmetrized_lattice(lattice, operations)
    if not np.allclose(fitted, lattice, rtol=1e-5):
        report.notes.append(f"cell made symmetric, from {tuple(lattice)}")
    cell = expansion.expand(sites, operations, symmetry.basis_matrix(fitted), report)
    crystal = CrystalStructure(
        name=name,
        lattice=fitted,
        elements=tuple(cell.elements),
        positions=cell.positions,
        occupancies=cell.occupancies,
        u_iso=cell.u_iso,
        space_group=space_group[0],
        space_group_symbol=space_group[1],
        rotations_fractional=operations.rotations,
        translations=operations.translations,
    )
    return crystal if name else replace(crystal, name=crystal.formula)


def tell(crystal: CrystalStructure, report: expansion.Report) -> CrystalStructure:
    """Return the crystal with its notes, log its summary and warn of what looks wrong.

    Parameters
    ----------
    crystal
        The crystal.
    report
        What was collected on the way.

    Returns
    -------
    crystal
        The crystal with all notes and warnings in ``notes``.
    """
    crystal = replace(crystal, notes=(*report.notes, *report.warnings))
    _logger.info("Read %s", crystal.summary())
    for text in report.warnings:
        warnings.warn(text, UserWarning, stacklevel=3)
    return crystal
