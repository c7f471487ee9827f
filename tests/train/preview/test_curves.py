import pytest

from liverseg_tf.train.preview.curves import draw_curves


@pytest.mark.parametrize("epochs", [1, 2, 3, 50])
def test_epochs_are_whole_numbers(epochs):
    rows = [
        {"epoch": epoch, "loss": 1 / epoch, "learning_rate": 1e-3, "dice_liver": 0.5}
        for epoch in range(1, epochs + 1)
    ]
    figure = draw_curves(rows)
    figure.canvas.draw()
    left, right = figure.axes[:2]
    for axes in (left, right):
        low, high = axes.get_xlim()
        shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert shown
        assert all(tick == round(tick) for tick in shown)
