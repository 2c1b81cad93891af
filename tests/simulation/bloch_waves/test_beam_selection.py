"""Which beams take part: order, ends of lists, pairs, and tilted beams."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyxem_cnn.crystal.zone_axes import low_index_zones
from pyxem_cnn.rotations import normalize, random_quaternions, zone_axis
from pyxem_cnn.simulation.bloch_waves.beam_selection import (
    Candidates,
    importance,
    partner_axis,
    select_beams,
)
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from tests._crystals import crystal

WAVELENGTH = 0.0197


def candidates_of(g, strength=0.02, tilt=0.0, zones=((0, 0, 4.0),)):
    g = torch.tensor(g, dtype=torch.float32)
    strengths = torch.full((len(g),), strength)
    zones = torch.tensor(zones, dtype=torch.float32)
    return Candidates(g, strengths, WAVELENGTH, tilt, zones, farthest=0.1)


@pytest.fixture(scope="module", params=["cubic", "trigonal", "monoclinic"])
def simulator(request):
    return BlochWaveSimulator(crystal(request.param), accelerating_voltage=300, n_beams=48)


def beams_of(simulator, quaternions):
    """Return the sets of hkl of each orientation."""
    hkl, is_beam = simulator._beams(np.atleast_2d(quaternions))
    return [set(map(tuple, h[i].tolist())) for h, i in zip(hkl, is_beam, strict=True)]


class TestImportance:
    def test_of_a_parallel_beam(self):
        g = np.array([(0.5, 0, 0), (0.5, 0, 0.03), (0, 0.8, -0.02), (0, 0, 0.2)])
        found = importance(candidates_of(g), torch.tensor([[0.0, 0, 1]]))[0]
        error = g[:, 2] - (g**2).sum(1) * WAVELENGTH / 2
        expected = 1 / (1 + (error / 0.03) ** 2)
        expected[np.abs(error) > 0.1] = 0
        np.testing.assert_allclose(found, expected, rtol=1e-3)

    def test_of_a_tilted_beam_is_a_mean(self):
        g, tilt = np.array([(1.2, 0, 0.02)]), 0.01
        found = importance(candidates_of(g, tilt=tilt), torch.tensor([[0.0, 0, 1]])).item()
        error = 0.02 - (g**2).sum() * WAVELENGTH / 2 + np.linspace(-1, 1, 2001) * 1.2 * tilt
        assert found == pytest.approx(np.mean(1 / (1 + (error / 0.03) ** 2)), rel=1e-3)

    def test_stronger_ones_count_more(self):
        axis, g = torch.tensor([[0.0, 0, 1]]), [(0.5, 0, 0.03)]
        weak, strong = (importance(candidates_of(g, u), axis).item() for u in (0.0, 0.1))
        assert weak < strong / 3


class TestSelection:
    def test_most_important_first(self, simulator, rng):
        axes = torch.as_tensor(zone_axis(random_quaternions(9, rng)), dtype=torch.float32)
        candidates = simulator._candidates
        chosen = select_beams(candidates, axes, 40)
        weight = importance(candidates, axes)
        for row, weights in zip(chosen, weight, strict=True):
            taken = weights[row[row >= 0]]
            assert (taken.diff() <= 0).all()
            left = torch.ones(len(weights), dtype=bool)
            left[row[row >= 0]] = False
            assert weights[left].max() <= taken.min()
            assert len(taken) > 10

    def test_list_is_full_but_for_its_last_part(self, rng):
        simulator = BlochWaveSimulator(crystal("cubic"), accelerating_voltage=300, n_beams=48)
        n = [len(b) for b in beams_of(simulator, random_quaternions(50, rng))]
        assert max(n) <= 48
        # Two lists, own and partner's, each end in their last 15 %.
        assert np.mean(n) > 0.8 * 48

    def test_equals_stay_together(self):
        """On [001] of silicon, sets of four and eight beams are taken or left as a whole."""
        for n_beams in range(10, 80, 7):
            simulator = BlochWaveSimulator(
                crystal("cubic"), accelerating_voltage=200, n_beams=n_beams
            )
            (beams,) = beams_of(simulator, [1.0, 0, 0, 0])
            assert beams == {(-k, h, m) for h, k, m in beams} == {(k, h, m) for h, k, m in beams}
            assert len(beams) > 0.7 * n_beams

    def test_few_reflections_are_padded(self):
        candidates = candidates_of([(0.5, 0, 0), (-0.5, 0, 0), (0, 0, 0.5)])
        chosen = select_beams(candidates, torch.tensor([[0.0, 0, 1]]), 5)
        assert sorted(chosen[0].tolist()) == [-1, -1, -1, 0, 1]

    def test_none_near_the_sphere(self):
        chosen = select_beams(candidates_of([(0, 0, 0.5)]), torch.tensor([[0.0, 0, 1]]), 4)
        assert chosen.tolist() == [[-1] * 4]

    def test_equivalent_orientations(self, simulator, rng):
        from pyxem_cnn.rotations import multiply

        symmetry = simulator.crystal.symmetry_quaternions()
        n_beams = np.array(
            [
                [len(b) for b in beams_of(simulator, multiply(symmetry, q))]
                for q in random_quaternions(50, rng)
            ]
        )
        # Rounding may decide where two gaps are as wide.
        assert (n_beams == n_beams[:, :1]).all(axis=1).mean() >= 0.98


class TestPairs:
    """Turned by 180 degrees about a zone nearby, orientations look almost the same."""

    def test_partner(self):
        zones = torch.tensor([[0, 0, 3.0], [0, 6.0, 0]])
        axis = normalize(np.array([[0.1, 0.05, 1.0], [0.0, 1.0, 0.02]]))
        found = partner_axis(zones, torch.as_tensor(axis, dtype=torch.float32))
        np.testing.assert_allclose(found, axis * [[-1, -1, 1], [-1, 1, -1]], atol=1e-6)

    def test_partner_of_the_partner(self, simulator, rng):
        """Near a zone; where two are as near, orientation and partner may choose differently."""
        zones = simulator._candidates.zones
        axes = zones / zones.norm(dim=1, keepdim=True)
        near = axes + 0.001 * torch.as_tensor(rng.standard_normal(axes.shape), dtype=torch.float32)
        near = near / near.norm(dim=1, keepdim=True)
        partner = partner_axis(zones, near)
        again = partner_axis(zones, partner)
        assert (again - near).abs().max() < 1e-5

    @pytest.mark.parametrize("name", ["cubic", "trigonal"])
    def test_beams_of_the_zone_are_in_pairs(self, name, rng):
        from pyxem_cnn.rotations import about_z, multiply, with_zone_axis

        phase = crystal(name)
        simulator = BlochWaveSimulator(phase, accelerating_voltage=300, n_beams=64)
        zones = low_index_zones(phase)
        zones = zones[np.argsort(np.linalg.norm(zones, axis=1))[:10]]
        paired = unpaired = 0
        for zone in zones:
            unit = zone / np.linalg.norm(zone)
            axis = normalize(unit + 0.02 * rng.standard_normal(3))
            q = multiply(with_zone_axis(axis), about_z(np.array(rng.uniform(0, 6))))
            two_fold = np.concatenate([[0], unit])
            own, other = (
                {h for h in beams if abs(phase.reciprocal_basis @ h @ unit) < 1e-9}
                for beams in beams_of(simulator, np.stack([q, multiply(two_fold, q)]))
            )
            opposite = {tuple(-i for i in h) for h in other}
            paired += len(own & opposite)
            unpaired += len(own ^ opposite)
        assert paired > 200
        assert unpaired == 0


def test_longer_lists_reach_further():
    errors = []
    for n_beams in (64, 256):
        simulator = BlochWaveSimulator(
            crystal("trigonal"), accelerating_voltage=300, n_beams=n_beams, convergence_angle=0
        )
        q = random_quaternions(5, np.random.default_rng(2))
        hkl, _ = simulator._beams(q)
        g = hkl @ simulator.crystal.reciprocal_basis.T
        g_z = (g * zone_axis(q)[:, None]).sum(-1)
        errors.append(np.abs(g_z - (g**2).sum(-1) * simulator.wavelength / 2).max())
    assert 0.08 < errors[0] < 0.101
    assert 0.12 < errors[1] < 0.141


def test_precession_lets_more_reflections_compete():
    """What the beam passes on its circle counts: reflections up to g times its angle away."""
    errors = []
    for angle in (0.0, 1.0):
        simulator = BlochWaveSimulator(
            crystal("trigonal"), accelerating_voltage=300, n_beams=64, precession_angle=angle
        )
        q = random_quaternions(20, np.random.default_rng(2))
        hkl, is_beam = simulator._beams(q)
        g = hkl @ simulator.crystal.reciprocal_basis.T
        g_z = (g * zone_axis(q)[:, None]).sum(-1)
        error = np.abs(g_z - (g**2).sum(-1) * simulator.wavelength / 2)
        long = is_beam & ((g**2).sum(-1) > 1.5**2)
        errors.append(np.median(error[long]))
    assert errors[1] > errors[0]
