"""The HTML of a report: tables, plots, pictures and links."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote

from liverseg_tf import __version__
from liverseg_tf.evaluate import distances, scores
from liverseg_tf.evaluate.evaluation import CONVENTIONS, Evaluation, Failure, Statistics
from liverseg_tf.evaluate.html import picture
from liverseg_tf.evaluate.plots import (
    plot_agreement,
    plot_boxes,
    plot_dice_by_volume,
    plot_volumes,
)
from liverseg_tf.evaluate.tables import COLUMNS, UNDEFINED

_DEFINITIONS = scores.DEFINITIONS | distances.DEFINITIONS
_FORMATS = {"_ml": "{:.1f}", "_percent": "{:+.1f}"}  # by the end of a score's name
_BOXES = ("dice", "nsd", "assd", "hd95")


@dataclass(frozen=True)
class Drawn:
    """What was drawn of the cases.

    Args:
        pictures: PNG files by case, in the order in which they are shown.
        viewers: address of the viewer page by case, seen from the report.
        failures: cases of which a picture or viewer is missing.
    """

    pictures: Mapping[str, bytes] = field(default_factory=dict)
    viewers: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def report_body(evaluation: Evaluation, drawn: Drawn) -> Iterator[str]:
    """The page in pieces; all text is escaped.

    Args:
        evaluation: whose scores are shown, also those that this module doesn't know.
        drawn: pictures and viewer pages.
    """
    cases = list(dict.fromkeys(row.case for row in evaluation.rows))
    yield (
        "<main>\n<h1>Segmentation report</h1>\n"
        f"<p>{_count(len(cases), 'case')} scored, {len(evaluation.failures)} failed; "
        f"regions: {escape(', '.join(evaluation.regions.names))}. "
        f"Made with liverseg_tf {__version__}.</p>\n"
    )
    yield _list("Failures", [failure.message for failure in evaluation.failures])
    yield _list("Not drawn", [failure.message for failure in drawn.failures])
    yield _list("Notes", evaluation.notes)
    yield _summary(evaluation)
    yield from _plots(evaluation)
    yield from _pictures(drawn, len(cases))
    yield _cases(evaluation, drawn)
    yield _definitions(evaluation)
    yield "</main>\n"


def _summary(evaluation: Evaluation) -> str:
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
                    rows.append([region, _heading(score) + mark, *texts, interval])
    headings = ["Region", "Score", "Cases", "Mean", "SD", "Median", "Lowest", "Highest"]
    headings.append("95 % interval of the mean")
    notes = "; ".join(f"{name}: {text}" for name, text in CONVENTIONS.items())
    return (
        f"<h2>Summary</h2>\n{_table(headings, _names_once(rows))}"
        f'<p class="small">Empty cases are counted as in {escape(notes)}.</p>\n'
    )


def _statistics(score: str, values: Statistics) -> list[str]:
    numbers = (values.mean, values.std, values.median, values.min, values.max)
    texts = [_number(score, value) for value in numbers]
    texts[1] = texts[1].lstrip("+")  # a deviation has no sign
    return [str(values.n), *texts]


def _interval(score: str, ends: tuple[float, float]) -> str:
    if any(map(math.isnan, ends)):
        return UNDEFINED
    return " to ".join(_number(score, end) for end in ends)


def _plots(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.rows:
        return
    boxes = [name for name in _BOXES if name in evaluation.score_names]
    plots = [
        (plot_boxes(evaluation, name, _heading(name)), f"{_heading(name)} of the cases, by region")
        for name in boxes
    ]
    plots.append((plot_dice_by_volume(evaluation), "Dice over the volume in the truth"))
    yield f"<h2>Scores</h2>\n{_figures(plots)}"
    plots = []
    for region in evaluation.regions.names:
        text = f"Volume of {region}: prediction over truth"
        plots.append((plot_volumes(evaluation, region), text))
        text = f"Bland-Altman plot of the volume of {region}"
        plots.append((plot_agreement(evaluation, region), text))
    yield f"<h2>Volumes</h2>\n{_figures(plots)}"


def _figures(plots: Iterable[tuple[bytes | None, str]]) -> str:
    figures = "".join(
        f"<figure>{picture(svg, 'svg+xml', text)}<figcaption>{escape(text)}</figcaption></figure>\n"
        for svg, text in plots
        if svg is not None
    )
    return f'<div class="plots">\n{figures}</div>\n'


def _pictures(drawn: Drawn, cases: int) -> Iterator[str]:
    yield "<h2>Pictures, worst case first</h2>\n"
    if not drawn.pictures:
        yield "<p>None: they need a data set with images as the truth.</p>\n"
        return
    if len(drawn.pictures) < cases:
        yield f"<p>The {len(drawn.pictures)} worst of {cases} cases.</p>\n"
    yield (
        "<p>Each slice is the one in which truth (green) and prediction (magenta) differ most. "
        "The patient's right is on the left.</p>\n"
    )
    for place, (case, png) in enumerate(drawn.pictures.items()):
        text = f"Axial, coronal and sagittal slice of {case} with contours of truth and prediction"
        viewer = f" · {_link(drawn.viewers[case], 'viewer')}" if case in drawn.viewers else ""
        yield (
            f'<figure class="case" id="case-{place}"><figcaption>{escape(case)}{viewer}'
            f'</figcaption><div class="box">{picture(png, "png", text)}</div></figure>\n'
        )


def _cases(evaluation: Evaluation, drawn: Drawn) -> str:
    names = evaluation.score_names
    places = {case: place for place, case in enumerate(drawn.pictures)}
    rows = [
        [row.case, row.region, *(_number(name, row.scores.get(name, math.nan)) for name in names)]
        for row in evaluation.rows
    ]
    links = {}
    for case in {row.case for row in evaluation.rows}:
        links[case] = _link(f"#case-{places[case]}", case) if case in places else escape(case)
        if case in drawn.viewers:
            links[case] += f" · {_link(drawn.viewers[case], 'viewer')}"
    table = _table(["Case", "Region", *map(_heading, names)], _names_once(rows), links)
    return f"<h2>Cases</h2>\n{table}"


def _definitions(evaluation: Evaluation) -> str:
    items = "".join(
        f"<dt>{escape(_heading(name))}</dt><dd>{escape(_DEFINITIONS.get(name, name))}</dd>\n"
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


def _heading(score: str) -> str:
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


def _table(
    headings: list[str], rows: list[list[str]], links: Mapping[str, str] | None = None
) -> str:
    """A table in a box of its own that scrolls; `links` is HTML for texts of the first column."""
    links = links or {}
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
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


def _list(heading: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<h2>{heading}</h2>\n<ul>{items}</ul>\n" if items else ""


def _link(address: str, text: str) -> str:
    return f'<a href="{escape(quote(address, safe="/#"))}">{escape(text)}</a>'


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
