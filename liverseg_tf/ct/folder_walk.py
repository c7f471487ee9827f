"""All folders and files below a folder, including those behind symbolic links."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk(
    folder: Path, on_error: Callable[[OSError], None] = lambda error: None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk a folder tree in sorted order, like `os.walk`.

    Symbolic links are followed, every folder is visited once, and hidden folders are skipped.

    Args:
        folder: Root of the tree.
        on_error: Function that is called for each folder that cannot be read.

    Yields:
        The path of a folder, the names of its subfolders, and the names of its files.
    """
    visited = set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=on_error):
        try:
            status = os.stat(root)
        except OSError as error:  # removed since it was listed
            on_error(error)
            folders.clear()
            continue
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(root), folders, sorted(names)
