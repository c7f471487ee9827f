"""Rules of the check for one case: geometry, intensities, mask and orientation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.dataset.check.issues import ERROR, NOTE, WARNING, Issue
from liverseg_tf.dataset.check.measurements import (
    PERCENTILES,
    SOFT_TISSUE_HU,
    CaseMeasurements,
    IntensityStatistics,
)
from liverseg_tf.dataset.description import DatasetDescription

_PADDING_HU = -1500
_AIR_HU = -500  # a complete CT has lower values
_CLIPPED_FRACTION = 0.01  # noise alone puts fewer voxels at an end of the range
_MIN_SOFT_TISSUE_FRACTION = 0.02
_SHIFTED_HU = (800, 1500)  # organs if the rescale intercept of -1024 was left out
_SIDES = {"liver": -1, "spleen": 1}  # -1 is the patient's right, 1 the left
_MIN_OFFSET = 0.04  # of the body's width
_MIN_LUNG, _MIN_SPINE = 0.015, 0.0015  # of the body; less is not conclusive
_FLIPPED = dict(zip("RLAPSI", "LRPAIS", strict=True))

_CaseIssue = tuple[str, str, str]  # severity, kind, text


@dataclass(frozen=True)
class CheckSettings:
    """What a data set should contain.

    Args:
        regions: Named labels; nested regions from the outside in.
        known_labels: Labels that are known besides those of the regions.
        has_hu: Whether the values should be HU; False for MR.
        channel: Index of the volume to read from 4D images.
    """

    regions: Regions = LIVER_REGIONS
    known_labels: tuple[int, ...] = ()
    has_hu: bool = True
    channel: int | None = None


def choose_check_settings(
    description: DatasetDescription,
    regions: Regions | None,
    uses_percentiles: bool,
    channel: int | None,
) -> tuple[CheckSettings, list[Issue]]:
    """Choose the settings of a check from the description of the data set.

    Args:
        description: Labels and modalities in its dataset.json.
        regions: Regions that the user names. None takes the described labels, or else the liver.
        uses_percentiles: Whether images are scaled by percentiles, which needs no HU.
        channel: Index of the volume to read from 4D images.

    Returns:
        The settings, and the issues that the description itself shows.
    """
    regions = regions or description.regions or LIVER_REGIONS
    issues = []
    if not (description.is_ct or uses_percentiles):
        modalities = ", ".join(description.modalities)
        text = f"images are {modalities}, not CT: use --percentiles 0.5 99.5 instead of --window"
        issues.append(Issue(WARNING, "modality", None, text))
    has_hu = description.is_ct and not uses_percentiles
    return CheckSettings(regions, tuple(description.labels), has_hu, channel), issues


def apply_rules(name: str, case: CaseMeasurements, settings: CheckSettings) -> list[Issue]:
    """Find the issues of one case.

    Args:
        name: Name of the case.
        case: Measurements of the case.
        settings: What the data set should contain.
    """
    found = [*_check_grid(case), *_check_contrast(case.intensities)]
    if settings.has_hu and case.intensities.minimum < case.intensities.maximum:
        found += _check_hounsfield(case.intensities)
    if case.labels is None:
        found.append((ERROR, "no mask", "the case has no mask"))
    else:
        found += [*_check_labels(case.labels, settings), *_check_borders(case, settings)]
    if not any(severity == ERROR and kind in ("values", "contrast") for severity, kind, _ in found):
        found += _check_orientation(case, settings)  # needs correct HU
    return [Issue(severity, kind, name, text) for severity, kind, text in found]


def _check_grid(case: CaseMeasurements) -> Iterator[_CaseIssue]:
    if case.guessed_geometry:
        yield ERROR, "geometry", "header without geometry: set --spacing-of and --orientation"
    if case.grid_error is not None:
        yield ERROR, "grid", case.grid_error


def _check_contrast(values: IntensityStatistics) -> Iterator[_CaseIssue]:
    if values.fraction_not_finite:
        percent = _percent(values.fraction_not_finite)
        yield ERROR, "not finite", f"{percent} of the voxels are NaN or infinite"
    if values.minimum == values.maximum:
        yield ERROR, "contrast", f"all voxels have the same value, {values.minimum:g}"


def _check_hounsfield(values: IntensityStatistics) -> Iterator[_CaseIssue]:
    """Yield the first reason why the values are not HU, then what else is unusual."""
    low, high = values.minimum, values.maximum
    ends = f"values from {low:g} to {high:g}"
    if high - low <= 50:
        yield ERROR, "values", f"{ends}: normalised, not HU"
    elif (low >= 0 and high <= 256) or (low >= -128 and high <= 127):
        yield ERROR, "values", f"{ends}: an 8-bit image, not HU"
    elif low >= 0:
        yield ERROR, "values", f"{ends}: not HU (rescale intercept left out, or MR?)"
    elif low > _AIR_HU and values.fraction_at_minimum > _CLIPPED_FRACTION:
        yield ERROR, "values", f"{ends}: clipped to a window, not the full range of HU"
    elif low > _AIR_HU:
        yield WARNING, "values", f"{ends}: no air in the image"
    elif values.fraction_soft_tissue < _MIN_SOFT_TISSUE_FRACTION:
        percent = _percent(values.fraction_soft_tissue)
        tissue = f"{SOFT_TISSUE_HU[0]} to {SOFT_TISSUE_HU[1]} HU"
        yield ERROR, "values", f"only {percent} of the voxels have {tissue}: wrong intercept?"
    elif shifted := _find_shifted_label(values):
        label, hu = shifted
        yield ERROR, "values", f"median of label {label} is {hu:.0f} HU: intercept left out?"
    elif values.fraction_at_maximum > _CLIPPED_FRACTION:
        percent = _percent(values.fraction_at_maximum)
        yield WARNING, "values", f"{percent} of the voxels are clipped at {high:g} HU"
    if low < _PADDING_HU:
        yield NOTE, "padding", f"padding below {_PADDING_HU} HU is treated as air"


def _find_shifted_label(values: IntensityStatistics) -> tuple[int, float] | None:
    """Find a label whose median HU is not that of an organ."""
    middle = PERCENTILES.index(50)
    for label, percentiles in values.label_percentiles.items():
        if _SHIFTED_HU[0] < percentiles[middle] < _SHIFTED_HU[1]:
            return label, percentiles[middle]
    return None


def _check_labels(labels: dict[int, int], settings: CheckSettings) -> Iterator[_CaseIssue]:
    regions = settings.regions.items
    known = sorted({*settings.known_labels, *(label for _, of in regions for label in of)})
    unknown = [label for label in labels if label not in known]
    none_is_known = bool(unknown) and len(unknown) == len(labels)
    if none_is_known:
        hint = " (a mask of 0 and 255?)" if unknown == [255] else ""
        yield ERROR, "labels", f"only {_list_labels(unknown)}, expected {_list_labels(known)}{hint}"
    elif unknown:
        yield WARNING, "labels", f"unknown {_list_labels(unknown)} (known: {_list_labels(known)})"
    if not labels:
        yield WARNING, "empty", "the mask is empty"
        return
    for index, (region, of) in enumerate(regions):
        if not set(of) & labels.keys() and not none_is_known:
            severity = NOTE if index else WARNING
            yield severity, f"no {region}", f"no {region} ({_list_labels(of)})"


def _check_borders(case: CaseMeasurements, settings: CheckSettings) -> Iterator[_CaseIssue]:
    outer: set[int] = set()
    for region, of in settings.regions.items:
        if set(of) <= outer:
            continue  # the region around it is reported
        outer |= set(of)
        faces = [face for face, labels in case.faces.items() if set(of) & set(labels)]
        if faces:
            yield WARNING, f"cut {region}", f"{region} cut off at the {', '.join(faces)}"


def _check_orientation(case: CaseMeasurements, settings: CheckSettings) -> Iterator[_CaseIssue]:
    if case.anatomy is None:
        return
    flipped, reasons = set(), []
    anatomy = case.anatomy
    for region, of in settings.regions.items:
        side = _SIDES.get(region.lower())
        offsets = [anatomy.label_offsets[label] for label in of if label in anatomy.label_offsets]
        if side and offsets and offsets[0] * side < -_MIN_OFFSET:
            flipped |= set("LR")
            reasons.append(f"{region} on the {'left' if side < 0 else 'right'}")
    if anatomy.spine_front > max(_MIN_SPINE, 1.5 * anatomy.spine_back):
        flipped |= set("AP")
        reasons.append("spine in front")
    if anatomy.lung_lower > max(_MIN_LUNG, 3 * anatomy.lung_upper):
        flipped |= set("SI")
        reasons.append("lungs below")
    if reasons:
        axes = "".join(_FLIPPED[letter] if letter in flipped else letter for letter in case.axes)
        yield WARNING, "orientation", f"{', '.join(reasons)}: its axes are probably {axes}"


def _list_labels(labels: Iterable[int]) -> str:
    labels = list(labels)
    return f"label{'s' if len(labels) > 1 else ''} {', '.join(map(str, labels))}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2g} %"
