"""Larger networks that begin where smaller ones ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pyxem_cnn.networks.azimuthal import AzimuthalConfig, AzimuthalNetwork
from pyxem_cnn.networks.growing import grown

SMALL = AzimuthalConfig(
    n_radial=6, n_azimuthal=32, n_zones=(7,), n_bins=8, width=12, n_blocks=2, n_candidates=5
)


@pytest.fixture
def small():
    torch.manual_seed(1)
    network = AzimuthalNetwork(SMALL).train()
    for _ in range(20):  # norms other than 0 and 1
        network.features(torch.rand(16, 6, 32) * 9, torch.ones(6, 32))
    return network.eval()


@pytest.mark.parametrize(
    "change",
    [
        {"n_hidden": 40},
        {"n_blocks": 4},
        {"n_hidden": 60, "n_blocks": 3},
    ],
    ids=lambda change: "-".join(change),
)
def test_it_does_the_same_and_can_learn_more(small, change):
    torch.manual_seed(2)
    large = AzimuthalNetwork(replace(SMALL, **change)).eval()
    counts, mask = torch.rand(5, 6, 32) * 9, (torch.rand(5, 6, 32) > 0.2).float()
    expected = small(counts, mask)
    assert not torch.allclose(large(counts, mask)["entropy"], expected["entropy"], atol=1e-3)

    weights = grown(small.state_dict(), large.state_dict())
    large.load_state_dict(weights)  # every weight is told
    found = large(counts, mask)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4)
    # What is new is silent, not dead: it has a gradient.
    large.train()
    large.logits(large.features(counts, mask)[0]).square().sum().backward()
    gradients = {name: weight.grad for name, weight in large.named_parameters()}
    if "n_hidden" in change:
        assert gradients["blocks.1.contract"][:, 2 * SMALL.width :].abs().max() > 0
    if "n_blocks" in change:
        assert gradients["blocks.2.contract"].abs().max() > 0


def test_one_that_never_saw_contrasts_does_the_same_and_can_learn_them():
    torch.manual_seed(3)
    small = AzimuthalNetwork(replace(SMALL, contrasts=False)).eval()
    large = AzimuthalNetwork(SMALL).eval()
    counts, mask = torch.rand(5, 6, 32) * 9, (torch.rand(5, 6, 32) > 0.2).float()
    large.load_state_dict(grown(small.state_dict(), large.state_dict()))
    for name, value in small(counts, mask).items():
        torch.testing.assert_close(large(counts, mask)[name], value, atol=1e-5, rtol=1e-4)
    n = 6 * large.stride
    assert (large.stem[:, n:-n] == 0).all()
    large.logits(large.features(counts, mask)[0]).square().sum().backward()
    assert large.stem.grad[:, n:-n].abs().max() > 0


def test_a_stem_for_other_rings_does_not_fit():
    small = AzimuthalNetwork(replace(SMALL, n_radial=3, contrasts=False))
    assert "stem" not in grown(small.state_dict(), AzimuthalNetwork(SMALL).state_dict())


def test_what_does_not_fit_is_left_out(small):
    other = AzimuthalNetwork(replace(SMALL, n_zones=(9,), n_hidden=10))
    weights = grown(small.state_dict(), other.state_dict())
    assert {"stem", "blocks.0.mix.kernel"} <= set(weights)
    assert not any(name.startswith("zone_") for name in weights)
    # A hidden layer does not shrink.
    assert "blocks.0.expand" not in weights


def test_nothing_is_altered(small):
    large = AzimuthalNetwork(replace(SMALL, n_hidden=40))
    before = {name: value.clone() for name, value in small.state_dict().items()}
    grown(small.state_dict(), large.state_dict())
    for name, value in small.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0)
