"""Maps of a property such as the score or the reliability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_cnn._checks import check_choice
from pyxem_cnn.plot._layout import best, check_map, show_image, to_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap

__all__ = ["plot_property_map"]

# What the colour bar says, and the range it covers.
_KNOWN: dict[str, tuple[str, tuple[float, float]]] = {
    "scores": ("score (probability of the orientation)", (0, 1)),
    "reliability": ("reliability, 100 (1 - p2/p1)", (0, 100)),
    "phase_probability": ("probability of the phase", (0, 1)),
}


def plot_property_map(
    xmap: CrystalMap, name: str = "scores", *, title: str | None = None, **kwargs: Any
) -> Figure:
    """Plot a property of a crystal map.

    Parameters
    ----------
    xmap
        The map, of one or two dimensions.
    name
        Name of a property in ``xmap.prop``. Of several values at a point, that of the best
        orientation is shown.
    title
        Title instead of the property's name.
    **kwargs
        For matplotlib's ``imshow``, such as ``cmap``, ``vmin`` and ``vmax``. By default, scores,
        reliability and probabilities are shown over their whole range.

    Returns
    -------
    figure
        With a colour bar. Points without a value (not indexed) are grey, left-out ones
        transparent. It is not shown.

    Raises
    ------
    ValueError
        If there is no such property, or all points are left out.
    """
    import matplotlib.pyplot as plt

    check_map("xmap", xmap)
    check_choice("name", name, list(xmap.prop))
    label, span = _KNOWN.get(name, (name.replace("_", " "), (None, None)))
    values = best(xmap.prop[name]).astype(float)
    figure, axes = plt.subplots(figsize=(5.2, 4.2), layout="constrained")
    grey = to_image(xmap, np.tile([0.75, 0.75, 0.75, 1.0], (xmap.size, 1)), 0.0)
    show_image(axes, xmap, grey)
    options = {"vmin": span[0], "vmax": span[1], "cmap": "viridis"} | kwargs
    drawn = show_image(axes, xmap, to_image(xmap, values), **options)
    figure.colorbar(drawn, ax=axes, label=label)
    axes.set_title(name.replace("_", " ") if title is None else title)
    return figure
