"""The results folder of benchmarks/gpu.sh: one JSON for each row and call."""

import json
from pathlib import Path

from liverseg_tf.atomic import write_json


def write_result(folder: Path, row: str, call: str, found: dict) -> None:
    """Write the result of a row.

    Args:
        folder: Results of one card.
        row: Name of the row.
        call: Identifier of the call of the script; later calls have greater ones.
        found: `values`, or `error` with the reason in one line.
    """
    write_json(folder / "rows" / f"{row}.{call}.json", {"row": row, "call": call} | found)


def read_results(folder: Path) -> list[dict]:
    """Read the results of all calls, in the order in which the calls were made."""
    found = [json.loads(path.read_text()) for path in (folder / "rows").glob("*.json")]
    return sorted(found, key=lambda result: (result["call"], result["row"]))
