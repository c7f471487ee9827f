"""Room on a disk, asked for before anything is written."""

import shutil
from pathlib import Path

from liverseg_tf.errors import LiverSegError


def check_space(folder: Path, needed: int) -> None:
    """Make sure that a folder (or where it will be made) has room.

    Args:
        folder: need not exist yet.
        needed: bytes.

    Raises:
        LiverSegError: when less is free.
    """
    there = Path(folder).absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        raise LiverSegError(
            f"Expected {needed / 1e9:.3g} GB free at {there}. Received {free / 1e9:.3g} GB."
        )
