"""Check of the free disk space before anything is written."""

import shutil
from pathlib import Path

from liverseg_tf.errors import LiverSegError


def check_space(folder: Path, needed: int) -> None:
    """Check that a disk has enough free space.

    Args:
        folder: Folder to be written, which need not exist yet.
        needed: Number of bytes.

    Raises:
        LiverSegError: If fewer bytes are free.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise LiverSegError(
            f"Expected {needed / 1e9:.3g} GB free at {existing}. Received {free / 1e9:.3g} GB."
        )
