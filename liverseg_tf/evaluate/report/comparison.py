"""Comparison of two sets of predictions: differences case by case, and a paired test."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from liverseg_tf.atomic import write_csv, write_json
from liverseg_tf.bootstrap import DEFINITION_OF_SCORES as INTERVAL
from liverseg_tf.bootstrap import FEWEST_CASES, bootstrap_interval
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.report.score_text import UNDEFINED
from liverseg_tf.printable import spreadsheet_text

COMPARED = ("dice", "jaccard", "assd", "rmsd", "msd", "hd95", "hd95_area", "nsd")
DEFINITIONS = {
    "difference": "second minus first, in the cases in which both are defined",
    "interval": INTERVAL,
    "p": (
        "two-sided Wilcoxon signed-rank test of the differences (scipy.stats.wilcoxon; zeros are "
        "dropped); 1 if all are zero, undefined (null) if there is no case; not corrected for the "
        "number of comparisons"
    ),
}


@dataclass(frozen=True)
class Comparison:
    """Comparison of one score of one region.

    Args:
        region: Name of the region.
        score: Name of the score.
        n: Number of cases in which the score is defined in both sets.
        first: Mean of the first set over these cases.
        second: Mean of the second set over these cases.
        difference: Difference of the means, second minus first.
        low: Lower end of the 95 % interval of the difference.
        high: Upper end of the 95 % interval of the difference.
        p: p-value of the Wilcoxon signed-rank test.
    """

    region: str
    score: str
    n: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float


def compare_evaluations(first: Evaluation, second: Evaluation, seed: int = 0) -> list[Comparison]:
    """Compare the scores that two evaluations have in common.

    Args:
        first: Evaluation of the first set of predictions.
        second: Evaluation of the second set.
        seed: Seed of the bootstrap intervals.

    Raises:
        LiverSegError: If the evaluations have no case in common.
    """
    pairs = paired_scores(first, second)
    if not pairs:
        raise LiverSegError(
            "The two sets of predictions have no case in common: score the same cases in both."
        )
    comparisons = []
    for region, score in dict.fromkeys((region, score) for _, region, score, *_ in pairs):
        values = np.array([pair[3:] for pair in pairs if pair[1:3] == (region, score)])
        values = values[~np.isnan(values).any(axis=1)]
        differences = values[:, 1] - values[:, 0]
        first_mean, second_mean = map(float, _means(values))
        low, high = bootstrap_interval(differences, seed, FEWEST_CASES)
        comparisons.append(
            Comparison(
                region,
                score,
                len(values),
                first_mean,
                second_mean,
                second_mean - first_mean,
                low,
                high,
                wilcoxon_p(differences),
            )
        )
    return comparisons


def paired_scores(first: Evaluation, second: Evaluation) -> list[tuple]:
    """List (case, region, score, first value, second value) of all cases scored in both."""
    second_scores = {(result.case, result.region): result.scores for result in second.results}
    return [
        (result.case, result.region, score, result.scores[score], others[score])
        for result in first.results
        if (others := second_scores.get((result.case, result.region))) is not None
        for score in COMPARED
        if score in result.scores and score in others
    ]


def wilcoxon_p(differences: np.ndarray) -> float:
    """Compute the two-sided p-value of the Wilcoxon signed-rank test.

    Args:
        differences: (n,) differences of paired values.

    Returns:
        The p-value; 1 if all differences are 0, NaN if there are none.
    """
    if not len(differences):
        return math.nan
    if not np.any(differences):
        return 1.0
    from scipy.stats import wilcoxon  # the import takes a second

    return float(wilcoxon(differences).pvalue)


def write_comparison(out: Path, first: Evaluation, second: Evaluation) -> list[Comparison]:
    """Compare two evaluations; write versus.csv (one row per case, region, score) and versus.json.

    Args:
        out: Folder of the two files.
        first: Evaluation of the first set of predictions.
        second: Evaluation of the second set.

    Raises:
        LiverSegError: If the evaluations have no case in common, or a file cannot be written.
    """
    comparisons = compare_evaluations(first, second)
    columns = ("case", "region", "score", "first", "second", "difference")
    rows = (
        dict(
            zip(
                columns,
                (spreadsheet_text(pair[0]), *pair[1:], pair[-1] - pair[-2]),
                strict=True,
            )
        )
        for pair in paired_scores(first, second)
    )
    write_csv(Path(out) / "versus.csv", columns, rows)
    values = [asdict(comparison) for comparison in comparisons]
    write_json(Path(out) / "versus.json", {"definitions": DEFINITIONS, "comparisons": values})
    return comparisons


def comparison_table(comparisons: list[Comparison], tolerance_mm: float) -> Table:
    """Return a table of the comparisons for a terminal of 80 columns.

    Args:
        comparisons: Comparisons of scores.
        tolerance_mm: Tolerance of the surface Dice (NSD).
    """
    table = Table(title="Second minus first", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Region", overflow="fold")
    for heading in ("Score", "n", "First", "Second", "Diff.", "95 % from", "to", "p"):
        table.add_column(heading, justify="left" if heading == "Score" else "right")
    for row in comparisons:
        values = (row.first, row.second, row.difference, row.low, row.high)
        score = f"nsd {tolerance_mm:g} mm" if row.score == "nsd" else row.score
        table.add_row(
            Text(row.region), score, str(row.n), *map(_format, values), _format(row.p, ".2g")
        )
    table.caption = (
        "First, Second: means over the n cases with both scores\n"
        "95 % from, to: 95 % confidence interval of the mean difference\n"
        "p: Wilcoxon signed-rank test"
    )
    table.caption_justify = "left"
    return table


def _means(values: np.ndarray) -> tuple[float, float]:
    return tuple(values.mean(axis=0)) if len(values) else (math.nan, math.nan)


def _format(value: float, form: str = ".3f") -> str:
    return UNDEFINED if math.isnan(value) else format(value, form)
