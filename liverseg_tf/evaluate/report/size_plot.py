"""Plot of the sensitivity for lesions by their size."""

import matplotlib

from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.metrics.lesion_detection import IOU_THRESHOLDS, summarise_lesions
from liverseg_tf.evaluate.report import plots
from liverseg_tf.evaluate.report.lesion_tables import SIZES

_WIDTH = 0.36  # of a bar; 1 is the distance of two sizes


def plot_sensitivity_by_size(evaluation: Evaluation, region: str) -> bytes | None:
    """Draw the fractions of lesions, and of cases with lesions, that were found, by size.

    A lesion is found if a predicted one overlaps it. The bars tell the numbers.

    Args:
        evaluation: The evaluation.
        region: One of its regions that consist of lesions.

    Returns:
        SVG file; None if there are too few cases (`FEWEST_CASES`), or no lesion.
    """
    cases = evaluation.lesions(region)
    summary = summarise_lesions(cases, IOU_THRESHOLDS[-1])
    if len(cases) < FEWEST_CASES or not summary.cases_with_lesions:
        return None
    colour = plots.colour_of(evaluation, region)
    with matplotlib.rc_context(plots.SETTINGS):
        figure, ax = plots.new_figure()
        for offset, counts, label, alpha in (
            (-0.5, summary.by_size, "lesions", 1.0),
            (0.5, summary.cases_by_size, "cases with such a lesion", 0.45),
        ):
            places = [place + offset * _WIDTH for place in range(len(counts))]
            heights = [found / total if total else 0.0 for found, total in counts.values()]
            bars = ax.bar(places, heights, _WIDTH, color=colour, alpha=alpha, label=label)
            texts = [f"{found}/{total}" if total else "none" for found, total in counts.values()]
            ax.bar_label(bars, texts, padding=2)
        ax.set_xticks(range(len(SIZES)), list(SIZES.values()))
        ax.set_ylim(0, 1.12)
        ax.set_xlabel("diameter of a sphere of the same volume")
        ax.set_ylabel("fraction found")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        return plots.write_svg(figure)
