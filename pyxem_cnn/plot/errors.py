"""How far the orientations of a map are from the true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyxem_cnn._checks import check_positive
from pyxem_cnn.maps.disorientation import errors_in_degrees
from pyxem_cnn.metrics import summarize_errors
from pyxem_cnn.plot._layout import check_map, show_image, to_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap

__all__ = ["plot_error_map"]


def plot_error_map(
    xmap: CrystalMap, truth: CrystalMap, *, cap: float = 5.0, title: str | None = None
) -> Figure:
    """Plot the disorientation from the true orientations, as a map and a histogram.

    Parameters
    ----------
    xmap
        The map.
    truth
        The true orientations at the same points, for example from
        :func:`pyxem_cnn.data.grain_scan`.
    cap
        Where the colours and the histogram end, in degrees. Larger errors, and points without
        an orientation, have a colour and a bar of their own.
    title
        Title of the figure.

    Returns
    -------
    figure
        Map and histogram. Points without a true orientation are white. It is not shown.

    Raises
    ------
    ValueError
        If the maps do not have the same points, or no point has a true orientation.
    """
    import matplotlib.pyplot as plt

    check_positive("cap", cap, remedy="It is in degrees.")
    check_map("xmap", xmap)
    check_map("truth", truth)
    degrees = errors_in_degrees(xmap, truth)
    known = degrees[~np.isnan(degrees)]
    if known.size == 0:
        raise ValueError("truth: got no point with an orientation, expected at least one.")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    colours = plt.get_cmap("viridis").with_extremes(over="crimson", bad="white")
    # Infinite values would not count as above the range.
    image = to_image(xmap, np.where(np.isinf(degrees), 1e3 * cap, degrees))
    drawn = show_image(left, xmap, image, cmap=colours, vmin=0, vmax=cap)
    figure.colorbar(drawn, ax=left, extend="max", label="disorientation from the truth (degrees)")
    said = f"red: above {cap:g} degrees or not indexed; white: no truth (vacuum) or left out"
    left.set_title(said, fontsize="small")

    edges = np.linspace(0, cap, 41)
    share = 100 / known.size
    right.hist(known[known <= cap], edges, weights=np.full((known <= cap).sum(), share))
    beyond = share * (known > cap).sum()
    right.bar(
        1.07 * cap, beyond, width=0.06 * cap, color="crimson", label=f"beyond: {beyond:.1f} %"
    )
    right.set_xlabel("disorientation (degrees)")
    right.set_ylabel("points with a true orientation (%)")
    right.set_title(str(summarize_errors(known)), fontsize="small")
    right.legend()
    group = ", ".join(
        dict.fromkeys(p.point_group.laue.name.split(":")[0] for i, p in truth.phases if i >= 0)
    )
    figure.suptitle(f"{title or 'Errors'}, modulo the Laue group {group}", fontsize="medium")
    return figure
