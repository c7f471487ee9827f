"""What measures of one case say: remarks on its grid, its values and its mask."""

from dataclasses import dataclass

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.dataset.check.measurements import PERCENTILES, CaseMeasures, Values
from liverseg_tf.dataset.check.remarks import ERROR, NOTE, WARNING, Remark
from liverseg_tf.dataset.description import Description

_PADDING_HU = -1500
_AIR_HU = -500  # a CT without anything below is no whole CT
_CLIPPED = 0.01  # share of the voxels at an end that noise does not reach
_LEAST_SOFT_TISSUE = 0.02
_SHIFTED_HU = (800, 1500)  # where organs lie when the intercept of -1024 was left out
_SIDES = {"liver": -1, "spleen": 1}  # of the body: to the patient's right, or left
_OFF_MIDDLE = 0.04  # of the body's width
_LUNG, _SPINE = 0.015, 0.0015  # of the body: less tells nothing
_FLIPPED = dict(zip("RLAPSI", "LRPAIS", strict=True))


@dataclass(frozen=True)
class Expectation:
    """What a data set should be.

    Args:
        regions: named labels; nested ones from the outside in.
        labels: that are known besides those of the regions.
        has_hu: False for MR.
        channel: of 4D images.
    """

    regions: Regions = LIVER_REGIONS
    labels: tuple[int, ...] = ()
    has_hu: bool = True
    channel: int | None = None


def expect(
    description: Description, regions: Regions | None, scaled: bool, channel: int | None
) -> tuple[Expectation, list[Remark]]:
    """What a data set should be by its own description, and what that says already.

    Args:
        description: from its dataset.json.
        regions: what the user asks for; None takes each label that is described, or the liver.
        scaled: whether images will be scaled by percentiles: they need no HU.
        channel: that is taken of 4D images.
    """
    regions = regions or description.regions or LIVER_REGIONS
    has_hu = description.is_ct and not scaled
    remarks = []
    if not description.is_ct and not scaled:
        modalities = ", ".join(description.modalities)
        text = f"images are {modalities}, not CT: --percentiles 0.5 99.5 instead of a HU window"
        remarks.append(Remark(WARNING, "modality", None, text))
    return Expectation(regions, tuple(description.labels), has_hu, channel), remarks


def judge_case(name: str, case: CaseMeasures, expected: Expectation) -> list[Remark]:
    """Everything that one case's measures say.

    Args:
        name: of the case.
        case: its measures.
        expected: what it should be.
    """
    found = [*_grid(case), *_contrast(case.values)]
    if expected.has_hu and case.values.low < case.values.high:
        found += _hounsfield(case.values)
    if case.labels is None:
        found.append((ERROR, "no mask", "no mask"))
    else:
        found += [*_labels(case.labels, expected), *_cut(case, expected)]
    if not any(severity == ERROR and kind in ("values", "contrast") for severity, kind, _ in found):
        found += _orientation(case, expected)  # it is told by HU
    return [Remark(severity, kind, name, text) for severity, kind, text in found]


def _grid(case: CaseMeasures):
    if case.guessed_geometry:
        yield ERROR, "geometry", "no geometry in its header: give --spacing-of, --orientation"
    if case.grid_error is not None:
        yield ERROR, "grid", case.grid_error


def _contrast(values: Values):
    if values.not_finite:
        yield ERROR, "not finite", f"{_percent(values.not_finite)} of the voxels are NaN or inf"
    if values.low == values.high:
        yield ERROR, "contrast", f"one value everywhere: {values.low:g}"


def _hounsfield(values: Values):
    """The first thing that keeps the values from being HU, then what else is worth a word."""
    low, high = values.low, values.high
    ends = f"values from {low:g} to {high:g}"
    if high - low <= 50:
        yield ERROR, "values", f"{ends}: normalised, no HU"
    elif (low >= 0 and high <= 256) or (low >= -128 and high <= 127):
        yield ERROR, "values", f"{ends}: an 8-bit picture, no HU"
    elif low >= 0:
        yield ERROR, "values", f"{ends}: no HU (intercept left out, or MR?)"
    elif low > _AIR_HU and values.at_low > _CLIPPED:
        yield ERROR, "values", f"{ends}: clipped to a window, no whole HU"
    elif low > _AIR_HU:
        yield WARNING, "values", f"{ends}: no air in it"
    elif values.soft_tissue < _LEAST_SOFT_TISSUE:
        share = _percent(values.soft_tissue)
        yield ERROR, "values", f"{share} of the voxels from -200 to 300 HU: wrong intercept?"
    elif shifted := _shifted(values):
        yield ERROR, "values", f"label {shifted[0]} has {shifted[1]:.0f} HU: intercept left out?"
    elif values.at_high > _CLIPPED:
        yield (
            WARNING,
            "values",
            f"{_percent(values.at_high)} of the voxels are clipped at {high:g} HU",
        )
    if low < _PADDING_HU:
        yield NOTE, "padding", "padding below -1500 HU, taken as air"


def _shifted(values: Values) -> tuple[int, float] | None:
    """A label, and its median, where that is no organ's."""
    middle = PERCENTILES.index(50)
    for label, percentiles in values.of_labels.items():
        if _SHIFTED_HU[0] < percentiles[middle] < _SHIFTED_HU[1]:
            return label, percentiles[middle]
    return None


def _labels(labels: dict[int, int], expected: Expectation):
    known = sorted({*expected.labels, *(n for _, of in expected.regions.items for n in of)})
    unknown = [label for label in labels if label not in known]
    if unknown and len(unknown) == len(labels):
        hint = " (a mask of 0 and 255?)" if unknown == [255] else ""
        yield ERROR, "labels", f"{_named(unknown)} alone, expected {_named(known)}{hint}"
    elif unknown:
        yield WARNING, "labels", f"unknown {_named(unknown)} (known: {_named(known)})"
    if not labels:
        yield WARNING, "empty", "its mask is empty"
        return
    for place, (region, of) in enumerate(expected.regions.items):
        if not set(of) & labels.keys() and not (unknown and len(unknown) == len(labels)):
            yield (NOTE if place else WARNING), f"no {region}", f"no {region} ({_named(of)})"


def _cut(case: CaseMeasures, expected: Expectation):
    outer: set[int] = set()
    for region, of in expected.regions.items:
        if set(of) <= outer:
            continue  # what holds it is named
        outer |= set(of)
        faces = [face for face, labels in case.faces.items() if set(of) & set(labels)]
        if faces:
            yield WARNING, f"cut {region}", f"{region} cut off at the {', '.join(faces)}"


def _orientation(case: CaseMeasures, expected: Expectation):
    if case.anatomy is None:
        return
    contradicted, reasons = set(), []
    for region, of in expected.regions.items:
        side = _SIDES.get(region.lower())
        offsets = [case.anatomy.offsets[n] for n in of if n in case.anatomy.offsets]
        if side and offsets and offsets[0] * side < -_OFF_MIDDLE:
            contradicted |= set("LR")
            reasons.append(f"{region} on the {'left' if side < 0 else 'right'}")
    anatomy = case.anatomy
    if anatomy.spine_front > max(_SPINE, 1.5 * anatomy.spine_back):
        contradicted |= set("AP")
        reasons.append("spine in front")
    if anatomy.lung_low > max(_LUNG, 3 * anatomy.lung_high):
        contradicted |= set("SI")
        reasons.append("lungs below")
    if reasons:
        axes = "".join(
            _FLIPPED[letter] if letter in contradicted else letter for letter in case.axes
        )
        yield WARNING, "orientation", f"{', '.join(reasons)}: its axes are {axes}?"


def _named(labels) -> str:
    labels = list(labels)
    return f"label{'s' if len(labels) > 1 else ''} {', '.join(map(str, labels))}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
