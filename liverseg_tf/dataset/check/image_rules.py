"""Rules for an image alone: header, modality and intensities.

They need no mask, so that `check`, `preprocess` and `predict` apply the same ones.
"""

from collections.abc import Iterator

from liverseg_tf.ct.intensity import Window
from liverseg_tf.dataset.check.intensities import (
    AIR_HU,
    HUGE_HU,
    LOWEST_HU,
    PADDING_HU,
    PERCENTILES,
    SOFT_TISSUE_HU,
    IntensityStatistics,
)
from liverseg_tf.dataset.check.issues import ERROR, NOTE, WARNING
from liverseg_tf.dataset.check.measurements import CaseMeasurements

CaseIssue = tuple[str, str, str]  # severity, kind, text

_SPACING_MM = (0.09, 50.0)
_MAX_SIDE_MM = (3000.0, 2000.0, 2000.0)  # (z, row, col)
_NO_AIR_HU = -500  # a CT with air has lower values
_NO_FAT_HU = -30  # fat is at -100 HU; the noise of other tissue does not reach lower
_MAX_CLIPPED_AIR_HU = -900  # an image that ends here has lost nothing but noise of air
_MAX_HUGE_FRACTION = 0.02
_MIN_AIR_FRACTION = 0.01
_MAX_AT_TOP = 0.3  # bone and contrast agent are less
_SHIFTED_AIR = (-880, -600)  # HU are not clipped within lung
_MAX_DENSE_FRACTION = 0.1
# Fat and contrast agent spread tissue over about 0.4 times the distance from air to water. In HU
# that were clipped above air, the distance from the lowest value to 0 is smaller.
_MIN_SPREAD = 0.55
_MAX_SCALED_AIR = -350  # HU are rarely divided by less than 3
_MAX_COMMON_FRACTION = 0.999
_MIN_SOFT_TISSUE_FRACTION = 0.02
_MAX_STEP_HU = 20
_MIN_TOLD_FRACTION = 0.01  # of the voxels; metal and bone that are clipped far above the windows
_SHIFTED_HU = (800, 1500)  # organs if the rescale intercept of -1024 was left out
_CT_MODALITIES = ("", "CT", "OT")  # OT: other, as software that converts images writes it


def check_image(
    case: CaseMeasurements, has_hu: bool, windows: tuple[Window, ...]
) -> Iterator[CaseIssue]:
    """Find the issues of an image.

    Args:
        case: Measurements of the image.
        has_hu: Whether the values should be HU.
        windows: HU windows that are applied to the image.
    """
    values = case.intensities
    yield from ((WARNING, "reading", text) for text in case.warnings)
    yield from _check_grid(case)
    yield from _check_modality(case, has_hu)
    if values.fraction_not_finite:
        percent = _percent(values.fraction_not_finite)
        yield ERROR, "not finite", f"{percent} of the voxels are NaN or infinite"
    if values.minimum == values.maximum:
        yield ERROR, "contrast", f"all voxels have the same value, {values.minimum:g}"
    elif values.fraction_most_common > _MAX_COMMON_FRACTION:
        yield ERROR, "contrast", "nearly all voxels have the same value"
    elif has_hu:
        reason = find_reason_against_hu(values)
        if reason is not None:
            yield ERROR, "values", reason
        else:
            yield from _check_range(values, windows)
        if values.minimum < PADDING_HU:
            yield NOTE, "padding", f"padding below {PADDING_HU} HU is treated as air"


def find_reason_against_hu(values: IntensityStatistics) -> str | None:
    """Find a reason why the values cannot be HU. None if they can.

    Args:
        values: Statistics of an image that has contrast.
    """
    low, high = values.minimum, values.maximum
    ends = f"values from {low:g} to {high:g}"
    is_cut_ct = low < _NO_FAT_HU and None not in (values.clipped_below, values.clipped_above)
    if high - low <= 50:
        return f"{ends}: normalised, not HU"
    if (low >= 0 and high <= 256) or (low >= -128 and high <= 127 and not is_cut_ct):
        return f"{ends}: an 8-bit image, not HU"
    if values.fraction_huge > _MAX_HUGE_FRACTION:
        percent = _percent(values.fraction_huge)
        return f"{percent} of the voxels are above {HUGE_HU}: HU below 0 read as unsigned numbers?"
    if values.fraction_below > _MAX_HUGE_FRACTION:
        return (
            f"{_percent(values.fraction_below)} of the voxels are below {LOWEST_HU}: wrong scale?"
        )
    if low >= 0:
        return f"{ends}: not HU (rescale intercept left out, or MR?)"
    has_air = values.fraction_air >= _MIN_AIR_FRACTION
    if not has_air and values.fraction_dense > _MAX_DENSE_FRACTION:
        percent = _percent(values.fraction_dense)
        return f"{percent} of the voxels are as dense as bone: rescale intercept left out?"
    if not has_air and values.clipped_below is None and values.fraction_at_maximum > _MAX_AT_TOP:
        percent = _percent(values.fraction_at_maximum)
        return f"{percent} of the voxels have the highest value, {high:g}: inverted?"
    if (
        values.clipped_below is not None
        and _SHIFTED_AIR[0] < values.clipped_below < _SHIFTED_AIR[1]
    ):
        return f"air has {values.clipped_below:g} HU: wrong rescale intercept?"
    if low > _NO_FAT_HU:
        return f"{ends}: neither air nor fat, so not HU (MR?)"
    if values.tissue is not None and not _is_soft(values.tissue):
        return f"most tissue has about {values.tissue:.0f} HU: wrong scale or rescale intercept?"
    if low > _MAX_SCALED_AIR and values.spread < _MIN_SPREAD * abs(low):
        return f"{ends}, and most tissue within {values.spread:.0f}: scaled to another range?"
    if values.fraction_soft_tissue < _MIN_SOFT_TISSUE_FRACTION:
        percent = _percent(values.fraction_soft_tissue)
        tissue = f"{SOFT_TISSUE_HU[0]} to {SOFT_TISSUE_HU[1]} HU"
        return f"only {percent} of the voxels have {tissue}: wrong rescale intercept?"
    return _find_shifted_label(values)


def _check_grid(case: CaseMeasurements) -> Iterator[CaseIssue]:
    if case.guessed_geometry:
        text = "header without geometry: set --spacing-of and --orientation"
        if any(abs(mm - 1) > 1e-3 for mm in case.spacing_mm):
            text = "no orientation in the header: set --orientation"
        yield ERROR, "geometry", text
    spacing = " x ".join(f"{mm:.3g}" for mm in case.spacing_mm)
    sides = [count * mm for count, mm in zip(case.shape, case.spacing_mm, strict=True)]
    if min(case.spacing_mm) < _SPACING_MM[0] or max(case.spacing_mm) > _SPACING_MM[1]:
        text = f"spacing of {spacing} mm, not that of a scanner: is it in mm?"
        yield ERROR, "spacing", text
    elif any(side > limit for side, limit in zip(sides, _MAX_SIDE_MM, strict=True)):
        size = " x ".join(f"{side:.0f}" for side in sides)
        yield ERROR, "spacing", f"image of {size} mm, larger than a patient: is its spacing in mm?"


def _check_modality(case: CaseMeasurements, has_hu: bool) -> Iterator[CaseIssue]:
    if has_hu and case.modality not in _CT_MODALITIES:
        yield ERROR, "modality", f"the image is {case.modality}, and CT is expected"
    elif not has_hu and (case.modality == "CT" or (not case.modality and _looks_like_ct(case))):
        yield (
            WARNING,
            "modality",
            "the image is CT, and images without HU (MR) are expected",
        )


def _looks_like_ct(case: CaseMeasurements) -> bool:
    values = case.intensities
    has_air = values.fraction_air >= _MIN_AIR_FRACTION or AIR_HU[0] <= values.minimum <= AIR_HU[1]
    return has_air and values.tissue is not None and find_reason_against_hu(values) is None


def _check_range(values: IntensityStatistics, windows: tuple[Window, ...]) -> Iterator[CaseIssue]:
    """Compare the range to which HU were clipped with the windows."""
    low, high = values.clipped_below, values.clipped_above
    low = None if low is None or low <= _MAX_CLIPPED_AIR_HU else low
    if low is None and high is None:
        if values.minimum > _NO_AIR_HU:
            ends = f"values from {values.minimum:g} to {values.maximum:g}"
            yield WARNING, "air", f"{ends}: no air in the image"
        return
    clipped = " and ".join(
        f"{word} {end:g}" for word, end in (("below", low), ("above", high)) if end is not None
    )
    tolerance = max(2.0, 2 * min(values.step, _MAX_STEP_HU))  # the ends may be rounded inwards
    for window in windows:
        if (low is not None and window.lower_hu < low - tolerance) or (
            high is not None and window.upper_hu > high + tolerance
        ):
            reach = f"{window.lower_hu:g} to {window.upper_hu:g} HU"
            yield ERROR, "clipped", f"clipped {clipped} HU; the window of {reach} reaches further"
            return
    if low is not None or values.fraction_at_maximum > _MIN_TOLD_FRACTION:
        yield WARNING, "clipped", f"clipped {clipped} HU"


def _find_shifted_label(values: IntensityStatistics) -> str | None:
    """Find a label whose median HU is not that of an organ."""
    middle = PERCENTILES.index(50)
    for label, percentiles in values.label_percentiles.items():
        if _SHIFTED_HU[0] < percentiles[middle] < _SHIFTED_HU[1]:
            return f"median of label {label} is {percentiles[middle]:.0f} HU: intercept left out?"
    return None


def _is_soft(hu: float) -> bool:
    return SOFT_TISSUE_HU[0] <= hu <= SOFT_TISSUE_HU[1]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2g} %"
