"""How much memory a prediction will take."""

import math
from collections.abc import Iterable
from pathlib import Path

import nibabel as nib

from liverseg_tf.tiles.network import NetworkSpec

_BASE_BYTES = 0.65e9  # Python, TensorFlow and a model
_PIXEL_BYTES = 600  # a network of 16 filters at its first level holds these for each pixel
_MASK_BYTES = 2  # for each voxel: masks, and a copy while they are processed


def estimate(images: Iterable[Path], network: NetworkSpec, batch_size: int) -> list[str]:
    """What a run will take at its peak, in words.

    Args:
        images: NIfTI files, of which only headers are read; others are passed over.
        network: its tiles.
        batch_size: slices at a time.

    Returns:
        One line; none where no header can be read.
    """
    headers = [header for header in map(_header, images) if header is not None]
    if not headers:
        return []
    sizes = sorted((math.prod(h.get_data_shape()) * _voxel_bytes(h) for h in headers), reverse=True)
    largest = max(headers, key=lambda header: math.prod(header.get_data_shape()))
    # two volumes are in memory at once: one is read while the network works on another
    total = _BASE_BYTES + sum(sizes[:2]) + batch_size * _PIXEL_BYTES * _pixels(largest, network)
    shape = " x ".join(map(str, largest.get_data_shape()))
    return [
        f"Largest of {len(headers)} images: {shape} voxels; "
        f"about {total / 1e9:.1f} GB of memory at the peak."
    ]


def _header(image: Path) -> nib.Nifti1Header | None:
    try:
        header = nib.load(image).header
        return header if len(header.get_data_shape()) == 3 else None
    except (OSError, TypeError, ValueError, EOFError, nib.filebasedimages.ImageFileError):
        return None  # reading it will say what is wrong


def _voxel_bytes(header: nib.Nifti1Header) -> int:
    whole = header.get_data_dtype().kind in "iu"
    return (2 if whole else 4) + _MASK_BYTES


def _pixels(header: nib.Nifti1Header, network: NetworkSpec) -> float:
    """Of a tile before it is cropped; axial slices are taken for granted."""
    spacing = network.tiles.spacing_mm
    cols, rows = header.get_data_shape()[:2]
    if spacing is None:
        return rows * cols
    return rows * cols * math.prod(map(float, header.get_zooms()[:2])) / spacing**2
