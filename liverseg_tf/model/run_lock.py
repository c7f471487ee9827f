"""The lock of a run's folder: a run has one writer at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liverseg_tf.locks import exclusive_lock
from liverseg_tf.partials import clear_partials

LOCK_FILE = ".lock"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run or a cross-validation while it is written.

    Temporary files that a killed process left are removed first.

    Args:
        folder: Folder of the run, or of the cross-validation.

    Raises:
        LiverSegError: If another process is writing the folder, or it cannot be written.
    """
    folder = Path(folder)
    with exclusive_lock(folder / LOCK_FILE, str(folder), remove=True):
        clear_partials(folder)
        yield
