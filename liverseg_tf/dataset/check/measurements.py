"""Measurements of one case: everything that the check needs, small enough to send to a process."""

import hashlib
import time
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume, count_not_finite
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.orientation_check import AnatomyPosition, measure_anatomy
from liverseg_tf.dataset.reading import check_mask_grid, has_guessed_geometry, read_volumes
from liverseg_tf.errors import LiverSegError

PERCENTILES = (0.5, 5, 50, 95, 99.5)
FACES = ("lowest slice", "highest slice", "front edge", "back edge", "right edge", "left edge")
SOFT_TISSUE_HU = (-200, 300)
_SAMPLE_VOXELS = 1 << 21  # for percentiles and fractions


@dataclass(frozen=True)
class IntensityStatistics:
    """Statistics of the intensities of an image.

    Args:
        minimum: Lowest finite value.
        maximum: Highest finite value.
        fraction_at_minimum: Fraction of the voxels with the lowest value.
        fraction_at_maximum: Fraction of the voxels with the highest value.
        fraction_not_finite: Fraction of the voxels that are NaN or infinite.
        fraction_soft_tissue: Fraction of the voxels in `SOFT_TISSUE_HU`.
        percentiles: Percentiles of `PERCENTILES`.
        label_percentiles: The same percentiles of the voxels of each label.
    """

    minimum: float
    maximum: float
    fraction_at_minimum: float
    fraction_at_maximum: float
    fraction_not_finite: float
    fraction_soft_tissue: float
    percentiles: tuple[float, ...]
    label_percentiles: dict[int, tuple[float, ...]]


@dataclass(frozen=True)
class CaseMeasurements:
    """Measurements of one case.

    Args:
        shape: Shape (z, row, col) in canonical order.
        spacing_mm: Spacing (z, row, col) in canonical order.
        axes: Letters of the directions of the file's axes i, j, k, after correction.
        guessed_geometry: Whether neither the header nor a correction gives the geometry.
        voxel_bytes: Bytes per voxel of the image in memory.
        intensities: Statistics of the intensities.
        labels: Number of voxels of each label except 0. None without a mask.
        voxel_ml: Volume of one voxel.
        faces: Labels that touch each of the six `FACES` of the volume.
        grid_error: How the grids of image and mask differ. None if they are equal.
        anatomy: Position of lungs, spine and labels. None if the values are not HU.
        voxel_digest: Checksum of the voxels; equal for equal images.
        seconds: Time it took to read the case.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    axes: str
    guessed_geometry: bool
    voxel_bytes: int
    intensities: IntensityStatistics
    labels: dict[int, int] | None
    voxel_ml: float
    faces: dict[str, tuple[int, ...]]
    grid_error: str | None
    anatomy: AnatomyPosition | None
    voxel_digest: str
    seconds: float


def measure_case(case: Case, has_hu: bool = True, channel: int | None = None) -> CaseMeasurements:
    """Read a case and measure it.

    Args:
        case: Case with or without a mask.
        has_hu: Whether the values are HU, so that anatomy can be recognised by them.
        channel: Index of the volume to read from a 4D image.

    Raises:
        LiverSegError: If a file is missing or damaged.
    """
    started = time.perf_counter()
    image, mask = read_volumes(case, channel)
    seconds = time.perf_counter() - started
    canonical = to_canonical(image)
    grid_error, labels = None, None
    if mask is not None:
        labels = to_canonical(mask).array
        try:
            check_mask_grid(image, mask)
        except LiverSegError as error:
            grid_error = str(error)
    labels_on_grid = labels if grid_error is None else None
    return CaseMeasurements(
        shape=canonical.array.shape,
        spacing_mm=canonical.spacing_mm,
        axes="".join(nib.aff2axcodes(image.affine)),
        guessed_geometry=has_guessed_geometry(case, image),
        voxel_bytes=image.array.itemsize,
        intensities=_measure_intensities(canonical.array, labels_on_grid),
        labels=None if labels is None else _count_labels(labels),
        voxel_ml=image.voxel_volume_ml,
        faces={} if labels is None else _find_touched_faces(labels),
        grid_error=grid_error,
        anatomy=measure_anatomy(canonical, labels_on_grid) if has_hu else None,
        voxel_digest=_digest(image),
        seconds=seconds,
    )


def _measure_intensities(array: np.ndarray, labels: np.ndarray | None) -> IntensityStatistics:
    step = max(1, int(np.ceil((array.size / _SAMPLE_VOXELS) ** 0.5)))
    sample = array[:, ::step, ::step]
    finite = np.isfinite(sample)
    label_percentiles = {}
    if labels is not None:
        labels = labels[:, ::step, ::step]
        for label in _count_labels(labels):
            label_percentiles[label] = _percentiles(sample[(labels == label) & finite])
    sample = sample[finite]
    minimum, maximum = _range(array)
    low, high = SOFT_TISSUE_HU
    return IntensityStatistics(
        minimum=minimum,
        maximum=maximum,
        fraction_at_minimum=_fraction(sample == minimum),
        fraction_at_maximum=_fraction(sample == maximum),
        fraction_not_finite=count_not_finite(array) / array.size,
        fraction_soft_tissue=_fraction((sample >= low) & (sample <= high)),
        percentiles=_percentiles(sample),
        label_percentiles={label: values for label, values in label_percentiles.items() if values},
    )


def _range(array: np.ndarray) -> tuple[float, float]:
    """Lowest and highest finite value, or (0, 0) if no value is finite."""
    if array.dtype.kind == "f":
        planes = [plane[np.isfinite(plane)] for plane in array]
        ends = [end for plane in planes if plane.size for end in (plane.min(), plane.max())]
        return (float(min(ends)), float(max(ends))) if ends else (0.0, 0.0)
    return float(array.min()), float(array.max())


def _fraction(mask: np.ndarray) -> float:
    return float(np.count_nonzero(mask) / mask.size) if mask.size else 0.0


def _percentiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, np.percentile(values, PERCENTILES))) if values.size else ()


def _count_labels(labels: np.ndarray) -> dict[int, int]:
    # slice by slice, because bincount converts each voxel to 8 bytes
    counts = np.zeros(256, np.int64)
    for plane in labels:
        counts += np.bincount(plane.reshape(-1), minlength=256)
    return {int(label): int(counts[label]) for label in np.flatnonzero(counts[1:]) + 1}


def _find_touched_faces(labels: np.ndarray) -> dict[str, tuple[int, ...]]:
    """Labels on each face of (z, row, col); rows run to posterior, columns to the left."""
    planes = (labels[0], labels[-1], labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1])
    return {face: tuple(_count_labels(plane)) for face, plane in zip(FACES, planes, strict=True)}


def _digest(image: Volume) -> str:
    digest = hashlib.blake2b(f"{image.array.shape} {image.array.dtype}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image.array).data)
    return digest.hexdigest()
