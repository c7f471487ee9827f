"""The curves of a run: loss, learning rate and validation Dice by epoch."""

import math

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from liverseg_tf.train.preview.figure_file import literal


def draw_curves(log_rows: list[dict]) -> Figure:
    """Draw loss and learning rate on the left, and validation Dice on the right.

    Args:
        log_rows: Rows of `log.csv` with `epoch`, `loss`, `learning_rate`, and `dice_REGION` for
            each region, which is NaN for epochs without validation.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in log_rows]
    left.plot(epochs, [row["loss"] for row in log_rows], color="tab:blue", marker=".", label="loss")
    left.set(xlabel="epoch", ylabel="training loss", title="Training")
    rates = left.twinx()
    rates.plot(epochs, [row["learning_rate"] for row in log_rows], color="0.7")
    rates.set_ylabel("learning rate", color="0.5")
    for column in [name for name in log_rows[0] if name.startswith("dice_")]:
        points = [(row["epoch"], row[column]) for row in log_rows if not math.isnan(row[column])]
        if points:
            best = max(dice for _, dice in points)
            label = f"{column.removeprefix('dice_')}: best {best:.3f}"
            right.plot(*zip(*points, strict=True), marker=".", label=literal(label))
    right.set(xlabel="epoch", ylabel="Dice per case, 3D", title="Validation", ylim=(0, 1))
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # whole epochs
    right.grid(alpha=0.3)
    if right.lines:
        right.legend(loc="lower right")
    return figure
