"""Pictures of a secondary capture: slices with contours, and a page with a table."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.regions import Regions
from liverseg_tf.predict.outputs.measurements import format_ml
from liverseg_tf.printable import printable

NOT_FOR_DIAGNOSIS = "Not for diagnostic use"
_MIN_SIDE = 512  # pixels; smaller slices are enlarged, so that text and contours can be seen
_WHITE, _GREY, _WARNING = (255, 255, 255), (170, 170, 170), (255, 210, 60)
_OUTLINE_PX = 2
_TEXT_PX, _TITLE_PX, _MARGIN_PX = 15, 21, 16


@dataclass(frozen=True)
class TableRow:
    """A line of the table: what was measured of a region.

    Args:
        region: Name of the region.
        colour: RGB, each 0 to 255, of its contours.
        volume_ml: Volume.
        intensity_mean: Mean in the units of the image; None if the region is empty.
        remark: What must be known about the value, such as that the region is cut.
    """

    region: str
    colour: tuple[int, int, int]
    volume_ml: float
    intensity_mean: float | None
    remark: str = ""


def enlargement(shape: tuple[int, ...]) -> int:
    """Return by which factor slices are enlarged.

    Args:
        shape: (rows, columns) of the slices.
    """
    return max(1, -(-_MIN_SIDE // max(shape)))


def draw_slice(
    plane: np.ndarray,
    window: Window,
    labels: np.ndarray,
    regions: Regions,
    colours: Sequence[tuple[int, int, int]],
) -> np.ndarray:
    """Draw a slice in its window, with the outlines of the regions.

    An outline runs around the pixels of its region, on the pixels outside, and covers none of them.

    Args:
        plane: (row, col) in HU or MR units.
        window: Window that becomes black to white.
        labels: (row, col) uint8.
        regions: Regions of the labels.
        colours: RGB of each region, each 0 to 255.

    Returns:
        (row, col, 3) uint8, enlarged by `enlargement`.
    """
    factor = enlargement(plane.shape)
    values = np.nan_to_num(plane.astype(np.float32), nan=window.lower_hu)
    grey = np.clip((values - window.lower_hu) * (255 / window.width_hu), 0, 255)
    picture = np.repeat(_enlarge(np.rint(grey).astype(np.uint8), factor)[..., None], 3, axis=-1)
    for name, colour in zip(regions.names, colours, strict=True):
        mask = regions.mask(labels, name)
        if mask.any():
            mask = _enlarge(mask, factor)
            picture[ndimage.binary_dilation(mask, iterations=_OUTLINE_PX) & ~mask] = colour
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    height = picture.shape[0]
    draw.text((6, height - _TEXT_PX - 8), NOT_FOR_DIAGNOSIS, _WARNING, font=_font(_TEXT_PX))
    return np.asarray(image)


def draw_table(
    rows: Sequence[TableRow], unit: str, lines: Sequence[str], shape: tuple[int, int]
) -> np.ndarray:
    """Draw the page with the volumes of the regions.

    Args:
        rows: Lines of the table.
        unit: Unit of the mean, such as HU.
        lines: Text below the table; it is wrapped.
        shape: (rows, columns) of the page at least.

    Returns:
        (row, col, 3) uint8. The page is as long as its text.
    """
    width = max(shape[1], _MIN_SIDE)
    text, line_px = _font(_TEXT_PX), _TEXT_PX + 7
    wrapped = [part for line in lines for part in _wrap(line, width - 2 * _MARGIN_PX)]
    remarks = sum(bool(row.remark) for row in rows)
    needed = 2 * _MARGIN_PX + 3 * line_px + (len(rows) + remarks + 1 + len(wrapped) + 2) * line_px
    image = Image.new("RGB", (width, max(shape[0], _MIN_SIDE, needed)))
    draw = ImageDraw.Draw(image)
    y = _MARGIN_PX
    draw.text((_MARGIN_PX, y), "Automatic segmentation", _WHITE, font=_font(_TITLE_PX))
    y += line_px + 8
    draw.text((_MARGIN_PX, y), NOT_FOR_DIAGNOSIS, _WARNING, font=_font(_TITLE_PX))
    y += 2 * line_px
    ml_x, mean_x = width - 190, width - _MARGIN_PX
    draw.text((_MARGIN_PX, y), "region", _GREY, font=text)
    draw.text((ml_x, y), "ml", _GREY, font=text, anchor="ra")
    draw.text((mean_x, y), f"mean ({unit})", _GREY, font=text, anchor="ra")
    y += line_px
    for row in rows:
        draw.rectangle((_MARGIN_PX, y + 3, _MARGIN_PX + 12, y + 15), fill=row.colour)
        name = _shorten(_drawable(row.region), ml_x - 90 - _MARGIN_PX - 22)
        draw.text((_MARGIN_PX + 22, y), name, _WHITE, font=text)
        draw.text((ml_x, y), format_ml(row.volume_ml), _WHITE, font=text, anchor="ra")
        mean = "" if row.intensity_mean is None else f"{row.intensity_mean:.0f}"
        draw.text((mean_x, y), mean, _WHITE, font=text, anchor="ra")
        y += line_px
        if row.remark:
            remark = _shorten(_drawable(row.remark), width - 2 * _MARGIN_PX - 22)
            draw.text((_MARGIN_PX + 22, y), remark, _WARNING, font=text)
            y += line_px
    y += line_px
    for part in wrapped:
        draw.text((_MARGIN_PX, y), part, _GREY, font=text)
        y += line_px
    return np.asarray(image)


def _enlarge(plane: np.ndarray, factor: int) -> np.ndarray:
    return plane.repeat(factor, axis=0).repeat(factor, axis=1)


@functools.cache
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    # this font has letters of many languages, and every installation has it
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size_px)


def _drawable(text: str) -> str:
    return " ".join(printable(text).split())


def _shorten(text: str, width_px: int) -> str:
    font = _font(_TEXT_PX)
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…"


def _wrap(text: str, width_px: int) -> list[str]:
    """Break a text into lines of a width; words that are too long are shortened."""
    lines = [""]
    for word in _drawable(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font(_TEXT_PX).getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_shorten(line, width_px) for line in lines]
