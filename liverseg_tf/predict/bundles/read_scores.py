"""Tables of mean scores for a model card, from the results of `liverseg evaluate`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.bundle.card import score_table
from liverseg_tf.plural import count
from liverseg_tf.printable import printable
from liverseg_tf.records import read_record

SCORES_FILE = "scores.json"
_CONVENTION = "nnunet"  # cases without a region do not count for it
_SHOWN = ("dice", "nsd", "hd95_mm", "assd_mm", "volume_difference", "precision", "recall")


def read_score_tables(folders: Iterable[Path]) -> dict[str, str]:
    """Read the mean scores of evaluations; names of cases are left out.

    Args:
        folders: Folders of `liverseg evaluate`.

    Returns:
        Tables in Markdown by their title, which has the name of the folder.

    Raises:
        LiverSegError: If a folder has no scores.
    """
    tables = {}
    for folder in folders:
        path = Path(folder) / SCORES_FILE
        value = read_record(path, dict[str, Any])
        summary = value.get("summary")
        if not isinstance(summary, dict) or not summary:
            raise LiverSegError(f"Expected the scores of `liverseg evaluate` in {path}.")
        convention = _CONVENTION if _CONVENTION in summary else list(summary)[-1]
        scores = {
            printable(region): {name: values[name] for name in _chosen(values)}
            for region, values in summary[convention].items()
            if isinstance(values, dict)
        }
        cases = len({row.get("case") for row in value.get("rows", ()) if isinstance(row, dict)})
        title = f"Mean scores on {count(cases, 'case')} ({printable(Path(folder).resolve().name)})"
        tables[title] = score_table(scores)
    return tables


def _chosen(values: dict) -> list[str]:
    names = [name for name in values if isinstance(values[name], dict)]
    return [name for name in _SHOWN if name in names] or names
