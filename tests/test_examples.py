"""Every gallery script runs, in a process of its own, opens with a question and is short."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(FOLDER.rglob("*.py"))


def script_id(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def test_there_are_examples() -> None:
    assert len(SCRIPTS) >= 3


@pytest.mark.parametrize("path", SCRIPTS, ids=script_id)
def test_example_is_short_and_opens_with_a_question(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 80
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring is not None
    assert docstring.splitlines()[1].startswith("===")  # a title, for the gallery
    assert "?" in docstring


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=script_id)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    # In a folder of its own: nothing may be written beside the scripts.
    environment = {**os.environ, "MPLBACKEND": "Agg", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:pyxem_cnn", str(path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    if path.name == "wrap_your_own_network.py":
        assert " 0 points wrong" in done.stdout
