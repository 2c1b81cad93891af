"""Training patterns: above all, that the label belongs to the pattern."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffsims.generators.simulation_generator import SimulationGenerator
from orix.quaternion import Rotation

from pyxem_cnn import augmentations as aug
from pyxem_cnn.datasets import Conditions, Ingredient, PatternSource
from pyxem_cnn.detector.grids import PolarGrid
from pyxem_cnn.rotations import disorientation_angle, multiply, zone_axis
from pyxem_cnn.simulation.bloch_waves.simulator import BlochWaveSimulator
from pyxem_cnn.simulation.decoys import decoy_library
from pyxem_cnn.simulation.library.file import simulate_library
from pyxem_cnn.simulation.library.zone_axis_library import (
    kinematic_library,
    library_from_simulation,
)
from pyxem_cnn.simulation.rendering import render_polar
from tests._crystals import NAMES, crystal, diffsims_phase

GRID = PolarGrid(n_radial=24, n_azimuthal=96, k_min=0.12, k_max=1.0)
SLAB = 0.05

# Nothing is disturbed: no noise, no errors, no background, all of a wide detector.
QUIET = Conditions(
    noise_free=1.0,
    spot_sigma=(0.015, 0.015),
    discs=0.0,
    relrod_width=(1e3, 1e3),
    debye_waller=(0.0, 0.0),
    intensity_power=(1.0, 1.0),
    intensity_spread=0.0,
    position_spread=0.0,
    center_error=0.0,
    scale_error=0.0,
    ellipticity=0.0,
    background=(0.0, 0.0),
    direct_beam=(1e-9, 1e-9),
    half_width=(9.0, 9.0),
    beam_offset=0.0,
    gaussian_background=0.0,
    unmasked=0.0,
    blocked=0.0,
    gaps=0.0,
    hot_pixels=(0.0, 0.0),
    integrating=0.0,
    saturated=0.0,
    overlap=0.0,
    decoys=0.0,
)


def library_of(name, n=40):
    return kinematic_library(
        crystal(name), 200, k_max=GRID.k_max, max_excitation_error=SLAB, n_zone_axes=n, n_spots=400
    )


def simulate(name, quaternions, shape_factor=None):
    """Return the diffsims simulation of orientations, every spot in the slab equally excited."""
    generator = SimulationGenerator(
        200, shape_factor_model=shape_factor or (lambda error, width: np.ones_like(error))
    )
    return generator.calculate_diffraction2d(
        diffsims_phase(name),
        Rotation(quaternions),
        # Larger than need be: diffsims misses reflections near its radius in oblique cells.
        reciprocal_radius=1.35 * GRID.k_max,
        with_direct_beam=False,
        max_excitation_error=SLAB,
    )


def expected_pattern(vectors, sigma=0.015):
    """Return (n_radial, n_azimuthal) integrals of round Gaussian spots, sampled finely."""
    n = 4
    r = GRID.k_min + (np.arange(GRID.n_radial * n) + 0.5) * GRID.radial_step / n
    a = ((np.arange(GRID.n_azimuthal * n) + 0.5) / n - 0.5) * GRID.azimuthal_step
    x, y = r[:, None] * np.cos(a), r[:, None] * np.sin(a)
    image = np.zeros_like(x)
    for (kx, ky, _), weight in zip(vectors.data, vectors.intensity, strict=True):
        image += weight * np.exp(-((x - kx) ** 2 + (y - ky) ** 2) / (2 * sigma**2))
    image *= r[:, None]
    return image.reshape(GRID.n_radial, n, GRID.n_azimuthal, n).sum((1, 3))


def correlation(a, b):
    a, b = np.sqrt(a).ravel(), np.sqrt(b).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def is_mirrored(orientation, library):
    """Return whether labels have a zone axis that no entry of the library has."""
    axes = zone_axis(orientation.astype(float))
    own = zone_axis(library.orientation.astype(float))
    return np.linalg.norm(axes[:, None] - own, axis=-1).min(1) > 1e-3


class TestLabels:
    """The single most important thing: orientation and pattern belong together."""

    @pytest.mark.parametrize("name", NAMES)
    def test_patterns_are_those_that_diffsims_gives_at_the_label(self, name, generator):
        library = library_of(name)
        batch = PatternSource(library, GRID, QUIET).batch(14, generator)
        labels = batch.orientation.numpy().astype(float)
        mirrored = is_mirrored(labels, library)
        assert 3 <= mirrored.sum() <= 11
        two_fold = np.array([0.0, 0.0, 1.0, 0.0])
        right = simulate(name, labels).coordinates
        wrong = simulate(name, multiply(labels, two_fold)).coordinates
        content = (batch.counts * torch.as_tensor(GRID.bin_areas)).numpy()
        fits = [correlation(c, expected_pattern(v)) for c, v in zip(content, right, strict=True)]
        misfits = [correlation(c, expected_pattern(v)) for c, v in zip(content, wrong, strict=True)]
        assert min(fits) > 0.99
        # The mirrored or unmirrored twin of the label would not do.
        assert np.median(misfits) < 0.8

    @pytest.mark.parametrize("name", NAMES)
    def test_strongest_spots(self, name, generator):
        """Radius and azimuth of the strongest well separated spots, mirrored patterns included."""
        library = library_of(name)
        batch = PatternSource(library, GRID, QUIET).batch(14, generator)
        content = (batch.counts * torch.as_tensor(GRID.bin_areas)).numpy()
        simulation = simulate(name, batch.orientation.numpy().astype(float))
        checked = 0
        for pattern, vectors in zip(content, simulation.coordinates, strict=True):
            kx, ky, _ = vectors.data.T
            k = np.hypot(kx, ky)
            inside = (k > 0.2) & (k < 0.95)
            for spot in np.argsort(-vectors.intensity * inside)[:3]:
                ring = int((k[spot] - GRID.k_min) // GRID.radial_step)
                wedge = round(np.arctan2(ky[spot], kx[spot]) / GRID.azimuthal_step)
                wedges = np.arange(wedge - 3, wedge + 4) % GRID.n_azimuthal
                window = pattern[max(0, ring - 1) : ring + 2][:, wedges]
                total = window.sum() / pattern.sum()
                share = vectors.intensity[spot] / vectors.intensity.sum()
                assert total > 0.7 * share
                checked += 1
        assert checked > 30

    def test_simulated_libraries_too(self, generator):
        """Patterns from diffsims, entries with an in-plane angle of their own."""
        from pyxem_cnn.rotations import random_quaternions

        rotations = random_quaternions(110, np.random.default_rng(2))
        simulation = simulate("trigonal", rotations)
        library = library_from_simulation(simulation, crystal("trigonal"), n_spots=400)
        batch = PatternSource(library, GRID, QUIET).batch(8, generator)
        labels = batch.orientation.numpy().astype(float)
        assert 1 <= is_mirrored(labels, library).sum() <= 7
        content = (batch.counts * torch.as_tensor(GRID.bin_areas)).numpy()
        vectors = simulate("trigonal", labels).coordinates
        fits = [correlation(c, expected_pattern(v)) for c, v in zip(content, vectors, strict=True)]
        assert min(fits) > 0.99

    @pytest.mark.parametrize("name", ["cubic", "trigonal", "monoclinic"])
    def test_labels_cover_all_orientations_evenly(self, name, generator):
        phase = crystal(name)
        library = library_of(name, n=400)
        source = PatternSource(library, GRID, QUIET)
        labels = source._spots(library, 20_000, generator).orientation.numpy()
        symmetry = phase.symmetry_quaternions()
        # As many labels near any orientation as the volume of the ball says, on average over 8.
        probes = np.random.default_rng(3).normal(size=(8, 4))
        probes /= np.linalg.norm(probes, axis=1, keepdims=True)
        angle = disorientation_angle(labels, probes[:, None], symmetry)
        limit = np.deg2rad(15)
        expected = len(symmetry) * (limit - np.sin(limit)) / np.pi
        found = (angle < limit).mean(axis=1)
        np.testing.assert_allclose(found.mean(), expected, rtol=0.15)
        np.testing.assert_allclose(found, expected, rtol=0.5)


@pytest.fixture(scope="module")
def library():
    return library_of("cubic", n=60)


@pytest.fixture(scope="module")
def decoys():
    return decoy_library(
        crystal("cubic"), 200, np.random.default_rng(0), k_max=1.0, n_lattices=6, n_orientations=9
    )


class TestBatches:
    def test_shapes_and_values(self, library, decoys, generator):
        conditions = Conditions().fitted_to(library, GRID)
        batch = PatternSource(library, GRID, conditions, decoys).batch(200, generator)
        assert batch.counts.shape == batch.mask.shape == (200, *GRID.shape)
        assert batch.orientation.shape == (200, 4)
        assert batch.kind.shape == batch.thickness.shape == batch.share.shape == (200,)
        assert batch.kind.dtype == torch.int64
        others = batch._replace(kind=batch.share)
        assert all(part.dtype == torch.float32 for part in others)
        # Kinematic patterns have no thickness.
        assert batch.thickness.isnan().all()
        assert all(p.isfinite().all() for p in batch._replace(thickness=batch.share))
        # Only what integrating detectors read may be negative, by their noise.
        negative = (batch.counts < 0).any(-1).any(-1)
        assert negative.float().mean() < 0.3
        counting = replace(conditions, integrating=0.0)
        batch = PatternSource(library, GRID, counting, decoys).batch(200, generator)
        assert (batch.counts >= 0).all()
        assert not (batch.counts * (1 - batch.mask)).any()
        torch.testing.assert_close(batch.orientation.norm(dim=1), torch.ones(200))

    def test_same_seed_same_patterns(self, library, decoys):
        conditions = Conditions().fitted_to(library, GRID)
        source = PatternSource(library, GRID, conditions, decoys)
        a, b, c = (source.batches(16, seed=s) for s in (5, 5, 6))
        for _ in range(2):
            first, again, other = next(a), next(b), next(c)
            for x, y in zip(first, again, strict=True):
                assert torch.equal(x.nan_to_num(), y.nan_to_num())
            assert not torch.equal(first.counts, other.counts)
        assert not torch.equal(first.counts, next(a).counts)

    def test_the_global_generator_plays_no_part(self, library, decoys):
        source = PatternSource(library, GRID, Conditions().fitted_to(library, GRID), decoys)
        batches = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)
            state = torch.get_rng_state()
            batches.append(source.batch(8, torch.Generator().manual_seed(0)))
            assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(batches[0].counts, batches[1].counts)

    def test_decoys_are_flagged(self, library, decoys, generator):
        conditions = replace(QUIET, decoys=0.25)
        source = PatternSource(library, GRID, conditions, decoys)
        kinds = torch.cat([source.batch(200, generator).kind for _ in range(10)])
        assert set(kinds.tolist()) == {0, 1, 2, 3}
        assert float((kinds > 0).float().mean()) == pytest.approx(0.25, abs=0.03)
        batch = source.batch(200, generator)
        # Some decoys are vacuum and some amorphous; patterns of the phase never are.
        for kind in (is_vacuum(batch), is_smooth(batch) & ~is_vacuum(batch)):
            assert not kind[batch.kind == 0].any()
            share = kind[batch.kind > 0].float().mean()
            assert 0.04 < float(share) < 0.3
        no_crystal = (batch.kind > 0) & is_smooth(batch)
        assert int(no_crystal.sum()) == math.ceil(int((batch.kind > 0).sum()) / 3)

    def test_decoys_are_not_the_patterns_of_their_labels(self, library, decoys, generator):
        source = PatternSource(library, GRID, replace(QUIET, decoys=0.5), decoys)
        batch = source.batch(20, generator)
        chosen = (batch.kind > 0) & ~is_smooth(batch)
        content = (batch.counts * torch.as_tensor(GRID.bin_areas))[chosen].numpy()
        vectors = simulate("cubic", batch.orientation[chosen].numpy().astype(float)).coordinates
        fits = [correlation(c, expected_pattern(v)) for c, v in zip(content, vectors, strict=True)]
        assert np.median(fits) < 0.6

    def test_without_decoys_there_are_none(self, library, generator):
        source = PatternSource(library, GRID, replace(QUIET, decoys=0.9))
        assert (source.batch(50, generator).kind == 0).all()

    @pytest.mark.parametrize("electrons", [300.0, 2e4])
    def test_electrons(self, library, electrons, generator):
        conditions = replace(QUIET, noise_free=0.0, electrons=(electrons, electrons))
        batch = PatternSource(library, GRID, conditions).batch(150, generator)
        total = (batch.counts * torch.as_tensor(GRID.bin_areas, dtype=torch.float32)).sum((1, 2))
        assert float(total.mean()) == pytest.approx(electrons, rel=5 / math.sqrt(150 * electrons))
        assert float(total.std()) == pytest.approx(math.sqrt(electrons), rel=0.25)

    def test_electrons_within_the_mask_count(self, library, generator):
        conditions = replace(
            QUIET, noise_free=0.0, electrons=(1e4, 1e4), half_width=(0.7, 0.7), blocked=1.0
        )
        batch = PatternSource(library, GRID, conditions).batch(100, generator)
        total = (batch.counts * torch.as_tensor(GRID.bin_areas, dtype=torch.float32)).sum((1, 2))
        seen = total > 0
        assert seen.float().mean() > 0.9
        assert float(total[seen].mean()) == pytest.approx(1e4, rel=0.01)

    def test_share_of_unmasked_patterns(self, library, generator):
        masked = replace(QUIET, half_width=(0.5, 0.5), blocked=1.0)
        batch = PatternSource(library, GRID, replace(masked, unmasked=0.3)).batch(300, generator)
        whole = (batch.mask == 1).flatten(1).all(1)
        assert float(whole.float().mean()) == pytest.approx(0.3, abs=0.09)
        # The others see no more than a small detector does.
        assert float(batch.mask[~whole].mean(dim=(1, 2)).max()) < 0.6
        batch = PatternSource(library, GRID, masked).batch(50, generator)
        assert not (batch.mask == 1).flatten(1).all(1).any()

    def test_share_of_noise_free_patterns(self, library, generator):
        conditions = replace(QUIET, noise_free=0.3, electrons=(200.0, 200.0))
        batch = PatternSource(library, GRID, conditions).batch(400, generator)
        counts = batch.counts * torch.as_tensor(GRID.bin_areas, dtype=torch.float32)
        whole = ((counts - counts.round()).abs() < 1e-3).all(-1).all(-1)
        assert float(1 - whole.float().mean()) == pytest.approx(0.3, abs=0.08)

    def test_background(self, library, generator):
        conditions = replace(QUIET, background=(0.5, 0.5))
        batch = PatternSource(library, GRID, conditions).batch(300, generator)
        counts = batch.counts * torch.as_tensor(GRID.bin_areas, dtype=torch.float32)
        # Most bins of a ring hold its background alone; a fifth of the patterns has none.
        diffuse = counts.median(2).values.sum(1) * GRID.n_azimuthal / counts.sum((1, 2))
        with_background = diffuse > 0.05
        assert float(with_background.float().mean()) == pytest.approx(0.8, abs=0.08)
        assert float(diffuse[with_background].median()) == pytest.approx(0.5, abs=0.06)

    @pytest.mark.parametrize(
        "change",
        [
            {"discs": 1.0, "disc_radius": (0.05, 0.05)},
            {"center_error": 0.03},
            {"scale_error": 0.05},
            {"ellipticity": 0.05},
            {"position_spread": 0.03},
            {"intensity_spread": 1.0},
            {"intensity_power": (0.4, 0.4)},
            {"debye_waller": (3.0, 3.0)},
            {"relrod_width": (0.01, 0.01)},
            {"direct_beam": (1e3, 1e3), "spot_sigma": (0.03, 0.03)},
            {"overlap": 1.0},
            {"blocked": 1.0},
            {"gaps": 1.0, "gap_width": (0.1, 0.1)},
            {"saturated": 1.0},
            {"half_width": (0.5, 0.5)},
            {"beam_offset": 0.9, "half_width": (1.0, 1.0)},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_every_condition_does_something(self, library, change):
        def pattern(conditions):
            source = PatternSource(library, GRID, conditions)
            return source.batch(12, torch.Generator().manual_seed(3)).counts

        changed, quiet = pattern(replace(QUIET, **change)), pattern(QUIET)
        different = (changed - quiet).abs().sum((1, 2)) > 1e-2 * quiet.sum((1, 2))
        # Few spots lie behind a narrow beam stop.
        assert different.sum() >= (1 if "blocked" in change else 4)


def is_vacuum(batch):
    """Return which patterns hold nothing at all."""
    return batch.counts.sum((1, 2)) == 0


def is_smooth(batch):
    """Return which patterns have no spots: every bin is like the next one around the ring."""
    jump = (batch.counts - batch.counts.roll(1, 2)).abs().amax((1, 2))
    return jump <= 0.2 * batch.counts.amax((1, 2))


def bin_counts(batch):
    """Return counts per bin."""
    return batch.counts * torch.as_tensor(GRID.bin_areas, dtype=torch.float32)


class TestDetectors:
    def test_vacuum_has_few_electrons(self, library, decoys, generator):
        conditions = replace(
            QUIET, decoys=0.5, noise_free=0.0, electrons=(1e5, 1e5), direct_beam=(1.0, 1.0)
        )
        conditions = replace(conditions, spot_sigma=(0.05, 0.05))  # its tail reaches the grid
        batch = PatternSource(library, GRID, conditions, decoys).batch(300, generator)
        total = bin_counts(batch).sum((1, 2))
        few = total < 500
        assert not few[batch.kind == 0].any()
        assert 0.05 < float(few[batch.kind > 0].float().mean()) < 0.3

    def test_integrating_detectors_give_fractions_and_keep_the_mean(self, library, generator):
        conditions = replace(QUIET, noise_free=0.0, electrons=(3e3, 3e3), integrating=1.0)
        counts = bin_counts(PatternSource(library, GRID, conditions).batch(100, generator))
        assert ((counts - counts.round()).abs() > 0.05).float().mean() > 0.5
        assert float(counts.sum((1, 2)).mean()) == pytest.approx(3e3, rel=0.05)

    def test_noise_free_patterns_are_not_integrated(self, library, generator):
        conditions = replace(QUIET, integrating=1.0, hot_pixels=(1e-3, 1e-3))
        source = PatternSource(library, GRID, conditions)
        quiet = PatternSource(library, GRID, QUIET)
        for a, b in zip(
            *(s.batch(4, torch.Generator().manual_seed(1)).counts for s in (source, quiet)),
            strict=True,
        ):
            assert correlation(a.numpy(), b.numpy()) > 0.95  # another draw, the same kind

    def test_saturated_patterns_end_at_one_value(self, library, generator):
        batch = PatternSource(library, GRID, replace(QUIET, saturated=1.0)).batch(40, generator)
        largest = batch.counts.amax((1, 2), keepdim=True)
        at_the_limit = ((batch.counts - largest).abs() < 1e-4 * largest).sum((1, 2))
        assert float((at_the_limit > 1).float().mean()) > 0.5

    def test_hot_pixels_stand_alone(self, library, generator):
        conditions = replace(QUIET, noise_free=0.0, electrons=(10.0, 10.0), hot_pixels=(1e-3, 1e-3))
        counts = bin_counts(PatternSource(library, GRID, conditions).batch(50, generator))
        assert float(counts.sum((1, 2)).median()) > 20

    def test_gaps_are_masked(self, library, generator):
        conditions = replace(QUIET, gaps=1.0, gap_width=(0.1, 0.1))
        batch = PatternSource(library, GRID, conditions).batch(20, generator)
        share = batch.mask.mean((1, 2))
        assert ((share > 0.5) & (share < 1)).all()
        assert (batch.counts[batch.mask == 0] == 0).all()

    def test_gaussian_background(self, library, generator):
        conditions = replace(
            QUIET, background=(0.9, 0.9), gaussian_background=1.0, gaussian_width=(0.3, 0.3)
        )
        batch = PatternSource(library, GRID, conditions).batch(40, generator)
        # Most bins of a ring hold its background alone; a fifth of the patterns has none.
        profile = batch.counts.median(2).values
        profile = profile[profile.sum(1) > 1e-3 * profile.sum(1).max()]
        radius = torch.as_tensor(GRID.radii, dtype=torch.float32)
        expected = torch.exp(-(radius**2) / (2 * 0.3**2))
        fits = [correlation(p.numpy(), expected.numpy()) for p in profile]
        assert np.median(fits) > 0.99


class TestDynamicalPatterns:
    @pytest.fixture(scope="class", params=["trigonal", "gaas"])
    @classmethod
    def dynamical(cls, request):
        return simulate_library(
            crystal(request.param),
            200,
            n_zone_axes=40,
            n_beams=48,
            n_thicknesses=4,
            k_max=1.05,
            debye_waller_spread=0,
            show_progressbar=False,
        )

    def expected(self, library, label, thickness):
        """Return what the simulator gives at the label, with other tilts and more beams."""
        simulator = BlochWaveSimulator(
            library.crystal, accelerating_voltage=200, n_beams=72, n_tilts=19, g_max=1.4
        )
        spots = simulator.calculate(label, thicknesses=thickness[:, None])
        intensity = spots.intensity[:, 0, 1:] / spots.tilts.shape[1]
        radius = np.full(len(label), library.disc_radius)
        return render_polar(
            spots.k[:, 1:], intensity, 0.2 * radius, GRID, disc_radius=radius, tilts=spots.tilts
        )

    def test_are_those_that_the_simulator_gives_at_the_label(self, dynamical, generator):
        radius = dynamical.disc_radius
        conditions = replace(
            QUIET, discs=1.0, disc_radius=(radius, radius), spot_sigma=(0.2 * radius,) * 2
        )
        batch = PatternSource(dynamical, GRID, conditions).batch(16, generator)
        content = (batch.counts * torch.as_tensor(GRID.bin_areas)).numpy()
        label, thickness = batch.orientation.double().numpy(), batch.thickness.double().numpy()
        two_fold = np.array([0.0, 0.0, 1.0, 0.0])
        right = self.expected(dynamical, label, thickness)
        wrong = self.expected(dynamical, multiply(label, two_fold), thickness)
        fits = [correlation(a, b) for a, b in zip(content, right, strict=True)]
        misfits = [correlation(a, b) for a, b in zip(content, wrong, strict=True)]
        assert np.median(fits) > 0.98
        assert min(fits) > 0.9
        assert np.median(misfits) < 0.85

    def test_gaussian_spots_hold_the_mean_of_the_disc(self, dynamical):
        radius = dynamical.disc_radius
        discs = replace(QUIET, discs=1.0, disc_radius=(radius, radius))
        counts = [
            PatternSource(dynamical, GRID, c).batch(8, torch.Generator().manual_seed(1)).counts
            for c in (replace(discs, discs=0.0), discs)
        ]
        spots, discs = (c * torch.as_tensor(GRID.bin_areas) for c in counts)
        # Sharper, but the same share in every ring that is wider than a disc.
        assert (spots.amax((1, 2)) > discs.amax((1, 2))).all()
        rings = [x.sum(2).view(8, 3, 8).sum(2) / x.sum((1, 2))[:, None] for x in (spots, discs)]
        assert float((rings[0] - rings[1]).abs().max()) < 0.2

    def test_conditions(self, dynamical):
        fitted = Conditions().fitted_to(dynamical, GRID)
        radius = dynamical.disc_radius
        np.testing.assert_allclose(fitted.disc_radius, (0.85 * radius, 1.15 * radius))
        assert fitted.intensity_spread < Conditions().intensity_spread
        assert fitted.intensity_power[0] > Conditions().intensity_power[0]
        assert fitted.debye_waller[1] < Conditions().debye_waller[1]

    def test_thicknesses_of_decoys_are_unknown(self, dynamical, decoys, generator):
        conditions = Conditions().fitted_to(dynamical, GRID)
        source = PatternSource(dynamical, GRID, replace(conditions, decoys=0.3), decoys)
        batch = source.batch(60, generator)
        assert torch.equal(batch.thickness.isnan(), batch.kind > 0)
        assert batch.counts.isfinite().all()
        assert ((batch.kind > 0).sum() > 5).item()


class TestConditions:
    def test_fitted_to_a_crystal(self):
        library = library_of("trigonal")
        fitted = Conditions().fitted_to(library, GRID)
        # Shortest reflection of LiNiO2: 003 at 1 / 4.73 A.
        nearest = 3 / 14.19
        assert fitted.spot_sigma[1] <= 0.2 * nearest + 1e-6
        assert fitted.disc_radius[1] <= 0.4 * nearest + 1e-6
        np.testing.assert_allclose(fitted.half_width, (0.4, 1.8))
        for name in ("spot_sigma", "disc_radius", "relrod_width", "half_width"):
            low, high = getattr(fitted, name)
            assert 0 < low < high

    def test_relrods_stay_inside_the_slab_of_the_library(self):
        # Some lists are not full: what is padded must not count.
        library = kinematic_library(
            crystal("cubic"), 200, k_max=1.0, max_excitation_error=0.02, n_zone_axes=40
        )
        assert (library.spots.intensity == 0).any()
        assert Conditions().fitted_to(library, GRID).relrod_width[1] <= 0.4 * 0.02 + 1e-6

    @pytest.mark.parametrize(
        ("wrong", "error", "message"),
        [
            ({"electrons": 1e4}, TypeError, r"electrons: got 10000.0.* electrons=\(value, value\)"),
            ({"electrons": (1, 10, 100)}, TypeError, "electrons"),
            ({"electrons": (0, 1e4)}, ValueError, "electrons: got 0, expected a number above zero"),
            ({"electrons": (1e4, 1e3)}, ValueError, "the lower one first"),
            ({"debye_waller": (-1.0, 1.0)}, ValueError, "debye_waller"),
            ({"background": (0.0, 1.0)}, ValueError, "background.* below 1"),
            ({"hot_pixels": (0.0, 2.0)}, ValueError, "hot_pixels.* below 1"),
            ({"discs": 1.5}, ValueError, "discs: got 1.5, expected a share from 0 to 1"),
            ({"discs": -0.1}, ValueError, "discs"),
            ({"center_error": (0.0, 0.1)}, TypeError, "center_error"),
        ],
    )
    def test_refused(self, wrong, error, message):
        with pytest.raises(error, match=message):
            Conditions(**wrong)

    def test_validation(self):
        measured = Conditions().measured_at(300.0)
        assert measured.electrons == (300.0, 300.0)
        assert measured.noise_free == measured.decoys == measured.overlap == 0

    def test_json(self):
        import json

        again = json.loads(json.dumps(Conditions().to_dict()))
        assert (
            Conditions(**{k: tuple(v) if isinstance(v, list) else v for k, v in again.items()})
            == Conditions()
        )


@pytest.fixture(scope="module")
def mixture():
    return [Ingredient(library_of("cubic"), 0, 3.0), Ingredient(library_of("trigonal"), 1, 1.0)]


class TestMixtures:
    def test_phases_come_as_their_weights_say(self, mixture, generator):
        source = PatternSource(mixture, GRID, QUIET)
        kinds = torch.cat([source.batch(100, generator).kind for _ in range(10)])
        assert set(kinds.tolist()) == {0, 1}
        assert float((kinds == 0).float().mean()) == pytest.approx(0.75, abs=0.05)

    @pytest.mark.parametrize(("name", "phase"), [("cubic", 0), ("trigonal", 1)])
    def test_labels_belong_to_the_patterns(self, mixture, generator, name, phase):
        batch = PatternSource(mixture, GRID, QUIET).batch(40, generator)
        own = batch.kind == phase
        vectors = simulate(name, batch.orientation[own].numpy().astype(float)).coordinates
        content = bin_counts(batch)[own].numpy()
        fits = [correlation(c, expected_pattern(v)) for c, v in zip(content, vectors, strict=True)]
        assert np.median(fits) > 0.9

    def test_dynamical_discs_and_precessed_patterns(self, generator):
        libraries = [
            simulate_library(
                crystal("cubic"),
                200,
                n_zone_axes=20,
                n_beams=16,
                n_tilts=n_tilts,
                precession_angle=angle,
                k_max=1.0,
                show_progressbar=False,
            )
            for n_tilts, angle in ((5, 0), (1, 0.3))
        ]
        mixture = [Ingredient(one, 0, 0.5) for one in libraries]
        conditions = replace(QUIET, discs=1.0, disc_radius=(0.04, 0.04))
        batch = PatternSource(mixture, GRID, conditions).batch(60, generator)
        assert batch.counts.isfinite().all()
        assert batch.thickness.isfinite().all()

    def test_second_grains(self, mixture, generator):
        """A pattern holds the one before it, with the share that the label does not have."""
        quiet = PatternSource(mixture, GRID, QUIET)
        spots, kind = quiet._phases(60, torch.Generator().manual_seed(3))
        alone = quiet._rendered(spots, torch.Generator().manual_seed(4))[0]
        weight = aug.second_weight(60, 0.5, 0.8, generator)
        both = aug.add_second(alone, weight)
        some = weight.nonzero()[:, 0]
        assert 15 < len(some) < 45
        share = alone.sum((1, 2)) / both.sum((1, 2))
        torch.testing.assert_close(share, 1 / (1 + weight), atol=1e-4, rtol=1e-4)
        batch = PatternSource(mixture, GRID, replace(QUIET, overlap=0.5)).batch(200, generator)
        assert set(batch.share[batch.share == 1].tolist()) == {1.0}
        assert 0.3 < float((batch.share < 1).float().mean()) < 0.7
        assert float(batch.share.min()) > 1 / 1.8

    def test_only_phases_overlap(self, mixture, decoys, generator):
        conditions = replace(QUIET, overlap=1.0, decoys=0.4)
        batch = PatternSource(mixture, GRID, conditions, decoys).batch(200, generator)
        is_phase = batch.kind < 2
        assert (batch.share[~is_phase] == 1).all()
        assert (batch.share[is_phase & ~is_phase.roll(1)] == 1).all()
        assert float((batch.share[is_phase] < 1).float().mean()) > 0.9


class TestDoses:
    def test_begin_high_and_come_down(self):
        conditions = Conditions(electrons=(100.0, 1e5))
        lowest = [conditions.eased(x).electrons[0] for x in (0, 0.15, 0.3, 1)]
        np.testing.assert_allclose(lowest, [1000, 1000**0.5 * 10, 100, 100])
        assert all(conditions.eased(x).electrons[1] == 1e5 for x in (0, 0.2, 1))

    def test_high_doses_stay(self):
        conditions = Conditions(electrons=(1e4, 1e5))
        assert conditions.eased(0) == conditions


@pytest.mark.gpu
def test_patterns_of_a_gpu_are_of_the_same_kind():
    """Other random numbers, the same statistics, and everything stays on the device."""
    library = library_of("linio2")
    source = PatternSource(library, GRID, Conditions().fitted_to(library, GRID))
    own, other = (next(source.batches(400, 0, device)) for device in ("cpu", "cuda"))
    assert all(field.device.type == "cuda" for field in other)
    for a, b in ((own.counts, other.counts), (own.mask, other.mask)):
        a, b = a.clamp(min=0).sum((1, 2)).log1p(), b.cpu().clamp(min=0).sum((1, 2)).log1p()
        assert a.mean().item() == pytest.approx(b.mean().item(), abs=4 * a.std().item() / 20)
