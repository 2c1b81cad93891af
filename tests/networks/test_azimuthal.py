"""The azimuthal network: what turning, scaling, masking and scripting must not change."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace

import pytest
import torch

from pyxem_cnn.networks.azimuthal import NO_PHASES, AzimuthalConfig, AzimuthalNetwork
from pyxem_cnn.networks.layers import ChannelNorm, CirculantMix

CONFIG = AzimuthalConfig(
    n_radial=6,
    n_azimuthal=32,
    n_zones=(7,),
    n_bins=8,
    width=12,
    n_blocks=2,
    reach=1,
    n_candidates=5,
)


@pytest.fixture(
    scope="module",
    params=[{}, {"n_hidden": 30}, {"inner_edge": 3.0}],
    ids=["plain", "wide", "smoothed"],
)
def network(request):
    torch.manual_seed(3)
    network = AzimuthalNetwork(replace(CONFIG, **request.param))
    # Norms that have seen patterns: means and variances other than 0 and 1.
    network.train()
    for _ in range(40):
        network.features(torch.rand(16, 6, 32) * 9, torch.ones(6, 32))
    return network.eval().requires_grad_(False)


@pytest.fixture
def patterns(generator):
    counts = torch.poisson(torch.rand(9, 6, 32, generator=generator) * 20, generator=generator)
    mask = (torch.rand(9, 6, 32, generator=generator) > 0.2).float()
    return counts * mask, mask


def everything(network, counts, mask):
    """Return logits (batch, zones, bins), values of all cells, and the class logits."""
    features, rings = network.features(counts, mask)
    n_zones = sum(network.n_zones)
    n = n_zones * network.n_bins
    cells = torch.arange(n).expand(len(counts), n)
    values = network.values(features, cells)
    values = torch.cat([values, network.thickness(features, cells)[..., None]], dim=2)
    values = values.view(len(counts), n_zones, -1, 5)
    logits = network.logits(features).transpose(1, 2)
    return logits, values, network.class_logits(features, rings)


@pytest.mark.parametrize("n_bins", [1, 3, -2])
def test_turned_patterns_give_turned_scores(network, patterns, n_bins):
    counts, mask = patterns
    stride = CONFIG.n_azimuthal // CONFIG.n_bins
    logits, values, classes = everything(network, counts, mask)
    turned = everything(network, counts.roll(n_bins * stride, -1), mask.roll(n_bins * stride, -1))
    torch.testing.assert_close(turned[0], logits.roll(n_bins, 2), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(turned[1], values.roll(n_bins, 2), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(turned[2], classes, atol=1e-5, rtol=1e-4)
    # And they do depend on the pattern.
    assert (turned[0] - logits).abs().max() > 1e-2


@pytest.mark.parametrize(("reach", "n_bins"), [(0, 8), (2, 8), (3, 16), (1, 32), (1, 4)])
def test_other_sizes_turn_too(generator, reach, n_bins):
    network = AzimuthalNetwork(
        AzimuthalConfig(
            n_radial=3,
            n_azimuthal=32,
            n_zones=(4,),
            n_bins=n_bins,
            width=6,
            n_blocks=1,
            reach=reach,
        )
    ).eval()
    counts, stride = torch.rand(2, 3, 32, generator=generator), 32 // n_bins
    logits, _, _ = everything(network, counts, torch.ones(3, 32))
    turned, _, _ = everything(network, counts.roll(stride, -1), torch.ones(3, 32))
    torch.testing.assert_close(turned, logits.roll(1, 2), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("reach", "n_bins"), [(1, 20), (4, 8)])
def test_sizes_that_do_not_fit_are_refused(reach, n_bins):
    with pytest.raises(ValueError, match="do not fit: expected n_bins to divide n_azimuthal"):
        AzimuthalConfig(n_azimuthal=32, n_bins=n_bins, reach=reach)


def test_circulant_mix_is_a_circular_convolution(generator):
    mix = CirculantMix(3, 8)
    x = torch.randn(3, 8, 2, generator=generator)
    kernel = torch.fft.fft(mix.kernel, dim=1)[..., None]
    expected = torch.fft.ifft(kernel * torch.fft.fft(x, dim=1), dim=1).real
    torch.testing.assert_close(mix(x), x + expected, atol=1e-5, rtol=1e-4)


def test_channel_norm_is_batch_norm(generator):
    ours, theirs = ChannelNorm(5, momentum=0.05), torch.nn.BatchNorm1d(5, momentum=0.05)
    with torch.no_grad():
        for norm in (ours, theirs):
            norm.weight.copy_(torch.arange(1.0, 6))
            norm.bias.copy_(torch.arange(5.0))
    x = torch.randn(5, 32, 100, generator=generator) * 4 + 2
    for _ in range(3):
        expected = theirs(x.permute(2, 0, 1)).permute(1, 2, 0)
        torch.testing.assert_close(ours(x), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    # torch's running variance divides by n - 1, ours by n.
    torch.testing.assert_close(ours.running_var, theirs.running_var, atol=0, rtol=5e-4)
    for norm in (ours, theirs):
        norm.eval()
    torch.testing.assert_close(
        ours(x), theirs(x.permute(2, 0, 1)).permute(1, 2, 0), atol=1e-2, rtol=1e-3
    )


def test_outputs(network, patterns):
    outputs = network(*patterns)
    logits, values, classes = everything(network, *patterns)
    probability = logits.flatten(1).softmax(1)
    assert set(outputs) == {
        *("cell", "probability", "residual", "thickness", "share"),
        *("class_probability", "entropy"),
    }
    assert outputs["cell"].shape == outputs["probability"].shape == (9, 5)
    torch.testing.assert_close(
        outputs["probability"], probability.sort(1, descending=True)[0][:, :5]
    )
    torch.testing.assert_close(probability.gather(1, outputs["cell"]), outputs["probability"])
    chosen = values.flatten(1, 2).gather(1, outputs["cell"][..., None].expand(-1, -1, 5))
    torch.testing.assert_close(outputs["residual"], chosen[..., :3])
    torch.testing.assert_close(outputs["share"], chosen[..., 3].sigmoid())
    torch.testing.assert_close(outputs["thickness"], 100 * chosen[..., 4])
    torch.testing.assert_close(outputs["class_probability"], classes.softmax(1))
    entropy = torch.distributions.Categorical(probs=probability).entropy()
    torch.testing.assert_close(outputs["entropy"], entropy, atol=1e-5, rtol=1e-4)


def test_phases_share_the_probability(patterns):
    torch.manual_seed(1)
    network = AzimuthalNetwork(replace(CONFIG, n_zones=(3, 5), n_candidates=64)).eval()
    outputs = network(*patterns)
    n = 3 * CONFIG.n_bins
    classes = outputs["class_probability"]
    assert classes.shape == (9, 2 + len(NO_PHASES))
    expected = classes[:, :2] / classes[:, :2].sum(1, keepdim=True)
    # All cells are candidates: those of each phase add up to its probability.
    for phase, is_own in enumerate((outputs["cell"] < n, outputs["cell"] >= n)):
        found = outputs["probability"].where(is_own, 0).sum(1)
        torch.testing.assert_close(found, expected[:, phase])


def test_low_precision_is_nearly_the_same(network, patterns):
    low = copy.deepcopy(network)
    low.low_precision = True
    for found, expected in zip(
        everything(low, *patterns), everything(network, *patterns), strict=True
    ):
        assert not torch.equal(found, expected)
        error = (found - expected).abs().max() / expected.abs().max()
        assert float(error) < 0.05


def test_rings_tell_amorphous_from_vacuum(network):
    """What is the same all around a ring is invisible to the orientation, not to the class."""
    smooth = torch.rand(1, 6, 1).expand(1, 6, 32) * 50
    other = torch.rand(1, 6, 1).expand(1, 6, 32) * 50
    a, b = (network.features(x, torch.ones(6, 32)) for x in (smooth, other))
    torch.testing.assert_close(a[0], b[0], atol=2e-2, rtol=2e-2)
    assert (a[1] - b[1]).abs().max() > 0.05


def test_zone_by_zone(network, patterns):
    """Logit number zone * n_bins + bin belongs to that zone's weights and that bin's features."""
    features, _ = network.features(*patterns)
    zone, position = 4, 6
    expected = features[:, position] @ network.zone_weight[zone] + network.zone_bias[zone]
    found = network.logits(features)[:, position, zone]
    torch.testing.assert_close(found, expected)


def test_torchscript_equals_eager(network, patterns):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.freeze(torch.jit.script(copy.deepcopy(network)))
    for counts, mask in (
        patterns,
        (patterns[0], torch.ones(6, 32)),
        (patterns[0][:1], patterns[1][:1]),
    ):
        for _ in range(2):
            found, expected = scripted(counts, mask), network(counts, mask)
            for name in expected:
                torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-4)


def test_frozen_in_low_precision(network, patterns):
    """Batches of several sizes, several times: torch optimises from the second call on."""
    low = copy.deepcopy(network)
    low.low_precision = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        frozen = torch.jit.freeze(torch.jit.script(copy.deepcopy(low)))
    for mask in (patterns[1], torch.ones(6, 32)):
        for n in (2, 2, 2, 9, 5):
            with torch.inference_mode():
                found = frozen(patterns[0][:n], mask[:n] if mask.ndim == 3 else mask)
                expected = low(patterns[0][:n], mask[:n] if mask.ndim == 3 else mask)
            for name in ("class_probability", "entropy", "probability"):
                torch.testing.assert_close(found[name], expected[name], atol=0.02, rtol=0.05)


def test_best_cells_are_those_of_a_full_sort(generator):
    network = AzimuthalNetwork(replace(CONFIG, n_zones=(40,), n_candidates=16))
    scores = torch.randn(50, CONFIG.n_bins, 40, generator=generator)
    best, cells = network._best_cells(scores)
    by_cell = scores.transpose(1, 2).flatten(1)
    expected, numbers = by_cell.sort(dim=1, descending=True)
    torch.testing.assert_close(best, expected[:, :16], atol=0, rtol=0)
    torch.testing.assert_close(cells, numbers[:, :16])


@pytest.mark.parametrize("factor", [1e-6, 1e-2, 1e4])
def test_scale_of_counts_does_not_matter(network, patterns, factor):
    counts, mask = patterns
    found, expected = everything(network, counts * factor, mask), everything(network, counts, mask)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_masked_bins_do_not_matter(network, patterns):
    counts, mask = patterns
    filled = counts + (1 - mask) * 1e5
    for a, b in zip(
        everything(network, filled, mask), everything(network, counts, mask), strict=True
    ):
        torch.testing.assert_close(a, b)
    # Masked is not the same as measured and empty.
    assert (
        network(counts, torch.ones(6, 32))["residual"] - network(counts, mask)["residual"]
    ).abs().max() > 1e-3


def test_patterns_of_a_batch_do_not_see_each_other(network, patterns):
    counts, mask = patterns
    together = everything(network, counts, mask)
    for i in range(3):
        alone = everything(network, counts[i : i + 1], mask[i : i + 1])
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a[0], b[i], atol=1e-5, rtol=1e-4)


def test_one_mask_for_all(network, patterns):
    counts, mask = patterns[0], patterns[1][0]
    a, b = network(counts, mask), network(counts, mask.expand(9, 6, 32))
    for name in a:
        torch.testing.assert_close(a[name], b[name])


@pytest.mark.parametrize(
    ("counts", "mask"),
    [(0.0, 1.0), (0.0, 0.0), (5.0, 0.0), (-3.0, 1.0), (1e-30, 1.0), (1e30, 1.0)],
    ids=["empty", "empty and masked", "masked", "negative", "tiny", "huge"],
)
def test_strange_patterns_give_finite_numbers(network, counts, mask):
    outputs = network(torch.full((2, 6, 32), counts), torch.full((6, 32), mask))
    for value in outputs.values():
        assert value.isfinite().all()


def test_fewer_cells_than_candidates():
    network = AzimuthalNetwork(
        AzimuthalConfig(n_radial=2, n_azimuthal=8, n_zones=(1,), n_bins=4, width=4, n_blocks=1)
    ).eval()
    assert network(torch.rand(3, 2, 8), torch.ones(2, 8))["cell"].shape == (3, 4)


def test_gradients_reach_every_parameter(patterns):
    torch.manual_seed(0)
    network = AzimuthalNetwork(CONFIG).train()
    logits, values, classes = everything(network, *patterns)
    (
        logits.log_softmax(1).square().mean() + values.square().mean() + classes.square().mean()
    ).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_halves_are_kept(network, patterns):
    counts, mask = patterns
    half = copy.deepcopy(network)
    half.keep_halves()
    for name in ("stem", "zone_weight", "blocks.1.expand", "blocks.0.contract"):
        assert half.get_parameter(name).dtype == torch.float16
        assert network.get_parameter(name).dtype == torch.float32
    expected, found = everything(network, counts, mask), everything(half, counts, mask)
    for value, rounded in zip(expected, found, strict=True):
        assert rounded.dtype == torch.float32
        torch.testing.assert_close(rounded, value, atol=5e-3, rtol=5e-3)
        assert not torch.equal(rounded, value)
    # What is rounded is rounded once: a network of whole numbers of these weights does the same.
    whole = copy.deepcopy(network)
    whole.load_state_dict(half.state_dict())
    for value, rounded in zip(everything(whole, counts, mask), found, strict=True):
        torch.testing.assert_close(value, rounded, atol=1e-6, rtol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(half)
    torch.testing.assert_close(scripted(counts, mask), half(counts, mask))
    scripted.low_precision = half.low_precision = True
    entropy = [one(counts, mask)["entropy"] for one in (scripted, half)]
    torch.testing.assert_close(entropy[0], entropy[1], atol=0.02, rtol=0.02)
