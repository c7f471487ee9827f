import math

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.comparison.compare_runs import (
    describe_facts,
    find_differences,
    find_obstacles,
)
from liverseg_tf.train.comparison.draw_runs import draw_runs
from liverseg_tf.train.comparison.find_runs import find_runs
from liverseg_tf.train.comparison.found_run import read_log

TRAINED_ONLY = {"train": ["a", "b"], "val": [], "test": []}


def test_settings_tiles_and_data_that_differ_are_found(tmp_path, make_run):
    make_run(tmp_path / "a", (0.9, 0.9), learning_rate=None, mirror=False)
    regions = {"liver": [1], "tumour": [2]}
    make_run(
        tmp_path / "b", spec=NetworkSpec(TileSpec(spacing_mm=3.0)), learning_rate=0.001,
        mirror=True, regions=regions, patch=2,
    )  # fmt: skip
    runs, _ = find_runs([tmp_path])
    names = find_differences(runs)
    assert set(names) == {"learning_rate", "mirror", "regions", "tiles.spacing_mm", "patch"}
    assert describe_facts(runs[0], ["learning_rate", "mirror", "regions", "patch"]) == [
        *("learning_rate = none", "mirror = no"),
        *("regions = liver=1,2 tumour=2", "patch = unknown"),
    ]
    assert describe_facts(runs[1], ["learning_rate", "mirror", "tiles.spacing_mm"]) == [
        *("learning_rate = 0.001", "mirror = yes", "tiles.spacing_mm = 3")
    ]
    assert find_differences(runs[:1]) == []


def test_scores_that_cannot_be_compared_are_named(tmp_path, make_run):
    make_run(tmp_path / "same" / "a")
    make_run(tmp_path / "same" / "b")
    assert find_obstacles(find_runs([tmp_path / "same"])[0]) == []
    make_run(tmp_path / "split" / "a")
    make_run(tmp_path / "split" / "b", split=TRAINED_ONLY)
    training, cases = find_obstacles(find_runs([tmp_path / "split"])[0])
    assert training.startswith("b: there were no validation cases")
    assert "different cases (a: 2 cases, b: 2 cases)" in cases
    first, second = find_runs([tmp_path / "same"])[0]
    second.checksums["c"] = "cut again"
    (tiles,) = find_obstacles([first, second])
    assert "other tiles or masks" in tiles


def test_all_curves_are_in_one_picture(tmp_path, make_run):
    logs = {name: read_log(make_run(tmp_path / name)) for name in ("a", "_b$")}
    logs["c"] = [{"step": 100.0, "loss": math.nan, "dice_spleen": 0.5}]
    figure = draw_runs(logs)
    assert [axes.get_title() for axes in figure.axes] == [
        *("training loss", "liver", "tumour", "spleen")
    ]
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 2, 1]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", r" _b\$", "c"]
    figure.canvas.draw()
    for axes in figure.axes:
        assert all(place == round(place) for place in axes.get_xticks())
