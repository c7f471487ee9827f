"""The curves of several runs in one picture."""

import math
from collections.abc import Mapping, Sequence

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from liverseg_tf.train.preview.figure_file import literal

_PANEL_SIZE = (5.0, 3.6)  # inches
_COLUMNS = 3
_MAX_REGIONS = 11


def draw_runs(logs: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw the training loss and the validation Dice of each region over the steps, a line per run.

    Epochs may have different lengths in different runs, steps do not.

    Args:
        logs: Rows of `log.csv` by the name of the run; see `read_log`.
    """
    columns = dict.fromkeys(
        name for rows in logs.values() for name in rows[0] if name.startswith("dice_")
    )
    panels = ["loss", *list(columns)[:_MAX_REGIONS]]
    across = min(_COLUMNS, len(panels))
    down = -(-len(panels) // across)
    size = (_PANEL_SIZE[0] * across, _PANEL_SIZE[1] * down)
    figure = Figure(figsize=size, layout="constrained")
    colours = colormaps["tab10" if len(logs) <= 10 else "turbo"].resampled(max(len(logs), 1))
    for place, column in enumerate(panels):
        axes = figure.add_subplot(down, across, place + 1)
        for number, (name, rows) in enumerate(logs.items()):
            points = [(row["step"], row.get(column, math.nan)) for row in rows]
            points = [point for point in points if not any(map(math.isnan, point))]
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    marker="." if len(points) < 60 else "",
                    color=colours(number),
                    label=literal(name),
                )
        title = "training loss" if column == "loss" else literal(column.removeprefix("dice_"))
        axes.set(title=title, xlabel="step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if column != "loss":
            axes.set(ylabel="Dice per case, 3D", ylim=(0, 1))
    lines = {line.get_label(): line for axes in figure.axes for line in axes.lines}
    if lines:
        figure.legend(
            list(lines.values()),
            [str(label) for label in lines],
            loc="outside lower center",
            ncols=across,
            fontsize="small",
        )
    return figure
