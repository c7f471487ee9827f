"""A folder with all that is below it, links included."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk(
    folder: Path, on_error: Callable[[OSError], None] = lambda error: None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As `os.walk`, sorted; links are followed, each folder is visited once, hidden ones never.

    Args:
        folder: the root.
        on_error: called for each folder that can't be read.

    Yields:
        A folder, the names of the folders in it, and those of its files.
    """
    visited = set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=on_error):
        place = os.stat(root)
        if (place.st_dev, place.st_ino) in visited:
            folders.clear()
            continue
        visited.add((place.st_dev, place.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(root), folders, sorted(names)
