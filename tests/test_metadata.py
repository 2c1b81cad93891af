"""What the project says of itself: reference, citation and changelog keep up with the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import pyxem_cnn

ROOT = Path(pyxem_cnn.__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference" / "index.md"

if not REFERENCE.exists():
    pytest.skip("the package is installed without its documentation", allow_module_level=True)

LISTED = re.findall(r"^   ([\w.]+)$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
ROOMS = ("data", "plot", "signals")


def test_every_public_name_has_a_page() -> None:
    public = set(pyxem_cnn.__all__) - {"__version__", *ROOMS}
    assert public - set(LISTED) == set()
    for room in ("data", "metrics", "plot"):
        module = importlib.import_module(f"pyxem_cnn.{room}")
        # Constants need no page.
        names = {n for n in module.__all__ if callable(getattr(module, n))}
        assert {f"{room}.{name}" for name in names} - set(LISTED) == set()


@pytest.mark.parametrize("name", LISTED)
def test_every_page_is_of_something(name: str) -> None:
    *path, attribute = name.split(".")
    module = importlib.import_module(".".join(["pyxem_cnn", *path])) if path else pyxem_cnn
    assert getattr(module, attribute).__doc__


def test_no_page_twice() -> None:
    assert len(LISTED) == len(set(LISTED))


@pytest.mark.parametrize("name", ["demo", "map", "compare", "info", "train"])
def test_every_option_of_a_command_is_documented(name: str) -> None:
    import typer

    from pyxem_cnn.cli import app

    text = (ROOT / "docs" / "user" / "command_line.md").read_text(encoding="utf-8")
    shown = [p for p in typer.main.get_command(app).commands[name].params if not p.hidden]
    options = {option for p in shown for option in p.opts if option.startswith("--")}
    assert {option for option in options if not re.search(rf"{option}\b", text)} == set()


def test_citation_has_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {pyxem_cnn.__version__}\n" in citation


def test_changelog_has_a_place_for_what_is_new() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## (.*)$", text, re.MULTILINE)
    assert first is not None
    released = "dev" not in pyxem_cnn.__version__
    assert first.group(1).startswith(f"[{pyxem_cnn.__version__}]" if released else "[Unreleased]")
