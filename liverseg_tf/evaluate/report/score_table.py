"""The scores of an evaluation as a table for the terminal."""

import math
from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.evaluate.evaluation import CONVENTIONS, Evaluation, Statistics
from liverseg_tf.evaluate.report.score_text import MAIN_SCORES, format_score, heading
from liverseg_tf.printable import printable

_ALERT = "bold red"


def score_table(evaluation: Evaluation) -> Table:
    """Return a table of the main scores for a terminal of 80 columns.

    Cases that could not be scored have a row of their own, and the means tell how many cases they
    leave out.
    """
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("Case", overflow="fold")
    table.add_column("Region", overflow="fold")
    for score in MAIN_SCORES:
        name, _, unit = heading(score, evaluation.scoring.tolerance_mm).partition(" ")
        table.add_column(f"{name}\n{unit}".rstrip(), justify="right", no_wrap=True)
    for case, region, *texts in _case_rows(evaluation):
        table.add_row(Text(printable(case)), Text(region), *texts)  # Text: names are not markup
    for case, reason in evaluation.coverage.unscored():
        table.add_row(Text(printable(case)), reason, *[""] * len(MAIN_SCORES), style=_ALERT)
    table.add_section()
    means, intervals = _mean_rows(evaluation), _interval_rows(evaluation)
    for name, region, *texts in means:
        table.add_row(name, Text(region), *texts, style="bold")
    zeros = _zero_rows(evaluation)
    for name, region, *texts in zeros:
        table.add_row(name, Text(region), *texts, style=_ALERT)
    table.add_section()
    for name, region, *texts in intervals:
        table.add_row(name, Text(region), *texts)
    table.caption = "\n".join(_explain(evaluation, means, zeros, intervals)) or None
    table.caption_justify = "left"
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
        n, left_out = all_cases["dice"].n, evaluation.coverage.left_out.get(region, 0)
        of_all = f" of {n + left_out}" if left_out else ""
        rows.append([f"mean of {n}{of_all}", region, *_format_means(all_cases)])
        if not_empty["dice"].n < n:
            rows.append([f"{not_empty['dice'].n} not empty", region, *_format_means(not_empty)])
    return rows


def _zero_rows(evaluation: Evaluation) -> list[list[str]]:
    """Means in which cases that could not be scored count as 0, if there are such cases."""
    return [
        [f"{left_out} as 0", region, *_format_scores(evaluation.means_with_zeros(region))]
        for region in evaluation.regions.names
        if (left_out := evaluation.coverage.left_out.get(region, 0))
    ]


def _interval_rows(evaluation: Evaluation) -> list[list[str]]:
    """Lower and upper ends of the 95 % intervals of each region; no rows for too few cases."""
    rows = []
    for region, intervals in evaluation.intervals().items():
        if all(math.isnan(end) for ends in intervals.values() for end in ends):
            continue
        for index, name in enumerate(("95 % from", "95 % to")):
            ends = {score: interval[index] for score, interval in intervals.items()}
            rows.append([name, region, *_format_scores(ends)])
    return rows


def _explain(evaluation: Evaluation, means: list, zeros: list, intervals: list) -> list[str]:
    lines = []
    if intervals:
        lines.append("95 % from, to: 95 % confidence interval of the mean")
    elif evaluation.results:
        lines.append(f"no confidence intervals: they need at least {FEWEST_CASES} cases")
    if len(means) > len(evaluation.regions.names):
        lines.append("not empty: without cases in which both masks are empty")
    if zeros:
        lines.append("as 0: mean of all cases, where those without a score count as 0")
    return lines


def _format_means(scores: Mapping[str, Statistics]) -> list[str]:
    return _format_scores({name: statistics.mean for name, statistics in scores.items()})


def _format_scores(scores: Mapping[str, float]) -> list[str]:
    return [format_score(name, scores.get(name, math.nan)) for name in MAIN_SCORES]
