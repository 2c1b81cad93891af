"""How well `check_calibration` finds a wrong beam centre, scale and ellipticity again.

Silicon grains of diffsims (`pyxem_cnn.data.grain_scan`) are checked with a geometry that is wrong
by 2 pixels, 3 percent and 2 percent of ellipticity, all at once, in directions drawn at random.

    python benchmarks/calibration_check.py --scans 4
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np

import pyxem_cnn
from pyxem_cnn.data import grain_scan


def errors_left(folder: Path, seed: int, electrons: float, model: object) -> np.ndarray:
    """Return what is left of the errors: centre in pixels, scale and ellipticity in percent."""
    options = {"shape": (16, 16), "n_grains": 10, "seed": seed, "electrons": electrons}
    scan, _ = grain_scan(folder / "scan.zspy", overwrite=True, **options)
    true = pyxem_cnn.DetectorGeometry.from_signal(scan)
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    wrong = {
        "center": tuple(true.center + 2 * np.array([np.cos(angle), np.sin(angle)])),
        "scale": true.scale[0] * (1.03 if seed % 2 else 0.97),
        "ellipticity": 1.02,
        "ellipse_angle": float(np.rad2deg(angle)),
    }
    found = pyxem_cnn.check_calibration(scan, model, geometry=wrong).corrected
    scale, ellipticity = found.scale[0] / true.scale[0] - 1, found.ellipticity - 1
    center = np.hypot(*np.subtract(found.center, true.center))
    return np.array([center, 100 * scale, 100 * ellipticity])


def main() -> None:
    """Print the errors of every dose."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=4, help="scans for each dose")
    n_scans = parser.parse_args().scans
    model = pyxem_cnn.load_model("si_200kV")
    warnings.simplefilter("ignore")  # the very warnings that the check is for
    print("electrons   largest error left: centre (px)   scale (%)   ellipticity (%)")
    with tempfile.TemporaryDirectory() as folder:
        for electrons in (1e4, 1e3, 300.0):
            left = [errors_left(Path(folder), 10 + i, electrons, model) for i in range(n_scans)]
            center, scale, ellipticity = np.abs(left).max(axis=0)
            print(f"{electrons:9,.0f} {center:34.3f} {scale:11.2f} {ellipticity:17.2f}", flush=True)


if __name__ == "__main__":
    main()
