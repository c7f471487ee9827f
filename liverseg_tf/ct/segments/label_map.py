"""Label maps of named segments, which may overlap."""

import numpy as np

from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.segments.segment_file import Segment, SegmentFile
from liverseg_tf.ct.segments.segment_names import SegmentNames
from liverseg_tf.errors import LiverSegError

_MAX_SEGMENTS = 64


def draw_label_map(
    file: SegmentFile, names: SegmentNames, shape: tuple[int, ...]
) -> tuple[np.ndarray, list[str]]:
    """Draw the segments of regions as labels.

    A voxel gets a label that belongs to just the regions whose segments contain it. If a region is
    nested in another one, its segment either lies inside the segment of the other, or beside it,
    as labels of an organ and its tumours do.

    Args:
        file: Segments.
        names: Regions, and the names of their segments.
        shape: Shape of the image's array.

    Returns:
        Label map (z, row, col) uint8, and remarks, one line each.

    Raises:
        LiverSegError: If a segment is missing, or there is no label for the voxels that several
            segments share.
    """
    regions = names.regions
    found, notes = names.find_segments(file)
    codes = _draw_codes(file, [found[region] for region in regions.names], shape)
    labels = np.zeros(shape, np.uint8)
    counted = _count_codes(codes)
    _check_nesting(counted, regions, file)
    for code in counted:
        label = _label_of(_closed(code, regions), regions)
        if label is None:
            inside = [name for bit, name in enumerate(regions.names) if code >> bit & 1]
            raise LiverSegError(
                f"Expected a label for voxels of {' and '.join(inside)} in {file.path}. Received "
                f"{counted[code]} voxels that belong to these regions and to no other: give "
                "them a label of their own with --region, such as --region a=1,3 --region b=2,3."
            )
        labels[codes == code] = label
    return labels, [*notes, *file.notes]


def draw_own_labels(
    file: SegmentFile, shape: tuple[int, ...]
) -> tuple[np.ndarray, Regions, list[str]]:
    """Draw all segments of a file as labels of their own.

    A segment has its number as its label. Voxels of several segments get the number of the one that
    is nested in the others, or the next number that is free.

    Args:
        file: Segments.
        shape: Shape of the image's array.

    Returns:
        Label map (z, row, col) uint8, the region of each segment, and remarks.

    Raises:
        LiverSegError: If two segments have one name, or there are too many of them.
    """
    segments = file.segments
    if len({segment.name for segment in segments}) < len(segments):
        raise LiverSegError(
            f"Expected segments with different names in {file.path}. Received "
            f"{', '.join(map(str, segments[:8]))}: name them with --region and --segment."
        )
    codes = _draw_codes(file, [[segment] for segment in segments], shape)
    counted = _count_codes(codes)
    singles = {1 << bit: segment.number for bit, segment in enumerate(segments)}
    label_of = {code: number for code, number in singles.items() if code in counted}
    for code in sorted(set(counted) - set(singles), key=lambda code: (code.bit_count(), code)):
        own = [number for single, number in singles.items() if code & single]
        free = [n for n in sorted(own, reverse=True) if n not in label_of.values()]
        used = {*label_of.values(), *singles.values()}
        label_of[code] = free[0] if free else max(used) + 1
    labels_by_segment = {
        segment.name: [label for code, label in label_of.items() if code >> bit & 1]
        or [segment.number]
        for bit, segment in enumerate(segments)
    }
    if max(map(max, labels_by_segment.values())) > 255 or min(singles.values()) < 1:
        raise LiverSegError(
            f"Expected segments whose labels are from 1 to 255 in {file.path}. Received others: "
            "choose them with --region and --segment 'REGION=#NUMBER'."
        )
    labels = np.zeros(shape, np.uint8)
    for code, label in label_of.items():
        labels[codes == code] = label
    return labels, Regions(labels_by_segment), list(file.notes)


def _draw_codes(
    file: SegmentFile, groups: list[list[Segment]], shape: tuple[int, ...]
) -> np.ndarray:
    """Return one bit per group for each voxel, unsigned, of the shape of the image."""
    if len(groups) > _MAX_SEGMENTS:
        raise LiverSegError(
            f"Expected at most {_MAX_SEGMENTS} regions. Received {len(groups)} for {file.path}: "
            "name those that are wanted with --region."
        )
    bits = next(bits for bits in (8, 16, 32, 64) if len(groups) <= bits)
    codes = np.zeros(shape, f"uint{bits}")
    for bit, group in enumerate(groups):
        for segment in group:
            codes[file.draw(segment)] |= codes.dtype.type(1 << bit)
    return codes


def _count_codes(codes: np.ndarray) -> dict[int, int]:
    values, counts = np.unique(codes[codes != 0], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _closed(code: int, regions: Regions) -> int:
    """Return a code with the regions that contain those of the code."""
    for bit, name in enumerate(regions.names):
        if code >> bit & 1:
            for outer in regions.containing(name):
                code |= 1 << regions.names.index(outer)
    return code


def _label_of(code: int, regions: Regions) -> int | None:
    """Return the label that belongs to just these regions, that of `written_labels` if possible."""
    members: dict[int, int] = {}
    for bit, (_, labels) in enumerate(regions.items):
        for label in labels:
            members[label] = members.get(label, 0) | 1 << bit
    written = [label for label in regions.written_labels if members[label] == code]
    return next(iter([*written, *(label for label in members if members[label] == code)]), None)


def _check_nesting(counted: dict[int, int], regions: Regions, file: SegmentFile) -> None:
    """Check that nested segments lie inside of their outer segments, or beside them."""
    for inner_bit, inner in enumerate(regions.names):
        for outer in regions.containing(inner):
            if set(dict(regions.items)[outer]) == set(dict(regions.items)[inner]):
                continue
            outer_bit = regions.names.index(outer)
            inside = outside = 0
            for code, voxels in counted.items():
                if code >> inner_bit & 1:
                    inside += voxels if code >> outer_bit & 1 else 0
                    outside += 0 if code >> outer_bit & 1 else voxels
            if inside and outside:
                raise LiverSegError(
                    f"Expected the segment {inner} inside of {outer}, or beside it, in "
                    f"{file.path}. Received {outside} of its {inside + outside} voxels outside of "
                    f"{outer}: correct the segments, or let them overlap with --region "
                    f"{outer}=1,2 --region {inner}=2,3."
                )
