"""The Bloch-wave benchmarks run on a small task, and their R means what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyxem_cnn import DynamicalSpots

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def spots(hkl, intensity):
    """Return spots of one orientation at one thickness, without a convergence."""
    hkl = np.array([hkl])
    return DynamicalSpots(
        hkl=hkl,
        k=hkl[..., :2] * 0.5,
        intensity=np.array(intensity, dtype=float)[None, None, :, None],
        tilts=np.zeros((1, 1, 2)),
        thicknesses=np.array([500.0]),
    )


@pytest.mark.usefixtures("benchmarks")
def test_mismatch_by_hand(monkeypatch):
    import bloch_convergence

    monkeypatch.setattr(bloch_convergence, "THICKNESSES", (500.0,))
    reference = spots([[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 0, 0]], [0.5, 0.3, 0.1, 0.1])
    # One spot weaker, one missing, one new, padding at the end; [900] is off the detector.
    other = spots([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 0]], [0.6, 0.2, 0.05, 0.0])
    r = bloch_convergence.mismatch(other, reference, k_max=1.6)
    np.testing.assert_allclose(r, [[(0.1 + 0.1 + 0.05) / 0.4]])
    r = bloch_convergence.mismatch(other, reference, k_max=1.6, direct_beam=True)
    np.testing.assert_allclose(r, [[(0.1 + 0.1 + 0.1 + 0.05) / 0.9]])
    assert bloch_convergence.mismatch(reference, reference, k_max=1.6).max() == 0


@pytest.mark.slow
def test_speed_without_the_peer_says_so():
    done = subprocess.run(
        [sys.executable, "bloch_speed.py", "--n", "16", "--beams", "16", "--tilts", "1"],
        cwd=FOLDER,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "py4DSTEM was skipped" in done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()[-3:]} == {"LiNiO2", "Si", "GaAs"}
