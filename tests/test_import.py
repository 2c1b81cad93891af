"""What `import pyxem_cnn` brings along, and whether every public name is there."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest

import pyxem_cnn

STUB = Path(pyxem_cnn.__file__).with_suffix(".pyi")

PROBE = """
import hyperspy.api
import hyperspy.signals
hyperspy.signals.Signal2D
import json, sys, time
start = time.perf_counter()
import pyxem_cnn
pyxem_cnn.signals.methods
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def fresh_import() -> dict:
    """Modules, and seconds on top of HyperSpy, after an import in a process of its own."""
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "name", ["torch", "pyxem", "orix", "diffsims", "numba", "lightning", "gemmi", "typer"]
)
def test_import_leaves_slow_packages_alone(fresh_import: dict, name: str) -> None:
    assert name not in fresh_import["modules"]


def test_import_time_is_recorded(fresh_import: dict, record_property) -> None:
    # Not asserted: a busy machine is no fault of the code.
    record_property("import_seconds_on_top_of_hyperspy", fresh_import["seconds"])
    assert fresh_import["seconds"] > 0


def stub_names() -> list[str]:
    """Return the names that the stub imports."""
    nodes = [n for n in ast.parse(STUB.read_text()).body if isinstance(n, ast.ImportFrom)]
    return [alias.asname or alias.name for node in nodes for alias in node.names]


@pytest.mark.parametrize("name", stub_names())
def test_public_name_resolves(name: str) -> None:
    assert getattr(pyxem_cnn, name) is not None
    assert name in dir(pyxem_cnn)


def test_stub_lists_in_all_what_it_imports() -> None:
    (assigned,) = [n for n in ast.parse(STUB.read_text()).body if isinstance(n, ast.Assign)]
    listed = ast.literal_eval(assigned.value)
    assert sorted(listed) == sorted(stub_names())
    assert sorted(pyxem_cnn.__all__) == sorted(listed)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pyxem_cnn.no_such_name


def test_version_is_that_of_the_installed_package() -> None:
    assert pyxem_cnn.__version__ == metadata.version("pyxem_cnn")


@pytest.mark.parametrize("name", ["hyperspy_extension.yaml", "py.typed", "__init__.pyi"])
def test_package_holds_its_data_files(name: str) -> None:
    assert resources.files("pyxem_cnn").joinpath(name).is_file()


def test_hyperspy_knows_the_signal_classes() -> None:
    import importlib

    import yaml
    from hyperspy.extensions import ALL_EXTENSIONS

    described = yaml.safe_load(
        resources.files("pyxem_cnn").joinpath("hyperspy_extension.yaml").read_text()
    )
    assert described["signals"]
    for name, description in described["signals"].items():
        assert ALL_EXTENSIONS["signals"][name] == description
        signal_class = getattr(importlib.import_module(description["module"]), name)
        assert signal_class._signal_type == description["signal_type"]
        assert signal_class._signal_dimension == description["signal_dimension"]
        assert signal_class._lazy == description["lazy"]


def test_extension_registers_no_signal_type_of_pyxem() -> None:
    from hyperspy.extensions import ALL_EXTENSIONS

    ours, others = set(), set()
    for description in ALL_EXTENSIONS["signals"].values():
        mine = description["module"].startswith("pyxem_cnn.")
        (ours if mine else others).add(description["signal_type"])
    assert ours
    assert not ours & others
