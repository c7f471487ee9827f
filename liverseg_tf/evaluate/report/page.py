"""HTML of a report: tables, plots, pictures and links."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from liverseg_tf import __version__
from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.report.froc_plot import plot_froc
from liverseg_tf.evaluate.report.html_tables import (
    case_table,
    definitions,
    lesion_table,
    link_file,
    lits_table,
    summary_table,
)
from liverseg_tf.evaluate.report.plots import (
    plot_agreement,
    plot_boxes,
    plot_dice_by_volume,
    plot_volumes,
)
from liverseg_tf.evaluate.report.reliability_plot import has_probabilities, plot_reliability
from liverseg_tf.evaluate.report.score_text import heading
from liverseg_tf.evaluate.report.size_plot import plot_sensitivity_by_size
from liverseg_tf.evaluate.report.trust_table import trust_table
from liverseg_tf.html_page import embed_picture, escape
from liverseg_tf.plural import count

TITLE = "Segmentation report"
_BOX_PLOT_SCORES = ("dice", "nsd", "assd", "hd95")


@dataclass(frozen=True)
class ReportPictures:
    """Pictures and viewer pages of the cases.

    Args:
        pictures: PNG files by case, in the order in which they are shown.
        viewers: Address of the viewer page by case, relative to the report.
        failures: Cases whose picture or viewer page is missing.
    """

    pictures: Mapping[str, bytes] = field(default_factory=dict)
    viewers: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def report_body(evaluation: Evaluation, pictures: ReportPictures) -> Iterator[str]:
    """Yield the body of the page in pieces; all text is escaped.

    Args:
        evaluation: Evaluation whose scores are shown.
        pictures: Pictures and viewer pages of its cases.
    """
    cases = {result.case for result in evaluation.results}
    expected = max(evaluation.coverage.expected, len(cases))
    scored = count(len(cases), "case")
    if expected > len(cases):
        scored = f"{len(cases)} of {count(expected, 'case')}"
    yield (
        f"<main>\n<h1>{TITLE}</h1>\n"
        f"<p>{scored} scored, "
        f"{count(len(evaluation.failures), 'failure')}. "
        f"Regions: {escape(', '.join(evaluation.regions.names))}. "
        f"Created with liverseg_tf {__version__}.</p>\n"
    )
    if evaluation.warnings:
        lines = "".join(f"<p>{escape(line)}</p>\n" for line in evaluation.warnings)
        yield f'<div class="alert" role="alert">\n{lines}</div>\n'
    if evaluation.subject is not None:
        rows = "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>\n"
            for name, text in evaluation.subject.describe().items()
        )
        yield f'<dl class="subject">\n{rows}</dl>\n'
    yield _list("Failures", [failure.message for failure in evaluation.failures])
    yield _list("Images that could not be shown", [each.message for each in pictures.failures])
    yield _list("Notes", evaluation.notes)
    yield summary_table(evaluation)
    yield trust_table(evaluation)
    yield lesion_table(evaluation)
    yield lits_table(evaluation)
    yield from _plots(evaluation)
    yield from _pictures(pictures, len(cases))
    anchors = {case: f"#case-{index}" for index, case in enumerate(pictures.pictures)}
    yield case_table(evaluation, anchors, pictures.viewers)
    yield definitions(evaluation)
    yield "</main>\n"


def _plots(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.results:
        return
    headings = {
        name: heading(name, evaluation.scoring.tolerance_mm)
        for name in _BOX_PLOT_SCORES
        if name in evaluation.score_names
    }
    plots = [
        (plot_boxes(evaluation, name, text), f"{text}, by region")
        for name, text in headings.items()
    ]
    plots.append((plot_dice_by_volume(evaluation), "Dice against the true volume"))
    if evaluation.lesion_regions:
        plots.append((plot_froc(evaluation), "FROC curve of the lesions"))
    for region in evaluation.lesion_regions:
        by_size = plot_sensitivity_by_size(evaluation, region)
        plots.append((by_size, f"Lesions of {region} that were found (any overlap), by size"))
    if has_probabilities(evaluation):
        caption = "Reliability of the saved probabilities; the line marks perfect calibration"
        plots.append((plot_reliability(evaluation), caption))
    yield f"<h2>Scores by region</h2>\n{_figures(plots)}"
    plots = []
    for region in evaluation.regions.names:
        caption = f"Predicted against true volume of {region}; the line marks equal volumes"
        plots.append((plot_volumes(evaluation, region), caption))
        caption = (
            f"Bland-Altman plot of the volume of {region}, with the mean difference and the limits "
            "of agreement (1.96 SD)"
        )
        plots.append((plot_agreement(evaluation, region), caption))
    yield f"<h2>Volumes</h2>\n{_figures(plots)}"


def _figures(plots: Iterable[tuple[bytes | None, str]]) -> str:
    """Return the plots; those with too few cases are None, and counted."""
    plots = list(plots)
    not_drawn = sum(svg is None for svg, _ in plots)
    note = (
        f'<p class="small">{count(not_drawn, "plot")} left out: a plot needs at least '
        f"{FEWEST_CASES} cases in which the score is defined.</p>\n"
        if not_drawn
        else ""
    )
    figures = "".join(
        f"<figure>{embed_picture(svg, 'svg+xml', caption)}"
        f"<figcaption>{escape(caption)}</figcaption></figure>\n"
        for svg, caption in plots
        if svg is not None
    )
    return f'<div class="plots">\n{figures}</div>\n{note}' if figures else note


def _pictures(pictures: ReportPictures, n_cases: int) -> Iterator[str]:
    yield "<h2>Images of the cases, lowest Dice first</h2>\n"
    if not pictures.pictures:
        yield (
            "<p>There are no images. To show them, evaluate with a data set that contains images "
            "as the ground truth.</p>\n"
        )
        return
    n_shown = len(pictures.pictures)
    if n_shown < n_cases:
        yield f"<p>Shown: {n_shown} of {count(n_cases, 'case')}, those with the lowest Dice.</p>\n"
    yield (
        "<p>Each picture shows the axial, coronal and sagittal slice in which ground truth (green) "
        "and prediction (magenta) differ most. Axial and coronal slices show the patient's right "
        "on the left.</p>\n"
    )
    for index, (case, png) in enumerate(pictures.pictures.items()):
        text = (
            f"Axial, coronal and sagittal slice of {case} with contours of ground truth and "
            "prediction"
        )
        viewer = (
            f" · {link_file(pictures.viewers[case], 'viewer')}" if case in pictures.viewers else ""
        )
        yield (
            f'<figure class="case" id="case-{index}"><figcaption>{escape(case)}{viewer}'
            f'</figcaption><div class="box">{embed_picture(png, "png", text)}</div></figure>\n'
        )


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<h2>{title}</h2>\n<ul>{items}</ul>\n" if items else ""
