"""The HTML of a report: tables, plots, pictures and links."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from liverseg_tf import __version__
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.report.html_tables import (
    case_table,
    definitions,
    heading,
    link,
    lits_figures,
    summary_table,
)
from liverseg_tf.evaluate.report.plots import (
    plot_agreement,
    plot_boxes,
    plot_dice_by_volume,
    plot_volumes,
)
from liverseg_tf.evaluate.viewer.html import picture
from liverseg_tf.plural import count

_BOXES = ("dice", "nsd", "assd", "hd95")


@dataclass(frozen=True)
class ReportPictures:
    """What was drawn of the cases.

    Args:
        pictures: PNG files by case, in the order in which they are shown.
        viewers: address of the viewer page by case, seen from the report.
        failures: cases of which a picture or viewer is missing.
    """

    pictures: Mapping[str, bytes] = field(default_factory=dict)
    viewers: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def report_body(evaluation: Evaluation, drawn: ReportPictures) -> Iterator[str]:
    """The page in pieces; all text is escaped.

    Args:
        evaluation: whose scores are shown, also those that this module doesn't know.
        drawn: pictures and viewer pages.
    """
    cases = list(dict.fromkeys(row.case for row in evaluation.rows))
    yield (
        "<main>\n<h1>Segmentation report</h1>\n"
        f"<p>{count(len(cases), 'case')} scored, {len(evaluation.failures)} failed; "
        f"regions: {escape(', '.join(evaluation.regions.names))}. "
        f"Made with liverseg_tf {__version__}.</p>\n"
    )
    yield _list("Failures", [failure.message for failure in evaluation.failures])
    yield _list("Not drawn", [failure.message for failure in drawn.failures])
    yield _list("Notes", evaluation.notes)
    yield summary_table(evaluation)
    yield lits_figures(evaluation)
    yield from _plots(evaluation)
    yield from _pictures(drawn, len(cases))
    places = {case: f"#case-{place}" for place, case in enumerate(drawn.pictures)}
    yield case_table(evaluation, places, drawn.viewers)
    yield definitions(evaluation)
    yield "</main>\n"


def _plots(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.rows:
        return
    boxes = [name for name in _BOXES if name in evaluation.score_names]
    plots = [
        (plot_boxes(evaluation, name, heading(name)), f"{heading(name)} of the cases, by region")
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


def _pictures(drawn: ReportPictures, cases: int) -> Iterator[str]:
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
        viewer = f" · {link(drawn.viewers[case], 'viewer')}" if case in drawn.viewers else ""
        yield (
            f'<figure class="case" id="case-{place}"><figcaption>{escape(case)}{viewer}'
            f'</figcaption><div class="box">{picture(png, "png", text)}</div></figure>\n'
        )


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<h2>{title}</h2>\n<ul>{items}</ul>\n" if items else ""
