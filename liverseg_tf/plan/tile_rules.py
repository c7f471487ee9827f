"""Rules for the tiles: window or percentiles, pixel spacing and shape, from the fingerprint.

The values from which they start are those of the presets, which were measured. A rule changes a
value only if the data give a reason for it.
"""

import math
from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.plan.fingerprint import Fingerprint
from liverseg_tf.plan.setting import TILE_SECTIONS, Setting
from liverseg_tf.tiles.spec import LIVER_WINDOW, TileSpec

_SPACING_MM = 1.5
_FIELD_PIXELS = 256  # of the presets' tiles
_MAX_PIXELS = 384  # of the longer side; finer spacings would cost too many
_WIDTH_PIXELS = 20  # across the thinnest region
_WORTHWHILE = 0.8  # a spacing finer than that of the presets has less than this part of it
_MARGIN_MM = 5.0  # around the regions
_BODY_SHARE = 0.9  # of the cases whose whole body is in the tile
_STEP = 32  # tiles are multiples of the stride of the network, with patches or without
_NEAR_HU = 100  # a region whose median is nearer to an end of the window needs a wider one
_ROUND_HU = 50
_MIN_WIDTH_HU = 50
_PERCENTILES = PercentileRange()


@dataclass(frozen=True)
class _Length:
    """Side of the tile in mm: what the regions need, and what most bodies have."""

    regions_mm: float
    body_mm: float
    field_mm: float  # of the largest slice

    @property
    def wanted_mm(self) -> float:
        return min(max(self.regions_mm, self.body_mm), self.field_mm)

    def pixels(self, spacing: float) -> int:
        """Number of pixels, a multiple of the stride, that hold the regions and most bodies."""
        needed = math.ceil(min(self.regions_mm, self.field_mm) / spacing / _STEP)
        usual = round(self.wanted_mm / spacing / _STEP)
        return max(1, needed, usual) * _STEP


def plan_tiles(fingerprint: Fingerprint, channel: int | None = None) -> list[Setting]:
    """Choose window or percentiles, spacing and shape of the tiles.

    Args:
        fingerprint: Fingerprint of the data set.
        channel: Volume to read from 4D images.
    """
    rows, cols = (_measure_length(fingerprint, axis) for axis in (0, 1))
    longer_mm = max(rows.wanted_mm, cols.wanted_mm)
    spacing, reason = _choose_spacing(fingerprint, longer_mm)
    shape = rows.pixels(spacing), cols.pixels(spacing)
    settings = [
        _choose_window(fingerprint) if fingerprint.has_hu else _choose_percentiles(),
        Setting("spacing", spacing, reason, TILE_SECTIONS),
        Setting("tile", f"{shape[0]}x{shape[1]}", _reason_of_shape(rows, cols), TILE_SECTIONS),
    ]
    if not fingerprint.has_hu:
        settings.append(Setting("mr", True, "pictures show their own range", ("evaluate", "view")))
    if channel is not None:
        sections = (*TILE_SECTIONS, "evaluate", "view")
        settings.append(Setting("channel", channel, "as given to plan", sections))
    return settings


def tile_spec_of(settings: list[Setting], channel: int | None) -> TileSpec:
    """Return the `TileSpec` that the settings of `plan_tiles` describe."""
    values = {one.key: one.value for one in settings}
    rows, cols = (int(length) for length in str(values["tile"]).split("x"))
    windows = tuple(Window(*window) for window in values.get("window", []))  # type: ignore
    return TileSpec(
        windows=windows or (LIVER_WINDOW,),
        percentiles=None if windows else _PERCENTILES,
        spacing_mm=float(values["spacing"]),  # type: ignore[arg-type]
        tile_shape=(rows, cols),
        channel=channel,
    )


def _choose_window(fingerprint: Fingerprint) -> Setting:
    """Choose the HU window: that of the presets, widened or narrowed where the HU need it."""
    low, high = LIVER_WINDOW.lower_hu, LIVER_WINDOW.upper_hu
    reason = "soft tissue, as in the preset liver: the medians of all regions lie inside"
    for region in fingerprint.summaries():
        if not region.percentiles:
            continue
        _, low_hu, middle_hu, high_hu, _ = region.percentiles
        if middle_hu < low + _NEAR_HU and low_hu < low:
            low = math.floor(low_hu / _ROUND_HU) * _ROUND_HU
            reason = f"widened for {region.name}, which has {low_hu:.0f} to {high_hu:.0f} HU"
        if middle_hu > high - _NEAR_HU and high_hu > high:
            high = math.ceil(high_hu / _ROUND_HU) * _ROUND_HU
            reason = f"widened for {region.name}, which has {low_hu:.0f} to {high_hu:.0f} HU"
    lowest, highest = _clipped_range(fingerprint)
    if (low < lowest or high > highest) and highest - lowest >= _MIN_WIDTH_HU:
        width = high - low
        low, high = max(low, lowest), min(high, highest)
        # what is left on the other side takes the place of what is missing
        low, high = max(lowest, min(low, high - width)), min(highest, max(high, low + width))
        reason = f"images were clipped to {_range(lowest, highest)} HU"
    return Setting("window", [[(low + high) / 2, high - low]], reason, TILE_SECTIONS)


def _clipped_range(fingerprint: Fingerprint) -> tuple[float, float]:
    """Range of HU that every image has kept; infinite at an end where no image was clipped."""
    lows = [case.clipped_hu[0] for case in fingerprint.cases if case.clipped_hu[0] is not None]
    highs = [case.clipped_hu[1] for case in fingerprint.cases if case.clipped_hu[1] is not None]
    lowest, highest = max(lows, default=-math.inf), min(highs, default=math.inf)
    return (
        lowest if math.isinf(lowest) else math.ceil(lowest),
        highest if math.isinf(highest) else math.floor(highest),
    )


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"{low:g} and more"
    return f"at most {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


def _choose_percentiles() -> Setting:
    value: list = [_PERCENTILES.lower, _PERCENTILES.upper]
    reason = "the images hold no HU, so that each is scaled by its own values"
    return Setting("percentiles", value, reason, TILE_SECTIONS)


def _measure_length(fingerprint: Fingerprint, axis: int) -> _Length:
    """Measure one side (0: rows, 1: columns) of the tile, which is centred on the body."""
    bodies = [case.body_mm[axis] for case in fingerprint.cases]
    reach = max(region.reach_mm[axis] for region in fingerprint.summaries())
    return _Length(
        regions_mm=2 * (reach + _MARGIN_MM),
        body_mm=float(np.quantile(bodies, _BODY_SHARE)),
        field_mm=max(case.field_mm[axis] for case in fingerprint.cases),
    )


def _choose_spacing(fingerprint: Fingerprint, longer_mm: float) -> tuple[float, str]:
    """Choose the pixel spacing in mm.

    Args:
        fingerprint: Fingerprint of the data set.
        longer_mm: Longer side of the tile.
    """
    spacing, reason = _SPACING_MM, "the presets' value for the abdomen"
    if longer_mm / _FIELD_PIXELS < spacing:
        spacing = longer_mm / _FIELD_PIXELS
        reason = f"{_FIELD_PIXELS} pixels across the {longer_mm:.0f} mm of the tile"
    thinnest = _thinnest(fingerprint)
    if thinnest[1] / _WIDTH_PIXELS < spacing:
        spacing = thinnest[1] / _WIDTH_PIXELS
        reason = f"{_WIDTH_PIXELS} pixels across {thinnest[0]}, which is {thinnest[1]:.0f} mm wide"
    if spacing < longer_mm / _MAX_PIXELS:
        spacing = longer_mm / _MAX_PIXELS
        reason = f"thin regions ({thinnest[0]}), but at most {_MAX_PIXELS} pixels across the tile"
    if spacing < fingerprint.pixel_mm:
        spacing = fingerprint.pixel_mm
        reason = "the median of the images; a finer one adds no detail"
    if _WORTHWHILE * _SPACING_MM < spacing < _SPACING_MM:
        spacing = _SPACING_MM
        reason = "the presets' value for the abdomen; a little finer is not worth its time"
    return _round_spacing(spacing), reason


def _thinnest(fingerprint: Fingerprint) -> tuple[str, float]:
    """Name and width of the thinnest region; nested ones, such as tumours, only if all are."""
    regions = fingerprint.summaries()
    outer = [region for region in regions if not region.nested] or regions
    region = min(outer, key=lambda one: one.width_mm)
    return region.name, region.width_mm


def _round_spacing(spacing: float) -> float:
    step = 0.05 if spacing >= 1 else 0.025 if spacing >= 0.5 else 0.005
    return min(50.0, max(0.05, round(round(spacing / step) * step, 3)))


def _reason_of_shape(rows: _Length, cols: _Length) -> str:
    regions, body = (
        f"{height:.0f} x {width:.0f} mm"
        for height, width in (
            (min(rows.regions_mm, rows.field_mm), min(cols.regions_mm, cols.field_mm)),
            (rows.body_mm, cols.body_mm),
        )
    )
    return f"holds every region (needs {regions}) and the body ({body} or less in 90 % of cases)"
