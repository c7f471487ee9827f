"""A picture with the worst case of each contestant."""

import io
from pathlib import Path

import matplotlib.image
from matplotlib.figure import Figure

from contest.scores import keep_largest
from contest.task import Task
from liverseg_tf.ct.images import read_image, read_label_image
from liverseg_tf.ct.intensity import Window
from liverseg_tf.dataset.cases import Case
from liverseg_tf.evaluate.report.overlay import CaseVolumes, overlay_case

_DPI = 100


def write_worst_cases(path: Path, found: dict[str, tuple[Case, Path]], task: Task) -> None:
    """Write a PNG with a row for each contestant.

    Args:
        path: PNG file.
        found: By the title of the contestant, the case and its predicted mask.
        task: The regions, and the window of the pictures.
    """
    low, high = task.limits
    window = Window((low + high) / 2, high - low)
    rows = []
    for case, file in found.values():
        mask = keep_largest(read_label_image(file), task)
        volumes = CaseVolumes(case.name, read_image(case.image), read_label_image(case.mask), mask)
        rows.append(
            matplotlib.image.imread(io.BytesIO(overlay_case(volumes, task.regions, window)))
        )
    if not rows:
        raise SystemExit("Expected masks of a finished training in --work. There are none.")
    heights = [row.shape[0] for row in rows]
    figure = Figure((rows[0].shape[1] / _DPI, (sum(heights) + 30 * len(rows)) / _DPI), dpi=_DPI)
    top, total = 1.0, sum(heights) + 30 * len(rows)
    for title, row, height in zip(found, rows, heights, strict=True):
        top -= (height + 30) / total
        axes = figure.add_axes((0, top, 1, height / total))
        axes.imshow(row, aspect="auto")
        axes.set_axis_off()
        axes.set_title(title, size=13, weight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
