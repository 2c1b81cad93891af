"""Networks of one's own: preprocessing against NumPy, targets, and what must be refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from orix.quaternion import Orientation, Rotation, symmetry
from torch import Tensor, nn

from pyxem_cnn._torch import ignore_torchscript_deprecation
from pyxem_cnn.detector.grids import CartesianGrid, PolarGrid
from pyxem_cnn.model import OrientationModel, load_model
from pyxem_cnn.model.test_tensors import ModelFileError, example_inputs
from pyxem_cnn.model.wrapping import wrap_model
from pyxem_cnn.phases import CrystalStructure
from pyxem_cnn.preprocessing import Preprocessing
from pyxem_cnn.rotations import random_quaternions
from pyxem_cnn.targets.regression import REPRESENTATIONS

GRID = CartesianGrid((6, 5), scale=0.2)
CLASSES = Rotation(random_quaternions(4, np.random.default_rng(8)))


class Classifier(nn.Module):
    """Return fixed logits plus those of a linear layer."""

    def __init__(self, n_classes: int = 4, n_channels: int = 1, end: nn.Module | None = None):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weight = nn.Parameter(torch.randn(n_channels * 30, n_classes, generator=generator))
        self.drop = nn.Dropout(0.5)
        self.end = nn.Identity() if end is None else end

    def forward(self, images: Tensor) -> Tensor:
        return self.end(self.drop(images).flatten(1) @ self.weight)


class TracedOnly(Classifier):
    def forward(self, images, **unused):
        return super().forward(images)


class TracedForOneBatchSize(TracedOnly):
    def forward(self, images, **unused):
        return images.reshape(int(images.shape[0]), 30) @ self.weight


class Neither(Classifier):
    def forward(self, images, **unused):
        return "no tensor"


class TwoOutputs(Classifier):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


class Numbers(nn.Module):
    """Return the same numbers for every pattern."""

    def __init__(self, numbers):
        super().__init__()
        self.numbers = nn.Parameter(torch.as_tensor(numbers, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        return self.numbers.unsqueeze(0) + 0 * images.flatten(1).sum(1).reshape(
            [-1] + [1] * self.numbers.dim()
        )


@pytest.fixture(scope="module")
def crystal():
    return CrystalStructure.from_asymmetric_unit(
        (5.65, 5.65, 5.65, 90, 90, 90), 216, ["Ga", "As"], [[0, 0, 0], [0.25] * 3], name="GaAs"
    )


@pytest.fixture(scope="module")
def wrap(crystal):
    def wrapped(module, **changes):
        arguments = {
            "phase": crystal,
            "grid": GRID,
            "accelerating_voltage": 300,
            "rotations": CLASSES,
            "output": "logits",
        } | changes
        return wrap_model(module, **{k: v for k, v in arguments.items() if v is not ...})

    return wrapped


@pytest.fixture
def patterns():
    return example_inputs(GRID.shape, seed=5)


def probabilities(inputs):
    """Return what Classifier gives, in NumPy."""
    network = Classifier(n_channels=inputs.size // len(inputs) // 30)
    logits = inputs.reshape(len(inputs), -1) @ network.weight.detach().numpy()
    exponential = np.exp(logits - logits.max(1, keepdims=True))
    return exponential / exponential.sum(1, keepdims=True)


class TestClassifier:
    def test_best_classes(self, wrap, patterns):
        model = wrap(Classifier(), name="mine", licence="MIT")
        assert isinstance(model, OrientationModel)
        assert model.name == "mine"
        assert model.metadata["licence"] == "MIT"
        p = probabilities(patterns[0])
        decoded = model.predict(*patterns, n_best=4)
        np.testing.assert_allclose(decoded.scores, -np.sort(-p), rtol=1e-4)
        expected = CLASSES.data[np.argsort(-p)]
        np.testing.assert_allclose(decoded.quaternions, expected, atol=1e-6)

    def test_from_a_file_and_back(self, wrap, patterns, tmp_path):
        with ignore_torchscript_deprecation():
            torch.jit.save(torch.jit.script(Classifier()), tmp_path / "users.pt")
            users = torch.jit.load(tmp_path / "users.pt")
        assert users.training
        model = wrap(users)
        assert users.training
        again = load_model(model.save(tmp_path / "model.pt"))
        p = probabilities(patterns[0])
        np.testing.assert_allclose(again.predict(*patterns).scores[:, 0], p.max(1), rtol=1e-4)

    def test_traced_where_it_cannot_be_scripted(self, wrap, patterns):
        network = TracedOnly().train()
        decoded = wrap(network).predict(*patterns)
        assert network.training
        expected = probabilities(patterns[0]).max(1)
        np.testing.assert_allclose(decoded.scores[:, 0], expected, rtol=1e-4)

    @pytest.mark.parametrize(
        ("output", "end"),
        [("probabilities", nn.Softmax(1)), ("log_probabilities", nn.LogSoftmax(1))],
    )
    def test_declared_outputs(self, wrap, patterns, output, end):
        decoded = wrap(Classifier(end=end), output=output).predict(*patterns)
        expected = probabilities(patterns[0]).max(1)
        np.testing.assert_allclose(decoded.scores[:, 0], expected, rtol=1e-4)

    @pytest.mark.parametrize("as_given", [CLASSES.data, CLASSES.data.tolist()])
    def test_rotations_as_numbers(self, wrap, patterns, as_given):
        decoded = wrap(Classifier(), rotations=as_given).predict(*patterns)
        expected = wrap(Classifier()).predict(*patterns)
        torch.testing.assert_close(decoded.quaternions, expected.quaternions)

    def test_orientations_of_any_shape(self, wrap):
        orientations = Orientation(CLASSES.data.reshape(2, 2, 4), symmetry=symmetry.Oh)
        model = wrap(Classifier(), rotations=orientations)
        np.testing.assert_allclose(model.target.rotations, CLASSES.data)

    @pytest.mark.parametrize(("polarity", "n_operations"), [(False, 24), (True, 12)])
    def test_group(self, wrap, polarity, n_operations):
        model = wrap(Classifier(), polarity=polarity)
        assert len(model.target.symmetry) == n_operations
        assert model.polarity is polarity

    def test_polar_patterns(self, wrap):
        grid = PolarGrid(n_radial=6, n_azimuthal=5)
        assert wrap(Classifier(), grid=grid).grid == grid


class TestRegressor:
    @pytest.mark.parametrize("regression", REPRESENTATIONS)
    def test_orientation(self, wrap, patterns, regression):
        one = CLASSES[:1]
        numbers = {
            "quaternion": one.data,
            "euler_bunge_radians": one.to_euler(),
            "euler_bunge_degrees": one.to_euler(degrees=True),
            "rotation_matrix": one.to_matrix(),
        }[regression][0]
        model = wrap(Numbers(numbers), rotations=..., output=..., regression=regression)
        decoded = model.predict(*patterns)
        overlap = np.abs(decoded.quaternions[:, 0].numpy() @ one.data[0])
        np.testing.assert_allclose(overlap, 1, atol=1e-5)
        assert decoded.scores.isnan().all()


def reference(counts, mask, value, normalise):
    """Return preprocessed patterns, written with loops and NumPy's own statistics."""
    out = np.zeros_like(counts)
    for i in range(len(counts)):
        valid = mask[i] > 0
        x = {"counts": lambda c: c, "sqrt": np.sqrt, "log1p": np.log1p}[value](counts[i][valid])
        if normalise == "standard":
            x = (x - x.mean()) / x.std()
        elif normalise != "none":
            x = x / {"rms": lambda v: np.sqrt(np.mean(v**2)), "max": np.max, "sum": np.sum}[
                normalise
            ](x)
        out[i][valid] = x
    return out


class TestPreprocessing:
    @pytest.mark.parametrize("value", ["counts", "sqrt", "log1p"])
    @pytest.mark.parametrize("normalise", ["none", "rms", "max", "sum", "standard"])
    def test_against_numpy(self, patterns, value, normalise):
        counts, mask = patterns
        mask = mask * 0.75  # partly covered bins are valid, and are not scaled
        result = Preprocessing(value, normalise, "plain").apply(counts, mask)
        expected = reference(counts, mask, value, normalise)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)

    def test_inside_the_model(self, wrap, patterns):
        model = wrap(Classifier(), preprocessing={"value": "sqrt", "normalise": "rms"})
        p = probabilities(reference(*patterns, "sqrt", "rms"))
        np.testing.assert_allclose(model.predict(*patterns).scores[:, 0], p.max(1), rtol=1e-4)
        assert model.metadata["preprocessing"] == {
            "value": "sqrt",
            "normalise": "rms",
            "layout": "image",
        }

    @pytest.mark.parametrize(
        ("layout", "shape"),
        [
            ("image", (4, 1, 6, 5)),
            ("image_and_mask", (4, 2, 6, 5)),
            ("plain", (4, 6, 5)),
            ("flat", (4, 30)),
        ],
    )
    def test_layout(self, patterns, layout, shape):
        counts, mask = patterns
        result = Preprocessing(layout=layout).apply(counts, mask)
        assert result.shape == shape
        np.testing.assert_array_equal(result.reshape(4, -1, 6, 5)[:, 0], counts)
        if layout == "image_and_mask":
            np.testing.assert_array_equal(result[:, 1], mask)

    @pytest.mark.parametrize("normalise", ["none", "rms", "max", "sum", "standard"])
    def test_an_empty_pattern_stays_empty(self, normalise):
        for mask in (np.ones((1, 6, 5)), np.zeros((1, 6, 5))):
            result = Preprocessing(normalise=normalise).apply(np.zeros((1, 6, 5)), mask)
            assert (result == 0).all()

    def test_unknown_words(self, wrap):
        with pytest.raises(ValueError, match="preprocessing value: got 'square'.*'sqrt'"):
            wrap(Classifier(), preprocessing={"value": "square"})
        with pytest.raises(TypeError, match="gamma"):
            wrap(Classifier(), preprocessing={"gamma": 2})


class TestRefusals:
    def test_number_of_classes(self, wrap):
        with pytest.raises(ValueError, match=r"'logits': got .*\(4, 7\).*\(n_patterns, 4\)"):
            wrap(Classifier(7))

    def test_what_the_network_reads(self, wrap):
        with pytest.raises(ModelFileError, match=r"inputs of shape \(4, 2, 6, 5\).*preprocessing"):
            wrap(Classifier(), preprocessing={"layout": "image_and_mask"})

    def test_several_outputs(self, wrap):
        with pytest.raises(ModelFileError, match="returned tuple, expected one tensor"):
            wrap(TwoOutputs())

    def test_logits_declared_as_probabilities(self, wrap):
        with pytest.raises(ValueError, match="'probabilities' was declared.*Declare 'logits'"):
            wrap(Classifier(), output="probabilities")

    def test_one_task(self, wrap):
        with pytest.raises(ValueError, match="got both, expected one of them"):
            wrap(Classifier(), regression="quaternion")
        with pytest.raises(ValueError, match="got neither"):
            wrap(Classifier(), rotations=..., output=...)
        with pytest.raises(ValueError, match="output: got None, expected one of 'logits'.*Declare"):
            wrap(Classifier(), output=...)
        with pytest.raises(ValueError, match="regression: got 'euler'"):
            wrap(Classifier(), rotations=..., output=..., regression="euler")
        with pytest.raises(ValueError, match="describe a classifier"):
            wrap(Classifier(), rotations=..., regression="quaternion")

    def test_size_of_the_regression(self, wrap):
        with pytest.raises(ValueError, match=r"'orientation': got .*\(4, 4\).*\(n_patterns, 3\)"):
            wrap(Classifier(), rotations=..., output=..., regression="euler_bunge_degrees")

    def test_rotations(self, wrap):
        improper = Rotation(CLASSES.data)
        improper.improper = [0, 0, 1, 0]
        with pytest.raises(ValueError, match="proper rotations only"):
            wrap(Classifier(), rotations=improper)
        with pytest.raises(ValueError, match=r"rotations: got .*\(4, 3\)"):
            wrap(Classifier(), rotations=CLASSES.to_euler())

    def test_traced_for_one_batch_size(self, wrap):
        with (
            pytest.warns(torch.jit.TracerWarning, match="Python integer"),
            pytest.raises(ModelFileError, match="another batch.*traced for one batch size"),
        ):
            wrap(TracedForOneBatchSize())

    def test_neither_scripted_nor_traced(self, wrap):
        with pytest.raises(
            ModelFileError, match="Neither can be neither scripted .* nor traced .*Only tensors"
        ):
            wrap(Neither())

    def test_no_module(self, wrap):
        with pytest.raises(TypeError, match="OrderedDict, expected a torch.nn.Module"):
            wrap(Classifier().state_dict())

    def test_no_grid(self, wrap):
        with pytest.raises(TypeError, match="grid: got"):
            wrap(Classifier(), grid=(6, 5))


def test_wrapping_does_not_warn(wrap):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrap(Classifier())
        wrap(TracedOnly())
