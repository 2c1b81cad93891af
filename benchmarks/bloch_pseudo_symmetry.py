"""How different the dynamical patterns of LiNiO2 along [10-10] and [1-100] are, and by what.

    OMP_NUM_THREADS=1 python benchmarks/bloch_pseudo_symmetry.py

R = sum |I_1 - I_2| / sum I_1 in percent over the discs within 1.6 1/angstrom without the direct
beam, matched by their place, at 200 to 1000 angstrom: for more and more beams, with atoms that move
and at rest, on the zone axis and 2.4 degrees from it. The last line shows what a careless choice of
64 beams adds, one that leaves equals on both sides of the end of the list.
"""

from __future__ import annotations

import numpy as np
import torch
from bloch_crystals import linio2
from scipy.spatial.transform import Rotation

from pyxem_cnn import BlochWaveSimulator
from pyxem_cnn.rotations import from_matrix

K_MAX = 1.6


def orientation(crystal, uvw, off_axis):
    """Return the quaternion (1, 4) with [uvw] towards the source and c* up, then turned away."""
    z = np.linalg.inv(crystal.reciprocal_basis).T @ np.array(uvw)
    z, y = z / np.linalg.norm(z), np.array([0, 0, 1.0])
    turn = Rotation.from_euler("xy", off_axis, degrees=True).as_matrix()
    return from_matrix(np.stack([np.cross(y, z), y, z], axis=1) @ turn)[None]


def discs(spots):
    """Return places (s, 2) and intensities (s, T) of the discs within the detector."""
    k, is_beam = spots.k[0], spots.hkl[0].any(-1)
    keep = is_beam & (np.linalg.norm(k, axis=1) <= K_MAX)
    return k[keep], spots.disc_intensity[0].T[keep]


def mismatch(first, second):
    """Return R in percent for every thickness; discs without a partner count whole."""
    (k_1, i_1), (k_2, i_2) = discs(first), discs(second)
    near = np.linalg.norm(k_1[:, None] - k_2, axis=-1) < 0.01
    partner = near.astype(float) @ i_2
    alone = i_2[~near.any(0)].sum(0)
    return 100 * (np.abs(i_1 - partner).sum(0) + alone) / i_1.sum(0)


def pair(off_axis, **settings):
    """Return R between the two zone axes."""
    crystal, voltage, _ = linio2()
    simulator = BlochWaveSimulator(
        crystal, accelerating_voltage=voltage, n_tilts=37, dtype="float64", **settings
    )
    zones = ((2, 1, 0), (1, -1, 0))  # [10-10] and [1-100] with three indices
    return mismatch(*(simulator.calculate(orientation(crystal, zone, off_axis)) for zone in zones))


def careless(generator):
    """Return a choice of beams that breaks ties at random and does not end at a gap."""
    from pyxem_cnn.simulation.bloch_waves import beam_selection

    def select(candidates, zone_axis, n_beams):
        weight = beam_selection.importance(candidates, zone_axis)
        noise = 1 + 1e-4 * torch.rand(weight.shape, generator=generator)
        return torch.topk(weight * noise, n_beams, dim=1)[1]

    return beam_selection, select


def main():
    """Print one line for each run."""
    _, _, moving = linio2()
    for off_axis in ((0, 0), (2, 1.3)):
        for motion, b_iso in (("room temperature", moving), ("at rest", 0.0)):
            for n_beams, g_max in ((64, 2.5), (128, 3.0), (300, 3.0), (300, 4.8), (500, 4.8)):
                r = pair(off_axis, n_beams=n_beams, g_max=g_max, debye_waller=b_iso)
                print(off_axis, motion, n_beams, "beams,", g_max, "1/angstrom: R", r.round(2))
    module, select = careless(torch.Generator().manual_seed(0))
    module.select_beams = select
    r = np.array([pair((0, 0), n_beams=64, g_max=3.0, debye_waller=moving) for _ in range(6)])
    print("64 beams, careless: R mean", r.mean(0).round(2), "largest", r.max(0).round(2))


if __name__ == "__main__":
    main()
