"""Disc detection and orientation matching by py4DSTEM; accuracy.py runs it.

    PY4DSTEM_PYTHON benchmarks/accuracy_peer_py4dstem.py task.npz result.npz

Needs py4DSTEM and NumPy only. Its orientation matrices take vectors from lab to crystal, as ours,
and its lab frame is ours if qx is along the columns and qy up.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np


def main(task_path: str, result_path: str) -> None:
    """Read images and crystal, and write orientation matrices and seconds."""
    warnings.filterwarnings("ignore")
    import py4DSTEM

    task = np.load(task_path)
    crystal = py4DSTEM.process.diffraction.Crystal(
        task["positions"], task["numbers"], task["lattice"]
    )
    crystal.calculate_structure_factors(float(task["k_max"]))
    crystal.orientation_plan(
        **_zone_axes(str(task["laue_group"])),
        angle_step_zone_axis=float(task["step"]),
        angle_step_in_plane=2.0,
        accel_voltage=1e3 * float(task["voltage"]),
        corr_kernel_size=float(task["kernel_size"]),
        precession_angle_degrees=float(task["precession"]) or None,
        progress_bar=False,
    )
    template = _template(task)
    matrices = np.full((len(task["images"]), 3, 3), np.nan)
    start = time.process_time()
    for i, image in enumerate(task["images"]):
        peaks = _peaks(image, template, task)
        if len(peaks.data) >= 3:
            matrices[i] = crystal.match_single_pattern(peaks, verbose=False).matrix[0]
        print(f"\rpy4DSTEM: {i + 1} of {len(matrices)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    np.savez(result_path, matrices=matrices, seconds=time.process_time() - start)


def _zone_axes(laue_group: str) -> dict:
    """Return the range of zone axes, as py4DSTEM's own table has it for the point group."""
    from py4DSTEM.process.diffraction.crystal_ACOM import orientation_ranges

    zones, axis, angles = orientation_ranges.get(laue_group, ["full", None, None])
    zones = zones if isinstance(zones, str) else np.array(zones)
    return {"zone_axis_range": zones, "fiber_axis": axis, "fiber_angles": angles}


def _template(task) -> np.ndarray:
    """Return a kernel for discs of the task's radius: a disc less what is around it."""
    import py4DSTEM

    radius, shape = float(task["disc_pixels"]), task["images"].shape[1:]
    probe = py4DSTEM.Probe.generate_synthetic_probe(radius, 1.0, shape)
    origin = (shape[0] / 2, shape[1] / 2)
    return probe.get_kernel(mode="sigmoid", origin=origin, radii=(radius, 2 * radius))


def _peaks(image: np.ndarray, template: np.ndarray, task):
    """Return the discs of an image outside the direct beam, in 1/angstrom."""
    from emdfile import PointList
    from py4DSTEM.braggvectors.diskdetection import _find_Bragg_disks_single

    found = _find_Bragg_disks_single(
        np.where(task["direct_beam"], 0, image).astype(float),
        template,
        sigma_cc=1,
        minAbsoluteIntensity=float(task["weakest"]) / (np.pi * float(task["disc_pixels"]) ** 2),
        minRelativeIntensity=float(task["relative"]),
        minPeakSpacing=float(task["disc_pixels"]),
        edgeBoundary=2,
        maxNumPeaks=80,
    ).data
    scale = float(task["scale"])
    peaks = np.zeros(len(found), dtype=[("qx", float), ("qy", float), ("intensity", float)])
    rows, columns = image.shape
    # py4DSTEM's x is the row.
    peaks["qx"] = scale * (found["qy"] - (columns - 1) / 2)
    peaks["qy"] = -scale * (found["qx"] - (rows - 1) / 2)
    peaks["intensity"] = found["intensity"]
    return PointList(peaks)


if __name__ == "__main__":
    main(*sys.argv[1:])
