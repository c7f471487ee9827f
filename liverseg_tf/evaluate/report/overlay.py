"""Pictures: truth and prediction as contours on the image."""

import io
import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.evaluate.cases import score_masks
from liverseg_tf.evaluate.evaluation import Row
from liverseg_tf.evaluate.report.planes import PLANES, ViewPlane, informative_slices

ABDOMEN = Window(level_hu=40, width_hu=400)
MR_RANGE = PercentileRange(1, 99)
TRUTH_COLOUR, PREDICTION_COLOUR = "#4dff88", "#ff5cf4"  # told apart by the colour-blind
_STYLES = ("-", (0, (3, 1)), (0, (1, 1)))  # outermost region first
_OUTLINE = withStroke(linewidth=2, foreground="black")
_PIXELS_WIDE, _PIXELS_HIGH, _DPI = 1500, 2500, 100
_MARGIN = 0.35  # inches, for a line of text
_LEGEND_COLUMNS = 8


@dataclass(frozen=True, eq=False)
class CaseVolumes:
    """What is drawn of a case.

    Args:
        case: its name.
        image: CT in HU, or MR.
        truth: array uint8, on the image's grid.
        prediction: array uint8, on the image's grid.
    """

    case: str
    image: Volume
    truth: Volume
    prediction: Volume

    def canonical(self) -> "CaseVolumes":
        """The same in canonical order."""
        volumes = map(to_canonical, (self.image, self.truth, self.prediction))
        return CaseVolumes(self.case, *volumes)


def overlay_case(volumes: CaseVolumes, regions: Regions, window: Window | None = ABDOMEN) -> bytes:
    """Draw the axial, coronal and sagittal slice in which truth and prediction differ most.

    Radiological convention: the patient's right is on the left of the picture. Contours of the
    truth are green, of the prediction magenta; the first region has solid lines, the next ones
    dashed and dotted lines.

    Args:
        volumes: of the case, in any orientation.
        regions: whose contours are drawn.
        window: of grey values; None takes the 1st to the 99th percentile (MR).

    Returns:
        A PNG file.

    Raises:
        LiverSegError: when the volumes are on different grids.
    """
    volumes = volumes.canonical()
    image, truth, prediction = volumes.image, volumes.truth, volumes.prediction
    check_same_grid(image, truth)
    rows = score_masks(volumes.case, truth, prediction, regions)
    window = window or MR_RANGE.window_of(image.array)
    columns = min(2 * len(regions), _LEGEND_COLUMNS)
    figure, axes = _layout(image, legend_lines=math.ceil(2 * len(regions) / columns))
    indices = informative_slices(truth.array, prediction.array, regions)
    for plane, ax, index in zip(PLANES, axes, indices, strict=True):
        _draw_image(ax, plane, plane.cut(image.array, index), window)
        for labels, colour in ((truth, TRUTH_COLOUR), (prediction, PREDICTION_COLOUR)):
            _draw_contours(ax, regions.masks(plane.cut(labels.array, index)), colour)
        ax.set_title(f"{plane.name}, slice {index + 1} of {image.array.shape[plane.axis]}", size=10)
    figure.suptitle(_title(rows), size=12, x=_MARGIN / figure.get_figwidth(), ha="left")
    legend = _legend(regions)
    figure.legend(handles=legend, ncols=columns, loc="lower center", frameon=False)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
    return png.getvalue()


def _layout(image: Volume, legend_lines: int) -> tuple[Figure, list[Axes]]:
    """A figure with one axes a plane, side by side, all with as many mm to the inch."""
    depth, height, width = np.multiply(image.array.shape, image.spacing_mm)
    across_mm, down_mm = (width, width, height), (height, depth, depth)
    page_width = _PIXELS_WIDE / _DPI
    inch_per_mm = min(
        (page_width - 4 * _MARGIN) / sum(across_mm), _PIXELS_HIGH / _DPI / max(down_mm)
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
    places = [(0.015, 0.5), (0.985, 0.5), (0.5, 0.985), (0.5, 0.015)]
    aligned = [("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom")]
    for letter, (x, y), (ha, va) in zip(plane.letters, places, aligned, strict=True):
        style = {"color": "white", "weight": "bold", "size": 11, "path_effects": [_OUTLINE]}
        ax.text(x, y, letter, transform=ax.transAxes, ha=ha, va=va, **style)


def _draw_contours(ax: Axes, masks: np.ndarray, colour: str) -> None:
    """Outline each region of a slice.

    Args:
        ax: with the slice's image.
        masks: (rows, cols, n) bool.
        colour: of the lines.
    """
    rows, cols, _ = masks.shape
    closed = np.pad(masks, ((1, 1), (1, 1), (0, 0)))  # lines close at the picture's edge
    for place in range(masks.shape[2]):
        if masks[..., place].any():
            ax.contour(
                np.arange(-1, cols + 1),
                np.arange(-1, rows + 1),
                closed[..., place],
                levels=[0.5],
                colors=colour,
                linewidths=1.2,
                linestyles=[_style(place)],
            )


def _legend(regions: Regions) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, linestyle=_style(place), label=_plain(f"{name}, {whose}"))
        for place, name in enumerate(regions.names)
        for colour, whose in ((TRUTH_COLOUR, "truth"), (PREDICTION_COLOUR, "prediction"))
    ]


def _style(place: int) -> str | tuple:
    return _STYLES[min(place, len(_STYLES) - 1)]


def _title(rows: list[Row]) -> str:
    scores = (
        f"{row.region} "
        + ("both empty" if row.overlap.both_empty else f"Dice {row.overlap.dice:.3f}")
        for row in rows
    )
    return _plain("     ".join((rows[0].case, *scores)))


def _plain(text: str) -> str:
    """Text that matplotlib takes for no formula."""
    return text.replace("$", r"\$")
