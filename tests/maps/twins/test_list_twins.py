"""Twins planted with orix' half turns are listed as such, and nothing else is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from diffpy.structure import Lattice, Structure
from diffsims.generators.simulation_generator import SimulationGenerator
from orix.quaternion import Rotation
from orix.vector import Miller, Vector3d

import pyxem_cnn
from pyxem_cnn.crystal.zone_axes import TwinAxes
from pyxem_cnn.maps.building import build_crystal_map, coordinates_of_map
from pyxem_cnn.maps.comparison.twins import crystal_of
from pyxem_cnn.maps.twins import relations
from pyxem_cnn.maps.twins.list_twins import list_twins
from pyxem_cnn.maps.twins.relations import axes_of_phase, twin_differences
from pyxem_cnn.metrics import pattern_difference
from pyxem_cnn.rotations import (
    about_z,
    from_rotation_vector,
    multiply,
    random_quaternions,
    with_zone_axis,
)
from pyxem_cnn.simulation.kinematic import KinematicSimulator
from tests._crystals import NAMES, crystal, diffsims_phase
from tests._maps import grid_map

# A zone axis of each crystal that is no two-fold axis of its Laue group.
ZONES = {"cubic": (1, 1, 2), "hexagonal": (1, 0, 1), "trigonal": (2, 1, 1), "monoclinic": (1, 0, 1)}


def map_of(quaternions, scores=None, names=("cubic",), phase_ids=0, prop=None, **kwargs):
    """Return a map in one row of candidates (points, n_best, 4)."""
    n, n_best = np.shape(quaternions)[:2]
    prop = {} if prop is None else prop
    if scores is not None:
        prop["scores"] = np.broadcast_to(scores, (n, n_best)).astype(float)
    ids = np.broadcast_to(phase_ids, (n, n_best)).astype(int)
    return build_crystal_map(
        quaternions, ids, [crystal(name) for name in names], prop=prop,
        coordinates={"x": np.arange(n) * 2.0, "scan_unit": "nm"}, **kwargs,
    )  # fmt: skip


def near(name, indices, rng, degrees=1.0):
    """Return orientations of which the zone axes [uvw] (n, 3) are some degrees off the beam."""
    zone = Miller(uvw=np.atleast_2d(indices), phase=crystal(name).to_phase()).unit.data
    q = multiply(with_zone_axis(zone), about_z(rng.uniform(0, 2 * np.pi, len(zone))))
    tilt = rng.uniform(0, 2 * np.pi, len(zone))
    axis = np.stack([np.cos(tilt), np.sin(tilt), 0 * tilt], axis=1)
    return multiply(q, from_rotation_vector(np.deg2rad(degrees) * axis))


def half_turn(name, indices, q):
    """Return orientations after half a turn of the crystal about [uvw], by orix."""
    axis = Miller(uvw=np.atleast_2d(indices), phase=crystal(name).to_phase())
    return (Rotation.from_axes_angles(axis, np.pi) * Rotation(q)).data


def equivalent(name, q, rng):
    """Return orientations as other equivalents of the Laue group, and of random sign."""
    symmetry = crystal(name).symmetry_quaternions()
    turned = multiply(symmetry[rng.integers(len(symmetry), size=q.shape[:-1])], q)
    return turned * rng.choice([-1, 1], size=(*q.shape[:-1], 1))


def off(q, degrees, rng):
    """Return orientations that are off by an angle about random axes."""
    axis = rng.normal(size=(*q.shape[:-1], 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    return multiply(q, from_rotation_vector(np.deg2rad(degrees) * axis))


def all_zones(name):
    """Return indices up to 3, opposites once, and whether half a turn is of orix' Laue group."""
    box = np.array([u for u in itertools.product(range(-3, 4), repeat=3) if u > (0, 0, 0)])
    box = box[np.gcd.reduce(box, axis=1) == 1]
    phase = crystal(name).to_phase()
    turns = Rotation.from_axes_angles(Miller(uvw=box, phase=phase), np.pi)
    of_group = np.abs(turns.data @ phase.point_group.laue.proper_subgroup.data.T).max(1)
    return box, of_group > 1 - 1e-9


@pytest.mark.parametrize("name", NAMES)
class TestEveryAxis:
    def test_twins_are_found_with_their_axis(self, name, rng):
        indices, is_symmetry = all_zones(name)
        indices = indices[~is_symmetry]
        q = near(name, indices, rng, 0.3)
        twin = equivalent(name, off(half_turn(name, indices, q), 0.5, rng), rng)
        other = random_quaternions(len(q), rng)
        found = list_twins(map_of(np.stack([q, other, twin], 1), [0.5, 0.2, 0.3], (name,)))
        assert (found.relation[:, 2] == "twin").all()
        assert (found.relation[:, 0] == "best").all()
        assert np.mean(found.relation[:, 1] == "other") > 0.97
        # The axis points to the source, as the zone axes of the map do.
        np.testing.assert_array_equal(found.axis[:, 2], indices)
        np.testing.assert_allclose(found.tilt[:, 2], 0.3, atol=1e-6)
        np.testing.assert_allclose(found.deviation[:, 2], 0.5, atol=1e-4)
        assert not found.axis[~found.is_twin].any()
        assert np.isnan(found.tilt[~found.is_twin]).all()
        assert np.isnan(found.difference).all()

    def test_symmetry_is_no_twin(self, name, rng):
        indices, is_symmetry = all_zones(name)
        indices = indices[is_symmetry]
        q = near(name, indices, rng, 0.3)
        turned = off(half_turn(name, indices, q), 0.5, rng)
        found = list_twins(map_of(np.stack([q, turned], 1), [0.6, 0.4], (name,)))
        assert len(q) == {"cubic": 9, "trigonal": 3, "hexagonal": 7, "monoclinic": 1}[name]
        assert (found.relation[:, 1] == "near").all()

    def test_equivalents_have_one_family(self, name, rng):
        q = np.repeat(near(name, ZONES[name], rng), 12, axis=0)
        twin = half_turn(name, np.tile(ZONES[name], (12, 1)), q)
        pair = np.stack([equivalent(name, one, rng) for one in (q, twin)], axis=1)
        found = list_twins(map_of(pair, [0.6, 0.4], (name,)), accelerating_voltage=200)
        assert found.is_twin[:, 1].all()
        assert len(np.unique(found.axis[:, 1], axis=0)) > 1
        assert len(np.unique(found.family[:, 1], axis=0)) == 1
        np.testing.assert_allclose(found.tilt[:, 1], 1, atol=1e-6)
        assert np.ptp(found.difference[:, 1]) < 0.02

    def test_tilt_is_that_of_orix(self, name, rng):
        q = near(name, np.tile(ZONES[name], (5, 1)), rng, 2.5)
        pair = np.stack([q, half_turn(name, np.tile(ZONES[name], (5, 1)), q)], 1)
        found = list_twins(map_of(pair, [0.6, 0.4], (name,)))
        axes = Miller(uvw=found.axis[:, 1], phase=crystal(name).to_phase())
        beam = Rotation(q) * Vector3d.zvector()
        expected = beam.angle_with(axes, degrees=True)
        np.testing.assert_allclose(found.tilt[:, 1], expected, atol=1e-5)


def diffsims_difference(name, p, q, k_max):
    """Return R of two orientations' patterns, drawn from diffsims' spots on a square grid."""
    generator = SimulationGenerator(200, shape_factor_model="lorentzian", minimum_intensity=1e-12)
    simulation = generator.calculate_diffraction2d(
        diffsims_phase(name), Rotation(np.stack([p, q])), reciprocal_radius=1.4 * k_max,
        with_direct_beam=False, max_excitation_error=0.1, shape_factor_width=np.pi * 0.01,
    )  # fmt: skip
    x = np.arange(-k_max, k_max, 0.01)
    images = []
    for spots in simulation.coordinates:
        profiles = np.exp(-((x[:, None, None] - spots.data[:, :2]) ** 2) / (2 * 0.02**2))
        image = np.einsum("is,js,s->ij", profiles[..., 0], profiles[..., 1], spots.intensity)
        radius = np.hypot(x[:, None], x)
        image[(radius < 0.125) | (radius > k_max)] = 0
        images.append(image / image.sum())
    return np.abs(images[0] - images[1]).sum() / 2


class TestDifference:
    @pytest.mark.parametrize("name", NAMES)
    def test_is_that_of_diffsims(self, name, rng):
        """For tilts that leave all, most and few spots to the zone."""
        k_max, tilts = 1.2, (0.5, 2.0, 4.0)
        q = np.concatenate([near(name, ZONES[name], rng, tilt) for tilt in tilts])
        twin = half_turn(name, np.tile(ZONES[name], (3, 1)), q)
        found = list_twins(
            map_of(np.stack([q, twin], 1), [0.6, 0.4], (name,)),
            accelerating_voltage=200, k_max=k_max,
        )  # fmt: skip
        for i in np.flatnonzero(found.is_twin[:, 1]):
            expected = diffsims_difference(name, q[i], twin[i], k_max)
            assert found.difference[i, 1] == pytest.approx(expected, abs=0.04)
        assert found.is_twin[:2, 1].all()
        assert found.difference[0, 1] < 0.1

    def test_is_that_of_the_exact_twin(self, rng):
        """An error of a degree would make the patterns differ more."""
        name = "cubic"
        q = near(name, ZONES[name], rng, 2.0)
        exact = half_turn(name, ZONES[name], q)
        listed = off(exact, 1.0, rng)
        found = list_twins(map_of(np.stack([q, listed], 1), [0.6, 0.4]), accelerating_voltage=200)
        simulator = KinematicSimulator(crystal(name), 200)
        grid = pyxem_cnn.PolarGrid()
        expected, of_listed = (
            pattern_difference(simulator, q, one, grid)[0] for one in (exact, listed)
        )
        assert found.difference[0, 1] == pytest.approx(expected, abs=0.005)
        assert expected < 0.05 < of_listed

    def test_alike_ones_are_simulated_once(self, rng, monkeypatch):
        """Turned in the plane, equivalent, 0.1 degrees apart."""
        name = "trigonal"
        axes = axes_of_phase(crystal(name).to_phase(), crystal(name), 3)
        number = int(np.flatnonzero((axes.indices == ZONES[name]).all(1))[0])
        q = np.tile(near(name, ZONES[name], rng, 1.0), (300, 1))
        q = off(multiply(q, about_z(rng.uniform(0, 6, 300))), 0.05, rng)
        simulator = KinematicSimulator(crystal(name), 300)
        counted = []
        original = pyxem_cnn.maps.comparison.twins.pattern_differences

        def count(simulator, p, q):
            counted.append(len(p))
            return original(simulator, p, q)

        monkeypatch.setattr(pyxem_cnn.maps.comparison.twins, "pattern_differences", count)
        found = twin_differences(simulator, axes, q, np.full(300, number))
        assert counted[0] <= 8
        twins = axes.turned(q, np.full(300, number))
        expected = pattern_difference(simulator, q, twins, pyxem_cnn.PolarGrid())
        np.testing.assert_allclose(found, expected, atol=0.03)

    def test_without_atoms_there_is_none(self, rng):
        q = near("cubic", ZONES["cubic"], rng)
        xmap = map_of(np.stack([q, half_turn("cubic", ZONES["cubic"], q)], 1), [0.6, 0.4])
        xmap.phases[0].structure.clear()
        with pytest.warns(UserWarning, match="atoms of Si.*phases="):
            found = list_twins(xmap, accelerating_voltage=200)
        assert found.is_twin[0, 1]
        assert np.isnan(found.difference).all()
        assert "-" in found.summary().splitlines()[-3]


class TestWhatIsNoTwin:
    def test_half_turn_about_the_beam_off_the_zone(self, rng):
        """Three degrees off, it is six degrees from the twin, and has another pattern."""
        zones = np.tile(ZONES["cubic"], (2, 1))
        q = np.concatenate([near("cubic", zones[:1], rng, 0.5), near("cubic", zones[:1], rng, 3)])
        turned = multiply(q, about_z(np.array(np.pi)))
        found = list_twins(map_of(np.stack([q, turned], 1), [0.6, 0.4]))
        assert found.relation[:, 1].tolist() == ["twin", "other"]
        assert found.deviation[0, 1] == pytest.approx(1.0, abs=1e-3)
        assert list_twins(found.xmap, tolerance=7).is_twin[:, 1].all()

    def test_axis_far_from_the_beam(self, rng):
        q = near("cubic", (0, 1, 3), rng, 1.0)
        turned = half_turn("cubic", (1, 1, 2), q)
        found = list_twins(map_of(np.stack([q, turned], 1), [0.6, 0.4]))
        assert found.relation[0, 1] == "other"

    @pytest.mark.parametrize(("largest_index", "is_twin"), [(4, False), (5, True)])
    def test_axes_of_larger_indices(self, rng, largest_index, is_twin):
        q = near("cubic", (1, 4, 5), rng, 0.3)
        pair = np.stack([q, half_turn("cubic", (1, 4, 5), q)], 1)
        found = list_twins(map_of(pair, [0.6, 0.4]), largest_index=largest_index)
        assert found.is_twin[0, 1] == is_twin

    @pytest.mark.parametrize(("k_max", "is_twin"), [(1.6, False), (0.8, True)])
    def test_small_detectors_have_more_twins(self, rng, k_max, is_twin):
        """Where spots within half of the radius are of the zone: 15 degrees off [112]."""
        q = near("cubic", ZONES["cubic"], rng, 15.0)  # |u| sin 15 = 1.7 angstrom
        pair = np.stack([q, half_turn("cubic", ZONES["cubic"], q)], 1)
        assert list_twins(map_of(pair, [0.6, 0.4]), k_max=k_max).is_twin[0, 1] == is_twin

    def test_polarity(self, rng):
        """What Friedel's law makes alike is the same orientation here, also in polar maps."""
        q = near("gaas", (1, 1, 0), rng)
        pair = np.stack([q, half_turn("gaas", (1, 1, 0), q)], 1)
        xmap = map_of(pair, [0.6, 0.4], ("gaas",), group="point")
        assert list_twins(xmap).relation[0, 1] == "near"


class TestScores:
    def pairs(self, rng):
        q = near("cubic", np.tile(ZONES["cubic"], (3, 1)), rng)
        twin = half_turn("cubic", np.tile(ZONES["cubic"], (3, 1)), q)
        other = random_quaternions(3, rng)
        return np.stack([q, other, twin], 1)

    def test_those_of_twins_add_up(self, rng):
        found = list_twins(map_of(self.pairs(rng), [0.5, 0.3, 0.125]))
        np.testing.assert_allclose(found.score_with_twins, 0.625)

    def test_low_ones_are_not_listed(self, rng):
        scores = np.array([[0.5, 0.3, 0.1], [0.5, 0.001, 0.1], [0.005, 0.001, np.nan]])
        found = list_twins(map_of(self.pairs(rng), scores))
        expected = [["best", "other", "twin"], ["best", "none", "twin"], ["best", "none", "none"]]
        assert found.relation.tolist() == expected
        np.testing.assert_allclose(found.score_with_twins, [0.6, 0.6, 0.005])
        assert not list_twins(found.xmap, minimum_score=0.2).is_twin.any()
        # Without a score there is no orientation.
        assert list_twins(found.xmap, minimum_score=0).relation[2].tolist()[1:] == ["other", "none"]

    def test_of_another_property_and_of_none(self, rng):
        q = self.pairs(rng)
        xmap = map_of(q, prop={"refined_score": np.tile([0.2, 0.0, 0.7], (3, 1))})
        found = list_twins(xmap, scores="refined_score")
        np.testing.assert_allclose(found.score_with_twins, 0.9)
        bare = list_twins(xmap, scores=None)
        assert bare.relation[0].tolist() == ["best", "other", "twin"]
        assert np.isnan(bare.score_with_twins).all()
        assert "mean" not in bare.summary()
        with pytest.raises(ValueError, match="scores of shape"):
            list_twins(xmap)


class TestMaps:
    def test_several_phases(self, rng):
        """Each by its own lattice; an orientation of another phase is never a twin."""
        names, n = ("trigonal", "cubic", "hexagonal"), 8
        q, ids = np.empty((2 * n, 3, 4)), np.zeros((2 * n, 3), dtype=int)
        for i, name in enumerate(names[:2]):
            own = slice(i * n, (i + 1) * n)
            one = near(name, np.tile(ZONES[name], (n, 1)), rng)
            twin = half_turn(name, np.tile(ZONES[name], (n, 1)), one)
            q[own] = np.stack([one, twin, twin], 1)
            # The third phase is best nowhere, and so not in the list of the map.
            ids[own] = [i, i, 2]
        xmap = map_of(q, [0.5, 0.3, 0.2], names, ids)
        found = list_twins(xmap, accelerating_voltage=200)
        assert (found.relation == ["best", "twin", "other phase"]).all()
        assert np.isfinite(found.difference[:, 1]).all()
        text = found.summary()
        assert "LiNiO2 <" in text
        assert "Si <1 1 2>" in text

    def test_points_that_are_not_indexed(self, rng):
        q = near("cubic", np.tile(ZONES["cubic"], (4, 1)), rng)
        pair = np.stack([q, half_turn("cubic", np.tile(ZONES["cubic"], (4, 1)), q)], 1)
        ids = np.array([[0, 0], [-1, -1], [0, -1], [0, 0]])
        found = list_twins(map_of(pair, [0.6, 0.4], phase_ids=ids), accelerating_voltage=200)
        assert found.relation[1].tolist() == ["none", "none"]
        np.testing.assert_array_equal(np.isnan(found.score_with_twins), [0, 1, 0, 0])
        assert found.counts() == dict(
            zip(("twin", "near", "other", "other phase", "none"), (3, 0, 0, 0, 0), strict=True)
        )
        nothing = list_twins(map_of(pair, [0.6, 0.4], phase_ids=-1))
        assert (nothing.relation == "none").all()
        assert "0 of 4 points" in nothing.summary()

    def scan(self, rng, rows=5, columns=6):
        n = rows * columns
        q = near("trigonal", np.tile(ZONES["trigonal"], (n, 1)), rng)
        twin = half_turn("trigonal", np.tile(ZONES["trigonal"], (n, 1)), q)
        pair = np.stack([q, np.where(rng.random((n, 1)) < 0.5, twin, off(q, 40, rng))], 1)
        best = grid_map(q.reshape(rows, columns, 4), ("trigonal",))
        return build_crystal_map(
            pair, np.zeros((n, 2), int), [crystal("trigonal")],
            coordinates=coordinates_of_map(best), prop={"scores": np.tile([0.6, 0.4], (n, 1))},
            is_in_data=rng.random(n) < 0.9, frame="scan",
        )  # fmt: skip

    def test_slices_and_left_out_points(self, rng):
        xmap = self.scan(rng)
        whole = list_twins(xmap, accelerating_voltage=300)
        assert len(whole.axis) == xmap.size < xmap.is_in_data.size
        part = list_twins(xmap[1:4, 2:6], accelerating_voltage=300)
        assert part.axis.shape == (12, 2, 3)
        assert 0 < part.is_twin.sum() < 12
        # orix' slices hold points again that were left out.
        _, ours, theirs = np.intersect1d(part.xmap.id, xmap.id, return_indices=True)
        assert len(ours) > 8
        for name in ("relation", "axis", "tilt", "deviation", "score_with_twins"):
            np.testing.assert_array_equal(getattr(part, name)[ours], getattr(whole, name)[theirs])
        np.testing.assert_allclose(part.difference[ours], whole.difference[theirs], atol=0.03)

    def test_become_properties_of_the_map(self, rng, tmp_path):
        part = self.scan(rng)[1:4, 2:6]
        found = list_twins(part)
        listed = found.to_crystal_map()
        assert set(part.prop) == {"scores"}
        assert listed.shape == part.shape
        assert listed.frame == "scan"
        np.testing.assert_array_equal(listed.prop["twin_axis"], found.axis)
        np.testing.assert_array_equal(listed.prop["score_with_twins"], found.score_with_twins)
        path = pyxem_cnn.save_crystal_map(listed, tmp_path / "map.h5")
        again = pyxem_cnn.load_crystal_map(path)
        for name in ("twin_axis", "twin_tilt", "twin_difference", "score_with_twins"):
            np.testing.assert_array_equal(again.prop[name], listed.prop[name])

    def test_blocks_make_no_difference(self, rng, monkeypatch):
        xmap = self.scan(rng)
        expected = list_twins(xmap)
        monkeypatch.setattr(relations, "_BLOCK", 4)
        found = list_twins(xmap)
        np.testing.assert_array_equal(found.axis, expected.axis)
        np.testing.assert_array_equal(found.deviation, expected.deviation)

    def test_text(self, rng):
        q = near("cubic", np.tile(ZONES["cubic"], (4, 1)), rng, 1.5)
        twin = half_turn("cubic", np.tile(ZONES["cubic"], (4, 1)), q)
        second = np.concatenate([twin[:3], random_quaternions(1, rng)])
        found = list_twins(map_of(np.stack([q, second], 1), [0.5, 0.4]), accelerating_voltage=200)
        assert repr(found) == "<TwinList: 4 points; second orientations: 3 twin, 1 other>"
        lines = found.summary().splitlines()
        assert lines[0] == "4 of 4 points are indexed, with up to 2 orientations each"
        assert lines[5].split()[:4] == ["orientation", "2", "75.0", "%"]
        (axes,) = (line for line in lines if "Si <1 1 2>" in line)
        assert axes.split()[4:7] == ["3", "1.5", "deg"]
        assert lines[-1].endswith("0.500, with their twins 0.800")

    def test_lattice_is_the_phase_s_own(self):
        """As orix' phase has it, also where it has lost its space group."""
        for name in (*NAMES, "gaas"):
            phase = crystal(name).to_phase()
            ours, theirs = TwinAxes.of(crystal(name), 4), axes_of_phase(phase, crystal_of(phase), 4)
            np.testing.assert_array_equal(theirs.indices, ours.indices)
            np.testing.assert_allclose(theirs.vectors, ours.vectors, atol=1e-6)


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"tolerance": 0}, "tolerance.*degrees"),
            ({"k_max": -1}, "k_max.*1/angstrom"),
            ({"largest_index": 0}, "largest_index"),
            ({"accelerating_voltage": 200_000}, "accelerating_voltage.*kV"),
            ({"minimum_score": 1.5}, "minimum_score"),
            ({"scores": "probability"}, "probability of shape"),
        ],
    )
    def test_wrong_arguments(self, rng, change, words):
        xmap = map_of(random_quaternions(4, rng).reshape(2, 2, 4), [0.6, 0.4])
        with pytest.raises(ValueError, match=words):
            list_twins(xmap, **change)

    def test_maps_without_others(self, rng):
        single = map_of(random_quaternions(2, rng).reshape(2, 1, 4), 1.0)
        with pytest.raises(ValueError, match="n_best=3"):
            list_twins(single)
        with pytest.raises(TypeError, match="one by one"):
            list_twins([single])

    def test_phases_without_a_cell_or_group(self, rng):
        xmap = map_of(random_quaternions(4, rng).reshape(2, 2, 4), [0.6, 0.4])
        xmap.phases[0].structure = Structure(lattice=Lattice(1, 1, 1, 90, 90, 90))
        with pytest.raises(ValueError, match="no cell"):
            list_twins(xmap)
        xmap.phases[0].space_group = xmap.phases[0].point_group = None
        with pytest.raises(ValueError, match="no point group"):
            list_twins(xmap)
