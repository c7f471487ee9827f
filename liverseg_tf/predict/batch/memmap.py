"""Disk space: a check for write access, and arrays that are stored in temporary files."""

import os
import tempfile
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import create_folder
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.partials import PARTIAL, partial_path, remove


def check_writable(folder: Path) -> None:
    """Check that files can be written into a folder, which is created if necessary.

    Raises:
        LiverSegError: If the folder cannot be written.
    """
    create_folder(folder)
    partial = partial_path(Path(folder) / "check")
    try:
        partial.touch()
    except OSError as error:
        raise LiverSegError(
            f"Expected to write into {folder}. Received: {reason_of(error)}."
        ) from error
    remove(partial)


def memmap_zeros(folder: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Create an array of zeros in a memory-mapped temporary file.

    The operating system can move its pages from memory to disk. The disk space is reserved
    immediately: writing to a mapped file on a full disk would kill the process instead of raising
    an error. The file has no name and is deleted together with the array.

    Args:
        folder: Folder on the disk that stores the file.
        shape: Shape of the array.

    Returns:
        Array of this shape, uint8.

    Raises:
        LiverSegError: If there is not enough disk space.
    """
    size = int(np.prod(shape, dtype=object))
    try:
        with tempfile.TemporaryFile(prefix=PARTIAL, dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise LiverSegError(
            f"Expected {size / 1e9:.2g} GB of free disk space for probabilities in {folder}. "
            f"Received: {reason_of(error)}."
        ) from error
