"""Two sets of predictions for the same cases: differences case by case, and their test."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from liverseg_tf.atomic import write_csv, write_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.metrics.bootstrap import DEFINITION as INTERVAL
from liverseg_tf.evaluate.metrics.bootstrap import bootstrap_interval

COMPARED = ("dice", "jaccard", "assd", "rmsd", "msd", "hd95", "hd95_area", "nsd")
DEFINITIONS = {
    "difference": "second minus first, over the cases in which both are defined",
    "interval": INTERVAL,
    "p": (
        "two-sided Wilcoxon signed-rank test of the differences (scipy.stats.wilcoxon; zeros are "
        "dropped); 1 where all are zero, undefined (null) without a case; not corrected for the "
        "number of comparisons"
    ),
}


@dataclass(frozen=True)
class Comparison:
    """One score of one region in both sets.

    Args:
        region, score: what is compared.
        n: cases in which both have the score.
        first, second: means over these.
        difference: of the means, second minus first; low and high are its 95 % interval.
        p: of the Wilcoxon signed-rank test.
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
    """Compare what two evaluations have in common.

    Raises:
        LiverSegError: when they share no case.
    """
    pairs = paired_values(first, second)
    if not pairs:
        raise LiverSegError(
            "Expected two sets of predictions that share cases. Received none in both."
        )
    comparisons = []
    for region, score in dict.fromkeys((region, score) for _, region, score, *_ in pairs):
        values = np.array([pair[3:] for pair in pairs if pair[1:3] == (region, score)])
        values = values[~np.isnan(values).any(axis=1)]
        differences = values[:, 1] - values[:, 0]
        means = [float(one) if len(values) else math.nan for one in _means(values)]
        comparisons.append(
            Comparison(
                region,
                score,
                len(values),
                *means,
                means[1] - means[0],
                *bootstrap_interval(differences, seed),
                wilcoxon_p(differences),
            )
        )
    return comparisons


def paired_values(first: Evaluation, second: Evaluation) -> list[tuple]:
    """(case, region, score, first, second) of every case that both scored."""
    others = {(row.case, row.region): row.scores for row in second.rows}
    return [
        (row.case, row.region, score, row.scores[score], others[row.case, row.region][score])
        for row in first.rows
        if (row.case, row.region) in others
        for score in COMPARED
        if score in row.scores and score in others[row.case, row.region]
    ]


def wilcoxon_p(differences: np.ndarray) -> float:
    """p of the two-sided signed-rank test; 1 where all differences are 0, NaN without any."""
    if not len(differences):
        return math.nan
    if not np.any(differences):
        return 1.0
    from scipy.stats import wilcoxon  # its import takes a second

    return float(wilcoxon(differences).pvalue)


def write_versus(out: Path, first: Evaluation, second: Evaluation) -> list[Comparison]:
    """Write versus.csv (a row for each case, region and score) and versus.json."""
    comparisons = compare_evaluations(first, second)
    columns = ("case", "region", "score", "first", "second", "difference")
    pairs = (
        dict(zip(columns, (*pair, pair[-1] - pair[-2]), strict=True))
        for pair in paired_values(first, second)
    )
    write_csv(Path(out) / "versus.csv", columns, pairs)
    rows = [asdict(comparison) for comparison in comparisons]
    write_json(Path(out) / "versus.json", {"definitions": DEFINITIONS, "comparisons": rows})
    return comparisons


def versus_table(comparisons: list[Comparison]) -> Table:
    """The comparisons for a terminal of 80 columns."""
    table = Table(title="Second minus first", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Region", overflow="fold")
    for heading in ("Score", "n", "First", "Second", "Diff.", "95 % from", "to", "p"):
        table.add_column(heading, justify="left" if heading == "Score" else "right")
    for one in comparisons:
        numbers = (one.first, one.second, one.difference, one.low, one.high)
        table.add_row(
            Text(one.region), one.score, str(one.n), *map(_text, numbers), _text(one.p, ".2g")
        )
    return table


def _means(values: np.ndarray) -> tuple[float, float]:
    return tuple(values.mean(axis=0)) if len(values) else (math.nan, math.nan)


def _text(value: float, form: str = ".3f") -> str:
    return "–" if math.isnan(value) else format(value, form)  # noqa: RUF001
