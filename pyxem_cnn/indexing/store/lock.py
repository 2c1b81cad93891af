"""One process at a time writes to a store; a killed one leaves no lock behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked"]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a store; the operating system takes it back when the process ends.

    Where there are no such locks (Windows, some network drives) it is not held. Nothing is lost
    then if two processes write: both would write the same.

    Parameters
    ----------
    folder
        Of the store.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(folder / "lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"Another process is writing to {folder}. Wait until it ends; "
                "pyxem_cnn.open_store shows how far it is."
            ) from None
        except OSError:  # the file system has no locks
            pass
        yield
