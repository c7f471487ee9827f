"""Description of the training cases of a run, from the store of its tiles."""

from collections.abc import Iterable
from pathlib import Path

from liverseg_tf.atomic import write_json
from liverseg_tf.ct.regions import Regions
from liverseg_tf.model.run_lock import run_lock
from liverseg_tf.model.run_record import RUN_FILE, RunRecord, read_run
from liverseg_tf.model.training_range import TrainingRange, combine_ranges
from liverseg_tf.tiles.store import TileStore


def describe_training_cases(
    store: TileStore, names: Iterable[str], regions: Regions, init_from: Path | str | None = None
) -> TrainingRange:
    """Describe the cases from which a model has learnt, without naming them.

    Args:
        store: Store with their tiles.
        names: Their names; those that the store does not have are left out.
        regions: Regions of the model.
        init_from: Folder of the run whose weights were the initial ones: its training cases are
            included, as far as they are described. None if there is none.
    """
    records = [store.cases[name] for name in names if name in store.cases]
    own = TrainingRange.measure(records, regions)
    if init_from is None or not (Path(init_from) / RUN_FILE).is_file():
        return own
    earlier = RunRecord.read(Path(init_from)).training_range.only(regions)
    return combine_ranges([own, earlier]) if earlier else own


def add_training_range(folder: Path, store: TileStore) -> None:
    """Add the section `training_range` to the record of a run that an earlier version trained.

    Args:
        folder: Folder of the run. If its record has the section, it stays as it is.
        store: Store from which it was trained.

    Raises:
        LiverSegError: If the record cannot be read or written, or another process writes the run.
    """
    with run_lock(folder):
        record = RunRecord.read(folder)
        if record.training_range:
            return
        known = describe_training_cases(store, record.split["train"], record.network.regions)
        value = read_run(folder) | {"training_range": known.to_json()}
        write_json(Path(folder) / RUN_FILE, value)
