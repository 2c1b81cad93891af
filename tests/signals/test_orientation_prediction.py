"""The prediction signal: shape, accessors, files, lazy and not."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.signals.orientation_prediction import (
    COLUMNS,
    LazyOrientationPrediction,
    OrientationPrediction,
)

# More than ten atoms, operations, phases and models: HyperSpy's files mix up longer nested lists.
SILICON = CrystalStructure.from_asymmetric_unit(
    (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m:1", ["Si"], [[0, 0, 0]], name="Si"
)
ARSENIDE = CrystalStructure.from_asymmetric_unit(
    (5.653, 5.653, 11.306, 90, 90, 90),
    1,
    ["Ga", "As"] * 8,
    [[i % 4 / 4, i // 4 / 4, i % 5 / 5] for i in range(16)],
    occupancies=[1 - i / 100 for i in range(16)],
    u_iso=[np.nan] + [i / 1000 for i in range(1, 16)],
    name="GaAs",
)
PHASES = [ARSENIDE, SILICON, *[replace(SILICON, name=f"Si {i}") for i in range(2, 13)]]
MODELS = [{"name": f"model_{i}", "sha256": f"{i:064x}"} for i in range(13)]
NODE = {
    "columns": list(COLUMNS),
    "phases": [phase.to_dict() for phase in PHASES],
    "models": MODELS,
    "frame": "detector",
    "group": "Laue",
}


def assert_same_phases(given: list[CrystalStructure], expected: list[CrystalStructure]) -> None:
    """Compare everything of the phases, in order; NaN equals NaN."""
    assert len(given) == len(expected)
    for one, other in zip(given, expected, strict=True):
        np.testing.assert_equal(one.to_dict(), other.to_dict())
        assert type(one.space_group) is int


@pytest.fixture
def data(rng: np.random.Generator) -> np.ndarray:
    """Data of a scan of 3 rows, 4 columns, with the two best orientations."""
    data = rng.random((3, 4, 2, len(COLUMNS)), dtype=np.float32)
    data[..., 0] = rng.integers(0, 2, (3, 4, 2))
    data[0, 1, :, 1:] = np.nan
    data[0, 1, :, 0] = -1
    return data


@pytest.fixture(params=["eager", "lazy"])
def prediction(request: pytest.FixtureRequest, data: np.ndarray) -> OrientationPrediction:
    """The prediction, in memory or lazy."""
    node = {"OrientationPrediction": NODE}
    if request.param == "eager":
        return OrientationPrediction(data, metadata=node)
    lazy = da.from_array(data, chunks=(2, 2, -1, -1))
    return LazyOrientationPrediction(lazy, metadata=node)


def test_accessors(prediction: OrientationPrediction, data: np.ndarray) -> None:
    assert prediction.n_best == 2
    np.testing.assert_array_equal(prediction.quaternions, data[..., 2:6])
    np.testing.assert_array_equal(prediction.scores, data[..., 1])
    for index, name in enumerate(COLUMNS):
        np.testing.assert_array_equal(prediction.column(name), data[..., index])
    assert isinstance(prediction.scores, da.Array) == prediction._lazy
    assert [axis.name for axis in prediction.axes_manager.signal_axes] == ["column", "rank"]


def test_repr_can_be_read_at_once(prediction: OrientationPrediction) -> None:
    prediction.metadata.General.title = "scan 7"
    prediction.phases = PHASES[:3]
    assert repr(prediction) == (
        f"<{type(prediction).__name__}, title: scan 7, dimensions: (4, 3|13, 2), n_best: 2, "
        "phases: GaAs, Si, Si 2>"
    )
    assert "phases" not in repr(OrientationPrediction(np.zeros((2, 1, len(COLUMNS)), np.float32)))


def test_unknown_column_is_refused(prediction: OrientationPrediction) -> None:
    with pytest.raises(ValueError, match="column: got 'scores', expected one of .*'score'"):
        prediction.column("scores")


def test_slices(prediction: OrientationPrediction, data: np.ndarray) -> None:
    best = prediction.isig[:, :1]
    assert best.n_best == 1
    np.testing.assert_array_equal(best.quaternions, data[..., :1, 2:6])
    part = prediction.inav[1:3, 2]
    assert type(part) is type(prediction)
    np.testing.assert_array_equal(part.scores, data[2, 1:3, :, 1])
    assert part.metadata.OrientationPrediction.frame == "detector"
    with pytest.raises(ValueError, match=r"Number of columns: got 4, expected 13 .*isig\[:, :n\]"):
        _ = prediction.isig[2:6].quaternions


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
@pytest.mark.parametrize("load_lazy", [False, True])
@pytest.mark.filterwarnings("ignore:The NestedDirectoryStore:FutureWarning")
def test_files_keep_class_data_and_metadata(
    prediction: OrientationPrediction,
    data: np.ndarray,
    tmp_path: Path,
    extension: str,
    load_lazy: bool,
) -> None:
    path = tmp_path / f"prediction.{extension}"
    prediction.metadata.General.title = "scan 7"
    prediction.save(path)
    loaded = hs.load(path, lazy=load_lazy)
    assert type(loaded) is (LazyOrientationPrediction if load_lazy else OrientationPrediction)
    assert loaded.data.dtype == np.float32
    np.testing.assert_array_equal(loaded.data, data)
    assert repr(loaded) == repr(prediction).replace(
        type(prediction).__name__, type(loaded).__name__
    )
    assert_same_phases(loaded.phases, PHASES)
    assert loaded.model_info == MODELS
    node = loaded.metadata.OrientationPrediction
    assert list(node.columns) == list(COLUMNS)
    assert (node.frame, node.group) == ("detector", "Laue")


def test_compute_gives_the_eager_class(data: np.ndarray) -> None:
    node = {"OrientationPrediction": NODE}
    lazy = LazyOrientationPrediction(da.from_array(data, chunks=(1, 4, -1, -1)), metadata=node)
    lazy.compute(show_progressbar=False)
    assert type(lazy) is OrientationPrediction
    np.testing.assert_array_equal(lazy.data, data)
    assert lazy.model_info == MODELS
    assert type(lazy.as_lazy()) is LazyOrientationPrediction


def test_signal_type_gives_the_class(data: np.ndarray) -> None:
    signal = hs.signals.Signal2D(data)
    signal.set_signal_type("orientation_prediction")
    assert type(signal) is OrientationPrediction
    lazy = hs.signals.Signal2D(data).as_lazy()
    lazy.set_signal_type("orientation_prediction")
    assert type(lazy) is LazyOrientationPrediction


def test_phases_and_models_can_be_replaced(prediction: OrientationPrediction) -> None:
    assert_same_phases(prediction.phases, PHASES)
    prediction.phases = [SILICON]
    prediction.model_info = MODELS[:2]
    assert_same_phases(prediction.phases, [SILICON])
    assert prediction.model_info == MODELS[:2]
    assert prediction.metadata.OrientationPrediction.frame == "detector"


def test_phases_and_models_of_a_bare_signal() -> None:
    bare = OrientationPrediction(np.zeros((2, 1, len(COLUMNS)), np.float32))
    assert bare.phases == []
    assert bare.model_info == []
    bare.phases = [ARSENIDE]
    assert_same_phases(bare.phases, [ARSENIDE])


def test_dictionaries_in_the_metadata_survive_a_file(data: np.ndarray, tmp_path: Path) -> None:
    signal = hs.signals.Signal2D(data)
    signal.set_signal_type("orientation_prediction")
    signal.metadata.add_dictionary({"OrientationPrediction": NODE})
    assert_same_phases(signal.phases, PHASES)
    assert_same_phases(signal.deepcopy().phases, PHASES)
    signal.save(tmp_path / "prediction.hspy")
    assert_same_phases(hs.load(tmp_path / "prediction.hspy").phases, PHASES)


def test_crystal_map_is_built_elsewhere(
    prediction: OrientationPrediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = types.ModuleType("pyxem_cnn.indexing.crystal_map")
    fake.prediction_to_crystal_map = lambda given, minimum_score: ("map of", given, minimum_score)
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    assert prediction.to_crystal_map(0.3) == ("map of", prediction, 0.3)
