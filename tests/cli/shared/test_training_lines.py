import math
from types import SimpleNamespace

from liverseg_tf.cli.shared import training_lines
from liverseg_tf.cli.shared.training_lines import TrainingLines, format_progress

DICE = {"liver": 0.9123, "tumour": 0.0, "cyst": math.nan}


def _progress(fraction=0.1, speed=math.nan, dice=DICE):
    return SimpleNamespace(
        fraction=fraction, epoch=3, loss=0.41234, best_dice=dice, steps_per_second=speed
    )


def test_the_progress_line_has_the_dice_of_each_region():
    assert format_progress(_progress()) == (
        "epoch 3, loss 0.412, Dice: liver 0.912, tumour 0.000, cyst -"
    )
    assert format_progress(_progress(dice={})) == "epoch 3, loss 0.412"


def test_the_device_comes_first_and_once(monkeypatch, capsys):
    monkeypatch.setattr(
        training_lines, "format_device", lambda precision, speed: f"Device: {precision} {speed:g}"
    )
    shown = []
    lines = TrainingLines("bfloat16", lambda done, note: shown.append(done))
    lines.report(_progress(0.1))
    assert shown == []  # the speed is not known yet
    for fraction in (0.2, 0.3):
        lines.report(_progress(fraction, 12.5))
    assert shown == [0.2, 0.3]
    assert capsys.readouterr().out == "Device: bfloat16 12.5\n"


def test_a_run_that_is_too_short_to_measure_names_its_device_at_the_end(monkeypatch, capsys):
    monkeypatch.setattr(training_lines, "format_device", lambda precision, speed: precision)
    TrainingLines("float32", lambda done, note: None).report(_progress(1.0))
    assert capsys.readouterr().out == "float32\n"
