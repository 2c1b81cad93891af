"""Files that commands write: figures as a whole or not at all, and the list of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from pyxem_cnn.cli._console import console

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_figure", "tell_written"]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure and close it.

    Parameters
    ----------
    figure
        Of matplotlib.
    path
        Where to; what is there is replaced.
    """
    import matplotlib.pyplot as plt

    from pyxem_cnn.maps._tables import whole_or_nothing

    with whole_or_nothing(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)


def tell_written(paths: Iterable[Path]) -> None:
    """Print what was written, one path a line.

    Parameters
    ----------
    paths
        Of files and folders.
    """
    console.print(Text("\n".join(f"Written: {path}" for path in paths)), soft_wrap=True)
