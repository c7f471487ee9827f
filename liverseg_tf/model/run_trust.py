"""The section `trust` of `run.json`, which is written after the training."""

from pathlib import Path

from liverseg_tf.atomic import write_json
from liverseg_tf.model.run_lock import run_lock
from liverseg_tf.model.run_record import RUN_FILE, read_run
from liverseg_tf.model.trust_record import TrustRecord


def write_trust(folder: Path, trust: TrustRecord) -> None:
    """Replace the section `trust` in the `run.json` of a run.

    Args:
        folder: Folder of the run.
        trust: What was measured.

    Raises:
        LiverSegError: If the file cannot be read or written, or another process writes the run.
    """
    with run_lock(folder):
        write_json(Path(folder) / RUN_FILE, read_run(folder) | {"trust": trust.to_json()})
