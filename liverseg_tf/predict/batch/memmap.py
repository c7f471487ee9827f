"""Room on the disk: whether there is some, and arrays that live there."""

import os
import tempfile
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import PARTIAL, replacing
from liverseg_tf.errors import LiverSegError


def check_folder(folder: Path) -> None:
    """Refuse a folder that nothing can be written into, before the work."""
    with replacing(Path(folder) / f"{PARTIAL}check") as partial:
        partial.touch()
    (Path(folder) / f"{PARTIAL}check").unlink(missing_ok=True)


def memmap_zeros(folder: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros in a file without a name, which ends with the array.

    Pages of a mapped file can leave the memory when it gets scarce. The space is taken at once:
    a disk that is full later would end the process instead of raising an error.

    Args:
        folder: on whose disk the file is.
        shape: of the uint8 array.

    Raises:
        LiverSegError: when there is too little room.
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
            f"Expected {size / 1e9:.2g} GB for probabilities in {folder}. "
            f"Received: {error.strerror or error}."
        ) from error
