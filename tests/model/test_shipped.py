"""Models that come with the package, on scans that none of them was trained on."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_cnn import available_models, load_model
from pyxem_cnn.data import grain_scan
from pyxem_cnn.rotations import disorientation_angle


def test_they_are_those_of_the_documentation():
    expected = ["au_200kV", "linio2_300kV", "si_200kV", "steel_200kV", "vo2_200kV"]
    assert sorted(available_models()) == expected


# Least shares of vacuum that is told, and of orientations inside grains within 5 degrees.
@pytest.mark.parametrize(
    ("simulator", "told", "right"), [("bloch", 0.95, 0.6), ("kinematic", 0.8, 0.9)]
)
def test_silicon_is_read_and_vacuum_told(tmp_path, simulator, told, right):
    scan, truth = grain_scan(tmp_path / "scan.zspy", (20, 20), seed=1, simulator=simulator)
    model = load_model("si_200kV")
    found = scan.get_orientation_map_cnn(model, show_progressbar=False)

    vacuum = truth.phase_id < 0
    assert vacuum.sum() > 20
    assert (found.phase_id[vacuum] < 0).mean() > told
    assert (found.phase_id[~vacuum] >= 0).all()

    inside = ~vacuum & ~truth.prop["boundary"].astype(bool)
    a, b = truth.rotations.data[inside], found.rotations.data[inside]
    errors = disorientation_angle(a, b.reshape(a.shape), model.crystal.symmetry_quaternions())
    assert (np.rad2deg(errors) < 5).mean() > right
