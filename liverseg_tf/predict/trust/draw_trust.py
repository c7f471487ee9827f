"""Picture of what was measured: risk-coverage curves and reliability diagrams."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from liverseg_tf.atomic import replacing
from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.model.trust_record import ENSEMBLE, MIRRORED, SINGLE, RegionTrust, TrustRecord
from liverseg_tf.predict.trust.flagging import risk_coverage
from liverseg_tf.predict.trust.measure_cases import MeasuredRegion
from liverseg_tf.printable import printable

_COLOURS = {SINGLE: "#0072b2", MIRRORED: "#d55e00", ENSEMBLE: "#009e73"}
_SIZE = (7.6, 2.9)  # inches of a row


def draw_trust(measured: Sequence[MeasuredRegion], record: TrustRecord, path: Path) -> bool:
    """Draw a row for each region: risk against coverage, and frequency against probability.

    Regions with a Dice in fewer than `FEWEST_CASES` cases are left out. An earlier picture is
    removed if nothing is left.

    Args:
        measured: Results of all cases.
        record: What the model stores.
        path: Path of the PNG file.

    Returns:
        Whether there is a picture.

    Raises:
        LiverSegError: If the file cannot be written.
    """
    scored = [one for one in measured if one.value is not None and not math.isnan(one.dice)]
    rows = {}
    for region in dict.fromkeys(one.region for one in scored):
        kinds = dict.fromkeys(one.passes for one in scored if one.region == region)
        groups = {
            kind: [one for one in scored if (one.region, one.passes) == (region, kind)]
            for kind in kinds
        }
        groups = {kind: cases for kind, cases in groups.items() if len(cases) >= FEWEST_CASES}
        if groups:
            rows[region] = groups
    if not rows:
        path.unlink(missing_ok=True)
        return False
    figure = Figure((_SIZE[0], _SIZE[1] * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 2, squeeze=False)
    for (left, right), (region, groups) in zip(axes, rows.items(), strict=True):
        name = printable(region).replace("$", r"\$")
        _draw_risk(left, groups)
        left.set_title(f"{name}: masks kept by their score", fontsize=9)
        for kind in groups:
            known = record.passes[kind][region]  # type: ignore[index]
            _draw_reliability(right, known, kind)
        right.set_title(f"{name}: reliability of probabilities", fontsize=9)
        right.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
        right.set_xlabel("mean probability")
        right.set_ylabel("fraction in the region")
        for ax in (left, right):
            ax.grid(color="0.9", linewidth=0.8)
            ax.spines[["top", "right"]].set_visible(False)
            if ax.get_legend_handles_labels()[0]:  # no curve if all probabilities are near 0 or 1
                ax.legend(frameon=False, fontsize=7)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110, format="png")
    return True


def _draw_risk(ax: Axes, groups: dict[str, list[MeasuredRegion]]) -> None:
    for kind, cases in groups.items():
        values = [one.value for one in cases if one.value is not None]
        coverage, risk = risk_coverage(values, [one.dice for one in cases])
        label = f"{cases[0].score} ({kind})"
        ax.plot(coverage, risk, marker=".", color=_COLOURS[kind], label=label)
    ax.set_xlim(0, 1.02)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("coverage (fraction of masks kept)")
    ax.set_ylabel("risk (1 - mean Dice)")


def _draw_reliability(ax: Axes, known: RegionTrust, kind: str) -> None:
    lines = ((known.before, "-", "network"), (known.after, "--", "calibrated"))
    for reliability, style, text in lines:
        if reliability is None:
            continue
        pairs = zip(reliability.probability, reliability.frequency, strict=True)
        points = [(p, f) for p, f in pairs if p is not None and f is not None]
        label = f"{text} ({kind}), ECE {reliability.calibration_error:.3f}"
        ax.plot(*zip(*points, strict=True), style, marker=".", color=_COLOURS[kind], label=label)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
