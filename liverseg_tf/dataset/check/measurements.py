"""What is measured of a case: all that a check needs, small enough to travel between processes."""

import hashlib
import time
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume, count_not_finite
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.orientation_check import AnatomyPosition, measure_anatomy
from liverseg_tf.dataset.reading import check_one_grid, guesses_geometry, read_volumes
from liverseg_tf.errors import LiverSegError

PERCENTILES = (0.5, 5, 50, 95, 99.5)
FACES = ("lowest slice", "highest slice", "front edge", "back edge", "right edge", "left edge")
_SAMPLE = 1 << 21  # voxels that percentiles are taken of
_SOFT_TISSUE_HU = (-200, 300)


@dataclass(frozen=True)
class Values:
    """The values of an image.

    Args:
        low, high: of all finite voxels.
        at_low, at_high: share of the voxels that have these values, 0 to 1.
        not_finite: share that is NaN or infinite.
        soft_tissue: share from -200 to 300 HU.
        percentiles: at `PERCENTILES`.
        of_labels: the same of each label's voxels.
    """

    low: float
    high: float
    at_low: float
    at_high: float
    not_finite: float
    soft_tissue: float
    percentiles: tuple[float, ...]
    of_labels: dict[int, tuple[float, ...]]


@dataclass(frozen=True)
class CaseMeasures:
    """One case, read once.

    Args:
        shape: (z, row, col) in canonical order.
        spacing_mm: (z, row, col).
        axes: letters of the file's axes i, j, k, corrected.
        guessed_geometry: the header says nothing, and no correction does.
        voxel_bytes: of the image in memory.
        values: of the image.
        labels: voxels of each label but 0; None without a mask.
        voxel_ml: volume of one voxel.
        faces: labels that touch each of the six `FACES` of the volume.
        grid_error: how image and mask disagree; None where they don't.
        anatomy: None where values are no HU.
        digest: of the voxels: equal for equal images.
        seconds: that reading took.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    axes: str
    guessed_geometry: bool
    voxel_bytes: int
    values: Values
    labels: dict[int, int] | None
    voxel_ml: float
    faces: dict[str, tuple[int, ...]]
    grid_error: str | None
    anatomy: AnatomyPosition | None
    digest: str
    seconds: float


def measure_case(case: Case, has_hu: bool = True, channel: int | None = None) -> CaseMeasures:
    """Read a case and measure it.

    Args:
        case: with or without a mask.
        has_hu: whether the anatomy can be told by HU.
        channel: of a 4D image.

    Raises:
        LiverSegError: when a file is missing or broken.
    """
    started = time.perf_counter()
    image, mask = read_volumes(case, channel)
    seconds = time.perf_counter() - started
    canonical = to_canonical(image)
    grid_error, labels = None, None
    if mask is not None:
        labels = to_canonical(mask).array
        try:
            check_one_grid(image, mask)
        except LiverSegError as error:
            grid_error = str(error)
    on_image = labels if grid_error is None else None
    return CaseMeasures(
        shape=canonical.array.shape,
        spacing_mm=canonical.spacing_mm,
        axes="".join(nib.aff2axcodes(image.affine)),
        guessed_geometry=guesses_geometry(case, image),
        voxel_bytes=image.array.itemsize,
        values=_measure_values(canonical.array, on_image),
        labels=None if labels is None else _labels_in(labels),
        voxel_ml=image.voxel_volume_ml,
        faces={} if labels is None else _touched_faces(labels),
        grid_error=grid_error,
        anatomy=measure_anatomy(canonical, on_image) if has_hu else None,
        digest=_digest(image),
        seconds=seconds,
    )


def _measure_values(array: np.ndarray, labels: np.ndarray | None) -> Values:
    step = max(1, int(np.ceil((array.size / _SAMPLE) ** 0.5)))
    sample = array[:, ::step, ::step]
    finite = np.isfinite(sample)
    of_labels = {}
    if labels is not None:
        labels = labels[:, ::step, ::step]
        for label in _labels_in(labels):
            of_labels[label] = _percentiles(sample[(labels == label) & finite])
    sample = sample[finite]
    low, high = _range(array)
    return Values(
        low=low,
        high=high,
        at_low=_share(sample == low),
        at_high=_share(sample == high),
        not_finite=count_not_finite(array) / array.size,
        soft_tissue=_share((sample >= _SOFT_TISSUE_HU[0]) & (sample <= _SOFT_TISSUE_HU[1])),
        percentiles=_percentiles(sample),
        of_labels={label: values for label, values in of_labels.items() if values},
    )


def _range(array: np.ndarray) -> tuple[float, float]:
    """Lowest and highest finite value; (0, 0) where there is none."""
    if array.dtype.kind == "f":
        planes = [plane[np.isfinite(plane)] for plane in array]
        ends = [end for plane in planes if plane.size for end in (plane.min(), plane.max())]
        return (float(min(ends)), float(max(ends))) if ends else (0.0, 0.0)
    return float(array.min()), float(array.max())


def _share(where: np.ndarray) -> float:
    return float(np.count_nonzero(where) / where.size) if where.size else 0.0


def _percentiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, np.percentile(values, PERCENTILES))) if values.size else ()


def _labels_in(labels: np.ndarray) -> dict[int, int]:
    # slice by slice, since bincount makes 8 bytes of each voxel
    counts = sum(np.bincount(plane.reshape(-1), minlength=256) for plane in labels)
    return {int(label): int(counts[label]) for label in np.flatnonzero(counts[1:]) + 1}


def _touched_faces(labels: np.ndarray) -> dict[str, tuple[int, ...]]:
    """Labels (z, row, col) on each face; rows run to the back, columns to the patient's left."""
    planes = (labels[0], labels[-1], labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1])
    return {face: tuple(_labels_in(plane)) for face, plane in zip(FACES, planes, strict=True)}


def _digest(image: Volume) -> str:
    digest = hashlib.blake2b(f"{image.array.shape} {image.array.dtype}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image.array))
    return digest.hexdigest()
