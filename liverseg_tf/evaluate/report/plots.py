"""Plots of an evaluation as small SVG pictures."""

import io
import math
import textwrap
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.report.score_text import escape_mathtext
from liverseg_tf.evaluate.score_case import RegionResult
from liverseg_tf.printable import printable

# distinguishable with colour blindness (Okabe and Ito)
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = "os^D"  # one for each round of the colours
_SIZE = (4.2, 3.3)  # inches
_ROW = 0.42  # inches, of a box and its label
_LABEL_WIDTH, _LABEL_LINES = 18, 2  # characters and lines of a region's name
_MOST_TICKS = 6
SETTINGS: dict[Any, Any] = {"svg.hashsalt": "liverseg_tf", "font.size": 9, "axes.axisbelow": True}
LIMITS_OF_AGREEMENT = 1.96  # standard deviations (Bland and Altman, Lancet 1986)


def plot_boxes(evaluation: Evaluation, score: str, heading: str) -> bytes | None:
    """Draw a box plot of a score with one box for each region and a point for each case.

    A box shows the median and the quartiles; whiskers extend to at most 1.5 interquartile ranges.

    Args:
        evaluation: Evaluation with the scores; undefined ones are left out.
        score: Name of the score.
        heading: Label of the axis.

    Returns:
        SVG file; None if there are too few cases (`FEWEST_CASES`) in every region. Regions with
        too few cases have no box.
    """
    values = {
        region: [value for value in evaluation.values(region, score) if math.isfinite(value)]
        for region in evaluation.regions.names
    }
    values = {region: known for region, known in values.items() if len(known) >= FEWEST_CASES}
    if not values:
        return None
    with matplotlib.rc_context(SETTINGS):
        figure, ax = new_figure(max(_SIZE[1], 0.8 + _ROW * len(values)))
        ax.grid(visible=False)
        ax.grid(axis="x", color="0.9", linewidth=0.8)
        ax.boxplot(
            list(values.values()),
            orientation="horizontal",  # names of any length stand one below the other
            widths=0.5,
            showfliers=False,  # every case is drawn as a point
            medianprops={"color": "black"},
        )
        rng = np.random.default_rng(0)
        for index, (region, scores) in enumerate(values.items()):
            y = index + 1 + rng.uniform(-0.15, 0.15, len(scores))
            colour = colour_of(evaluation, region)
            ax.plot(scores, y, "o", color=colour, alpha=0.6, markersize=4)
        ax.set_yticks(range(1, len(values) + 1), map(short_name, values))
        ax.invert_yaxis()
        ax.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS - 1))
        ax.set_xlabel(heading)
        return write_svg(figure)


def plot_volumes(evaluation: Evaluation, region: str) -> bytes | None:
    """Draw the predicted against the true volume of a region, with the line of identity.

    Returns:
        SVG file; None if there are fewer cases than `FEWEST_CASES`.
    """
    results = evaluation.select(region=region)
    if len(results) < FEWEST_CASES:
        return None
    truth, prediction = _volumes_ml(results)
    with matplotlib.rc_context(SETTINGS):
        figure, ax = new_figure()
        largest = max(truth.max(), prediction.max(), 1e-3) * 1.05
        ax.plot([0, largest], [0, largest], color="0.5", linewidth=1)
        ax.plot(truth, prediction, "o", color=colour_of(evaluation, region), alpha=0.7)
        ax.set_xlim(-0.02 * largest, largest)
        ax.set_ylim(-0.02 * largest, largest)
        ax.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS - 1))
        ax.set_xlabel("true volume (ml)")
        ax.set_ylabel("predicted volume (ml)")
        return write_svg(figure)


def plot_agreement(evaluation: Evaluation, region: str) -> bytes | None:
    """Draw a Bland-Altman plot of the volumes of a region: difference against mean.

    Lines mark the mean difference and the limits of agreement: the mean plus and minus 1.96
    standard deviations of the sample.

    Returns:
        SVG file; None if there are fewer cases than `FEWEST_CASES`.
    """
    results = evaluation.select(region=region)
    if len(results) < FEWEST_CASES:
        return None
    truth, prediction = _volumes_ml(results)
    difference = np.round(prediction - truth, 6)  # rounding errors are not differences
    with matplotlib.rc_context(SETTINGS):
        figure, ax = new_figure()
        ax.plot(
            (truth + prediction) / 2,
            difference,
            "o",
            color=colour_of(evaluation, region),
            alpha=0.7,
        )
        mean = difference.mean()
        _draw_level(ax, mean, f"mean {mean:+.1f}", "left")
        half_width = round(LIMITS_OF_AGREEMENT * difference.std(ddof=1), 6)
        if half_width > 0:
            _draw_level(ax, mean + half_width, f"+1.96 SD {mean + half_width:+.1f}", "above")
            _draw_level(ax, mean - half_width, f"-1.96 SD {mean - half_width:+.1f}", "below")
        ax.margins(x=0.08, y=0.2)
        if np.ptp(ax.get_ylim()) < 1:  # ml
            ax.set_ylim(mean - 0.5, mean + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS - 1))
        ax.set_xlabel("mean of true and predicted volume (ml)")
        ax.set_ylabel("predicted - true volume (ml)")
        return write_svg(figure)


def plot_dice_by_volume(evaluation: Evaluation) -> bytes | None:
    """Draw Dice against the true volume (logarithmic), since small regions have lower scores.

    Returns:
        SVG file; None if there are too few cases (`FEWEST_CASES`) with a ground truth that is not
        empty. Regions with too few of them are left out.
    """
    results = {
        region: [one for one in evaluation.select(region=region) if one.overlap.truth_voxels]
        for region in evaluation.regions.names
    }
    results = {region: known for region, known in results.items() if len(known) >= FEWEST_CASES}
    if not results:
        return None
    with matplotlib.rc_context(SETTINGS):
        legend_rows = math.ceil(len(results) / 2)
        figure, ax = new_figure(_SIZE[1] + 0.25 * max(legend_rows - 1, 0))
        for region, known in results.items():
            volumes, dice = ([one.scores[name] for one in known] for name in ("truth_ml", "dice"))
            index = evaluation.regions.names.index(region)
            marker = _MARKERS[index // len(_COLOURS) % len(_MARKERS)]
            ax.plot(
                volumes, dice, marker, color=_colour(index), alpha=0.7, label=short_name(region)
            )
        ax.set_xscale("log")
        everything = [one.scores["truth_ml"] for known in results.values() for one in known]
        _set_volume_ticks(ax, min(everything), max(everything))
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel("true volume (ml)")
        ax.set_ylabel("Dice")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        return write_svg(figure)


def _set_volume_ticks(ax: Axes, low: float, high: float) -> None:
    """Label a logarithmic axis with a few round numbers, the range of the values included."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    below = max(index for index, tick in enumerate(ticks) if tick <= low * (1 + 1e-9))
    above = min(
        (index for index, tick in enumerate(ticks) if tick >= high * (1 - 1e-9)), default=None
    )
    ticks = ticks[below : None if above is None else max(above, below + 1) + 1]
    ticks = ticks[:: math.ceil(len(ticks) / _MOST_TICKS)]
    ax.set_xlim(min(ticks[0], low) / 1.15, max(ticks[-1], high) * 1.15)
    ax.set_xticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def short_name(region: str) -> str:
    """Return the name of a region in at most two short lines."""
    lines = textwrap.wrap(
        printable(region), _LABEL_WIDTH, max_lines=_LABEL_LINES, placeholder=" ..."
    )
    return "\n".join(map(escape_mathtext, lines))


def new_figure(height: float = _SIZE[1]) -> tuple[Figure, Axes]:
    """Return an empty figure of the usual width and its axes.

    Args:
        height: Height in inches.
    """
    figure = Figure((_SIZE[0], height), layout="constrained")
    ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9", linewidth=0.8)
    return figure, ax


def _draw_level(ax: Axes, level: float, text: str, place: str) -> None:
    """Draw a line with its text: on the left, or above or below it on the right."""
    is_mean, is_below = place == "left", place == "below"
    ax.axhline(level, color="0.35", linewidth=1, linestyle="-" if is_mean else "--")
    ax.annotate(
        text,
        xy=(0 if is_mean else 1, level),
        xycoords=ax.get_yaxis_transform(),
        xytext=(2 if is_mean else 0, -3 if is_below else 3),  # keeps clear of the line
        textcoords="offset points",
        ha="left" if is_mean else "right",
        va="top" if is_below else "bottom",
        fontsize=8,
    )


def _volumes_ml(results: list[RegionResult]) -> tuple[np.ndarray, np.ndarray]:
    """Volumes in the ground truth and in the prediction, each (n,)."""
    truth, prediction = (
        np.array([result.scores[name] for result in results])
        for name in ("truth_ml", "prediction_ml")
    )
    return truth, prediction


def colour_of(evaluation: Evaluation, region: str) -> str:
    """Return the colour of a region, the same in all plots."""
    return _colour(evaluation.regions.names.index(region))


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def write_svg(figure: Figure) -> bytes:
    """Return a figure as an SVG file without a date, so that equal figures have equal bytes."""
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return svg.getvalue()
