"""Tables of a report as HTML. Each can be scrolled by itself."""

import math
import os
from collections.abc import Mapping
from urllib.parse import quote

from liverseg_tf.evaluate.evaluation import CONVENTIONS, Evaluation, Statistics
from liverseg_tf.evaluate.metrics import distances, overlap
from liverseg_tf.evaluate.protocols.lits import summarise_lits
from liverseg_tf.evaluate.report.score_text import UNDEFINED, format_score, heading
from liverseg_tf.html_page import escape

_DEFINITIONS = overlap.DEFINITIONS | distances.DEFINITIONS


def summary_table(evaluation: Evaluation) -> str:
    """Return the statistics and intervals of each region and score.

    A score has a second row without empty cases, if that changes the number of cases.
    """
    first, *others = CONVENTIONS
    summaries = {name: evaluation.summary(name) for name in CONVENTIONS}
    intervals = {name: evaluation.intervals(name) for name in CONVENTIONS}
    rows = []
    for region in evaluation.regions.names:
        for score in evaluation.score_names:
            for convention in (first, *others):
                values = summaries[convention][region][score]
                if convention == first or values.n != summaries[first][region][score].n:
                    suffix = "" if convention == first else " (not empty)"
                    interval = _format_interval(score, intervals[convention][region][score])
                    texts = _format_statistics(score, values)
                    rows.append([region, heading(score) + suffix, *texts, interval])
    titles = ["Region", "Score", "Cases", "Mean", "SD", "Median", "Lowest", "Highest"]
    titles.append("95 % CI of the mean")
    return (
        f"<h2>Summary</h2>\n{_table(titles, _without_repeated_names(rows))}"
        '<p class="small">SD: standard deviation. CI: confidence interval. If a region is empty in '
        "both the ground truth and the prediction of a case, its Dice, Jaccard and NSD count as 1 "
        "(as in LiTS). Rows marked (not empty) leave out these cases (as in nnU-Net).</p>\n"
    )


def lits_table(evaluation: Evaluation) -> str:
    """Return the scores of the LiTS challenge over all cases; no text under other protocols."""
    if not evaluation.lits:
        return ""
    compat = evaluation.scoring.compat
    rows = [
        [name, UNDEFINED if math.isnan(value) else f"{value:.4g}"]
        for name, value in summarise_lits(evaluation.lits, compat).items()
    ]
    suffix = ", as computed by the public scorer" if compat else ""
    return (
        f"<h2>Scores of the LiTS challenge{suffix}</h2>\n{_table(['Score', 'Value'], rows)}"
        '<p class="small">The names are those of the public scorer; scores.json contains the '
        "definitions.</p>\n"
    )


def case_table(
    evaluation: Evaluation, pictures: Mapping[str, str], viewers: Mapping[str, str]
) -> str:
    """Return every score of every case.

    Args:
        evaluation: Evaluation with the scores.
        pictures: Address of the picture by case.
        viewers: Address of the viewer page by case.
    """
    names = evaluation.score_names
    rows = [
        [
            result.case,
            result.region,
            *(format_score(name, result.scores.get(name, math.nan)) for name in names),
        ]
        for result in evaluation.results
    ]
    links = {}
    for case in {result.case for result in evaluation.results}:
        links[case] = escape(case)
        if case in pictures:
            links[case] = f'<a href="{escape(pictures[case])}">{links[case]}</a>'
        if case in viewers:
            links[case] += f" · {link_file(viewers[case], 'viewer')}"
    table = _table(["Case", "Region", *map(heading, names)], _without_repeated_names(rows), links)
    return f"<h2>Scores of each case</h2>\n{table}"


def definitions(evaluation: Evaluation) -> str:
    """Return the definitions of all scores."""
    items = "".join(
        f"<dt>{escape(heading(name))}</dt><dd>{escape(_DEFINITIONS.get(name, name))}</dd>\n"
        for name in evaluation.score_names
    )
    scoring = evaluation.scoring
    tolerance = (
        f", tolerance of the surface Dice (NSD): {scoring.tolerance_mm:g} mm"
        if "nsd" in evaluation.score_names
        else ""
    )
    return (
        f"<h2>Definitions of the scores</h2>\n<p>Protocol: {escape(scoring.protocol)}{tolerance}. "
        "T and P are the voxels of a region in the ground truth (truth) and in the prediction."
        f"</p>\n<dl>{items}</dl>\n"
    )


def link_file(path: str, text: str) -> str:
    """Return a link to a file, whatever characters its path relative to the report contains."""
    return f'<a href="{quote(os.fsencode(path), safe="/")}">{escape(text)}</a>'


def _format_statistics(score: str, values: Statistics) -> list[str]:
    numbers = (values.mean, values.std, values.median, values.min, values.max)
    texts = [format_score(score, value) for value in numbers]
    texts[1] = texts[1].lstrip("+")  # a standard deviation has no sign
    return [str(values.n), *texts]


def _format_interval(score: str, ends: tuple[float, float]) -> str:
    if any(map(math.isnan, ends)):
        return UNDEFINED
    return " to ".join(format_score(score, end) for end in ends)


def _without_repeated_names(rows: list[list[str]]) -> list[list[str]]:
    """Rows with an empty first cell if it repeats that of the row above."""
    previous, result = None, []
    for name, *others in rows:
        result.append(["" if name == previous else name, *others])
        previous = name
    return result


def _table(titles: list[str], rows: list[list[str]], links: Mapping[str, str] | None = None) -> str:
    """A table in a box that can be scrolled; `links` is HTML by the text of the first column."""
    links = links or {}
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "\n".join(
        f'<tr class="{"first" if row[0] else "next"}">'
        + f"<td>{links.get(row[0]) or escape(row[0])}</td>"
        + "".join(f"<td>{escape(text)}</td>" for text in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="box" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>\n"
    )
