"""Stage 1: a data set's cases become a store, in parallel and whole case by whole case."""

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from liverseg_tf.atomic import PARTIAL
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.split import SplitRule, split_cases
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.case import cut_case, fingerprint
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.workers import Processes, Workers, run_each


@dataclass
class Preprocessed:
    """What a run of stage 1 did.

    Args:
        store: as it is on the disk now.
        cut: names of the cases that were cut.
        kept: names of those that were there already.
        failures: one line for each case that could not be cut.
    """

    store: TileStore
    cut: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def preprocess(
    cases: list[Case],
    store: TileStore,
    rule: SplitRule,
    workers: Workers | None = None,
    on_case: Callable[[str, str | None], None] = lambda name, failure: None,
) -> Preprocessed:
    """Cut the tiles of every case into a store.

    A case that is in the store already, cut from the same files, is kept. A case that fails
    is reported and the others go on. The split is drawn from the cases that are there.

    Args:
        cases: images with masks.
        store: folder, spec and storage.
        rule: of the split.
        workers: where the cases are cut; one process of its own by default.
        on_case: called with a case's name, and its failure or None, as each one ends.

    Raises:
        SettingsError: when the folder holds a store of another spec.
        LiverSegError: when another run is writing this store.
    """
    split_cases([case.name for case in cases], rule)  # a wrong rule is told before the work
    with _alone_in(store.folder):
        store = store.create()
        result = Preprocessed(store)
        records: dict[str, dict] = {}
        try:
            missing = _missing(cases, result, records)
            for name, outcome in _outcomes(missing, store, workers or Processes()):
                if isinstance(outcome, str):
                    result.failures[name] = outcome
                else:
                    records[name] = outcome
                    result.cut.append(name)
                on_case(name, result.failures.get(name))
        finally:
            result.store = _close(store, records, rule)
    return result


def _missing(cases: list[Case], result: Preprocessed, records: dict[str, dict]) -> list[Case]:
    """The cases to cut; those that are there already go into `records`."""
    missing = []
    for case in cases:
        record = result.store.read_record(case.name)
        try:
            unchanged = record is not None and record.get("source") == fingerprint(case)
        except (LiverSegError, TypeError):
            unchanged = False  # cutting it will say what is wrong
        if unchanged:
            records[case.name] = record
            result.kept.append(case.name)
        else:
            missing.append(case)
    return missing


def _outcomes(
    cases: list[Case], store: TileStore, workers: Workers
) -> Iterator[tuple[str, dict | str]]:
    """Name with record, or with the reason why there is none, as the cases end."""
    empty = replace(store, folder=Path(store.folder).absolute(), cases=None, split=None)
    for index, outcome in run_each(functools.partial(_cut_into, empty), cases, workers):
        name = cases[index].name
        if isinstance(outcome, LiverSegError):
            outcome = str(outcome.about(name))
        elif not isinstance(outcome, str) and not store.path(name).exists():
            outcome = (
                f"Expected the worker to write {store.path(name)}. Received none here: does it "
                f"see another file system? (case {name})"
            )
        yield name, outcome


def _cut_into(store: TileStore, case: Case) -> dict | str:
    """Runs in a worker; errors go back as text, since not every exception can travel."""
    try:
        tiles = cut_case(case, store.spec)
        store.write(case.name, tiles)
    except LiverSegError as error:
        return str(error.about(case.name))
    except MemoryError:
        return f"Expected enough memory to cut the tiles. Received none (case {case.name})"
    except Exception as error:  # a defect of ours must not cost the other cases
        return f"Unexpected {type(error).__name__}: {error} (case {case.name})"
    return tiles.record


def _close(store: TileStore, records: dict[str, dict], rule: SplitRule) -> TileStore:
    closed = replace(
        store,
        cases={name: records[name] for name in sorted(records)},
        split=split_cases(list(records), rule),
        rule=asdict(rule),
    )
    closed.save()
    return closed


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the store's lock, which the system frees when the process ends, and clear leftovers."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise LiverSegError(
            f"Expected to write the store {folder}. Received: {error.strerror}."
        ) from error
    try:
        _lock(lock, folder)
        for leftover in [*folder.glob(f"{PARTIAL}*"), *folder.glob(f"cases/{PARTIAL}*")]:
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        yield
    finally:
        os.close(lock)


def _lock(handle: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: no lock, the cases are still whole
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LiverSegError(
            f"Expected the store {folder} for this run alone. "
            "Received one that another run is writing."
        ) from error
