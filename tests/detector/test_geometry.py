"""Detector geometry: reading calibrations, frames, and finding the direct beam."""

from __future__ import annotations

import pickle
import warnings

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import BeamShift, ElectronDiffraction2D

from pyxem_cnn import rotations
from pyxem_cnn.detector.calibration import scale_factor
from pyxem_cnn.detector.geometry import (
    DetectorGeometry,
    electron_wavelength,
    find_center,
    shifts_from_beam_shift,
)

SHAPE = (64, 80)


def make_signal(units=r"$\AA^{-1}$", scale=0.02, offset=(-0.8, -0.6), kind=ElectronDiffraction2D):
    signal = kind(np.zeros((2, 3, *SHAPE), dtype=np.uint8))
    for axis, o, s in zip(
        signal.axes_manager.signal_axes, offset, np.broadcast_to(scale, 2), strict=True
    ):
        axis.units, axis.scale, axis.offset = units, s, o
    return signal


# --- Reading signals


@pytest.mark.parametrize("kind", [ElectronDiffraction2D, hs.signals.Signal2D])
@pytest.mark.parametrize("lazy", [False, True])
def test_from_signal(kind, lazy):
    signal = make_signal(kind=kind)
    signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200)
    geometry = DetectorGeometry.from_signal(signal.as_lazy() if lazy else signal)
    assert geometry.shape == SHAPE
    np.testing.assert_allclose(geometry.center, (40, 30))
    np.testing.assert_allclose(geometry.scale, (0.02, 0.02))
    assert geometry.beam_energy == 200
    assert geometry.mask is None


def test_from_signal_equals_pyxem_calibration():
    signal = make_signal(scale=(0.02, 0.03))
    signal.calibration.center = (33.25, 20.5)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3] = True
    signal.calibration.mask = mask
    signal.calibration.beam_energy = 300
    geometry = DetectorGeometry.from_signal(signal)
    np.testing.assert_allclose(geometry.center, signal.calibration.center)
    np.testing.assert_allclose(geometry.scale, signal.calibration.scale)
    np.testing.assert_array_equal(geometry.mask, mask)
    assert geometry.beam_energy == 300


def test_plain_signal_without_any_calibration():
    with pytest.raises(ValueError, match="not calibrated. Units: got <undefined>, .* Pass scale="):
        DetectorGeometry.from_signal(hs.signals.Signal2D(np.zeros(SHAPE)))


def test_arguments_take_the_place_of_the_signal():
    signal = make_signal(units="px", scale=1, offset=(0, 0))
    signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        geometry = DetectorGeometry.from_signal(
            signal, center=(30, 31), scale=(0.01, 0.02), beam_energy=80, flip_x=True
        )
    assert geometry.center == (30, 31)
    assert geometry.scale == (0.01, 0.02)
    assert geometry.beam_energy == 80
    assert geometry.flip_x


def test_no_centre_warns_and_takes_the_middle():
    with pytest.warns(
        UserWarning, match=r"x=39.5, y=31.5. Pass center=\(x, y\) .*find_center=True"
    ):
        geometry = DetectorGeometry.from_signal(make_signal(offset=(0, 0)))
    assert geometry.center == (39.5, 31.5)


def test_one_offset_of_zero_is_a_centre():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        geometry = DetectorGeometry.from_signal(make_signal(offset=(-0.8, 0)))
    np.testing.assert_allclose(geometry.center, (40, 0))


def test_simulated_silicon_has_no_centre():
    import pyxem as pxm

    with pytest.warns(UserWarning, match="no beam centre was ever set"):
        geometry = DetectorGeometry.from_signal(pxm.data.si_grains(num_grains=2, size=2))
    assert geometry.center == (63.5, 63.5)
    np.testing.assert_allclose(geometry.scale, 0.01)


def test_affine_transformation_warns():
    signal = make_signal()
    signal.calibration.affine = np.eye(3)
    with pytest.warns(UserWarning, match="affine transformation .* ellipticity="):
        DetectorGeometry.from_signal(signal)


def test_curved_ewald_sphere_of_pyxem():
    # Square, since pyxem 0.21 swaps the lengths of the axes here.
    signal = ElectronDiffraction2D(np.zeros((2, 64, 64)))
    signal.calibration.detector(
        pixel_size=55e-6, detector_distance=0.1, beam_energy=200, center=(40, 30), units="k_A^-1"
    )
    geometry = DetectorGeometry.from_signal(signal)
    np.testing.assert_allclose(geometry.scale, 55e-6 / 0.1 / electron_wavelength(200), rtol=2e-3)
    np.testing.assert_allclose(geometry.center, (40, 30), atol=0.1)
    for axis in signal.axes_manager.signal_axes:
        axis.axis = axis.axis * np.abs(axis.axis)
    with pytest.raises(ValueError, match="Distance of the non-uniform axis .* at most 0.5 pixels"):
        DetectorGeometry.from_signal(signal)


def test_astar_file(test_data):
    # Axes in cm, the camera length (200 mm) written in metres by the reader.
    path = test_data / "spots" / "astar_blo_3x2" / "test1.blo"
    if not path.exists():
        pytest.skip(f"no {path.name} in the test data")
    signal = hs.load(path, lazy=True)
    with pytest.warns(UserWarning, match="no beam centre"):
        geometry = DetectorGeometry.from_signal(signal)
    pixel = 100 / 6226
    np.testing.assert_allclose(geometry.scale, pixel / 20 / electron_wavelength(200), rtol=1e-4)
    assert geometry.shape == (144, 144)
    assert geometry.beam_energy == 200


# --- Units


@pytest.mark.parametrize("energy", [20, 80, 200, 300, 1000])
def test_wavelength_against_diffsims(energy):
    from diffsims.utils.sim_utils import get_electron_wavelength

    np.testing.assert_allclose(
        electron_wavelength(energy), get_electron_wavelength(energy), rtol=1e-6
    )


@pytest.mark.parametrize(
    "units",
    [
        r"$\AA^{-1}$",
        "1/Å",
        "1/\N{ANGSTROM SIGN}",
        "1/A",
        "1 / Å",
        "A^-1",
        "A-1",
        "Å⁻¹",
        "Å^-1",
        "Å^{-1}",
        "Å**-1",
        "$A^{-1}$",
        "k_A^-1",
        "1/angstrom",
        "1 / angstrom",
        "angstrom^-1",
        "1/Ang",
        r"$\mathrm{\AA}^{-1}$",
        r"1/$\AA$",
    ],
)
def test_spellings_of_inverse_angstrom(units):
    assert scale_factor(units) == pytest.approx(1)


@pytest.mark.parametrize(
    "units",
    ["nm^-1", "1/nm", "nm-1", "nm$^{-1}$", "$nm^{-1}$", "k_nm^-1", "nm⁻¹", "1 / nm", "1/nanometer"],
)
def test_spellings_of_inverse_nanometre(units):
    assert scale_factor(units) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("units", "radians"), [("mrad", 1e-3), ("rad", 1), ("deg", np.pi / 180), ("2th_rad", 1)]
)
def test_angles(units, radians):
    assert scale_factor(units, beam_energy=200) == pytest.approx(radians / 0.0250793, rel=1e-5)


@pytest.mark.parametrize(
    ("units", "mm"), [("cm", 10), ("mm", 1), ("um", 1e-3), ("µm", 1e-3), ("m", 1e3)]
)
def test_lengths(units, mm):
    factor = scale_factor(units, beam_energy=200, camera_length=250)
    assert factor == pytest.approx(mm / 250 / 0.0250793, rel=1e-5)


def test_units_of_pyxem_and_hyperspy_are_understood():
    signal = make_signal()
    for units in ("nm^-1", "A^-1", "mrad"):
        signal.calibration.beam_energy = 200
        signal.calibration.convert_signal_units(units)
        geometry = DetectorGeometry.from_signal(signal)
        np.testing.assert_allclose(geometry.scale, 0.02, rtol=1e-3)
        np.testing.assert_allclose(geometry.center, (40, 30), rtol=1e-6)
    signal = make_signal(units="1/nm", scale=0.2, offset=(-8, -6))
    signal.axes_manager.convert_units("signal", ["1/angstrom", "1/angstrom"])
    np.testing.assert_allclose(DetectorGeometry.from_signal(signal).scale, 0.02)


def test_camera_length_in_metadata_is_in_mm_unless_it_says_otherwise():
    tem = "Acquisition_instrument.TEM."
    signal = make_signal(units="mm", scale=0.055, offset=(-1, -1))
    signal.metadata.set_item(tem + "beam_energy", 200)
    signal.metadata.set_item(tem + "camera_length", 100)
    expected = 0.055 / 100 / electron_wavelength(200)
    np.testing.assert_allclose(DetectorGeometry.from_signal(signal).scale, expected)
    signal.calibration.camera_length = "10 cm"  # pyxem writes metres and says so
    assert signal.metadata.get_item(tem + "camera_length") == 0.1
    np.testing.assert_allclose(DetectorGeometry.from_signal(signal).scale, expected)
    given = DetectorGeometry.from_signal(signal, camera_length=50)
    np.testing.assert_allclose(given.scale, 2 * expected)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"units": "px", "scale": 1}, "not calibrated. Units: got 'px', expected 1/angstrom"),
        ({"units": "", "scale": 1}, "not calibrated. Units: got .* Pass scale="),
        ({"units": "s"}, "Units of the signal axes: got 's', expected .* Pass scale="),
        ({"units": "1/s"}, "Units of the signal axes: got '1/s'"),
        ({"units": "nonsense"}, "Units of the signal axes: got 'nonsense'"),
        ({"units": "q_nm^-1"}, r"factor of 2 pi\?\): got 'q_nm\^-1', expected k = 1/d"),
        ({"units": "mrad"}, "Beam energy for signal axes in mrad: got None, .* Pass beam_energy="),
        ({"units": "cm"}, "Camera length for signal axes in cm: got None, .* Pass camera_length="),
        ({"scale": -0.02}, r"scale: got \(-0.02, -0.02\), expected positive .* flip_x="),
        ({"scale": 1}, r"scale: got \(1, 1\) .* 80 1/angstrom wide, expected 0.2 to 20"),
        ({"scale": 1e-3}, "0.08 1/angstrom wide, expected 0.2 to 20.0. Check the units"),
        ({"offset": (-8, -6)}, r"center: got \(400.0, 300.0\), expected a pixel"),
    ],
)
def test_bad_calibrations(changes, match):
    with pytest.raises(ValueError, match=match):
        DetectorGeometry.from_signal(make_signal(**changes))


@pytest.mark.parametrize("scale", [0, np.nan, np.inf])
def test_scale_has_to_be_a_number(scale):
    with pytest.raises(ValueError, match=r"scale: got .* expected positive numbers"):
        DetectorGeometry.from_signal(make_signal(), scale=scale)


def test_other_things_are_refused():
    with pytest.raises(TypeError, match="signal: got an array .* expected a HyperSpy or pyxem"):
        DetectorGeometry.from_signal(np.zeros(SHAPE))
    with pytest.raises(ValueError, match="Number of signal dimensions: got 1, expected 2"):
        DetectorGeometry.from_signal(hs.signals.Signal1D(np.zeros(SHAPE)))
    signal = make_signal()
    with pytest.raises(ValueError, match="beam_energy: got 200000, .* in kV, not in V"):
        DetectorGeometry.from_signal(signal, beam_energy=200_000)
    with pytest.raises(TypeError, match="mask: got .* int64, expected dtype bool"):
        DetectorGeometry.from_signal(signal, mask=np.zeros(SHAPE, dtype=np.int64))
    with pytest.raises(ValueError, match=r"mask: got .*\(80, 64\).* expected the shape of the"):
        DetectorGeometry.from_signal(signal, mask=np.zeros(SHAPE[::-1], dtype=bool))
    with pytest.raises(ValueError, match="mask: got only True"):
        DetectorGeometry.from_signal(signal, mask=np.ones(SHAPE, dtype=bool))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"shape": (3,)}, r"shape: got .* \(rows, columns\)"),
        ({"shape": (3.5, 2)}, r"shape: got .* expected two positive whole"),
        ({"center": (1, np.nan)}, r"center: got .* expected two numbers \(x, y\)"),
        ({"center": 3}, r"center: got 3, expected two numbers"),
        ({"scale": (1, 2, 3)}, "scale: got .* one number or two"),
        ({"ellipticity": 3}, "ellipticity: got 3, expected a ratio"),
        ({"ellipse_angle": np.nan}, "ellipse_angle: got nan"),
        ({"scan_rotation": np.inf}, "scan_rotation: got inf"),
    ],
)
def test_geometry_errors(changes, match):
    parameters = {"shape": SHAPE, "center": (1, 1), "scale": 0.02}
    with pytest.raises(ValueError, match=match):
        DetectorGeometry(**(parameters | changes))


def test_mask_is_kept_as_it_was_and_pickles():
    mask = np.zeros(SHAPE, dtype=bool)
    geometry = DetectorGeometry(SHAPE, (1, 1), 0.02, mask=mask)
    mask[:] = True
    assert not pickle.loads(pickle.dumps(geometry)).mask.any()
    assert not geometry.mask.flags.writeable


# --- Frames


def test_columns_are_x_and_rows_run_down():
    geometry = DetectorGeometry(SHAPE, (40, 30), (0.02, 0.03))
    np.testing.assert_allclose(geometry.to_reciprocal(50, 30), (0.2, 0), atol=1e-12)
    np.testing.assert_allclose(geometry.to_reciprocal(40, 20), (0, 0.3), atol=1e-12)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        # A spot 10 columns to the right of the beam and 5 rows above it.
        ({}, (10, 5)),
        ({"flip_x": True}, (-10, 5)),
        ({"flip_y": True}, (10, -5)),
        # numpy's transposition: its column is the old row (5 above -> 5 to the left), its row the
        # old column (10 to the right -> 10 down).
        ({"transpose": True}, (-5, -10)),
        # First transposed, then mirrored; the other order would give (-5, 10).
        ({"transpose": True, "flip_x": True}, (5, -10)),
    ],
)
def test_order_of_transposition_and_flips(turn, expected):
    geometry = DetectorGeometry(SHAPE, (40, 30), 0.02, **turn)
    kx, ky = geometry.to_reciprocal(40 + 10, 30 - 5)
    np.testing.assert_allclose((kx, ky), np.array(expected) * 0.02, atol=1e-12)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_pixels_come_back(rng, transpose, flip):
    geometry = DetectorGeometry(
        SHAPE, (41.3, 30.2), (0.02, 0.03), transpose=transpose, flip_x=flip, ellipticity=1.1,
        ellipse_angle=25,
    )  # fmt: skip
    x, y = rng.uniform(0, 60, (2, 20))
    np.testing.assert_allclose(geometry.to_pixels(*geometry.to_reciprocal(x, y)), (x, y))


def test_rotation_to_scan():
    # A reflection seen along the detector's x lies at the angle scan_rotation in the scan.
    geometry = DetectorGeometry(SHAPE, (40, 30), 0.02, scan_rotation=30)
    orientation = rotations.random_quaternions(1, np.random.default_rng(0))[0]
    on_detector = np.array([1.0, 0, 0])
    g_crystal = rotations.rotate(orientation, on_detector)
    in_scan = rotations.multiply(orientation, geometry.rotation_to_scan())
    g_scan = rotations.rotate(rotations.conjugate(in_scan), g_crystal)
    angle = np.deg2rad(30)
    np.testing.assert_allclose(g_scan, [np.cos(angle), np.sin(angle), 0], atol=1e-12)
    plain = DetectorGeometry(SHAPE, (40, 30), 0.02)
    np.testing.assert_allclose(plain.rotation_to_scan(), [1, 0, 0, 0], atol=1e-12)


# --- The direct beam


def patterns_at(positions, shape=SHAPE, radius=4.0, noise=0):
    """Return discs of a direct beam at (x, y), each with a weaker diffracted disc."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]

    def disc(x, y):
        return 1 / (1 + np.exp((np.hypot(columns - x, rows - y) - radius) / 0.5))

    patterns = [100 * disc(x, y) + 60 * disc(x + 20, y - 9) for x, y in positions]
    return np.random.default_rng(0).poisson(np.array(patterns) + noise).astype(np.uint16)


POSITIONS = np.array([40.0, 30.0]) + np.random.default_rng(7).uniform(-2, 2, (12, 2))


@pytest.mark.parametrize("kind", ["numpy", "dask", "signal", "lazy"])
def test_find_center(kind):
    data = patterns_at(POSITIONS).reshape(3, 4, *SHAPE)
    lazy = da.from_array(data, chunks=(2, 2, 16, 16))
    given = {
        "numpy": data,
        "dask": lazy,
        "signal": ElectronDiffraction2D(data),
        "lazy": ElectronDiffraction2D(data).as_lazy(),
    }[kind]
    found = find_center(given)
    np.testing.assert_allclose(found.center, POSITIONS.mean(0), atol=0.3)
    assert found.shifts.shape == (3, 4, 2)
    assert isinstance(found.shifts, da.Array) == (kind in ("dask", "lazy"))
    beams = np.asarray(found.shifts).reshape(-1, 2) + found.center
    np.testing.assert_allclose(beams, POSITIONS, atol=0.15)


def test_find_center_of_one_pattern():
    found = find_center(patterns_at(POSITIONS[:1])[0])
    np.testing.assert_allclose(found.center, POSITIONS[0], atol=0.15)
    assert found.shifts.shape == (2,)
    np.testing.assert_allclose(found.shifts, 0, atol=0.1)


def test_brighter_reflection_outside_the_window_does_not_count():
    # Far brighter than the beam in one pattern, but not in the mean of the scan.
    data = patterns_at(POSITIONS)
    data[5, 15:25, 58:68] = 500
    found = find_center(data, half_width=8)
    np.testing.assert_allclose(found.shifts + found.center, POSITIONS, atol=0.2)
    wide = find_center(data, half_width=40)
    assert np.hypot(*(wide.shifts[5] + wide.center - POSITIONS[5])) > 15


def test_find_center_samples_long_scans():
    data = np.broadcast_to(patterns_at(POSITIONS[:1])[0], (40, 50, *SHAPE))
    found = find_center(da.from_array(data, chunks=(10, 10, -1, -1)))
    np.testing.assert_allclose(found.center, POSITIONS[0], atol=0.15)
    assert found.shifts.shape == (40, 50, 2)


def test_find_center_errors():
    with pytest.raises(ValueError, match=r"shape of the patterns: got \(5,\)"):
        find_center(np.zeros(5))
    with pytest.raises(ValueError, match="No direct beam found: .* Pass center="):
        find_center(np.zeros((2, 20, 20)))


@pytest.mark.parametrize("method", [{"method": "center_of_mass", "mask": (40, 30, 12)},
                                    {"method": "interpolate", "sigma": 2, "upsample_factor": 4,
                                     "kind": "cubic"}])  # fmt: skip
@pytest.mark.parametrize("lazy", [False, True])
def test_beam_shift_of_pyxem(method, lazy):
    signal = ElectronDiffraction2D(patterns_at(POSITIONS).astype(float))
    beam_shift = (signal.as_lazy() if lazy else signal).get_direct_beam_position(**method)
    assert isinstance(beam_shift, BeamShift)
    geometry = DetectorGeometry(SHAPE, (39.2, 30.7), 0.02)
    shifts = shifts_from_beam_shift(beam_shift, geometry)
    assert isinstance(shifts, da.Array) == lazy
    np.testing.assert_allclose(np.asarray(shifts) + geometry.center, POSITIONS, atol=0.7)


def test_beam_shift_errors():
    geometry = DetectorGeometry(SHAPE, (39.2, 30.7), 0.02)
    with pytest.raises(ValueError, match=r"shape of the beam shifts: got \(3,\), expected"):
        shifts_from_beam_shift(np.zeros(3), geometry)
    beam_shift = BeamShift(np.zeros((3, 2)))
    beam_shift.units = ["mrad", "mrad"]
    with pytest.raises(ValueError, match="units of the beam shifts: got .*mrad.*, expected px"):
        shifts_from_beam_shift(beam_shift, geometry)


def test_wandering_beam_end_to_end():
    from pyxem_cnn.detector.polar import PolarGrid, ResamplingOperator

    data = patterns_at(POSITIONS)
    found = find_center(data)
    geometry = DetectorGeometry(SHAPE, found.center, 0.02)
    grid = PolarGrid(n_radial=8, n_azimuthal=24, k_min=0.15, k_max=0.55)
    operator = ResamplingOperator(geometry, grid)

    def spread(values):
        return values.std(0).max() / values.mean(0).max()

    # Once the beam is followed the patterns differ by noise and 1/8 pixel only.
    assert spread(operator(data, found.shifts)[0]) < 0.12
    assert spread(operator(data)[0]) > 0.3
