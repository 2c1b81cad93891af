"""pyxem's OrientationMap is decoded right: patterns drawn at template orientations are found again.

The reference is what diffsims draws. All decoding is tested on matches of pyxem itself.
"""

from __future__ import annotations

import numpy as np
import pytest
from orix.quaternion import Rotation
from pyxem.signals import OrientationMap

from pyxem_cnn import orientation_map_to_crystal_map
from pyxem_cnn.crystal.orix_symmetry import fits_lattice
from pyxem_cnn.maps.templates.decoding import Templates, decode_matches, reliability
from pyxem_cnn.maps.templates.phases import right_phases
from pyxem_cnn.rotations import about_z, multiply, random_quaternions
from tests._crystals import NAMES, crystal, diffsims_phase
from tests._template_patterns import as_signal, draw, errors, pyxem_matches, sector, simulate

C2Y = np.array([0.0, 0.0, 1.0, 0.0])


def turned_templates(name, templates, n=24, seed=0):
    """Return orientations of templates that were turned about the beam, every second mirrored."""
    rng = np.random.default_rng(seed)
    chosen = templates.data[rng.choice(templates.size, n)]
    chosen[1::2] = multiply(chosen[1::2], C2Y)
    return multiply(chosen, about_z(rng.uniform(0, 2 * np.pi, n)))


@pytest.fixture(scope="module", params=NAMES)
def matched(request):
    """Return name, true orientations and pyxem's matches of patterns drawn at templates."""
    name = request.param
    # phi1 of 0 (hexagonal, trigonal) and others.
    templates = sector(name, 8.0, phi1={"cubic": 37.0, "monoclinic": -110.0}.get(name, 0.0))
    truth = turned_templates(name, templates)
    signal = as_signal(draw(name, truth).reshape(4, 6, *draw(name, truth[:1]).shape[1:]))
    return name, truth, pyxem_matches(signal, simulate([name], [templates]), n_best=5)


class TestAgainstDiffsims:
    def test_orientations_are_found_again(self, matched):
        name, truth, matches = matched
        error = errors(orientation_map_to_crystal_map(matches, n_azimuthal=180), truth, name)
        # What is left is the rounding of spots to bins of 2 degrees, and some twins.
        assert np.median(error) < 1
        assert np.mean(error < 2) > 0.8

    def test_shipped_decoding_is_wrong(self, matched):
        # Once this fails, pyxem decodes right, and the documentation has to say so.
        name, truth, matches = matched
        assert np.mean(errors(matches.to_crystal_map(), truth, name) < 2.5) < 0.3

    def test_half_a_bin(self, matched):
        name, truth, matches = matched
        right = errors(orientation_map_to_crystal_map(matches, n_azimuthal=180), truth, name)
        half_off = errors(orientation_map_to_crystal_map(matches), truth, name)
        assert np.median(right) < np.median(half_off)

    def test_properties(self, matched):
        name, _, matches = matched
        xmap = orientation_map_to_crystal_map(matches)
        data = matches.data.reshape(-1, 5, 4)
        assert xmap.shape == (4, 6)
        assert xmap.rotations_per_point == 5
        np.testing.assert_array_equal(xmap.prop["scores"], data[..., 1])
        np.testing.assert_array_equal(xmap.prop["template_index"], data[..., 0])
        np.testing.assert_array_equal(xmap.prop["mirrored"], data[..., 3] < 0)
        assert 0 < xmap.prop["mirrored"][:, 0].mean() < 1
        assert xmap.phases[0].name == crystal(name).name
        assert (xmap.frame, xmap.group) == ("detector", "Laue")
        known = xmap.prop["reliability"][np.isfinite(xmap.prop["reliability"])]
        assert ((known >= 0) & (known <= 100)).all()

    def test_lazy_line_and_point(self, matched):
        _, _, matches = matched
        whole = orientation_map_to_crystal_map(matches)
        lazy = matches.deepcopy().as_lazy()
        lazy.simulation = matches.simulation
        assert lazy._lazy
        same = orientation_map_to_crystal_map(lazy)
        np.testing.assert_array_equal(same._rotations.data, whole._rotations.data)
        for part, points in ((matches.inav[:, 1], slice(6, 12)), (matches.inav[2, 1], slice(8, 9))):
            part = orientation_map_to_crystal_map(part, simulation=matches.simulation)
            np.testing.assert_array_equal(part._rotations.data, whole._rotations.data[points])


def test_patterns_with_y_down():
    templates = sector("trigonal", 8.0)
    truth = turned_templates("trigonal", templates, 12)
    signal = as_signal(draw("trigonal", truth, y_up=False)[None])
    matches = pyxem_matches(signal, simulate(["trigonal"], [templates]))
    right = orientation_map_to_crystal_map(matches, flip_y=True)
    assert np.mean(errors(right, truth, "trigonal") < 3) > 0.8
    wrong = orientation_map_to_crystal_map(matches)
    assert np.mean(errors(wrong, truth, "trigonal") < 3) < 0.5


@pytest.mark.slow
def test_silicon_grains_of_pyxem():
    from pyxem.data import si_grains
    from pyxem.data.simulated_si import si_phase

    np.random.seed(0)  # the grains are drawn with NumPy's global generator
    signal, truth = si_grains(num_grains=9, size=6, recip_pixels=256, return_rotations=True)
    signal.set_signal_type("electron_diffraction")
    # diffsims takes pixel 128; the data set is flipped afterwards, to y up.
    signal.calibration.center = (128, 127)
    polar = signal.get_azimuthal_integral2d(
        npt=60, npt_azim=180, radial_range=(0, 1.2), mean=True, show_progressbar=False
    )
    from diffsims.generators.simulation_generator import SimulationGenerator

    simulation = SimulationGenerator().calculate_diffraction2d(
        si_phase(),
        sector("cubic", 2.0),
        reciprocal_radius=1.2,
        max_excitation_error=0.1,
        with_direct_beam=False,
    )
    matches = (polar**0.5).get_orientation(simulation, frac_keep=1.0, show_progressbar=False)
    xmap = orientation_map_to_crystal_map(matches, n_azimuthal=180)
    nearest = np.min([errors(xmap, q, "cubic") for q in truth.data], axis=0)
    # Discs of 5 pixels on two rings of spots: a few degrees are all that they tell.
    assert np.median(nearest) < 2.5
    assert nearest.max() < 6
    shipped = np.min([errors(matches.to_crystal_map(), q, "cubic") for q in truth.data], axis=0)
    assert np.median(shipped) > 10


class TestPhases:
    def rows(self, *index, n_best=1):
        rows = np.zeros((len(index), n_best, 4))
        rows[..., 0] = np.reshape(index, (-1, 1))
        rows[..., 1], rows[..., 2], rows[..., 3] = 0.5, -180, 1
        return rows

    @pytest.fixture
    def two(self):
        rotations = [Rotation(random_quaternions(n, np.random.default_rng(n))) for n in (3, 4)]
        return simulate(["trigonal", "cubic"], rotations), rotations

    def test_boundary_between_phases(self, two):
        simulation, rotations = two
        om = OrientationMap(self.rows(0, 2, 3, 6, n_best=2))
        om.simulation = simulation
        xmap = orientation_map_to_crystal_map(om)
        np.testing.assert_array_equal(xmap.phase_id, [0, 0, 1, 1])
        np.testing.assert_allclose(xmap._rotations.data[2, 0], rotations[1].data[0])
        np.testing.assert_allclose(xmap._rotations.data[1, 0], rotations[0].data[2])
        assert xmap.phases.names == ["LiNiO2", "Si"]
        np.testing.assert_array_equal(xmap.prop["phase_ids"][:, 0], [0, 0, 1, 1])
        # pyxem: the first template of the second phase counts to the first one.
        np.testing.assert_array_equal(om.to_phase_index()[:, 0], [0, 0, 0, 1])

    def test_shipped_decoding_of_one_best_and_two_phases(self, two):
        om = OrientationMap(self.rows(0, 3))
        om.simulation = two[0]
        np.testing.assert_array_equal(orientation_map_to_crystal_map(om).phase_id, [0, 1])
        with pytest.raises(ValueError, match="setting an array element"):
            om.to_phase_index()

    def test_index_beyond_the_templates(self, two):
        om = OrientationMap(self.rows(7))
        om.simulation = two[0]
        with pytest.raises(ValueError, match="less than the 7 templates"):
            orientation_map_to_crystal_map(om)

    def test_replaced_phases(self, two):
        om = OrientationMap(self.rows(0, 3))
        om.simulation = two[0]
        xmap = orientation_map_to_crystal_map(om, phases=[crystal("hexagonal"), crystal("gaas")])
        assert xmap.phases.names == ["Mg", crystal("gaas").name]
        with pytest.raises(ValueError, match="Number of phases: got 1, expected 2"):
            orientation_map_to_crystal_map(om, phases=crystal("cubic"))

    def test_monoclinic_group_in_its_own_setting(self):
        # By number, orix puts the two-fold axis on z.
        named = diffsims_phase("monoclinic", space_group=14)
        assert not fits_lattice(named)
        (phase,) = right_phases(named)
        assert fits_lattice(phase)
        assert phase.point_group.size == 4

    def test_group_that_contradicts_the_cell(self):
        phase = diffsims_phase("monoclinic")
        phase.point_group = "2/m"
        with pytest.warns(UserWarning, match="contradicts its cell"):
            right_phases(phase)

    @pytest.mark.parametrize("name", NAMES)
    def test_right_phases_stay(self, name):
        original = crystal(name).to_phase()
        (phase,) = right_phases(original)
        assert phase.point_group.size == original.point_group.size
        assert fits_lattice(phase)


class TestMissing:
    @pytest.fixture
    def simulation(self):
        return simulate(["cubic"], [Rotation(random_quaternions(3, np.random.default_rng(0)))])

    def test_empty_and_left_out_patterns(self, simulation):
        rows = np.array([[[1, 0.5, 0, 1]], [[2, 0, 0, 1]], [[np.nan] * 4], [[-1, np.nan, 0, 0]]])
        om = OrientationMap(rows)
        om.simulation = simulation
        xmap = orientation_map_to_crystal_map(om)
        np.testing.assert_array_equal(xmap._phase_id, [0, -1, -1, -1])
        np.testing.assert_array_equal(xmap.is_in_data, [True, True, False, True])
        np.testing.assert_array_equal(np.isnan(xmap.prop["scores"]), [False, True, True])
        np.testing.assert_array_equal(xmap.prop["template_index"], [1, -1, -1])

    def test_axes(self, simulation):
        rows = np.tile([0, 0.5, 0, 1.0], (2, 3, 1, 1))
        om = OrientationMap(rows)
        om.simulation = simulation
        for axis, scale in zip(om.axes_manager.navigation_axes, (0.5, 2.0), strict=True):
            axis.scale, axis.units, axis.offset = scale, "nm", 10
        xmap = orientation_map_to_crystal_map(om)
        assert (xmap.dx, xmap.dy, xmap.scan_unit) == (0.5, 2.0, "nm")
        assert xmap.x.min() == 10

    def test_lost_simulation(self, simulation):
        om = OrientationMap(np.array([[[1, 0.5, 0, 1.0]]]))
        with pytest.raises(ValueError, match="saved and loaded has lost it"):
            orientation_map_to_crystal_map(om)
        assert orientation_map_to_crystal_map(om, simulation=simulation).size == 1

    def test_another_signal(self):
        with pytest.raises(TypeError, match="OrientationMap"):
            orientation_map_to_crystal_map(as_signal(np.zeros((2, 96, 96))))

    def test_three_navigation_axes(self, simulation):
        om = OrientationMap(np.zeros((2, 2, 2, 1, 4)))
        om.simulation = simulation
        with pytest.raises(ValueError, match="3 navigation axes"):
            orientation_map_to_crystal_map(om)


class TestReliability:
    def matches(self, angles, scores, phases=None):
        """Return matches at angles (n_best,) about z in degrees from the first."""
        n = len(angles)
        q = about_z(np.deg2rad(np.array(angles, dtype=float)))
        ids = np.zeros(n, dtype=int) if phases is None else np.array(phases)
        rows = np.stack([np.arange(n), scores, np.full(n, -180.0), np.ones(n)], axis=-1)
        return decode_matches(rows[None], Templates(q, ids))

    SYMMETRY = crystal("cubic").symmetry_quaternions()

    def test_neighbours_do_not_count(self):
        matches = self.matches([0, 5, 90, 30], [1.0, 0.9, 0.8, 0.25])
        # 90 degrees about z are the same orientation of a cubic crystal.
        assert reliability(matches, [self.SYMMETRY]) == pytest.approx(75)

    def test_other_phase_counts(self):
        matches = self.matches([0, 2, 2], [1.0, 0.9, 0.6], [0, 0, 1])
        assert reliability(matches, [self.SYMMETRY] * 2) == pytest.approx(40)

    def test_no_other_answer(self):
        assert np.isnan(reliability(self.matches([0, 5], [1.0, 0.9]), [self.SYMMETRY]))
        assert np.isnan(reliability(self.matches([0], [1.0]), [self.SYMMETRY]))
