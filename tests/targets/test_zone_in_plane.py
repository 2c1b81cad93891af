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
from pyxem_cnn.targets.score_calibration import ScoreCalibration
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
        assert (labels.cell < target.n_cells).all()

    def test_the_heaviest_cell_is_the_nearest(self, target):
        """By brute force: the disorientation to all cells, in the metric of the two widths."""
        q = quaternions(20, seed=1)
        labels = target.encode(q)
        every = torch.arange(target.n_cells)
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
        n = target.n_cells

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


def by_bin(values, target):
    """Return values of cells (batch, n_cells) as a network gives them."""
    return values.view(len(values), -1, target.n_bins).transpose(1, 2)


class TestLoss:
    def test_is_smallest_at_the_labels(self, cubic):
        labels = cubic.encode(quaternions(8))
        n = cubic.n_cells
        soft = torch.zeros(8, n).scatter_add(1, labels.cell, labels.weight)
        right = (soft + 1e-9).log()
        entropy, distance = cubic.loss(by_bin(right, cubic), labels.residual, labels)
        expected = -(soft * right).sum(1)
        torch.testing.assert_close(entropy, expected, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(distance, torch.zeros(8))
        worse, _ = cubic.loss(by_bin(right.roll(5, 1), cubic), labels.residual, labels)
        assert (worse > entropy + 1).all()
        flat = by_bin(torch.zeros(8, n).log_softmax(1), cubic)
        flat, _ = cubic.loss(flat, labels.residual, labels)
        torch.testing.assert_close(flat, torch.full((8,), float(np.log(n))))

    def test_residuals(self, cubic):
        labels = cubic.encode(quaternions(4))
        nothing = torch.zeros(4, cubic.n_bins, cubic.n_zones[0])
        _, distance = cubic.loss(nothing, labels.residual + 2.0, labels)
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
        n = monoclinic.n_cells
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
        expected = outputs["phase_probability"][:, None].expand(20, 6)
        torch.testing.assert_close(decoded.phase_probability, expected)
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
        assert_same(again.decode(outputs, 1), cubic.decode(outputs, 1))

    def test_of_older_files(self, cubic):
        """Numbers of one phase, without a calibration."""
        description = {"kind": "zone_in_plane", "n_zones": cubic.n_zones[0], "n_bins": 32}
        again = target_from_dict(description, cubic.arrays())
        assert again.to_dict() == cubic.to_dict()

    def test_several_phases_and_calibration(self, two_phases):
        calibrated = ZoneInPlaneTarget(
            two_phases.all_zones, two_phases.all_symmetry, 32, ScoreCalibration(0.7, -0.3)
        )
        description = json.loads(json.dumps(calibrated.to_dict()))
        again = target_from_dict(description, calibrated.arrays())
        assert again.to_dict() == calibrated.to_dict()
        for a, b in zip(again.all_symmetry, two_phases.all_symmetry, strict=True):
            np.testing.assert_allclose(a, b)
        assert repr(again) == repr(two_phases)


def assert_same(a, b):
    for name, left, right in zip(a._fields, a, b, strict=True):
        assert (left is None) == (right is None), name
        if left is not None:
            torch.testing.assert_close(left, right, equal_nan=True)


@pytest.fixture(scope="module")
def two_phases():
    """Of groups with 24 and 6 rotations."""
    return ZoneInPlaneTarget.for_crystal([crystal("cubic"), crystal("trigonal")], spacing=6.0)


class TestSeveralPhases:
    @pytest.mark.parametrize("name", ["cubic", "trigonal"])
    def test_cells_are_those_of_each_phase(self, two_phases, name):
        phase = ["cubic", "trigonal"].index(name)
        alone = ZoneInPlaneTarget(
            two_phases.all_zones[phase], two_phases.all_symmetry[phase], two_phases.n_bins
        )
        q = quaternions(20)
        found = two_phases.encode(q, torch.full((20,), phase))
        expected = alone.encode(q)
        first = two_phases.first_zones[phase] * two_phases.n_bins
        torch.testing.assert_close(found.cell, expected.cell + first)
        torch.testing.assert_close(found.weight, expected.weight)
        torch.testing.assert_close(found.residual, expected.residual)
        back = two_phases.orientations(found.cell, found.residual)
        angle = degrees(back, q[:, None].expand_as(back), alone)
        assert float(angle[found.weight > 0.01].max()) < 0.1

    def test_phases_in_one_batch(self, two_phases):
        q, phase = quaternions(30), torch.arange(30) % 2
        mixed = two_phases.encode(q, phase)
        for i in (0, 1):
            alone = two_phases.encode(q, torch.full((30,), i))
            torch.testing.assert_close(mixed.cell[phase == i], alone.cell[phase == i])

    def test_the_same_rotation_of_two_phases_is_two_answers(self, two_phases):
        q = quaternions(6)
        outputs = self.outputs(two_phases, q, [0.6, 0.4])
        decoded = two_phases.decode(outputs, 3)
        assert decoded.phase[:, :2].tolist() == [[0, 1]] * 6
        torch.testing.assert_close(decoded.scores[:, :2], torch.tensor([[0.6, 0.4]] * 6))
        for rank, group in enumerate(two_phases.all_symmetry):
            found = decoded.quaternions[:, rank]
            angle = disorientation_angle(found, q, torch.as_tensor(group, dtype=torch.float32))
            assert float(angle.rad2deg().max()) < 0.1
        # However near it is, another phase is a rival.
        torch.testing.assert_close(decoded.reliability, torch.full((6,), 100 * (1 - 0.4 / 0.6)))
        expected = torch.tensor([[0.5, 0.2, torch.nan]] * 6)
        torch.testing.assert_close(decoded.phase_probability, expected, equal_nan=True)
        torch.testing.assert_close(decoded.any_phase_probability, torch.full((6,), 0.7))
        assert decoded.quaternions[:, 2].isnan().all()

    def test_what_the_network_says_of_each_orientation(self, two_phases):
        outputs = self.outputs(two_phases, quaternions(4), [0.3, 0.7])
        decoded = two_phases.decode(outputs, 2)
        assert decoded.phase.tolist() == [[1, 0]] * 4
        # Best first: that of the trigonal phase.
        torch.testing.assert_close(decoded.thickness, torch.tensor([[500.0, 300.0]] * 4))
        torch.testing.assert_close(decoded.share, torch.tensor([[0.6, 0.9]] * 4))
        torch.testing.assert_close(decoded.vacuum_probability, torch.full((4,), 0.1))
        torch.testing.assert_close(decoded.amorphous_probability, torch.full((4,), 0.15))
        torch.testing.assert_close(decoded.phase_probability, torch.tensor([[0.2, 0.5]] * 4))
        torch.testing.assert_close(decoded.entropy, torch.full((4,), 1.5))

    @staticmethod
    def outputs(target, q, probability):
        """Return outputs of a network that sees one orientation of both phases."""
        n = len(q)
        labels = [target.encode(q, torch.full((n,), i)) for i in (0, 1)]
        best = [label.weight.argmax(1, keepdim=True) for label in labels]
        cells = [x.cell.gather(1, b) for x, b in zip(labels, best, strict=True)]
        residuals = [
            x.residual.gather(1, b[..., None].expand(-1, 1, 3))
            for x, b in zip(labels, best, strict=True)
        ]
        return {
            "cell": torch.cat(cells, 1),
            "probability": torch.tensor([probability]).repeat(n, 1),
            "residual": torch.cat(residuals, 1),
            "thickness": torch.tensor([[300.0, 500.0]]).repeat(n, 1),
            "share": torch.tensor([[0.9, 0.6]]).repeat(n, 1),
            "entropy": torch.full((n,), 1.5),
            "class_probability": torch.tensor([[0.5, 0.2, 0.1, 0.15, 0.05]]).repeat(n, 1),
        }


class TestCalibration:
    def test_scores_are_calibrated_and_ranks_are_not_touched(self, cubic):
        calibration = ScoreCalibration(0.5, -0.2)
        calibrated = ZoneInPlaneTarget(cubic.zones, cubic.symmetry, 32, calibration)
        q = torch.stack([quaternions(5), quaternions(5, seed=1)], dim=1)
        outputs = outputs_of(cubic, q, [[0.7, 0.2]] * 5)
        plain, scored = cubic.decode(outputs, 3), calibrated.decode(outputs, 3)
        torch.testing.assert_close(plain.quaternions, scored.quaternions, equal_nan=True)
        torch.testing.assert_close(plain.reliability, scored.reliability)
        expected = (0.5 * plain.scores.logit() - 0.2).sigmoid()
        torch.testing.assert_close(scored.scores, expected, equal_nan=True)

    def test_number_of_cells_is_bounded(self):
        triclinic = zone_axis_grid(np.eye(3)[None], spacing=4.0)
        assert len(triclinic) * 32 > 50_000
        target = ZoneInPlaneTarget.for_crystal(crystal("monoclinic"), spacing=0.5)
        assert target.n_cells <= 52_500

    def test_polarity(self):
        gaas = crystal("gaas")
        assert len(ZoneInPlaneTarget.for_crystal(gaas).symmetry) == 24
        polar = ZoneInPlaneTarget.for_crystal(gaas, polarity=True)
        assert len(polar.symmetry) == 12
        assert polar.n_zones[0] == pytest.approx(
            2 * ZoneInPlaneTarget.for_crystal(gaas).n_zones[0], rel=0.1
        )

    @pytest.mark.parametrize("name", ["cubic", "hexagonal", "trigonal", "monoclinic"])
    def test_spacing(self, name):
        target = ZoneInPlaneTarget.for_crystal(crystal(name), spacing=6.0)
        area = 4 * np.pi / len(target.symmetry) / np.deg2rad(6.0) ** 2
        assert target.n_zones[0] == pytest.approx(area, rel=0.1, abs=3)
