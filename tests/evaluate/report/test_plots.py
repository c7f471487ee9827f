"""Plots whose labels can be read: none of them covers another one."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from liverseg_tf.ct.regions import Regions
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.metrics.overlap import Overlap, score_overlap
from liverseg_tf.evaluate.report import plots
from liverseg_tf.evaluate.score_case import RegionResult

ORGANS = tuple(
    f"{side} adrenal gland or its vessel {n}" for side in ("left", "right") for n in range(7)
)


def evaluation_of(names, voxels):
    """Evaluation with one case for each number of voxels, of 1 ml each."""
    rng = np.random.default_rng(0)
    results = []
    for case, name in itertools.product(range(len(voxels)), names):
        size = voxels[case]
        overlap = Overlap(size, size + int(rng.integers(3)), max(size - int(rng.integers(3)), 1))
        results.append(RegionResult(str(case), name, overlap, score_overlap(overlap, 1.0)))
    return Evaluation(Regions({name: (n,) for n, name in enumerate(names, 1)}), tuple(results))


def draw(monkeypatch, plot):
    """Boxes of the labels of both axes of a plot."""
    figures = []
    monkeypatch.setattr(plots, "write_svg", lambda figure: figures.append(figure) or b"")
    assert plot() is not None
    (figure,) = figures
    FigureCanvasAgg(figure).draw()
    (ax,) = figure.axes
    return [
        [
            label.get_window_extent()
            for label in axis.get_ticklabels(which="both")
            if label.get_text()
        ]
        for axis in (ax.xaxis, ax.yaxis)
    ]


@pytest.mark.parametrize("voxels", [(7,) * 5, (90, 95, 99, 105, 110), (1, 40, 900, 2000, 10**6)])
def test_labels_of_volumes_do_not_overlap(monkeypatch, voxels):
    evaluation = evaluation_of(ORGANS[:3], voxels)
    for plot in (
        lambda: plots.plot_dice_by_volume(evaluation),
        lambda: plots.plot_volumes(evaluation, ORGANS[0]),
        lambda: plots.plot_agreement(evaluation, ORGANS[0]),
    ):
        check_labels(draw(monkeypatch, plot))


def test_names_of_many_regions_do_not_overlap(monkeypatch):
    evaluation = evaluation_of(ORGANS, (5, 6, 7, 8, 9))
    check_labels(draw(monkeypatch, lambda: plots.plot_boxes(evaluation, "dice", "Dice")))


def check_labels(axes):
    for labels in axes:
        assert len(labels) >= 2
        assert not any(one.overlaps(other) for one, other in itertools.combinations(labels, 2))


def test_there_is_no_plot_of_fewer_than_five_cases():
    evaluation = evaluation_of(("liver",), (5, 6, 7, 8))
    assert plots.plot_boxes(evaluation, "dice", "Dice") is None
    assert plots.plot_dice_by_volume(evaluation) is None
    assert plots.plot_volumes(evaluation, "liver") is None
    assert plots.plot_agreement(evaluation, "liver") is None
