"""Crystal maps from predictions."""

from __future__ import annotations

import numpy as np
import pytest
from orix import io
from orix.crystal_map import CrystalMap

from pyxem_cnn.indexing.block import COLUMNS
from pyxem_cnn.signals.orientation_prediction import (
    LazyOrientationPrediction,
    OrientationPrediction,
)
from tests._crystals import crystal


def prediction(shape, n_best=1, phases=("trigonal",), seed=0, **units):
    rng = np.random.default_rng(seed)
    data = rng.random((*shape, n_best, len(COLUMNS)))
    data[..., 0] = 0
    data[..., COLUMNS.index("vacuum_probability") :] = 0
    data[..., 2:6] -= 0.5
    data[..., 2:6] /= np.linalg.norm(data[..., 2:6], axis=-1, keepdims=True)
    signal = OrientationPrediction(data.astype(np.float32))
    signal.phases = [crystal(name) for name in phases]
    for i, axis in enumerate(signal.axes_manager.navigation_axes):
        axis.scale, axis.offset = 0.5 * (i + 1), 10.0 * (i + 1)
        axis.units = "nm"
    return signal


def missing(signal, index, phase):
    signal.data[index] = np.nan
    signal.data[(*index, slice(None), 0)] = phase


class TestCoordinates:
    def test_two_dimensions(self):
        signal = prediction((3, 5))
        xmap = signal.to_crystal_map()
        assert isinstance(xmap, CrystalMap)
        assert xmap.shape == (3, 5)
        assert xmap.scan_unit == "nm"
        np.testing.assert_allclose(xmap.x.reshape(3, 5)[1], 10 + 0.5 * np.arange(5))
        np.testing.assert_allclose(xmap.y.reshape(3, 5)[:, 1], 20 + 1.0 * np.arange(3))
        np.testing.assert_allclose(
            xmap.rotations.data.reshape(3, 5, 4), signal.data[:, :, 0, 2:6], atol=1e-6
        )
        assert xmap.dx == pytest.approx(0.5)
        assert xmap.dy == pytest.approx(1.0)

    def test_one_dimension(self):
        xmap = prediction((6,)).to_crystal_map()
        assert xmap.shape == (6,)
        np.testing.assert_allclose(xmap.x, 10 + 0.5 * np.arange(6))

    def test_no_dimension(self):
        signal = prediction(())
        xmap = signal.to_crystal_map()
        assert xmap.size == 1
        np.testing.assert_allclose(xmap.rotations.data[0], signal.data[0, 2:6], atol=1e-6)

    @pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1, 1)])
    def test_lines(self, shape):
        signal = prediction(shape)
        xmap = signal.to_crystal_map()
        assert xmap.size == signal.data[..., 0, 0].size
        np.testing.assert_allclose(
            xmap.rotations.data, signal.data[..., 0, 2:6].reshape(-1, 4), atol=1e-6
        )

    def test_three_dimensions(self):
        signal = prediction((2, 3, 4))
        maps = signal.to_crystal_map()
        assert [m.shape for m in maps] == [(3, 4), (3, 4)]
        for part, xmap in zip(signal.data, maps, strict=True):
            np.testing.assert_allclose(
                xmap.rotations.data.reshape(3, 4, 4), part[:, :, 0, 2:6], atol=1e-6
            )

    def test_without_units(self):
        signal = OrientationPrediction(prediction((2, 2)).data)
        signal.phases = [crystal("trigonal")]
        assert signal.to_crystal_map().scan_unit == "px"


class TestProperties:
    def test_one_orientation(self):
        signal = prediction((3, 4))
        xmap = signal.to_crystal_map()
        assert xmap.rotations_per_point == 1
        np.testing.assert_allclose(xmap.prop["scores"], signal.data[..., 0, 1].ravel())
        np.testing.assert_allclose(xmap.prop["reliability"], signal.data[..., 0, 6].ravel())
        np.testing.assert_allclose(xmap.prop["phase_probability"], signal.data[..., 0, 7].ravel())
        assert "phase_ids" not in xmap.prop

    def test_several_orientations(self):
        signal = prediction((3, 4), n_best=3)
        xmap = signal.to_crystal_map()
        assert xmap.rotations_per_point == 3
        assert xmap.prop["scores"].shape == (12, 3)
        assert xmap.prop["reliability"].shape == (12,)
        np.testing.assert_allclose(
            xmap._rotations.data.reshape(3, 4, 3, 4), signal.data[..., 2:6], atol=1e-6
        )

    def test_phase(self):
        xmap = prediction((2, 2)).to_crystal_map()
        phase = xmap.phases[0]
        assert phase.name == "LiNiO2"
        assert phase.point_group.name == "-3m"
        np.testing.assert_allclose(phase.structure.lattice.abcABG()[:3], [2.878, 2.878, 14.19])
        orientations = xmap.orientations
        assert orientations.symmetry.name == "-3m"

    def test_several_phases(self):
        signal = prediction((2, 3), n_best=2, phases=("trigonal", "cubic"))
        signal.data[0, 1:, 0, 0] = 1
        signal.data[:, :, 1, 0] = 1
        xmap = signal.to_crystal_map()
        np.testing.assert_array_equal(xmap.phase_id, [0, 1, 1, 0, 0, 0])
        np.testing.assert_array_equal(xmap.prop["phase_ids"][:, 1], 1)
        assert xmap.phases.names == ["LiNiO2", "Si"]
        assert xmap["Si"].size == 2

    def test_only_the_second_phase(self):
        signal = prediction((2, 2), phases=("trigonal", "cubic"))
        signal.data[..., 0] = 1
        xmap = signal.to_crystal_map()
        assert (xmap.phase_id == 1).all()
        assert xmap.phases[1].name == "Si"

    def test_phases_of_one_name(self):
        signal = prediction((2, 2), phases=("cubic", "cubic"))
        signal.data[0, 0, :, 0] = 1
        xmap = signal.to_crystal_map()
        np.testing.assert_array_equal(xmap.phase_id, [1, 0, 0, 0])


class TestMissing:
    def test_not_indexed(self):
        signal = prediction((3, 4), n_best=2)
        missing(signal, (1, 2), -1)
        xmap = signal.to_crystal_map()
        assert xmap.phase_id[6] == -1
        assert xmap.is_in_data.all()
        assert not xmap.is_indexed[6]
        assert np.isnan(xmap.prop["scores"][6]).all()
        assert np.isnan(xmap.prop["reliability"][6])
        np.testing.assert_array_equal(xmap._rotations.data[6], [[1, 0, 0, 0]] * 2)
        assert "not_indexed" in xmap.phases.names

    def test_left_out(self):
        signal = prediction((3, 4))
        missing(signal, (0, 1), np.nan)
        xmap = signal.to_crystal_map()
        assert not xmap.is_in_data[1]
        assert xmap.is_in_data.sum() == 11
        assert xmap.size == 11
        assert xmap.shape == (3, 4)
        assert xmap._phase_id[1] == -1

    def test_a_missing_second_best(self):
        signal = prediction((2, 2), n_best=2)
        signal.data[0, 0, 1] = np.nan
        signal.data[0, 0, 1, 0] = -1
        xmap = signal.to_crystal_map()
        assert xmap.phase_id[0] == 0
        assert np.isnan(xmap.prop["scores"][0, 1])
        np.testing.assert_array_equal(xmap._rotations.data[0, 1], [1, 0, 0, 0])

    @pytest.mark.parametrize("phase", [-1, np.nan])
    def test_everywhere(self, phase):
        signal = prediction((2, 3))
        signal.data[:] = np.nan
        signal.data[..., 0] = phase
        xmap = signal.to_crystal_map()
        assert (xmap._phase_id == -1).all()
        assert xmap.is_in_data.any() == (phase == -1)


class TestWithOrix:
    @pytest.fixture
    def xmap(self):
        signal = prediction((4, 5), n_best=2)
        missing(signal, (1, 2), -1)
        missing(signal, (0, 0), np.nan)
        return signal.to_crystal_map()

    def test_repr(self, xmap):
        assert "LiNiO2" in repr(xmap)
        assert "not_indexed" in repr(xmap)

    def test_h5(self, xmap, tmp_path):
        io.save(str(tmp_path / "map.h5"), xmap)
        again = io.load(str(tmp_path / "map.h5"))
        np.testing.assert_array_equal(again._phase_id, xmap._phase_id)
        np.testing.assert_array_equal(again.is_in_data, xmap.is_in_data)
        same = np.abs((again._rotations.data * xmap._rotations.data).sum(-1))
        np.testing.assert_allclose(same, 1, atol=1e-6)
        np.testing.assert_allclose(again.prop["scores"], xmap.prop["scores"])

    def test_ang(self, tmp_path):
        signal = prediction((4, 5))
        signal.axes_manager.navigation_axes[1].offset = 0
        signal.axes_manager.navigation_axes[0].offset = 0
        xmap = signal.to_crystal_map()
        io.save(str(tmp_path / "map.ang"), xmap)
        again = io.load(str(tmp_path / "map.ang"))
        same = np.abs((again.rotations.data * xmap.rotations.data).sum(1))
        np.testing.assert_allclose(same, 1, atol=1e-4)

    def test_plot(self, xmap):
        import matplotlib.pyplot as plt
        from orix.plot import IPFColorKeyTSL

        key = IPFColorKeyTSL(xmap.phases[0].point_group)
        colors = key.orientation2color(xmap["LiNiO2"].orientations)
        assert colors.shape == (18, 3)
        figure = xmap.plot("reliability", return_figure=True)
        assert figure.axes
        plt.close(figure)

    def test_lazy_stays_lazy(self):
        signal = prediction((3, 4))
        lazy = signal.as_lazy()
        assert isinstance(lazy, LazyOrientationPrediction)
        xmap = lazy.to_crystal_map()
        assert lazy._lazy
        np.testing.assert_array_equal(xmap.rotations.data, signal.to_crystal_map().rotations.data)


class TestRejected:
    """Points that hold no crystal, or are not to be believed."""

    @pytest.mark.parametrize("n_best", [1, 2])
    def test_vacuum_and_amorphous(self, n_best):
        signal = prediction((2, 3), n_best)
        for point, (vacuum, amorphous) in enumerate([(0.9, 0), (0, 0.8), (0.3, 0.3), (0.4, 0)]):
            index = np.unravel_index(point, (2, 3))
            signal.data[(*index, slice(None), COLUMNS.index("vacuum_probability"))] = vacuum
            signal.data[(*index, slice(None), COLUMNS.index("amorphous_probability"))] = amorphous
        xmap = signal.to_crystal_map()
        assert xmap.phase_id.tolist() == [-1, -1, -1, 0, 0, 0]
        # Nothing is lost: what the network said stays.
        rotations = xmap.rotations.data.reshape(2, 3, n_best, 4)
        np.testing.assert_allclose(rotations, signal.quaternions, atol=1e-6)
        assert np.isfinite(xmap.prop["scores"]).all()
        np.testing.assert_allclose(xmap.prop["vacuum_probability"][:4], [0.9, 0, 0.3, 0.4])

    def test_low_scores(self):
        signal = prediction((2, 3))
        signal.data[..., 0, 1] = [[0.1, 0.4, 0.5], [0.6, 0.9, 0.499]]
        xmap = signal.to_crystal_map(minimum_score=0.5)
        assert xmap.phase_id.tolist() == [-1, -1, 0, 0, 0, -1]
        assert (signal.to_crystal_map().phase_id == 0).all()

    @pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
    def test_minimum_score_is_a_share(self, wrong):
        with pytest.raises(ValueError, match="minimum_score"):
            prediction((2, 3)).to_crystal_map(minimum_score=wrong)

    def test_what_the_network_tells(self):
        signal = prediction((2, 3), n_best=2)
        xmap = signal.to_crystal_map()
        for name in ("thickness", "share"):
            assert xmap.prop[name].shape == (6, 2)
            np.testing.assert_allclose(xmap.prop[name].reshape(2, 3, 2), signal.column(name))
        np.testing.assert_allclose(
            xmap.prop["entropy"].reshape(2, 3), signal.column("entropy")[..., 0]
        )

    def test_what_it_does_not_tell(self):
        signal = prediction((2, 3))
        signal.data[..., 8:] = np.nan
        xmap = signal.to_crystal_map()
        assert (xmap.phase_id == 0).all()
        assert not {"thickness", "share", "entropy", "vacuum_probability"} & set(xmap.prop)
