"""Plot of the FROC curves of an evaluation."""

import matplotlib
from matplotlib.ticker import MaxNLocator

from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.metrics.froc import compute_froc
from liverseg_tf.evaluate.report import plots


def plot_froc(evaluation: Evaluation) -> bytes | None:
    """Draw the sensitivity for lesions against the false positives per case, by region.

    Returns:
        SVG file; None if no region consists of lesions, or there are too few cases
        (`FEWEST_CASES`).
    """
    curves = {
        region: compute_froc(evaluation.lesions(region))
        for region in evaluation.lesion_regions
        if len(evaluation.lesions(region)) >= FEWEST_CASES
    }
    known = {region: curve for region, curve in curves.items() if curve is not None}
    if not known:
        return None
    with matplotlib.rc_context(plots.SETTINGS):
        figure, ax = plots.new_figure()
        for region, curve in known.items():
            ax.step(
                (0.0, *curve.fp_per_case),
                (0.0, *curve.sensitivity),
                where="post",
                marker=".",
                color=plots.colour_of(evaluation, region),
                label=plots.short_name(region),
            )
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.set_xlim(left=0)
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel("false positives per case")
        ax.set_ylabel("sensitivity (lesions found)")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        return plots.write_svg(figure)
