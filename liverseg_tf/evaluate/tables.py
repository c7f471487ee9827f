"""Scores as files (CSV, JSON) and as a table for the terminal."""

import csv
import dataclasses
import math
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from liverseg_tf import __version__
from liverseg_tf.atomic import replacing, write_json
from liverseg_tf.evaluate.evaluation import CONVENTIONS, Evaluation, Row
from liverseg_tf.evaluate.scores import DEFINITIONS, Overlap

COLUMNS = {  # of the terminal's table and the page: score, heading, format
    "dice": ("Dice", "{:.3f}"),
    "jaccard": ("Jaccard", "{:.3f}"),
    "truth_ml": ("Truth ml", "{:.1f}"),
    "prediction_ml": ("Pred. ml", "{:.1f}"),
    "difference_ml": ("Diff. ml", "{:+.1f}"),
}
UNDEFINED = "–"  # noqa: RUF001
_COUNTS = [field.name for field in dataclasses.fields(Overlap)]


def write_tables(evaluation: Evaluation, out: Path) -> None:
    """Write scores.csv and scores.json into a folder, each whole or not at all."""
    write_csv(out / "scores.csv", evaluation)
    write_json(out / "scores.json", scores_json(evaluation))


def write_csv(path: Path, evaluation: Evaluation) -> None:
    """Write one line a case and region; an undefined score is an empty field."""
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["case", "region", *DEFINITIONS, *_COUNTS])
        for row in evaluation.rows:
            values = _values(row)
            writer.writerow(["" if value is None else value for value in values.values()])


def scores_json(evaluation: Evaluation) -> dict:
    """Everything that an evaluation found, as strict JSON values (null for undefined)."""
    return {
        "liverseg_tf": __version__,
        "definitions": {
            "T, P": "voxels of the region in the truth and in the prediction",
            **DEFINITIONS,
            "std": "population standard deviation (divided by n)",
            "n": "number of cases in which the score is defined",
        },
        "conventions": dict(CONVENTIONS),
        "regions": evaluation.regions.to_json(),
        "summary": {
            convention: {
                region: {
                    score: _without_nan(dataclasses.asdict(statistics))
                    for score, statistics in scores.items()
                }
                for region, scores in evaluation.summary(convention).items()
            }
            for convention in CONVENTIONS
        },
        "rows": [_values(row) for row in evaluation.rows],
        "failures": [dataclasses.asdict(failure) for failure in evaluation.failures],
        "notes": list(evaluation.notes),
    }


def score_table(evaluation: Evaluation) -> Table:
    """The scores as a table that fits a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("Case", overflow="fold")
    table.add_column("Region", overflow="fold")
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for case, region, *texts in table_rows(evaluation):
        table.add_row(Text(case), Text(region), *texts)  # names are no markup
    table.add_section()
    for name, region, *texts in mean_rows(evaluation):
        table.add_row(name, Text(region), *texts, style="bold")
    return table


def table_rows(evaluation: Evaluation) -> list[list[str]]:
    """Case, region and the scores of `COLUMNS` as text; a case is named in its first row."""
    rows, shown = [], None
    for row in evaluation.rows:
        rows.append(["" if row.case == shown else row.case, row.region, *_texts(row.scores)])
        shown = row.case
    return rows


def mean_rows(evaluation: Evaluation) -> list[list[str]]:
    """A mean for each region, and a second one without empty cases where that differs."""
    rows = []
    for region in evaluation.regions.names:
        everything, defined = (evaluation.summary(name)[region] for name in CONVENTIONS)
        rows.append([f"mean of {everything['dice'].n}", region, *_means(everything)])
        if defined["dice"].n < everything["dice"].n:
            rows.append([f"{defined['dice'].n} not empty", region, *_means(defined)])
    return rows


def _means(scores: dict) -> list[str]:
    return _texts({name: statistics.mean for name, statistics in scores.items()})


def _texts(scores) -> list[str]:
    return [
        UNDEFINED if math.isnan(scores[name]) else form.format(scores[name])
        for name, (_, form) in COLUMNS.items()
    ]


def _values(row: Row) -> dict:
    return {
        "case": row.case,
        "region": row.region,
        **_without_nan(row.scores),
        **dataclasses.asdict(row.overlap),
    }


def _without_nan(values) -> dict:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }
