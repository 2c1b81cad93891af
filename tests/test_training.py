"""Training, small: it learns, goes on where it stopped, and says what it did."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pyxem_cnn import _lightning, training
from pyxem_cnn.datasets import Conditions, PatternSource
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.evaluation import evaluate
from pyxem_cnn.model import load_model
from pyxem_cnn.simulation.library import parameters as library_parameters
from pyxem_cnn.simulation.library import training_libraries
from pyxem_cnn.simulation.library.file import load_library, simulate_library
from pyxem_cnn.simulation.library.training_libraries import Simulation, grid_for
from pyxem_cnn.training import VALIDATION_ELECTRONS, TrainingConfig, train
from tests._crystals import crystal, diffsims_phase

GRID = PolarGrid(n_radial=10, n_azimuthal=32, k_min=0.12, k_max=1.0)
CONFIG = TrainingConfig(
    n_patterns=512,
    batch_size=32,
    epoch_patterns=128,
    validation_patterns=32,
    width=16,
    n_blocks=1,
    zone_spacing=15.0,
    n_bins=16,
    averaging=0.8,
)
EASY = Conditions(
    electrons=(1e4, 1e5), intensity_spread=0.0, position_spread=0.0, blocked=0.0, overlap=0.0
)


@pytest.fixture(scope="module", autouse=True)
def small_libraries():
    """Libraries of a few hundred entries instead of thousands."""
    from pyxem_cnn.simulation import decoys
    from pyxem_cnn.simulation.library import zone_axis_library as library

    with pytest.MonkeyPatch.context() as patch:
        whole, every = library.kinematic_library, decoys.decoy_library

        def kinematic_library(*args, n_zone_axes=300, **kwargs):
            return whole(*args, n_zone_axes=min(300, n_zone_axes), **kwargs)

        def decoy_library(*args, **kwargs):
            return every(*args, n_lattices=5, n_orientations=10, **kwargs)

        patch.setattr(library, "kinematic_library", kinematic_library)
        patch.setattr(decoys, "decoy_library", decoy_library)
        patch.setattr(training, "VALIDATION_ELECTRONS", (1e4,))
        patch.setattr(training_libraries, "_HELD_OUT_ZONE_AXES", 30)
        patch.setattr(training_libraries, "_HELD_OUT_TILTS", 4)
        patch.setattr(library_parameters, "_MOST_ZONE_AXES", 100)
        yield


def trained(config=CONFIG, **options):
    defaults = {
        "accelerating_voltage": 200,
        "conditions": EASY,
        "grid": GRID,
        "simulator": "kinematic",
    }
    return train(crystal("cubic"), config=config, show_progressbar=False, **defaults | options)


def libraries_of(phase, voltage, simulation=None, grid=GRID, **how):
    how = {"simulator": "kinematic"} | how
    return training_libraries.training_libraries(
        phase, voltage, Simulation(**how), simulation, grid
    )


def weights(model):
    return {name: value.clone() for name, value in model.module.state_dict().items()}


def assert_same_model(a, b):
    """Models hold other dates and hashes; what they compute must be equal."""
    counts = np.random.default_rng(0).poisson(5, size=(6, *GRID.shape)).astype(np.float32)
    mask = np.ones(GRID.shape, dtype=np.float32)
    x, y = (model.predict(counts, mask, n_best=3) for model in (a, b))
    for left, right in zip(x, y, strict=True):
        assert (left is None) == (right is None)
        if left is not None:
            torch.testing.assert_close(left, right, equal_nan=True, atol=1e-5, rtol=1e-5)
    assert a.metadata["metrics"] == b.metadata["metrics"]


@pytest.fixture(scope="module")
def uninterrupted():
    return trained()


class TestLearning:
    def test_the_loss_falls(self, monkeypatch):
        losses = []
        original = _lightning.OrientationTask.training_step

        def training_step(self, batch, number):
            loss = original(self, batch, number)
            losses.append(float(loss.detach()))
            return loss

        monkeypatch.setattr(_lightning.OrientationTask, "training_step", training_step)
        trained(replace(CONFIG, n_patterns=1600, epoch_patterns=800))
        assert len(losses) == 50
        assert np.mean(losses[-8:]) < np.mean(losses[:4]) - 0.5

    def test_the_same_seed_gives_the_same_model(self, uninterrupted):
        torch.manual_seed(99)
        assert_same_model(trained(), uninterrupted)

    def test_another_seed_gives_another_model(self, uninterrupted):
        other = trained(replace(CONFIG, seed=1, n_patterns=32, epoch_patterns=32))
        assert other.sha256 != uninterrupted.sha256

    def test_the_global_generators_are_left_alone(self):
        torch.manual_seed(3)
        state = torch.get_rng_state()
        training._Learner.for_crystals([crystal("cubic")], GRID, CONFIG)
        assert torch.equal(torch.get_rng_state(), state)


class TestCheckpoints:
    @pytest.mark.parametrize("batch", [6, 11])
    def test_an_interrupted_training_goes_on(self, uninterrupted, tmp_path, monkeypatch, batch):
        """Interrupted in the second and in the third of four epochs."""
        path = tmp_path / "state.ckpt"
        original = _lightning.OrientationTask.training_step
        count = []

        def training_step(self, *args):
            count.append(1)
            if len(count) > batch:
                raise RuntimeError("power cut")
            return original(self, *args)

        with monkeypatch.context() as patch:
            patch.setattr(_lightning.OrientationTask, "training_step", training_step)
            with pytest.raises(RuntimeError, match="power cut"):
                trained(checkpoint=path)
        assert path.is_file()
        seen = []

        def counted(self, *args):
            seen.append(1)
            return original(self, *args)

        monkeypatch.setattr(_lightning.OrientationTask, "training_step", counted)
        model = trained(checkpoint=path)
        assert len(seen) == 16 - 4 * (batch // 4)
        assert_same_model(model, uninterrupted)

    def test_a_finished_training_is_not_repeated(self, uninterrupted, tmp_path, monkeypatch):
        path = tmp_path / "no suffix"
        first = trained(checkpoint=path)
        assert_same_model(first, uninterrupted)
        assert [p.name for p in tmp_path.iterdir()] == ["no suffix"]

        def training_step(self, *args):
            raise AssertionError("trained again")

        monkeypatch.setattr(_lightning.OrientationTask, "training_step", training_step)
        # The averaged weights, not the last ones.
        assert_same_model(trained(checkpoint=path), first)

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"config": replace(CONFIG, width=20)}, "config"),
            ({"conditions": replace(EASY, blocked=0.2)}, "conditions"),
            ({"grid": replace(GRID, k_max=0.9)}, "grid"),
        ],
    )
    def test_of_another_training_is_refused(self, tmp_path, change, named):
        path = tmp_path / "state.ckpt"
        short = replace(CONFIG, n_patterns=32, epoch_patterns=32)
        trained(short, checkpoint=path)
        change = {"config": replace(short, width=20)} if named == "config" else change
        config = change.pop("config", short)
        with pytest.raises(ValueError, match=f"another training.*{named}"):
            trained(config, checkpoint=path, **change)

    def test_of_another_phase_or_voltage_is_refused(self, tmp_path):
        path = tmp_path / "state.ckpt"
        short = replace(CONFIG, n_patterns=32, epoch_patterns=32)
        trained(short, checkpoint=path)
        with pytest.raises(ValueError, match=r"another training.*accelerating_voltage"):
            trained(short, checkpoint=path, accelerating_voltage=80)
        with pytest.raises(ValueError, match=r"another training.*crystal"):
            train(
                crystal("gaas"),
                accelerating_voltage=200,
                config=short,
                conditions=EASY,
                grid=GRID,
                checkpoint=path,
                simulator="kinematic",
                show_progressbar=False,
            )


class TestModel:
    def test_metadata(self, uninterrupted):
        metadata = uninterrupted.metadata
        assert uninterrupted.name == "Si"
        assert uninterrupted.accelerating_voltage == 200
        assert uninterrupted.grid == GRID
        assert uninterrupted.crystal == crystal("cubic")
        assert uninterrupted.target.n_bins == 16
        assert metadata["licence"]
        assert metadata["training"]["config"]["n_patterns"] == 512
        assert metadata["training"]["simulation"] == "kinematic"
        assert metadata["training"]["conditions"]["electrons"] == [1e4, 1e5]
        assert set(metadata["metrics"]) == {"10000 electrons"}
        assert VALIDATION_ELECTRONS == (1e4, 1e3, 300.0)
        for figures in metadata["metrics"].values():
            assert figures["n"] >= 4 * CONFIG.validation_patterns
            assert 0 <= figures["within_5"] <= 100
            assert figures["within_5_modulo_twins"] >= figures["within_5"]
            assert 0 < figures["median"] < 70
        assert metadata["preprocessing"]
        json.dumps(metadata)

    def test_file(self, uninterrupted, tmp_path):
        again = load_model(uninterrupted.save(tmp_path / "model.pt"))
        assert_same_model(again, uninterrupted)

    def test_log_tells_how_far_it_is(self, caplog):
        config = replace(CONFIG, n_patterns=64, epoch_patterns=32)
        with caplog.at_level("INFO", "pyxem_cnn"):
            trained(config)
        told = [m for m in caplog.messages if m.startswith("after")]
        assert told == ["after 32 of 64 patterns:", "after 64 of 64 patterns:"]

    def test_name(self):
        short = replace(CONFIG, n_patterns=32, epoch_patterns=32)
        assert trained(short, name="mine").name == "mine"

    def test_is_in_evaluation_mode(self, uninterrupted):
        counts = np.random.default_rng(1).poisson(5, size=(6, *GRID.shape)).astype(np.float32)
        mask = np.ones(GRID.shape, dtype=np.float32)
        together = uninterrupted.predict(counts, mask)
        alone = uninterrupted.predict(counts[:1], mask)
        # In bfloat16, products of batches of other sizes are rounded otherwise.
        torch.testing.assert_close(alone.scores[0], together.scores[0], atol=2e-3, rtol=0.1)


class TestStart:
    def test_weights_are_those_of_a_model(self, uninterrupted, monkeypatch):
        """Nothing is learnt: what comes out is what was started from."""
        monkeypatch.setattr(training, "_fit", lambda *_: None)
        again = trained(start=uninterrupted, config=replace(CONFIG, seed=5))
        for name, value in weights(uninterrupted).items():
            torch.testing.assert_close(weights(again)[name], value)
        assert again.metadata["training"]["started_from"] == uninterrupted.sha256
        assert uninterrupted.metadata["training"]["started_from"] is None

    def test_what_fits_of_another_phase(self, uninterrupted, monkeypatch):
        monkeypatch.setattr(training, "_fit", lambda *_: None)
        other = train(
            crystal("trigonal"),
            accelerating_voltage=200,
            start=uninterrupted,
            conditions=EASY,
            grid=GRID,
            config=CONFIG,
            simulator="kinematic",
            show_progressbar=False,
        )
        own, given = weights(other), weights(uninterrupted)
        torch.testing.assert_close(own["stem"], given["stem"])
        assert own["zone_weight"].shape != given["zone_weight"].shape

    def test_a_larger_network_does_the_same_at_first(self, uninterrupted, monkeypatch):
        monkeypatch.setattr(training, "_fit", lambda *_: None)
        larger = replace(CONFIG, n_hidden=3 * CONFIG.width, n_blocks=CONFIG.n_blocks + 1)
        again = trained(start=uninterrupted, config=larger)
        check = uninterrupted.test_tensors
        counts, mask = torch.as_tensor(check.counts), torch.as_tensor(check.mask)
        expected = uninterrupted.module(counts, mask)["probability"]
        torch.testing.assert_close(again.module(counts, mask)["probability"], expected)
        assert len(weights(again)["blocks.0.expand"]) == 3 * CONFIG.width

    def test_one_without_contrasts_does_the_same_at_first(self, monkeypatch):
        monkeypatch.setattr(training, "_fit", lambda *_: None)
        blind = trained(config=replace(CONFIG, contrasts=False))
        seeing = trained(start=blind)
        check = blind.test_tensors
        counts, mask = torch.as_tensor(check.counts), torch.as_tensor(check.mask)
        expected = blind.module(counts, mask)["probability"]
        torch.testing.assert_close(seeing.module(counts, mask)["probability"], expected)
        assert weights(seeing)["stem"].shape[1] == 2 * weights(blind)["stem"].shape[1]
        said = [one.metadata["preprocessing"] for one in (blind, seeing)]
        assert ["contrasts" in one for one in said] == [False, True]
        with pytest.raises(ValueError, match="start"):
            trained(start=seeing, config=replace(CONFIG, contrasts=False))

    def test_that_of_silicon_is_the_usual_one(self, monkeypatch, caplog):
        """Where it fits: what is learnt of looking at patterns serves other crystals."""
        monkeypatch.setattr(training, "_fit", lambda *_: None)
        shipped = load_model("si_200kV")
        how = {"grid": shipped.grid, "conditions": EASY, "simulator": "kinematic"}
        sizes = {"n_hidden": 600}  # larger ones grow from it
        config = TrainingConfig(n_patterns=16, batch_size=8, validation_patterns=4, **sizes)
        phase = crystal("trigonal")
        own = train(phase, accelerating_voltage=200, config=config, show_progressbar=False, **how)
        assert own.metadata["training"]["started_from"] == shipped.sha256
        name = "blocks.3.expand"
        torch.testing.assert_close(weights(own)[name][:512], weights(shipped)[name])

        with caplog.at_level("INFO", logger="pyxem_cnn"):
            small = trained(config=replace(CONFIG, n_patterns=32, epoch_patterns=32))
        assert small.metadata["training"]["started_from"] is None
        assert "weights are random: those of si_200kV are of other sizes" in caplog.text

    @pytest.mark.parametrize("size", [{"n_hidden": 8}, {"n_blocks": 1}])
    def test_a_larger_one_is_refused(self, monkeypatch, size):
        """Rather than cut: what is left of it would know little."""
        monkeypatch.setattr(training, "_fit", lambda *_: None)
        large = trained(config=replace(CONFIG, n_blocks=2, n_hidden=24))
        with pytest.raises(ValueError, match="start: got .*--blocks 2 --hidden 24"):
            trained(start=large, config=replace(CONFIG, **{"n_blocks": 2, "n_hidden": 24} | size))

    def test_of_another_width_is_refused(self, uninterrupted):
        with pytest.raises(ValueError, match="start.*network width"):
            trained(start=uninterrupted, config=replace(CONFIG, width=20))


class TestSeveralPhases:
    def test_one_model_tells_them_apart(self):
        phases = [crystal("cubic"), crystal("trigonal")]
        model = train(
            phases,
            accelerating_voltage=200,
            config=replace(CONFIG, n_patterns=64, epoch_patterns=64),
            conditions=EASY,
            grid=GRID,
            simulator="kinematic",
            show_progressbar=False,
        )
        assert list(model.crystals) == phases
        assert model.name == "Si + LiNiO2"
        assert [len(group) for group in model.target.all_symmetry] == [24, 6]
        counts = np.random.default_rng(0).poisson(5, size=(40, *GRID.shape)).astype(np.float32)
        decoded = model.predict(counts, np.ones(GRID.shape, dtype=np.float32), n_best=4)
        assert set(decoded.phase.unique().tolist()) <= {-1, 0, 1}
        figures = model.metadata["metrics"]["10000 electrons"]
        assert 0 <= figures["right_phase"] <= 100

    def test_no_phase(self):
        with pytest.raises(ValueError, match="at least one phase"):
            train([], accelerating_voltage=200)


class TestLabels:
    def test_of_second_grains(self):
        from pyxem_cnn._lightning import with_second_grains
        from pyxem_cnn.targets.zone_in_plane import SoftLabels

        labels = SoftLabels(
            torch.arange(6).view(3, 2), torch.full((3, 2), 0.5), torch.arange(18.0).view(3, 2, 3)
        )
        both = with_second_grains(labels, torch.tensor([1.0, 0.6, 1.0]))
        assert both.cell.tolist() == [[0, 1, 4, 5], [2, 3, 0, 1], [4, 5, 2, 3]]
        strong = 0.36 / (0.36 + 0.16) / 2
        expected = [
            [0.5, 0.5, 0, 0],
            [strong, strong, 0.5 - strong, 0.5 - strong],
            [0.5, 0.5, 0, 0],
        ]
        torch.testing.assert_close(both.weight, torch.tensor(expected))
        torch.testing.assert_close(both.residual[1, 2:], labels.residual[0])


SHORT = replace(CONFIG, n_patterns=64, epoch_patterns=32)


@pytest.fixture(scope="module")
def library():
    """A dynamical library of LiNiO2."""
    return simulate_library(
        crystal("trigonal"),
        300,
        n_zone_axes=80,
        n_beams=20,
        n_tilts=5,
        k_max=1.05,
        thicknesses=(300, 600),
        show_progressbar=False,
    )


class TestBlochWaves:
    def trained(self, **options):
        defaults = {
            "phase": crystal("trigonal"),
            "accelerating_voltage": 300,
            "config": SHORT,
            "grid": GRID,
            "thicknesses": (300, 600),
            "show_progressbar": False,
        }
        return train(**defaults | options)

    def test_are_the_default(self, tmp_path):
        path = tmp_path / "linio2.h5"
        model = self.trained(library=path, convergence_angle=1.2, precession_angle=0.3)
        training_of = model.metadata["training"]
        assert training_of["simulation"] == "Bloch waves"
        described, held_out = training_of["library"], training_of["held_out_library"]
        for library in (described, held_out):
            assert library["convergence_angle"] == 1.2
            assert library["precession_angle"] == 0.3
            assert library["thicknesses"] == [300, 600]
        assert (described["n_beams"], held_out["n_beams"]) == (64, 96)
        assert described["seed"] != held_out["seed"]
        assert training_of["library_sha256"] == [load_library(path).sha256()]
        assert training_of["n_zone_axes"] == len(load_library(path))
        # Conditions for intensities that hold multiple scattering already.
        assert training_of["conditions"]["intensity_spread"] < Conditions().intensity_spread
        json.dumps(model.metadata)
        assert model.metadata["metrics"]["10000 electrons"]["n"] > 0

    def test_the_same_library_gives_the_same_model(self, library):
        assert_same_model(*(self.trained(library=library) for _ in range(2)))

    def test_a_library_says_phase_and_voltage(self, library):
        model = self.trained(library=library, phase=None, accelerating_voltage=None)
        assert model.crystal == crystal("trigonal")
        assert model.accelerating_voltage == 300

    def test_as_many_zone_axes_as_are_asked_for(self, tmp_path):
        how = {"simulator": "bloch", "thicknesses": (300, 600), "n_held_out": 8}
        how["precession_angle"] = (0.0, 0.3)
        train_on, held_out = libraries_of(crystal("trigonal"), 300, n_zone_axes=37, **how)[:2]
        numbers = [one.library.parameters.n_zone_axes for one in train_on]
        assert numbers == [37, 37]
        assert [one.library.parameters.n_zone_axes for one in held_out] == [8, 8]
        # A library that is there keeps its own.
        path = tmp_path / "linio2.h5"
        how["precession_angle"] = 0.0
        for asked in (37, 50):
            own = libraries_of(crystal("trigonal"), 300, n_zone_axes=asked, library=path, **how)
            assert own.first.parameters.n_zone_axes == 37
        with pytest.raises(ValueError, match="n_zone_axes"):
            libraries_of(crystal("trigonal"), 300, n_zone_axes=0, **how)

    def test_validation_shares_no_choice(self, library):
        how = {"simulator": "bloch", "library": library, "thicknesses": (300, 600)}
        train_on, held_out = (x[0].library for x in libraries_of(None, None, **how)[:2])
        assert train_on is library
        assert held_out.tilts.shape[1] != library.tilts.shape[1]
        assert held_out.k.shape[1] > library.k.shape[1]
        assert not set(held_out.thickness.ravel()) & set(library.thickness.ravel())

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"convergence_angle": 2.0}, r"convergence_angle 1\.5, asked 2\.0"),
            ({"thicknesses": (200, 600)}, r"thicknesses \(300.*asked \(200"),
            ({"accelerating_voltage": 200}, r"accelerating_voltage 300\.0, asked 200\.0"),
            ({"phase": crystal("cubic")}, "crystal .*LiNiO2.*Si"),
            ({"grid": replace(GRID, k_max=1.5)}, r"k_max 1\.05, asked 1\.57"),
            ({"simulator": "kinematic"}, "no library with simulator='kinematic'"),
        ],
    )
    def test_another_library_is_refused(self, library, change, words):
        with pytest.raises(ValueError, match=words):
            self.trained(library=library, **change)

    def test_wrong_libraries(self):
        with pytest.raises(TypeError, match="library.*load_library"):
            self.trained(library=7)

    def test_checkpoints_know_them(self, library, tmp_path):
        path = tmp_path / "state.ckpt"
        self.trained(library=library, checkpoint=path)
        other = replace(library, parameters=replace(library.parameters, n_beams=21))
        with pytest.raises(ValueError, match=r"another training.*library"):
            self.trained(library=other, checkpoint=path)

    def test_precessed_and_not(self, tmp_path):
        """One model for both: two libraries, and errors for each."""
        model = self.trained(library=tmp_path / "both", precession_angle=(0, 0.4))
        training_of = model.metadata["training"]
        assert [one["precession_angle"] for one in training_of["library"]] == [0, 0.4]
        assert model.metadata["precession_angle"] == [0, 0.4]
        assert "precession 0 or 0.4 degrees" in repr(model)
        assert set(model.metadata["metrics"]) == {
            "10000 electrons",
            "10000 electrons, 0.4 deg precession",
            "10000 electrons, kinematic",
        }
        files = sorted(path.name for path in (tmp_path / "both").iterdir())
        assert files == ["LiNiO2_300kV_0.4deg.h5", "LiNiO2_300kV_0deg.h5"]
        with pytest.raises(ValueError, match="a folder, for the libraries of several"):
            self.trained(library=tmp_path / "both" / files[0], precession_angle=(0, 0.4))

    def test_kinematic_patterns_among_them(self, library):
        """A share of what is learnt, and errors of their own; none where the share is 0."""
        model = self.trained(library=library, kinematic_share=0.3)
        assert model.metadata["training"]["kinematic_share"] == 0.3
        assert "10000 electrons, kinematic" in model.metadata["metrics"]
        without = self.trained(library=library, kinematic_share=0)
        assert set(without.metadata["metrics"]) == {"10000 electrons"}

    @pytest.mark.parametrize(("share", "words"), [(1, "simulator='kinematic'"), (1.5, "0 to 1")])
    def test_impossible_shares(self, library, share, words):
        with pytest.raises(ValueError, match=rf"kinematic_share.*{words}"):
            self.trained(library=library, kinematic_share=share)

    @pytest.mark.parametrize(
        ("angle", "error", "told"),
        [
            ((), ValueError, r"got \(\), expected at least one angle"),
            ((0, -0.4), ValueError, "got -0.4.*It is in degrees"),
            ("0.4", TypeError, "got '0.4' of type str.*It is in degrees"),
        ],
    )
    def test_wrong_precession_angles(self, angle, error, told):
        with pytest.raises(error, match=told):
            self.trained(precession_angle=angle)

    def test_polarity(self):
        config = replace(SHORT, polarity=True)
        models = [
            train(
                crystal("gaas"),
                accelerating_voltage=200,
                grid=GRID,
                config=c,
                show_progressbar=False,
                simulator="kinematic",
            )
            for c in (SHORT, config)
        ]
        assert [len(model.target.symmetry) for model in models] == [24, 12]


class TestSimulation:
    @pytest.fixture
    def simulation(self):
        from diffsims.generators.simulation_generator import SimulationGenerator
        from orix.quaternion import Rotation

        from pyxem_cnn.rotations import with_zone_axis
        from pyxem_cnn.simulation.sampling import zone_axis_grid

        zones = zone_axis_grid(crystal("trigonal").laue_group_matrices(), n=150)
        return SimulationGenerator(120).calculate_diffraction2d(
            diffsims_phase("trigonal"),
            Rotation(with_zone_axis(zones)),
            reciprocal_radius=1.0,
            max_excitation_error=0.03,
        )

    def test_is_learnt(self, simulation):
        short = replace(CONFIG, n_patterns=128, epoch_patterns=64)
        model = train(
            crystal("trigonal"),
            simulation=simulation,
            config=short,
            grid=GRID,
            show_progressbar=False,
        )
        assert model.accelerating_voltage == 120
        assert model.metadata["training"]["simulation"] == "diffsims Simulation2D"
        assert model.metadata["training"]["n_zone_axes"] < 150
        assert model.crystal == crystal("trigonal")

    def test_its_phase_needs_no_repeating(self, simulation):
        simulation.phases = diffsims_phase("trigonal", space_group=166)
        train_on, other, grid, _ = libraries_of(None, None, simulation, None)
        library, held_out = train_on[0].library, other[0].library
        np.testing.assert_allclose(
            library.crystal.reciprocal_basis, crystal("trigonal").reciprocal_basis, atol=1e-9
        )
        assert library.crystal.space_group == 166
        assert len(library) > 8 * len(held_out)
        assert grid.k_min < 3 / 14.19


class TestArguments:
    @pytest.mark.parametrize("name", ["conditions", "config"])
    def test_dictionaries_are_refused_before_anything_is_simulated(self, name):
        with pytest.raises(TypeError, match=rf"{name}: got .*expected"):
            train(crystal("cubic"), accelerating_voltage=200, **{name: {"seed": 1}})

    def test_simulator(self):
        with pytest.raises(ValueError, match=r"simulator.*'bloch', 'kinematic'"):
            train(crystal("cubic"), accelerating_voltage=200, simulator="blotch")

    def test_nothing_given(self):
        with pytest.raises(ValueError, match=r"phase.*Or pass simulation="):
            train()

    def test_voltage(self):
        with pytest.raises(ValueError, match="accelerating_voltage=, for example 200"):
            train(crystal("cubic"))
        with pytest.raises(ValueError, match="kV"):
            train(crystal("cubic"), accelerating_voltage=-1)

    @pytest.mark.parametrize(
        "name",
        ["n_patterns", "batch_size", "epoch_patterns", "seed", "width", "n_blocks", "n_hidden"],
    )
    def test_config(self, name):
        with pytest.raises(ValueError, match=name):
            TrainingConfig(**{name: -1})
        with pytest.raises(TypeError, match=name):
            TrainingConfig(**{name: 1.5})

    @pytest.mark.parametrize(
        ("name", "value"),
        [("learning_rate", 0), ("clip", 0), ("zone_spacing", -4), ("averaging", 1.5)],
    )
    def test_config_of_any_size(self, name, value):
        with pytest.raises(ValueError, match=name):
            TrainingConfig(**{name: value})


class TestSchedule:
    def test_steps(self):
        config = TrainingConfig(n_patterns=100_000, batch_size=100, epoch_patterns=20_000)
        assert (config.steps_per_epoch, config.n_epochs, config.n_steps) == (200, 5, 1000)
        short = TrainingConfig(n_patterns=50, batch_size=100)
        assert (short.steps_per_epoch, short.n_epochs) == (1, 1)

    def test_learning_rate(self):
        config = TrainingConfig(n_patterns=1_000_000, batch_size=100, epoch_patterns=20_000)
        factor = np.array([config.learning_rate_factor(step) for step in range(config.n_steps)])
        assert factor[0] < 0.01
        assert (factor[200:4000] == 1).all()
        assert factor[7000] == pytest.approx(0.01 + 0.99 / 2, abs=1e-3)
        assert factor[-1] == pytest.approx(0.01, abs=1e-4)
        assert (np.diff(factor[4000:]) <= 0).all()

    def test_epochs_have_seeds_of_their_own(self):
        library, _, grid, _ = libraries_of(crystal("cubic"), 200)
        data = _lightning._Epochs(PatternSource(library, grid, EASY), CONFIG)
        first = [batch.counts for batch in data]
        again = [batch.counts for batch in data]
        data.epoch = 1
        second = [batch.counts for batch in data]
        assert len(first) == len(data) == 4
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not torch.equal(first[0], second[0])


class TestGrid:
    def test_reaches_inside_the_shortest_reflection(self):
        silicon = grid_for(crystal("cubic"))
        assert silicon == PolarGrid()
        layered = grid_for(crystal("trigonal"))
        assert layered.k_min <= 0.7 * 3 / 14.19
        assert 0.5 < layered.k_max <= 1.6

    def test_large_cells(self):
        from pyxem_cnn.phases import CrystalStructure

        large = CrystalStructure.from_asymmetric_unit(
            (21, 23, 25, 90, 90, 90), 47, ["Si"], [[0.1, 0.2, 0.3]], name="large"
        )
        grid = grid_for(large)
        assert grid.k_min < 1 / 25
        assert grid.k_max < 0.8


def test_evaluate_counts_what_the_network_says():
    """A network that knows the answer is right, one that does not is as wrong as chance."""
    library, _, grid, _ = libraries_of(crystal("cubic"), 200)
    source = PatternSource(library, grid, EASY.measured_at(1e4))
    learner = training._Learner.for_crystals([crystal("cubic")], grid, CONFIG)

    class Knowing(torch.nn.Module):
        def __init__(self, truth):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.zeros(1))
            self.truth = truth

        def forward(self, counts, mask):
            labels = learner.target.encode(next(self.truth).orientation)
            weight, best = labels.weight.topk(4, dim=1)
            return {
                "cell": labels.cell.gather(1, best),
                "probability": weight,
                "residual": labels.residual.gather(1, best[..., None].expand(-1, -1, 3)),
                "phase_probability": torch.ones(len(counts)),
            }

    right = Knowing(source.batches(256, seed=1_000_003))
    config = replace(CONFIG, validation_patterns=300)
    found = evaluate(right, learner.target, {"train": source, "x": source}, config)["x"]
    assert found.errors.n == 512
    assert found.errors.within_2 == 100
    assert found.right_phase == 100
    wrong = Knowing(source.batches(256, seed=4))
    summary = evaluate(wrong, learner.target, {"x": source}, config)["x"].errors
    assert summary.within_5 < 5
    assert 20 < summary.median < 60
    assert math.isfinite(summary.percentile_90)
