"""Rows of results in a JSON file: what is there is not measured again."""

import statistics
from collections.abc import Iterable
from pathlib import Path

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.locks import exclusive_lock


def read_rows(path: Path) -> list[dict]:
    """Return the rows of a file; none if there is no file."""
    return read_json(path)["rows"] if path.exists() else []


def is_of(row: dict, identity: dict) -> bool:
    """Whether a row has these values."""
    return all(row[name] == value for name, value in identity.items())


def replace_row(rows: list[dict], row: dict, names: Iterable[str]) -> list[dict]:
    """Return rows with one more, without that which has the same values of these names."""
    identity = {name: row[name] for name in names}
    return [*(one for one in rows if not is_of(one, identity)), row]


def add_row(path: Path, row: dict, names: tuple[str, ...], work: Path) -> None:
    """Add or replace a row of a file, and sort its rows by these names.

    Args:
        path: File with the rows.
        row: New row.
        names: Names of the values that identify a row.
        work: Folder of the campaign. Processes that share it add their rows one after another.
    """
    with exclusive_lock(work / ".lock", f"the results in {path}", wait=True):
        rows = replace_row(read_rows(path), row, names)
        rows.sort(key=lambda one: [str(one[name]) for name in names])
        write_json(path, {"rows": rows})


def dice_by_case(rows: list[dict]) -> dict[str, float]:
    """Return the Dice of each patient, mean over regions and seeds."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for case in row["cases"]:
            found.setdefault(case["case"], []).append(case["dice"])
    return {name: statistics.mean(values) for name, values in found.items()}
