"""Stage 1, preprocessing: the tiles of a data set's cases are cut into a store.

`preprocess` makes one pass: it plans which cases to cut, cuts them in parallel, and records all
complete cases in `store.json`.
"""

import functools
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from liverseg_tf.ct.annotation import read_annotation
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.rules import CheckSettings
from liverseg_tf.dataset.dataset_part import DatasetPart
from liverseg_tf.dataset.split import SplitRule, split_cases
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.locks import exclusive_lock, part_lock
from liverseg_tf.partials import clear_partials
from liverseg_tf.tiles.case_patients import find_duplicates
from liverseg_tf.tiles.case_tiles import cut_case, source_fingerprint
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.tiles.store_record import read_store
from liverseg_tf.tiles.store_split import draw_split
from liverseg_tf.workers import Processes, Workers, run_jobs

_READERS = 8  # threads that compare tiles with their checksums


@dataclass(frozen=True)
class PreprocessJob:
    """What to put into a store.

    Args:
        cases: All cases of the data set.
        split_rule: Settings of the split.
        part: Part of the cases that this run cuts. Other runs may cut the other parts at the same
            time.
        overwrite: Delete the tiles of an existing store with other settings. Otherwise such a
            store is an error.
        check: What the cases should contain, and which rules are accepted. None takes
            `TileSpec.check_settings()`.

    Raises:
        SettingsError: If `overwrite` is combined with one of several parts.
    """

    cases: list[Case]
    split_rule: SplitRule = SplitRule()
    part: DatasetPart = DatasetPart()
    overwrite: bool = False
    check: CheckSettings | None = None

    def __post_init__(self) -> None:
        if self.overwrite and self.part.count > 1:
            raise SettingsError(
                f"Expected to overwrite a store in one run. Received part {self.part}."
            )


@dataclass
class PreprocessResult:
    """Result of preprocessing.

    Args:
        store: The store as it was written.
        cut: Names of the cases that were cut.
        kept: Names of the cases that were up to date already.
        failures: Error message, one line, of each case that could not be cut.
        redrawn: Whether patients may have changed their sides, because the split has other
            settings than before.
    """

    store: TileStore
    cut: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    redrawn: bool = False


def preprocess(
    job: PreprocessJob,
    store: TileStore,
    workers: Workers | None = None,
    on_case: Callable[[str, str | None], None] = lambda name, failure: None,
) -> PreprocessResult:
    """Cut the tiles of every case into a store.

    Cases whose tiles are in the store and whose files have not changed are kept. A case that
    fails does not stop the others. The split covers all complete cases, those of other parts
    included. After an interrupt, the store contains every case that was completed.

    Args:
        job: Cases, split and part.
        store: Folder, spec and storage format.
        workers: Workers that cut the cases; one process by default.
        on_case: Called when a case ends, with its name and its error message or None.

    Raises:
        SettingsError: If the folder contains a store with other settings and `overwrite` is False,
            or the split rule does not match the names of the cases.
        LiverSegError: If another run is writing the same part of the store, or what a killed run
            left cannot be removed.
    """
    check = store.spec.check_settings() if job.check is None else job.check
    split_cases([case.name for case in job.cases], job.split_rule)  # fails before the work
    job = replace(job, cases=[check.name_segments(case) for case in job.cases])
    cases = job.part.select(job.cases)
    lock = part_lock(store.folder / ".lock", job.part.index, job.part.count, _resource(store))
    with lock:
        # remove what a killed run left, but nothing that the other parts may be writing
        own = {store.path(case.name).name for case in cases} if job.part.count > 1 else None
        clear_partials(store.folder / "cases", own)
        with exclusive_lock(store.folder / ".lock-list", _resource(store), wait=True):
            clear_partials(store.folder)
            store = store.create(job.overwrite)
        # 1. plan
        records = _up_to_date_records(cases, store, check, compare=True)
        to_cut = [case for case in cases if case.name not in records]
        result = PreprocessResult(store, kept=list(records))
        try:
            # 2. cut; `closing` makes an interrupt wait for the workers before the lock is released
            with closing(_cut_cases(to_cut, store, check, workers or Processes())) as outcomes:
                for name, outcome in outcomes:
                    if isinstance(outcome, str):
                        result.failures[name] = outcome
                    else:
                        records[name] = outcome
                        result.cut.append(name)
                    on_case(name, result.failures.get(name))
        finally:
            # 3. record
            _record_cases(job, check, store, result)
        for name in records.keys() - result.store.cases.keys() - result.failures.keys():
            result.failures[name] = (
                f"Expected the tiles of case {name} to be in {store.folder} at the end. Received "
                "none, or files of the case that have changed: another program changed them during "
                f"the run, so run the command again. (case {name})"
            )
        result.cut = [name for name in result.cut if name not in result.failures]
        result.kept = [name for name in result.kept if name not in result.failures]
    return result


def _up_to_date_records(
    cases: list[Case], store: TileStore, check: CheckSettings, compare: bool
) -> dict[str, dict]:
    """Records of the cases whose tiles were cut from the present files with the store's settings.

    Args:
        cases: Cases to look for.
        store: The store.
        check: Settings of the check; tiles of images with other accepted errors are outdated.
        compare: Whether to compare the tiles with their checksums, too.
    """
    read = functools.partial(_up_to_date_record, store, check, compare)
    with ThreadPoolExecutor(_READERS) as executor:  # reading and comparing run in parallel
        records = executor.map(read, cases)
        return {
            case.name: record
            for case, record in zip(cases, records, strict=True)
            if record is not None
        }


def _up_to_date_record(
    store: TileStore, check: CheckSettings, compare: bool, case: Case
) -> dict | None:
    try:
        record = store.read_record(case.name)
        if record.get("source") != source_fingerprint(case):
            return None
        if record.get("patient") != case.patient:
            return None
        if read_annotation(record) != check.annotations.of(case.name):
            return None
        if not set(record.get("accepted", ())) <= set(check.accepted):
            return None
        return store.read(case.name).record if compare else record
    except (LiverSegError, TypeError):
        return None  # cutting the case again reports what is wrong with its files


def _cut_cases(
    cases: list[Case], store: TileStore, check: CheckSettings, workers: Workers
) -> Generator[tuple[str, dict | str], None, None]:
    """Yield the name of each case with its record or its error message, as the cases end."""
    folder = Path(store.folder).absolute()
    empty = replace(store, folder=folder, cases={}, split={}, split_rule=None, sides={})
    for index, outcome in run_jobs(functools.partial(_cut_case, empty, check), cases, workers):
        name = cases[index].name
        if isinstance(outcome, LiverSegError):
            outcome = str(outcome.about(name))
        elif not isinstance(outcome, str) and not store.path(name).exists():
            outcome = (
                f"Expected the file {store.path(name)} from a worker. Received no such file: does "
                f"the worker use another file system? (case {name})"
            )
        yield name, outcome


def _cut_case(store: TileStore, check: CheckSettings, case: Case) -> dict | str:
    """Cut a case in a worker; errors are returned as text, because some cannot be pickled."""
    try:
        tiles = cut_case(case, store.spec, check)
        store.write(case.name, tiles)
    except LiverSegError as error:
        return str(error.about(case.name))
    except MemoryError:
        return f"Not enough memory to write the tiles: use fewer workers. (case {case.name})"
    except Exception as error:  # a bug must not stop the other cases
        return f"Unexpected {type(error).__name__}: {error} (case {case.name})"
    return tiles.record


def _record_cases(
    job: PreprocessJob, check: CheckSettings, store: TileStore, result: PreprocessResult
) -> None:
    """Write `store.json` with all cases of the data set that are complete and up to date.

    These are the cases of this run, those of other parts, and those that workers completed after
    an interrupt.
    """
    with exclusive_lock(store.folder / ".lock-list", _resource(store), wait=True):
        clear_partials(store.folder)
        complete = _up_to_date_records(job.cases, store, check, compare=False)
        if "duplicate" not in check.accepted:
            for name, first in find_duplicates(complete).items():
                del complete[name]
                result.failures[name] = (
                    f"Expected each image once. Received the same voxels as in case {first}: "
                    f"remove one of them (to use both: --accept duplicate). (case {name})"
                )
        earlier = TileStore(store.folder, **read_store(store.folder))
        recorded = replace(store, cases={name: complete[name] for name in sorted(complete)})
        result.store = draw_split(recorded, earlier, job.cases, result.failures, job.split_rule)
        known_rule = earlier.split_rule in (None, result.store.split_rule)
        result.redrawn = bool(earlier.cases) and not known_rule
        result.store.save()


def _resource(store: TileStore) -> str:
    return f"the store {store.folder}"
