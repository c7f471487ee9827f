"""Tables of a report as HTML. Each can be scrolled by itself."""

import math
import os
from collections.abc import Mapping
from urllib.parse import quote

from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.evaluate.evaluation import CONVENTIONS, Evaluation, Statistics
from liverseg_tf.evaluate.metrics import distances, overlap
from liverseg_tf.evaluate.metrics.froc import DEFINITION as FROC
from liverseg_tf.evaluate.metrics.lesion_detection import DEFINITIONS as LESION_DEFINITIONS
from liverseg_tf.evaluate.metrics.lesion_detection import IOU_THRESHOLDS, summarise_lesions
from liverseg_tf.evaluate.protocols.lits import summarise_lits
from liverseg_tf.evaluate.report.lesion_tables import (
    FOUND_IF,
    SIZES,
    describe_region,
    lesion_texts,
)
from liverseg_tf.evaluate.report.score_text import UNDEFINED, format_score, heading
from liverseg_tf.html_page import escape

_DEFINITIONS = overlap.DEFINITIONS | distances.DEFINITIONS


def summary_table(evaluation: Evaluation) -> str:
    """Return the statistics and intervals of each region and score.

    A score has a second row without empty cases, if that changes the number of cases, and one in
    which cases that could not be scored count as 0, if there are such cases.
    """
    first, *others = CONVENTIONS
    summaries = {name: evaluation.summary(name) for name in CONVENTIONS}
    intervals = {name: evaluation.intervals(name) for name in CONVENTIONS}
    rows = []
    for region in evaluation.regions.names:
        zeros = evaluation.means_with_zeros(region)
        left_out = evaluation.coverage.left_out.get(region, 0)
        n_cases = summaries[first][region]["dice"].n + left_out
        for score in evaluation.score_names:
            name = heading(score, evaluation.scoring.tolerance_mm)
            for convention in (first, *others):
                values = summaries[convention][region][score]
                if convention == first or values.n != summaries[first][region][score].n:
                    suffix = "" if convention == first else " (not empty)"
                    interval = _format_interval(score, intervals[convention][region][score])
                    texts = _format_statistics(score, values)
                    if left_out and convention == first:
                        texts[0] += f" of {n_cases}"
                    rows.append([region, name + suffix, *texts, interval])
            if left_out and score in zeros:
                texts = [str(n_cases), format_score(score, zeros[score]), *[""] * 5]
                rows.append([region, f"{name} ({left_out} as 0)", *texts])
    titles = ["Region", "Score", "Cases", "Mean", "SD", "Median", "Lowest", "Highest"]
    titles.append("95 % CI of the mean")
    return (
        f"<h2>Summary</h2>\n{html_table(titles, _without_repeated_names(rows))}"
        '<p class="small">SD: standard deviation. CI: confidence interval. If a region is empty in '
        "both the ground truth and the prediction of a case, its Dice, Jaccard and NSD count as 1 "
        "(as in LiTS). Rows marked (not empty) leave out these cases (as in nnU-Net). In rows "
        "marked (... as 0), cases that could not be scored count as 0. Intervals need at least "
        f"{FEWEST_CASES} cases.</p>\n"
    )


def lesion_table(evaluation: Evaluation) -> str:
    """Return the detection of lesions; no text if no region consists of lesions."""
    rows, lines = [], []
    for region in evaluation.lesion_regions:
        cases = evaluation.lesions(region)
        for threshold in IOU_THRESHOLDS:
            summary = summarise_lesions(cases, threshold)
            rows.append([region, FOUND_IF[threshold], *lesion_texts(summary)])
        lines += [f"<li>{escape(text)}</li>" for text in describe_region(evaluation, region)]
    if not rows:
        return ""
    titles = ["Region", "Found if", "TP", "FP", "FN", "Precision", "Recall", "FP per case"]
    titles += [f"{name}: found" for name in SIZES.values()]
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>\n"
        for name, text in (LESION_DEFINITIONS | {"FROC": FROC}).items()
    )
    return (
        "<h2>Detection of connected components (lesions)</h2>\n"
        f"{html_table(titles, _without_repeated_names(rows))}<ul>{''.join(lines)}</ul>\n"
        f'<details class="small"><summary>Definitions</summary><dl>{items}</dl></details>\n'
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
        f"<h2>Scores of the LiTS challenge{suffix}</h2>\n{html_table(['Score', 'Value'], rows)}"
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
    titles = [heading(name, evaluation.scoring.tolerance_mm) for name in names]
    rows = [
        [
            result.case,
            result.region,
            *(format_score(name, result.scores.get(name, math.nan)) for name in names),
        ]
        for result in evaluation.results
    ]
    for case, reason in evaluation.coverage.unscored():
        rows.append([case, reason, *[UNDEFINED] * len(names)])
    links = {}
    for case in {result.case for result in evaluation.results}:
        links[case] = escape(case)
        if case in pictures:
            links[case] = f'<a href="{escape(pictures[case])}">{links[case]}</a>'
        if case in viewers:
            links[case] += f" · {link_file(viewers[case], 'viewer')}"
    table = html_table(["Case", "Region", *titles], _without_repeated_names(rows), links)
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


def html_table(
    titles: list[str], rows: list[list[str]], links: Mapping[str, str] | None = None
) -> str:
    """Return a table in a box that can be scrolled; all text is escaped.

    Args:
        titles: Titles of the columns.
        rows: Text of each row. A row without a first text belongs to the one above.
        links: HTML by the text of the first column.
    """
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
