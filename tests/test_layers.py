"""Imports inside the package go downward only, from room to room."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pyxem_cnn

PACKAGE = Path(pyxem_cnn.__file__).parent
NAME = "pyxem_cnn"

# A module may import from its own room and from the rooms above it in this list.
ROOMS = [
    {"_checks", "_torch", "_version"},
    # the crystal; the detector, the grids and the operator; networks
    {"rotations", "phases", "crystal", "detector"} | {"networks", "augmentations", "preprocessing"},
    {"simulation", "targets"},
    {"conditions", "exposure", "datasets", "metrics"},
    {"maps", "plot"},
    {"model", "training", "evaluation", "_lightning", "_starting"},
    {"indexing"},
    {"signals"},
    {"cli", "__main__", "data"},
]
ROOM_OF = {name: number for number, names in enumerate(ROOMS) for name in names}


def module_name(path: Path, package: Path) -> str:
    """Return the dotted name of the module in `path`."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_of(package: Path) -> dict[str, Path]:
    """Return the files of all modules of a package, by dotted name."""
    return {module_name(path, package): path for path in sorted(package.rglob("*.py"))}


def runtime_nodes(tree: ast.AST, functions: bool) -> list[ast.AST]:
    """Return all nodes of a tree outside `if TYPE_CHECKING:`, and outside functions if asked."""
    nodes = [tree]
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                nodes += runtime_nodes(other, functions)
        elif functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += runtime_nodes(child, functions)
    return nodes


def imports_of(name: str, path: Path, known: dict[str, Path], functions: bool = True) -> set[str]:
    """Return the modules of the same package that one module imports."""
    found = set()
    for node in runtime_nodes(ast.parse(path.read_text()), functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = name.split(".")
                parent = parent if path.name == "__init__.py" else parent[:-1]
                parent = parent[: len(parent) - node.level + 1]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in known else base)
    root = name.split(".")[0]
    return {f for f in found if f.split(".")[0] == root}


def upward_imports(package: Path) -> list[str]:
    """Return a line for every import of a package that goes upward."""
    known = modules_of(package)
    lines = []
    for name, path in known.items():
        if name == package.name:
            continue  # the package itself stands above all rooms
        room = ROOM_OF.get(name.split(".")[1])
        if room is None:
            lines.append(f"{name} is in no room: put it into ROOMS of this test")
            continue
        for imported in sorted(imports_of(name, path, known)):
            parts = imported.split(".")
            if len(parts) == 1:
                lines.append(f"{name} imports a public name: import the module that defines it")
            elif ROOM_OF.get(parts[1], -1) > room:
                lines.append(f"{name} (room {room}) imports {imported} (room {ROOM_OF[parts[1]]})")
    return lines


def import_cycles(package: Path) -> list[str]:
    """Return modules that import each other in a circle, already when they are imported."""
    known = modules_of(package)
    graph = {
        name: imports_of(name, path, known, functions=False) & set(known)
        for name, path in known.items()
    }
    graph = {name: sorted(edges - {name, package.name}) for name, edges in graph.items()}
    cycles, done = [], set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            cycles.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in done:
            for imported in graph[name]:
                visit(imported, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return cycles


def test_imports_go_downward() -> None:
    assert upward_imports(PACKAGE) == []


def test_no_circular_imports() -> None:
    assert import_cycles(PACKAGE) == []


def test_rooms_hold_every_module_once() -> None:
    assert sum(len(names) for names in ROOMS) == len(ROOM_OF)


def test_only_one_module_builds_crystal_maps() -> None:
    builders = set()
    for name, path in modules_of(PACKAGE).items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("CrystalMap"):
                builders.add(name)
    assert builders <= {f"{NAME}.maps.building"}


def test_networks_know_no_crystals() -> None:
    known = modules_of(PACKAGE)
    allowed = {f"{NAME}._checks", f"{NAME}._torch"}
    for name, path in known.items():
        if name.startswith(f"{NAME}.networks"):
            others = {
                i for i in imports_of(name, path, known) if not i.startswith(f"{NAME}.networks")
            }
            assert others <= allowed, name


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("from pyxem_cnn.indexing import mapping", "imports pyxem_cnn.indexing"),
        ("from ..indexing import mapping", "imports pyxem_cnn.indexing"),
        ("def f():\n    import pyxem_cnn.indexing.mapping", "imports pyxem_cnn.indexing"),
        ("from pyxem_cnn import read_cif", "imports a public name"),
    ],
)
def test_upward_import_is_seen(tmp_path: Path, line: str, complaint: str) -> None:
    package = tmp_path / NAME
    for folder in ("targets", "indexing"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").touch()
    (package / "indexing" / "mapping.py").touch()
    (package / "targets" / "classes.py").write_text(line)
    (complaint_seen,) = upward_imports(package)
    assert complaint in complaint_seen


def test_harmless_imports_are_let_through(tmp_path: Path) -> None:
    package = tmp_path / NAME
    package.mkdir()
    (package / "_checks.py").touch()
    (package / "model.py").write_text(
        "import numpy\nfrom typing import TYPE_CHECKING\nfrom pyxem_cnn import _checks\n"
        "if TYPE_CHECKING:\n    from pyxem_cnn.indexing import mapping\n"
    )
    assert upward_imports(package) == []


def test_circle_is_seen(tmp_path: Path) -> None:
    package = tmp_path / NAME
    package.mkdir()
    (package / "phases.py").write_text("from pyxem_cnn import polar")
    (package / "polar.py").write_text("from pyxem_cnn import phases")
    assert import_cycles(package) == ["pyxem_cnn.phases -> pyxem_cnn.polar -> pyxem_cnn.phases"]
