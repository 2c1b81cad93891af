"""Template matching as one call, on patterns that diffsims draws at random orientations."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest

from pyxem_cnn import TemplateSettings, template_matching
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.indexing.templates import BinnedTemplates, simulate_templates
from pyxem_cnn.maps.templates.decoding import Templates
from pyxem_cnn.rotations import multiply, random_quaternions, rotate, zone_axis
from tests._crystals import NAMES, crystal
from tests._template_patterns import CENTER, RADIUS, SIZE, as_signal, draw, errors

QUICK = TemplateSettings(n_radial=48, reciprocal_radius=RADIUS)


def match(signal, phase, **options):
    options = {"settings": QUICK, "resolution": 4.0, "show_progressbar": False} | options
    return template_matching(signal, phase, **options)


def scan(name, shape, seed=0):
    """Return a scan and its true orientations (points, 4)."""
    truth = random_quaternions(int(np.prod(shape)), np.random.default_rng(seed))
    return as_signal(draw(name, truth).reshape(*shape, SIZE, SIZE)), truth


@pytest.fixture(scope="module")
def silicon():
    return scan("cubic", (3, 4))


@pytest.fixture(scope="module")
def silicon_map(silicon):
    return match(silicon[0], crystal("cubic"), n_best=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_random_orientations_are_found(name):
    signal, truth = scan(name, (40,))
    error = errors(match(signal, crystal(name), resolution=2.0), truth, name)
    # The bar that is set, for the fullest symmetries; others have fewer spots for a sector.
    assert np.mean(error < 2.5) > 0.75


class TestMap:
    def test_contents(self, silicon, silicon_map):
        xmap, truth = silicon_map, silicon[1]
        assert xmap.shape == (3, 4)
        assert np.mean(errors(xmap, truth, "cubic") < 5) > 0.6
        scores = xmap.prop["scores"]
        assert scores.shape == (12, 3)
        assert (np.diff(scores, axis=1) <= 0).all()
        assert ((scores > 0) & (scores <= 1)).all()
        assert np.isfinite(xmap.prop["reliability"]).all()
        assert xmap.phases[0].name == "Si"
        assert (xmap.frame, xmap.group) == ("detector", "Laue")

    def test_brightness_does_not_matter(self, silicon, silicon_map):
        same = match(silicon[0] * 1000.0, crystal("cubic"), n_best=3)
        np.testing.assert_allclose(same.prop["scores"], silicon_map.prop["scores"], rtol=1e-5)

    @pytest.mark.parametrize("chunks", [(1, 4), (2, 3), (3, 1)])
    def test_lazy_equals_eager(self, silicon, silicon_map, chunks):
        lazy = silicon[0].as_lazy()
        lazy.data = da.from_array(silicon[0].data, chunks=(*chunks, 50, 50))
        found = match(lazy, crystal("cubic"), n_best=3)
        np.testing.assert_array_equal(found._rotations.data, silicon_map._rotations.data)
        np.testing.assert_array_equal(found.prop["reliability"], silicon_map.prop["reliability"])
        assert lazy._lazy

    def test_line_and_point(self, silicon, silicon_map):
        for signal, points in (
            (silicon[0].inav[:, 1], slice(4, 8)),
            (silicon[0].inav[1, 2], slice(9, 10)),
        ):
            found = match(signal, crystal("cubic"), n_best=3)
            np.testing.assert_allclose(
                found._rotations.data, silicon_map._rotations.data[points], atol=1e-9
            )

    def test_masks_and_empty_patterns(self, silicon, silicon_map):
        signal = silicon[0].deepcopy()
        signal.data[0, 1] = 0
        signal.data[2, 3] = np.nan
        left_out = np.zeros((3, 4), dtype=bool)
        left_out[1, 2:] = True
        dead = np.zeros((SIZE, SIZE), dtype=bool)
        dead[:3, :40] = True
        signal.data[:, :, dead] = np.inf
        said = r"2 of 12 patterns are not indexed, the first at \(0, 1\)"
        with np.errstate(invalid="ignore"), pytest.warns(UserWarning, match=said):
            found = match(
                signal, crystal("cubic"), n_best=3, navigation_mask=left_out, signal_mask=dead
            )
        assert found._phase_id.tolist() == [0, -1, 0, 0, 0, 0, -1, -1, 0, 0, 0, -1]
        np.testing.assert_array_equal(found.is_in_data, ~left_out.ravel())
        np.testing.assert_array_equal(found._rotations.data[0], silicon_map._rotations.data[0])

    def test_more_matches_than_templates(self, silicon):
        found = match(silicon[0].inav[:2, 0], crystal("cubic"), n_best=40, resolution=20)
        n = int(np.isfinite(found.prop["scores"][0]).sum())
        assert 0 < n < 40
        assert (found.prop["template_index"][:, n:] == -1).all()

    def test_orientation_map_for_pyxem(self, silicon, silicon_map):
        from pyxem_cnn import orientation_map_to_crystal_map

        xmap, matches = match(silicon[0], crystal("cubic"), n_best=3, return_orientation_map=True)
        assert matches.data.shape == (3, 4, 3, 4)
        again = orientation_map_to_crystal_map(matches)
        np.testing.assert_allclose(again._rotations.data, xmap._rotations.data, atol=1e-12)
        assert matches.to_rotation().shape == (3, 4, 3)


class TestGeometry:
    def test_flipped_detector(self, silicon, silicon_map):
        signal = silicon[0].deepcopy()
        signal.data = signal.data[:, :, ::-1].copy()
        found = match(signal, crystal("cubic"), n_best=3, geometry={"flip_y": True})
        np.testing.assert_allclose(found._rotations.data, silicon_map._rotations.data, atol=1e-9)

    def test_moved_center(self, silicon, silicon_map):
        signal = silicon[0].deepcopy()
        signal.data = np.pad(signal.data, ((0, 0), (0, 0), (3, 5), (6, 2)))
        geometry = {"center": (CENTER[0] + 6, CENTER[1] + 3)}
        found = match(as_signal(signal.data), crystal("cubic"), n_best=3, geometry=geometry)
        assert np.mean(errors(found, silicon_map._rotations.data[:, 0], "cubic") < 3) > 0.9

    def test_scan_rotation(self, silicon, silicon_map):
        found = match(silicon[0], crystal("cubic"), n_best=3, geometry={"scan_rotation": 30.0})
        turn = np.array([np.cos(np.deg2rad(15)), 0, 0, -np.sin(np.deg2rad(15))])
        expected = multiply(silicon_map._rotations.data, turn)
        np.testing.assert_allclose(found._rotations.data, expected, atol=1e-12)
        assert found.frame == "scan"


class TestPhases:
    def test_phases_compete(self):
        truth = random_quaternions(6, np.random.default_rng(3))
        patterns = np.concatenate([draw("cubic", truth[:3]), draw("trigonal", truth[3:])])
        found = match(as_signal(patterns), [crystal("cubic"), crystal("trigonal")], n_best=2)
        np.testing.assert_array_equal(found.phase_id, [0, 0, 0, 1, 1, 1])
        assert found.prop["phase_ids"].shape == (6, 2)

    def test_given_templates(self, silicon, silicon_map):
        templates = simulate_templates([crystal("cubic")], 4.0, 200, RADIUS, QUICK)
        found = match(silicon[0], templates, n_best=3)
        np.testing.assert_array_equal(found._rotations.data, silicon_map._rotations.data)

    def test_templates_for_another_voltage(self, silicon):
        templates = simulate_templates([crystal("cubic")], 20.0, 80, RADIUS, QUICK)
        with pytest.raises(ValueError, match="templates are for 80 kV"):
            match(silicon[0], templates)

    def test_no_voltage(self, silicon):
        signal = silicon[0].deepcopy()
        del signal.metadata.Acquisition_instrument
        with pytest.raises(ValueError, match="beam energy"):
            match(signal, crystal("cubic"))
        assert match(signal.inav[:1, 0], crystal("cubic"), geometry={"beam_energy": 200}).size == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"n_best": 0}, ValueError, "n_best"),
            ({"resolution": -1}, ValueError, "resolution"),
            ({"settings": {"gamma": 1}}, TypeError, "TemplateSettings"),
            ({"navigation_mask": np.zeros((2, 2), bool)}, ValueError, "navigation_mask"),
            ({"geometry": {"centre": (1, 1)}}, ValueError, "center"),
        ],
    )
    def test_arguments(self, silicon, options, error, message):
        with pytest.raises(error, match=message):
            match(silicon[0], crystal("cubic"), **options)

    def test_no_phase(self, silicon):
        with pytest.raises(ValueError, match="at least one phase"):
            match(silicon[0], [])

    def test_three_navigation_axes(self):
        with pytest.raises(ValueError, match="3 navigation axes"):
            match(as_signal(np.zeros((2, 2, 2, SIZE, SIZE))), crystal("cubic"))

    @pytest.mark.parametrize(
        ("name", "value"), [("n_radial", 0), ("n_azimuthal", 181), ("gamma", 0), ("gamma", -1)]
    )
    def test_settings(self, name, value):
        with pytest.raises(ValueError, match=name):
            TemplateSettings(**{name: value})


class TestTemplates:
    @pytest.mark.parametrize("name", NAMES)
    def test_sector_and_mirrors_reach_every_zone_axis(self, name):
        templates = simulate_templates([crystal(name)], 10.0, 200, 0.6, QUICK)
        found = zone_axis(Templates.from_simulation(templates).quaternions)
        # A mirrored template has the opposite zone axis.
        found = np.concatenate([found, -found])
        rotations = crystal(name).symmetry_quaternions()
        everywhere = rotate(rotations[:, None], found[None]).reshape(-1, 3)
        wanted = np.random.default_rng(0).standard_normal((500, 3))
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        nearest = np.rad2deg(np.arccos((wanted @ everywhere.T).max(axis=1).clip(-1, 1)))
        # Neighbours are 10 degrees apart in the mean, a little more in the sector's corners.
        assert nearest.max() < 12.5

    def test_bins_hold_the_spots(self):
        templates = simulate_templates([crystal("trigonal")], 15.0, 200, RADIUS, QUICK)
        grid = PolarGrid(48, 180, 0, RADIUS)
        ring, wedge, intensity = BinnedTemplates(templates, grid, 0.5).polar_flatten_simulations()
        for i, spots in enumerate(templates.coordinates):
            n = int((intensity[i] > 0).sum())
            assert 0 < n <= spots.size
            k = np.hypot(*spots.data[:, :2].T)
            # Every ring with a spot, and no other.
            expected = np.floor(k / grid.radial_step).astype(int)
            assert set(ring[i, :n]) == set(expected[(expected > 0) & (expected < 48)])
            azimuth = np.rad2deg(np.arctan2(spots.data[:, 1], spots.data[:, 0]))
            expected = np.rint((azimuth + 180) / 2).astype(int) % 180
            assert set(wedge[i, :n]) <= set(expected)

    def test_templates_without_spots(self):
        templates = simulate_templates([crystal("cubic")], 15.0, 200, RADIUS, QUICK)
        with pytest.raises(ValueError, match="no spot within 0.2"):
            BinnedTemplates(templates, PolarGrid(10, 180, 0, 0.2), 0.5)


def test_coarse_templates_are_warned_of():
    from pyxem_cnn.indexing.templates import TemplateSettings, _warn_if_too_coarse

    with pytest.warns(UserWarning, match=r"resolution: got 6, .*0\.072 1/angstrom"):
        _warn_if_too_coarse(6, TemplateSettings())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn_if_too_coarse(4, TemplateSettings())
        # What the message advises.
        _warn_if_too_coarse(6, TemplateSettings(max_excitation_error=0.073))
