"""Exported models: the same numbers as TorchScript, and nothing but torch's operators."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pyxem_cnn
from pyxem_cnn._torch import ignore_torchscript_deprecation
from pyxem_cnn.model import ModelFileError, OrientationModel, load_model, networks
from pyxem_cnn.model import file as model_file
from pyxem_cnn.model.export_check import check_program
from pyxem_cnn.model.exported import load_program, save_program, to_exported
from pyxem_cnn.model.test_tensors import example_inputs
from tests.model.test_model import GRID, N_CLASSES, Network, crystal, description  # noqa: F401

GRAPH, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


@pytest.fixture(scope="module")
def model(description):  # noqa: F811
    return OrientationModel.build(Network(), description)


@pytest.fixture(scope="module")
def exported(model):
    return model.with_backend("export")


@pytest.fixture(scope="module")
def patterns():
    return example_inputs(GRID.shape, seed=7)


def assert_close(a, b):
    for x, y in zip(a, b, strict=True):
        assert x is y is None or torch.allclose(x, y, rtol=0, atol=1e-5, equal_nan=True)


def changed(data, name, change):
    """Return a file with one member changed, added where it is not there."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        members = {n: old.read(n) for n in old.namelist()}
        members[f"archive/{name}"] = change(members.get(f"archive/{name}", b""))
        for n, content in members.items():
            new.writestr(n, content)
    return out.getvalue()


def with_json(data, name, change):
    def apply(content):
        value = json.loads(content)
        change(value)
        return json.dumps(value).encode()

    return changed(data, name, apply)


def first_node(value):
    return value["graph_module"]["graph"]["nodes"][0]


class TestBothForms:
    def test_outputs_are_equal(self, model, exported, patterns):
        counts, mask = patterns
        for n in (1, 2, 3, 4):
            a = model.predict(counts[:n], mask[:n], n_best=3)
            assert_close(exported.predict(counts[:n], mask[:n], n_best=3), a)
        expected, outputs = model.outputs_of_test(), exported.outputs_of_test()
        for name in expected:
            np.testing.assert_allclose(outputs[name], expected[name], rtol=0, atol=1e-5)

    def test_any_size_of_batch(self, model, exported):
        counts = np.random.default_rng(0).poisson(3.0, (300, *GRID.shape))
        mask = np.ones(GRID.shape)
        assert_close(exported.predict(counts, mask), model.predict(counts, mask))

    def test_everything_else_is_the_same(self, model, exported):
        assert exported.backend == "export"
        assert model.backend == "torchscript"
        assert exported.metadata == model.metadata
        assert exported.crystals == model.crystals
        for name, array in model.target.arrays().items():
            np.testing.assert_array_equal(exported.target.arrays()[name], array)
        assert exported != model  # another file
        assert repr(exported).splitlines()[:-1] == repr(model).splitlines()[:-1]

    def test_there_and_back(self, model, exported, patterns):
        back = exported.with_backend("torchscript")
        assert back.backend == "torchscript"
        assert_close(back.predict(*patterns), model.predict(*patterns))
        assert model.with_backend("torchscript") is model
        assert exported.with_backend("export") is exported

    def test_the_end_of_the_name_decides(self, model, tmp_path, patterns):
        files = {end: model.save(tmp_path / f"mine{end}") for end in (".pt", ".pt2", ".model")}
        loaded = {end: load_model(path) for end, path in files.items()}
        assert {end: one.backend for end, one in loaded.items()} == {
            ".pt": "torchscript",
            ".pt2": "export",
            ".model": "torchscript",
        }
        assert loaded[".pt"] == loaded[".model"] == model
        for one in loaded.values():
            assert_close(one.predict(*patterns), model.predict(*patterns))
        as_it_is = loaded[".pt2"].save(tmp_path / "other.model")
        assert as_it_is.read_bytes() == files[".pt2"].read_bytes()

    def test_hash(self, model, tmp_path):
        path = model.save(tmp_path / "mine.pt2")
        loaded = load_model(path)
        assert load_model(path, sha256=loaded.sha256) == loaded
        with pytest.raises(ModelFileError, match="expected 0000"):
            load_model(path, sha256="0" * 64)

    def test_equal_networks_are_equal_files(self, model):
        assert model.with_backend("export") == model.with_backend("export")

    def test_pickle(self, exported, patterns):
        again = pickle.loads(pickle.dumps(exported))
        assert again == exported
        assert_close(again.predict(*patterns), exported.predict(*patterns))

    def test_one_network_per_process(self, exported, patterns, monkeypatch):
        networks._networks.clear()
        calls, original = [], networks.load_network
        monkeypatch.setattr(
            networks, "load_network", lambda *args: calls.append(args) or original(*args)
        )
        for _ in range(3):
            exported.predict(*patterns)
        assert len(calls) == 1

    def test_built_as_one(self, description, model, patterns):  # noqa: F811
        built = OrientationModel.build(Network(), description, backend="export")
        assert built.backend == "export"
        assert_close(built.predict(*patterns), model.predict(*patterns))
        with pytest.raises(ValueError, match="backend: got 'onnx', expected one of 'torchscript'"):
            OrientationModel.build(Network(), description, backend="onnx")

    def test_nothing_warns(self, model, tmp_path, patterns):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load_model(model.save(tmp_path / "mine.pt2")).predict(*patterns)
            load_model(model.save(tmp_path / "mine.pt")).predict(*patterns)

    def test_the_file_tells_nothing_of_the_machine(self, exported):
        with zipfile.ZipFile(io.BytesIO(exported.to_bytes())) as archive:
            text = archive.read(f"archive/{GRAPH}").decode()
        assert "File " not in text
        assert __file__.rpartition("/")[0] not in text

    def test_torch_reads_the_file(self, exported, patterns, caplog):
        program = torch.export.load(io.BytesIO(exported.to_bytes()))
        outputs = program.module()(*map(torch.as_tensor, patterns))
        assert set(outputs) == {"logits"}
        assert not caplog.records

    def test_another_device(self, exported, patterns):
        """torch's device without memory refuses whatever was left on the CPU."""
        module = load_program(exported.to_bytes(), "it", "meta")
        outputs = module(*(torch.as_tensor(array).to("meta") for array in patterns))
        assert outputs["logits"].device.type == "meta"
        assert outputs["logits"].shape == (4, N_CLASSES)


class TestWhereItComesFrom:
    def test_a_loaded_file_of_another_network(self, model, tmp_path):
        loaded = load_model(model.save(tmp_path / "mine.pt"))
        with pytest.raises(ModelFileError, match=r"not the one that pyxem_cnn\.train.*trains"):
            loaded.save(tmp_path / "mine.pt2")
        assert not (tmp_path / "mine.pt2").exists()

    def test_torchscript_is_not_eager(self, description, tmp_path):  # noqa: F811
        with ignore_torchscript_deprecation():
            scripted = torch.jit.script(Network())
        model = OrientationModel.build(scripted, description)
        with pytest.raises(ModelFileError, match="Build or wrap the eager"):
            model.with_backend("export")
        with pytest.raises(TypeError, match="TorchScript cannot be exported"):
            OrientationModel.build(scripted, description, backend="export")

    def test_wrapped_networks(self, crystal, patterns):  # noqa: F811
        rotations = np.eye(4)
        network = nn.Sequential(nn.Flatten(), nn.Linear(24, 4))
        model = pyxem_cnn.wrap_model(
            network,
            phase=crystal,
            grid=GRID,
            accelerating_voltage=200,
            rotations=rotations,
            output="logits",
            preprocessing={"value": "sqrt", "normalise": "rms"},
        )
        exported = model.with_backend("export")
        assert_close(exported.predict(*patterns, n_best=2), model.predict(*patterns, n_best=2))

    @pytest.mark.parametrize(
        ("first", "second", "n_phases", "smoothed"),
        [
            ("torchscript", "export", 1, True),
            ("export", "torchscript", 1, True),
            ("torchscript", "export", 2, True),
            ("torchscript", "export", 1, False),
            ("export", "torchscript", 1, False),
        ],
    )
    def test_trained_networks_are_made_again(
        self,
        first,
        second,
        n_phases,
        smoothed,
        crystal,  # noqa: F811
        monkeypatch,
    ):
        from pyxem_cnn.detector.grids import PolarGrid
        from pyxem_cnn.model import ModelDescription
        from pyxem_cnn.networks.azimuthal import AzimuthalConfig, AzimuthalNetwork
        from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget

        crystals = [crystal] * n_phases
        target = ZoneInPlaneTarget.for_crystal(crystals, spacing=12, n_bins=16)
        grid = PolarGrid(n_radial=6, n_azimuthal=32, k_min=0.2, k_max=1.0)
        torch.manual_seed(3)
        sizes = {"width": 8, "n_blocks": 3, "reach": 2, "embedding": 5, "n_candidates": 7}
        sizes["inner_edge"] = grid.inner_edge if smoothed else None
        config = AzimuthalConfig(6, 32, tuple(target.n_zones), 16, **sizes)
        network = AzimuthalNetwork(config)
        for buffer in network.buffers():  # as if it had seen patterns
            if buffer.is_floating_point() and buffer.ndim == 1:
                buffer.copy_(torch.rand(buffer.shape) + 0.5)
        # TorchScript may take bfloat16 where that is faster; exported networks do not.
        monkeypatch.setattr(networks, "has_fast_bfloat16", lambda device: False)
        described = ModelDescription(
            crystal=crystals, grid=grid, target=target, accelerating_voltage=200
        )
        model = OrientationModel.build(network, described, backend=first)
        loaded = OrientationModel(model.to_bytes())
        other = loaded.with_backend(second)
        counts, mask = example_inputs(grid.shape, seed=2)
        for n in (1, 4):
            a, b = (one.predict(counts[:n], mask[:n], 3) for one in (loaded, other))
            assert_close(b, a)

    def test_what_cannot_be_exported(self, description):  # noqa: F811
        class ByValue(Network):
            def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
                if counts.sum() > 3:
                    counts = counts + 1
                return {"logits": self.linear(counts.flatten(1))}

        with pytest.raises(ModelFileError, match=r"cannot export ByValue: .*decide by the values"):
            OrientationModel.build(ByValue(), description, backend="export")

    def test_other_names(self, description):  # noqa: F811
        class Names(Network):
            def forward(self, patterns: Tensor, mask: Tensor) -> dict[str, Tensor]:
                return {"logits": self.linear(patterns.flatten(1))}

        with pytest.raises(ModelFileError, match=r"takes \['patterns', 'mask'\], expected counts"):
            OrientationModel.build(Names(), description, backend="export")

    def test_random_networks(self, description):  # noqa: F811
        class Noisy(Network):
            def forward(self, counts: Tensor, mask: Tensor) -> dict[str, Tensor]:
                return {"logits": self.linear(counts.flatten(1)) + torch.rand(1)}

        with pytest.raises(ModelFileError, match="same outputs for a pattern in another batch"):
            OrientationModel.build(Noisy(), description, backend="export")


class TestRefusedFiles:
    """What torch.export.load would run; every one of these files does it, or tries to."""

    @pytest.fixture
    def data(self, exported):
        return exported.to_bytes()

    def refused(self, data, match):
        with pytest.raises(ModelFileError, match=match):
            OrientationModel(data)

    def test_as_it_is(self, data):
        assert OrientationModel(data).backend == "export"

    def test_without_metadata(self):
        program = to_exported(Network(), *example_inputs(GRID.shape))
        data = save_program(program, {})
        with pytest.raises(ModelFileError, match="an exported network without the metadata"):
            OrientationModel(data)

    def test_pickled_sample_inputs(self, data, tmp_path):
        class Evil:
            def __reduce__(self):
                return (tmp_path.joinpath("seen").touch, ())

        bad = changed(data, "data/sample_inputs/model.pt", lambda _: pickle.dumps(Evil()))
        self.refused(bad, "holds pickled sample inputs")
        assert not (tmp_path / "seen").exists()

    def test_pickled_weights(self, data):
        def pickled(value):
            next(iter(value["config"].values()))["use_pickle"] = True

        self.refused(with_json(data, WEIGHTS, pickled), "holds pickled tensors")

    @pytest.mark.parametrize("path", ["custom_obj_0", "opaque_obj_0", "../model.pt", "weight_0/x"])
    def test_objects_among_the_weights(self, data, path):
        def renamed(value):
            next(iter(value["config"].values()))["path_name"] = path

        self.refused(with_json(data, WEIGHTS, renamed), "pickled tensors or objects")

    @pytest.mark.parametrize(
        "name",
        ["data/aotinductor/model/wrapper.so", "data/constants/custom_obj_0", "models/other.json"]
        + ["data/constants/model.pt", "data/weights/model.pt", "extra/x", "code/x.py"],
    )
    def test_further_members(self, data, name):
        self.refused(changed(data, name, lambda _: b"x"), f"the member '{name}'")

    def test_missing_members(self, data):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {n.partition("/")[2]: archive.read(n) for n in archive.namelist()}
        names = {n: content for n, content in names.items() if not n.startswith("pyxem_cnn/")}
        for name in (GRAPH, WEIGHTS, "archive_version"):
            with pytest.raises(ModelFileError, match=f"it lacks .*{name}"):
                check_program({n: c for n, c in names.items() if n != name}, "it")

    @pytest.mark.parametrize(
        "target",
        ["torch.serialization.os.system", "torch.hub.load", "torch.load", "math.factorial"]
        + ["_operator.methodcaller", "_operator.attrgetter", "torch.ops.aten.save.default"]
        + ["torch.ops.aten.from_file.default", "torch.ops.aten.__class__.mro", "os.system"]
        + ["torch.ops.aten.add.__call__", "torch.ops.aten.no_such_thing.default", "#x:y"]
        + ["torch.ops.higher_order.cond", "torch.ops.aten.add.Tensor.__class__", ""],
    )
    def test_operators(self, data, target):
        def renamed(value):
            first_node(value)["target"] = target

        self.refused(with_json(data, GRAPH, renamed), "holds target = ")

    @pytest.mark.parametrize(
        "text",
        ["__import__('os').system('true')", "Symbol('s0').func", "open('x')", "s0", "Symbol('x')"]
        + ["Mul(Integer(2), [1])", "Symbol('s1', positive=True) if True else 1", "lambda: 1"],
    )
    def test_sizes(self, data, text):
        def renamed(value):
            sizes = value["graph_module"]["graph"]["tensor_values"]["counts"]["sizes"]
            sizes[0]["as_expr"]["expr_str"] = text

        self.refused(with_json(data, GRAPH, renamed), "holds expr_str = ")

    @pytest.mark.parametrize("name", ['x"); import os; os', "x\ny", "x;y", "x(y)", "ö"])
    def test_names(self, data, name):
        def renamed(value):
            first_node(value)["name"] = name

        self.refused(with_json(data, GRAPH, renamed), "holds name = ")

    def test_guards(self, data):
        def guarded(value):
            value["guards_code"] = ["__import__('os').system('true')"]

        self.refused(with_json(data, GRAPH, guarded), "Python code of guards")

    @pytest.mark.parametrize("kind", ["as_operator", "as_custom_obj", "as_graph"])
    def test_arguments(self, data, kind):
        def changed_argument(value):
            first_node(value)["inputs"][0]["arg"] = {kind: "torch.load"}

        self.refused(with_json(data, GRAPH, changed_argument), f"an entry '{kind}'")

    @pytest.mark.parametrize(
        "structure",
        [
            [1, {"type": "collections.defaultdict", "context": "{}", "children_spec": []}],
            [1, {"type": "builtins.dict", "context": '{"__enum__": true}', "children_spec": []}],
            [1, {"type": "builtins.dict", "context": '["a;b"]', "children_spec": []}],
            [1, {"type": "os.environ", "context": "null", "children_spec": []}],
            "x",
        ],
    )
    def test_structures(self, data, structure):
        def changed_structure(value):
            call = value["graph_module"]["module_call_graph"][0]["signature"]
            call["out_spec"] = json.dumps(structure)

        self.refused(with_json(data, GRAPH, changed_structure), "holds out_spec = ")

    def test_broken_json(self, data):
        self.refused(changed(data, GRAPH, lambda text: text[:-5]), "cannot be read")
        self.refused(changed(data, GRAPH, lambda _: b"[]"), "cannot be read")
        self.refused(changed(data, WEIGHTS, lambda _: b"{}"), "cannot be read")

    def test_another_encoding(self, data):
        """json finds UTF-16 out by itself, torch does not."""
        bad = changed(data, GRAPH, lambda text: text.decode().encode("utf-16"))
        self.refused(bad, "cannot be read")

    def test_truncated(self, data):
        self.refused(data[:-100], "truncated or damaged")

    def test_other_weights_fail_the_test_tensors(self, data):
        def halved(content):
            return (np.frombuffer(content, np.float32) / 2).tobytes()

        self.refused(changed(data, "data/weights/weight_0", halved), "fails its test tensors")

    def test_only_what_was_checked_is_given_to_torch(self, data, monkeypatch):
        """A second archive behind the first, which torch's reader might find, is not seen."""
        seen, original = [], torch.export.load
        monkeypatch.setattr(
            torch.export, "load", lambda f, **k: seen.append(f.getvalue()) or original(f, **k)
        )
        load_program(data, "it")
        with zipfile.ZipFile(io.BytesIO(seen[0])) as archive:
            assert not [n for n in archive.namelist() if "pyxem_cnn" in n]

    def test_unpack_runs_nothing(self, data, monkeypatch):
        def fail(*_, **__):
            raise AssertionError("torch was asked")

        monkeypatch.setattr(torch.export, "load", fail)
        content = model_file.unpack(data, "it")
        assert content.backend == "export"
        assert content.metadata["name"] == "tiny"
        assert content.check.outputs["logits"].shape == (4, N_CLASSES)
