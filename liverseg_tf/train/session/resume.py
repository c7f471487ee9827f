"""Whether a run can be resumed: same store, same split, same settings."""

from pathlib import Path

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.run_record import read_finished_run
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.settings import TrainSettings


def is_finished(folder: Path, store: TileStore, settings: TrainSettings) -> bool:
    """Whether a folder holds a run of this store and split and these settings that has ended.

    Raises:
        SettingsError: when it holds one of others.
    """
    record = read_finished_run(folder)
    if record is None:
        return False
    check_same(folder, store, settings, record)
    return True


def check_same(folder: Path, store: TileStore, settings: TrainSettings, record: dict) -> None:
    """Whether a run was begun with this store, this split and these settings.

    Args:
        folder: of the run.
        store: that it is to go on with.
        settings: likewise.
        record: `settings` and `store` of the run.

    Raises:
        SettingsError: when settings or split are others.
        LiverSegError: when a case has changed.
    """
    before = TrainSettings.from_json(record["settings"])
    for name in settings.differences(before):
        raise SettingsError(
            f"Expected the settings of the run in {folder}, {name} {getattr(before, name)}. "
            f"Received {getattr(settings, name)}: take another folder, or the same settings."
        )
    if record["store"]["split"] != store.split:
        raise SettingsError(
            f"Expected the split of the run in {folder}. Received another one: take another "
            "folder, or the same split and fold."
        )
    store.check_unchanged(record["store"]["checksums"])
