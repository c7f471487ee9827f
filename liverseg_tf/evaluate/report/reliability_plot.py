"""Reliability diagram of the probabilities of an evaluation."""

import matplotlib

from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.metrics.reliability import ReliabilityCurve, compute_reliability
from liverseg_tf.evaluate.report import plots


def reliability_curves(evaluation: Evaluation) -> dict[str, ReliabilityCurve]:
    """Return the curve of each region with saved probabilities in at least `FEWEST_CASES` cases."""
    curves = {}
    for region in evaluation.regions.names:
        results = evaluation.select(region=region)
        cases = [one.reliability for one in results if one.reliability is not None]
        curve = compute_reliability(cases) if len(cases) >= FEWEST_CASES else None
        if curve is not None:
            curves[region] = curve
    return curves


def has_probabilities(evaluation: Evaluation) -> bool:
    """Return whether probabilities were saved for any case."""
    return any(one.reliability is not None for one in evaluation.results)


def plot_reliability(evaluation: Evaluation) -> bytes | None:
    """Draw the frequency of each region against its probability, with the line of identity.

    Returns:
        SVG file; None if there are too few cases with probabilities (`FEWEST_CASES`).
    """
    curves = reliability_curves(evaluation)
    if not curves:
        return None
    with matplotlib.rc_context(plots.SETTINGS):
        figure, ax = plots.new_figure()
        ax.plot([0, 1], [0, 1], color="0.5", linewidth=1)
        for region, curve in curves.items():
            ax.plot(
                curve.probability,
                curve.frequency,
                marker=".",
                color=plots.colour_of(evaluation, region),
                label=f"{plots.short_name(region)} (ECE {curve.calibration_error:.3f})",
            )
        ax.set_xlim(0, 1)
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel("mean probability")
        ax.set_ylabel("fraction in the region")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        return plots.write_svg(figure)
