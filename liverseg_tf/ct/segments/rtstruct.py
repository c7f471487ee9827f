"""Reading RTSTRUCT: closed contours, filled on the slices of the image in whose planes they lie."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from liverseg_tf.ct.segments.placement import TOLERANCE_VOXELS, check_every_slice, lps_to_voxels
from liverseg_tf.ct.segments.rasterise import fill_polygons
from liverseg_tf.ct.segments.references import check_references, items
from liverseg_tf.ct.segments.segment_file import ImageGrid, Segment, SegmentFile
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count
from liverseg_tf.printable import printable

KIND = "an RTSTRUCT"
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


def read_rtstruct(dataset: Dataset, grid: ImageGrid, path: Path) -> SegmentFile:
    """Read the ROIs of an RTSTRUCT file.

    A voxel belongs to an ROI if its centre lies inside of its contours or on them. A contour inside
    of another one is a hole, which `SegmentFile.notes` says unless the file marks it as such
    (CLOSEDPLANAR_XOR).

    Args:
        dataset: Its data set.
        grid: Image of the contours.
        path: Path of the file.

    Raises:
        LiverSegError: If it has no ROI or belongs to another image.
    """
    check_references(dataset, grid, path)
    segments, algorithms = [], []
    contours = {_number(item, "ReferencedROINumber"): item for item in items(dataset, "ROIContour")}
    for item in items(dataset, "StructureSetROI"):
        number = _number(item, "ROINumber")
        name = printable(item.get("ROIName") or f"ROI-{number}").strip()
        segments.append(Segment(number, name, _colour(contours.get(number))))
        algorithms.append(str(item.get("ROIGenerationAlgorithm") or ""))
    numbers = [segment.number for segment in segments]
    if not segments or len(set(numbers)) < len(numbers):
        raise LiverSegError(
            f"Expected ROIs with different numbers in {path}. "
            f"Received {', '.join(map(str, segments)) or 'no ROI'}."
        )
    notes: list[str] = []

    def draw(segment: Segment) -> np.ndarray:
        mask = np.zeros(grid.volume.array.shape, bool)
        item = contours.get(segment.number)
        found = [] if item is None else list(items(item, "Contour"))
        polygons = [_polygon(contour, grid, segment, path) for contour in found]
        _fill(mask, polygons, [_is_xor(contour) for contour in found], segment, path, notes)
        return mask

    automatic = set(algorithms) == {"AUTOMATIC"} if all(algorithms) else None
    return SegmentFile(path, KIND, tuple(segments), draw, notes, automatic)


def _fill(
    mask: np.ndarray,
    polygons: list[np.ndarray],
    xor: list[bool],
    segment: Segment,
    path: Path,
    notes: list[str],
) -> None:
    """Fill the polygons of an ROI, (n, 3) voxel coordinates (i, j, k) each, slice by slice."""
    if not polygons:
        return
    axis = _common_axis(polygons, segment, path)
    by_slice: dict[int, list[int]] = {}
    for index, polygon in enumerate(polygons):
        by_slice.setdefault(_slice_of(polygon, axis, segment, path), []).append(index)
    check_every_slice(np.array(list(by_slice)), f"the ROI {segment}", path)
    planes = np.moveaxis(mask, 2 - axis, 0)
    row_axis, col_axis = [other for other in (2, 1, 0) if other != axis]
    holes = 0
    for place, indices in by_slice.items():
        flat = [polygons[index][:, [row_axis, col_axis]] for index in indices]
        outside = any(
            (p < -1.5).any() or (p > np.array(planes.shape[1:]) + 0.5).any() for p in flat
        )
        if outside or not 0 <= place < len(planes):
            raise LiverSegError(
                f"Expected the contours of the ROI {segment} of {path} inside its image. Received "
                "contours outside of it (is it the mask of another image?)."
            )
        if len(flat) > 1 and not all(xor[index] for index in indices):
            holes += _count_holes(flat, planes.shape[1:], segment, path)
        planes[place] = fill_polygons(flat, planes.shape[1:])
    if holes:
        notes.append(f"{segment}: contours inside of others ({holes}) are taken for holes.")
    small = [polygon[:, [row_axis, col_axis]] for polygon in polygons]
    lost = sum(not _covers_a_pixel(polygon) for polygon in small)
    if lost:
        notes.append(f"{segment}: contours between the centres of pixels ({lost}) are left out.")


def _covers_a_pixel(polygon: np.ndarray) -> bool:
    """Whether a polygon contains the centre of a pixel; one of three pixels' width does."""
    corner = np.floor(polygon.min(axis=0))
    if (np.ptp(polygon, axis=0) > 3).all():
        return True
    rows, cols = (np.ceil(polygon.max(axis=0)) - corner + 1).astype(int)
    return bool(fill_polygons([polygon - corner], (int(rows), int(cols))).any())


def _count_holes(
    polygons: list[np.ndarray], shape: tuple[int, int], segment: Segment, path: Path
) -> int:
    """Count the polygons inside of others; those that overlap in part have no definite meaning."""
    masks = []
    for polygon in polygons:
        box_low = np.clip(np.floor(polygon.min(axis=0)).astype(int), 0, np.array(shape))
        box_high = np.clip(np.ceil(polygon.max(axis=0)).astype(int) + 1, 0, np.array(shape))
        size = (int(box_high[0] - box_low[0]), int(box_high[1] - box_low[1]))
        masks.append((box_low, box_high, fill_polygons([polygon - box_low], size)))
    holes = 0
    order = sorted(range(len(masks)), key=lambda index: -int(masks[index][2].sum()))
    for place, index in enumerate(order):
        for larger in order[:place]:
            shared = _shared_pixels(masks[index], masks[larger])
            if not shared:
                continue
            own = int(masks[index][2].sum())
            if shared == own and own < int(masks[larger][2].sum()):
                holes += 1
                continue
            if _only_lines_touch(polygons[index], polygons[larger], shape):
                continue
            raise LiverSegError(
                f"Expected contours of the ROI {segment} of {path} that lie inside or outside of "
                f"each other. Received two that overlap in {shared} pixels of a slice: unite or "
                "separate them first."
            )
    return holes


def _shared_pixels(one: tuple, other: tuple) -> int:
    low, high = np.maximum(one[0], other[0]), np.minimum(one[1], other[1])
    if (low >= high).any():
        return 0
    first, second = (
        mask[low[0] - corner[0] : high[0] - corner[0], low[1] - corner[1] : high[1] - corner[1]]
        for corner, _, mask in (one, other)
    )
    return int((first & second).sum())


def _only_lines_touch(one: np.ndarray, other: np.ndarray, shape: tuple[int, int]) -> bool:
    """Whether two polygons share nothing but pixel centres on their lines."""
    together = fill_polygons([one, other], shape)
    return bool((together == (fill_polygons([one], shape) | fill_polygons([other], shape))).all())


def _polygon(contour: Dataset, grid: ImageGrid, segment: Segment, path: Path) -> np.ndarray:
    kind = str(contour.get("ContourGeometricType") or "").upper()
    data = contour.get("ContourData")
    numbers = np.atleast_1d(np.array([] if data is None else data, float))
    if kind not in _CLOSED or not len(numbers) or len(numbers) % 3:
        raise LiverSegError(
            f"Expected closed contours in the ROI {segment} of {path}. Received "
            f"{printable(kind) or 'no type'} with {count(len(numbers) // 3, 'point')}, which "
            "encloses no pixels."
        )
    points = np.reshape(numbers, (-1, 3))
    if not np.isfinite(points).all():
        raise LiverSegError(f"Expected finite contours in {path}. Received others in {segment}.")
    return lps_to_voxels(points, grid.volume)


def _common_axis(polygons: list[np.ndarray], segment: Segment, path: Path) -> int:
    """Return the voxel axis that is perpendicular to all contours."""
    spread = np.max([np.ptp(polygon, axis=0) for polygon in polygons], axis=0)
    axis = int(spread.argmin())
    if spread[axis] > TOLERANCE_VOXELS:
        raise LiverSegError(
            f"Expected the contours of the ROI {segment} of {path} in the planes of the image's "
            f"slices. Received contours that are {spread[axis]:.2g} voxels deep (is it the mask of "
            "another image?)."
        )
    return axis


def _slice_of(polygon: np.ndarray, axis: int, segment: Segment, path: Path) -> int:
    place = float(polygon[:, axis].mean())
    if abs(place - round(place)) > TOLERANCE_VOXELS:
        raise LiverSegError(
            f"Expected the contours of the ROI {segment} of {path} in the planes of the image's "
            f"slices. Received one {abs(place - round(place)):.2g} voxels beside the nearest slice "
            "(is it the mask of another image?)."
        )
    return round(place)


def _is_xor(contour: Dataset) -> bool:
    return str(contour.get("ContourGeometricType")).upper() == "CLOSEDPLANAR_XOR"


def _number(item: Dataset, keyword: str) -> int:
    return int(item.get(keyword) or 0)


def _colour(item: Dataset | None) -> tuple[int, int, int] | None:
    values = [] if item is None else list(item.get("ROIDisplayColor") or ())
    if len(values) != 3:
        return None
    red, green, blue = (min(max(int(value), 0), 255) for value in values)
    return red, green, blue
