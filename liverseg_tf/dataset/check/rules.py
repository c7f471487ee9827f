"""Rules of the check for one case: the image, its mask and its orientation."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from liverseg_tf.choices import ACCEPTABLE_RULES
from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.segments.read_segments import is_segment_file
from liverseg_tf.ct.segments.segment_names import SegmentNames
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.case_annotations import CaseAnnotations
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.image_rules import CaseIssue, check_image
from liverseg_tf.dataset.check.issues import ERROR, WARNING, Issue
from liverseg_tf.dataset.check.label_rules import check_labels
from liverseg_tf.dataset.check.measurements import CaseMeasurements, measure_volumes
from liverseg_tf.dataset.check.slice_rules import check_slices
from liverseg_tf.dataset.description import DatasetDescription
from liverseg_tf.dataset.labelled_slices import describe_unnumbered_slices
from liverseg_tf.errors import LiverSegError, SettingsError

_SIDES = {"liver": -1, "spleen": 1}  # -1 is the patient's right, 1 the left
_TRUNK_ORGANS = ("liver", "hepat", "spleen", "kidney", "pancrea", "stomach", "adrenal", "lung")
_MIN_OFFSET = 0.04  # of the body's width
_MIN_LUNG, _MIN_SPINE = 0.015, 0.0015  # of the body; less is not conclusive
_MIN_ABDOMEN = 0.5  # of the upper slices
# what `preprocess` and `predict` tell; `check` also describes what the masks contain
_SHOWN_RULES = ("reading", "air", "orientation", "slices", *ACCEPTABLE_RULES)
_FLIPPED = dict(zip("RLAPSI", "LRPAIS", strict=True))


@dataclass(frozen=True)
class CheckSettings:
    """What a data set should contain.

    Args:
        regions: Named labels; nested regions from the outside in.
        known_labels: Labels that are known besides those of the regions.
        has_hu: Whether the values should be HU; False for MR.
        channel: Index of the volume to read from 4D images.
        windows: HU windows that are applied to the images.
        accepted: Rules (kinds of issues) of which errors are turned into warnings.
        annotations: Which regions the masks of the cases label.
        segments: Names of the segments of regions in DICOM-SEG, RTSTRUCT and .seg.nrrd masks, if
            they differ from those of the regions; see `SegmentNames`.

    Raises:
        SettingsError: If a rule is unknown, or its errors cannot be accepted.
    """

    regions: Regions = LIVER_REGIONS
    known_labels: tuple[int, ...] = ()
    has_hu: bool = True
    channel: int | None = None
    windows: tuple[Window, ...] = ()
    accepted: tuple[str, ...] = ()
    annotations: CaseAnnotations = field(default_factory=CaseAnnotations)
    segments: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for rule in self.accepted:
            if rule not in ACCEPTABLE_RULES:
                raise SettingsError(
                    f"Expected rules among {', '.join(ACCEPTABLE_RULES)}. Received '{rule}'."
                )

    @property
    def trunk_labels(self) -> tuple[int, ...]:
        """Labels of organs of chest and abdomen, as far as their names are known."""
        return tuple(
            label
            for region, labels in self.regions.items
            if any(organ in region.lower() for organ in _TRUNK_ORGANS)
            for label in labels
        )

    def name_segments(self, case: Case) -> Case:
        """Return a case whose mask is read by the names of the regions that it labels.

        The case is ambiguous if its slices are listed, since those of segments have no numbers.
        """
        annotation = self.annotations.of(case.name)
        if annotation.slices is not None and case.mask is not None and is_segment_file(case.mask):
            case = replace(case, ambiguity=describe_unnumbered_slices(case.mask))
        if case.segments is not None:
            return case
        known = annotation.known_regions(self.regions)
        labelled = [
            item for item, is_known in zip(self.regions.items, known, strict=True) if is_known
        ]
        regions = Regions(labelled or self.regions.items)
        patterns = tuple(pair for pair in self.segments if pair[0] in regions.names)
        return replace(case, segments=SegmentNames(regions, patterns))


def choose_check_settings(
    description: DatasetDescription,
    regions: Regions | None,
    settings: CheckSettings = CheckSettings(),
) -> tuple[CheckSettings, list[Issue]]:
    """Choose the settings of a check from the description of the data set.

    Args:
        description: Labels and modalities in its dataset.json.
        regions: Regions that the user names. None takes the described labels, or else the liver.
        settings: Settings of the user; `has_hu` is False if images are scaled by percentiles.

    Returns:
        The settings, and the issues that the description itself shows.
    """
    regions = regions or description.regions or LIVER_REGIONS
    issues = []
    if settings.has_hu and not description.is_ct:
        modalities = ", ".join(description.modalities)
        text = f"images are {modalities}, not CT: use --percentiles 0.5 99.5 instead of --window"
        issues.append(Issue(ERROR, "modality", None, text))
    settings = replace(
        settings,
        regions=regions,
        known_labels=tuple(description.labels),
        has_hu=settings.has_hu and description.is_ct,
    )
    return settings, accept(issues, settings.accepted)


def accept(issues: Iterable[Issue], rules: Collection[str]) -> list[Issue]:
    """Turn the errors of accepted rules into warnings."""
    return [
        replace(issue, severity=WARNING)
        if issue.severity == ERROR and issue.kind in rules
        else issue
        for issue in issues
    ]


def require_usable(issues: Iterable[Issue]) -> None:
    """Refuse what has errors.

    Args:
        issues: Issues of one case or of the whole data set.

    Raises:
        LiverSegError: If there is an error. The message names all of them, and how to accept them.
    """
    errors = [issue for issue in issues if issue.severity == ERROR]
    if not errors:
        return
    rules = list(dict.fromkeys(error.kind for error in errors))
    hint = ""
    if all(rule in ACCEPTABLE_RULES for rule in rules):
        options = " ".join(f"--accept {rule}" for rule in rules)
        hint = f" (to use it all the same: {options})"
    found = "; ".join(error.text.removesuffix(".") for error in errors)
    raise LiverSegError(f"Expected images that pass the check. Received: {found}{hint}.")


def judge_volumes(
    name: str,
    volumes: tuple[Volume, Volume | None],
    guessed_geometry: bool,
    settings: CheckSettings,
) -> list[Issue]:
    """Apply the rules of `check` to volumes that are in memory, and refuse what has errors.

    Args:
        name: Name of the case.
        volumes: Image, and its label map or None; then the rules for masks are left out.
        guessed_geometry: Whether neither the header nor a correction gives the geometry.
        settings: What the case should contain.

    Returns:
        Warnings, without those that only describe the mask, such as a liver that is cut off.

    Raises:
        LiverSegError: If a rule finds an error that is not accepted.
    """
    image, mask = volumes
    measured = measure_volumes(
        image,
        mask,
        guessed_geometry,
        settings.has_hu,
        settings.trunk_labels,
        settings.annotations.of(name),
    )
    issues = apply_rules(name, measured, settings, needs_mask=mask is not None)
    require_usable(issues)
    return [i for i in issues if i.severity == WARNING and i.kind in _SHOWN_RULES]


def apply_rules(
    name: str, case: CaseMeasurements, settings: CheckSettings, needs_mask: bool = True
) -> list[Issue]:
    """Find the issues of one case.

    Args:
        name: Name of the case.
        case: Measurements of the case.
        settings: What the data set should contain.
        needs_mask: Whether a case without a mask is an error.
    """
    found = list(check_image(case, settings.has_hu, settings.windows))
    if case.grid_error is not None:
        found.append((ERROR, "grid", case.grid_error))
    if case.labels is not None:
        annotation = settings.annotations.of(name)
        found += check_labels(case.labels, settings.regions, settings.known_labels, annotation)
        found += _check_borders(case, settings)
        found += [] if case.slices is None else check_slices(case.slices)
    elif needs_mask:
        found.append((ERROR, "no mask", "the case has no mask"))
    if not any(severity == ERROR and kind in ("values", "contrast") for severity, kind, _ in found):
        found += _check_orientation(case, settings)  # needs correct HU
    issues = (Issue(severity, kind, name, text) for severity, kind, text in found)
    return accept(issues, settings.accepted)


def _check_borders(case: CaseMeasurements, settings: CheckSettings) -> Iterator[CaseIssue]:
    outer: set[int] = set()
    for region, of in settings.regions.items:
        if set(of) <= outer:
            continue  # the region around it is reported
        outer |= set(of)
        faces = [face for face, labels in case.faces.items() if set(of) & set(labels)]
        if faces:
            yield WARNING, f"cut {region}", f"{region} cut off at the {', '.join(faces)}"


def _check_orientation(case: CaseMeasurements, settings: CheckSettings) -> Iterator[CaseIssue]:
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
    has_abdomen_above = anatomy.abdomen_upper >= _MIN_ABDOMEN
    if has_abdomen_above and anatomy.lung_lower > max(_MIN_LUNG, 3 * anatomy.lung_upper):
        flipped |= set("SI")
        reasons.append("lungs below")
    if reasons:
        axes = "".join(_FLIPPED[letter] if letter in flipped else letter for letter in case.axes)
        yield WARNING, "orientation", f"{', '.join(reasons)}: its axes are probably {axes}"
