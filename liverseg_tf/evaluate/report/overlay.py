"""Pictures of slices with the contours of ground truth and prediction."""

import io
import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.typing import LineStyleType

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.evaluate.report.planes import PLANES, ViewPlane, select_slices
from liverseg_tf.evaluate.report.score_text import escape_mathtext
from liverseg_tf.evaluate.score_case import RegionResult, score_masks

ABDOMEN = Window(level_hu=40, width_hu=400)
MR_RANGE = PercentileRange(1, 99)
TRUTH_COLOUR, PREDICTION_COLOUR = "#4dff88", "#ff5cf4"  # distinguishable with colour blindness
_LINE_STYLES: tuple[LineStyleType, ...] = ("-", (0, (3, 1)), (0, (1, 1)))  # outermost region first
_OUTLINE = withStroke(linewidth=2, foreground="black")
_WIDTH_PIXELS, _MAX_HEIGHT_PIXELS, _DPI = 1500, 2500, 100
_MARGIN = 0.35  # inches, the height of a line of text
_LEGEND_COLUMNS = 8


@dataclass(frozen=True, eq=False)
class CaseVolumes:
    """Image and masks of a case.

    Args:
        case: Name of the case.
        image: CT in HU, or MR.
        truth: Ground truth, array uint8 on the grid of the image.
        prediction: Prediction, array uint8 on the grid of the image.
    """

    case: str
    image: Volume
    truth: Volume
    prediction: Volume

    def canonical(self) -> "CaseVolumes":
        """Return the same volumes in canonical order."""
        volumes = map(to_canonical, (self.image, self.truth, self.prediction))
        return CaseVolumes(self.case, *volumes)


def overlay_case(volumes: CaseVolumes, regions: Regions, window: Window | None = ABDOMEN) -> bytes:
    """Draw the axial, coronal and sagittal slice in which ground truth and prediction differ most.

    Pictures follow the radiological convention: the patient's right is on the left. Contours of
    the ground truth are green, those of the prediction magenta. The first region has solid
    lines, the second dashed lines, and all others dotted lines.

    Args:
        volumes: Image and masks, in any orientation.
        regions: Regions whose contours are drawn.
        window: Window of the grey values; None uses the 1st to the 99th percentile (MR).

    Returns:
        PNG file.

    Raises:
        LiverSegError: If the volumes are on different grids.
    """
    volumes = volumes.canonical()
    image, truth, prediction = volumes.image, volumes.truth, volumes.prediction
    check_same_grid(image, truth)
    results = score_masks(volumes.case, truth, prediction, regions)
    window = window or MR_RANGE.window_of(image.array)
    columns = min(2 * len(regions), _LEGEND_COLUMNS)
    figure, axes = _layout(image, legend_lines=math.ceil(2 * len(regions) / columns))
    indices = select_slices(truth.array, prediction.array, regions)
    for plane, ax, index in zip(PLANES, axes, indices, strict=True):
        _draw_image(ax, plane, plane.cut(image.array, index), window)
        for labels, colour in ((truth, TRUTH_COLOUR), (prediction, PREDICTION_COLOUR)):
            _draw_contours(ax, regions.masks(plane.cut(labels.array, index)), colour)
        ax.set_title(f"{plane.name}, slice {index + 1} of {image.array.shape[plane.axis]}", size=10)
    figure.suptitle(_title(results), size=12, x=_MARGIN / figure.get_figwidth(), ha="left")
    legend = _legend(regions)
    figure.legend(handles=legend, ncols=columns, loc="lower center", frameon=False)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
    return png.getvalue()


def _layout(image: Volume, legend_lines: int) -> tuple[Figure, list[Axes]]:
    """A figure with one axes for each plane, side by side and at the same scale."""
    depth, height, width = np.multiply(image.array.shape, image.spacing_mm)
    across_mm, down_mm = (width, width, height), (height, depth, depth)
    page_width = _WIDTH_PIXELS / _DPI
    inch_per_mm = min(
        (page_width - 4 * _MARGIN) / sum(across_mm), _MAX_HEIGHT_PIXELS / _DPI / max(down_mm)
    )
    page_height = max(down_mm) * inch_per_mm + (2.4 + 0.8 * legend_lines) * _MARGIN
    figure = Figure((page_width, page_height), facecolor="white")
    axes, left = [], _MARGIN
    for across, down in np.multiply((across_mm, down_mm), inch_per_mm).T:
        bottom = page_height - 1.8 * _MARGIN - down
        box = np.divide((left, bottom, across, down), (page_width, page_height) * 2)
        axes.append(figure.add_axes(tuple(box)))
        left += across + _MARGIN
    return figure, axes


def _draw_image(ax: Axes, plane: ViewPlane, pixels: np.ndarray, window: Window) -> None:
    rows, cols = pixels.shape
    ax.imshow(
        pixels,
        cmap="gray",
        vmin=window.lower_hu,
        vmax=window.upper_hu,
        aspect="auto",
        extent=(-0.5, cols - 0.5, rows - 0.5, -0.5),
    )
    ax.autoscale(False)  # contours reach one voxel beyond the image
    ax.set_axis_off()
    positions = [(0.015, 0.5), (0.985, 0.5), (0.5, 0.985), (0.5, 0.015)]
    alignments = [("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom")]
    for letter, (x, y), (ha, va) in zip(plane.letters, positions, alignments, strict=True):
        ax.text(
            x,
            y,
            letter,
            transform=ax.transAxes,
            ha=ha,
            va=va,
            color="white",
            weight="bold",
            size=11,
            path_effects=[_OUTLINE],
        )


def _draw_contours(ax: Axes, masks: np.ndarray, colour: str) -> None:
    """Draw the contour of each region in a slice.

    Args:
        ax: Axes that show the slice.
        masks: (rows, cols, n) bool, one channel per region.
        colour: Colour of the lines.
    """
    rows, cols, _ = masks.shape
    padded = np.pad(masks, ((1, 1), (1, 1), (0, 0)))  # closes contours at the edge of the picture
    for index in range(masks.shape[2]):
        if masks[..., index].any():
            ax.contour(
                np.arange(-1, cols + 1),
                np.arange(-1, rows + 1),
                padded[..., index],
                levels=[0.5],
                colors=colour,
                linewidths=1.2,
                linestyles=[_line_style(index)],
            )


def _legend(regions: Regions) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, linestyle=_line_style(index), label=escape_mathtext(text))
        for index, name in enumerate(regions.names)
        for colour, text in (
            (TRUTH_COLOUR, f"{name}, ground truth"),
            (PREDICTION_COLOUR, f"{name}, prediction"),
        )
    ]


def _line_style(index: int) -> LineStyleType:
    return _LINE_STYLES[min(index, len(_LINE_STYLES) - 1)]


def _title(results: list[RegionResult]) -> str:
    scores = (
        f"{result.region}: "
        + ("both masks empty" if result.overlap.both_empty else f"Dice {result.overlap.dice:.3f}")
        for result in results
    )
    return escape_mathtext("     ".join((results[0].case, *scores)))
