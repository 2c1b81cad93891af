"""Cells of zone axis and in-plane angle: labels, and orientations read back from them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from orix.quaternion import symmetry

from pyxem_cnn.rotations import (
    about_z,
    disorientation_angle,
    multiply,
    random_quaternions,
    to_matrix,
)
from pyxem_cnn.simulation.sampling import zone_axis_grid
from pyxem_cnn.targets import target_from_dict
from pyxem_cnn.targets.zone_in_plane import ZoneInPlaneTarget
from tests._crystals import crystal

GROUPS = {"432": "O", "622": "D6", "32": "D3", "2": "C2", "1": "C1"}


def quaternions(n, seed=0):
    return torch.as_tensor(random_quaternions(n, np.random.default_rng(seed)), dtype=torch.float32)


@pytest.fixture(scope="module", params=GROUPS)
def target(request):
    operations = getattr(symmetry, GROUPS[request.param]).data
    spacing = 8.0 if request.param in ("1", "2") else 4.0
    zones = zone_axis_grid(to_matrix(operations), spacing=spacing)
    return ZoneInPlaneTarget(zones, operations, n_bins=32)


@pytest.fixture(scope="module")
def cubic():
    return ZoneInPlaneTarget.for_crystal(crystal("cubic"), spacing=4.0)


@pytest.fixture(scope="module")
def monoclinic():
    return ZoneInPlaneTarget.for_crystal(crystal("monoclinic"), spacing=12.0)


def degrees(p, q, target):
    group = torch.as_tensor(target.symmetry, dtype=torch.float64)
    return torch.rad2deg(disorientation_angle(p.double(), q.double(), group))


def outputs_of(target, orientation, probability, phase=None):
    """Return what a network gives that knows the cells of orientations (batch, n, 4)."""
    batch, n = orientation.shape[:2]
    labels = target.encode(orientation.reshape(-1, 4).float())
    best = labels.weight.argmax(1, keepdim=True)
    return {
        "cell": labels.cell.gather(1, best).view(batch, n),
        "residual": labels.residual.gather(1, best[..., None].expand(-1, -1, 3)).view(batch, n, 3),
        "probability": torch.as_tensor(probability, dtype=torch.float32).expand(batch, n),
        "phase_probability": torch.ones(batch) if phase is None else phase,
    }


class TestEncode:
    def test_cells_and_residuals_give_the_orientation_back(self, target):
        q = quaternions(300)
        labels = target.encode(q)
        every = target.orientations(labels.cell, labels.residual)
        assert degrees(q[:, None], every, target).max() < 1e-3

    def test_decode_gives_the_orientation_back(self, target):
        q = quaternions(200)
        decoded = target.decode(outputs_of(target, q[:, None], [[1.0]]))
        assert degrees(q, decoded.quaternions[:, 0], target).max() < 1e-3
        torch.testing.assert_close(decoded.scores, torch.ones(200, 1))

    def test_weights_add_up_to_one(self, target):
        labels = target.encode(quaternions(100))
        torch.testing.assert_close(labels.weight.sum(1), torch.ones(100))
        assert (labels.weight >= 0).all()
        assert (labels.cell >= 0).all()
        assert (labels.cell < target.n_zones * target.n_bins).all()

    def test_the_heaviest_cell_is_the_nearest(self, target):
        """By brute force: the disorientation to all cells, in the metric of the two widths."""
        q = quaternions(20, seed=1)
        labels = target.encode(q)
        every = torch.arange(target.n_zones * target.n_bins)
        centres = target.orientations(every, torch.zeros(len(every), 3))
        nearest = degrees(q[:, None], centres[None], target).amin(1)
        best = labels.cell.gather(1, labels.weight.argmax(1, keepdim=True))
        chosen = degrees(q[:, None], target.orientations(best, torch.zeros(20, 1, 3)), target)
        # Tilts weigh twice as much as the in-plane angle, hence not exactly the nearest.
        assert (chosen[:, 0] <= 2 * nearest + 1e-3).all()
        assert (chosen[:, 0] == nearest).float().mean() > 0.3

    def test_weight_falls_with_the_distance(self, target):
        labels = target.encode(quaternions(50, seed=2))
        distance = (labels.residual / torch.tensor([2.0, 2.0, 4.0])).square().sum(-1)
        ratio = labels.weight.log() + distance / 2
        torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-3, rtol=0)

    def test_equivalent_orientations_get_the_same_labels(self, target):
        q = quaternions(30, seed=3)
        n = target.n_zones * target.n_bins

        def distribution(orientation):
            labels = target.encode(orientation)
            return torch.zeros(len(orientation), n).scatter_add(1, labels.cell, labels.weight)

        expected = distribution(q)
        for operation in torch.as_tensor(target.symmetry, dtype=torch.float32):
            found = distribution(multiply(operation, q))
            # Pairs (operation, zone) beyond the twelfth are dropped. They weigh up to 1e-3, and
            # rounding decides which of two at the same distance is the twelfth.
            assert (found - expected).abs().sum(1).max() < 5e-3
            assert (found - expected).abs().sum(1).median() < 1e-5
        assert (distribution(-q) - expected).abs().sum(1).max() < 5e-3

    def test_turning_by_a_bin_moves_the_label_by_a_bin(self, target):
        q = quaternions(40, seed=4)
        step = 2 * np.pi / target.n_bins
        turned = target.encode(multiply(q, about_z(torch.tensor(-step))))
        before = target.encode(q)

        def heaviest(labels):
            best = labels.weight.argmax(1, keepdim=True)
            cell = labels.cell.gather(1, best)[:, 0]
            residual = labels.residual.gather(1, best[..., None].expand(-1, -1, 3))[:, 0]
            return cell // target.n_bins, cell % target.n_bins, residual

        zone, position, residual = heaviest(before)
        turned_zone, turned_position, turned_residual = heaviest(turned)
        # Where two cells weigh all but the same, rounding decides.
        same = turned_zone == zone
        assert same.float().mean() > 0.9
        same &= (turned_position - position).remainder(target.n_bins) == 1
        assert same.float().mean() > 0.85
        assert (turned_residual - residual)[same].abs().max() < 1e-2


class TestLoss:
    def test_is_smallest_at_the_labels(self, cubic):
        labels = cubic.encode(quaternions(8))
        n = cubic.n_zones * cubic.n_bins
        soft = torch.zeros(8, n).scatter_add(1, labels.cell, labels.weight)
        right = (soft + 1e-9).log()
        entropy, distance = cubic.loss(right, labels.residual, labels)
        expected = -(soft * right).sum(1)
        torch.testing.assert_close(entropy, expected, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(distance, torch.zeros(8))
        worse, _ = cubic.loss(right.roll(5, 1), labels.residual, labels)
        assert (worse > entropy + 1).all()
        flat, _ = cubic.loss(torch.zeros(8, n), labels.residual, labels)
        torch.testing.assert_close(flat, torch.full((8,), float(np.log(n))))

    def test_residuals(self, cubic):
        labels = cubic.encode(quaternions(4))
        logits = torch.zeros(4, cubic.n_zones * cubic.n_bins)
        _, distance = cubic.loss(logits, labels.residual + 2.0, labels)
        # Smooth L1 beyond 1: |x| - 1/2.
        torch.testing.assert_close(distance, torch.full((4,), 1.5))


class TestDecode:
    def test_two_equivalent_candidates_are_one_answer(self, cubic):
        q = quaternions(5)
        other = multiply(torch.as_tensor(cubic.symmetry[7], dtype=torch.float32), q)
        pair = torch.stack([q, multiply(other, about_z(torch.tensor(np.deg2rad(1.0))).float())], 1)
        decoded = cubic.decode(outputs_of(cubic, pair, [[0.5, 0.3]]), n_best=2)
        torch.testing.assert_close(decoded.scores[:, 0], torch.full((5,), 0.8))
        # The weighted mean lies 3/8 of the way.
        expected = multiply(q, about_z(torch.tensor(np.deg2rad(0.375))).float())
        assert degrees(expected, decoded.quaternions[:, 0], cubic).max() < 5e-3

    def test_distant_candidates_stay_apart(self, cubic):
        q = quaternions(5)
        far = multiply(q, about_z(torch.tensor(np.deg2rad(23.0))).float())
        decoded = cubic.decode(outputs_of(cubic, torch.stack([q, far], 1), [[0.5, 0.3]]), n_best=2)
        torch.testing.assert_close(decoded.scores, torch.tensor([[0.5, 0.3]]).expand(5, 2))
        assert degrees(q, decoded.quaternions[:, 0], cubic).max() < 1e-3
        assert degrees(far, decoded.quaternions[:, 1], cubic).max() < 1e-3
        torch.testing.assert_close(decoded.reliability, torch.full((5,), 40.0))

    def test_near_candidates_of_other_clusters_are_no_rivals(self, cubic):
        q = quaternions(5)
        near = multiply(q, about_z(torch.tensor(np.deg2rad(6.0))).float())
        decoded = cubic.decode(outputs_of(cubic, torch.stack([q, near], 1), [[0.5, 0.3]]), n_best=2)
        torch.testing.assert_close(decoded.scores, torch.tensor([[0.5, 0.3]]).expand(5, 2))
        torch.testing.assert_close(decoded.reliability, torch.full((5,), 100.0))

    def test_cells_that_add_up_beat_the_best_single_one(self, cubic):
        first, second = quaternions(5), quaternions(5, seed=9)
        beside = multiply(second, about_z(torch.tensor(np.deg2rad(1.0))).float())
        candidates = torch.stack([first, second, beside], 1)
        decoded = cubic.decode(outputs_of(cubic, candidates, [[0.35, 0.3, 0.2]]), n_best=2)
        torch.testing.assert_close(decoded.scores, torch.tensor([[0.5, 0.35]]).expand(5, 2))
        assert degrees(second, decoded.quaternions[:, 0], cubic).max() < 1
        # The rival is measured from the best cluster, not from the best cell.
        torch.testing.assert_close(decoded.reliability, torch.full((5,), 30.0))

    def test_more_wanted_than_there_are(self, cubic):
        q = quaternions(3)
        pair = torch.stack([q, q], 1)
        decoded = cubic.decode(outputs_of(cubic, pair, [[0.6, 0.4]]), n_best=5)
        assert decoded.quaternions.shape == (3, 5, 4)
        assert decoded.scores[:, 0].isfinite().all()
        # One cluster of two candidates: nothing else, neither scores nor orientations.
        assert decoded.scores[:, 1:].isnan().all()
        assert decoded.quaternions[:, 1:].isnan().all()
        assert decoded.quaternions[:, 0].isfinite().all()

    @pytest.mark.parametrize("n_best", [1, 2, 16])
    def test_outputs_that_are_not_finite(self, cubic, n_best):
        outputs = outputs_of(cubic, quaternions(8).view(2, 4, 4), [[0.4, 0.3, 0.2, 0.1]])
        outputs = {key: value.clone() for key, value in outputs.items()}
        for name in ("probability", "residual"):
            outputs[name][1] = np.nan
        decoded = cubic.decode(outputs, n_best)
        assert decoded.quaternions[0, 0].isfinite().all()
        assert decoded.reliability[0].isfinite()
        for part in decoded[:3]:
            assert part[1].isnan().all()

    def test_unit_quaternions_and_descending_scores(self, monoclinic, generator):
        n = monoclinic.n_zones * monoclinic.n_bins
        outputs = {
            "cell": torch.randint(n, (20, 16), generator=generator),
            "probability": torch.rand(20, 16, generator=generator).sort(1, descending=True)[0] / 16,
            "residual": torch.randn(20, 16, 3, generator=generator),
            "phase_probability": torch.rand(20, generator=generator),
        }
        decoded = monoclinic.decode(outputs, 6)
        torch.testing.assert_close(decoded.quaternions.norm(dim=-1), torch.ones(20, 6))
        assert (decoded.scores.diff(dim=1) <= 0).all()
        assert ((decoded.reliability >= 0) & (decoded.reliability <= 100)).all()
        torch.testing.assert_close(decoded.phase_probability, outputs["phase_probability"])
        alone = monoclinic.decode(outputs, 1)
        torch.testing.assert_close(alone.quaternions, decoded.quaternions[:, :1])
        torch.testing.assert_close(alone.scores, decoded.scores[:, :1])

    def test_wrong_outputs_are_refused(self, cubic):
        outputs = outputs_of(cubic, quaternions(4)[:, None], [[1.0]])
        with pytest.raises(ValueError, match="residual"):
            cubic.decode({k: v for k, v in outputs.items() if k != "residual"})
        with pytest.raises(ValueError, match="probability"):
            cubic.decode({**outputs, "probability": torch.ones(4, 2)})


class TestDescription:
    def test_round_trip(self, cubic):
        description = json.loads(json.dumps(cubic.to_dict()))
        again = target_from_dict(description, cubic.arrays())
        assert isinstance(again, ZoneInPlaneTarget)
        outputs = outputs_of(cubic, quaternions(4)[:, None], [[1.0]])
        torch.testing.assert_close(
            again.decode(outputs, 1), cubic.decode(outputs, 1), equal_nan=True
        )

    def test_number_of_cells_is_bounded(self):
        triclinic = zone_axis_grid(np.eye(3)[None], spacing=4.0)
        assert len(triclinic) * 32 > 50_000
        target = ZoneInPlaneTarget.for_crystal(crystal("monoclinic"), spacing=0.5)
        assert target.n_zones * target.n_bins <= 52_500

    def test_polarity(self):
        gaas = crystal("gaas")
        assert len(ZoneInPlaneTarget.for_crystal(gaas).symmetry) == 24
        polar = ZoneInPlaneTarget.for_crystal(gaas, polarity=True)
        assert len(polar.symmetry) == 12
        assert polar.n_zones == pytest.approx(
            2 * ZoneInPlaneTarget.for_crystal(gaas).n_zones, rel=0.1
        )

    @pytest.mark.parametrize("name", ["cubic", "hexagonal", "trigonal", "monoclinic"])
    def test_spacing(self, name):
        target = ZoneInPlaneTarget.for_crystal(crystal(name), spacing=6.0)
        area = 4 * np.pi / len(target.symmetry) / np.deg2rad(6.0) ** 2
        assert target.n_zones == pytest.approx(area, rel=0.1, abs=3)
