"""A zarr folder whose files are whole or not there, also after a power cut."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from zarr.storage import DirectoryStore

__all__ = ["DurableDirectoryStore", "sync_folder", "sync_tree"]


class DurableDirectoryStore(DirectoryStore):
    """A zarr store of files in a folder, each of them on the disk before it has its name.

    zarr writes a file under another name and renames it, so that a killed process leaves the
    whole file or none. A file system may carry out the renaming before it has written the content,
    and a power cut in between leaves an empty file with the right name. So the content is synced
    before the renaming, and the folder after it.

    Parameters
    ----------
    path
        The folder.
    **options
        Passed to zarr's ``DirectoryStore``.
    """

    @staticmethod
    def _tofile(a: Any, fn: str) -> None:
        """Write a file; zarr has it overridden by those who write in another way."""
        with open(fn, mode="wb") as file:
            file.write(a)
            file.flush()
            os.fsync(file.fileno())

    def __setitem__(self, key: str, value: Any) -> None:
        """Write a file under a temporary name, rename it and sync the folder."""
        super().__setitem__(key, value)
        sync_folder(Path(self.path, key).parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if os.name == "nt":  # Windows opens no folders, and writes names at once
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until the names in a folder and in all folders within are on the disk."""
    for path, _, _ in os.walk(folder):
        sync_folder(Path(path))
