"""Rules of the check for the labels of a mask."""

from collections.abc import Collection, Iterable, Iterator

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.check.image_rules import CaseIssue
from liverseg_tf.dataset.check.issues import ERROR, NOTE, WARNING


def check_labels(
    labels: dict[int, int],
    regions: Regions,
    known_labels: Collection[int],
    annotation: Annotation,
) -> Iterator[CaseIssue]:
    """Find the issues of the labels of a mask.

    Args:
        labels: Number of voxels of each label except 0.
        regions: Named labels.
        known_labels: Labels that are known besides those of the regions.
        annotation: Which regions the mask labels.

    Yields:
        Severity, kind and text of each issue.
    """
    for contradiction in annotation.contradictions(labels, regions):
        text = f"{contradiction} occurs, but --labelled does not list it for this case"
        yield ERROR, "labelled", text
    labels = {label: voxels for label, voxels in labels.items() if label != annotation.ignored}
    drawn = () if annotation.labelled is None else annotation.labelled.items
    named = {label for _, of in (*regions.items, *drawn) for label in of}
    known = sorted({*known_labels, *named})
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
    for index, (region, of) in enumerate(regions.items):
        if not annotation.knows(of):
            yield NOTE, f"{region} not labelled", f"{region} is not labelled (--labelled)"
        elif not set(of) & labels.keys() and not none_is_known:
            severity = NOTE if index else WARNING
            yield severity, f"no {region}", f"no {region} ({_list_labels(of)})"


def _list_labels(labels: Iterable[int]) -> str:
    labels = list(labels)
    return f"label{'s' if len(labels) > 1 else ''} {', '.join(map(str, labels))}"
