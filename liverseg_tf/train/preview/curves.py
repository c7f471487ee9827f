"""How a run went, as a picture."""

import math

from matplotlib.figure import Figure


def draw_curves(rows: list[dict]) -> Figure:
    """Loss and learning rate to the left, validation Dice to the right.

    Args:
        rows: of the log: `epoch`, `loss`, `learning_rate`, and `dice_REGION`, NaN where an epoch
            was not validated.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    left.plot(epochs, [row["loss"] for row in rows], color="tab:blue", marker=".", label="loss")
    left.set(xlabel="epoch", ylabel="training loss", title="Training")
    rates = left.twinx()
    rates.plot(epochs, [row["learning_rate"] for row in rows], color="0.7")
    rates.set_ylabel("learning rate", color="0.5")
    for name in [name for name in rows[0] if name.startswith("dice_")]:
        points = [(row["epoch"], row[name]) for row in rows if not math.isnan(row[name])]
        if points:
            label = f"{name.removeprefix('dice_')}: best {max(dice for _, dice in points):.3f}"
            right.plot(*zip(*points, strict=True), marker=".", label=label)
    right.set(xlabel="epoch", ylabel="Dice per case, 3D", title="Validation", ylim=(0, 1))
    right.grid(alpha=0.3)
    if right.lines:
        right.legend(loc="lower right")
    return figure
