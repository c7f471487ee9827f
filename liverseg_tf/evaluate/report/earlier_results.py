"""Results of an earlier evaluation, which must not stay beside those of a new one."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverseg_tf.errors import LiverSegError
from liverseg_tf.html_page import is_own_page
from liverseg_tf.partials import clear_abandoned_partials, remove
from liverseg_tf.records import read_record

SCORES = "scores.json"
RESULTS = ("scores.csv", "lits.csv", "summary.json", "versus.csv", "versus.json", "report.html")
VIEWERS, VERSUS = "viewer", "versus"


@dataclass(frozen=True)
class _Scores:
    """Entries by which scores.json of this package is recognised."""

    liverseg_tf: str
    protocol: Any


def clear_earlier_results(out: Path) -> None:
    """Remove the files of an earlier evaluation, so that old results are not taken for new ones.

    Args:
        out: Folder of the results; it may be missing.

    Raises:
        LiverSegError: If the folder contains a file with the name of a result that no earlier
            evaluation has written, or a file cannot be removed.
    """
    out = Path(out)
    clear_abandoned_partials(out.absolute())
    existing = [out / name for name in RESULTS if (out / name).exists()]
    if not _is_own_folder(out):
        if existing or (out / SCORES).exists():
            raise LiverSegError(
                f"Expected a new folder for the scores, or one of an earlier evaluation, at {out}. "
                f"Received {(existing or [out / SCORES])[0].name} of another origin: remove it or "
                "choose another folder."
            )
        return
    for page in sorted((out / VIEWERS).glob("*.html")):
        if is_own_page(page):
            remove(page)
    with suppress(OSError):
        (out / VIEWERS).rmdir()  # if nothing else is in it
    if _is_own_folder(out / VERSUS):
        clear_earlier_results(out / VERSUS)
    for path in (*existing, out / SCORES):  # the last one marks the others as results
        remove(path)


def _is_own_folder(folder: Path) -> bool:
    try:
        read_record(folder / SCORES, _Scores)
    except LiverSegError:
        return False
    return True
