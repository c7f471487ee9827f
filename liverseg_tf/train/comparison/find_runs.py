"""Finds the runs in folders; what is no run, or one that cannot be compared, is named."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.model.run_record import RUN_FILE, RunRecord
from liverseg_tf.train.comparison.found_run import LOG_FILE, FoundRun, or_lowest

_DEPTH = 3  # levels of folders below the given one, such as those of a cross-validation
# files of a run from which `run.json` is missing
_TRACES = ("model.keras", "checkpoint.npz", "log.csv", "validation.csv")


@dataclass(frozen=True)
class Skipped:
    """A folder that is left out of a comparison.

    Args:
        name: Its path as the user sees it.
        reason: Why, as a sentence without its full stop.
        is_damaged: Whether it is a run that cannot be read, and not merely something else.
    """

    name: str
    reason: str
    is_damaged: bool = False


def find_runs(
    folders: Sequence[Path], unfinished: bool = False
) -> tuple[list[FoundRun], list[Skipped]]:
    """Find the runs in folders, and in their subfolders down to three levels.

    Args:
        folders: Folders of runs, or runs themselves.
        unfinished: Whether runs that have not finished are compared as well, with their best
            validation so far.

    Returns:
        The runs, best mean Dice first, and what was left out.

    Raises:
        LiverSegError: If a folder does not exist.
    """
    runs: dict[Path, FoundRun] = {}
    skipped: list[Skipped] = []
    for top in folders:
        if not top.is_dir():
            raise LiverSegError(f"Expected a folder of runs at {top}. Received no such folder.")
        for folder in _candidates(top, top, skipped):
            name = _name(folder, top, len(folders) > 1)
            found = _read(folder, name, unfinished)
            if isinstance(found, Skipped):
                skipped.append(found)
            else:
                runs.setdefault(folder.resolve(), found)
    ranked = sorted(runs.values(), key=lambda run: (-or_lowest(run.mean_dice), run.name))
    return ranked, skipped


def _candidates(folder: Path, top: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """Yield the folders that are, or should be, runs.

    Folders that cannot be listed, and those directly in `top` that hold no run, are appended to
    `skipped`.
    """
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
            names = {entry.name for entry in listed}
            below = [
                Path(entry.path)
                for entry in listed
                if not entry.name.startswith(".") and entry.is_dir()
            ]
    except OSError as error:
        reason = f"it cannot be read ({reason_of(error)})"
        skipped.append(Skipped(_name(folder, top, False), reason, is_damaged=True))
        return
    if RUN_FILE in names or not names.isdisjoint(_TRACES):
        yield folder
        return
    depth = len(folder.relative_to(top).parts)
    for one in below if depth < _DEPTH else ():
        known = len(skipped)
        found = list(_candidates(one, top, skipped))
        if not found and depth == 0 and len(skipped) == known:
            skipped.append(Skipped(_name(one, top, False), "it holds no run"))
        yield from found


def _read(folder: Path, name: str, unfinished: bool) -> FoundRun | Skipped:
    if not (folder / RUN_FILE).exists():
        return Skipped(name, f"it has files of a run, but no {RUN_FILE}", is_damaged=True)
    try:
        if not RunRecord.read(folder).finished:
            if not unfinished:
                return Skipped(name, "it has not finished (--unfinished includes it)")
            if not (folder / LOG_FILE).exists():
                return Skipped(name, "it has not completed an epoch")
        return FoundRun.read(folder, name)
    except LiverSegError as error:
        return Skipped(name, f"it is damaged or of another program. {error}", is_damaged=True)


def _name(folder: Path, top: Path, several: bool) -> str:
    if folder == top:
        return str(top) if several else folder.resolve().name
    return str(folder if several else folder.relative_to(top))
