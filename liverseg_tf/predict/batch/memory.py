"""Estimate of the memory that a prediction run needs, from the headers of its images."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.ct.dicom.file import open_dicom, read_header
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import read_image_size
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec

_BASE_BYTES = 0.65e9  # Python, TensorFlow and a model
_PIXEL_BYTES = 600  # activations per pixel of a network with 16 filters at its first level
_MASK_BYTES = 2  # per voxel: the masks, and a copy for the post-processing


@dataclass(frozen=True)
class MemoryEstimate:
    """The estimated memory of a prediction run.

    Args:
        gigabytes: Memory at the peak, in GB (10^9 bytes).
        image_count: Number of images whose headers could be read.
        largest_shape: (col, row, slice) of the image with the most voxels.
    """

    gigabytes: float
    image_count: int
    largest_shape: tuple[int, int, int]

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.largest_shape))
        largest = "Image" if self.image_count == 1 else f"Largest of {self.image_count} images"
        return f"{largest}: {shape} voxels; about {self.gigabytes:.1f} GB of memory at the peak"


@dataclass(frozen=True)
class _ImageSize:
    """The size of an image according to its header.

    Args:
        shape: (col, row, slice).
        voxel_bytes: Bytes per voxel in memory.
        pixel_spacing_mm: Distance between neighbouring (columns, rows), in mm.
    """

    shape: tuple[int, int, int]
    voxel_bytes: int
    pixel_spacing_mm: tuple[float, float]

    @property
    def voxels(self) -> int:
        return math.prod(self.shape)

    @property
    def total_bytes(self) -> int:
        return self.voxels * (self.voxel_bytes + _MASK_BYTES)


def estimate_memory(
    images: Iterable[Path | DicomSeries], network: NetworkSpec, batch_size: int
) -> MemoryEstimate | None:
    """Estimate the memory of a prediction run from the headers of its images.

    Args:
        images: Files and DICOM series. Folders are ignored.
        network: Network whose tiles are used.
        batch_size: Number of slices per batch.

    Returns:
        The estimate, or None if no header can be read.
    """
    sizes = [size for size in map(_image_size, images) if size is not None]
    if not sizes:
        return None
    largest = max(sizes, key=lambda size: size.voxels)
    # two volumes are in memory at once: the next one is read while the network works
    volumes = sorted((size.total_bytes for size in sizes), reverse=True)[:2]
    pixels = _resampled_pixels(largest, network)
    total = _BASE_BYTES + sum(volumes) + batch_size * _PIXEL_BYTES * pixels
    return MemoryEstimate(total / 1e9, len(sizes), largest.shape)


def _image_size(image: Path | DicomSeries) -> _ImageSize | None:
    """Return the size, or None if the header cannot be read; reading the image reports why."""
    return _series_size(image) if isinstance(image, DicomSeries) else _file_size(image)


def _file_size(image: Path) -> _ImageSize | None:
    try:
        (cols, rows, slices), dtype, (col_mm, row_mm, _) = read_image_size(image, 0)
    except LiverSegError:
        return None
    is_small = dtype.kind in "iu" and dtype.itemsize <= 2
    return _ImageSize((cols, rows, slices), 2 if is_small else 4, (col_mm, row_mm))


def _series_size(series: DicomSeries) -> _ImageSize | None:
    try:
        with open_dicom(series.files[0]) as stream:
            first = read_header(stream)
        row_mm, col_mm = map(float, first.get("PixelSpacing") or (1, 1))
        shape = (int(first.Columns), int(first.Rows), series.image_count)
    except Exception:  # pydicom parses values on access: a broken one raises any error
        return None
    return _ImageSize(shape, 2, (col_mm, row_mm))


def _resampled_pixels(size: _ImageSize, network: NetworkSpec) -> float:
    """Return the pixels of a resampled slice before cropping; slices are assumed to be axial."""
    cols, rows, _ = size.shape
    if network.tiles.spacing_mm is None:
        return rows * cols
    return rows * cols * math.prod(size.pixel_spacing_mm) / network.tiles.spacing_mm**2
