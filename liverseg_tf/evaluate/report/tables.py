"""Scores of an evaluation as files (CSV, JSON) and as a table for the terminal."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from liverseg_tf import __version__
from liverseg_tf.atomic import nan_to_none, write_csv, write_json
from liverseg_tf.bootstrap import DEFINITION as INTERVAL
from liverseg_tf.evaluate.evaluation import CONVENTIONS, Evaluation, Statistics
from liverseg_tf.evaluate.metrics import distances
from liverseg_tf.evaluate.metrics.overlap import DEFINITIONS, Overlap
from liverseg_tf.evaluate.metrics.surface_distances import SURFACES
from liverseg_tf.evaluate.protocols.scoring import PROTOCOLS
from liverseg_tf.evaluate.report.earlier_results import SCORES, clear_earlier_results
from liverseg_tf.evaluate.report.lits_tables import lits_json, write_lits_csv
from liverseg_tf.evaluate.report.nnunet_summary import write_summary
from liverseg_tf.evaluate.report.score_text import MAIN_SCORES, format_score
from liverseg_tf.evaluate.score_case import RegionResult
from liverseg_tf.printable import printable, spreadsheet_text

DEFINITIONS_VERSION = 1  # increased when a formula changes
_COUNTS = [field.name for field in dataclasses.fields(Overlap)]


def write_tables(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write the tables of an evaluation into a folder, each atomically.

    The results of an earlier evaluation are removed before, its report and viewer pages included.

    These are scores.csv and scores.json; with the protocol lits also lits.csv and the section
    `lits` of scores.json, with nnunet also summary.json.

    Args:
        evaluation: Result to write.
        out: Folder, created if it is missing.

    Returns:
        Paths of the files.

    Raises:
        LiverSegError: If a file cannot be written, or the folder contains files with the names of
            results that no earlier evaluation has written.
    """
    out = Path(out)
    clear_earlier_results(out)
    names = evaluation.score_names
    rows = [
        _row(result, names) | {"case": spreadsheet_text(result.case)}
        for result in evaluation.results
    ]
    # the first file marks the folder as one of an evaluation
    write_json(out / SCORES, scores_json(evaluation))
    write_csv(out / "scores.csv", ["case", "region", *names, *_COUNTS], rows)
    written = [out / "scores.csv", out / SCORES]
    if evaluation.scoring.protocol == "lits":
        write_lits_csv(out / "lits.csv", evaluation)
        written.append(out / "lits.csv")
    if evaluation.scoring.protocol == "nnunet" and evaluation.pairs:
        write_summary(out / "summary.json", evaluation)
        written.append(out / "summary.json")
    return written


def scores_json(evaluation: Evaluation) -> dict:
    """Return the evaluation, its definitions and its statistics as strict JSON (null for NaN)."""
    scoring = evaluation.scoring
    distance_names = [name for name in evaluation.score_names if name in distances.DEFINITIONS]
    lits = {"lits": lits_json(evaluation)} if evaluation.lits else {}
    value = {
        "liverseg_tf": __version__,
        "protocol": scoring.protocol,
        "protocol_text": PROTOCOLS[scoring.protocol].description,
        "surface": scoring.surface,
        "tolerance_mm": scoring.tolerance_mm,
        "definitions_version": DEFINITIONS_VERSION,
        "definitions": {
            "T, P": "voxels of the region in the truth and in the prediction",
            **DEFINITIONS,
            **({"surface": SURFACES[scoring.surface]} if scoring.surface else {}),
            **{name: distances.DEFINITIONS[name] for name in distance_names},
            "interval": INTERVAL,
            "std": "population standard deviation (divided by n)",
            "n": "number of cases in which the score is defined",
        },
        "conventions": dict(CONVENTIONS),
        "regions": evaluation.regions.to_json(),
        "summary": {
            convention: {
                region: {
                    score: dataclasses.asdict(statistics) for score, statistics in scores.items()
                }
                for region, scores in evaluation.summary(convention).items()
            }
            for convention in CONVENTIONS
        },
        "intervals": {
            convention: {
                region: {score: list(ends) for score, ends in scores.items()}
                for region, scores in evaluation.intervals(convention).items()
            }
            for convention in CONVENTIONS
        },
        **lits,
        "rows": [_row(result, evaluation.score_names) for result in evaluation.results],
        "failures": [
            {"case": failure.case, "message": printable(failure.message)}
            for failure in evaluation.failures
        ],
        "notes": list(map(printable, evaluation.notes)),
    }
    return nan_to_none(value)


def score_table(evaluation: Evaluation) -> Table:
    """Return a table of the main scores for a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("Case", overflow="fold")
    table.add_column("Region", overflow="fold")
    for heading, _ in MAIN_SCORES.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for case, region, *texts in _case_rows(evaluation):
        table.add_row(Text(printable(case)), Text(region), *texts)  # Text: names are not markup
    table.add_section()
    means, intervals = _mean_rows(evaluation), _interval_rows(evaluation)
    for name, region, *texts in means:
        table.add_row(name, Text(region), *texts, style="bold")
    table.add_section()
    for name, region, *texts in intervals:
        table.add_row(name, Text(region), *texts)
    notes = ["95 % from, to: 95 % confidence interval of the mean"] if intervals else []
    if len(means) > len(evaluation.regions.names):
        notes.append("not empty: without cases in which both masks of the region are empty")
    table.caption, table.caption_justify = "\n".join(notes) or None, "left"
    return table


def _case_rows(evaluation: Evaluation) -> list[list[str]]:
    """Case, region and main scores; only the first row of a case has its name."""
    rows, previous = [], None
    for result in evaluation.results:
        case = "" if result.case == previous else result.case
        rows.append([case, result.region, *_format_scores(result.scores)])
        previous = result.case
    return rows


def _mean_rows(evaluation: Evaluation) -> list[list[str]]:
    """Means of each region over all cases and, if that differs, over those that are not empty."""
    rows = []
    summaries = [evaluation.summary(name) for name in CONVENTIONS]
    for region in evaluation.regions.names:
        all_cases, not_empty = (summary[region] for summary in summaries)
        rows.append([f"mean of {all_cases['dice'].n}", region, *_format_means(all_cases)])
        if not_empty["dice"].n < all_cases["dice"].n:
            rows.append([f"{not_empty['dice'].n} not empty", region, *_format_means(not_empty)])
    return rows


def _interval_rows(evaluation: Evaluation) -> list[list[str]]:
    """Lower and upper ends of the 95 % intervals of each region; no rows for a single case."""
    rows = []
    for region, intervals in evaluation.intervals().items():
        if all(math.isnan(end) for ends in intervals.values() for end in ends):
            continue
        for index, name in enumerate(("95 % from", "95 % to")):
            ends = {score: interval[index] for score, interval in intervals.items()}
            rows.append([name, region, *_format_scores(ends)])
    return rows


def _format_means(scores: Mapping[str, Statistics]) -> list[str]:
    return _format_scores({name: statistics.mean for name, statistics in scores.items()})


def _format_scores(scores: Mapping[str, float]) -> list[str]:
    return [format_score(name, scores.get(name, math.nan)) for name in MAIN_SCORES]


def _row(result: RegionResult, names: tuple[str, ...]) -> dict:
    """Result as a row of scores.csv and scores.json."""
    return {
        "case": result.case,
        "region": result.region,
        **{name: result.scores.get(name, math.nan) for name in names},
        **dataclasses.asdict(result.overlap),
    }
