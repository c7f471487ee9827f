"""Plots of an evaluation as small SVG pictures."""

import io
import math
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.report.score_text import escape_mathtext
from liverseg_tf.evaluate.score_case import RegionResult

# distinguishable with colour blindness (Okabe and Ito)
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SIZE = (4.2, 3.3)  # inches
_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "liverseg_tf", "font.size": 9, "axes.axisbelow": True}
LIMITS_OF_AGREEMENT = 1.96  # standard deviations (Bland and Altman, Lancet 1986)


def plot_boxes(evaluation: Evaluation, score: str, heading: str) -> bytes | None:
    """Draw a box plot of a score with one box for each region and a point for each case.

    A box shows the median and the quartiles; whiskers extend to at most 1.5 interquartile ranges.

    Args:
        evaluation: Evaluation with the scores; undefined ones are left out.
        score: Name of the score.
        heading: Label of the axis.

    Returns:
        SVG file; None if the score is defined in no case.
    """
    values = {
        region: [value for value in evaluation.values(region, score) if math.isfinite(value)]
        for region in evaluation.regions.names
    }
    if not any(map(len, values.values())):
        return None
    with matplotlib.rc_context(_SETTINGS):
        figure, ax = _figure()
        ax.boxplot(
            list(values.values()),
            widths=0.5,
            showfliers=False,  # every case is drawn as a point
            medianprops={"color": "black"},
        )
        rng = np.random.default_rng(0)
        for index, scores in enumerate(values.values()):
            x = index + 1 + rng.uniform(-0.15, 0.15, len(scores))
            ax.plot(x, scores, "o", color=_colour(index), alpha=0.6, markersize=4)
        ax.set_xticks(range(1, len(values) + 1), map(escape_mathtext, values))
        ax.set_ylabel(heading)
        return _svg(figure)


def plot_volumes(evaluation: Evaluation, region: str) -> bytes | None:
    """Draw the predicted against the true volume of a region, with the line of identity.

    Returns:
        SVG file; None if there is no case.
    """
    results = evaluation.select(region=region)
    if not results:
        return None
    truth, prediction = _volumes_ml(results)
    with matplotlib.rc_context(_SETTINGS):
        figure, ax = _figure()
        largest = max(truth.max(), prediction.max(), 1e-3) * 1.05
        ax.plot([0, largest], [0, largest], color="0.5", linewidth=1)
        ax.plot(truth, prediction, "o", color=_colour_of(evaluation, region), alpha=0.7)
        ax.set_xlim(-0.02 * largest, largest)
        ax.set_ylim(-0.02 * largest, largest)
        ax.set_xlabel(escape_mathtext(f"true volume of {region} (ml)"))
        ax.set_ylabel(escape_mathtext(f"predicted volume of {region} (ml)"))
        return _svg(figure)


def plot_agreement(evaluation: Evaluation, region: str) -> bytes | None:
    """Draw a Bland-Altman plot of the volumes of a region: difference against mean.

    Lines mark the mean difference and the limits of agreement: the mean plus and minus 1.96
    standard deviations of the sample.

    Returns:
        SVG file; None if there is no case.
    """
    results = evaluation.select(region=region)
    if not results:
        return None
    truth, prediction = _volumes_ml(results)
    difference = np.round(prediction - truth, 6)  # rounding errors are not differences
    with matplotlib.rc_context(_SETTINGS):
        figure, ax = _figure()
        ax.plot(
            (truth + prediction) / 2,
            difference,
            "o",
            color=_colour_of(evaluation, region),
            alpha=0.7,
        )
        mean = difference.mean()
        _draw_level(ax, mean, f"mean {mean:+.1f}", "-")
        if len(results) > 1:
            half_width = LIMITS_OF_AGREEMENT * difference.std(ddof=1)
            if half_width > 0:
                _draw_level(ax, mean + half_width, f"+1.96 SD {mean + half_width:+.1f}", "--")
                _draw_level(ax, mean - half_width, f"-1.96 SD {mean - half_width:+.1f}", "--")
        ax.margins(x=0.08, y=0.15)
        if np.ptp(ax.get_ylim()) < 1:  # ml
            ax.set_ylim(mean - 0.5, mean + 0.5)
        ax.set_xlabel(escape_mathtext(f"mean of true and predicted volume of {region} (ml)"))
        ax.set_ylabel("predicted - true volume (ml)")
        return _svg(figure)


def plot_dice_by_volume(evaluation: Evaluation) -> bytes | None:
    """Draw Dice against the true volume (logarithmic), since small regions have lower scores.

    Returns:
        SVG file; None if the ground truth is empty in every case.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure, ax = _figure()
        for region in evaluation.regions.names:
            results = [
                result for result in evaluation.select(region=region) if result.overlap.truth_voxels
            ]
            if results:
                volumes, dice = (
                    [result.scores[name] for result in results] for name in ("truth_ml", "dice")
                )
                colour = _colour_of(evaluation, region)
                ax.plot(volumes, dice, "o", color=colour, alpha=0.7, label=escape_mathtext(region))
        if not ax.lines:
            return None
        ax.set_xscale("log")
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel("true volume (ml)")
        ax.set_ylabel("Dice")
        ax.legend(frameon=False)
        return _svg(figure)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(_SIZE, layout="constrained")
    ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9", linewidth=0.8)
    return figure, ax


def _draw_level(ax: Axes, level: float, text: str, style: str) -> None:
    ax.axhline(level, color="0.35", linewidth=1, linestyle=style)
    ax.annotate(
        text,
        xy=(1, level),
        xycoords=ax.get_yaxis_transform(),
        xytext=(0, 3),  # keeps clear of the points
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
    )


def _volumes_ml(results: list[RegionResult]) -> tuple[np.ndarray, np.ndarray]:
    """Volumes in the ground truth and in the prediction, each (n,)."""
    truth, prediction = (
        np.array([result.scores[name] for result in results])
        for name in ("truth_ml", "prediction_ml")
    )
    return truth, prediction


def _colour_of(evaluation: Evaluation, region: str) -> str:
    return _colour(evaluation.regions.names.index(region))


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _svg(figure: Figure) -> bytes:
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return svg.getvalue()
