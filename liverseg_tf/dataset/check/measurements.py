"""Measurements of one case: everything that the check needs, small enough to send to a process."""

import hashlib
import time
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.intensities import IntensityStatistics, measure_intensities
from liverseg_tf.dataset.check.orientation_check import AnatomyPosition, measure_anatomy
from liverseg_tf.dataset.check.slices import SliceMeasurements, measure_slices
from liverseg_tf.dataset.reading import check_mask_grid, has_guessed_geometry, read_volumes
from liverseg_tf.errors import LiverSegError

FACES = ("lowest slice", "highest slice", "front edge", "back edge", "right edge", "left edge")


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
        modality: DICOM Modality of the image; empty if it is unknown.
        warnings: What had to be assumed while reading, one line each.
        voxel_digest: Checksum of the voxels, see `voxel_digest`; empty if it was not computed.
        seconds: Time it took to read the case.
        slices: The labelled slices; None if there is no list of them.
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
    modality: str = ""
    warnings: tuple[str, ...] = ()
    voxel_digest: str = ""
    seconds: float = 0.0
    slices: SliceMeasurements | None = None


def measure_case(
    case: Case,
    has_hu: bool = True,
    channel: int | None = None,
    trunk_labels: tuple[int, ...] = (),
    annotation: Annotation = Annotation(),
) -> CaseMeasurements:
    """Read a case and measure it.

    Args:
        case: Case with or without a mask.
        has_hu: Whether the values are HU, so that anatomy can be recognised by them.
        channel: Index of the volume to read from a 4D image.
        trunk_labels: Labels of organs of chest and abdomen; see `measure_anatomy`.
        annotation: What the mask labels.

    Raises:
        LiverSegError: If a file is missing or damaged, or the list of labelled slices is not that
            of the mask.
    """
    started = time.perf_counter()
    image, mask = read_volumes(case, channel)
    seconds = time.perf_counter() - started
    guessed = has_guessed_geometry(case, image)
    measured = measure_volumes(image, mask, guessed, has_hu, trunk_labels, annotation)
    return replace(measured, voxel_digest=voxel_digest(image), seconds=seconds)


def measure_volumes(
    image: Volume,
    mask: Volume | None,
    guessed_geometry: bool,
    has_hu: bool = True,
    trunk_labels: tuple[int, ...] = (),
    annotation: Annotation = Annotation(),
) -> CaseMeasurements:
    """Measure volumes that are in memory: less than half a second for 512 x 512 x 200 voxels.

    Args:
        image: Image in any axis order.
        mask: uint8 labels, or None.
        guessed_geometry: Whether neither the header nor a correction gives the geometry.
        has_hu: Whether the values are HU, so that anatomy can be recognised by them.
        trunk_labels: Labels of organs of chest and abdomen; see `measure_anatomy`.
        annotation: What the mask labels.

    Raises:
        LiverSegError: If the list of labelled slices is not that of the mask.
    """
    canonical = to_canonical(image)
    grid_error, labels, slices = None, None, None
    if mask is not None:
        slices = measure_slices(mask, annotation)
        labels = to_canonical(annotation.mark_unlabelled_slices(mask)).array
        try:
            check_mask_grid(image, mask)
        except LiverSegError as error:
            grid_error = str(error)
    labels_on_grid = labels if grid_error is None else None
    anatomy = measure_anatomy(canonical, labels_on_grid, trunk_labels) if has_hu else None
    return CaseMeasurements(
        shape=canonical.array.shape,
        spacing_mm=canonical.spacing_mm,
        axes="".join(nib.aff2axcodes(image.affine)),
        guessed_geometry=guessed_geometry,
        voxel_bytes=image.array.itemsize,
        intensities=measure_intensities(canonical.array, labels_on_grid),
        labels=None if labels is None else _count_labels(labels),
        voxel_ml=image.voxel_volume_ml,
        faces={} if labels is None else _find_touched_faces(labels),
        grid_error=grid_error,
        anatomy=anatomy,
        modality=image.modality,
        warnings=image.warnings,
        slices=slices,
    )


def voxel_digest(image: Volume) -> str:
    """Compute the SHA-256 of the voxels: equal for equal images, whatever their headers say."""
    # processors have instructions for SHA-256, but not for BLAKE2
    digest = hashlib.sha256(f"{image.array.shape} {image.array.dtype}".encode())
    digest.update(np.ascontiguousarray(image.array).data)
    return digest.hexdigest()


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
