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
from liverseg_tf.evaluate.metrics import distances
from liverseg_tf.evaluate.metrics.bootstrap import TEXT as INTERVAL
from liverseg_tf.evaluate.metrics.overlap import DEFINITIONS, Overlap
from liverseg_tf.evaluate.metrics.surface_distances import SURFACES
from liverseg_tf.evaluate.protocols.lits_tables import lits_json, write_lits_csv
from liverseg_tf.evaluate.protocols.nnunet import write_summary
from liverseg_tf.evaluate.protocols.scoring import PROTOCOLS

DEFINITIONS_VERSION = 1  # raised when a formula below changes
COLUMNS = {  # of the terminal's table and the page: score, heading, format
    "dice": ("Dice", "{:.3f}"),
    "assd": ("ASSD mm", "{:.2f}"),
    "hd95": ("HD95 mm", "{:.1f}"),
    "nsd": ("NSD", "{:.3f}"),
    "truth_ml": ("Truth ml", "{:.1f}"),
    "difference_ml": ("Diff. ml", "{:+.1f}"),
}
UNDEFINED = "–"  # noqa: RUF001
_COUNTS = [field.name for field in dataclasses.fields(Overlap)]


def write_tables(evaluation: Evaluation, out: Path) -> None:
    """Write the tables of an evaluation into a folder, each whole or not at all.

    Always scores.csv and scores.json; with the protocol lits lits.csv and the section `lits` of
    the JSON file, with nnunet summary.json.
    """
    write_csv(out / "scores.csv", evaluation)
    write_json(out / "scores.json", scores_json(evaluation))
    if evaluation.scoring.protocol == "lits":
        write_lits_csv(out / "lits.csv", evaluation)
    if evaluation.scoring.protocol == "nnunet" and evaluation.pairs:
        write_summary(out / "summary.json", evaluation)


def write_csv(path: Path, evaluation: Evaluation) -> None:
    """Write one line a case and region; an undefined score is an empty field."""
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["case", "region", *evaluation.score_names, *_COUNTS])
        for row in evaluation.rows:
            values = _values(row, evaluation.score_names)
            writer.writerow(["" if value is None else value for value in values.values()])


def scores_json(evaluation: Evaluation) -> dict:
    """Everything that an evaluation found, as strict JSON values (null for undefined)."""
    scoring = evaluation.scoring
    lits = {"lits": lits_json(evaluation)} if evaluation.lits else {}
    return {
        "liverseg_tf": __version__,
        "protocol": scoring.protocol,
        "protocol_text": PROTOCOLS[scoring.protocol].text,
        "surface": scoring.surface,
        "tolerance_mm": scoring.tolerance_mm,
        "definitions_version": DEFINITIONS_VERSION,
        "definitions": {
            "T, P": "voxels of the region in the truth and in the prediction",
            **DEFINITIONS,
            **({"surface": SURFACES[scoring.surface]} if scoring.surface else {}),
            **{name: distances.DEFINITIONS[name] for name in _measured(evaluation)},
            "interval": INTERVAL,
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
        "intervals": {
            convention: {
                region: {score: _nulls(ends) for score, ends in scores.items()}
                for region, scores in evaluation.intervals(convention).items()
            }
            for convention in CONVENTIONS
        },
        **lits,
        "rows": [_values(row, evaluation.score_names) for row in evaluation.rows],
        "failures": [dataclasses.asdict(failure) for failure in evaluation.failures],
        "notes": list(evaluation.notes),
    }


def score_table(evaluation: Evaluation) -> Table:
    """The scores as a table that fits a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("Case", overflow="fold")
    table.add_column("Region", overflow="fold")
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for case, region, *texts in table_rows(evaluation):
        table.add_row(Text(case), Text(region), *texts)  # names are no markup
    table.add_section()
    for name, region, *texts in mean_rows(evaluation):
        table.add_row(name, Text(region), *texts, style="bold")
    table.add_section()
    for name, region, *texts in interval_rows(evaluation):
        table.add_row(name, Text(region), *texts)
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


def interval_rows(evaluation: Evaluation) -> list[list[str]]:
    """Two rows for each region: the ends of the 95 % intervals of its means; none for one case."""
    rows = []
    intervals = evaluation.intervals()
    for region in evaluation.regions.names:
        if all(math.isnan(end) for ends in intervals[region].values() for end in ends):
            continue
        for place, name in enumerate(("95 % from", "95 % to")):
            ends = {score: interval[place] for score, interval in intervals[region].items()}
            rows.append([name, region, *_texts(ends)])
    return rows


def _measured(evaluation: Evaluation) -> list[str]:
    return [name for name in evaluation.score_names if name in distances.DEFINITIONS]


def _means(scores: dict) -> list[str]:
    return _texts({name: statistics.mean for name, statistics in scores.items()})


def _texts(scores) -> list[str]:
    return [
        UNDEFINED if math.isnan(scores.get(name, math.nan)) else form.format(scores[name])
        for name, (_, form) in COLUMNS.items()
    ]


def _values(row: Row, names: tuple[str, ...]) -> dict:
    return {
        "case": row.case,
        "region": row.region,
        **_without_nan({name: row.scores.get(name, math.nan) for name in names}),
        **dataclasses.asdict(row.overlap),
    }


def _nulls(values) -> list:
    return [None if math.isnan(value) else value for value in values]


def _without_nan(values) -> dict:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }
