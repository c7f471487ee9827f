"""The tables of a report, each in a box of its own that scrolls."""

import math
from collections.abc import Mapping
from html import escape
from urllib.parse import quote

from liverseg_tf.evaluate.evaluation import CONVENTIONS, Evaluation, Statistics
from liverseg_tf.evaluate.metrics import distances, overlap
from liverseg_tf.evaluate.protocols.lits import summarise_lits
from liverseg_tf.evaluate.report.tables import COLUMNS, UNDEFINED

_DEFINITIONS = overlap.DEFINITIONS | distances.DEFINITIONS
_FORMATS = {"_ml": "{:.1f}", "_percent": "{:+.1f}"}  # by the end of a score's name


def summary_table(evaluation: Evaluation) -> str:
    """Statistics and intervals of each region and score."""
    first, *others = CONVENTIONS
    summaries = {name: evaluation.summary(name) for name in CONVENTIONS}
    intervals = {name: evaluation.intervals(name) for name in CONVENTIONS}
    rows = []
    for region in evaluation.regions.names:
        for score in evaluation.score_names:
            for convention in (first, *others):
                values = summaries[convention][region][score]
                if convention == first or values.n != summaries[first][region][score].n:
                    mark = "" if convention == first else f" ({convention})"
                    interval = _interval(score, intervals[convention][region][score])
                    texts = _statistics(score, values)
                    rows.append([region, heading(score) + mark, *texts, interval])
    titles = ["Region", "Score", "Cases", "Mean", "SD", "Median", "Lowest", "Highest"]
    titles.append("95 % interval of the mean")
    notes = "; ".join(f"{name}: {text}" for name, text in CONVENTIONS.items())
    return (
        f"<h2>Summary</h2>\n{_table(titles, _names_once(rows))}"
        f'<p class="small">Empty cases are counted as in {escape(notes)}.</p>\n'
    )


def lits_figures(evaluation: Evaluation) -> str:
    """The challenge's figures over all cases; nothing under another protocol."""
    if not evaluation.lits:
        return ""
    compat = evaluation.scoring.compat
    rows = [
        [name, UNDEFINED if math.isnan(value) else f"{value:.4g}"]
        for name, value in summarise_lits(evaluation.lits, compat).items()
    ]
    mark = ", as its public scorer counts" if compat else ""
    return f"<h2>Figures of the LiTS challenge{mark}</h2>\n{_table(['Figure', 'Value'], rows)}"


def _statistics(score: str, values: Statistics) -> list[str]:
    numbers = (values.mean, values.std, values.median, values.min, values.max)
    texts = [_number(score, value) for value in numbers]
    texts[1] = texts[1].lstrip("+")  # a deviation has no sign
    return [str(values.n), *texts]


def _interval(score: str, ends: tuple[float, float]) -> str:
    if any(map(math.isnan, ends)):
        return UNDEFINED
    return " to ".join(_number(score, end) for end in ends)


def case_table(
    evaluation: Evaluation, pictures: Mapping[str, str], viewers: Mapping[str, str]
) -> str:
    """Every score of every case.

    Args:
        evaluation: whose rows are shown.
        pictures: address of the picture by case.
        viewers: address of the viewer page by case.
    """
    names = evaluation.score_names
    rows = [
        [row.case, row.region, *(_number(name, row.scores.get(name, math.nan)) for name in names)]
        for row in evaluation.rows
    ]
    links = {}
    for case in {row.case for row in evaluation.rows}:
        links[case] = link(pictures[case], case) if case in pictures else escape(case)
        if case in viewers:
            links[case] += f" · {link(viewers[case], 'viewer')}"
    table = _table(["Case", "Region", *map(heading, names)], _names_once(rows), links)
    return f"<h2>Cases</h2>\n{table}"


def definitions(evaluation: Evaluation) -> str:
    """What each score means."""
    items = "".join(
        f"<dt>{escape(heading(name))}</dt><dd>{escape(_DEFINITIONS.get(name, name))}</dd>\n"
        for name in evaluation.score_names
    )
    scoring = evaluation.scoring
    tolerance = (
        f", tolerance {scoring.tolerance_mm:g} mm" if "nsd" in evaluation.score_names else ""
    )
    return (
        f"<h2>Definitions</h2>\n<p>Protocol {escape(scoring.protocol)}{tolerance}. T and P are the "
        f"voxels of a region in the truth and in the prediction.</p>\n<dl>{items}</dl>\n"
    )


def heading(score: str) -> str:
    """A score's name and unit."""
    if score in COLUMNS:
        return COLUMNS[score][0]
    first, *others = score.split("_")
    first = first.upper() if score in distances.DEFINITIONS and len(first) < 5 else first.title()
    unit = ["mm"] if _is_distance(score) else []
    return " ".join([first, *others, *unit]).replace("percent", "%")


def _number(score: str, value: float) -> str:
    if math.isnan(value):
        return UNDEFINED
    if score in COLUMNS:
        return COLUMNS[score][1].format(value)
    formats = (form for end, form in _FORMATS.items() if score.endswith(end))
    return next(formats, "{:.2f}" if _is_distance(score) else "{:.3f}").format(value)


def _is_distance(score: str) -> bool:
    return score in distances.DEFINITIONS and score != "nsd"


def _names_once(rows: list[list[str]]) -> list[list[str]]:
    """Rows of which the first cell is empty where it repeats the row above."""
    shown, once = None, []
    for name, *others in rows:
        once.append(["" if name == shown else name, *others])
        shown = name
    return once


def _table(titles: list[str], rows: list[list[str]], links: Mapping[str, str] | None = None) -> str:
    """A table in a box of its own that scrolls; `links` is HTML for texts of the first column."""
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


def link(address: str, text: str) -> str:
    """A link to a file beside the report or a place in it."""
    return f'<a href="{escape(quote(address, safe="/#"))}">{escape(text)}</a>'
