"""The accuracy benchmark: images and frames are what they claim, figures mean what they say."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from pyxem_cnn.rotations import (
    about_z,
    disorientation_angle,
    multiply,
    random_quaternions,
    to_matrix,
    with_zone_axis,
)
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from accuracy_parts import abtem_files, figure, ideal_search, ideal_twins, images, report, scoring
from accuracy_parts.crystals import crystal_named, is_same_phase, phase_in
from accuracy_parts.ideal_likelihood import Likelihood, Scene
from accuracy_parts.ideal_observer import IdealObserver
from accuracy_parts.spot_sets import SpotSet
from bloch_crystals import CRYSTALS
from peer_abtem import allowed_by_centring


def simulated(name, orientations, n_beams=32):
    """Return a small set of our own Bloch waves, at one thickness."""
    crystal, voltage, b_iso = CRYSTALS[name]()
    simulator = BlochWaveSimulator(
        crystal,
        accelerating_voltage=voltage,
        n_beams=n_beams,
        n_tilts=7,
        thicknesses=(400.0,),
        debye_waller=b_iso,
    )
    found = simulator.calculate(orientations)
    n = len(orientations)
    return found, SpotSet(
        name=name,
        crystal=crystal,
        voltage=voltage,
        b_iso=b_iso,
        orientations=np.asarray(orientations),
        k=found.k,
        intensity=found.intensity,
        tilts=found.tilts,
        thicknesses=np.full((n, 1), 400.0),
        disc_radius=1e-3 * 1.5 / simulator.wavelength,
    )


def degrees_between(one, other):
    """Return angles of misorientation, whatever the symmetry."""
    return np.rad2deg(disorientation_angle(one, other, np.array([[1.0, 0, 0, 0]])))


@pytest.fixture(scope="module")
def silicon():
    return simulated("Si", random_quaternions(4, np.random.default_rng(3)))[1]


class TestImages:
    def one_disc(self, k):
        return SpotSet(
            name="one disc",
            crystal=CRYSTALS["Si"]()[0],
            voltage=200.0,
            b_iso={"Si": 0.5},
            orientations=np.array([[1.0, 0, 0, 0]]),
            k=np.array([[k]]),
            intensity=np.ones((1, 1, 1, 1)),
            tilts=np.zeros((1, 1, 2)),
            thicknesses=np.full((1, 1), 400.0),
            disc_radius=0.05,
        )

    def test_a_disc_lies_where_centre_and_scale_put_it(self):
        detector = images.Detector()
        spots = self.one_disc((0.8, 0.4))
        shift, stretch = np.array([[0.02, -0.01]]), np.array([1.02])
        image = images.discs(spots, spots.intensity[:, 0], detector, shift, stretch)[0]
        rows, columns = np.indices(image.shape)
        middle = 63.5
        x = (image * columns).sum() / image.sum()
        y = (image * rows).sum() / image.sum()
        # y is up, rows count down.
        assert x == pytest.approx(middle + (0.8 * 1.02 + 0.02) / 0.025, abs=0.01)
        assert y == pytest.approx(middle - (0.4 * 1.02 - 0.01) / 0.025, abs=0.01)

    def test_electrons_outside_the_direct_beam(self, silicon):
        detector = images.Detector()
        exposures = images.expose(silicon, detector, seed=0)
        x = 0.025 * (np.arange(128) - 63.5)
        for expected, diffuse, (dx, dy) in zip(
            exposures.expected, exposures.diffuse, exposures.shift, strict=True
        ):
            counted = np.hypot(x - dx, -x[:, None] - dy) > 0.115
            assert expected[counted].sum() == pytest.approx(1, abs=1e-4)
            assert diffuse[counted].sum() == pytest.approx(0.3, abs=1e-4)
            assert expected.sum() > 1.5  # the direct beam is there

    def test_errors_stay_within_what_is_said(self, silicon):
        exposures = images.expose(silicon, images.Detector(), seed=1)
        assert np.abs(exposures.shift).max() <= 0.025
        assert np.abs(exposures.stretch - 1).max() <= 0.02
        assert exposures.thickness.tolist() == [400.0] * 4

    def test_counts_are_poisson_and_the_same_again(self, silicon):
        exposures = images.expose(silicon, images.Detector(), seed=0)
        counts = images.count(exposures, 1000, seed=0)
        np.testing.assert_array_equal(counts, images.count(exposures, 1000, seed=0))
        assert (counts != images.count(exposures, 1000, seed=1)).any()
        difference = counts - 1000 * exposures.expected.astype(float)
        variance = 1000 * exposures.expected.sum((1, 2))
        assert (np.abs(difference.sum((1, 2))) < 5 * np.sqrt(variance)).all()


@pytest.mark.parametrize("name", ["LiNiO2", "Si", "Ti", "VO2"])
def test_files_of_abtem_have_our_frame(name, tmp_path):
    orientations = random_quaternions(2, np.random.default_rng(0))
    found, spots = simulated(name, orientations)
    arrays = {f"{i}|hkl": found.hkl[i] for i in range(2)}
    arrays |= {f"{i}|I": found.intensity[i] for i in range(2)}
    path = tmp_path / f"{name.lower()}_small.npz"
    np.savez(
        path,
        matrices=to_matrix(orientations),
        tilts=found.tilts[0],
        thicknesses=np.array([400.0]),
        **arrays,
    )
    read = abtem_files.read_abtem(path)
    np.testing.assert_allclose(read.k, spots.k, atol=1e-5)
    np.testing.assert_allclose(read.intensity, spots.intensity)
    np.testing.assert_allclose(scoring.degrees_off(spots, read.orientations), 0, atol=1e-4)
    assert len(read.first(1)) == 1


class TestScoring:
    def test_half_a_turn_about_the_beam(self, silicon):
        turned = multiply(silicon.orientations, about_z(np.full(4, np.pi)))
        assert (scoring.degrees_off(silicon, turned) > 5).all()
        np.testing.assert_allclose(scoring.degrees_off(silicon, turned, turned=True), 0, atol=1e-4)

    def test_symmetry_and_missing_orientations(self, silicon):
        symmetry = silicon.crystal.symmetry_quaternions()
        found = multiply(symmetry[5], silicon.orientations)
        found[1] = np.nan
        degrees = scoring.degrees_off(silicon, found)
        assert degrees[1] == np.inf
        np.testing.assert_allclose(degrees[[0, 2, 3]], 0, atol=1e-4)

    def test_twins_on_a_zone_axis(self):
        zone = with_zone_axis(np.array([[1.0, 2, 3]]) / np.sqrt(14))
        _, spots = simulated("Si", np.concatenate([zone, zone]))
        # On [123], half a turn about the beam changes no spot of the zeroth Laue zone.
        found = multiply(spots.orientations, about_z(np.array([np.pi, 1.0])))
        plain = scoring.degrees_off(spots, found)
        thickness = np.full(2, 400.0)
        twins = scoring.modulo_dynamical_twins(spots, found, thickness, plain)
        assert (plain > 5).all()
        assert twins[0] == 0
        assert twins[1] == plain[1]

    def test_figures(self, silicon):
        found = scoring.Found(
            orientations=silicon.orientations,
            score=np.array([0.95, 0.95, 0.5, np.nan]),
            thickness=np.array([400.0, 500, 300, np.nan]),
            seconds=0.04,
        )
        figures = scoring.judge(silicon, np.full(4, 400.0), found)
        assert figures["<1"] == figures["<5 mod twins"] == 100
        assert figures[">0.9"] == 50
        assert figures[">0.9 right"] == 100
        assert figures["thickness"] == 100
        assert figures["ms"] == pytest.approx(10)
        assert 0 < figures["ECE"] < 0.5


class TestIdealObserver:
    def test_polar_counts_keep_the_electrons(self, silicon):
        detector = images.Detector(center_error=0.0, scale_error=0.0)
        exposures = images.expose(silicon, detector, seed=0)
        polar = ideal_search.polar_counts(exposures.expected, exposures, detector, 200.0)
        assert (polar.sum((1, 2)) > 0.8).all()
        assert (polar.sum((1, 2)) < 1.01).all()

    def test_search_finds_what_the_library_holds(self):
        crystal = CRYSTALS["Si"]()[0]
        zones = with_zone_axis(
            ideal_search.zone_axis_grid(crystal.laue_group_matrices(), spacing=4)
        )
        truth = multiply(zones[5:9], about_z(np.array([0.3, 1.1, 2.0, -0.7])))
        _, spots = simulated("Si", truth)
        detector = images.Detector()
        exposures = images.expose(spots, detector, seed=0)
        polar = ideal_search.polar_counts(3e3 * exposures.expected, exposures, detector, 200.0)
        found = ideal_search.PolarLikelihood(spots, polar).search(zones, 2, with_mirrored=True)
        assert (scoring.degrees_off(spots, found.orientations[:, 0]) < 1).all()

    def test_search_keeps_both_angles_of_a_zone_axis(self):
        # On [123], half a turn about the beam changes no spot of the zeroth Laue zone.
        zone = with_zone_axis(np.array([[1.0, 2, 3]]) / np.sqrt(14))
        _, spots = simulated("Si", zone)
        detector = images.Detector()
        exposures = images.expose(spots, detector, seed=0)
        polar = ideal_search.polar_counts(300 * exposures.expected, exposures, detector, 200.0)
        found = ideal_search.PolarLikelihood(spots, polar).search(zone, 2, with_mirrored=False)
        one, other = found.orientations[0]
        assert degrees_between(one, other) == pytest.approx(180, abs=2)

    def test_scattered_orientations(self):
        truth = random_quaternions(3, np.random.default_rng(1))
        around = ideal_search.scattered(truth, 0.5, 50, np.random.default_rng(2))
        angle = degrees_between(np.repeat(truth, 50, axis=0), around)
        assert angle.max() <= 0.5
        assert np.mean(angle**2) == pytest.approx(0.5**2 / 2, rel=0.15)

    def test_likelihood_is_greatest_at_the_truth(self, silicon):
        detector = images.Detector()
        exposures = images.expose(silicon, detector, seed=0)
        image = 1e4 * exposures.expected[1]
        scene = Scene.of(1, image, silicon, exposures, detector)
        likelihood = Likelihood(silicon, detector)
        truth = silicon.orientations[1:2]
        turns = np.array([-0.3, 0, 0.3])
        at_truth = likelihood(scene, truth, turns)
        np.testing.assert_allclose(at_truth.orientations, truth, atol=1e-6)
        # Gibbs: nothing is likelier than what was expected; 96 in place of 32 beams cost little.
        best = scene.counts @ np.log(scene.counts / scene.counts.sum())
        assert -200 < at_truth.value[0] - best < 0
        # The turn that makes good for a turned start is found.
        turned = multiply(truth, about_z(np.deg2rad(np.array([0.3]))))
        back = likelihood(scene, turned, turns)
        assert degrees_between(truth, back.orientations)[0] < 0.01
        tilted = ideal_search.scattered(truth, 0.5, 3, np.random.default_rng(0))
        assert (likelihood(scene, tilted, turns).value < at_truth.value[0] - 50).all()

    def test_its_images_of_the_truth_are_those_of_the_set(self, silicon):
        _, spots = simulated("Si", silicon.orientations, n_beams=96)
        detector = images.Detector()
        exposures = images.expose(spots, detector, seed=0)
        same = IdealObserver(spots, detector, spacing=4).misfit(exposures)
        assert ((same > -0.1) & (same < 1)).all()
        # 32 beams in the patterns and 96 in the images.
        exposures = images.expose(silicon, detector, seed=0)
        assert (IdealObserver(silicon, detector, spacing=4).misfit(exposures) > 20).all()

    def test_right_on_our_own_patterns(self, silicon):
        few, detector = silicon.first(2), images.Detector()
        exposures = images.expose(few, detector, seed=0)
        observer = IdealObserver(few, detector, spacing=4)
        (answers,) = observer([images.count(exposures, 1e4, seed=0)], exposures)
        alone, helped = answers.values()
        assert (scoring.degrees_off(few, helped.orientations) < 0.1).all()
        assert ((alone.score > 0) & (alone.score <= 1)).all()
        assert helped.thickness.tolist() == [400.0] * 2


class TestTwins:
    def test_on_a_zone_axis_noise_decides(self):
        # On [123], half a turn about the beam changes no spot of the zeroth Laue zone.
        zone = np.array([[1.0, 2, 3]]) / np.sqrt(14)
        away = zone + [[0.2, 0, 0]]
        _, spots = simulated("Si", with_zone_axis(np.concatenate([zone, away])), n_beams=96)
        detector = images.Detector()
        exposures = images.expose(spots, detector, seed=0)
        nats = ideal_twins.nats_to_twins(spots, exposures, detector)
        assert ideal_twins.right_against_twins(nats[:1], 100) < 95
        assert ideal_twins.right_against_twins(nats[1:], 100) > 99
        assert ideal_twins.right_against_twins(np.array([0.0, np.inf]), 100) == 75

    def test_symmetry_is_no_twin(self):
        crystal = CRYSTALS["Si"]()[0]
        twins = ideal_twins.twins_of(crystal, np.array([1.0, 0, 0, 0]))
        assert (scoring.degrees_apart(crystal, np.array([1.0, 0, 0, 0]), twins) > 2).all()

    def test_chance_is_that_of_counted_electrons(self):
        # Two pixels, of which the truth expects shares 0.5 and 0.5, the twin 0.55 and 0.45.
        truth, twin, n = np.array([0.5, 0.5]), np.array([0.55, 0.45]), 400
        counts = np.random.default_rng(0).multinomial(n, truth, 20_000)
        wins = (counts @ np.log(truth / twin) > 0).mean()
        nats = np.array([truth @ np.log(truth / twin)])
        assert ideal_twins.right_against_twins(nats, n) == pytest.approx(100 * wins, abs=3)


@pytest.mark.parametrize("name", ["LiNiO2", "Si", "Ti", "VO2"])
def test_abtem_keeps_what_only_dynamical_diffraction_fills(name):
    structure = CRYSTALS[name]()[0]
    hkl = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    is_centring = (structure.rotations_fractional == np.eye(3, dtype=int)).all((1, 2))
    allowed = allowed_by_centring(hkl, structure.translations[is_centring])
    h, k, m = hkl.T
    same_parity = (h % 2 == k % 2) & (k % 2 == m % 2)
    rules = {"LiNiO2": (-h + k + m) % 3 == 0, "Si": same_parity}  # Si 222 among them
    np.testing.assert_array_equal(allowed, rules.get(name, np.ones(len(hkl), dtype=bool)))


class TestCrystals:
    def test_names(self):
        assert crystal_named("linio2") == "LiNiO2"
        with pytest.raises(ValueError, match="one of LiNiO2"):
            crystal_named("unobtainium")

    def test_phases(self):
        silicon, gaas, titanium = (CRYSTALS[name]()[0] for name in ("Si", "GaAs", "Ti"))
        assert is_same_phase(silicon, silicon)
        assert not is_same_phase(silicon, gaas)
        assert phase_in([gaas, titanium], titanium) == 1
        assert phase_in([gaas], silicon) is None


class TestReport:
    rows = [
        {"set": "s", "electrons": e, "method": m, "seed": seed, "n": 10, "ECE": 0.1}
        | {"<2": share - 10, "<5": share}
        for e, seed, share in ((1000.0, 0, 80.0), (1000.0, 1, 90.0), (300.0, 0, 60.0))
        for m in ("a", "b")
    ]

    def test_average_and_table(self):
        averaged = report.average_over_seeds(self.rows)
        assert [(r["electrons"], r["<5"]) for r in averaged] == [
            (1000, 85), (1000, 85), (300, 60), (300, 60)
        ]  # fmt: skip
        lines = report.markdown(averaged).splitlines()
        assert len(lines) == 6
        assert lines[2].startswith("| s | 1000 | a | 10 |")
        assert len({line.count("|") for line in lines}) == 1

    def test_scores_of_all_seeds_together(self):
        score, right = np.array([0.2, 0.3, 0.7, 0.95]), np.array([False, True, True, True])
        parts = [scoring._of_scores(score[i::2], right[i::2]) for i in (0, 1)]
        key = {"set": "s", "electrons": 300.0, "method": "a", "n": 2}
        rows = [key | {"seed": seed} | part for seed, part in enumerate(parts)]
        (row,) = report.average_over_seeds(rows)
        whole = scoring._of_scores(score, right)
        assert row[report.POOLED] == pytest.approx(whole["ECE"])
        assert row[">0.9 right"] == whole[">0.9 right"] == 100
        # The scores of one seed are too high, those of the other as much too low.
        opposite = [
            row | {report.EXCESS: [e, *9 * [0.0]]} for row, e in zip(rows, (1, -1), strict=True)
        ]
        assert report.average_over_seeds(opposite)[0][report.POOLED] == 0

    def test_scores_of_seeds_that_say_too_little_are_not_pooled(self):
        averaged = report.average_over_seeds(self.rows)
        assert report.POOLED not in averaged[0]
        assert averaged[2][report.POOLED] == averaged[2]["ECE"] == 0.1

    def test_pooled_scores_in_the_file(self, tmp_path):
        excess = {0: [0.5, *9 * [0.0]], 1: [-0.25, *9 * [0.0]]}
        rows = [row | {report.EXCESS: excess[row["seed"]]} for row in self.rows[:4]]
        report.write_csv(rows, tmp_path / "a.csv")
        assert report.read_csv(tmp_path / "a.csv") == rows
        lines = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
        assert [float(line[report.POOLED]) for line in lines] == [0.25 / 20] * 4

    def test_later_rows_replace_earlier_ones(self):
        again = [row | {"<5": 1.0} for row in self.rows[:2]]
        assert report.latest(self.rows + again) == again + self.rows[2:]

    def test_most_patterns_count(self):
        few = [row | {"n": 5, "<5": 0.0} for row in self.rows]
        averaged = report.average_over_seeds(self.rows)
        assert report.average_over_seeds(few + self.rows + few) == averaged

    def test_csv_and_back(self, tmp_path):
        report.write_csv(self.rows, tmp_path / "a.csv")
        assert len((tmp_path / "a.csv").read_text().splitlines()) == 7
        assert report.read_csv(tmp_path / "a.csv") == self.rows

    def test_figure(self):
        panels = figure.plot_shares(report.average_over_seeds(self.rows)).axes
        assert [panel.get_title() for panel in panels] == ["s (10 patterns or more)", ""]
        assert [panel.lines[0].get_ydata().tolist() for panel in panels] == [[50, 75], [60, 85]]
