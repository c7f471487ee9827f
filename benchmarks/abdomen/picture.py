"""A picture with the lowest liver Dice of each table."""

import io
from pathlib import Path

import matplotlib.image
from matplotlib.figure import Figure

from liverseg_tf.ct.images import read_image, read_label_image
from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.regions import Regions
from liverseg_tf.evaluate.report.overlay import CaseVolumes, overlay_case

_LIVER = Regions({"liver": (1, 2)})
_WINDOW = Window(75, 400)
_DPI = 100


def write_worst_cases(path: Path, found: dict[str, tuple[Path, Path, Path]]) -> None:
    """Write a PNG with a row for each case.

    Args:
        path: PNG file.
        found: By title, the paths of the image, of its mask and of the predicted mask.
    """
    pictures = {}
    for title, (image, truth, mask) in found.items():
        volumes = CaseVolumes("", read_image(image), *map(read_label_image, (truth, mask)))
        content = io.BytesIO(overlay_case(volumes, _LIVER, _WINDOW))
        pictures[title] = matplotlib.image.imread(content)
    if not pictures:
        raise SystemExit("Expected masks in --work. There are none.")
    heights = [picture.shape[0] + 30 for picture in pictures.values()]
    width = max(picture.shape[1] for picture in pictures.values())
    figure = Figure((width / _DPI, sum(heights) / _DPI), dpi=_DPI)
    top = 1.0
    for (title, picture), height in zip(pictures.items(), heights, strict=True):
        top -= height / sum(heights)
        axes = figure.add_axes((0, top, 1, picture.shape[0] / sum(heights)))
        axes.imshow(picture, aspect="auto")
        axes.set_axis_off()
        axes.set_title(title, size=13, weight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
