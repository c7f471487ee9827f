"""Stage 1: a data set's cases become a store, in parallel and whole case by whole case."""

import functools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from liverseg_tf.atomic import clear_partials
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.dataset_part import DatasetPart
from liverseg_tf.dataset.split import SplitRule, split_cases
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.tiles.case_tiles import cut_case, fingerprint
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.tiles.store_lock import holding, listing
from liverseg_tf.workers import Processes, Workers, run_each


@dataclass(frozen=True)
class PreprocessJob:
    """What goes into a store.

    Args:
        cases: images with masks: all of the data set.
        rule: of the split.
        part: the cases that this run cuts; other runs cut the others, at the same time if
            they like.
        recut: a store of other settings is emptied first, instead of being an error.

    Raises:
        SettingsError: when one of several parts would empty the store.
    """

    cases: list[Case]
    rule: SplitRule = SplitRule()  # noqa: RUF009 (frozen)
    part: DatasetPart = DatasetPart()  # noqa: RUF009 (frozen)
    recut: bool = False

    def __post_init__(self) -> None:
        if self.recut and self.part.count > 1:
            raise SettingsError(
                f"Expected to cut a store of other settings anew in one run. Received {self.part}."
            )


@dataclass
class PreprocessResult:
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
    intake: PreprocessJob,
    store: TileStore,
    workers: Workers | None = None,
    on_case: Callable[[str, str | None], None] = lambda name, failure: None,
) -> PreprocessResult:
    """Cut the tiles of every case into a store.

    A case that is in the store already, cut from the same files, is kept. A case that fails
    is reported and the others go on. The split is drawn from the cases that are there, those
    that other parts have cut included.

    Args:
        intake: cases, split and part.
        store: folder, spec and storage.
        workers: where the cases are cut; one process of its own by default.
        on_case: called with a case's name, and its failure or None, as each one ends.

    Raises:
        SettingsError: when the folder holds a store of another spec, and not `recut`.
        LiverSegError: when another run is writing this part of the store.
    """
    # a wrong rule is told before the work
    split_cases([case.name for case in intake.cases], intake.rule)
    cases = intake.part.of(intake.cases)
    with holding(store.folder, intake.part):
        # what a crash left; with several parts, the rest may be what others are writing
        own = {store.path(case.name).name for case in cases} if intake.part.count > 1 else None
        clear_partials(store.folder / "cases", own)
        store = store.create(intake.recut)
        result = PreprocessResult(store)
        records: dict[str, dict] = {}
        try:
            missing = _missing(cases, store, records)
            result.kept += list(records)
            # closed, so that an interrupt waits for the workers before others may have the store
            with closing(_outcomes(missing, store, workers or Processes())) as outcomes:
                for name, outcome in outcomes:
                    if isinstance(outcome, str):
                        result.failures[name] = outcome
                    else:
                        records[name] = outcome
                        result.cut.append(name)
                    on_case(name, result.failures.get(name))
        finally:
            result.store = _close(store, records, intake)
    return result


def _missing(cases: list[Case], store: TileStore, records: dict[str, dict]) -> list[Case]:
    """The cases to cut; those that are there already go into `records`."""
    missing = []
    for case in cases:
        record = store.read_record(case.name)
        try:
            unchanged = record is not None and record.get("source") == fingerprint(case)
        except (LiverSegError, TypeError):
            unchanged = False  # cutting it will say what is wrong
        if unchanged:
            records[case.name] = record
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


def _close(store: TileStore, records: dict[str, dict], intake: PreprocessJob) -> TileStore:
    """Write store.json with the cases that this run has, those that other parts have cut, and
    those that workers ended after an interrupt."""
    with listing(store.folder):
        clear_partials(store.folder)
        _missing([case for case in intake.cases if case.name not in records], store, records)
        closed = replace(
            store,
            cases={name: records[name] for name in sorted(records)},
            split=split_cases(list(records), intake.rule),
            rule=asdict(intake.rule),
        )
        closed.save()
    return closed
