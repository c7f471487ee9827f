"""Checks whether a run can be resumed: it needs the same store, split and settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.run_lock import run_lock
from liverseg_tf.model.run_record import read_finished_run
from liverseg_tf.records import convert_record
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.session.checkpoint import Checkpoint, RecordedStore
from liverseg_tf.train.settings import TrainSettings


def is_finished(folder: Path, store: TileStore, settings: TrainSettings) -> bool:
    """Return whether a folder holds a finished run of this store, this split and these settings.

    Raises:
        SettingsError: If it holds a finished run with another split or other settings.
        LiverSegError: If a case of the store has changed since.
    """
    record = read_finished_run(folder)
    if record is None:
        return False
    check_same_run(folder, store, settings, record)
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove what a process left that was killed after it had written the result of a run.

    Raises:
        LiverSegError: If another process is writing the run.
    """
    with run_lock(folder):
        Checkpoint.remove(folder)


def check_same_run(folder: Path, store: TileStore, settings: TrainSettings, record: dict) -> None:
    """Check that a run was started with this store, this split and these settings.

    Args:
        folder: Folder of the run.
        store: Store to continue with.
        settings: Settings to continue with.
        record: `settings` and `store` of the run, from `run.json` or a checkpoint.

    Raises:
        SettingsError: If the settings or the split differ.
        LiverSegError: If a case of the store has changed since, or the record is damaged.
    """
    recorded = convert_record(record, _Recorded, f"the run {folder}")
    earlier = TrainSettings.from_json(recorded.settings)
    for name in settings.differences(earlier):
        raise SettingsError(
            f"Expected the settings of the run in {folder}, {name} {_describe(earlier, name)}. "
            f"Received {_describe(settings, name)}: use another folder or the same settings."
        )
    if recorded.store.split != store.split:
        raise SettingsError(
            f"The run in {folder} was started with another split of the cases: use another folder, "
            "or the same split and fold."
        )
    store.check_unchanged(recorded.store.checksums)


def _describe(settings: TrainSettings, name: str) -> str:
    value = getattr(settings, name)
    return ", ".join(value) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class _Recorded:
    """The sections of a record that are compared."""

    settings: dict[str, Any]
    store: RecordedStore
