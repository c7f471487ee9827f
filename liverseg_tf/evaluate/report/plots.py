"""Plots of an evaluation, each a small SVG picture."""

import io
import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from liverseg_tf.evaluate.evaluation import Evaluation, Row

# told apart by the colour-blind (Okabe and Ito)
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SIZE = (4.2, 3.3)  # inches
_SETTINGS = {"svg.hashsalt": "liverseg_tf", "font.size": 9, "axes.axisbelow": True}
LIMITS_OF_AGREEMENT = 1.96  # standard deviations (Bland and Altman, Lancet 1986)


def plot_boxes(evaluation: Evaluation, score: str, heading: str) -> bytes | None:
    """A box for each region: median, quartiles, whiskers to 1.5 quartile ranges, every case.

    Args:
        evaluation: whose rows are drawn; undefined scores are left out.
        score: name in `Row.scores`.
        heading: of the axis.

    Returns:
        An SVG file; None where the score is defined in no case.
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
            showfliers=False,  # every case is a point already
            medianprops={"color": "black"},
        )
        rng = np.random.default_rng(0)
        for place, each in enumerate(values.values()):
            across = place + 1 + rng.uniform(-0.15, 0.15, len(each))
            ax.plot(across, each, "o", color=_colour(place), alpha=0.6, markersize=4)
        ax.set_xticks(range(1, len(values) + 1), map(_plain, values))
        ax.set_ylabel(heading)
        return _svg(figure)


def plot_volumes(evaluation: Evaluation, region: str) -> bytes | None:
    """The volume in the prediction over that in the truth, with the line on which both agree.

    Returns:
        An SVG file; None without a case.
    """
    rows = evaluation.rows_of(region=region)
    if not rows:
        return None
    truth, prediction = _volumes(rows)
    with matplotlib.rc_context(_SETTINGS):
        figure, ax = _figure()
        largest = max(truth.max(), prediction.max(), 1e-3) * 1.05
        ax.plot([0, largest], [0, largest], color="0.5", linewidth=1)
        ax.plot(truth, prediction, "o", color=_colour_of(evaluation, region), alpha=0.7)
        ax.set_xlim(-0.02 * largest, largest)
        ax.set_ylim(-0.02 * largest, largest)
        ax.set_xlabel(_plain(f"{region} in the truth, ml"))
        ax.set_ylabel(_plain(f"{region} in the prediction, ml"))
        return _svg(figure)


def plot_agreement(evaluation: Evaluation, region: str) -> bytes | None:
    """Bland and Altman's plot of the volumes: difference over mean.

    Lines mark the mean difference and 1.96 standard deviations (of the sample) around it.

    Returns:
        An SVG file; None without a case.
    """
    rows = evaluation.rows_of(region=region)
    if not rows:
        return None
    truth, prediction = _volumes(rows)
    difference = np.round(prediction - truth, 6)  # what binary fractions leave is no difference
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
        if len(rows) > 1:
            spread = LIMITS_OF_AGREEMENT * difference.std(ddof=1)
            if spread > 0:
                _draw_level(ax, mean + spread, f"+1.96 SD {mean + spread:+.1f}", "--")
                _draw_level(ax, mean - spread, f"-1.96 SD {mean - spread:+.1f}", "--")
        ax.margins(x=0.08, y=0.15)
        if np.ptp(ax.get_ylim()) < 1:  # ml
            ax.set_ylim(mean - 0.5, mean + 0.5)
        ax.set_xlabel(_plain(f"mean of truth and prediction, {region}, ml"))
        ax.set_ylabel("prediction - truth, ml")
        return _svg(figure)


def plot_dice_by_volume(evaluation: Evaluation) -> bytes | None:
    """Dice over the volume in the truth (logarithmic): small regions are hard.

    Returns:
        An SVG file; None where the truth is empty in every case.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure, ax = _figure()
        drawn = False
        for region in evaluation.regions.names:
            rows = [row for row in evaluation.rows_of(region=region) if row.overlap.truth_voxels]
            if rows:
                drawn = True
                volumes, dice = (
                    [row.scores[name] for row in rows] for name in ("truth_ml", "dice")
                )
                colour = _colour_of(evaluation, region)
                ax.plot(volumes, dice, "o", color=colour, alpha=0.7, label=_plain(region))
        if not drawn:
            return None
        ax.set_xscale("log")
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel("volume in the truth, ml")
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
    ax.text(1, level, text, transform=ax.get_yaxis_transform(), ha="right", va="bottom", fontsize=8)


def _volumes(rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        np.array([row.scores[name] for row in rows]) for name in ("truth_ml", "prediction_ml")
    )


def _colour_of(evaluation: Evaluation, region: str) -> str:
    return _colour(evaluation.regions.names.index(region))


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]


def _svg(figure: Figure) -> bytes:
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return svg.getvalue()


def _plain(text: str) -> str:
    """Text that matplotlib takes for no formula."""
    return text.replace("$", r"\$")
