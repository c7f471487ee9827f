"""How much memory a prediction will take."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import pydicom

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.model.spec import NetworkSpec

_BASE_BYTES = 0.65e9  # Python, TensorFlow and a model
_PIXEL_BYTES = 600  # a network of 16 filters at its first level holds these for each pixel
_MASK_BYTES = 2  # for each voxel: masks, and a copy while they are processed


@dataclass(frozen=True)
class _Size:
    """What a header tells of an image: (col, row, slice), and mm between columns and rows."""

    shape: tuple[int, int, int]
    voxel_bytes: int
    plane_mm: tuple[float, float]

    @property
    def voxels(self) -> int:
        return math.prod(self.shape)

    @property
    def total_bytes(self) -> int:
        return self.voxels * (self.voxel_bytes + _MASK_BYTES)


def estimate(
    images: Iterable[Path | DicomSeries], network: NetworkSpec, batch_size: int
) -> list[str]:
    """What a run will take at its peak, in words.

    Args:
        images: NIfTI files and DICOM series, of which only headers are read; others are passed
            over.
        network: its tiles.
        batch_size: slices at a time.

    Returns:
        One line; none where no header can be read.
    """
    sizes = [size for size in map(_size, images) if size is not None]
    if not sizes:
        return []
    largest = max(sizes, key=lambda size: size.voxels)
    # two volumes are in memory at once: one is read while the network works on another
    volumes = sorted((size.total_bytes for size in sizes), reverse=True)[:2]
    total = _BASE_BYTES + sum(volumes) + batch_size * _PIXEL_BYTES * _pixels(largest, network)
    shape = " x ".join(map(str, largest.shape))
    return [
        f"Largest of {len(sizes)} images: {shape} voxels; "
        f"about {total / 1e9:.1f} GB of memory at the peak."
    ]


def _size(image: Path | DicomSeries) -> _Size | None:
    """None for what can't be read: reading all of it will say what is wrong."""
    return _series_size(image) if isinstance(image, DicomSeries) else _nifti_size(image)


def _nifti_size(image: Path) -> _Size | None:
    try:
        header = nib.load(image).header
        col_mm, row_mm = map(float, header.get_zooms()[:2])
    except (OSError, TypeError, ValueError, EOFError, nib.filebasedimages.ImageFileError):
        return None
    if len(header.get_data_shape()) != 3:
        return None
    whole = header.get_data_dtype().kind in "iu"
    return _Size(tuple(header.get_data_shape()), 2 if whole else 4, (col_mm, row_mm))


def _series_size(series: DicomSeries) -> _Size | None:
    tags = ["Rows", "Columns", "PixelSpacing"]
    try:
        first = pydicom.dcmread(series.files[0], specific_tags=tags, stop_before_pixels=True)
        row_mm, col_mm = map(float, first.get("PixelSpacing") or (1, 1))
        shape = (int(first.Columns), int(first.Rows), series.images)
    except Exception:  # values are parsed on access: a broken one raises anything
        return None
    return _Size(shape, 2, (col_mm, row_mm))


def _pixels(size: _Size, network: NetworkSpec) -> float:
    """Of a tile before it is cropped; axial slices are taken for granted."""
    cols, rows, _ = size.shape
    if network.tiles.spacing_mm is None:
        return rows * cols
    return rows * cols * math.prod(size.plane_mm) / network.tiles.spacing_mm**2
