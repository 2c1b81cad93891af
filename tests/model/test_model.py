"""Model files: round trips, predictions, and everything that must be refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pyxem_cnn._torch import ignore_torchscript_deprecation
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.model import (
    ModelDescription,
    ModelFileError,
    OrientationModel,
    available_models,
    handle,
    load_model,
    networks,
    shipped,
    torchscript,
)
from pyxem_cnn.model import file as model_file
from pyxem_cnn.model.handle import ModelHandle
from pyxem_cnn.model.test_tensors import TensorCheck, example_inputs
from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.rotations import random_quaternions
from pyxem_cnn.targets.classes import ClassTarget

GRID = PolarGrid(n_radial=3, n_azimuthal=8, k_min=0.1, k_max=1.0)
N_CLASSES = 6


class Network(nn.Module):
    def __init__(self, n_classes=N_CLASSES):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(24, n_classes)

    def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.linear((counts.sqrt() * mask).flatten(1))}


class OtherNames(Network):
    def forward(self, patterns: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.linear(patterns.flatten(1))}


class Noisy(Network):
    def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.linear(counts.flatten(1)) + torch.rand(1)}


class MeanOfBatch(Network):
    def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.linear((counts - counts.mean(0)).flatten(1))}


class OneRow(Network):
    def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.linear(counts.flatten(1)).sum(0)}


@pytest.fixture(scope="module")
def crystal():
    return CrystalStructure.from_asymmetric_unit(
        (4.05, 4.05, 4.05, 90, 90, 90), 225, ["Al"], [[0, 0, 0]], name="Al"
    )


@pytest.fixture(scope="module")
def description(crystal):
    rotations = random_quaternions(N_CLASSES, np.random.default_rng(1))
    return ModelDescription(
        crystal=crystal,
        grid=GRID,
        target=ClassTarget(rotations, crystal.symmetry_quaternions(), output="logits"),
        accelerating_voltage=200,
        convergence_angle=1.5,
        name="tiny",
        licence="CC-BY-4.0",
        training={"epochs": 0},
        metrics={"within 5 degrees": 0.1},
    )


@pytest.fixture(scope="module")
def model(description):
    return OrientationModel.build(Network(), description)


@pytest.fixture
def path(model, tmp_path):
    return model.save(tmp_path / "tiny.pt")


@pytest.fixture
def patterns():
    counts, mask = example_inputs(GRID.shape, seed=7)
    return counts[:3], mask[0]


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        if x is None or y is None:
            assert x is y
        else:
            torch.testing.assert_close(x, y, equal_nan=True)


def rewritten(model, **changes):
    """Return the model's file with other metadata, written as torch writes it."""
    content = model_file.unpack(model.to_bytes(), "it")
    metadata = {k: v for k, v in (dict(content.metadata) | changes).items() if v is not ...}
    return model_file.pack(
        model.module, model_file.ModelFile(metadata, content.arrays, content.check)
    )


def torchscript_file(module, path, extra=None):
    with ignore_torchscript_deprecation():
        torch.jit.save(torch.jit.script(module), path, _extra_files=extra or {})
    return path


def replaced(data, name, content):
    """Return an archive with the content of one member replaced, left out where None."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            if not member.endswith(name):
                new.writestr(member, old.read(member))
            elif content is not None:
                new.writestr(member, content)
    return out.getvalue()


class TestRoundTrip:
    def test_file(self, model, path, patterns):
        again = load_model(path, sha256=model.sha256.upper())
        assert again == model
        assert again.sha256 == model.sha256
        assert hash(again) == hash(model)
        assert again.metadata == model.metadata
        assert again.grid == GRID
        assert again.crystal == model.crystal
        assert again.target.to_dict() == model.target.to_dict()
        assert_same(again.predict(*patterns, n_best=2), model.predict(*patterns, n_best=2))

    def test_description(self, model):
        metadata = model.metadata
        assert metadata["format_version"] == 1
        assert metadata["accelerating_voltage"] == model.accelerating_voltage == 200
        assert metadata["convergence_angle"] == 1.5
        assert metadata["precession_angle"] is None
        assert metadata["licence"] == "CC-BY-4.0"
        assert metadata["metrics"] == {"within 5 degrees": 0.1}
        assert metadata["versions"]["torch"] == torch.__version__
        assert model.polarity is False
        assert model.phase.name == "Al"

    def test_several_phases(self, model, crystal):
        assert model.crystals == (crystal,)
        iron = CrystalStructure.from_asymmetric_unit(
            (2.866, 2.866, 2.866, 90, 90, 90), 229, ["Fe"], [[0, 0, 0]], name="Fe"
        )
        phases = [iron.to_dict(), crystal.to_dict()]
        several = OrientationModel(rewritten(model, phases=phases))
        assert several.crystals == (iron, crystal)
        assert [phase.name for phase in several.phases] == ["Fe", "Al"]
        assert [phase.space_group.number for phase in several.phases] == [229, 225]
        assert several.crystal == iron
        assert several.phase.name == "Fe"

    @pytest.mark.parametrize("phases", [[], {}, None, "Al"])
    def test_no_phase(self, model, phases):
        with pytest.raises(ModelFileError, match="expected a list of one or several crystals"):
            OrientationModel(rewritten(model, phases=phases))

    def test_metadata_are_a_copy(self, model):
        model.metadata["phases"][0]["name"] = "changed"
        assert model.metadata["phases"][0]["name"] == "Al"

    def test_repr(self, model):
        text = repr(model)
        for part in ("'tiny'", "Al (", "200 kV, convergence 1.5 mrad", "6 orientations", "150 par"):
            assert part in text
        assert len(text.splitlines()) == 10

    def test_eager_and_scripted_modules_give_equal_predictions(self, model, description, patterns):
        with ignore_torchscript_deprecation():
            scripted = torch.jit.script(Network())
        again = OrientationModel.build(scripted, description)
        assert_same(again.predict(*patterns), model.predict(*patterns))

    def test_building_leaves_the_module_alone(self, description):
        network = Network().train()
        OrientationModel.build(network, description)
        assert network.training
        assert isinstance(network, Network)

    def test_pickle(self, model, patterns):
        again = pickle.loads(pickle.dumps(model))
        assert again == model
        assert pickle.loads(pickle.dumps(model)) is again
        assert_same(again.predict(*patterns), model.predict(*patterns))

    def test_pickle_in_another_process(self, model, patterns, tmp_path):
        (tmp_path / "model.pickle").write_bytes(pickle.dumps((model, *patterns)))
        code = (
            "import pickle, sys; model, counts, mask = pickle.load(open(sys.argv[1], 'rb')); "
            "scores = model.predict(counts, mask).scores[:, 0].tolist(); "
            "sys.stdout.write(' '.join(map(str, scores)))"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "model.pickle")]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        scores = [float(word) for word in result.stdout.split()]
        np.testing.assert_allclose(scores, model.predict(*patterns).scores[:, 0], rtol=1e-5)

    def test_dask_names_equal_models_alike(self, model, path):
        from dask.base import tokenize

        assert tokenize(model) == tokenize(load_model(path))


class TestHandle:
    def test_loads_once(self, model, path):
        handle = ModelHandle(model.sha256, path=str(path))
        assert len(pickle.dumps(handle)) < 500
        assert handle.load() is pickle.loads(pickle.dumps(handle)).load()
        assert handle.load() == model

    def test_refuses_another_file(self, path):
        with pytest.raises(ModelFileError, match="expected 0000"):
            ModelHandle("0" * 64, path=str(path)).load()

    def test_forgets_what_was_not_used_lately(self, model, path, monkeypatch):
        monkeypatch.setattr(handle, "_MOST_MODELS", 1)
        first = ModelHandle(model.sha256, path=str(path)).load()
        data = rewritten(model, name="other")
        other = ModelHandle(hashlib.sha256(data).hexdigest(), data)
        assert other.load().name == "other"
        assert list(handle._models) == [other.sha256]
        assert ModelHandle(model.sha256, path=str(path)).load() is not first

    def test_needs_one_source(self):
        with pytest.raises(ValueError, match="exactly one of them"):
            ModelHandle("0" * 64)


class TestPredict:
    def test_against_the_network_itself(self, model, patterns):
        counts, mask = patterns
        with torch.no_grad():
            logits = Network()(torch.tensor(counts), torch.tensor(mask))["logits"]
        probabilities, classes = logits.softmax(1).sort(descending=True)
        decoded = model.predict(counts, mask, n_best=N_CLASSES + 1)
        torch.testing.assert_close(decoded.scores[:, :-1], probabilities)
        rotations = torch.tensor(model.target.rotations, dtype=torch.float32)
        torch.testing.assert_close(decoded.quaternions[:, :-1], rotations[classes])
        assert decoded.scores[:, -1].isnan().all()
        assert decoded.quaternions.device.type == "cpu"

    def test_mask_of_each_pattern(self, model, patterns):
        counts, mask = patterns
        masks = np.repeat(mask[None], 3, axis=0)
        masks[1, :, :4] = 0
        decoded = model.predict(counts, masks)
        second = [None if part is None else part[1:2] for part in decoded]
        assert_same(model.predict(counts[1:2], masks[1]), second)
        assert not torch.equal(decoded.scores[1], model.predict(counts, mask).scores[1])

    @pytest.mark.parametrize("dtype", [np.float64, np.uint16])
    def test_other_types_of_numbers(self, model, patterns, dtype):
        counts, mask = np.round(patterns[0]), patterns[1]
        expected = model.predict(counts, mask)
        assert_same(model.predict(counts.astype(dtype), mask.astype(bool)), expected)
        assert_same(model.predict(torch.tensor(counts), torch.tensor(mask)), expected)

    def test_read_only_arrays_do_not_warn(self, model, patterns):
        for array in patterns:
            array.flags.writeable = False
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.predict(*patterns)

    def test_no_patterns(self, model, patterns):
        decoded = model.predict(patterns[0][:0], patterns[1], n_best=2)
        shapes = [tuple(part.shape) for part in decoded if part is not None]
        assert shapes == [(0, 2, 4), (0, 2), (0,), (0, 2)]

    def test_threads_share_a_model(self, model):
        inputs = [example_inputs(GRID.shape, seed) for seed in range(40)]
        expected = [model.predict(*pair) for pair in inputs]
        networks._networks.clear()
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda pair: model.predict(*pair), inputs))
        for a, b in zip(results, expected, strict=True):
            assert_same(a, b)

    def test_network_is_loaded_once_per_device(self, model, patterns, monkeypatch):
        networks._networks.clear()
        calls = []
        original = networks.load_network
        monkeypatch.setattr(
            networks, "load_network", lambda *args: calls.append(args) or original(*args)
        )
        for _ in range(3):
            model.predict(*patterns, device="cpu")
        assert len(calls) == 1

    def test_networks_that_were_not_used_lately_are_dropped(self, model, patterns, monkeypatch):
        monkeypatch.setattr(networks, "_MOST_NETWORKS", 1)
        expected = model.predict(*patterns)
        other = OrientationModel(rewritten(model, name="other"))
        assert_same(other.predict(*patterns), expected)
        assert [key[0] for key in networks._networks] == [other.sha256]
        assert_same(model.predict(*patterns), expected)

    def test_a_network_that_cannot_be_frozen(self, model, patterns, monkeypatch, caplog):
        expected = model.predict(*patterns)
        networks._networks.clear()

        def fail(_):
            raise RuntimeError("cold")

        monkeypatch.setattr(torch.jit, "freeze", fail)
        caplog.set_level("INFO", logger="pyxem_cnn")
        assert_same(model.predict(*patterns), expected)
        assert "freezing it failed: cold" in caplog.text

    def test_outputs_carry_no_gradient(self, model, patterns):
        assert not model.predict(*patterns).scores.requires_grad

    def test_refusals(self, model, patterns):
        counts, mask = patterns
        with pytest.raises(ValueError, match=r"counts: got .*\(3, 3, 7\).*n_patterns, 3, 8"):
            model.predict(counts[..., :7], mask)
        with pytest.raises(ValueError, match=r"counts: got .*\(3, 8\)"):
            model.predict(counts[0], mask)
        with pytest.raises(ValueError, match=r"mask: got .*\(2, 3, 8\).*shape \(3, 3, 8\)"):
            model.predict(counts, np.ones((2, 3, 8)))
        with pytest.raises(ValueError, match="n_best: got 0"):
            model.predict(counts, mask, n_best=0)
        with pytest.raises(ValueError, match="device: got 'warp'"):
            model.predict(counts, mask, device="warp")


class TestSave:
    def test_refuses_to_replace(self, model, path):
        before = path.read_bytes()
        with pytest.raises(FileExistsError, match="overwrite=True"):
            model.save(path)
        path.write_bytes(b"old")
        model.save(path, overwrite=True)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_a_failing_write_leaves_the_old_file(self, model, path, monkeypatch, step):
        path.write_bytes(b"old")

        def fail(*_):
            raise OSError("No space left on device")

        monkeypatch.setattr(os, step, fail)
        with pytest.raises(OSError, match="No space left"):
            model.save(path, overwrite=True)
        assert path.read_bytes() == b"old"
        assert [p.name for p in path.parent.iterdir()] == [path.name]

    def test_folder_has_to_exist(self, model, tmp_path):
        with pytest.raises(FileNotFoundError, match="folder .*nowhere does not exist"):
            model.save(tmp_path / "nowhere" / "model.pt")


class TestBuild:
    def test_number_of_classes(self, description):
        with pytest.raises(ValueError, match=r"'logits': got .*\(4, 5\).*\(n_patterns, 6\)"):
            OrientationModel.build(Network(5), description)

    def test_network_of_another_grid(self, description):
        other = PolarGrid(n_radial=4, n_azimuthal=8)
        with pytest.raises(ModelFileError, match=r"fails on test patterns of shape \(4, 4, 8\)"):
            OrientationModel.build(
                Network(), ModelDescription(**vars(description) | {"grid": other})
            )

    @pytest.mark.parametrize("network", [Noisy(), MeanOfBatch()])
    def test_outputs_have_to_be_the_same_again(self, description, network):
        with pytest.raises(ModelFileError, match="not give the same outputs .* another batch"):
            OrientationModel.build(network, description)

    def test_one_row_for_each_pattern(self, description):
        with pytest.raises(ModelFileError, match="one row for each pattern"):
            OrientationModel.build(OneRow(), description)

    def test_nan_weights(self, description):
        network = Network()
        network.linear.weight.data[0, 0] = np.nan
        with pytest.raises(ModelFileError, match="'logits' is not finite"):
            OrientationModel.build(network, description)

    def test_signature(self, description):
        with pytest.raises(ModelFileError, match=r"has the signature .*expected forward\(counts"):
            OrientationModel.build(OtherNames(), description)

    def test_weights_alone(self, description):
        with pytest.raises(TypeError, match="OrderedDict, expected a torch.nn.Module"):
            OrientationModel.build(Network().state_dict(), description)

    def test_what_torchscript_cannot_compile(self, description):
        class Odd(nn.Module):
            def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
                return {"logits": eval("counts")}

        with pytest.raises(ModelFileError, match="TorchScript cannot compile Odd"):
            OrientationModel.build(Odd(), description)

    def test_given_test_inputs(self, description, patterns):
        counts = patterns[0]
        model = OrientationModel.build(Network(), description, (counts, np.ones_like(counts)))
        check = model_file.unpack(model.to_bytes(), "it").check
        np.testing.assert_array_equal(check.counts, counts)
        with pytest.raises(ValueError, match=r"test counts: got .*\(3, 2, 8\)"):
            OrientationModel.build(Network(), description, (counts[:, :2], counts[:, :2]))

    def test_description_is_checked(self, description):
        with pytest.raises(ValueError, match="accelerating_voltage: got -200.*kV"):
            ModelDescription(**vars(description) | {"accelerating_voltage": -200})
        with pytest.raises(TypeError, match="grid: got 'polar'"):
            ModelDescription(**vars(description) | {"grid": "polar"})
        with pytest.raises(ValueError, match="convergence_angle: got -1"):
            ModelDescription(**vars(description) | {"convergence_angle": -1})


class TestRefusedFiles:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"hello, I am a text\n", "no model file, it starts with b'hello"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ],
    )
    def test_no_archive(self, tmp_path, content, message):
        path = tmp_path / "model.pt"
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=message):
            load_model(path)

    @pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
    def test_truncated(self, path, share):
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ModelFileError, match="tiny.pt is truncated"):
            load_model(path)

    @pytest.mark.parametrize(("before", "after"), [(b"PK", b""), (b"", b"more")])
    def test_more_than_the_archive(self, path, before, after):
        path.write_bytes(before + path.read_bytes() + after)
        with pytest.raises(ModelFileError, match="truncated or damaged"):
            load_model(path)

    def test_damaged(self, path):
        data = bytearray(path.read_bytes())
        middle = data.index(b'"accelerating_voltage"')
        data[middle + 3] ^= 1
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match="damaged at 'archive/extra/metadata.json'"):
            load_model(path)

    def test_weights_alone(self, tmp_path):
        torch.save(Network().state_dict(), tmp_path / "weights.pt")
        with pytest.raises(ModelFileError, match="written by torch.save.*never loaded"):
            load_model(tmp_path / "weights.pt")

    def test_another_archive(self, tmp_path):
        np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
        with pytest.raises(ModelFileError, match="archive, but not of a network"):
            load_model(tmp_path / "arrays.npz")

    def test_torchscript_without_metadata(self, tmp_path):
        path = torchscript_file(Network(), tmp_path / "network.pt")
        with pytest.raises(ModelFileError, match="without the metadata.*wrap_model"):
            load_model(path)

    def test_torchscript_with_metadata_of_another_program(self, tmp_path):
        extra = {name: b"{}" for name in ("metadata.json", "arrays.npz", "test_tensors.npz")}
        path = torchscript_file(Network(), tmp_path / "network.pt", extra)
        with pytest.raises(ModelFileError, match="metadata .* cannot be read: KeyError"):
            load_model(path)

    def test_missing_member(self, path):
        path.write_bytes(replaced(path.read_bytes(), "test_tensors.npz", None))
        with pytest.raises(ModelFileError, match=r"lacks \['test_tensors.npz'\]"):
            load_model(path)

    def test_code_that_torch_cannot_read(self, path):
        path.write_bytes(replaced(path.read_bytes(), "/version", b"nine"))
        with pytest.raises(ModelFileError, match="torch cannot load .*tiny.pt"):
            load_model(path)

    def test_arrays_are_never_unpickled(self, path):
        buffer = io.BytesIO()
        np.savez(buffer, rotations=np.array([{"a": 1}], dtype=object))
        path.write_bytes(replaced(path.read_bytes(), "arrays.npz", buffer.getvalue()))
        with pytest.raises(ModelFileError, match="Cannot read the arrays .*allow_pickle=False"):
            load_model(path)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"format_version": 2}, "format version 2, this pyxem_cnn reads up to 1"),
            ({"format": "other"}, "have the format 'other'"),
            ({"grid": ...}, r"lack \['grid'\]"),
            ({"task": "denoising"}, "made for the task 'denoising'"),
            ({"target": {"kind": "tarot"}}, "kind of target: got 'tarot'"),
            ({"grid": PolarGrid(4, 8).to_dict()}, "test tensors of .*expected shape"),
        ],
    )
    def test_metadata(self, model, tmp_path, changes, message):
        path = tmp_path / "model.pt"
        path.write_bytes(rewritten(model, **changes))
        with pytest.raises(ValueError, match=message):
            load_model(path)

    def test_nothing_is_run_before_the_description_is_checked(self, model, path, monkeypatch):
        path.write_bytes(rewritten(model, format_version=2))
        monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("was loaded"))
        with pytest.raises(ModelFileError, match="newer"):
            load_model(path)
        with pytest.raises(ModelFileError, match="has the sha256"):
            load_model(path, sha256="0" * 64)

    def test_no_hash(self, path):
        with pytest.raises(ValueError, match="sha256='abc' is no hash"):
            load_model(path, sha256="abc")

    def test_altered_weights(self, model, tmp_path):
        other = Network()
        other.linear.bias.data += 0.1
        content = model_file.unpack(model.to_bytes(), "it")
        path = tmp_path / "model.pt"
        path.write_bytes(model_file.pack(torchscript.to_torchscript(other), content))
        with pytest.raises(ModelFileError, match="fails its test tensors on cpu.*'logits'"):
            load_model(path)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no file .*nothing.pt"):
            load_model(tmp_path / "nothing.pt")
        with pytest.raises(FileNotFoundError, match="is a folder"):
            load_model(tmp_path)
        with pytest.raises(TypeError, match="path_or_name: got 3"):
            load_model(3)


class TestShippedModels:
    @pytest.fixture(autouse=True)
    def folder(self, model, tmp_path, monkeypatch):
        monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
        model.save(tmp_path / "al_200kV.pt")

    def test_by_name(self, model):
        assert available_models() == ["al_200kV"]
        assert load_model("al_200kV") == model

    def test_unknown_name(self):
        with pytest.raises(
            FileNotFoundError, match="called 'al_200kv'. Did you mean 'al_200kV'.*models: al_200kV"
        ):
            load_model("al_200kv")
        with pytest.raises(FileNotFoundError, match=r"'zirconia'. Shipped models: al_200kV"):
            load_model("zirconia")


class TestCheck:
    def test_swapped_candidates_pass_and_wrong_ones_do_not(self):
        counts, mask = example_inputs((2, 3))
        cells = np.tile(np.arange(100), (4, 1))
        check = TensorCheck(counts, mask, {"cell": cells})
        swapped = cells.copy()
        swapped[0, [3, 4]] = swapped[0, [4, 3]]
        check.check(lambda *_: {"cell": torch.tensor(swapped)})
        with pytest.raises(ModelFileError, match="only 0 % of the numbers in 'cell'"):
            check.check(lambda *_: {"cell": torch.tensor(cells + 1)})

    @pytest.mark.parametrize(
        ("outputs", "message"),
        [
            ({"b": torch.ones(4, 2)}, r"returns \['b'\], expected \['a'\]"),
            ({"a": torch.ones(4, 3)}, r"shape \(4, 3\), expected \(4, 2\)"),
            ({"a": torch.full((4, 2), np.nan)}, "only 0 %"),
            ({"a": torch.ones(4, 2) * 1.002}, "only 0 %"),
            (torch.ones(4, 2), "returned Tensor, expected a dictionary"),
            ({}, "returned dict, expected a dictionary"),
        ],
    )
    def test_refusals(self, outputs, message):
        counts, mask = example_inputs((2, 3))
        check = TensorCheck(counts, mask, {"a": np.ones((4, 2), np.float32)})
        check.check(lambda *_: {"a": torch.ones(4, 2) * 1.0005})
        with pytest.raises(ModelFileError, match=message):
            check.check(lambda *_: outputs)

    def test_incomplete(self):
        with pytest.raises(ModelFileError, match=r"incomplete: \['mask', 'tolerance'\]"):
            TensorCheck.from_arrays({"counts": np.ones(3)})


class TestWarnings:
    def test_torchscript_deprecation_is_silent(self, description, patterns, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = OrientationModel.build(Network(), description)
            load_model(model.save(tmp_path / "model.pt")).predict(*patterns)

    @pytest.mark.parametrize(
        ("text", "category"),
        [
            ("something else is deprecated", DeprecationWarning),
            ("`torch.jit.load` is deprecated. Please switch.", FutureWarning),
            ("`torch.jit.load` has lost a weight", UserWarning),
        ],
    )
    def test_everything_else_passes_through(self, path, monkeypatch, text, category):
        original = torch.jit.load

        def load(*args, **kwargs):
            warnings.warn(text, category, stacklevel=1)
            return original(*args, **kwargs)

        monkeypatch.setattr(torch.jit, "load", load)
        with pytest.warns(category) as record:
            load_model(path)
        assert [str(w.message) for w in record] == [text]


def test_metadata_are_plain_json(path):
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("archive/extra/metadata.json"))["name"] == "tiny"
